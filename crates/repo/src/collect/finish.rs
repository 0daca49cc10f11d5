//! The end of a collection, that anyone may bring about once packs are condemned: new segments, a checkpoint, and the deletions. Also the
//! way in which every checkpoint is made.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use nodekeep_store::{Created, Durability, Object};

use crate::control::{Checkpoint, CollectionOutcome, Numbered, PackRef, Statement};
use crate::crypto::SigningKey;
use crate::error::{Error, Result};
use crate::fetch;
use crate::id::{MemberId, ObjectHash, PackId};
use crate::index::{Index, PackInfo, SEGMENT_ENTRIES, Segment};
use crate::names;
use crate::repository::Repository;
use crate::view::View;

use super::{mark, refuse_damage, sessions};

/// A segment's place.
pub(crate) type SegmentRef = (MemberId, ObjectHash);

/// So many small segments are left alone.
const SMALL_SEGMENTS: usize = 8;
/// A segment with fewer entries is small.
const SMALL_ENTRIES: usize = SEGMENT_ENTRIES / 16;

pub(crate) fn write_segment(
    repo: &Repository,
    key: &SigningKey,
    keeper: MemberId,
    segment: &Segment,
) -> Result<SegmentRef> {
    let object = segment.seal(&repo.id(), repo.domain(), key);
    let hash = ObjectHash::of(&object);
    repo.store().create(&names::segment(&keeper, &hash), &object, Durability::Visible)?;
    Ok((keeper, hash))
}

/// The highest number that a collection has had.
pub(crate) fn highest(view: &View) -> u64 {
    view.collections.iter().map(|collection| collection.number).max().unwrap_or(0).max(over(view))
}

/// Every collection up to this number is over.
fn over(view: &View) -> u64 {
    view.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.collections)
}

/// What of a view a checkpoint is made from.
#[cfg(feature = "simulate")]
fn what_counts(view: &View) -> String {
    let View { checkpoint_hash, generation, segments, held, deletions, heads, problems, .. } = view;
    let open = sessions::without_outcome(view);
    let names = (checkpoint_hash, generation, view.live_hashes(), segments, held, open);
    format!("{names:?} {deletions:?} {heads:?} {problems:?}")
}

/// Everything that the end of a collection needs.
#[cfg_attr(feature = "simulate", derive(Debug))]
pub(crate) struct Finish<'a> {
    pub(crate) repo: &'a Repository,
    /// Packs to delete.
    pub(crate) condemned: BTreeSet<PackRef>,
    /// Every collection up to this number is over with it.
    pub(crate) collections: u64,
    /// Segments that no control object names yet.
    pub(crate) fresh: Vec<SegmentRef>,
    /// Segments that nothing needs, unless the view names them after all.
    pub(crate) stale: Vec<SegmentRef>,
}

