//! The manifest: what every snapshot of a node says about its components, for machines, and for people by rendering.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::position::Position;
use crate::profile::{HoldMethod, Priority};

/// Version of the manifest's JSON. Readers refuse a higher one.
pub const VERSION: u32 = 1;

/// Code of the note on a component of which only a part is here: chosen so, or left unfinished by an old tool.
pub const IN_PART: &str = "in-part";

/// Code of the note on a last line that was only half written.
pub const TORN_TAIL: &str = "torn-tail";

/// How a component came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Copied whole, by the rules of its kind.
    Captured,
    /// Copied, but something in it is torn or could not be read; the notes say what.
    Partial,
    /// Optional and not there.
    Absent,
    /// Left out on request.
    Skipped,
    /// Not copied; the notes say why.
    Failed,
}

/// Something a person should know about a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Short fixed word for machines: `torn-tail`, `prefix-changed`, `missing`.
    pub code: String,
    /// What it means here, with the place.
    pub text: String,
}

impl Note {
    /// A note.
    pub fn new(code: &str, text: impl Into<String>) -> Self {
        Self { code: code.to_owned(), text: text.into() }
    }
}

/// Something that belongs to a component and is not in the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// What: its hash or its path.
    pub name: String,
    /// Whose it is, in words.
    pub of: String,
    /// Why: `left-out`, or what is wrong with it.
    pub why: String,
}

/// One component in one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentRecord {
    /// Its name in the profile.
    pub name: String,
    /// What it is, in words.
    pub about: String,
    /// Where it lay: absolute.
    pub path: PathBuf,
    /// Its kind, as the profile names it.
    pub kind: String,
    /// How it came out.
    pub status: Status,
    /// Whether the node is worth nothing without it.
    pub required: bool,
    /// How precious it is.
    pub priority: Priority,
    /// Files in it.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// How far it had come.
    #[serde(default, skip_serializing_if = "Position::is_empty")]
    pub position: Position,
    /// Hashes in the terms of its kind: `tip`, `sha256 of chain.jsonl`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hashes: BTreeMap<String, String>,
    /// What was torn, skipped or failed, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// What belongs to it and is not in the snapshot, as far as its kind can name it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
}

impl ComponentRecord {
    /// Whether a component that is there in part lacks anything: a torn tail that was cut had never been whole in the node either.
    pub fn lost(&self) -> bool {
        !self.missing.is_empty() || self.notes.iter().any(|note| note.code != TORN_TAIL)
    }
}

/// The machine that wrote a snapshot: a second one with the same node is told apart by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Random, made once for each Nodekeep home: 32 hexadecimal digits.
    pub id: String,
    /// Its host name.
    pub host: String,
}

/// What a snapshot of a node says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
    /// The node's name.
    pub node: String,
    /// The profile's name.
    pub profile: String,
    /// When capturing began: RFC 3339, UTC.
    pub captured_at: String,
    /// Who wrote it.
    pub machine: Machine,
    /// How the node was to be kept still.
    pub hold: HoldMethod,
    /// Whether the hold was entered and released as planned; otherwise what happened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hold_notes: Vec<Note>,
    /// Every component of the profile, in the order of capture.
    pub components: Vec<ComponentRecord>,
}

impl Manifest {
    /// Components that were asked for and did not come out whole although the node needs them.
    pub fn missing(&self) -> impl Iterator<Item = &ComponentRecord> {
        self.components.iter().filter(|component| match component.status {
            Status::Failed | Status::Partial => component.required,
            Status::Captured | Status::Absent | Status::Skipped => false,
        })
    }

    /// Whether it may be called complete: nothing required is missing and nothing was left out.
    pub fn is_complete(&self) -> bool {
        self.missing().next().is_none()
            && self.components.iter().all(|component| component.status != Status::Skipped)
    }

    /// How far the node was, over all its components.
    pub fn position(&self) -> Position {
        let mut all = Position::default();
        self.components.iter().for_each(|record| all.join(&record.position));
        all
    }

    /// How many of each status: for the summary.
    pub fn count(&self, status: Status) -> usize {
        self.components.iter().filter(|component| component.status == status).count()
    }
}
