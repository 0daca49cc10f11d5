//! What an audit finds.

use crate::id::{MemberId, SessionId, SnapshotId};
use crate::roster::Role;

/// How a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its snapshot lives.
    Live,
    /// Its snapshot was deleted, and there is a record of that.
    Deleted,
    /// It was ended by a keeper.
    FencedByKeeper,
    /// Its writer gave it up.
    GivenUp,
    /// It has no outcome, and may still get one.
    Open,
    /// Its generation was closed before it had an outcome.
    NeverCommitted,
    /// It was committed when its generation had just been closed: its writer was told, and began again.
    TooLate,
    /// Its outcome is not valid, and counts as fenced.
    Invalid,
}

impl Standing {
    /// The word for JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Deleted => "deleted",
            Self::FencedByKeeper => "stopped-by-keeper",
            Self::GivenUp => "given-up",
            Self::Open => "open",
            Self::NeverCommitted => "never-committed",
            Self::TooLate => "too-late",
            Self::Invalid => "invalid",
        }
    }
}

/// One session of a writer, as far as its objects are still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditedSession {
    /// Its id.
    pub id: SessionId,
    /// The writer's count; 0 if nothing that can be read says it.
    pub sequence: u64,
    /// Its generation.
    pub generation: u64,
    /// When it says that it began, Unix milliseconds.
    pub started_ms: Option<i64>,
    /// How it stands.
    pub standing: Standing,
}

/// What one writer or keeper wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedWriter {
    /// Its id.
    pub id: MemberId,
    /// Its label, where the keys at hand open it.
    pub label: Option<String>,
    /// Whether the roster has it; objects of nobody are suspicious.
    pub role: Option<Role>,
    /// The sequence from which its statements are invalid.
    pub removed_from: Option<u64>,
    /// Its highest sequence.
    pub head: u64,
    /// Its sequences up to this are settled by the newest checkpoint: only those of live snapshots are still told apart.
    pub settled: u64,
    /// Live snapshots.
    pub snapshots: u64,
    /// Packs below its prefix, and their bytes; `None` where the store has no lists.
    pub packs: Option<(u64, u64)>,
    /// Its sessions, by sequence.
    pub sessions: Vec<AuditedSession>,
}

/// A snapshot that a keeper deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedDeletion {
    /// Which.
    pub snapshot: SnapshotId,
    /// By which keeper.
    pub keeper: MemberId,
    /// When, Unix seconds, by the keeper's clock.
    pub when: i64,
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// The kind, as a stable word.
    pub code: &'static str,
    /// A sentence.
    pub message: String,
    /// The snapshot that is gone, if one can be named.
    pub snapshot: Option<SnapshotId>,
    /// The writer concerned.
    pub writer: Option<MemberId>,
    /// The sequence that is missing, or the last of several in a row.
    pub sequence: Option<u64>,
}

/// What an audit found.
#[derive(Debug, Clone, Default)]
pub struct AuditReport {
    /// Writers, and keepers that wrote packs.
    pub writers: Vec<AuditedWriter>,
    /// Every deletion on record, newest first.
    pub deletions: Vec<AuditedDeletion>,
    /// What must not be.
    pub alarms: Vec<Alarm>,
    /// What is worth knowing and no alarm.
    pub notes: Vec<String>,
    /// The newest checkpoint.
    pub checkpoint: u64,
    /// The roster in force.
    pub roster: u64,
    /// Signed objects that were verified.
    pub verified: u64,
}
