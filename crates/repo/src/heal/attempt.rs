//! One collection that heals: from its doomed list to its checkpoint.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use nodekeep_store::{Created, Durability};

use super::copy::CopyDonor;
use super::files::Files;
use super::fresh::{Fresh, Named};
use super::missed::Missed;
use super::{Done, Donor, Healing, decide, end_sessions, mirror};
use crate::collect::finish::{Finish, SegmentRef, highest, write_segment};
use crate::control::{Doomed, PackRef, Statement};
use crate::crypto::random;
use crate::error::{Error, Result};
use crate::fetch;
use crate::id::ChunkId;
use crate::index::{Index, PackInfo, SEGMENT_ENTRIES, Segment};
use crate::names;
use crate::reader::{Buffers, ChunkReader};
use crate::repair::Healed;
use crate::repository::{Repository, SnapshotRecord};
use crate::sessions;
use crate::view::View;

/// One collection that heals.
pub(super) struct Attempt<'a> {
    healing: &'a Healing<'a>,
    repo: &'a Repository,
    view: View,
    records: Vec<SnapshotRecord>,
    pub(super) number: u64,
    /// Packs that an earlier collection condemned and has not deleted: they go with this one.
    condemned: BTreeSet<PackRef>,
    /// Packs that leave the index, and what it says is in them.
    leaving: HashMap<PackRef, Vec<ChunkId>>,
    fresh: Fresh<'a>,
}

impl<'a> Attempt<'a> {
    /// Takes the next number, so that no other collection condemns meanwhile; `None` if one is under way.
    pub(super) fn begin(
        healing: &'a Healing<'a>,
        repo: &'a Repository,
        before: &View,
    ) -> Result<Option<Self>> {
        for open in before.collections.iter().filter(|open| open.outcome.is_none()) {
            decide(repo, open.number, None)?;
        }
        let (key, keeper) = repo.keeper()?;
        let number = highest(before) + 1;
        let generation = before.generation;
        let packs = healing.damaged.iter().copied().collect();
        let doomed = Doomed { number, keeper, generation, nonce: random(), packs };
        let object = doomed.seal(&repo.id(), &key);
        if repo.store().create(&names::doomed(number), &object, Durability::Durable)?
            == Created::Exists
        {
            return Ok(None);
        }
        end_sessions(repo)?;
        // What they committed before is in this view.
        let view = repo.view()?;
        let is_other = |number_of: u64, decided: bool| number_of != number && !decided;
        let obstacle =
            view.collections.iter().any(|open| is_other(open.number, open.outcome.is_some()));
        if obstacle || view.generation != before.generation {
            decide(repo, number, None)?;
            return Ok(None);
        }
        let outcomes = view.collections.iter().filter_map(|open| open.outcome.as_ref());
        let condemned: BTreeSet<PackRef> =
            outcomes.filter_map(|outcome| outcome.condemned.clone()).flatten().collect();
        let records = repo.snapshots_in(&view)?.0;
        let (leaving, fresh) = (HashMap::new(), Fresh::new(repo)?);
        Ok(Some(Self { healing, repo, view, records, number, condemned, leaving, fresh }))
    }

    pub(super) fn run(mut self) -> Result<Option<Done>> {
        let mut done = Done { rescued: self.rescue()?, ..Done::default() };
        let lost = self.ask_all(&mut done)?;
        self.fresh.flush()?;
        let condemned: Vec<PackRef> = self.replaced(&lost).into_iter().collect();
        self.repo.store().barrier()?;
        if self.fresh.count() == 0 && self.leaving.is_empty() {
            decide(self.repo, self.number, None)?;
            return Ok(Some(done));
        }
        if !decide(self.repo, self.number, Some(condemned.clone()))? {
            return Ok(None);
        }
        done.checkpoint = Some(self.publish(condemned)?);
        Ok(Some(done))
    }

