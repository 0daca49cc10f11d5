//! The index: which chunk lies where. Segments are its objects (`docs/format.md`, section 4.9); [`Index`] is what they add up to in memory,
//! at most 64 bytes a chunk.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use crate::control::PackRef;
use crate::crypto::{Gcm, SigningKey, hkdf, random};
use crate::error::Damage;
use crate::frame::{self, Kind};
use crate::id::{ChunkId, DomainId, MemberId, PackId, RepoId};
use crate::keys::{DomainKeys, Seal};
use crate::pack::{PackKind, Sealed, Stream, Table};
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
    /// Where its streams begin among those of the index.
    first_stream: u32,
}

/// Numbers of packs by their ids. The ids lie with the packs, so that a slot is four bytes: there are as many packs as a sixteenth of the
/// chunks.
#[derive(Debug, Default)]
struct Numbers {
    slots: Vec<u32>,
    used: usize,
    /// Ids are hashes, but a writer can choose among packs until they collide.
    seed: RandomState,
}

/// A slot without a pack.
const FREE: u32 = u32::MAX;

impl Numbers {
    /// The slot of an id: the one that holds it, or the one where it would go. There is a free one.
    fn slot(&self, packs: &[Pack], id: &PackId) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = self.seed.hash_one(id) as usize & mask;
        while self.slots[at] != FREE && packs[self.slots[at] as usize].pack.id != *id {
            at = (at + 1) & mask;
        }
        at
    }

    fn get(&self, packs: &[Pack], id: &PackId) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        Some(self.slots[self.slot(packs, id)]).filter(|number| *number != FREE)
    }

    /// Takes in the last of the packs, whose id is new.
    fn add_last(&mut self, packs: &[Pack]) {
        let numbers = if (self.used + 1) * 4 > self.slots.len() * 3 {
            self.slots = vec![FREE; (self.slots.len() * 2).max(16)];
            0..packs.len()
        } else {
            packs.len() - 1..packs.len()
        };
        for number in numbers {
            let slot = self.slot(packs, &packs[number].pack.id);
            self.slots[slot] = number as u32;
        }
        self.used = packs.len();
    }
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
    /// Streams of all packs, pack after pack.
    streams: Vec<Stream>,
    numbers: Numbers,
    entries: Vec<Entry>,
    /// Where the entries of each bucket start, and the end of the last.
    starts: Vec<u32>,
    /// So many first bits of an id are the number of its bucket; absent before [`Index::sort`].
    bits: Option<u32>,
    sorted: bool,
}

/// Entries in a bucket, more or less: ids are hashes.
const BUCKET_ENTRIES: usize = 16;

