//! Guts: its configuration and key, what is in its object store, what is not on disk at all, and the guide's scenarios.
//!
//! Facts are those of the node of December 2025 (commit 8876fcf).

pub mod config;
pub mod key;
pub mod objects;
pub mod scenario;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::manifest::Note;

/// What a person must know of a data folder before trusting a backup of it.
///
/// # Errors
/// If the folder cannot be listed.
pub fn warnings(data: &Path, rocksdb: &str) -> Result<Vec<Note>> {
    let mut notes = Vec::new();
    if !data.join(rocksdb).join("CURRENT").exists() {
        notes.push(Note::new(
            "not-on-disk",
            format!("{}: there is no object store here: this node keeps repositories, issues and accounts in memory, and no backup of files can hold them", data.display()),
        ));
    }
    let (mut size, mut used) = (0, 0);
    weigh(data, &mut size, &mut used)?;
    if size > used.saturating_mul(2) && size > 1 << 20 {
        notes.push(Note::new(
            "sparse",
            format!("{}: files of {size} bytes take {used} bytes on disk: journals are sparse, which `cp` and tar without -S do not keep", data.display()),
        ));
    }
    Ok(notes)
}

/// Adds up sizes and allocated space of files below a folder, in bytes.
fn weigh(folder: &Path, size: &mut u64, used: &mut u64) -> Result<()> {
    let unlisted = || Error::file(folder, "cannot be listed");
    for entry in fs::read_dir(folder).map_err(unlisted())? {
        let entry = entry.map_err(unlisted())?;
        let Ok(status) = entry.path().symlink_metadata() else {
            continue;
        };
        if status.is_dir() {
            weigh(&entry.path(), size, used)?;
        } else if status.is_file() {
            *size += status.len();
            *used += status.blocks() * 512;
        }
    }
    Ok(())
}
