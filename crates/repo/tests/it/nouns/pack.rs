//! Packs: built, read back, taken apart, and lied about.

use nodekeep_repo::codec::{Compression, Compressor, Decompressor};
use nodekeep_repo::crypto::{Gcm, Secret, TAG_LEN};
use nodekeep_repo::error::Damage;
use nodekeep_repo::id::{ChunkId, PackId, RepoId};
use nodekeep_repo::keys::{Purpose, Seal};
use nodekeep_repo::pack::{
    Header, Layout, PackBuilder, PackEntry, PackKind, Repack, Sealed, Stream, TRAILER_LEN, Table,
    chunk_aad, open_table, stream_key,
};
use nodekeep_repo::wire::{Decoder, Encoder};

use super::{World, noise, world};

/// Plain chunks of all kinds: empty, tiny, compressible, not compressible.
pub fn chunks() -> Vec<Vec<u8>> {
    vec![vec![], b"x".to_vec(), vec![7; 50_000], noise(1, 30_000), b"some text, ".repeat(300)]
}

/// A pack of these chunks under the content key `fill`.
pub fn built(w: &World, kind: PackKind, fill: u8, chunks: &[Vec<u8>]) -> Sealed {
    let seal = w.seal(fill, kind.purpose());
    let mut builder =
        PackBuilder::new(kind, w.repo, &w.domain, &w.content(fill), seal, vec![1, 2, 3]);
    assert!(builder.is_empty());
    let mut compressor = Compressor::new(Compression::default());
    for plain in chunks {
        let (before, id) = (builder.len(), w.domain.chunk_id(kind, plain));
        let stored = builder.append(id, plain, &mut compressor);
        assert_eq!(builder.len(), before + stored as usize);
    }
    builder.finish()
}

pub fn layout(bytes: &[u8]) -> Result<Layout, Damage> {
    let at = bytes.len() - TRAILER_LEN;
    Layout::decode(bytes[at..].try_into().unwrap(), bytes.len() as u64)
}

fn opened(bytes: &[u8], index_key: &Secret) -> Result<(Header, Table), Damage> {
    let layout = layout(bytes)?;
    let table = &bytes[layout.table_at as usize..][..layout.table_len as usize];
    open_table(&bytes[..layout.header_len as usize], table, &layout, index_key)
}

/// Reads every chunk of a pack by what the pack itself says.
fn contents(w: &World, bytes: &[u8]) -> Vec<(ChunkId, Vec<u8>)> {
    let (header, table) = opened(bytes, &w.domain.index).unwrap();
    let mut at = layout(bytes).unwrap().header_len as usize;
    let read = |entry: &PackEntry| {
        let stream = &table.streams[entry.stream as usize];
        let seal = &header.seals[stream.seal as usize];
        let key = seal.open(&w.repo, std::slice::from_ref(&w.group)).unwrap().unwrap();
        let gcm = Gcm::new(&stream_key(header.kind, &key.secret, &stream.salt));
        let mut stored = bytes[at..at + entry.stored as usize].to_vec();
        at += entry.stored as usize;
        let aad = chunk_aad(&w.repo, header.kind, &entry.id);
        let coded = gcm.open(u64::from(entry.counter), &aad, &mut stored).unwrap();
        let mut plain = Vec::new();
        Decompressor::new().decode(coded, entry.raw as usize, &mut plain).unwrap();
        (entry.id, plain)
    };
    table.entries.iter().map(read).collect()
}

fn expected(w: &World, kind: PackKind, chunks: &[Vec<u8>]) -> Vec<(ChunkId, Vec<u8>)> {
    chunks.iter().map(|plain| (w.domain.chunk_id(kind, plain), plain.clone())).collect()
}

