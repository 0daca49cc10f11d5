//! The repository, opened once: what it showed a moment ago serves every page, and is looked up again beside the requests.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nodekeep_repo::id::{MemberId, ObjectHash};
use nodekeep_repo::index::Index;
use nodekeep_repo::reader::ChunkReader;
use nodekeep_repo::repository::{Repository, SnapshotRecord};
use nodekeep_repo::view::{Live, View};
use nodekeep_service::find::is_record;

use crate::house::Opener;
use crate::problem::Problem;

/// What is younger is taken as it is.
const FRESH: Duration = Duration::from_secs(3);
/// What is older is not shown any more: the request waits.
const STALE: Duration = Duration::from_secs(60);

/// Holds what was last seen.
pub struct Library {
    open: Opener,
    shelf: Mutex<Option<Arc<Shelf>>>,
    /// One looks at a time.
    looking: Mutex<()>,
    is_looked_at: AtomicBool,
}

/// The repository as it was at a moment.
pub struct Shelf {
    /// Open, with the roster of then.
    pub repository: Repository,
    /// All snapshots, those without files too, oldest first.
    /// Those that cannot be read are left out; the overview counts them, and `check` names them.
    pub records: Arc<Vec<SnapshotRecord>>,
    segments: Vec<(MemberId, ObjectHash)>,
    reader: Mutex<Option<ChunkReader>>,
    at: Instant,
}

impl Library {
    /// Of a repository that is not open yet.
    pub fn new(open: Opener) -> Self {
        let (shelf, looking, is_looked_at) = Default::default();
        Self { open, shelf, looking, is_looked_at }
    }

    /// What the repository shows; a little old perhaps, and then it is looked at again for the next.
    ///
    /// # Errors
    /// If it cannot be opened or read.
    pub fn shelf(self: &Arc<Self>) -> Result<Arc<Shelf>, Problem> {
        match self.held() {
            Some(shelf) if shelf.at.elapsed() < FRESH => Ok(shelf),
            Some(shelf) if shelf.at.elapsed() < STALE => {
                self.look_beside();
                Ok(shelf)
            }
            _ => self.look(FRESH),
        }
    }

    /// The same, for what needs names: refused where the keys do not read.
    ///
    /// # Errors
    /// 403 with the code `role`.
    pub fn readable(self: &Arc<Self>) -> Result<Arc<Shelf>, Problem> {
        let shelf = self.shelf()?;
        match shelf.repository.capability().reads_trees {
            true => Ok(shelf),
            false => Err(Problem::role(
                "this daemon holds a writer's key only: it adds snapshots and cannot read them",
            )),
        }
    }

    /// Looks now: what is shown from here on is not older than this call.
    ///
    /// # Errors
    /// If it cannot be opened or read.
    pub fn renew(&self) -> Result<Arc<Shelf>, Problem> {
        self.look(Duration::ZERO)
    }

    /// Reads beside what browsing needs, because somebody has come: the first file that is asked for is there at once.
    pub fn prepare(self: &Arc<Self>) {
        let library = Arc::clone(self);
        thread::spawn(move || {
            // What fails here is told to the request that needs it.
            _ = library.readable().and_then(|shelf| shelf.reader().map(drop));
        });
    }

    /// Looks again beside before what was seen is too old to be shown: for as long as somebody has the dashboard open.
    pub fn keep(self: &Arc<Self>) {
        if self.held().is_none_or(|shelf| shelf.at.elapsed() > STALE / 2) {
            self.look_beside();
        }
    }

