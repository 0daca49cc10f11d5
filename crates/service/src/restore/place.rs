//! Where what a snapshot holds belongs on this machine, and how it comes there whole: beside its place first.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nodekeep_nodes::manifest::Status;
use nodekeep_nodes::node::Node;
use nodekeep_repo::restore::{RestoreOptions, RestoreReport, Target};

use crate::backup::Ground;
use crate::error::{Error, Result};
use crate::find::NodeSnapshot;
use crate::ours::RESTORE;
use crate::state::make_folder;

/// Something of a snapshot and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Where it lay when it was backed up.
    pub recorded: PathBuf,
    /// Where it belongs now.
    pub target: PathBuf,
    /// The components in it.
    pub components: Vec<String>,
}

/// What of a snapshot goes where, for a node whose folders may lie elsewhere. Components within others come with them.
///
/// # Errors
/// If a component's path cannot be told.
pub fn placements(
    snapshot: &NodeSnapshot,
    node: &Node,
    wants: impl Fn(&str) -> bool,
) -> Result<Vec<Placement>> {
    let located = node.components()?;
    let held = snapshot.manifest.components.iter();
    let held = held.filter(|c| matches!(c.status, Status::Captured | Status::Partial));
    let mut pairs: Vec<(PathBuf, PathBuf, String)> = held
        .filter(|record| wants(&record.name))
        .filter_map(|record| {
            let now = located.iter().find(|located| located.component.name == record.name)?;
            Some((record.path.clone(), now.path.clone(), record.name.clone()))
        })
        .collect();
    pairs.sort();
    let mut placements: Vec<Placement> = Vec::new();
    for (recorded, target, name) in pairs {
        let covering = placements.iter_mut().find(|p| covers(p, &recorded, &target));
        match covering {
            Some(placement) => placement.components.push(name),
            None => placements.push(Placement { recorded, target, components: vec![name] }),
        }
    }
    Ok(placements)
}

fn covers(placement: &Placement, recorded: &Path, target: &Path) -> bool {
    let relative = recorded.strip_prefix(&placement.recorded);
    relative.is_ok_and(|relative| match relative.as_os_str().is_empty() {
        true => placement.target == target,
        false => placement.target.join(relative) == target,
    })
}

/// A path below another, or that one itself.
pub(crate) fn join(base: &Path, inner: &Path) -> PathBuf {
    if inner.as_os_str().is_empty() { base.to_owned() } else { base.join(inner) }
}

/// What was left out of a placement although it lies in it: components that the snapshot does not have, or that are not wanted.
pub fn left_out(
    placement: &Placement,
    snapshot: &NodeSnapshot,
    node: &Node,
) -> Result<Vec<PathBuf>> {
    let mut left = Vec::new();
    for located in node.components()? {
        let name = &located.component.name;
        let is_in = located.path != placement.target && located.path.starts_with(&placement.target);
        if is_in && !(snapshot.holds(name) && placement.components.contains(name)) {
            left.push(located.path);
        }
    }
    Ok(left)
}

impl Ground<'_> {
    /// Restores a placement to `to`, which must not exist, built beside it and whole when it appears.
    ///
    /// # Errors
    /// If anything of it cannot be restored whole: then nothing is at `to`.
    pub fn bring(
        &self,
        snapshot: &NodeSnapshot,
        placement: &Placement,
        to: &Path,
    ) -> Result<RestoreReport> {
        let parent = to.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent).map_err(Error::file(parent, "cannot be made"))?;
        let name = to.file_name().unwrap_or_default().to_string_lossy();
        let short = snapshot.record.id.short();
        let stage = parent.join(format!("{RESTORE}{short}-{name}"));
        let mut options = RestoreOptions::new(Target::Into(stage.clone()));
        options.subpaths = vec![placement.recorded.as_os_str().as_bytes().to_vec()];
        // What an interrupted restore left there is ours.
        options.force = true;
        let report = self.repository.restore(&snapshot.record, &options, self.monitor)?;
        if let Some((path, why)) = report.errors.first() {
            let path = PathBuf::from(std::ffi::OsStr::from_bytes(path));
            return Err(Error::NotWhole { path, why: why.clone(), more: report.errors.len() - 1 });
        }
        let restored = stage.join(inside(snapshot, placement));
        fs::rename(&restored, to).map_err(Error::file(to, "cannot be put in place"))?;
        clear(&stage)?;
        Ok(report)
    }
}

/// Where the engine puts a chosen path below its target: one root's content directly, one file by its name, several below their paths.
pub(crate) fn inside(snapshot: &NodeSnapshot, placement: &Placement) -> PathBuf {
    let relative = |path: &Path| path.strip_prefix("/").unwrap_or(path).to_owned();
    match snapshot.record.snapshot.roots.as_slice() {
        [root] => {
            let path = Path::new(std::ffi::OsStr::from_bytes(&root.path));
            let name = if root.entry.is_dir() { None } else { path.file_name() };
            match name {
                Some(name) => PathBuf::from(name),
                None => placement
                    .recorded
                    .strip_prefix(path)
                    .map_or_else(|_| PathBuf::new(), Path::to_owned),
            }
        }
        _ => relative(&placement.recorded),
    }
}

fn clear(stage: &Path) -> Result<()> {
    match fs::remove_dir_all(stage) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::file(stage, "cannot be removed")(error))
        }
        _ => Ok(()),
    }
}

/// Brings every placement of a node whose folders do not exist yet: a sandbox, or a test instance.
///
/// # Errors
/// As [`Ground::bring`].
pub fn bring_all(
    ground: &Ground<'_>,
    snapshot: &NodeSnapshot,
    placements: &[Placement],
) -> Result<u64> {
    let mut bytes = 0;
    for placement in placements {
        if let Some(parent) = placement.target.parent() {
            make_folder(parent)?;
        }
        bytes += ground.bring(snapshot, placement, &placement.target)?.bytes;
    }
    Ok(bytes)
}