#[test]
fn a_pack_gives_back_its_chunks() {
    let w = world();
    for kind in [PackKind::Data, PackKind::Tree] {
        let pack = built(&w, kind, 1, &chunks());
        assert_eq!(pack.id, PackId::of(&pack.bytes));
        let (header, table) = opened(&pack.bytes, &w.domain.index).unwrap();
        assert_eq!((header.kind, header.repo, header.domain), (kind, w.repo, w.domain.id));
        assert_eq!((&header.seals, &table), (&pack.seals, &pack.table));
        assert_eq!(header.encode(), pack.bytes[..pack.header_len as usize]);
        assert_eq!(contents(&w, &pack.bytes), expected(&w, kind, &chunks()));
        let stored: Vec<_> = table.entries.iter().map(|e| e.stored as usize).collect();
        assert_eq!(stored[0], 1 + TAG_LEN, "an empty chunk is a codec byte and a tag");
        assert!(stored[2] < 1000 && stored[3] == 30_000 + 1 + TAG_LEN, "{stored:?}");
    }
}

#[test]
fn an_empty_pack_is_a_pack() {
    let w = world();
    let pack = built(&w, PackKind::Data, 1, &[]);
    assert_eq!(contents(&w, &pack.bytes), []);
}

#[test]
fn ciphertext_moves_to_other_packs_verbatim() {
    let w = world();
    let (one, two) =
        (built(&w, PackKind::Data, 1, &chunks()), built(&w, PackKind::Data, 2, &chunks()[1..3]));
    let mut repack = Repack::new(PackKind::Data, w.repo, w.domain.id);
    assert!(repack.is_empty());
    let mut taken = Vec::new();
    for (pack, picks) in [(&one, vec![4, 0, 2]), (&two, vec![1])] {
        for pick in picks {
            let entry = &pack.table.entries[pick];
            let before: u32 = pack.table.entries[..pick].iter().map(|e| e.stored).sum();
            let from = (pack.header_len + before) as usize;
            let stream = pack.table.streams[entry.stream as usize];
            repack.append(
                entry,
                &pack.bytes[from..from + entry.stored as usize],
                &pack.seals[stream.seal as usize],
                stream.salt,
            );
            taken.push(entry.id);
        }
    }
    let len = repack.len();
    let pack = repack.finish(&w.domain.index);
    assert_eq!((pack.seals.len(), pack.table.streams.len()), (2, 2), "each seal and stream once");
    assert_eq!(pack.table.stored(), len as u64);
    let read = contents(&w, &pack.bytes);
    assert_eq!(read.iter().map(|(id, _)| *id).collect::<Vec<_>>(), taken);
    for (id, plain) in read {
        assert_eq!(w.domain.chunk_id(PackKind::Data, &plain), id);
    }
}

#[test]
fn a_header_is_checked() {
    let w = world();
    let header = Header {
        kind: PackKind::Tree,
        repo: w.repo,
        domain: w.domain.id,
        seals: vec![w.seal(1, Purpose::Tree), w.seal(2, Purpose::Tree)],
    };
    let bytes = header.encode();
    assert_eq!(Header::decode(&bytes).unwrap(), header);
    super::batter(&bytes, |bytes| Header::decode(bytes).is_ok());
    for (at, value, damage) in
        [(0, b'X', Damage::WrongKind), (4, 2, Damage::NewerFormat), (4, 0, Damage::WrongKind)]
    {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        assert_eq!(Header::decode(&bytes).unwrap_err(), damage);
    }
    let mut unknown = bytes;
    unknown[5] = 3;
    assert!(matches!(Header::decode(&unknown), Err(Damage::Malformed(_))));
}

#[test]
fn a_trailer_points_inside() {
    let trailer = |header: u32, table: u32, end: &[u8; 4]| {
        let mut bytes = [0; TRAILER_LEN];
        bytes[..4].copy_from_slice(&header.to_le_bytes());
        bytes[4..8].copy_from_slice(&table.to_le_bytes());
        bytes[8..].copy_from_slice(end);
        bytes
    };
    let decode = |bytes: [u8; TRAILER_LEN], size| {
        Layout::decode(&bytes, size).map(|l| (l.header_len, l.table_at, l.table_len))
    };
    assert_eq!(decode(trailer(10, 48, b"NKPE"), 100), Ok((10, 40, 48)));
    assert_eq!(decode(trailer(40, 48, b"NKPE"), 100), Ok((40, 40, 48)));
    let bad = [
        (trailer(41, 48, b"NKPE"), 100),
        (trailer(10, 47, b"NKPE"), 100),
        (trailer(10, 48, b"NKPF"), 100),
        (trailer(0, 89, b"NKPE"), 100),
        (trailer(0, 48, b"NKPE"), 12),
        (trailer(0, 48, b"NKPE"), 0),
        (trailer(u32::MAX, u32::MAX, b"NKPE"), u64::from(u32::MAX)),
    ];
    for (bytes, size) in bad {
        assert_eq!(decode(bytes, size), Err(Damage::Truncated), "{bytes:?} of {size}");
    }
}