    /// Moves what is whole in packs that leave the index, verbatim, unless it lies elsewhere, too.
    fn rescue(&mut self) -> Result<u64> {
        let (index, _) = self.repo.index_with_problems(&self.view)?;
        let leaves =
            |pack: &PackRef| self.healing.damaged.contains(pack) || self.condemned.contains(pack);
        let leaving: HashSet<u32> = (0..index.packs.len() as u32)
            .filter(|n| leaves(&index.packs[*n as usize].pack))
            .collect();
        if leaving.is_empty() {
            return Ok(0);
        }
        let mut places: HashMap<u32, Vec<usize>> = HashMap::new();
        for (at, place) in index.entries().iter().enumerate() {
            if leaving.contains(&place.pack) {
                places.entry(place.pack).or_default().push(at);
                self.leaving.entry(index.pack(place).pack).or_default().push(place.id);
            }
        }
        let reader = self.repo.reader(Arc::new(index));
        let mut numbers: Vec<u32> = leaving.iter().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            let mut places = places.remove(&number).unwrap_or_default();
            let entries = reader.index().entries();
            let elsewhere = |at: &usize| {
                let others = reader.index().places(&entries[*at].id).iter();
                others.into_iter().any(|other| !leaving.contains(&other.pack))
            };
            places.retain(|at| !elsewhere(at));
            self.rescue_pack(&reader, number, &places)?;
        }
        Ok(self.fresh.count())
    }

    fn rescue_pack(&mut self, reader: &ChunkReader, number: u32, places: &[usize]) -> Result<()> {
        let pack = &reader.index().packs[number as usize];
        if self.healing.monitor.interrupted() {
            return Err(Error::Interrupted);
        }
        let id = &pack.pack.id;
        let opened = fetch::opened(self.repo.store(), &pack.pack.name(), |bytes| id.check(bytes));
        let Some((bytes, _)) = fetch::if_there(opened)? else {
            return Ok(());
        };
        let mut buffers = Buffers::new();
        for at in places {
            let place = &reader.index().entries()[*at];
            let from = place.offset as usize;
            let Some(stored) = bytes.get(from..from + place.stored as usize) else {
                continue;
            };
            if reader.open_at(place, &mut stored.to_vec(), &mut buffers).is_ok() {
                self.fresh.take_verbatim(reader.index(), place, stored)?;
            }
        }
        Ok(())
    }

    /// Asks every donor, again and again while that helps: below a directory that came back more may be missed. Returns what stays lost.
    fn ask_all(&mut self, done: &mut Done) -> Result<HashSet<Named>> {
        loop {
            self.fresh.flush()?;
            let reader = self.repo.reader(Arc::new(self.index()?));
            let missed = Missed::find(&reader, &self.records, self.healing.monitor)?;
            let before = self.fresh.count();
            if !missed.is_empty() {
                for donor in &self.healing.options.donors {
                    self.ask(donor, &reader, &missed, done)?;
                }
            }
            if self.fresh.count() == before {
                return Ok(missed.ids().collect());
            }
        }
    }

    fn ask(
        &mut self,
        donor: &Donor<'_>,
        reader: &ChunkReader,
        missed: &Missed,
        done: &mut Done,
    ) -> Result<()> {
        let (count, bytes) = (self.fresh.count(), self.fresh.bytes);
        let (repo, records, monitor) = (self.repo, &self.records, self.healing.monitor);
        match donor {
            Donor::Mirror(store) => mirror::give(repo, store, missed, &mut self.fresh, monitor)?,
            Donor::Copy(other) => {
                CopyDonor::new(repo, reader, records, other, monitor)?
                    .give(missed, &mut self.fresh)?;
            }
            Donor::Files(folders) => {
                Files { repo, records, folders, monitor }.give(missed, &mut self.fresh)?;
            }
        }
        let (chunks, bytes) = (self.fresh.count() - count, self.fresh.bytes - bytes);
        if chunks > 0 {
            let from = donor.name();
            match done.healed.iter_mut().find(|healed| healed.from == from) {
                Some(healed) => {
                    (healed.chunks, healed.bytes) = (healed.chunks + chunks, healed.bytes + bytes)
                }
                None => done.healed.push(Healed { from, chunks, bytes }),
            }
        }
        Ok(())
    }

    /// The index without what leaves it, and with what was written.
    fn index(&self) -> Result<Index> {
        let mut index = Index::new();
        for (writer, hash) in &self.view.segments {
            match self.repo.segment(writer, hash) {
                Ok(mut segment) => {
                    segment.packs.retain(|info| !self.leaving.contains_key(&info.pack));
                    index.add(segment);
                }
                Err(Error::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.fresh.segments().iter().for_each(|segment| index.add(segment.clone()));
        index.sort();
        Ok(index)
    }

    /// Packs that leave the index and of which nothing is lost: they may go.
    fn replaced(&self, lost: &HashSet<Named>) -> BTreeSet<PackRef> {
        let needed = |(pack, ids): &(&PackRef, &Vec<ChunkId>)| {
            ids.iter().any(|id| lost.contains(&(pack.kind, *id)))
        };
        let gone = self.leaving.iter().filter(|pack| !needed(pack)).map(|(pack, _)| *pack);
        gone.collect()
    }

    /// The checkpoint that says so.
    fn publish(&self, condemned: Vec<PackRef>) -> Result<u64> {
        let finish = Finish {
            repo: self.repo,
            condemned: condemned.into_iter().chain(self.condemned.iter().copied()).collect(),
            collections: self.number,
            fresh: Vec::new(),
            stale: Vec::new(),
        };
        loop {
            let view = self.repo.view()?;
            if let Some(over) = &view.checkpoint
                && over.collections >= self.number
            {
                return Ok(over.number);
            }
            if sessions::end_earlier(self.repo, &view)? {
                continue;
            }
            let segments = self.segments(&view)?;
            if let Some(number) = finish.checkpoint(&view, &segments)? {
                scoped!("healed", self.number);
                finish.sweep(number, &view.segments.iter().copied().collect(), &segments)?;
                return Ok(number);
            }
        }
    }

    /// The segments of a view, rewritten where they name what leaves, and those that were written.
    fn segments(&self, view: &View) -> Result<BTreeSet<SegmentRef>> {
        let (key, keeper) = self.repo.keeper()?;
        let mut segments: BTreeSet<SegmentRef> = self.fresh.written().iter().copied().collect();
        let mut open = Segment::default();
        for source in &view.segments {
            let segment = self.repo.segment(&source.0, &source.1)?;
            let stays = |info: &PackInfo| !self.leaving.contains_key(&info.pack);
            if view.held.contains(source) || segment.packs.iter().all(stays) {
                segments.insert(*source);
                continue;
            }
            for info in segment.packs {
                if self.leaving.contains_key(&info.pack) {
                    continue;
                }
                open.add(info.pack, info.size, info.header_len, info.table, &segment.seals);
                if open.entries() >= SEGMENT_ENTRIES {
                    let full = std::mem::take(&mut open);
                    segments.insert(write_segment(self.repo, &key, keeper, &full)?);
                }
            }
        }
        if !open.packs.is_empty() {
            segments.insert(write_segment(self.repo, &key, keeper, &open)?);
        }
        Ok(segments)
    }
}