impl Finish<'_> {
    /// Finishes; returns the number of the checkpoint, or `None` if somebody else has ended the collection.
    pub(crate) fn run(&self) -> Result<Option<u64>> {
        loop {
            let view = view_for!(
                self.repo,
                "finish",
                (self.repo.roster_hash(), self.condemned, self.collections, self.fresh, self.stale),
                |view| [what_counts(view)]
            )?;
            refuse_damage(&view)?;
            if !self.condemned.is_empty() && self.is_over(&view) {
                return Ok(None);
            }
            if sessions::end_earlier(self.repo, &view)? {
                continue;
            }
            settled!(
                "rewrite",
                self.condemned,
                self.collections,
                self.fresh,
                self.stale,
                self.repo.roster_hash(),
                (
                    view.generation,
                    view.checkpoint_hash,
                    view.live_hashes(),
                    &view.segments,
                    &view.held
                ),
                (&view.deletions, &view.heads)
            );
            let mut sources: BTreeSet<SegmentRef> = view.segments.iter().copied().collect();
            sources.extend(&self.fresh);
            let segments = self.rewrite(&sources, &view.held, &|_| true)?;
            if let Some(number) = self.checkpoint(&view, &segments)? {
                sources.extend(&self.stale);
                self.sweep(number, &sources, &segments)?;
                return Ok(Some(number));
            }
            // Another keeper was faster: what remains to be done depends on its checkpoint.
        }
    }

    /// Whether a checkpoint says that the collection is over. Then its outcome may have been abandoned and swept away before the slot was
    /// taken again: what is condemned there is condemned by nobody, and whoever did not abandon it has finished it.
    fn is_over(&self, view: &View) -> bool {
        !planted!(TrustOutcome) && over(view) >= self.collections
    }

    /// Finishes what a crash cut off; `None` if somebody else has done so.
    pub(crate) fn resume(mut self, stop: &dyn Fn() -> bool) -> Result<Option<u64>> {
        loop {
            let view = view_for!(
                self.repo,
                "resume",
                (self.repo.roster_hash(), self.condemned, self.collections),
                |view| [what_counts(view)]
            )?;
            refuse_damage(&view)?;
            if self.is_over(&view) {
                return Ok(None);
            }
            self.look_for_copies(&view)?;
            self.prove(&view, stop)?;
            self.repo.store().barrier()?;
            if let Some(number) = self.publish(&view)? {
                return Ok(Some(number));
            }
            // Another keeper was faster, or a session had to be ended first.
        }
    }

    /// The keeper's segments that nothing names may describe the copies of what is condemned.
    fn look_for_copies(&mut self, view: &View) -> Result<()> {
        let (_, keeper) = self.repo.keeper()?;
        let listed = self.repo.store().list(names::WRITERS)?;
        let packs: HashSet<String> = listed.iter().map(|object| object.name.clone()).collect();
        let named: BTreeSet<SegmentRef> = view.segments.iter().copied().collect();
        let unnamed = listed.iter().filter_map(|object| names::parse_segment(&object.name));
        let unnamed: Vec<SegmentRef> =
            unnamed.filter(|s| s.0 == keeper && !named.contains(s)).collect();
        // A damaged one is left from before a barrier: nothing rests on it.
        let whole = unnamed.iter().filter(|(writer, hash)| self.repo.segment(writer, hash).is_ok());
        let sources: BTreeSet<SegmentRef> = named.iter().chain(whole).copied().collect();
        let there = |info: &PackInfo| packs.contains(&info.pack.name());
        self.fresh = self.rewrite(&sources, &view.held, &there)?.into_iter().collect();
        self.stale = sources.into_iter().chain(unnamed).collect();
        Ok(())
    }

    /// Nothing may go before every live snapshot is found complete in the new index.
    fn prove(&self, view: &View, stop: &dyn Fn() -> bool) -> Result<()> {
        let mut index = Index::new();
        for (writer, hash) in &self.fresh {
            index.add(self.repo.segment(writer, hash)?);
        }
        index.sort();
        let reader = self.repo.reader(Arc::new(index));
        mark::reached(self.repo, view, &reader, &HashSet::new(), stop).map(|_| ())
    }

    /// The checkpoint, and the deletions; `None` if anything has changed since the view.
    fn publish(&self, view: &View) -> Result<Option<u64>> {
        let now = view_for!(
            self.repo,
            "publish",
            (self.repo.roster_hash(), self, view.generation, view.segments),
            |view| [what_counts(view)]
        )?;
        let same = now.generation == view.generation && now.segments == view.segments;
        if !same || sessions::end_earlier(self.repo, &now)? {
            return Ok(None);
        }
        let segments: BTreeSet<SegmentRef> = self.fresh.iter().copied().collect();
        let number = self.checkpoint(&now, &segments)?;
        if let Some(number) = number {
            self.sweep(number, &self.stale.iter().copied().collect(), &segments)?;
        }
        Ok(number)
    }
}