#[test]
fn a_pack_that_was_touched_does_not_open() {
    let w = world();
    let pack = built(&w, PackKind::Data, 1, &[b"one".to_vec(), b"two".to_vec()]);
    let header_len = pack.header_len as usize;
    let chunk_bytes = pack.table.stored() as usize;
    for at in (0..header_len).chain(header_len + chunk_bytes..pack.bytes.len()) {
        let mut bytes = pack.bytes.clone();
        bytes[at] ^= 1;
        assert!(opened(&bytes, &w.domain.index).is_err(), "byte {at}");
    }
    assert_eq!(opened(&pack.bytes, &Secret([0; 32])).unwrap_err(), Damage::NotAuthentic);
    let shorter = [&pack.bytes[..header_len], &pack.bytes[header_len + 1..]].concat();
    assert_eq!(
        opened(&shorter, &w.domain.index).unwrap_err(),
        Damage::Truncated,
        "a byte of the chunks is missing"
    );
}

fn entry(stored: u32, raw: u32, stream: u32) -> PackEntry {
    PackEntry { id: ChunkId([1; 32]), stored, raw, stream, counter: u32::MAX }
}

fn table(seal: u32, entries: Vec<PackEntry>) -> Table {
    Table { streams: vec![Stream { seal, salt: [2; 32] }], entries }
}

fn encoded(table: &Table) -> Vec<u8> {
    let mut to = Encoder::new();
    table.encode(&mut to);
    to.into_bytes()
}

fn decoded(bytes: &[u8], seals: usize) -> Option<Table> {
    let mut from = Decoder::new(bytes);
    let table = Table::decode(&mut from, seals).ok()?;
    from.end().ok().map(|()| table)
}

#[test]
fn a_table_stays_inside_its_bounds() {
    let most = 16 * 1024 * 1024;
    let good = table(1, vec![entry(17, 0, 0), entry(most + 17, most, 0)]);
    assert_eq!(decoded(&encoded(&good), 2).unwrap(), good);
    super::batter(&encoded(&good), |bytes| decoded(bytes, 2).is_some());
    let bad = [
        (table(2, vec![]), "a seal that is not there"),
        (table(0, vec![entry(17, 0, 1)]), "a stream that is not there"),
        (table(0, vec![entry(17, most + 1, 0)]), "a chunk too large"),
        (table(0, vec![entry(most + 18, 1, 0)]), "a ciphertext too large"),
    ];
    for (table, what) in bad {
        assert_eq!(decoded(&encoded(&table), 2), None, "{what}");
    }
}

#[test]
fn a_chunk_is_bound_to_repository_kind_and_id() {
    let all = [
        chunk_aad(&RepoId([1; 32]), PackKind::Data, &ChunkId([1; 32])),
        chunk_aad(&RepoId([2; 32]), PackKind::Data, &ChunkId([1; 32])),
        chunk_aad(&RepoId([1; 32]), PackKind::Tree, &ChunkId([1; 32])),
        chunk_aad(&RepoId([1; 32]), PackKind::Data, &ChunkId([2; 32])),
    ];
    let mut distinct = all.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 4);
    let keys =
        [PackKind::Data, PackKind::Tree].map(|kind| stream_key(kind, &Secret([1; 32]), &[0; 32]).0);
    assert_ne!(keys[0], keys[1]);
    assert_eq!(Seal::MIN_LEN, 35);
}