/// The bucket of an id.
fn bucket(id: &ChunkId, bits: u32) -> usize {
    let first = u32::from_be_bytes([id.0[0], id.0[1], id.0[2], id.0[3]]);
    (u64::from(first) >> (32 - bits)) as usize
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
        if self.pack_number(&info.pack.id).is_some() {
            return;
        }
        let number = self.packs.len() as u32;
        let first_stream = self.streams.len() as u32;
        let streams = info.table.streams.iter();
        self.streams.extend(streams.map(|s| Stream { seal: seals[s.seal as usize], ..*s }));
        let PackInfo { pack, size, header_len, .. } = info;
        self.packs.push(Pack { pack, size, header_len, first_stream });
        self.numbers.add_last(&self.packs);
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
            self.packs.shrink_to_fit();
            self.streams.shrink_to_fit();
            self.fan_out();
            self.sorted = true;
        }
    }

    /// Notes where the entries of each bucket start: in millions of entries, a binary search waits for memory at every step.
    fn fan_out(&mut self) {
        let buckets = (self.entries.len() / BUCKET_ENTRIES).max(1).next_power_of_two();
        let bits = buckets.trailing_zeros().min(31);
        let mut starts = Vec::with_capacity(buckets + 1);
        for (at, entry) in self.entries.iter().enumerate() {
            starts.resize(starts.len().max(bucket(&entry.id, bits) + 1), at as u32);
        }
        starts.resize((1 << bits) + 1, self.entries.len() as u32);
        (self.bits, self.starts) = (Some(bits), starts);
    }

    /// Every place of a chunk.
    pub fn places(&self, id: &ChunkId) -> &[Entry] {
        &self.entries[self.range(id)]
    }

    /// Where the places of a chunk stand among [`Index::entries`].
    pub fn range(&self, id: &ChunkId) -> Range<usize> {
        debug_assert!(self.sorted, "sort() comes before looking up");
        let from = self.first(id);
        let len = self.entries[from..].iter().take_while(|e| e.id == *id).count();
        from..from + len
    }

    /// Index of the first place of a chunk among [`Index::entries`].
    pub fn position(&self, id: &ChunkId) -> Option<usize> {
        let from = self.first(id);
        self.entries.get(from).filter(|e| e.id == *id).map(|_| from)
    }

    /// The first entry that is not before an id.
    fn first(&self, id: &ChunkId) -> usize {
        let Some(bucket) = self.bits.map(|bits| bucket(id, bits)) else {
            return 0;
        };
        let [from, to] = [0, 1].map(|n| self.starts[bucket + n] as usize);
        from + self.entries[from..to].partition_point(|e| e.id < *id)
    }

    /// All entries, by id.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The number of a pack.
    pub fn pack_number(&self, id: &PackId) -> Option<u32> {
        self.numbers.get(&self.packs, id)
    }

    /// The pack of an entry.
    pub fn pack(&self, entry: &Entry) -> &Pack {
        &self.packs[entry.pack as usize]
    }

    /// Seal and salt that decrypt an entry.
    pub fn stream(&self, entry: &Entry) -> (&Seal, &[u8; 32]) {
        let stream = &self.streams[(self.pack(entry).first_stream + entry.stream) as usize];
        (&self.seals[stream.seal as usize], &stream.salt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::KeyId;
    use crate::keys::Purpose;
    use crate::pack::PackEntry;

    /// A pack of two chunks in two streams.
    fn pack(number: u32) -> PackInfo {
        let id = *blake3::hash(&number.to_le_bytes()).as_bytes();
        let stream = |salt| Stream { seal: 0, salt: [salt; 32] };
        let chunk = |n: u8| PackEntry {
            id: ChunkId(*blake3::hash(&[&id[..], &[n]].concat()).as_bytes()),
            stored: 10,
            raw: 5,
            stream: u32::from(n),
            counter: 0,
        };
        let table = Table {
            streams: vec![stream(number as u8), stream(!number as u8)],
            entries: vec![chunk(0), chunk(1)],
        };
        let pack = PackRef { writer: MemberId([1; 16]), kind: PackKind::Data, id: PackId(id) };
        PackInfo { pack, size: 100, header_len: 20, table }
    }

    fn segment(numbers: std::ops::Range<u32>) -> Segment {
        let seal =
            Seal { key: KeyId([2; 32]), purpose: Purpose::Data, group: 1, sealed: vec![3; 48] };
        Segment { seals: vec![seal], packs: numbers.map(pack).collect() }
    }

    #[test]
    fn each_pack_is_taken_in_once_and_found_again() {
        let mut index = Index::new();
        assert_eq!(index.pack_number(&pack(0).pack.id), None);
        for numbers in [0..1, 0..40, 20..500] {
            index.add(segment(numbers));
        }
        index.sort();
        assert_eq!((index.packs.len(), index.entries().len(), index.seals.len()), (500, 1000, 1));
        for number in 0..500 {
            let pack = pack(number);
            assert_eq!(index.pack_number(&pack.pack.id), Some(number));
            for entry in &pack.table.entries {
                let [place] = index.places(&entry.id) else { panic!("it has one place") };
                assert_eq!((place.pack, place.stream), (number, entry.stream));
                let salt = pack.table.streams[entry.stream as usize].salt;
                assert_eq!(index.stream(place).1, &salt);
            }
        }
        assert_eq!(index.pack_number(&pack(500).pack.id), None);
        for absent in [ChunkId([0; 32]), ChunkId([255; 32]), pack(500).table.entries[0].id] {
            assert!(index.places(&absent).is_empty() && index.position(&absent).is_none());
        }
    }

    #[test]
    fn places_of_a_chunk_stand_together_whatever_its_id() {
        // No hash: all in one bucket.
        let chunk = |n: u8| PackEntry {
            id: ChunkId(std::array::from_fn(|at| if at == 31 { n } else { 7 })),
            stored: 10,
            raw: 5,
            stream: 0,
            counter: 0,
        };
        let mut index = Index::new();
        for number in 0..3 {
            let mut info = pack(number);
            info.size = 3000;
            info.table.entries = (0..=200).map(chunk).collect();
            index.add(Segment { packs: vec![info], ..segment(0..0) });
        }
        index.sort();
        for n in 0..=200 {
            let packs: Vec<u32> = index.places(&chunk(n).id).iter().map(|e| e.pack).collect();
            assert_eq!(packs, [0, 1, 2]);
            assert_eq!(index.position(&chunk(n).id), Some(3 * usize::from(n)));
        }
        assert!(index.places(&chunk(201).id).is_empty());
    }
}
