//! New packs of the keeper for what was brought back: ciphertext verbatim where it is at hand, else sealed to the readers of today.

use std::collections::{BTreeMap, HashSet};
use std::mem::take;

use nodekeep_store::Durability;

use crate::codec::{Compression, Compressor};
use crate::collect::finish::{SegmentRef, write_segment};
use crate::crypto::SigningKey;
use crate::error::Result;
use crate::id::{ChunkId, MemberId};
use crate::index::{Entry as Place, Index, SEGMENT_ENTRIES, Segment};
use crate::keys::{ContentKey, Seal};
use crate::names;
use crate::pack::{PackBuilder, PackEntry, PackKind, Repack, Sealed};
use crate::repository::Repository;

/// A chunk by kind and id.
pub(super) type Named = (PackKind, ChunkId);

pub(super) struct Fresh<'a> {
    repo: &'a Repository,
    key: SigningKey,
    keeper: MemberId,
    verbatim: BTreeMap<PackKind, Repack>,
    plain: BTreeMap<PackKind, PackBuilder>,
    content: BTreeMap<PackKind, (ContentKey, Seal)>,
    compressor: Compressor,
    have: HashSet<Named>,
    open: Segment,
    segments: Vec<Segment>,
    written: Vec<SegmentRef>,
    /// Bytes of chunks that were taken, as stored.
    pub(super) bytes: u64,
}

impl<'a> Fresh<'a> {
    pub(super) fn new(repo: &'a Repository) -> Result<Self> {
        let (key, keeper) = repo.keeper()?;
        Ok(Self {
            repo,
            key,
            keeper,
            verbatim: BTreeMap::new(),
            plain: BTreeMap::new(),
            content: BTreeMap::new(),
            compressor: Compressor::new(Compression::default()),
            have: HashSet::new(),
            open: Segment::default(),
            segments: Vec::new(),
            written: Vec::new(),
            bytes: 0,
        })
    }

    pub(super) fn has(&self, chunk: &Named) -> bool {
        self.have.contains(chunk)
    }

    /// How many chunks were taken.
    pub(super) fn count(&self) -> u64 {
        self.have.len() as u64
    }

    /// Takes a ciphertext that was found to be whole, from its place in `index`.
    pub(super) fn take_verbatim(
        &mut self,
        index: &Index,
        place: &Place,
        ciphertext: &[u8],
    ) -> Result<()> {
        let kind = index.pack(place).pack.kind;
        if !self.have.insert((kind, place.id)) {
            return Ok(());
        }
        let (seal, salt) = index.stream(place);
        let Place { id, stored, raw, counter, .. } = *place;
        let entry = PackEntry { id, stored, raw, stream: 0, counter };
        let (repo, domain) = (self.repo.id(), self.repo.domain().id);
        let pack = self.verbatim.entry(kind).or_insert_with(|| Repack::new(kind, repo, domain));
        pack.append(&entry, ciphertext, seal, *salt);
        self.bytes += u64::from(stored);
        if pack.len() as u64 >= self.repo.config().pack_size
            && let Some(full) = self.verbatim.remove(&kind)
        {
            self.store(full.finish(&self.repo.domain().index))?;
        }
        Ok(())
    }

    /// Takes a chunk's plaintext; its id was computed from it.
    pub(super) fn take_plain(&mut self, kind: PackKind, id: ChunkId, plain: &[u8]) -> Result<()> {
        if !self.have.insert((kind, id)) {
            return Ok(());
        }
        let mut pack = match self.plain.remove(&kind) {
            Some(pack) => pack,
            None => self.new_pack(kind),
        };
        self.bytes += u64::from(pack.append(id, plain, &mut self.compressor));
        if pack.len() as u64 >= self.repo.config().pack_size {
            self.store(pack.finish())?;
        } else {
            self.plain.insert(kind, pack);
        }
        Ok(())
    }

    fn new_pack(&mut self, kind: PackKind) -> PackBuilder {
        let repo = self.repo;
        let (key, seal) = self.content.entry(kind).or_insert_with(|| {
            let key = ContentKey::random(&repo.id());
            let seal = Seal::close(&key, kind.purpose(), repo.roster().current_group());
            (key, seal)
        });
        PackBuilder::new(kind, repo.id(), repo.domain(), key, seal.clone(), Vec::new())
    }

    fn store(&mut self, sealed: Sealed) -> Result<()> {
        let name = names::pack(&self.keeper, sealed.kind, &sealed.id);
        self.repo.store().create(&name, &sealed.bytes, Durability::Visible)?;
        self.open.add_sealed(self.keeper, &sealed);
        if self.open.entries() >= SEGMENT_ENTRIES { self.flush_segment() } else { Ok(()) }
    }

    fn flush_segment(&mut self) -> Result<()> {
        let segment = take(&mut self.open);
        if !segment.packs.is_empty() {
            self.written.push(write_segment(self.repo, &self.key, self.keeper, &segment)?);
            self.segments.push(segment);
        }
        Ok(())
    }

    /// Writes what is open, so that all that was taken can be read through [`Fresh::segments`].
    pub(super) fn flush(&mut self) -> Result<()> {
        let index_key = &self.repo.domain().index;
        let (verbatim, plain) = (take(&mut self.verbatim), take(&mut self.plain));
        let verbatim = verbatim.into_values().map(|pack| pack.finish(index_key));
        let plain = plain.into_values().map(PackBuilder::finish);
        for sealed in verbatim.chain(plain).collect::<Vec<_>>() {
            self.store(sealed)?;
        }
        self.flush_segment()
    }

    /// What was written so far, for an index.
    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The same, by name.
    pub(super) fn written(&self) -> &[SegmentRef] {
        &self.written
    }
}
