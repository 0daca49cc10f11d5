//! Deleting snapshots, and giving back the space that no snapshot needs (`docs/format.md`, section 7.3), while backups go on.
//!
//! A collection leaves its traces in the store in such an order that it can be cut off at any point: the next one abandons it, or, once
//! packs are condemned, finishes it. Nothing is deleted that a live snapshot, or one that may still be committed, could need.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use nodekeep_store::{Created, Durability, Object};

use crate::control::{Deletion, PackRef, Statement};
use crate::error::{Damage, Error, Result};
use crate::id::SnapshotId;
use crate::monitor::{Monitor, Silent};
use crate::names;
use crate::reader::ChunkReader;
use crate::repository::Repository;
use crate::sessions;
use crate::view::View;
use crate::walk::Bits;

mod apply;
pub(crate) mod finish;
mod mark;
mod plan;
mod rescue;

use finish::SegmentRef;
use plan::{Aim, Orphan, Packs, Usage};

/// How to collect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectOptions {
    /// So many percent of the bytes may stay unused: less means more rewriting.
    pub max_unused_percent: u8,
    /// A session elsewhere that has shown no sign of life for so many seconds counts as dead: no new progress object since this client
    /// first saw the last, or, for a client without [`crate::sessions::Sightings`], not ended since it says that it began.
    pub patience_secs: u64,
}

impl Default for CollectOptions {
    /// 5 percent, 7 days.
    fn default() -> Self {
        Self { max_unused_percent: 5, patience_secs: 7 * 24 * 3600 }
    }
}

/// What a collection would do. Sizes are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CollectionPlan {
    /// Snapshots to be deleted.
    pub snapshots_removed: u64,
    /// Packs in the store.
    pub packs: u64,
    /// Packs of which nothing lives.
    pub packs_dead: u64,
    /// Packs whose live chunks are to be copied.
    pub packs_compacted: u64,
    /// Size of all packs.
    pub bytes_before: u64,
    /// How much smaller they would be.
    pub bytes_freed: u64,
    /// How much is to be copied.
    pub bytes_rewritten: u64,
    /// Sessions that run: nothing is deleted before they end.
    pub sessions_open: u64,
    /// Sessions that count as dead and would be ended.
    pub sessions_dead: u64,
}

/// Why a collection deleted no pack though there was something to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Postponed {
    /// So many sessions are open: they may use what would be deleted.
    Sessions(u64),
    /// Another collection is under way.
    Collection(u64),
}

/// What a collection did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CollectionReport {
    /// What was planned, and done unless it was postponed.
    pub plan: CollectionPlan,
    /// Whether, and why, it is to be done later.
    pub postponed: Option<Postponed>,
    /// Number of the collection whose packs were deleted.
    pub collection: Option<u64>,
    /// Number of a collection that was cut off earlier and finished now.
    pub finished: Option<u64>,
    /// Number of the checkpoint that was written.
    pub checkpoint: Option<u64>,
    /// Sessions that were ended as dead.
    pub sessions_ended: u64,
    /// Packs that were to be compacted and are damaged: they stay as they are.
    pub packs_damaged: Vec<String>,
}

/// A plan with all that it rests on.
struct Survey {
    view: View,
    reader: ChunkReader,
    reached: Bits,
    segments_listed: Vec<SegmentRef>,
    orphans: Vec<Orphan>,
    usage: Vec<Usage>,
    packs: Packs,
}

impl Survey {
    /// Looks at everything. Packs are listed before the view is loaded, so that one that no segment names has no session any more
    /// that could name it, unless the view shows it open.
    fn take(
        repo: &Repository,
        delete: &HashSet<SnapshotId>,
        options: &CollectOptions,
        monitor: &dyn Monitor,
    ) -> Result<Self> {
        let listed = repo.store().list(names::WRITERS)?;
        let view = view_for!(repo, "look", (repo.roster_hash(), listed, delete), |view| [
            view.checkpoint_hash,
            view.generation,
            view.live_hashes(),
            view.segments,
            finish::highest(view),
            sessions::without_outcome(view),
            objects_of_open(view),
            view.problems
        ])?;
        refuse_damage(&view)?;
        let reader = repo.reader(Arc::new(repo.index(&view)?));
        let reached = mark::reached(repo, &view, &reader, delete, &|| monitor.interrupted())?;
        let chosen = mark::choose(&reader, &reached, &HashSet::new())?;
        let known = |object: &&Object| names::parse_pack(&object.name).is_some();
        let orphans =
            listed.iter().filter(known).filter_map(|object| orphan(&reader, object)).collect();
        let usage = plan::usage(reader.index(), &chosen);
        let aim = Aim {
            max_unused_percent: options.max_unused_percent,
            pack_size: repo.config().pack_size,
        };
        let packs = plan::choose(&usage, aim);
        let segments_listed =
            listed.iter().filter_map(|object| names::parse_segment(&object.name)).collect();
        Ok(Self { view, reader, reached, segments_listed, orphans, usage, packs })
    }

