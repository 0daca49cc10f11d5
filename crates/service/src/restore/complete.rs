//! What a restored component still lacks: content that its snapshot did not have comes from others, and what would make the node throw
//! content away is removed.

use std::path::{Path, PathBuf};

use nodekeep_nodes::axon::verify::manifests;
use nodekeep_nodes::kind::{self, Other, Others};
use nodekeep_nodes::node::{Located, Node};
use nodekeep_nodes::profile::{AxonChunksRule, Kind};
use nodekeep_repo::repository::SnapshotRecord;

use super::place::join;
use super::stage::{Staged, beside, remove};
use super::verify::lying;
use super::{Restored, Wish};
use crate::backup::Ground;
use crate::error::Result;
use crate::fetch::{Sources, Wanted};
use crate::find::NodeSnapshot;

/// How many of what is missing are named.
const NAMED: usize = 10;

/// Content that was fetched for a component that the snapshot does not hold.
#[derive(Debug)]
pub(super) struct Fetched {
    /// Where it lies until the node has stopped.
    pub(super) folder: PathBuf,
    /// Where it belongs.
    pub(super) target: PathBuf,
}

/// Where the copies of components lie that are about to be put in place; what the node uses, where a component stays.
pub(super) fn copies(node: &Node, staged: &Staged) -> Others {
    let mut others = lying(node);
    for located in node.components().unwrap_or_default() {
        if let Some(copy) = copy_of(&located, staged) {
            let live = located.path.clone();
            others.insert(located.component.name.clone(), Other { copy, live });
        }
    }
    others
}

/// What the snapshot lacks, for the plan.
pub(super) fn planned(snapshot: &NodeSnapshot, wish: &Wish) -> Vec<String> {
    let how = match wish.skip_chunks {
        true => "stay missing",
        false => "are looked for in the other snapshots",
    };
    let components = snapshot.manifest.components.iter();
    let lacking = components.filter(|c| !c.missing.is_empty() && wish.wants(&c.name));
    let text = |record: &nodekeep_nodes::manifest::ComponentRecord| {
        format!(
            "{} things of `{}` are not in this snapshot and {how}",
            record.missing.len(),
            record.name
        )
    };
    lacking.map(text).collect()
}

/// The staged copy of a component.
fn copy_of(located: &Located<'_>, staged: &Staged) -> Option<PathBuf> {
    staged.files.iter().find_map(|(placement, copy)| {
        let is_in = placement.components.contains(&located.component.name);
        let inner = located.path.strip_prefix(&placement.target).ok().filter(|_| is_in)?;
        Some(join(copy, inner))
    })
}

impl Ground<'_> {
    /// Completes what is staged, while the node still runs.
    ///
    /// # Errors
    /// If the repository cannot be read or a file cannot be written. What is found nowhere is told, and is no error.
    pub(super) fn complete(
        &self,
        node: &Node,
        (snapshot, all): (&NodeSnapshot, &[SnapshotRecord]),
        wish: &Wish,
        staged: &mut Staged,
        restored: &mut Restored,
    ) -> Result<()> {
        for located in node.components()? {
            let kind = &located.component.kind;
            let copy = copy_of(&located, staged);
            if let Some(copy) = &copy {
                restored.notes.extend(kind::mend(kind, copy)?);
            }
            let Kind::AxonChunks(rule) = kind else { continue };
            let lacking = lacking(node, rule, &located, staged)?;
            let is_wanted = wish.skip_chunks || wish.wants(&located.component.name);
            if lacking.is_empty() || !is_wanted {
                continue;
            }
            let sources = Sources { near: snapshot, all, component: &located.component.name };
            let folder = beside(&located.path, "fetched", snapshot);
            remove(&folder)?;
            let into = copy.clone().unwrap_or_else(|| folder.clone());
            let name = &located.component.name;
            if wish.skip_chunks {
                restored.notes.push(format!(
                    "{}: `restore … --component {name}` brings it",
                    lacks(&lacking, name)
                ));
                continue;
            }
            let left = self.fetch_beside(sources, lacking, &into, restored)?;
            if !left.is_empty() {
                restored.problems.push(lacks(&left, name));
            }
            if copy.is_none() && folder.exists() {
                staged.fetched.push(Fetched { folder, target: located.path.clone() });
            }
        }
        Ok(())
    }

    fn fetch_beside(
        &self,
        sources: Sources<'_>,
        lacking: Vec<Wanted>,
        into: &Path,
        restored: &mut Restored,
    ) -> Result<Vec<Wanted>> {
        let count = lacking.len();
        let scratch = into.with_extension("nodekeep-fetching");
        remove(&scratch)?;
        let left = self.fetch(sources, lacking, into, &scratch);
        remove(&scratch)?;
        let left = left?;
        if left.len() < count {
            let found = count - left.len();
            restored.notes.push(format!(
                "{found} of {count} missing contents came from other snapshots of the node"
            ));
        }
        Ok(left)
    }
}

/// What the restored rows name and is not whole in the copy, or where the node keeps it if that stays. Nothing if the rows stay.
fn lacking(
    node: &Node,
    rule: &AxonChunksRule,
    chunks: &Located<'_>,
    staged: &Staged,
) -> Result<Vec<Wanted>> {
    let database = node.component(&rule.database)?;
    let Some(database) = copy_of(&database, staged) else { return Ok(Vec::new()) };
    let folder = copy_of(chunks, staged).unwrap_or_else(|| chunks.path.clone());
    let all = manifests(&database).map_err(nodekeep_nodes::error::Error::from)?;
    let wanted = all.into_iter().map(|(of, manifest)| Wanted { of, manifest });
    let (whole, lacking): (Vec<Wanted>, Vec<Wanted>) =
        wanted.partition(|wanted| wanted.is_whole(&folder));
    // Two rows of one content under two keys: the newer one's chunks are there.
    let is_superseded = |wanted: &Wanted| {
        whole.iter().any(|other| other.manifest.content_hash == wanted.manifest.content_hash)
    };
    Ok(lacking.into_iter().filter(|wanted| !is_superseded(wanted)).collect())
}

fn lacks(left: &[Wanted], component: &str) -> String {
    let named: Vec<&str> = left.iter().take(NAMED).map(|wanted| wanted.of.as_str()).collect();
    let more = match left.len().checked_sub(NAMED) {
        None | Some(0) => String::new(),
        Some(more) => format!(" and {more} more"),
    };
    let of = named.join(", ");
    format!("`{component}` lacks the content of {of}{more}")
}