impl Finish<'_> {
    /// The whole index without condemned packs, and with few small segments. Segments that need no change stay.
    fn rewrite(
        &self,
        sources: &BTreeSet<SegmentRef>,
        held: &BTreeSet<SegmentRef>,
        there: &dyn Fn(&PackInfo) -> bool,
    ) -> Result<BTreeSet<SegmentRef>> {
        let goes = |info: &PackInfo| self.condemned.contains(&info.pack) || !there(info);
        let (mut kept, mut changed, mut small) = (BTreeSet::new(), Vec::new(), Vec::new());
        let mut seen: HashSet<PackId> = HashSet::new();
        for source in sources {
            let segment = self.repo.segment(&source.0, &source.1)?;
            let stays = |info: &PackInfo| !goes(info) && !seen.contains(&info.pack.id);
            if !held.contains(source) && !segment.packs.iter().all(stays) {
                changed.push(*source);
                continue;
            }
            if segment.entries() < SMALL_ENTRIES && !held.contains(source) {
                small.push(*source);
            }
            kept.insert(*source);
            seen.extend(segment.packs.iter().map(|info| info.pack.id));
        }
        if small.len() > SMALL_SEGMENTS || (!changed.is_empty() && small.len() > 1) {
            for source in small {
                kept.remove(&source);
                changed.push(source);
            }
        }
        self.merge(&changed, &mut kept, &goes)?;
        Ok(kept)
    }

    fn merge(
        &self,
        changed: &[SegmentRef],
        kept: &mut BTreeSet<SegmentRef>,
        goes: &dyn Fn(&PackInfo) -> bool,
    ) -> Result<()> {
        let (key, keeper) = self.repo.keeper()?;
        let mut seen = self.packs_of(kept)?;
        let mut open = Segment::default();
        for (writer, hash) in changed {
            let segment = self.repo.segment(writer, hash)?;
            for info in segment.packs {
                if goes(&info) || !seen.insert(info.pack.id) {
                    continue;
                }
                open.add(info.pack, info.size, info.header_len, info.table, &segment.seals);
                if open.entries() >= SEGMENT_ENTRIES {
                    kept.insert(write_segment(
                        self.repo,
                        &key,
                        keeper,
                        &std::mem::take(&mut open),
                    )?);
                }
            }
        }
        if !open.packs.is_empty() {
            kept.insert(write_segment(self.repo, &key, keeper, &open)?);
        }
        Ok(())
    }

    fn packs_of(&self, segments: &BTreeSet<SegmentRef>) -> Result<HashSet<PackId>> {
        let mut packs = HashSet::new();
        for (writer, hash) in segments {
            packs.extend(self.repo.segment(writer, hash)?.packs.iter().map(|info| info.pack.id));
        }
        Ok(packs)
    }

    /// Creates the next checkpoint; `None` if another keeper has made it.
    pub(crate) fn checkpoint(
        &self,
        view: &View,
        segments: &BTreeSet<SegmentRef>,
    ) -> Result<Option<u64>> {
        let (key, keeper) = self.repo.keeper()?;
        let number = view.generation + 1;
        let checkpoint = Checkpoint {
            number,
            previous: view.checkpoint_hash.unwrap_or(ObjectHash::NONE),
            when: crate::clock::now().as_second(),
            keeper,
            outcomes: view.live.iter().map(|live| live.object.clone()).collect(),
            deletions: view.deletions.iter().map(|(_, object)| object.clone()).collect(),
            segments: segments.iter().copied().collect(),
            collections: self.collections.max(over(view)),
            heads: view.heads.iter().map(|(writer, head)| (*writer, *head)).collect(),
        };
        self.repo.store().barrier()?;
        let object = checkpoint.seal(&self.repo.id(), &key);
        let created =
            self.repo.store().create(&names::checkpoint(number), &object, Durability::Durable)?;
        Ok((created == Created::New).then_some(number))
    }

    /// Deletes what the checkpoint makes superfluous. Old segments go first: a pack that is gone is then in none.
    pub(crate) fn sweep(
        &self,
        number: u64,
        old: &BTreeSet<SegmentRef>,
        now: &BTreeSet<SegmentRef>,
    ) -> Result<()> {
        settled!("sweep", self.condemned, self.collections, number, old, now);
        let store = self.repo.store();
        let stale = old.difference(now).map(|(writer, hash)| names::segment(writer, hash));
        fetch::delete_all(store, &stale.collect::<Vec<_>>())?;
        delete_packs(self.repo, &self.condemned)?;
        scoped!("sweep", self.collections);
        sweep_closed(self.repo, number)?;
        sweep_collections(self.repo, self.collections)
    }
}

