//! What can go wrong, each naming the object or path. Faces add hint and exit code.

use std::path::PathBuf;

use nodekeep_store::{StoreError, StoreErrorKind};
use thiserror::Error;

use crate::id::{ChunkId, RepoId, SessionId};
use crate::wire::Malformed;

/// How an object's bytes are wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Damage {
    /// Not what the format says.
    #[error("malformed: {0}")]
    Malformed(#[from] Malformed),
    /// Another kind of object, or no object of ours.
    #[error("not the kind of object that its name says")]
    WrongKind,
    /// Written by a newer Nodekeep.
    #[error("written in a newer format than this Nodekeep reads")]
    NewerFormat,
    /// The signature does not match.
    #[error("its signature does not match")]
    Signature,
    /// Signed by someone who may not.
    #[error("signed by someone who may not")]
    Signer,
    /// Its content does not agree with its name.
    #[error("its content does not agree with its name")]
    Name,
    /// Its hash is not its name.
    #[error("its hash does not match its name")]
    Hash,
    /// A sealed key does not open.
    #[error("a sealed key in it does not open")]
    Seal,
    /// A sealed key is not the one it says.
    #[error("a sealed key in it is not the one it claims to be")]
    KeyMismatch,
    /// Belongs to another repository.
    #[error("it belongs to another repository")]
    OtherRepository,
    /// Decryption fails.
    #[error("it does not decrypt: damaged, swapped, or sealed with another key")]
    NotAuthentic,
    /// Decompression fails or gives another length.
    #[error("it does not decompress to what it should")]
    Compression,
    /// A decrypted chunk is not the one asked for.
    #[error("its content is not what its id says")]
    ChunkId,
    /// Larger than anything the format allows.
    #[error("larger than the format allows")]
    TooLarge,
    /// A sequence number that a checkpoint has closed.
    #[error("its sequence number was used up before the last checkpoint")]
    Sequence,
    /// Missing, though something names it.
    #[error("it is missing")]
    Missing,
    /// Shorter than what points into it says.
    #[error("it is cut short")]
    Truncated,
}

