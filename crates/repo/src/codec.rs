//! Compression inside a chunk: one codec byte, then the payload. Incompressible data is detected by a probe and stored raw.

use std::io::Read;

use crate::error::Damage;

/// No chunk is larger, in bytes.
pub const MAX_CHUNK: usize = 16 * 1024 * 1024;

const RAW: u8 = 0;
const ZSTD: u8 = 1;
const PROBE: usize = 4096;
/// What a zstd frame begins with; skippable frames begin otherwise.
const FRAME: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();

/// How hard to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Store as it is.
    None,
    /// zstd at a level from -7 to 22.
    Zstd(i32),
}

impl Default for Compression {
    /// zstd 1: on two cores compression is the limit, and higher levels win little.
    fn default() -> Self {
        Self::Zstd(1)
    }
}

/// A compressor with its working memory; one for each thread.
pub struct Compressor {
    level: Option<i32>,
    zstd: zstd::bulk::Compressor<'static>,
    /// What was compressed last: copying it costs less than clearing room for the worst case in the pack.
    scratch: Vec<u8>,
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Compressor({:?})", self.level)
    }
}

impl Compressor {
    /// Prepares a compressor.
    ///
    /// # Panics
    /// If zstd cannot allocate.
    pub fn new(compression: Compression) -> Self {
        let level = match compression {
            Compression::None => None,
            Compression::Zstd(level) => Some(level),
        };
        let zstd =
            zstd::bulk::Compressor::new(level.unwrap_or(1)).expect("zstd has memory to work");
        Self { level, zstd, scratch: Vec::new() }
    }

    /// Appends codec byte and payload to `out`.
    pub fn append(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        if self.level.is_some() && self.promising(plain) && self.compress(plain, out) {
            return;
        }
        out.push(RAW);
        out.extend_from_slice(plain);
    }

    /// Whether a sample from the middle shrinks at all.
    fn promising(&mut self, plain: &[u8]) -> bool {
        if plain.len() < 4 * PROBE {
            return true;
        }
        let from = plain.len() / 2;
        let sample = &plain[from..from + PROBE];
        self.shrunk(sample).is_none_or(|len| len < PROBE - PROBE / 32)
    }

    /// Compresses into the scratch; the length, if zstd could.
    fn shrunk(&mut self, plain: &[u8]) -> Option<usize> {
        self.scratch.clear();
        self.scratch.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        self.zstd.compress_to_buffer(plain, &mut self.scratch).ok()
    }

    /// Compresses if it saves anything; `out` is as before if not.
    fn compress(&mut self, plain: &[u8], out: &mut Vec<u8>) -> bool {
        let saves = self.shrunk(plain).is_some_and(|len| len < plain.len());
        if saves {
            out.push(ZSTD);
            out.extend_from_slice(&self.scratch);
        }
        saves
    }
}

/// A decompressor with its working memory; one for each thread.
pub struct Decompressor(zstd::bulk::Decompressor<'static>);

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decompressor")
    }
}

impl Default for Decompressor {
    fn default() -> Self {
        Self::new()
    }
}

impl Decompressor {
    /// Prepares a decompressor.
    ///
    /// # Panics
    /// If zstd cannot allocate.
    pub fn new() -> Self {
        Self(zstd::bulk::Decompressor::new().expect("zstd has memory to work"))
    }

    /// Decodes codec byte and payload into `out` (replaced), which will have exactly `raw_len` bytes.
    ///
    /// # Errors
    /// If the bytes give anything else.
    pub fn decode(
        &mut self,
        coded: &[u8],
        raw_len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Damage> {
        if raw_len > MAX_CHUNK {
            return Err(Damage::TooLarge);
        }
        out.clear();
        match coded.split_first() {
            Some((&RAW, payload)) if payload.len() == raw_len => out.extend_from_slice(payload),
            Some((&ZSTD, payload)) => self.inflate(payload, raw_len, out)?,
            _ => return Err(Damage::Compression),
        }
        Ok(())
    }

    fn inflate(&mut self, payload: &[u8], raw_len: usize, out: &mut Vec<u8>) -> Result<(), Damage> {
        one_frame(payload)?;
        out.reserve(raw_len);
        match self.0.decompress_to_buffer(payload, out) {
            Ok(len) if len == raw_len => Ok(()),
            _ => Err(Damage::Compression),
        }
    }
}

/// Decodes codec byte and payload of unknown length, at most `limit` bytes.
///
/// # Errors
/// If the bytes give more, or nothing.
pub fn decode_unsized(coded: &[u8], limit: usize) -> Result<Vec<u8>, Damage> {
    match coded.split_first() {
        Some((&RAW, payload)) if payload.len() <= limit => Ok(payload.to_vec()),
        Some((&ZSTD, payload)) => inflate_unsized(payload, limit),
        _ => Err(Damage::Compression),
    }
}

/// Decoders go on with whatever follows a frame; the format has exactly one.
fn one_frame(payload: &[u8]) -> Result<(), Damage> {
    match zstd::zstd_safe::find_frame_compressed_size(payload) {
        Ok(len) if len == payload.len() && payload.starts_with(&FRAME) => Ok(()),
        _ => Err(Damage::Compression),
    }
}

fn inflate_unsized(payload: &[u8], limit: usize) -> Result<Vec<u8>, Damage> {
    one_frame(payload)?;
    let decoder = zstd::stream::read::Decoder::new(payload).map_err(|_| Damage::Compression)?;
    let mut out = Vec::new();
    decoder.take(limit as u64 + 1).read_to_end(&mut out).map_err(|_| Damage::Compression)?;
    if out.len() > limit { Err(Damage::TooLarge) } else { Ok(out) }
}
