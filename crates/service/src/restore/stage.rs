//! Everything of a restore, copied and checked beside its place, while the node still runs.

use std::fs;
use std::path::{Path, PathBuf};

use nodekeep_nodes::kind::back::{WayBack, can_take};
use nodekeep_nodes::node::Node;
use nodekeep_repo::repository::SnapshotRecord;

use super::complete::{Fetched, copies};
use super::giving::Given;
use super::place::{Placement, join, left_out};
use super::verify::{unsound, verify_placement};
use super::{Plan, Restored, Wish};
use crate::backup::Ground;
use crate::error::{Error, Result};
use crate::find::NodeSnapshot;
use crate::ours;

/// Copies, each with what it is.
#[derive(Debug, Default)]
pub(super) struct Staged {
    /// What is put in place.
    pub(super) files: Vec<(Placement, PathBuf)>,
    /// What a program takes.
    pub(super) given: Vec<(Given, PathBuf)>,
    /// Content for components that stay.
    pub(super) fetched: Vec<Fetched>,
}

impl Staged {
    /// Every copy, and what it is a copy of.
    pub(super) fn copies(&self) -> impl Iterator<Item = (&Placement, &Path)> {
        let files = self.files.iter().map(|(placement, copy)| (placement, copy.as_path()));
        files.chain(self.given.iter().map(|(given, copy)| (&given.placement, copy.as_path())))
    }

    /// Whether something comes back in this way.
    pub(super) fn has(&self, way: WayBack) -> bool {
        self.given.iter().any(|(given, _)| given.way == way)
    }

    /// Removes the copies: nothing came of it.
    pub(super) fn discard(&self) {
        let fetched = self.fetched.iter().map(|fetched| fetched.folder.as_path());
        for copy in self.copies().map(|(_, copy)| copy).chain(fetched) {
            // What cannot be removed is removed by the next restore of this snapshot.
            _ = remove(copy);
        }
    }
}

impl Ground<'_> {
    /// Copies and checks everything beside its place; what a program takes, it is asked about.
    pub(super) fn stage(
        &self,
        node: &Node,
        (snapshot, all): (&NodeSnapshot, &[SnapshotRecord]),
        (wish, plan): (&Wish, &Plan),
        restored: &mut Restored,
    ) -> Result<Staged> {
        let mut staged = Staged::default();
        let done = self
            .stage_all(node, snapshot, plan, restored, &mut staged)
            .and_then(|()| self.complete(node, (snapshot, all), wish, &mut staged, restored))
            .and_then(|()| check_all(node, snapshot, &staged, restored));
        done.inspect_err(|_| staged.discard())?;
        Ok(staged)
    }

    fn stage_all(
        &self,
        node: &Node,
        snapshot: &NodeSnapshot,
        plan: &Plan,
        restored: &mut Restored,
        staged: &mut Staged,
    ) -> Result<()> {
        for placement in &plan.placements {
            let copy = beside(&placement.target, "new", snapshot);
            staged.files.push((placement.clone(), copy.clone()));
            self.stage_one(node, snapshot, placement, &copy, restored)?;
        }
        for given in &plan.given {
            let copy = beside_all(plan, given, snapshot);
            staged.given.push((given.clone(), copy.clone()));
            self.stage_one(node, snapshot, &given.placement, &copy, restored)?;
            let located = node.component(&given.component)?;
            let variables = node.variables();
            can_take(&located.component.kind, &given.back(&copy, &variables))?;
        }
        Ok(())
    }

    fn stage_one(
        &self,
        node: &Node,
        snapshot: &NodeSnapshot,
        placement: &Placement,
        copy: &Path,
        restored: &mut Restored,
    ) -> Result<()> {
        remove(copy)?;
        restored.bytes += self.bring(snapshot, placement, copy)?.bytes;
        // What lies in it and is not wanted came with it.
        for path in left_out(placement, snapshot, node)? {
            let inner = path.strip_prefix(&placement.target).unwrap_or(&path);
            remove(&join(copy, inner))?;
        }
        Ok(())
    }
}

/// Every copy by the rules of its kind, once all of them are there: some are checked against others.
fn check_all(
    node: &Node,
    snapshot: &NodeSnapshot,
    staged: &Staged,
    restored: &mut Restored,
) -> Result<()> {
    let others = copies(node, staged);
    for (placement, copy) in staged.copies() {
        let checked = verify_placement(node, snapshot, placement, copy, &others);
        if let Some(error) = checked.iter().find_map(|seen| unsound(snapshot, seen)) {
            return Err(error);
        }
        restored.verified.extend(checked);
    }
    Ok(())
}

/// A name for what a program takes: beside its place, and never in a folder that is swapped meanwhile.
fn beside_all(plan: &Plan, given: &Given, snapshot: &NodeSnapshot) -> PathBuf {
    let path = &given.placement.target;
    let mut swapped = plan.placements.iter().map(|placement| &placement.target);
    let around = swapped.find(|target| path.starts_with(target)).unwrap_or(path);
    beside(&around.with_file_name(&given.component), "dump", snapshot)
}

/// A name beside a path: for what comes, and for what was.
pub(super) fn beside(target: &Path, what: &str, snapshot: &NodeSnapshot) -> PathBuf {
    ours::beside(target, what, &snapshot.record.id.short())
}

/// Removes a file or folder; it may be gone already.
pub(super) fn remove(path: &Path) -> Result<()> {
    let gone = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    gone.map_err(Error::file(path, "cannot be removed"))
}
