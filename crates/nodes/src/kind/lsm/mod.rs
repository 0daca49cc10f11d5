//! RocksDB and LevelDB: both keep sorted tables that never change, a MANIFEST that says which of them count, and a write-ahead log.
//!
//! Nothing of either is linked: [`capture`] copies a live database from outside, [`verify()`] checks every byte of a copy,
//! and [`read`] walks through its keys.

mod blob;
mod capture;
mod disk;
mod edit;
mod log;
mod options;
mod order;
mod ranges;
pub mod read;
mod staging;
mod table;
mod tail;
#[cfg(test)]
mod tests;
mod verify;
mod version;
mod wal;
mod wire;

use std::fs;
use std::path::Path;

use crate::error::Result;
use crate::kind::{Captured, Request, Verified};

/// Copies a live database, from outside, without its lock and without stopping it.
///
/// # Errors
/// [`Error::Unsupported`](crate::error::Error::Unsupported) if not all of it can be copied in this way, and says what to do instead;
/// [`Error::Restless`](crate::error::Error::Restless) if it moved in every try; what cannot be read or written.
pub fn capture(request: &Request) -> Result<Captured> {
    capture::capture(&disk::Folder::new(request.path), request)
}

/// Verifies every byte of a copy that nobody uses: checksums, order of keys, counts, and that all of it belongs together.
///
/// # Errors
/// If the folder cannot be read. What is wrong with the database is a failed check and no error.
pub fn verify(path: &Path) -> Result<Verified> {
    verify::verify(path)
}

/// Whether a RocksDB database lies in a folder.
pub fn is_rocksdb(path: &Path) -> bool {
    is_database(path) && has(path, |name| name == "IDENTITY" || name.starts_with("OPTIONS-"))
}

/// Whether a LevelDB database lies in a folder.
pub fn is_leveldb(path: &Path) -> bool {
    is_database(path) && !is_rocksdb(path)
}

/// Whether there are a CURRENT and the MANIFEST that it names.
fn is_database(path: &Path) -> bool {
    let current = fs::read_to_string(path.join("CURRENT")).unwrap_or_default();
    let name = current.trim_end_matches('\n');
    matches!(version::named(name), version::Named::Manifest(_)) && path.join(name).is_file()
}

fn has(path: &Path, wanted: impl Fn(&str) -> bool) -> bool {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).any(|name| name.to_str().is_some_and(&wanted))
}