    /// Lets go of what only browsing needs, after a time in which nobody did.
    pub fn rest(&self, after: Duration) {
        if let Some(shelf) = self.held().filter(|shelf| shelf.at.elapsed() > after) {
            *shelf.reader.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    fn held(&self) -> Option<Arc<Shelf>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn look_beside(self: &Arc<Self>) {
        if self.is_looked_at.swap(true, Ordering::AcqRel) {
            return;
        }
        let library = Arc::clone(self);
        thread::spawn(move || {
            // What fails here is told to the request that finds nothing fresh enough.
            _ = library.look(FRESH);
            library.is_looked_at.store(false, Ordering::Release);
        });
    }

    fn look(&self, fresh: Duration) -> Result<Arc<Shelf>, Problem> {
        let asked = Instant::now();
        let _alone = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.held();
        if let Some(shelf) = before
            .as_ref()
            .filter(|shelf| shelf.at >= asked || (!fresh.is_zero() && shelf.at.elapsed() < fresh))
        {
            return Ok(Arc::clone(shelf));
        }
        let repository = match &before {
            Some(shelf) => shelf.repository.refreshed()?,
            None => (self.open)()?,
        };
        let shelf = Arc::new(Shelf::of(repository, before.as_deref())?);
        *self.shelf.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&shelf));
        if before.is_some_and(|before| before.is_browsed()) {
            // Somebody who browsed a moment ago goes on.
            _ = shelf.reader();
        }
        Ok(shelf)
    }
}

impl Shelf {
    fn of(repository: Repository, before: Option<&Self>) -> Result<Self, Problem> {
        let at = Instant::now();
        let view = repository.view()?;
        let records = match repository.capability().reads_trees {
            true => records(&repository, &view, before),
            false => Default::default(),
        };
        let same = before.filter(|shelf| shelf.segments == view.segments);
        let reader = same
            .and_then(|shelf| shelf.reader.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let segments = view.segments;
        Ok(Self { repository, records, segments, reader: Mutex::new(reader), at })
    }

    /// Snapshots with files, oldest first.
    pub fn snapshots(&self) -> impl DoubleEndedIterator<Item = &SnapshotRecord> {
        self.records.iter().filter(|record| !is_record(record))
    }

    /// The snapshot of an id, given in full or as its start.
    ///
    /// # Errors
    /// 404 if there is none, or several begin so.
    pub fn snapshot(&self, id: &str) -> Result<&SnapshotRecord, Problem> {
        let is_start = (4..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_hexdigit());
        let id = id.to_ascii_lowercase();
        let mut found =
            self.snapshots().filter(|record| is_start && record.id.hex().starts_with(&id));
        match (found.next(), found.next()) {
            (Some(record), None) => Ok(record),
            (None, _) => Err(Problem::not_found("there is no such snapshot")
                .hint("It may have been pruned. The list: /api/v1/snapshots")),
            _ => Err(Problem::not_found("several snapshots have an id that begins so")),
        }
    }

    fn is_browsed(&self) -> bool {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Reads trees and chunks.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn reader(&self) -> Result<ChunkReader, Problem> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = &*reader {
            return Ok(reader.clone());
        }
        let (index, mut problems) = self.repository.index_as_it_is()?;
        if let Some(problem) = problems.pop() {
            return Err(problem.into());
        }
        let made = self.repository.lasting_reader(Arc::new(index));
        *reader = Some(made.clone());
        Ok(made)
    }
}

/// The snapshots of a view; what was read before is not read again, for snapshots never change.
fn records(
    repository: &Repository,
    view: &View,
    before: Option<&Shelf>,
) -> Arc<Vec<SnapshotRecord>> {
    let known: HashMap<ObjectHash, &SnapshotRecord> = before
        .map(|shelf| shelf.records.iter().map(|record| (record.outcome_hash, record)).collect())
        .unwrap_or_default();
    let has_all = view.live.len() == known.len()
        && view.live.iter().all(|live| known.contains_key(&live.hash));
    if let Some(shelf) = before.filter(|_| has_all) {
        return Arc::clone(&shelf.records);
    }
    let reader = repository.reader(Arc::new(Index::new()));
    let read = |live: &Live| match known.get(&live.hash) {
        Some(record) => Ok((*record).clone()),
        None => reader.snapshot(live).map(|snapshot| SnapshotRecord {
            id: live.stamp.session,
            stamp: live.stamp,
            outcome_hash: live.hash,
            snapshot,
        }),
    };
    let mut records: Vec<SnapshotRecord> =
        view.live.iter().filter_map(|live| read(live).ok()).collect();
    records.sort_by_key(|r| (r.snapshot.started_ms, r.stamp.sequence, r.id));
    Arc::new(records)
}