/// Deletes checkpoints but for the newest two, and the objects of generations but for the open one and the two before: with the second
/// checkpoint they stand in for the newest, should that be damaged.
fn sweep_closed(repo: &Repository, open: u64) -> Result<()> {
    settled!("sweep closed", repo.roster_hash(), open);
    let is_closed = |name: &String| {
        let generation = names::parse_in_generation(name).map(|name| name.generation);
        generation.is_some_and(|generation| generation + 2 < open)
    };
    let listed = repo.store().list("g/")?.into_iter().map(|object| object.name);
    delete_all(repo, &listed.filter(is_closed).collect::<Vec<_>>(), "g/", open)?;
    let is_old = |name: &String| {
        names::number(name, names::CHECKPOINTS, "").is_some_and(|number| number + 1 < open)
    };
    let listed = repo.store().list(names::CHECKPOINTS)?.into_iter().map(|object| object.name);
    delete_all(repo, &listed.filter(is_old).collect::<Vec<_>>(), "c/", open)
}

/// Deletes what a list named. `_below` and `_number` tell sweeps apart.
fn delete_all(repo: &Repository, names: &[String], _below: &str, _number: u64) -> Result<()> {
    settled!("delete all", repo.roster_hash(), names, _below, _number);
    Ok(fetch::delete_all(repo.store(), names)?)
}

fn sweep_collections(repo: &Repository, over: u64) -> Result<()> {
    let listed = repo.store().list(names::COLLECTIONS)?.into_iter().map(|object| object.name);
    let is_over = |name: &String| collection_number(name).is_some_and(|number| number <= over);
    delete_all(repo, &listed.filter(is_over).collect::<Vec<_>>(), "x/", over)
}

fn collection_number(name: &str) -> Option<u64> {
    let number = |suffix| names::number(name, names::COLLECTIONS, suffix);
    number(".doomed").or_else(|| number(".outcome"))
}

/// Deletes what a collection whose checkpoint exists has not come to delete. Its outcome says which packs, and goes last.
pub(crate) fn sweep_leftovers(repo: &Repository, view: &View) -> Result<()> {
    scoped!("sweep leftovers", over(view));
    let listed = repo.store().list(names::COLLECTIONS)?;
    let number = |object: &Object| {
        let number = collection_number(&object.name).filter(|number| *number <= over(view))?;
        (object.name == names::collection_outcome(number)).then_some(number)
    };
    let outcomes: Vec<u64> = listed.iter().filter_map(number).collect();
    settled!("leftovers", repo.roster_hash(), view.generation, view.segments, outcomes);
    for number in outcomes {
        sweep_condemned(repo, view, number)?;
    }
    sweep_closed(repo, view.generation)?;
    sweep_collections(repo, over(view))
}

/// Only what the index does not name any more: a keeper whose collection was abandoned may have condemned packs too late, in a slot that
/// was empty again. What stays is in no segment, or a collection dooms it.
fn sweep_condemned(repo: &Repository, view: &View, number: u64) -> Result<()> {
    let object = match repo.store().get(&names::collection_outcome(number)) {
        Ok(object) => object,
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(Error::Store(error)),
    };
    let outcome = CollectionOutcome::open(&object, number, &repo.id(), repo.roster());
    let condemned = outcome.ok().and_then(|outcome| outcome.condemned).unwrap_or_default();
    if planted!(TrustOutcome) {
        return delete_packs(repo, &condemned);
    }
    if condemned.is_empty() {
        return Ok(());
    }
    let (index, problems) = repo.index_with_problems(view)?;
    if !problems.is_empty() {
        return Ok(());
    }
    delete_packs(repo, condemned.iter().filter(|pack| index.pack_number(&pack.id).is_none()))
}

pub(super) fn delete_packs<'a>(
    repo: &Repository,
    packs: impl IntoIterator<Item = &'a PackRef>,
) -> Result<()> {
    let names: Vec<String> = packs.into_iter().map(PackRef::name).collect();
    Ok(fetch::delete_all(repo.store(), &names)?)
}
