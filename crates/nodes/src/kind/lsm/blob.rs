//! Blob files: large values of RocksDB, each record with checksums of its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::disk::read_at;
use super::table::{Era, Plain, decompress};
use super::wire::{Cursor, Short, masked_crc};
use crate::error::{Error, Result};

/// Sizes in bytes.
const HEAD: u64 = 30;
const FOOT: u64 = 32;
const RECORD_HEAD: u64 = 32;
/// At the start and the end of a blob file.
const MAGIC: u32 = 0x0024_8f37;
/// How many blob files are held open.
const OPEN: usize = 64;

/// What a look at every record of a blob file shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Values within.
    pub values: u64,
    /// Size of the records in bytes.
    pub bytes: u64,
}

/// Checks every record of a blob file.
///
/// # Errors
/// [`Error::Damaged`] with the offset, and what cannot be read.
pub fn check(path: &Path) -> Result<Figures> {
    let file = File::open(path).map_err(Error::file(path, "open"))?;
    let size = file.metadata().map_err(Error::file(path, "look at"))?.len();
    let bad = |at: u64, what: &str| Error::Damaged {
        path: path.to_owned(),
        reason: format!("{what} at offset {at}"),
    };
    let read = |at: u64, length: u64| {
        // Lengths were compared with the file's size.
        let length = usize::try_from(length).map_err(|_| bad(at, "a record that is too long"))?;
        read_at(&file, at, length).map_err(Error::file(path, "read"))
    };
    let end = size.checked_sub(FOOT).filter(|end| *end >= HEAD);
    let end = end.ok_or_else(|| bad(size, "the file ends"))?;
    check_head(&read(0, HEAD)?).map_err(|_| bad(0, "this is not the head of a blob file"))?;
    let count = check_foot(&read(end, FOOT)?);
    let count = count.ok_or_else(|| bad(end, "this is not the end of a blob file"))?;
    let (mut at, mut values) = (HEAD, 0);
    while at < end {
        let head = RecordHead::parse(&read(at, RECORD_HEAD)?);
        let head = head.ok_or_else(|| bad(at, "the head of a record has a wrong checksum"))?;
        let length = head.key.checked_add(head.value).filter(|length| *length <= end - at);
        let length = length.ok_or_else(|| bad(at, "a record that does not fit into the file"))?;
        if masked_crc(&[&read(at + RECORD_HEAD, length)?]) != head.crc {
            return Err(bad(at, "a value has a wrong checksum"));
        }
        at += RECORD_HEAD + length;
        values += 1;
    }
    if at != end || values != count {
        return Err(bad(end, &format!("{values} values and not the {count} that are said")));
    }
    Ok(Figures { values, bytes: end - HEAD })
}

fn check_head(bytes: &[u8]) -> Result<(), Short> {
    let mut cursor = Cursor::new(bytes);
    let (magic, version) = (cursor.u32()?, cursor.u32()?);
    let (_, has_ttl, method) = (cursor.u32()?, cursor.u8()?, cursor.u8()?);
    let is_known = magic == MAGIC && version == 1 && has_ttl <= 1 && method <= 7;
    let no_times = cursor.rest().iter().all(|byte| *byte == 0);
    if is_known && (has_ttl == 1 || no_times) { Ok(()) } else { Err(Short) }
}

/// How many values the end of a file says there are.
fn check_foot(bytes: &[u8]) -> Option<u64> {
    let (body, crc) = bytes.split_at(bytes.len().checked_sub(4)?);
    if Cursor::new(crc).u32().ok()? != masked_crc(&[body]) {
        return None;
    }
    let mut cursor = Cursor::new(body);
    let magic = cursor.u32().ok()?;
    cursor.u64().ok().filter(|_| magic == MAGIC)
}

struct RecordHead {
    key: u64,
    value: u64,
    crc: u32,
}

impl RecordHead {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        let (key, value) = (cursor.u64().ok()?, cursor.u64().ok()?);
        cursor.u64().ok()?;
        let (own, crc) = (cursor.u32().ok()?, cursor.u32().ok()?);
        (masked_crc(&[bytes.get(..24)?]) == own).then_some(Self { key, value, crc })
    }
}

/// Reads values that tables refer to.
#[derive(Debug)]
pub struct Blobs {
    folder: PathBuf,
    open: BTreeMap<u64, File>,
}

impl Blobs {
    /// Of the database in this folder.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), open: BTreeMap::new() }
    }

    /// The value that a reference leads to.
    ///
    /// # Errors
    /// If the reference makes no sense or leads to damage.
    pub fn value(&mut self, reference: &[u8]) -> Result<Vec<u8>> {
        let parsed = Reference::parse(reference);
        let reference = parsed.map_err(|_| Error::Damaged {
            path: self.folder.clone(),
            reason: "a reference to a blob file cannot be read".to_owned(),
        })?;
        let (file, at, size, method) = match reference {
            Reference::Within(value) => return Ok(value),
            Reference::At { file, offset, size, method } => (file, offset, size, method),
        };
        let path = self.folder.join(format!("{file:06}.blob"));
        let bad = |what: &str| Error::Damaged {
            path: path.clone(),
            reason: format!("{what} at offset {at}"),
        };
        let length = usize::try_from(size).ok().filter(|length| *length <= 1 << 32);
        let length = length.ok_or_else(|| bad("a reference to a value that is too long"))?;
        if self.open.len() >= OPEN {
            self.open.pop_first();
        }
        let opened = match self.open.entry(file) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(File::open(&path).map_err(Error::file(&path, "open"))?)
            }
        };
        let stored = read_at(opened, at, length).map_err(Error::file(&path, "read"))?;
        if stored.len() != length {
            return Err(bad("the file ends within a value"));
        }
        match decompress(method, &stored, Era::Sized, &[]) {
            Plain::Bytes(bytes) => Ok(bytes),
            Plain::Bad(what) => Err(bad(what)),
            Plain::Unknown(method) => Err(Error::Unsupported {
                path: path.clone(),
                reason: format!(
                    "values are compressed by method {method}: this program cannot read it"
                ),
            }),
        }
    }
}

/// What a table has in place of a value.
enum Reference {
    Within(Vec<u8>),
    At { file: u64, offset: u64, size: u64, method: u8 },
}

impl Reference {
    fn parse(bytes: &[u8]) -> Result<Self, Short> {
        let mut cursor = Cursor::new(bytes);
        let kind = cursor.u8()?;
        if kind != 1 {
            // When it expires.
            cursor.varint64()?;
        }
        match kind {
            0 => Ok(Self::Within(cursor.rest().to_vec())),
            1 | 2 => Ok(Self::At {
                file: cursor.varint64()?,
                offset: cursor.varint64()?,
                size: cursor.varint64()?,
                method: cursor.u8()?,
            }),
            _ => Err(Short),
        }
    }
}
