//! Checking a repository: every object that matters is read or at least known to be there, and what is damaged is traced to the snapshots
//! and files that it hits. Nothing is changed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use nodekeep_store::Object;

use crate::config::Config;
use crate::control::PackRef;
use crate::error::{Damage, Error, Result};
use crate::id::{ObjectHash, SnapshotId};
use crate::monitor::Monitor;
use crate::names;
use crate::reader::ChunkReader;
use crate::repository::{Repository, SnapshotRecord};
use crate::roster::Roster;
use crate::view::View;
use crate::walk::{Bits, Walk};

mod control;
mod damage;
mod data;

/// What to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckOptions {
    /// Read so many percent of the packs (1 to 100), others each time; `None`: none.
    pub data: Option<u8>,
    /// Only what this snapshot needs.
    pub snapshot: Option<SnapshotId>,
    /// Threads that read packs; `None`: as many as compute, or as the store takes requests; 0: the calling one.
    pub threads: Option<usize>,
}

/// Something damaged or missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Name of the object in the store, or `chunk` or `tree` and an id where no object can be named.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
    /// Snapshots that it hits, oldest first.
    pub snapshots: Vec<SnapshotId>,
    /// Files and directories that it hits, as absolute paths; at most 10,000.
    pub paths: Vec<Vec<u8>>,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckReport {
    /// Damage; empty if the repository is sound as far as it was checked.
    pub problems: Vec<Problem>,
    /// What is worth saying and is no damage.
    pub notes: Vec<String>,
    /// Objects in the store.
    pub objects: u64,
    /// Packs whose presence and size were checked.
    pub packs: u64,
    /// Packs that were read.
    pub packs_read: u64,
    /// Chunks that were decrypted and compared with their ids, or hashed with their pack where no key is at hand.
    pub chunks: u64,
    /// Bytes of the packs that were read.
    pub bytes_read: u64,
    /// Snapshots that were checked.
    pub snapshots: u64,
    /// Different tree chunks that were read.
    pub trees: u64,
    /// Files in them.
    pub files: u64,
}

/// Collects what is wrong, by object.
#[derive(Debug, Default)]
struct Findings {
    problems: BTreeMap<String, Finding>,
    notes: Vec<String>,
}

#[derive(Debug, Default)]
struct Finding {
    what: BTreeSet<String>,
    snapshots: HashSet<SnapshotId>,
    paths: BTreeSet<Vec<u8>>,
}

impl Findings {
    fn add(&mut self, object: impl Into<String>, what: impl ToString) -> &mut Finding {
        let finding = self.problems.entry(object.into()).or_default();
        finding.what.insert(what.to_string());
        finding
    }

    /// Adds an error under the object that it names.
    fn add_error(&mut self, object: &str, error: &Error) -> String {
        let (object, what) = match error {
            Error::Damaged { object, damage } => (object.clone(), damage.to_string()),
            Error::ChunkMissing(id) => {
                (format!("chunk {id}"), "it is in no pack that the index knows".to_owned())
            }
            other => (object.to_owned(), other.to_string()),
        };
        self.add(object.clone(), what);
        object
    }

    fn into_problems(self, order: &[SnapshotRecord]) -> Vec<Problem> {
        let problem = |(object, finding): (String, Finding)| {
            let known =
                order.iter().map(|record| record.id).filter(|id| finding.snapshots.contains(id));
            let mut snapshots: Vec<SnapshotId> = known.collect();
            // One that does not open has no place in the order.
            let unknown: Vec<SnapshotId> =
                finding.snapshots.iter().filter(|id| !snapshots.contains(id)).copied().collect();
            snapshots.extend(unknown);
            let what: Vec<String> = finding.what.into_iter().collect();
            Problem {
                object,
                what: what.join("; "),
                snapshots,
                paths: finding.paths.into_iter().collect(),
            }
        };
        self.problems.into_iter().map(problem).collect()
    }
}

impl Repository {
    /// Checks the repository.
    ///
    /// # Errors
    /// If names cannot be read with the keys at hand, no snapshot is as asked for, the work is interrupted, or the store cannot be listed.
    /// Damage is no error: it is in the report.
    pub fn check(&self, options: &CheckOptions, monitor: &dyn Monitor) -> Result<CheckReport> {
        self.needs_trees()?;
        unless_collected(self, || {
            let report = self.check_once(options, monitor)?;
            Ok((report.problems.is_empty(), report))
        })
    }

