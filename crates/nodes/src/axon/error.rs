//! What can go wrong with an Axon instance or a backup of one. No variant ever holds a secret or decrypted content.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::error::FileError;

/// How many names a message lists before it only counts.
const NAMED: usize = 10;

/// Any failure of this adapter.
#[derive(Debug, Error)]
pub enum Error {
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// The instance's database.
    #[error("{}: {action}: {source}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: rusqlite::Error,
    },
    /// A database that this version does not know how to read or write.
    #[error("{}: this is no Axon database as it is known here: {reason}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// What is missing or new.
        reason: String,
    },
    /// A content manifest that breaks the rules.
    #[error("{holder}: its content manifest cannot be used: {reason}")]
    Manifest {
        /// What the manifest belongs to.
        holder: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The environment file, or what it says.
    #[error("{}: {reason}", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, without its content.
        reason: &'static str,
    },
    /// The instance's own key.
    #[error("{}: {reason}", path.display())]
    Instance {
        /// The database.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A public key that cannot be used.
    #[error("the public key of {owner} cannot be used: {reason}")]
    Key {
        /// Whose it is.
        owner: String,
        /// Why.
        reason: String,
    },
    /// Content that the key at hand does not open: nothing was changed.
    #[error(
        "no envelope for the instance {fingerprint} in {} of {total} manifests: {}; nothing was changed",
        holders.len(), named(holders)
    )]
    NoEnvelope {
        /// Of the instance that cannot open it.
        fingerprint: String,
        /// How many manifests were looked at.
        total: usize,
        /// What they belong to.
        holders: Vec<String>,
    },
    /// An envelope that the right key does not open, or content that is not what its hash says.
    #[error("{holder}: {reason}")]
    Content {
        /// What it belongs to.
        holder: String,
        /// What is wrong.
        reason: String,
    },
    /// A backup directory, or a file in it.
    #[error("{}: {reason}", path.display())]
    Backup {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Something that would have to be overwritten.
    #[error("{} is there already, and nothing is overwritten", path.display())]
    Exists {
        /// The file or folder.
        path: PathBuf,
    },
    /// Applets that are not there.
    #[error("there is no applet {}; there are {}", named(names), named(there))]
    UnknownApplets {
        /// Asked for.
        names: Vec<String>,
        /// To choose from.
        there: Vec<String>,
    },
}

/// A result of this adapter.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// For `map_err` on what touched a file.
    pub(super) fn file(
        path: &Path,
        action: &'static str,
    ) -> impl FnOnce(io::Error) -> Self + use<> {
        let fail = FileError::at(path.to_owned(), action);
        move |source| Self::File(fail(source))
    }

    /// For `map_err` on what touched the database.
    pub(super) fn database(
        path: &Path,
        action: &'static str,
    ) -> impl FnOnce(rusqlite::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Database { path, action, source }
    }
}

/// The first of many, then how many more.
fn named(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    match names.len().checked_sub(NAMED) {
        _ if names.is_empty() => "none".to_owned(),
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}