    /// Segments that no session names, and that none can come to name if none is open in the view: a session names its own only.
    fn stale_segments(&self) -> Vec<SegmentRef> {
        let named: HashSet<&SegmentRef> = self.view.segments.iter().collect();
        self.segments_listed.iter().filter(|segment| !named.contains(segment)).copied().collect()
    }

    /// All that what follows depends on: the rest is made from it.
    #[cfg(feature = "simulate")]
    fn essence(&self) -> String {
        let Self { view, orphans, packs, .. } = self;
        let highest = finish::highest(view);
        let parts = (
            view.generation,
            highest,
            view.live_hashes(),
            &view.segments,
            objects_of_open(view) > apply::GENERATION_OBJECTS,
        );
        format!("{parts:?} {:?} {orphans:?} {packs:?}", self.stale_segments())
    }

    fn doomed(&self) -> Vec<PackRef> {
        let indexed = self.packs.whole.iter().chain(&self.packs.compact);
        let indexed = indexed.map(|n| self.reader.index().packs[*n as usize].pack);
        indexed.chain(self.orphans.iter().map(|orphan| orphan.pack)).collect()
    }

    fn plan(&self, removed: usize, sessions: (usize, usize)) -> CollectionPlan {
        let size =
            |numbers: &[u32]| numbers.iter().map(|n| self.usage[*n as usize].size).sum::<u64>();
        let copied: u64 = self.packs.compact.iter().map(|n| self.usage[*n as usize].live).sum();
        let orphaned: u64 = self.orphans.iter().map(|orphan| orphan.size).sum();
        CollectionPlan {
            snapshots_removed: removed as u64,
            packs: (self.usage.len() + self.orphans.len()) as u64,
            packs_dead: (self.packs.whole.len() + self.orphans.len()) as u64,
            packs_compacted: self.packs.compact.len() as u64,
            bytes_before: self.usage.iter().map(|pack| pack.size).sum::<u64>() + orphaned,
            bytes_freed: (size(&self.packs.whole) + size(&self.packs.compact) + orphaned)
                .saturating_sub(copied),
            bytes_rewritten: copied,
            sessions_open: sessions.0 as u64,
            sessions_dead: sessions.1 as u64,
        }
    }

    fn frees_nothing(&self) -> bool {
        self.packs == Packs::default() && self.orphans.is_empty()
    }
}

fn orphan(reader: &ChunkReader, object: &Object) -> Option<Orphan> {
    let (writer, kind, id) = names::parse_pack(&object.name)?;
    let pack = PackRef { writer, kind, id };
    let index = reader.index();
    let indexed = index.pack_number(&id).is_some_and(|n| index.packs[n as usize].pack == pack);
    (!indexed).then_some(Orphan { pack, size: object.size })
}

/// How many objects the open generation has: what the simulator is told that a decision depends on.
#[cfg(feature = "simulate")]
fn objects_of_open(view: &View) -> usize {
    let prefix = names::generation(view.generation);
    view.generation_objects.iter().filter(|name| name.starts_with(&prefix)).count()
}

/// A view behind a damaged checkpoint is an old one: what it does not know may live. So may what a damaged outcome committed, if a
/// copy of it is whole elsewhere: one bad bit in it must not cost every pack of its snapshot. A repair does without either.
fn refuse_damage(view: &View) -> Result<()> {
    let matters = |object: &str| {
        let in_generation = names::parse_in_generation(object);
        object.starts_with(names::CHECKPOINTS)
            || in_generation.is_some_and(|name| name.role == names::Role::Outcome)
    };
    // Whole, and of somebody who may not sign it: not what a bad bit makes of a commit. Such an outcome ended its session and nothing more.
    let is_foreign = |bad: &&crate::view::BadObject| {
        bad.damage == Damage::Signer && !bad.object.starts_with(names::CHECKPOINTS)
    };
    let mut problems = view.problems.iter().filter(|bad| !is_foreign(bad));
    let damaged = problems.find(|bad| matters(&bad.object));
    damaged.map_or(Ok(()), |bad| Err(Error::damaged(bad.object.clone(), bad.damage)))
}