/// Any failure of the engine.
#[derive(Debug, Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An object is damaged.
    #[error("{object}: {damage}")]
    Damaged {
        /// Name of the object in the store.
        object: String,
        /// What is wrong.
        damage: Damage,
    },
    /// There is no repository.
    #[error("there is no Nodekeep repository at {location}")]
    NoRepository {
        /// Where it was looked for.
        location: String,
    },
    /// There is one already.
    #[error("there is already a Nodekeep repository at {location}")]
    RepositoryExists {
        /// Where.
        location: String,
    },
    /// The place holds other things.
    #[error("{location} is not empty, and holds no Nodekeep repository")]
    NotEmpty {
        /// Where.
        location: String,
    },
    /// The format is newer.
    #[error("the repository at {location} uses format {found}; this Nodekeep reads up to {known}")]
    NewerFormat {
        /// Where.
        location: String,
        /// Format of the repository, 0 if not even that can be told.
        found: u64,
        /// Newest format known here.
        known: u64,
    },
    /// The repository is not the one that was pinned.
    #[error("the repository at {location} is {found}, not {expected} as before")]
    OtherRepository {
        /// Where.
        location: String,
        /// Its id.
        found: RepoId,
        /// The id that was expected.
        expected: RepoId,
    },
    /// A repository was to be copied into itself.
    #[error("{location} is the same repository")]
    SameRepository {
        /// Where it is.
        location: String,
    },
    /// The words belong to another repository.
    #[error("these recovery words are valid, but belong to another repository")]
    ForeignWords,
    /// None of the keys at hand opens the repository.
    #[error("none of the keys given can read this repository")]
    NotAReader,
    /// A key fits, but the passphrase is wrong or the envelope is damaged.
    #[error("the passphrase is wrong, or the envelope {object} is damaged")]
    WrongPassphrase {
        /// The envelope.
        object: String,
    },
    /// The operation needs to read and only a writer credential is at hand.
    #[error("this needs a reader's key, and only a writer credential is here")]
    WriterOnly,
    /// The operation needs file content and the key only collects.
    #[error("this needs a reader's key; a collector cannot open file content")]
    CollectorOnly,
    /// The operation needs the owner.
    #[error("only the owner of the repository can do this")]
    OwnerOnly,
    /// The operation needs a writer credential.
    #[error("there is no writer credential for this repository here")]
    NoWriter,
    /// The credential belongs elsewhere or was revoked.
    #[error("this writer is not in the repository's roster, or was removed from it")]
    WriterRejected,
    /// The store shows older state than seen before.
    #[error(
        "the repository shows roster {found}, but this machine has seen {pinned}: the store was rolled back, or someone removed objects"
    )]
    RolledBack {
        /// Number found.
        found: u64,
        /// Number pinned.
        pinned: u64,
    },
    /// The store shows an older checkpoint than seen before.
    #[error(
        "the repository shows checkpoint {found}, but this machine has seen {pinned}: the store was rolled back, or someone removed objects"
    )]
    CheckpointRolledBack {
        /// Number found, 0 for none.
        found: u64,
        /// Number pinned.
        pinned: u64,
    },
    /// The store shows another checkpoint under the number seen before.
    #[error(
        "checkpoint {number} is another one than this machine has seen: the store was rolled back and written to again, or someone replaced objects"
    )]
    CheckpointReplaced {
        /// Its number.
        number: u64,
    },
    /// A store without lists, and nothing that stands in for them.
    #[error("{location} cannot be listed, and holds no listing of a mirror")]
    NoListing {
        /// Where.
        location: String,
    },
    /// Backups and collections do not belong into a mirror: the next mirroring would not know them.
    #[error("{location} is a mirror: what is written there, its original never sees")]
    IsMirror {
        /// Where.
        location: String,
    },
    /// The store does not create if absent, and nobody said that nobody else is at work.
    #[error("{location} cannot keep two programs apart that change the same repository")]
    NotAlone {
        /// Where.
        location: String,
    },
    /// Someone else is doing the same.
    #[error("{what} is being written by someone else")]
    Busy {
        /// The object.
        what: &'static str,
    },
    /// No open session matches.
    #[error("no open session matches `{wanted}`")]
    NoSession {
        /// What was asked for.
        wanted: String,
    },
    /// The session has ended.
    #[error("session {session} has ended: {how}")]
    SessionEnded {
        /// Which.
        session: SessionId,
        /// How.
        how: &'static str,
    },
    /// A mirror holds what its source does not.
    #[error("{destination} is not a mirror of {source_location}: {what}")]
    NotItsMirror {
        /// The destination.
        destination: String,
        /// The source.
        source_location: String,
        /// What speaks against it.
        what: String,
    },
    /// No such snapshot.
    #[error("no snapshot matches `{wanted}`")]
    NoSnapshot {
        /// What was asked for.
        wanted: String,
    },
    /// Several snapshots match.
    #[error("`{wanted}` matches {count} snapshots")]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// How many match.
        count: usize,
    },
    /// A path is not in the snapshot.
    #[error("`{path}` is not in snapshot {snapshot}")]
    NoPath {
        /// What was asked for, lossy.
        path: String,
        /// Where.
        snapshot: String,
    },
    /// No member of the roster matches.
    #[error("no member matches `{wanted}`")]
    NoMember {
        /// What was asked for.
        wanted: String,
    },
    /// A chunk is in no index.
    #[error("chunk {0} is in no pack that the index knows")]
    ChunkMissing(ChunkId),
    /// A session was ended by a collector, or its generation was closed.
    #[error("session {0} was ended by a collection while it ran")]
    Fenced(SessionId),
    /// The roster changed so that the session may not commit.
    #[error("the roster changed during the backup: a reader was removed")]
    RosterChanged,
    /// A pattern of what to leave out cannot be understood.
    #[error(transparent)]
    Pattern(#[from] crate::backup::BadPattern),
    /// The operation was interrupted on request.
    #[error("interrupted")]
    Interrupted,
    /// A local file failed.
    #[error("{}: {action}: {source}", path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// The system's word.
        source: std::io::Error,
    },
    /// The restore target holds something that would be overwritten.
    #[error("{count} existing paths differ from the snapshot and would be changed, {} among them", first.display())]
    WouldOverwrite {
        /// One of them.
        first: PathBuf,
        /// How many.
        count: u64,
    },
    /// An incremental file lacks its base.
    #[error("{file} holds only what its base lacks; the base `{base}` was not found beside it")]
    BaseMissing {
        /// The file.
        file: String,
        /// Name of the base when the file was made.
        base: String,
    },
    /// A foreign archive is not acceptable.
    #[error("{archive}: {what}")]
    Archive {
        /// The file.
        archive: String,
        /// What is wrong.
        what: String,
    },
}

impl Error {
    /// Names the damaged object.
    pub fn damaged(object: impl Into<String>, damage: impl Into<Damage>) -> Self {
        Self::Damaged { object: object.into(), damage: damage.into() }
    }

    /// A failure of a local file.
    pub fn file(
        path: impl Into<PathBuf>,
        action: &'static str,
        source: impl Into<std::io::Error>,
    ) -> Self {
        Self::File { path: path.into(), action, source: source.into() }
    }

    /// Whether this says that an object is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Store(e) if e.kind == StoreErrorKind::NotFound)
    }
}

/// Result of an engine operation.
pub type Result<T> = std::result::Result<T, Error>;
