//! The bytes of a portable file: encoding and decoding, without any I/O.

use std::collections::BTreeMap;
use std::ops::Range;

use super::records::Extent;
use super::{PortableHeader, PortableKind};
use crate::StoreErrorKind::{self, Damaged, NewerFormat, NotAStore, Truncated};
use crate::name;

const MAGIC: &[u8; 4] = b"NKB1";
const FOOTER_MAGIC: &[u8; 4] = b"NKBE";

/// Size of the footer in bytes: two numbers, a hash and the magic.
pub(super) const FOOTER_LEN: usize = 8 + 8 + 32 + 4;

/// Longest hint that is written or believed. No file system has longer names.
const MAX_BASE_NAME: usize = 4096;

/// No header is longer: magic, id, type, base id, length and hint.
pub(super) const MAX_HEADER: usize = 4 + 16 + 1 + 17 + 2 + MAX_BASE_NAME;

/// What is left to decode.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], StoreErrorKind> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreErrorKind> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, StoreErrorKind> {
        self.array().map(|[byte]| byte)
    }

    /// LEB128 in its shortest form.
    fn varint(&mut self) -> Result<u64, StoreErrorKind> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if (bits << shift) >> shift != bits {
                return Err(Damaged("a number is too large"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                let is_shortest = byte != 0 || shift == 0;
                return is_shortest
                    .then_some(value)
                    .ok_or(Damaged("a number is not in its shortest form"));
            }
        }
        Err(Damaged("a number is too long"))
    }

    /// Never more than what is left of the input.
    fn text(&mut self) -> Result<&'a str, StoreErrorKind> {
        let len = usize::try_from(self.varint()?).map_err(|_| Truncated)?;
        str::from_utf8(self.take(len)?).map_err(|_| Damaged("a name is not UTF-8"))
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

impl PortableHeader {
    /// Refuses headers that contradict themselves.
    fn check(&self) -> Result<(), StoreErrorKind> {
        let is_full = self.kind == PortableKind::Full;
        if is_full != self.base.is_none() {
            return Err(Damaged("its type and its base do not agree"));
        }
        if self.base_name.len() > MAX_BASE_NAME {
            return Err(Damaged("the name of its base is too long"));
        }
        Ok(())
    }
}

pub(super) fn encode_header(header: &PortableHeader) -> Result<Vec<u8>, StoreErrorKind> {
    header.check()?;
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&header.id);
    out.push(match header.kind {
        PortableKind::Full => 1,
        PortableKind::Incremental => 2,
        PortableKind::Differential => 3,
    });
    match &header.base {
        None => out.push(0),
        Some(base) => {
            out.push(1);
            out.extend_from_slice(base);
        }
    }
    put_text(&mut out, &header.base_name);
    Ok(out)
}

/// The header at the start of `bytes` and its length. `bytes` is the whole file or at least
/// [`MAX_HEADER`] long.
pub(super) fn decode_header(bytes: &[u8]) -> Result<(PortableHeader, usize), StoreErrorKind> {
    let mut input = Input(bytes);
    match input.array() {
        Ok(magic) if magic == *MAGIC => {}
        Ok([b'N', b'K', b'B', digit]) if digit.is_ascii_digit() => return Err(NewerFormat),
        _ => return Err(NotAStore),
    }
    let header = decode_header_fields(&mut input).map_err(|kind| match kind {
        // More would have been there: the hint is longer than any.
        Truncated if bytes.len() >= MAX_HEADER => Damaged("the name of its base is too long"),
        kind => kind,
    })?;
    header.check()?;
    Ok((header, bytes.len() - input.0.len()))
}

fn decode_header_fields(input: &mut Input<'_>) -> Result<PortableHeader, StoreErrorKind> {
    let id = input.array()?;
    let kind = match input.byte()? {
        1 => PortableKind::Full,
        2 => PortableKind::Incremental,
        3 => PortableKind::Differential,
        _ => return Err(Damaged("its type is unknown")),
    };
    let base = match input.byte()? {
        0 => None,
        1 => Some(input.array()?),
        _ => return Err(Damaged("its base is neither absent nor present")),
    };
    let base_name = input.text()?.to_owned();
    Ok(PortableHeader { id, kind, base, base_name })
}

/// What stands before an object's bytes.
pub(super) fn record_header(name: &str, len: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + 10);
    put_text(&mut out, name);
    out.extend_from_slice(&len.to_le_bytes());
    out
}

pub(super) fn encode_directory(objects: &BTreeMap<String, Extent>) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, objects.len() as u64);
    for (name, extent) in objects {
        put_text(&mut out, name);
        put_varint(&mut out, extent.offset);
        put_varint(&mut out, extent.len);
    }
    out
}

/// The objects of a directory; all of them lie in `area`, the bytes between header and directory.
pub(super) fn decode_directory(
    bytes: &[u8],
    area: &Range<u64>,
) -> Result<BTreeMap<String, Extent>, StoreErrorKind> {
    let mut input = Input(bytes);
    let mut objects = BTreeMap::new();
    let ends_early = |kind| match kind {
        Truncated => Damaged("its directory ends too early"),
        kind => kind,
    };
    for _ in 0..input.varint().map_err(ends_early)? {
        let (name, extent) = decode_entry(&mut input, area).map_err(ends_early)?;
        if objects.insert(name.to_owned(), extent).is_some() {
            return Err(Damaged("its directory names an object twice"));
        }
    }
    match input.0 {
        [] => Ok(objects),
        _ => Err(Damaged("bytes are left over after its directory")),
    }
}

fn decode_entry<'a>(
    input: &mut Input<'a>,
    area: &Range<u64>,
) -> Result<(&'a str, Extent), StoreErrorKind> {
    let name = input.text()?;
    if !name::is_valid(name) {
        return Err(Damaged("its directory has an invalid name"));
    }
    let offset = input.varint()?;
    let len = input.varint()?;
    let before = record_header(name, len).len() as u64;
    let starts_inside = offset.checked_sub(before).is_some_and(|start| start >= area.start);
    let ends_inside = offset.checked_add(len).is_some_and(|end| end <= area.end);
    if !starts_inside || !ends_inside {
        return Err(Damaged("its directory points outside the objects"));
    }
    Ok((name, Extent { offset, len }))
}

/// The end of a portable file.
pub(super) struct Footer {
    pub(super) directory_offset: u64,
    pub(super) directory_len: u64,
    /// Over header and directory.
    pub(super) hash: [u8; 32],
}

impl Footer {
    pub(super) fn of(header: &[u8], directory_offset: u64, directory: &[u8]) -> Self {
        Self {
            directory_offset,
            directory_len: directory.len() as u64,
            hash: Self::hash(header, directory),
        }
    }

    pub(super) fn hash(header: &[u8], directory: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(header).update(directory);
        *hasher.finalize().as_bytes()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FOOTER_LEN);
        out.extend_from_slice(&self.directory_offset.to_le_bytes());
        out.extend_from_slice(&self.directory_len.to_le_bytes());
        out.extend_from_slice(&self.hash);
        out.extend_from_slice(FOOTER_MAGIC);
        out
    }

    pub(super) fn decode(bytes: &[u8; FOOTER_LEN]) -> Result<Self, StoreErrorKind> {
        let mut input = Input(bytes);
        let footer = Self {
            directory_offset: u64::from_le_bytes(input.array()?),
            directory_len: u64::from_le_bytes(input.array()?),
            hash: input.array()?,
        };
        // The usual reason for a file that does not end as it should.
        let is_end = input.0 == FOOTER_MAGIC;
        is_end.then_some(footer).ok_or(Truncated)
    }
}
