//! Records: what a machine tells of a node in the repository without files: marks after a look at its health, a retirement, a drill's
//! certificate. Each is a snapshot without roots, so it is signed, sequenced and sealed like every other.

use jiff::Timestamp;
use nodekeep_nodes::manifest::Machine;
use nodekeep_repo::backup::BackupOptions;
use nodekeep_repo::id::SnapshotId;
use nodekeep_repo::repository::SnapshotRecord;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::backup::Ground;
use crate::error::{Error, Result};
use crate::find::{RECORD, TAG, attachment};
use crate::graft::NodeSource;

/// Marks that were read.
pub const MARKS: &str = "marks";
/// A machine gave up an identity.
pub const RETIREMENT: &str = "retirement";
/// The result of a drill.
pub const CERTIFICATE: &str = "certificate";

/// A snapshot's data was looked at.
pub const VERIFICATION: &str = "verification";

/// What a look at a snapshot's data found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// When.
    pub at: Timestamp,
    /// Which snapshot, hexadecimal.
    pub snapshot: String,
    /// Whether all was as it should be.
    pub ok: bool,
    /// What was looked at, or what was wrong.
    pub how: String,
    /// Which machine looked.
    pub machine: Machine,
}

/// The records of one kind and node, oldest first; what cannot be read is passed over.
pub fn of_kind<T: DeserializeOwned>(all: &[SnapshotRecord], node: &str, kind: &str) -> Vec<T> {
    of_kind_with_ids(all, node, kind).into_iter().map(|(_, value)| value).collect()
}

/// The same with the snapshots that hold them.
pub fn of_kind_with_ids<T: DeserializeOwned>(
    all: &[SnapshotRecord],
    node: &str,
    kind: &str,
) -> Vec<(SnapshotId, T)> {
    let name = name_of(kind);
    let tag = (TAG.to_owned(), node.to_owned());
    let of_node = all.iter().filter(|record| record.snapshot.tags.contains(&tag));
    let read = |record: &SnapshotRecord| {
        let value = serde_json::from_slice(attachment(record, &name)?).ok()?;
        Some((record.id, value))
    };
    of_node.filter_map(read).collect()
}

/// Whether it is a record of this kind and node.
pub fn is_of_kind(record: &SnapshotRecord, node: &str, kind: &str) -> bool {
    let is_its = record.snapshot.tags.iter().any(|(name, value)| name == TAG && value == node);
    is_its && attachment(record, &name_of(kind)).is_some()
}

fn name_of(kind: &str) -> String {
    format!("{RECORD}{kind}.json")
}

impl Ground<'_> {
    /// Writes a record of a node.
    ///
    /// # Errors
    /// If the repository cannot be written.
    pub fn write_record(
        &self,
        node: &str,
        kind: &str,
        value: &impl Serialize,
    ) -> Result<SnapshotId> {
        let bytes = serde_json::to_vec(value).map_err(|error| Error::State {
            path: name_of(kind).into(),
            reason: error.to_string(),
        })?;
        let options = BackupOptions {
            tags: vec![(TAG.to_owned(), node.to_owned())],
            attachments: vec![(name_of(kind), bytes)],
            host: self.host.clone(),
            program: self.program.clone(),
            ..BackupOptions::default()
        };
        let nothing = NodeSource::new(Vec::new(), Vec::new(), Vec::new(), Box::new(Vec::new));
        let report = self.repository.backup(&nothing, &options, self.monitor)?;
        report.snapshot.ok_or_else(|| Error::Nothing {
            node: node.to_owned(),
            reason: "no record was written".to_owned(),
        })
    }
}