/// Whether a snapshot's deletion is recorded where every later checkpoint finds it: in the newest checkpoint, or in the generation that
/// it opened.
fn is_surely_deleted(view: &View, id: &SnapshotId) -> bool {
    let folded = |object: &Vec<u8>| {
        view.checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.deletions.contains(object))
    };
    let records = view.deletions.iter().filter(|(record, _)| record.snapshot == *id);
    records
        .into_iter()
        .any(|(record, object)| record.generation >= view.generation || folded(object))
}

impl Repository {
    /// Records that snapshots are deleted. They are gone from every list at once; their space is given back by the next collection.
    /// One that is deleted already is passed over.
    ///
    /// # Errors
    /// [`Error::OwnerOnly`], [`Error::NoSnapshot`] before anything is recorded, or if the store fails.
    pub fn delete(&self, ids: &[SnapshotId]) -> Result<()> {
        let repo = self.refreshed()?;
        let mut wanted: BTreeSet<SnapshotId> = ids.iter().copied().collect();
        loop {
            settled!("delete", repo.roster_hash(), ids, wanted);
            let view = view_for!(repo, "deleting", (repo.roster_hash(), ids, wanted), |view| [
                view.checkpoint_hash,
                view.generation,
                view.live_hashes(),
                view.deletions
            ])?;
            wanted.retain(|id| !is_surely_deleted(&view, id));
            if wanted.is_empty() {
                return Ok(());
            }
            repo.record_deletions(&view, &wanted)?;
            // The checkpoint after next may be made from a look before the record: look again whether it is in time.
        }
    }

    fn record_deletions(&self, view: &View, ids: &BTreeSet<SnapshotId>) -> Result<()> {
        let (key, keeper) = self.keeper()?;
        let find = |id: &SnapshotId| {
            let live = view.live.iter().find(|live| live.stamp.session == *id);
            live.ok_or_else(|| Error::NoSnapshot { wanted: id.hex() })
        };
        let again =
            |id: &SnapshotId| view.deletions.iter().find(|(record, _)| record.snapshot == *id);
        let outcome = |id: &SnapshotId| match again(id) {
            Some((record, _)) => Ok((*id, record.outcome)),
            None => find(id).map(|live| (*id, live.hash)),
        };
        let outcomes: Vec<_> = ids.iter().map(outcome).collect::<Result<_>>()?;
        for (snapshot, outcome) in outcomes {
            let when = crate::clock::now().as_second();
            let record = Deletion { generation: view.generation, keeper, snapshot, outcome, when };
            let name = names::deletion(view.generation, &keeper, &snapshot);
            let created =
                self.store().create(&name, &record.seal(&self.id(), &key), Durability::Durable)?;
            if created == Created::Exists && !self.deletion_counts(&name) {
                self.store().delete(&name)?;
            }
        }
        Ok(())
    }

    /// Whether a record that is there already is whole: a torn one is to be written again.
    fn deletion_counts(&self, name: &str) -> bool {
        let place = names::parse_in_generation(name);
        let read = |object: Vec<u8>| {
            Deletion::open(&object, place.as_ref(), &self.id(), self.roster()).is_ok()
        };
        self.store().get(name).is_ok_and(read)
    }

    /// What [`Repository::collect`] would do now; changes nothing.
    ///
    /// # Errors
    /// [`Error::WriterOnly`], or if the repository is damaged: then nothing may be collected before it is repaired.
    pub fn plan_collection(
        &self,
        delete: &[SnapshotId],
        options: &CollectOptions,
    ) -> Result<CollectionPlan> {
        let repo = self.refreshed()?;
        let delete: HashSet<SnapshotId> = delete.iter().copied().collect();
        let survey = Survey::take(&repo, &delete, options, &Silent)?;
        let sessions = sessions::judge(&repo, &survey.view, options);
        Ok(survey.plan(delete.len(), (sessions.open, sessions.dead.len())))
    }

    /// Deletes snapshots and gives back the space that no snapshot needs. What an earlier collection left unfinished is finished first.
    ///
    /// # Errors
    /// [`Error::OwnerOnly`], [`Error::NoSnapshot`], or if the repository is damaged, interrupted or the store fails: at whatever point, the
    /// next collection goes on from there.
    pub fn collect(
        &self,
        delete: &[SnapshotId],
        options: &CollectOptions,
        monitor: &dyn Monitor,
    ) -> Result<CollectionReport> {
        self.keeper()?;
        self.needs_trees()?;
        self.needs_alone()?;
        self.delete(delete)?;
        let repo = self.refreshed()?;
        settled!("collect", repo.roster_hash(), delete.len());
        scoped!("collect", delete.len());
        apply::Collector::new(&repo, options, monitor)?.run(delete.len())
    }
}
