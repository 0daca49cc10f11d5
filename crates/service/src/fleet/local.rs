//! What this machine last saw of a node. It is kept in the node's folder, so that a writer who cannot read the repository knows it too;
//! the last look at the node's health also travels in its snapshots.

use jiff::Timestamp;
use nodekeep_nodes::health::Seen;
use nodekeep_nodes::manifest::Manifest;
use nodekeep_nodes::position::Position;
use nodekeep_repo::repository::SnapshotRecord;
use nodekeep_repo::snapshot::Counts;
use serde::{Deserialize, Serialize};

use super::overview::{Health, Newest};
use crate::backup::NodeBackup;
use crate::error::Result;
use crate::find::attachment;
use crate::state::NodeState;

/// Name of the attachment with the last look at a node.
pub const HEALTH: &str = "nodekeep.node/health.json";

const LAST: &str = "last-backup.json";
const LOOK: &str = "health.json";

/// The newest whole snapshot that was made here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastBackup {
    /// Its id, hexadecimal.
    pub snapshot: String,
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Whether everything that the node needs is in it.
    pub complete: bool,
    /// Size of its files.
    pub bytes: u64,
    /// Bytes that the repository grew by.
    pub added_bytes: u64,
    /// How far the node had come.
    pub position: Position,
}

/// A look at a node's health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// When.
    pub at: Timestamp,
    /// Whether all was well.
    pub ok: bool,
    /// What was not, or what was looked at.
    pub text: String,
}

/// Writes down a snapshot that was just made; one in which components were left out says nothing about the node as a whole.
///
/// # Errors
/// If it cannot be written.
pub fn note_backup(state: &NodeState, backup: &NodeBackup, at: Timestamp) -> Result<()> {
    let skipped = backup.manifest.count(nodekeep_nodes::manifest::Status::Skipped);
    let Some(id) = backup.report.snapshot.filter(|_| skipped == 0) else {
        return Ok(());
    };
    let Counts { bytes, bytes_added, .. } = backup.report.counts;
    let seconds = Timestamp::now().duration_since(at).as_secs_f64().max(0.0);
    let last = LastBackup {
        snapshot: id.hex(),
        at,
        seconds,
        complete: is_complete(&backup.manifest, !backup.report.errors.is_empty()),
        bytes,
        added_bytes: bytes_added,
        position: backup.manifest.position(),
    };
    state.write_json(LAST, &last)
}

/// The newest whole snapshot that was made here.
///
/// # Errors
/// If it cannot be read or is damaged.
pub fn last_backup(state: &NodeState) -> Result<Option<LastBackup>> {
    state.read_json(LAST)
}

/// Writes down a look at a node.
///
/// # Errors
/// If it cannot be written.
pub fn note_look(state: &NodeState, seen: &[Seen], at: Timestamp) -> Result<()> {
    state.write_json(LOOK, &look_of(seen, at))
}

fn look_of(seen: &[Seen], at: Timestamp) -> Look {
    let bad = seen.iter().filter(|one| !one.is_well);
    let told: Vec<String> = bad.map(|one| format!("{}: {}", one.name, one.detail)).collect();
    let names: Vec<&str> = seen.iter().map(|one| one.name.as_str()).collect();
    let text = match (told.is_empty(), names.is_empty()) {
        (false, _) => told.join("; "),
        (true, false) => format!("well: {}", names.join(", ")),
        (true, true) => "the profile names no way to look".to_owned(),
    };
    Look { at, ok: told.is_empty(), text }
}

/// The last look from here.
///
/// # Errors
/// If it cannot be read or is damaged.
pub fn last_look(state: &NodeState) -> Result<Option<Look>> {
    state.read_json(LOOK)
}

/// What a snapshot carries of it.
///
/// # Errors
/// If it cannot be read or is damaged.
pub fn carried(state: &NodeState) -> Result<Option<(String, Vec<u8>)>> {
    let look = last_look(state)?;
    Ok(look.and_then(|look| Some((HEALTH.to_owned(), serde_json::to_vec(&look).ok()?))))
}

/// The look that a snapshot carried.
pub fn look_in(record: &SnapshotRecord) -> Option<Look> {
    serde_json::from_slice(attachment(record, HEALTH)?).ok()
}

/// Whether a snapshot holds everything that its node needs.
pub fn is_complete(manifest: &Manifest, has_unreadable: bool) -> bool {
    manifest.is_complete() && !has_unreadable
}

impl LastBackup {
    /// As the overview has it.
    pub fn newest(&self) -> Newest {
        Newest {
            snapshot: self.snapshot.clone(),
            at: self.at.into(),
            complete: self.complete,
            bytes: self.bytes,
            added_bytes: self.added_bytes,
            duration: self.seconds,
            position: self.position.told(),
        }
    }
}

impl From<Look> for Health {
    fn from(look: Look) -> Self {
        Self { at: look.at.into(), ok: look.ok, text: look.text }
    }
}
