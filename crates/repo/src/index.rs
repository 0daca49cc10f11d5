//! The index: which chunk lies where. Segments are its objects (`docs/format.md`, section 4.9); [`Index`] is what they add up to in memory,
//! at most 64 bytes a chunk.

use std::collections::HashMap;
use std::sync::Arc;

use crate::control::PackRef;
use crate::crypto::{Gcm, SigningKey, hkdf, random};
use crate::error::Damage;
use crate::frame::{self, Kind};
use crate::id::{ChunkId, DomainId, MemberId, PackId, RepoId};
use crate::keys::{DomainKeys, Seal};
use crate::pack::{PackKind, Sealed, Table};
use crate::roster::{Role, Roster};
use crate::wire::{Decoder, Encoder, Malformed};

/// No segment has more entries, unless a single pack does.
pub const SEGMENT_ENTRIES: usize = 262_144;

/// A pack as a segment describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackInfo {
    /// Which pack.
    pub pack: PackRef,
    /// Size of the object in bytes.
    pub size: u64,
    /// Length of the header in bytes.
    pub header_len: u32,
    /// Content. Streams name seals of the segment.
    pub table: Table,
}

/// An index segment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Segment {
    /// Seals that the packs' streams name.
    pub seals: Vec<Seal>,
    /// Packs.
    pub packs: Vec<PackInfo>,
}

impl Segment {
    /// Adds a pack whose streams name `seals`.
    pub fn add(
        &mut self,
        pack: PackRef,
        size: u64,
        header_len: u32,
        mut table: Table,
        seals: &[Seal],
    ) {
        for stream in &mut table.streams {
            let seal = &seals[stream.seal as usize];
            let at = self.seals.iter().position(|s| s == seal).unwrap_or_else(|| {
                self.seals.push(seal.clone());
                self.seals.len() - 1
            });
            stream.seal = at as u32;
        }
        self.packs.push(PackInfo { pack, size, header_len, table });
    }

    /// Adds a pack that was just written.
    pub fn add_sealed(&mut self, writer: MemberId, pack: &Sealed) {
        let name = PackRef { writer, kind: pack.kind, id: pack.id };
        self.add(name, pack.bytes.len() as u64, pack.header_len, pack.table.clone(), &pack.seals);
    }

    /// How many chunks it names.
    pub fn entries(&self) -> usize {
        self.packs.iter().map(|p| p.table.entries.len()).sum()
    }

    /// Encrypts and signs the segment into an object.
    pub fn seal(&self, repo: &RepoId, domain: &DomainKeys, key: &SigningKey) -> Vec<u8> {
        let mut to = Encoder::new();
        to.list(&self.seals, |to, seal| seal.encode(to));
        to.list(&self.packs, encode_pack);
        to.no_ext();
        let salt: [u8; 32] = random();
        let gcm = Gcm::new(&hkdf(&domain.index.0, &salt, "nodekeep/v1/index-segment"));
        let sealed = gcm.seal(0, &repo.0, to.as_bytes());
        let body = [domain.id.0.as_slice(), &salt, &sealed].concat();
        frame::seal(Kind::Segment, Some(repo), &body, key)
    }

    /// Opens an object found under `writer`'s prefix: signed by that writer, and then about its own packs only, or by a keeper.
    ///
    /// # Errors
    /// If it is damaged, of another domain, or signed by someone else.
    pub fn open(
        object: &[u8],
        writer: &MemberId,
        repo: &RepoId,
        domain: &DomainKeys,
        roster: &Roster,
    ) -> Result<Self, Damage> {
        let verified = frame::open(Kind::Segment, Some(repo), object)?;
        let own = roster.signer(Role::Writer, &verified.signer).is_some_and(|m| m.id == *writer);
        if !own && roster.signer(Role::Keeper, &verified.signer).is_none() {
            return Err(Damage::Signer);
        }
        let plain = open_body(verified.body, repo, domain)?;
        let mut from = Decoder::new(&plain);
        let segment = Self::decode(&mut from)?;
        from.end()?;
        let foreign = segment.packs.iter().any(|p| p.pack.writer != *writer);
        if own && foreign { Err(Damage::Signer) } else { Ok(segment) }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let seals = from.list(Seal::MIN_LEN, Seal::decode)?;
        let packs = from.list(54, |from| decode_pack(from, seals.len()))?;
        from.ext()?;
        Ok(Self { seals, packs })
    }
}

fn open_body(body: &[u8], repo: &RepoId, domain: &DomainKeys) -> Result<Vec<u8>, Damage> {
    let mut from = Decoder::new(body);
    if DomainId::decode(&mut from)? != domain.id {
        return Err(Damage::OtherRepository);
    }
    let salt: [u8; 32] = from.array()?;
    let mut sealed = from.raw(from.left())?.to_vec();
    let gcm = Gcm::new(&hkdf(&domain.index.0, &salt, "nodekeep/v1/index-segment"));
    let len = gcm.open(0, &repo.0, &mut sealed).map_err(|_| Damage::NotAuthentic)?.len();
    sealed.truncate(len);
    Ok(sealed)
}

