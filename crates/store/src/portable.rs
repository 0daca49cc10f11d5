//! Portable files (`.nkb`): a store in one file, written front to back and then only read.
//!
//! The layout is section 8 of `docs/format.md`. The directory at the end is covered by a hash;
//! the objects protect themselves.

mod layout;
mod reader;
mod records;
mod writer;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};

use crate::{Op, StoreError, StoreErrorKind};
use layout::MAX_HEADER;

pub(crate) use reader::Portable;
pub use writer::PortableWriter;

/// What a portable file starts with. It is not encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortableHeader {
    /// Random id of this file.
    pub id: [u8; 16],
    /// What the file holds.
    pub kind: PortableKind,
    /// The id of the file that this one adds to; `None` exactly for full files.
    pub base: Option<[u8; 16]>,
    /// The name that file had, a hint for finding it, at most 4096 bytes; empty for full files.
    pub base_name: String,
}

/// What a portable file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortableKind {
    /// Everything.
    Full,
    /// What the file before it, and that one's bases, lack.
    Incremental,
    /// What a full file lacks.
    Differential,
}

impl PortableHeader {
    /// Reads the header of the file at `path` and nothing else of it.
    ///
    /// # Errors
    /// If the file cannot be read, is no portable file, is of a newer format or has a damaged
    /// header. Whether the file is complete shows only when it is opened as a store.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let read = || {
            let (file, size) = open_regular(path)?;
            Ok(read_header(&file, size)?.0)
        };
        read().map_err(|problem: Problem| problem.at(Op::Open, &path.display().to_string(), ""))
    }
}

/// An error that does not know yet where it happened.
enum Problem {
    Io(io::Error),
    Kind(StoreErrorKind),
}

impl Problem {
    fn at(self, op: Op, location: &str, object: &str) -> StoreError {
        match self {
            Self::Io(error) => StoreError::io(op, location, object, error),
            Self::Kind(kind) => StoreError::new(op, location, object, kind),
        }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<StoreErrorKind> for Problem {
    fn from(kind: StoreErrorKind) -> Self {
        Self::Kind(kind)
    }
}

/// Opens a regular file and tells its size; does not wait for the other end of a FIFO.
fn open_regular(path: &Path) -> Result<(File, u64), Problem> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = open(path, flags, Mode::empty()).map_err(io::Error::from)?;
    let file = File::from(file);
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(StoreErrorKind::NotAStore.into());
    }
    Ok((file, found.len()))
}

/// The header, decoded and as it stands in the file.
fn read_header(file: &File, size: u64) -> Result<(PortableHeader, Vec<u8>), Problem> {
    let len = usize::try_from(size).map_or(MAX_HEADER, |size| size.min(MAX_HEADER));
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0)?;
    let (header, header_len) = layout::decode_header(&bytes)?;
    bytes.truncate(header_len);
    Ok((header, bytes))
}
