//! What can go wrong with a node, each naming the path, the component or the command. Faces add hint and exit code.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// A file or folder that could not be read, written or changed.
#[derive(Debug, Error)]
#[error("{}: {action}: {source}", path.display())]
pub struct FileError {
    /// Where.
    pub path: PathBuf,
    /// What was tried.
    pub action: &'static str,
    /// Why it failed.
    pub source: io::Error,
}

impl FileError {
    /// For `map_err` on what touched a file.
    pub fn at(path: impl Into<PathBuf>, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self { path, action, source }
    }
}

/// Any failure of this crate.
#[derive(Debug, Error)]
pub enum Error {
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// A profile or a node's file that cannot be used.
    #[error("{origin}: {reason}")]
    Profile {
        /// The file, or the name of a built-in profile.
        origin: String,
        /// What is wrong with it and where.
        reason: String,
    },
    /// A placeholder without a value.
    #[error("{{{name}}} has no value: give it with --path or --set {name}=…")]
    Variable {
        /// Its name.
        name: String,
    },
    /// A name that no node may have.
    #[error("`{name}` is no name for a node: use letters, digits, `-`, `_` and `.`, at most 64")]
    NodeName {
        /// What was given.
        name: String,
    },
    /// A program that could not be started.
    #[error("`{program}` cannot be started: {source}")]
    Start {
        /// Its name or path.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A program that failed.
    #[error("`{program}` failed with {status}{}", said(stderr))]
    Failed {
        /// Its name or path.
        program: String,
        /// Exit code or signal, in words.
        status: String,
        /// The end of what it wrote to standard error.
        stderr: String,
    },
    /// A program that did not end.
    #[error("`{program}` did not end within {} s and was killed", patience.as_secs())]
    Hung {
        /// Its name or path.
        program: String,
        /// How long it had.
        patience: Duration,
    },
    /// A program that was ended because somebody wanted us to stop.
    #[error("`{program}` was ended: a stop was asked for")]
    Stopped {
        /// Its name or path.
        program: String,
    },
    /// Content that breaks the rules of its kind.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, with the place in it.
        reason: String,
    },
    /// What is there cannot be copied consistently in this way.
    #[error("{}: {reason}", path.display())]
    Unsupported {
        /// The file or folder.
        path: PathBuf,
        /// Why, and what to do instead.
        reason: String,
    },
    /// An Axon, or a backup of one.
    #[error(transparent)]
    Axon(#[from] crate::axon::error::Error),
    /// It kept changing for longer than the patience.
    #[error("{}: no consistent copy within {} s: {reason}", path.display(), patience.as_secs())]
    Restless {
        /// The file or folder.
        path: PathBuf,
        /// How long it was tried.
        patience: Duration,
        /// What kept changing.
        reason: String,
    },
    /// A file of Minima.
    #[error("{}: {source}", path.display())]
    Minima {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        source: crate::minima::error::Error,
    },
    /// A running Minima node.
    #[error(transparent)]
    MinimaRpc(#[from] crate::minima::rpc::RpcError),
    /// A peer that does not answer as it should.
    #[error("{host}: {source}")]
    Peer {
        /// Its host and port.
        host: String,
        /// Why.
        source: std::io::Error,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// For `map_err` on what touched a file.
    pub fn file(path: impl Into<PathBuf>, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let fail = FileError::at(path, action);
        move |source| Self::File(fail(source))
    }
}

fn said(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!(": {stderr}") }
}