fn encode_pack(to: &mut Encoder, info: &PackInfo) {
    to.raw(&info.pack.id.0).raw(&info.pack.writer.0).u8(info.pack.kind.code());
    to.varint(info.size).varint(u64::from(info.header_len));
    info.table.encode(to);
}

fn decode_pack(from: &mut Decoder<'_>, seals: usize) -> Result<PackInfo, Malformed> {
    let id = PackId::decode(from)?;
    let writer = MemberId::decode(from)?;
    let kind = PackKind::decode(from)?;
    let (size, header_len) = (from.varint()?, from.u32()?);
    let table = Table::decode(from, seals)?;
    let end = u64::from(header_len) + table.stored();
    if end > size || size > u64::from(u32::MAX) {
        return Err(from.malformed("a pack's chunks exceed its size"));
    }
    Ok(PackInfo { pack: PackRef { writer, kind, id }, size, header_len, table })
}

/// A pack in memory.
#[derive(Debug, Clone)]
pub struct Pack {
    /// Which.
    pub pack: PackRef,
    /// Size in bytes.
    pub size: u64,
    /// Length of the header.
    pub header_len: u32,
    /// Streams; they name seals of the index.
    pub streams: Arc<[crate::pack::Stream]>,
}

/// Where a chunk lies: 56 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Which chunk.
    pub id: ChunkId,
    /// Index of the pack.
    pub pack: u32,
    /// Offset in the pack.
    pub offset: u32,
    /// Bytes in the pack, tag included.
    pub stored: u32,
    /// Bytes of the chunk.
    pub raw: u32,
    /// Stream of the pack.
    pub stream: u32,
    /// Nonce.
    pub counter: u32,
}

/// All segments together.
#[derive(Debug, Default)]
pub struct Index {
    /// Seals that streams name.
    pub seals: Vec<Seal>,
    /// Packs.
    pub packs: Vec<Pack>,
    known: HashMap<PackId, u32>,
    entries: Vec<Entry>,
    sorted: bool,
}

impl Index {
    /// An empty index.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a segment; a pack that is known already is passed over. Call [`Index::sort`] before looking anything up.
    pub fn add(&mut self, segment: Segment) {
        let seals: Vec<u32> = segment.seals.into_iter().map(|seal| self.intern(seal)).collect();
        for info in segment.packs {
            self.add_pack(info, &seals);
        }
        self.sorted = false;
    }

    fn intern(&mut self, seal: Seal) -> u32 {
        let same = |s: &Seal| s.key == seal.key && s.group == seal.group && s.sealed == seal.sealed;
        let at = self.seals.iter().rposition(same).unwrap_or_else(|| {
            self.seals.push(seal);
            self.seals.len() - 1
        });
        at as u32
    }

    fn add_pack(&mut self, info: PackInfo, seals: &[u32]) {
        let number = self.packs.len() as u32;
        if self.known.insert(info.pack.id, number).is_some_and(|before| {
            self.known.insert(info.pack.id, before);
            true
        }) {
            return;
        }
        let streams = info
            .table
            .streams
            .iter()
            .map(|s| crate::pack::Stream { seal: seals[s.seal as usize], ..*s });
        let pack = Pack {
            pack: info.pack,
            size: info.size,
            header_len: info.header_len,
            streams: streams.collect(),
        };
        self.packs.push(pack);
        self.add_entries(number, info.header_len, &info.table);
    }

    fn add_entries(&mut self, pack: u32, header_len: u32, table: &Table) {
        let mut offset = header_len;
        self.entries.reserve(table.entries.len());
        for e in &table.entries {
            let (id, stored, raw, stream, counter) = (e.id, e.stored, e.raw, e.stream, e.counter);
            self.entries.push(Entry { id, pack, offset, stored, raw, stream, counter });
            offset += e.stored;
        }
    }

    /// Orders the entries for looking up.
    pub fn sort(&mut self) {
        if !self.sorted {
            self.entries.sort_unstable_by(|a, b| a.id.cmp(&b.id).then(a.pack.cmp(&b.pack)));
            self.entries.shrink_to_fit();
            self.sorted = true;
        }
    }

    /// Every place of a chunk.
    pub fn places(&self, id: &ChunkId) -> &[Entry] {
        debug_assert!(self.sorted, "sort() comes before looking up");
        let from = self.entries.partition_point(|e| e.id < *id);
        let len = self.entries[from..].iter().take_while(|e| e.id == *id).count();
        &self.entries[from..from + len]
    }

    /// Index of the first place of a chunk among [`Index::entries`].
    pub fn position(&self, id: &ChunkId) -> Option<usize> {
        let from = self.entries.partition_point(|e| e.id < *id);
        self.entries.get(from).filter(|e| e.id == *id).map(|_| from)
    }

    /// All entries, by id.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The number of a pack.
    pub fn pack_number(&self, id: &PackId) -> Option<u32> {
        self.known.get(id).copied()
    }

    /// The pack of an entry.
    pub fn pack(&self, entry: &Entry) -> &Pack {
        &self.packs[entry.pack as usize]
    }

    /// Seal and salt that decrypt an entry.
    pub fn stream(&self, entry: &Entry) -> (&Seal, &[u8; 32]) {
        let stream = &self.packs[entry.pack as usize].streams[entry.stream as usize];
        (&self.seals[stream.seal as usize], &stream.salt)
    }
}
