//! A path with a kind of its own, without a node: a database that is copied as one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nodekeep_nodes::kind::{self, Captured, Graft, Request, With};
use nodekeep_nodes::profile::{Kind, Variables};
use nodekeep_repo::backup::{BackupOptions, BackupReport};

use crate::backup::Ground;
use crate::error::Result;
use crate::graft::NodeSource;
use crate::staging::Staging;

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
        let report = self.repository.backup(&source, options, self.monitor)?;
        Ok((report, captured))
    }
}
