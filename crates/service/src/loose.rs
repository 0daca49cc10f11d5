//! A path with a kind of its own, without a node: a database that is copied as one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nodekeep_nodes::kind::{self, Captured, Graft, Request, With};
use nodekeep_nodes::manifest::Note;
use nodekeep_nodes::position::Position;
use nodekeep_nodes::profile::{Kind, Variables};
use nodekeep_repo::backup::{BackupOptions, BackupReport};
use nodekeep_repo::repository::SnapshotRecord;
use serde::{Deserialize, Serialize};

use crate::backup::Ground;
use crate::error::Result;
use crate::find::attachment;
use crate::graft::NodeSource;
use crate::staging::Staging;

/// Name of the attachment with what the capture of a path found.
const CAPTURE: &str = "nodekeep.path/capture.json";

/// What the capture of a path found, as its snapshot carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The kind it was copied by.
    pub kind: String,
    /// How far it had come.
    #[serde(default, skip_serializing_if = "Position::is_empty")]
    pub position: Position,
    /// What was torn, and what a person should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

impl Told {
    fn of(kind: &Kind, captured: &Captured) -> Self {
        Self {
            kind: kind.word().to_owned(),
            position: captured.position.clone(),
            notes: captured.notes.clone(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What a snapshot carries; `None` if its paths were copied as files, or by a later version that says it in another way.
    pub fn by(record: &SnapshotRecord) -> Option<Self> {
        serde_json::from_slice(attachment(record, CAPTURE)?).ok()
    }
}

/// How long a path may be tried.
const PATIENCE: Duration = Duration::from_secs(300);

/// The kind that a path plainly is of, if its files must not be copied one by one, or a line in half, while it is in use.
pub fn recognise(path: &Path) -> Option<Kind> {
    let would_tear = |kind: &Kind| {
        matches!(kind, Kind::Sqlite(_) | Kind::Rocksdb | Kind::Leveldb | Kind::JsonlChain(..))
    };
    kind::recognise(path).filter(would_tear)
}

impl Ground<'_> {
    /// Backs up a path by a kind.
    ///
    /// # Errors
    /// If it cannot be captured by that kind, or the engine fails.
    pub fn backup_path(
        &self,
        path: &Path,
        kind: &Kind,
        options: &BackupOptions,
    ) -> Result<(BackupReport, Captured)> {
        let path =
            path.canonicalize().map_err(crate::error::Error::file(path, "cannot be found"))?;
        let state = self.state.loose();
        let _alone = state.alone("paths")?;
        let mut staging = Staging::begin(&state, "path", self.scratch.clone())?;
        let folder = staging.folder_for(&path)?;
        let variables = Variables::new();
        let request = Request::alone(&path, &folder, &variables, PATIENCE);
        let captured = kind::capture(kind, &request)?;
        let mut grafts = captured.grafts.clone();
        let hidden = |at: &PathBuf| Graft { at: at.clone(), with: With::Nothing };
        grafts.extend(staging.folders().iter().map(hidden));
        let roots = vec![(path.clone(), path)];
        let source = NodeSource::new(roots, grafts, Vec::new(), Box::new(Vec::new));
        let mut options = options.clone();
        options.attachments.push((CAPTURE.to_owned(), Told::of(kind, &captured).bytes()));
        let report = self.repository.backup(&source, &options, self.monitor)?;
        Ok((report, captured))
    }
}
