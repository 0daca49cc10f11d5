//! Healing: what live snapshots need and no pack gives whole is brought back from a replica, from another repository, or from the files.
//!
//! It is carried out as a collection (`docs/format.md`, section 7.3), so that no other takes its new packs for leftovers, and a crash leaves
//! what the next one settles. Damaged packs leave the index; what is whole in them moves to new packs, and only a pack of which nothing is
//! missed any more is condemned.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use nodekeep_store::{Created, Durability, Store};

use crate::collect::CollectOptions;
use crate::control::{CollectionOutcome, PackRef, Statement};
use crate::crypto::random;
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::names;
use crate::packs::{Proof, prove_all, readers};
use crate::repair::{Healed, RepairReport};
use crate::repository::{Repository, SnapshotRecord};
use crate::sessions;
use crate::view::View;

mod assemble;
mod attempt;
mod copy;
mod files;
mod fresh;
mod mirror;
mod missed;

use attempt::Attempt;
use missed::Missed;

/// So often is a healing begun again that another keeper came between. Two that heal at once would stop each other for ever.
const ATTEMPTS: u32 = 5;

/// Where lost content may be found.
#[derive(Debug, Clone)]
pub enum Donor<'a> {
    /// A replica of this repository, byte for byte.
    Mirror(Store),
    /// Another repository with the same files: a copy, or the original of one.
    Copy(&'a Repository),
    /// The files as they are today: in these folders, each in place of what was backed up; without any, where they were.
    Files(Vec<PathBuf>),
}

impl Donor<'_> {
    fn name(&self) -> String {
        match self {
            Self::Mirror(store) => store.location().to_owned(),
            Self::Copy(repo) => repo.store().location().to_owned(),
            Self::Files(_) => "files".to_owned(),
        }
    }
}

/// How to repair.
#[derive(Debug, Clone, Default)]
pub struct RepairOptions<'a> {
    /// Read every pack first. Otherwise those are known to be damaged that are missing or short, or that a scrub found.
    pub read_all: bool,
    /// Where lost content may be found, in the order in which they are asked.
    pub donors: Vec<Donor<'a>>,
}

/// Heals what can be healed, and adds to the report.
///
/// # Errors
/// If content cannot be read with the keys at hand, a store fails, or the work is interrupted.
pub(crate) fn heal(
    repo: &Repository,
    options: &RepairOptions<'_>,
    monitor: &dyn Monitor,
    report: &mut RepairReport,
) -> Result<()> {
    let suspects = suspects(repo, options)?;
    if suspects.is_empty() && options.donors.is_empty() {
        return Ok(());
    }
    repo.needs_alone()?;
    repo.needs_data()?;
    let damaged = damaged(repo, &suspects, monitor)?;
    report.packs_damaged = damaged.iter().map(PackRef::name).collect();
    for _ in 0..ATTEMPTS {
        let healing = Healing { repo, options, monitor, damaged: &damaged };
        if let Some(done) = healing.run()? {
            report.chunks_rescued = done.rescued;
            report.healed = done.healed;
            report.checkpoint = done.checkpoint.or(report.checkpoint);
            return Ok(());
        }
        // Another keeper came between: look again.
    }
    Err(Error::Busy { what: "the repository's index" })
}

/// Packs to be read: all, or those that a scrub found damaged and that the index still names.
fn suspects(repo: &Repository, options: &RepairOptions<'_>) -> Result<Vec<(PackRef, u64)>> {
    let found: HashSet<String> = match options.read_all {
        true => HashSet::new(),
        false => crate::scrub::findings(repo)?.into_iter().map(|found| found.object).collect(),
    };
    if !options.read_all && found.is_empty() {
        return Ok(Vec::new());
    }
    let index = repo.index(&repo.view()?)?;
    let is_suspect = |pack: &PackRef| options.read_all || found.contains(&pack.name());
    let packs = index.packs.iter().filter(|pack| is_suspect(&pack.pack));
    Ok(packs.map(|pack| (pack.pack, pack.size)).collect())
}

/// Those of the packs that are not what their names say.
fn damaged(
    repo: &Repository,
    suspects: &[(PackRef, u64)],
    monitor: &dyn Monitor,
) -> Result<BTreeSet<PackRef>> {
    let found = Mutex::new(BTreeSet::new());
    let each = |pack: &PackRef, proof: Proof| {
        if proof.is_err() {
            found.lock().unwrap_or_else(PoisonError::into_inner).insert(*pack);
        }
        Ok(())
    };
    prove_all(repo.store(), suspects, readers(repo.store()), monitor, &each)?;
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// What was done.
#[derive(Default)]
struct Done {
    rescued: u64,
    healed: Vec<Healed>,
    checkpoint: Option<u64>,
}

struct Healing<'a> {
    repo: &'a Repository,
    options: &'a RepairOptions<'a>,
    monitor: &'a dyn Monitor,
    /// Packs that were read and found damaged.
    damaged: &'a BTreeSet<PackRef>,
}

impl Healing<'_> {
    /// `None`: it must be begun again.
    fn run(&self) -> Result<Option<Done>> {
        let repo = self.repo.refreshed()?;
        let view = repo.view()?;
        let records = repo.snapshots_in(&view)?.0;
        if self.damaged.is_empty() && self.missed(&repo, &view, &records)?.is_empty() {
            return Ok(Some(Done::default()));
        }
        let Some(attempt) = Attempt::begin(self, &repo, &view)? else {
            return Ok(None);
        };
        let number = attempt.number;
        let done = attempt.run();
        if done.is_err() {
            // Whatever went wrong is what to report; if this fails too, the next collection does it.
            let _ = decide(&repo, number, None);
        }
        done
    }

    fn missed(&self, repo: &Repository, view: &View, records: &[SnapshotRecord]) -> Result<Missed> {
        let reader = repo.reader(Arc::new(repo.index(view)?));
        Missed::find(&reader, records, self.monitor)
    }
}

/// Creates the outcome of a collection; false if it has another one already.
fn decide(repo: &Repository, number: u64, condemned: Option<Vec<PackRef>>) -> Result<bool> {
    let (key, keeper) = repo.keeper()?;
    let outcome = CollectionOutcome { number, keeper, nonce: random(), condemned };
    let object = outcome.seal(&repo.id(), &key);
    let name = names::collection_outcome(number);
    Ok(repo.store().create(&name, &object, Durability::Durable)? == Created::New)
}

/// Ends every session that may not have seen the doomed list: it begins again, and keeps off what is damaged.
fn end_sessions(repo: &Repository) -> Result<()> {
    let view = repo.view()?;
    let open = view.sessions.iter().map(|session| session.stamp);
    let dead = sessions::judge(repo, &view, &CollectOptions::default()).dead;
    for stamp in open.chain(dead) {
        sessions::fence(repo, &stamp)?;
    }
    Ok(())
}
