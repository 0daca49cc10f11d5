//! Records: what a machine tells of a node in the repository without files: marks after a look at its health, a retirement, a drill's
//! certificate. Each is a snapshot without roots, so it is signed, sequenced and sealed like every other.

use nodekeep_repo::backup::BackupOptions;
use nodekeep_repo::id::SnapshotId;
use nodekeep_repo::repository::SnapshotRecord;
use serde::Serialize;
use serde::de::DeserializeOwned;

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

fn name_of(kind: &str) -> String {
    format!("{RECORD}{kind}.json")
}

impl Ground<'_> {
    /// Writes a record of a node.
    ///
    /// # Errors
    /// If the repository cannot be written.
    pub fn write_record(&self, node: &str, kind: &str, value: &impl Serialize) -> Result<SnapshotId> {
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
