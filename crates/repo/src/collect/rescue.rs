//! Copies what lives in doomed packs into new packs of the keeper: ciphertext verbatim, so that no content key is needed.

use std::collections::{HashMap, HashSet};

use nodekeep_store::Durability;

use crate::control::PackRef;
use crate::crypto::SigningKey;
use crate::error::{Damage, Error, Result};
use crate::id::{ChunkId, MemberId};
use crate::index::{Index, SEGMENT_ENTRIES, Segment};
use crate::monitor::Monitor;
use crate::names;
use crate::pack::{PackEntry, PackKind, Repack};
use crate::packs::{Opened, open_whole, read_whole};
use crate::reader::ChunkReader;
use crate::repository::Repository;
use crate::walk::Bits;

use super::finish::{SegmentRef, write_segment};

pub(super) struct Rescue<'a> {
    repo: &'a Repository,
    index: &'a Index,
    key: SigningKey,
    keeper: MemberId,
    open: HashMap<PackKind, Repack>,
    segment: Segment,
    segments: Vec<SegmentRef>,
    damaged: HashSet<PackRef>,
}

impl<'a> Rescue<'a> {
    pub(super) fn new(repo: &'a Repository, reader: &'a ChunkReader) -> Result<Self> {
        let (key, keeper) = repo.keeper()?;
        Ok(Self {
            repo,
            index: reader.index(),
            key,
            keeper,
            open: HashMap::new(),
            segment: Segment::default(),
            segments: Vec::new(),
            damaged: HashSet::new(),
        })
    }

    /// Copies every chosen place that lies in a doomed pack. A pack that is damaged is left alone and remembered.
    pub(super) fn copy(
        &mut self,
        chosen: &Bits,
        doomed: &[PackRef],
        monitor: &dyn Monitor,
    ) -> Result<()> {
        let wanted = self.wanted(chosen, doomed);
        let index = self.index;
        let place = |at: &u32| &index.entries()[*at as usize];
        for of_pack in wanted.chunk_by(|a, b| place(a).pack == place(b).pack) {
            if monitor.interrupted() {
                return Err(Error::Interrupted);
            }
            let pack = index.pack(place(&of_pack[0])).pack;
            match self.copy_pack(&pack, of_pack.iter().map(|at| place(at).id).collect()) {
                Err(error @ Error::Damaged { .. }) => {
                    monitor.problem(pack.name().as_bytes(), &error.to_string());
                    self.damaged.insert(pack);
                }
                done => done?,
            }
        }
        Ok(())
    }

    /// Positions of the chosen places in doomed packs, pack after pack: one number for each, for there may be millions.
    fn wanted(&self, chosen: &Bits, doomed: &[PackRef]) -> Vec<u32> {
        let doomed: HashSet<u32> =
            doomed.iter().filter_map(|pack| self.index.pack_number(&pack.id)).collect();
        let places = self.index.entries().iter().enumerate();
        let wanted = places.filter(|(at, place)| chosen.get(*at) && doomed.contains(&place.pack));
        let mut wanted: Vec<u32> = wanted.map(|(at, _)| at as u32).collect();
        wanted.sort_unstable_by_key(|at| (self.index.entries()[*at as usize].pack, *at));
        wanted
    }

    /// The pack's own table decides where its chunks lie, not what a segment says of it.
    fn copy_pack(&mut self, pack: &PackRef, mut wanted: HashSet<ChunkId>) -> Result<()> {
        let name = pack.name();
        let bytes = read_whole(self.repo, pack)?;
        let opened = open_whole(self.repo, pack, &bytes)?;
        let has = opened.table.entries.iter().filter(|entry| wanted.contains(&entry.id)).count();
        if has < wanted.len() {
            return Err(Error::damaged(name, Damage::Missing));
        }
        let mut offset = opened.layout.header_len as usize;
        for entry in &opened.table.entries {
            let stored = &bytes[offset..offset + entry.stored as usize];
            offset += entry.stored as usize;
            if wanted.remove(&entry.id) {
                self.append(pack.kind, entry, stored, &opened)?;
            }
        }
        Ok(())
    }

    fn append(
        &mut self,
        kind: PackKind,
        entry: &PackEntry,
        stored: &[u8],
        from: &Opened,
    ) -> Result<()> {
        let stream = &from.table.streams[entry.stream as usize];
        let seal = &from.header.seals[stream.seal as usize];
        let (repo, domain) = (self.repo.id(), self.repo.domain().id);
        let repack = self.open.entry(kind).or_insert_with(|| Repack::new(kind, repo, domain));
        repack.append(entry, stored, seal, stream.salt);
        if repack.len() as u64 >= self.repo.config().pack_size {
            self.flush(kind)?;
        }
        Ok(())
    }

    fn flush(&mut self, kind: PackKind) -> Result<()> {
        let Some(repack) = self.open.remove(&kind) else {
            return Ok(());
        };
        let sealed = repack.finish(&self.repo.domain().index);
        let name = names::pack(&self.keeper, kind, &sealed.id);
        self.repo.store().create(&name, &sealed.bytes, Durability::Visible)?;
        self.segment.add_sealed(self.keeper, &sealed);
        if self.segment.entries() >= SEGMENT_ENTRIES {
            self.flush_segment()?;
        }
        Ok(())
    }

    fn flush_segment(&mut self) -> Result<()> {
        let segment = std::mem::take(&mut self.segment);
        if !segment.packs.is_empty() {
            self.segments.push(write_segment(self.repo, &self.key, self.keeper, &segment)?);
        }
        Ok(())
    }

    /// Closes packs and segments; returns the segments, and the packs that are damaged.
    pub(super) fn finish(mut self) -> Result<(Vec<SegmentRef>, HashSet<PackRef>)> {
        self.flush(PackKind::Data)?;
        self.flush(PackKind::Tree)?;
        self.flush_segment()?;
        Ok((self.segments, self.damaged))
    }
}