    fn check_once(&self, options: &CheckOptions, monitor: &dyn Monitor) -> Result<CheckReport> {
        let mut findings = Findings::default();
        // What the view names was there before it was listed, or has been collected since.
        let view = self.view()?;
        let objects = crate::listing::everything(self.store())?;
        control::check(self, &objects, &mut findings)?;
        let state = self.check_state(&view, options, &mut findings)?;
        let mut report = CheckReport { objects: objects.len() as u64, ..CheckReport::default() };
        let walk = walk(&state, &mut report, &mut findings, monitor)?;
        let mut bad = Bits::new(state.reader.index().entries().len());
        let scope = scope(&state.reader, options.snapshot.map(|_| &walk.reached));
        report.packs = scope.len() as u64;
        control::check_packs(&state.reader, &objects, &scope, &mut bad, &mut findings);
        if options.snapshot.is_none() {
            control::note_leftovers(&state.reader, &view, &objects, &mut findings);
        }
        if let Some(percent) = options.data {
            let threads = options.threads.unwrap_or_else(|| data::threads(self));
            let chosen = data::select(&scope, percent);
            let read = data::Reading { repo: self, reader: &state.reader, threads, monitor };
            read.run(&chosen, &mut bad, &mut report, &mut findings)?;
        }
        damage::trace(&state, &walk, &bad, &mut findings, monitor)?;
        report.notes = std::mem::take(&mut findings.notes);
        report.problems = findings.into_problems(&state.records);
        Ok(report)
    }

    fn check_state(
        &self,
        view: &View,
        options: &CheckOptions,
        findings: &mut Findings,
    ) -> Result<State> {
        for bad in &view.problems {
            findings.add(bad.object.clone(), bad.damage);
        }
        let (index, problems) = self.index_with_problems(view)?;
        for error in &problems {
            findings.add_error("index", error);
        }
        let (mut records, unopened) = self.snapshots_in(view)?;
        if let Some(wanted) = options.snapshot {
            let named = view.is_live(&wanted);
            records.retain(|record| record.id == wanted);
            if !named {
                return Err(Error::NoSnapshot { wanted: wanted.hex() });
            }
        }
        for (object, error) in &unopened {
            let session = names::parse_in_generation(object).map(|name| name.session);
            if options.snapshot.is_none_or(|wanted| session == Some(wanted)) {
                let object = findings.add_error(object, error);
                findings.problems.entry(object).or_default().snapshots.extend(session);
            }
        }
        Ok(State { reader: self.reader(Arc::new(index)), records })
    }
}

/// What is wrong as far as names and control objects tell: no pack is read, and no snapshot opened.
///
/// # Errors
/// If the store cannot be listed.
pub(crate) fn surface(repo: &Repository) -> Result<Vec<Problem>> {
    unless_collected(repo, || {
        let problems = surface_once(repo)?;
        Ok((problems.is_empty(), problems))
    })
}

fn surface_once(repo: &Repository) -> Result<Vec<Problem>> {
    let mut findings = Findings::default();
    let view = repo.view()?;
    let objects = crate::listing::everything(repo.store())?;
    control::check(repo, &objects, &mut findings)?;
    for bad in &view.problems {
        findings.add(bad.object.clone(), bad.damage);
    }
    let (index, problems) = repo.index_with_problems(&view)?;
    for error in &problems {
        findings.add_error("index", error);
    }
    let reader = repo.reader(Arc::new(index));
    let mut bad = Bits::new(reader.index().entries().len());
    control::check_packs(&reader, &objects, &scope(&reader, None), &mut bad, &mut findings);
    Ok(findings.into_problems(&[]))
}

/// So often is a look repeated that a collection interfered with.
const LOOKS: u32 = 4;

/// Looks again if something was found wrong and a collection ended meanwhile: it may have removed what was missed.
fn unless_collected<T>(repo: &Repository, look: impl Fn() -> Result<(bool, T)>) -> Result<T> {
    let mut checkpoint = repo.view()?.checkpoint_number();
    let mut looks = 1;
    loop {
        let (sound, found) = look()?;
        if sound || looks == LOOKS {
            return Ok(found);
        }
        let now = repo.view()?.checkpoint_number();
        if now == checkpoint {
            return Ok(found);
        }
        (checkpoint, looks) = (now, looks + 1);
    }
}

/// What the control objects give.
struct State {
    reader: ChunkReader,
    records: Vec<SnapshotRecord>,
}

fn walk<'a>(
    state: &'a State,
    report: &mut CheckReport,
    findings: &mut Findings,
    monitor: &dyn Monitor,
) -> Result<Walk<'a>> {
    let mut walk = Walk::new(&state.reader);
    for record in &state.records {
        walk.snapshot(&record.snapshot, &|| monitor.interrupted())?;
    }
    report.snapshots = state.records.len() as u64;
    (report.trees, report.files) = (walk.tree_count, walk.files);
    for flaw in &walk.flaws {
        findings.add_error("trees", &flaw.error);
    }
    Ok(walk)
}

/// Packs to look at, by number: all, or those that have what was reached.
fn scope(reader: &ChunkReader, reached: Option<&Bits>) -> Vec<u32> {
    let index = reader.index();
    let Some(reached) = reached else {
        return (0..index.packs.len() as u32).collect();
    };
    let mut packs = BTreeSet::new();
    for (at, place) in index.entries().iter().enumerate() {
        if reached.get(at) {
            packs.extend(index.places(&place.id).iter().map(|place| place.pack));
        }
    }
    packs.into_iter().collect()
}
