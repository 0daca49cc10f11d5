//! The formats from the writing side: logs, batches, records of a MANIFEST, tables. Only what the tests need.

use crate::kind::lsm::wire::masked_crc;

/// Bytes of a block of a log.
const BLOCK: usize = 32 * 1024;

pub fn varint(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

pub fn prefixed(to: &mut Vec<u8>, bytes: &[u8]) {
    varint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

/// The fragments of a record that begins at `offset`; a recyclable log has a number.
pub fn record(offset: u64, number: Option<u32>, body: &[u8]) -> Vec<u8> {
    let head = if number.is_some() { 11 } else { 7 };
    let mut bytes = Vec::new();
    let (mut rest, mut is_first) = (body, true);
    loop {
        let left = BLOCK - (offset as usize + bytes.len()) % BLOCK;
        if left < head {
            bytes.extend(std::iter::repeat_n(0, left));
            continue;
        }
        let (piece, after) = rest.split_at(rest.len().min(left - head));
        let kind = match (is_first, after.is_empty()) {
            (true, true) => 1,
            (true, false) => 2,
            (false, false) => 3,
            (false, true) => 4,
        };
        let mut checked = vec![if number.is_some() { kind + 4 } else { kind }];
        checked.extend(number.iter().flat_map(|number| number.to_le_bytes()));
        checked.extend_from_slice(piece);
        bytes.extend(masked_crc(&[&checked]).to_le_bytes());
        bytes.extend((piece.len() as u16).to_le_bytes());
        bytes.extend(checked);
        (rest, is_first) = (after, false);
        if rest.is_empty() {
            return bytes;
        }
    }
}

/// Family, key, and value unless it is deleted.
pub type Change = (u32, Vec<u8>, Option<Vec<u8>>);

/// A batch of puts (`Some`) and deletions: family, key, value.
pub fn batch(sequence: u64, writes: &[Change]) -> Vec<u8> {
    let mut bytes = sequence.to_le_bytes().to_vec();
    bytes.extend((writes.len() as u32).to_le_bytes());
    for (family, key, value) in writes {
        match (family, value) {
            (0, Some(_)) => bytes.push(1),
            (0, None) => bytes.push(0),
            (_, Some(_)) => bytes.push(5),
            (_, None) => bytes.push(4),
        }
        if *family != 0 {
            varint(&mut bytes, u64::from(*family));
        }
        prefixed(&mut bytes, key);
        if let Some(value) = value {
            prefixed(&mut bytes, value);
        }
    }
    bytes
}

/// A record of a MANIFEST, built field by field.
#[derive(Default, Clone)]
pub struct Record(pub Vec<u8>);

impl Record {
    pub fn number(mut self, tag: u64, number: u64) -> Self {
        varint(&mut self.0, tag);
        varint(&mut self.0, number);
        self
    }

    pub fn text(mut self, tag: u64, text: &str) -> Self {
        varint(&mut self.0, tag);
        prefixed(&mut self.0, text.as_bytes());
        self
    }

    pub fn deleted(mut self, level: u64, number: u64) -> Self {
        self = self.number(6, level);
        varint(&mut self.0, number);
        self
    }

    /// A table: as LevelDB writes it (7), or as RocksDB does (103).
    pub fn table(mut self, tag: u64, level: u64, made: &Made) -> Self {
        self = self.number(tag, level);
        varint(&mut self.0, made.number);
        varint(&mut self.0, made.bytes.len() as u64);
        prefixed(&mut self.0, &made.smallest);
        prefixed(&mut self.0, &made.largest);
        if tag == 103 {
            varint(&mut self.0, made.sequences.0);
            varint(&mut self.0, made.sequences.1);
            // A field that may be skipped, then the end of the fields.
            varint(&mut self.0, 5);
            prefixed(&mut self.0, &[9]);
            varint(&mut self.0, 1);
        }
        self
    }
}

/// A table that was made.
#[derive(Clone)]
pub struct Made {
    pub number: u64,
    pub bytes: Vec<u8>,
    pub smallest: Vec<u8>,
    pub largest: Vec<u8>,
    pub sequences: (u64, u64),
}

/// How a table is written.
#[derive(Clone, Copy)]
pub struct Style {
    /// Version of the format; 0 is LevelDB's.
    pub version: u32,
    pub checksum: u8,
    pub compression: u8,
}

/// One version of a key.
pub type Version = (Vec<u8>, u64, Option<Vec<u8>>);

pub fn internal(key: &[u8], sequence: u64, is_put: bool) -> Vec<u8> {
    let mut bytes = key.to_vec();
    bytes.extend((sequence << 8 | u64::from(is_put)).to_le_bytes());
    bytes
}

/// A table of entries that are in order.
pub fn table(number: u64, entries: &[Version], style: Style) -> Made {
    let mut out = Out { bytes: Vec::new(), style };
    let mut index = Vec::new();
    for part in entries.chunks(5) {
        let pairs: Vec<_> = part
            .iter()
            .map(|(key, sequence, value)| {
                (internal(key, *sequence, value.is_some()), value.clone().unwrap_or_default())
            })
            .collect();
        let place = out.block(&block(&pairs), style.compression);
        index.push((pairs[pairs.len() - 1].0.clone(), place));
    }
    let blocks = index.len() as u64;
    let index = out.block(&block(&index), style.compression);
    let mut directory = Vec::new();
    if style.version > 0 {
        let mut counts = Vec::new();
        for (name, count) in
            [("rocksdb.num.data.blocks", blocks), ("rocksdb.num.entries", entries.len() as u64)]
        {
            let mut value = Vec::new();
            varint(&mut value, count);
            counts.push((name.as_bytes().to_vec(), value));
        }
        if style.version >= 6 {
            directory.push((b"rocksdb.index".to_vec(), index.clone()));
        }
        directory.push((b"rocksdb.properties".to_vec(), out.block(&block(&counts), 0)));
    }
    let directory_at = out.bytes.len() as u64;
    let directory = out.block(&block(&directory), 0);
    out.footer(&directory, &index, directory_at);
    let first = &entries[0];
    let last = &entries[entries.len() - 1];
    let all = entries.iter().map(|entry| entry.1);
    Made {
        number,
        bytes: out.bytes,
        smallest: internal(&first.0, first.1, first.2.is_some()),
        largest: internal(&last.0, last.1, last.2.is_some()),
        sequences: (all.clone().min().unwrap_or(0), all.max().unwrap_or(0)),
    }
}

/// A block with prefixes shared, and a restart point at every third entry.
fn block(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let (mut bytes, mut restarts) = (Vec::new(), Vec::new());
    let mut before: &[u8] = &[];
    for (at, (key, value)) in pairs.iter().enumerate() {
        if at % 3 == 0 {
            restarts.push(bytes.len() as u32);
            before = &[];
        }
        let shared = before.iter().zip(key).take_while(|(a, b)| a == b).count();
        varint(&mut bytes, shared as u64);
        varint(&mut bytes, (key.len() - shared) as u64);
        varint(&mut bytes, value.len() as u64);
        bytes.extend_from_slice(&key[shared..]);
        bytes.extend_from_slice(value);
        before = key;
    }
    if restarts.is_empty() {
        restarts.push(0);
    }
    bytes.extend(restarts.iter().flat_map(|at| at.to_le_bytes()));
    bytes.extend((restarts.len() as u32).to_le_bytes());
    bytes
}

struct Out {
    bytes: Vec<u8>,
    style: Style,
}

impl Out {
    /// Adds a block; its place, as it is written in others.
    fn block(&mut self, plain: &[u8], method: u8) -> Vec<u8> {
        let mut place = Vec::new();
        varint(&mut place, self.bytes.len() as u64);
        let mut stored = compress(plain, method, self.style.version);
        varint(&mut place, stored.len() as u64);
        stored.push(method);
        let sum = self.sum(&stored);
        self.bytes.extend(stored);
        self.bytes.extend(sum.to_le_bytes());
        place
    }

    fn sum(&self, bytes: &[u8]) -> u32 {
        match self.style.checksum {
            2 => twox_hash::XxHash32::oneshot(0, bytes),
            3 => twox_hash::XxHash64::oneshot(0, bytes) as u32,
            4 => {
                let (last, rest) = bytes.split_last().unwrap();
                twox_hash::XxHash3_64::oneshot(rest) as u32
                    ^ u32::from(*last).wrapping_mul(0x6b90_83d9)
            }
            _ => masked_crc(&[bytes]),
        }
    }

    fn footer(&mut self, directory: &[u8], index: &[u8], directory_at: u64) {
        let mut places = [directory, index].concat();
        if self.style.version == 0 {
            places.resize(40, 0);
            self.bytes.extend(places);
            self.bytes.extend(0xdb47_7524_8b80_fb57_u64.to_le_bytes());
            return;
        }
        let mut foot = vec![self.style.checksum];
        if self.style.version >= 6 {
            let size = self.bytes.len() as u64 - directory_at - 5;
            foot.extend([0x3e, 0, 0x7a, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            foot.extend((size as u32).to_le_bytes());
        } else {
            foot.extend(places);
        }
        foot.resize(41, 0);
        foot.extend(self.style.version.to_le_bytes());
        foot.extend(0x88e2_41b7_85f4_cff7_u64.to_le_bytes());
        if self.style.version >= 6 {
            let sum = self.sum(&foot);
            foot[5..9].copy_from_slice(&sum.to_le_bytes());
        }
        self.bytes.extend(foot);
    }
}

fn compress(plain: &[u8], method: u8, version: u32) -> Vec<u8> {
    let mut sized = Vec::new();
    varint(&mut sized, plain.len() as u64);
    match method {
        1 => return snap::raw::Encoder::new().compress_vec(plain).unwrap(),
        2 if version == 0 => return zstd::bulk::compress(plain, 1).unwrap(),
        2 => {
            let level = flate2::Compression::default();
            let mut encoder = flate2::read::DeflateEncoder::new(plain, level);
            std::io::Read::read_to_end(&mut encoder, &mut sized).unwrap();
        }
        4 => sized.extend(lz4_flex::block::compress(plain)),
        7 => sized.extend(zstd::bulk::compress(plain, 1).unwrap()),
        _ => return plain.to_vec(),
    }
    sized
}
