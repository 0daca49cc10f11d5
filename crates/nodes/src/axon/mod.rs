//! Axon BBS: a federated board in Django and SQLite whose content lies in encrypted chunks beside the database.
//!
//! Each content has a [`manifest`]: the hashes of its chunks, and one [`envelope`] with its AES key for every instance that may read it.
//! To restore an Axon for somebody else is to make envelopes, never to touch a chunk. [`verify`] checks every chunk that a database
//! speaks of; [`export`] and [`import`] speak the layout of Axon's own `backup_applets` and `restore_applets`; [`merge`] puts applets
//! into a live database as rows. Facts were taken from upstream as of January 2026, on SQLite.

pub mod applet;
pub mod chunks;
pub mod database;
pub mod digest;
pub mod envelope;
pub mod error;
pub mod export;
pub mod fernet;
mod files;
pub mod import;
pub mod instance;
pub mod key;
pub mod manifest;
pub mod merge;
pub mod moment;
pub mod rekey;
pub mod secret;
pub mod uuid;
pub mod verify;

use std::path::{Path, PathBuf};

/// Where things lie in an instance's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The database.
    pub database: PathBuf,
    /// A folder for each content, by its hash.
    pub chunks: PathBuf,
    /// The environment file with `SECRET_KEY`.
    pub environment: PathBuf,
}

impl Layout {
    /// Of an instance in this folder.
    pub fn of(instance: &Path) -> Self {
        Self {
            database: instance.join("data/axon_bbs.sqlite3"),
            chunks: instance.join("data/bitsync_chunks"),
            environment: instance.join(".env"),
        }
    }
}
