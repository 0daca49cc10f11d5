//! What can go wrong, said with the place and the object it happened to.

use std::fmt;
use std::io;

use rustix::io::Errno;

/// The operation that failed, or that a recording or fault plan is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Opening or starting a container.
    Open,
    /// Reading an object or part of it.
    Get,
    /// Asking for an object's size.
    Size,
    /// Creating an object.
    Create,
    /// Listing objects.
    List,
    /// Deleting an object.
    Delete,
    /// Making earlier creations durable.
    Barrier,
    /// Completing and publishing a portable file.
    Finish,
}

impl Op {
    /// Whether the operation changes what the store holds or promises.
    pub fn is_mutating(self) -> bool {
        matches!(self, Self::Create | Self::Delete | Self::Barrier | Self::Finish)
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Get => "read",
            Self::Size => "inspect",
            Self::Create => "write",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Barrier => "flush",
            Self::Finish => "complete",
        }
    }
}

/// A failed store operation.
#[derive(Debug, thiserror::Error)]
pub struct StoreError {
    /// What was attempted.
    pub op: Op,
    /// The object's name relative to the store; empty if the store as a whole is meant.
    pub object: String,
    /// Where the store is: a path, a file name or "memory".
    pub location: String,
    /// What went wrong.
    pub kind: StoreErrorKind,
    /// The system's error, if there was one.
    pub source: Option<io::Error>,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = self.op.verb();
        match self.object.as_str() {
            "" => write!(f, "cannot {verb} {}: {}", self.location, self.kind),
            object => write!(f, "cannot {verb} {object} in {}: {}", self.location, self.kind),
        }
    }
}

impl StoreError {
    pub(crate) fn new(op: Op, location: &str, object: &str, kind: StoreErrorKind) -> Self {
        Self { op, object: object.to_owned(), location: location.to_owned(), kind, source: None }
    }

    pub(crate) fn io(op: Op, location: &str, object: &str, source: io::Error) -> Self {
        let kind = StoreErrorKind::of(&source);
        Self::new(op, location, object, kind).because(source)
    }

    pub(crate) fn because(self, source: io::Error) -> Self {
        Self { source: Some(source), ..self }
    }

    /// Whether the object simply is not there.
    pub fn is_not_found(&self) -> bool {
        self.kind == StoreErrorKind::NotFound
    }
}

/// The classes of failure that callers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreErrorKind {
    /// No object, file or folder of that name.
    #[error("it does not exist")]
    NotFound,
    /// The name of a portable file is taken.
    #[error("a file of that name exists already")]
    AlreadyExists,
    /// The system refused access.
    #[error("permission denied")]
    PermissionDenied,
    /// The disk is full or a quota is used up.
    #[error("no space left")]
    NoSpace,
    /// The store, or the file system below it, takes no changes.
    #[error("it is read-only")]
    ReadOnly,
    /// The object or container ends before the bytes asked for.
    #[error("it ends too early: truncated, or not completely copied")]
    Truncated,
    /// Not a name that an object can have here.
    #[error("not a valid object name")]
    InvalidName,
    /// The container contradicts itself; says in what.
    #[error("damaged: {0}")]
    Damaged(&'static str),
    /// Something else than a store is at the location.
    #[error("not a Nodekeep store")]
    NotAStore,
    /// The container's format is another version than this program knows.
    #[error("its format needs a newer Nodekeep")]
    NewerFormat,
    /// Any other error of the system; see the source.
    #[error("input/output error")]
    Io,
}

impl StoreErrorKind {
    pub(crate) fn of(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Truncated;
        }
        match Errno::from_io_error(error) {
            Some(Errno::NOENT) => Self::NotFound,
            Some(Errno::EXIST) => Self::AlreadyExists,
            Some(Errno::ACCESS | Errno::PERM) => Self::PermissionDenied,
            Some(Errno::NOSPC | Errno::DQUOT) => Self::NoSpace,
            Some(Errno::ROFS) => Self::ReadOnly,
            _ => Self::Io,
        }
    }
}
