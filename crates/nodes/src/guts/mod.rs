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
use crate::node::Node;

/// What a person must know before trusting a backup of this node: what is not on disk, what the node does not read, where the key is not.
/// Each stands with the component that it is about.
///
/// # Errors
/// If a folder cannot be listed, or a path of the profile has a placeholder without a value.
pub fn warnings(node: &Node) -> Result<Vec<(&'static str, Note)>> {
    let config = node.component("config")?.path;
    let key = node.component("key")?.path;
    let mut notes = Vec::new();
    notes.extend(store(&node.component("objects")?.path).map(|note| ("data", note)));
    notes.extend(settings(&config, &key).into_iter().map(|note| ("config", note)));
    let data = node.component("data")?.path;
    if data.is_dir() {
        notes.extend(sparse(&data)?.map(|note| ("data", note)));
    }
    Ok(notes)
}

fn store(rocksdb: &Path) -> Option<Note> {
    let text = format!(
        "{}: there is no object store: this node keeps repositories, issues and accounts in memory, and no backup of files can hold them",
        rocksdb.display()
    );
    (!rocksdb.join("CURRENT").exists()).then(|| Note::new("not-on-disk", text))
}

fn settings(path: &Path, key: &Path) -> Vec<Note> {
    let mut notes = Vec::new();
    let config = match config::read(path) {
        Ok(config) => config,
        Err(error) => {
            notes.push(Note::new("configuration", error.to_string()));
            config::Config::default()
        }
    };
    if !config.lacks.is_empty() {
        let text = format!(
            "{}: {} missing: the node ignores the whole file and writes to ./data",
            path.display(),
            config.lacks.join(", ")
        );
        notes.push(Note::new("configuration", text));
    }
    if config.key.is_none() && !key.exists() {
        let text = "no file holds the node's key: it is in the environment of the service, or there is none. Back up where it comes from";
        notes.push(Note::new("no-key", text));
    }
    notes
}

fn sparse(data: &Path) -> Result<Option<Note>> {
    let (mut size, mut used) = (0, 0);
    weigh(data, &mut size, &mut used)?;
    let is_sparse = size > 1 << 20 && size > used.saturating_mul(2);
    Ok(is_sparse.then(|| {
        Note::new(
            "sparse",
            format!(
                "{}: files of {size} bytes take {used} bytes on disk: journals are sparse, which `cp` and tar without -S do not keep",
                data.display()
            ),
        )
    }))
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
