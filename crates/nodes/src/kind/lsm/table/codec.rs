//! Compression of blocks and blobs.

use std::io::Read;

use crate::kind::lsm::wire::Cursor;

/// Larger blocks are damage: no program writes them.
const LARGEST: usize = 1 << 30;

/// What became of compressed bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Plain {
    /// They are these.
    Bytes(Vec<u8>),
    /// This program does not know the method.
    Unknown(u8),
    /// They cannot be decompressed.
    Bad(&'static str),
}

/// How sizes of compressed blocks are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// LevelDB, and the first RocksDB.
    Old,
    /// The size comes first, as a varint.
    Sized,
}

/// Decompresses bytes of a method, with a dictionary where the table has one.
pub fn decompress(method: u8, bytes: &[u8], era: Era, dictionary: &[u8]) -> Plain {
    match (method, era) {
        (0, _) => Plain::Bytes(bytes.to_vec()),
        (1, _) => snappy(bytes),
        (2, Era::Sized) if dictionary.is_empty() => sized(bytes, deflate),
        (4 | 5, Era::Sized) => sized(bytes, |rest, size| lz4(rest, size, dictionary)),
        (7 | 0x40, Era::Sized) => sized(bytes, |rest, size| zstd(rest, size, dictionary)),
        // LevelDB gave this number to zstd, which says its size itself.
        (2, Era::Old) if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) => zstd_stream(bytes),
        _ => Plain::Unknown(method),
    }
}

fn or_bad(plain: Option<Vec<u8>>, what: &'static str) -> Plain {
    plain.map_or(Plain::Bad(what), Plain::Bytes)
}

fn snappy(bytes: &[u8]) -> Plain {
    let size = snap::raw::decompress_len(bytes).ok().filter(|size| *size <= LARGEST);
    let plain = size.and_then(|_| snap::raw::Decoder::new().decompress_vec(bytes).ok());
    or_bad(plain, "snappy cannot decompress it")
}

fn sized(bytes: &[u8], method: impl Fn(&[u8], usize) -> Plain) -> Plain {
    let mut cursor = Cursor::new(bytes);
    let size = cursor.varint32().ok().and_then(|size| usize::try_from(size).ok());
    match size.filter(|size| *size <= LARGEST) {
        Some(size) => match method(cursor.rest(), size) {
            Plain::Bytes(plain) if plain.len() != size => {
                Plain::Bad("it has another size than it says")
            }
            other => other,
        },
        None => Plain::Bad("its size makes no sense"),
    }
}

fn deflate(bytes: &[u8], size: usize) -> Plain {
    let mut plain = Vec::new();
    let limit = size as u64 + 1;
    let read = flate2::read::DeflateDecoder::new(bytes).take(limit).read_to_end(&mut plain);
    or_bad(read.ok().map(|_| plain), "zlib cannot decompress it")
}

fn lz4(bytes: &[u8], size: usize, dictionary: &[u8]) -> Plain {
    let plain = if dictionary.is_empty() {
        lz4_flex::block::decompress(bytes, size)
    } else {
        lz4_flex::block::decompress_with_dict(bytes, size, dictionary)
    };
    or_bad(plain.ok(), "lz4 cannot decompress it")
}

fn zstd(bytes: &[u8], size: usize, dictionary: &[u8]) -> Plain {
    let decoder = zstd::bulk::Decompressor::with_dictionary(dictionary);
    or_bad(
        decoder.and_then(|mut decoder| decoder.decompress(bytes, size)).ok(),
        "zstd cannot decompress it",
    )
}

fn zstd_stream(bytes: &[u8]) -> Plain {
    let mut plain = Vec::new();
    let read = zstd::stream::read::Decoder::new(bytes)
        .and_then(|decoder| decoder.take(LARGEST as u64).read_to_end(&mut plain));
    or_bad(read.ok().map(|_| plain), "zstd cannot decompress it")
}
