//! `/diff`: what changed between two snapshots. It is compared anew for each page, so that no list of all changes lies in memory.

use nodekeep_nodes::position::step_text;
use nodekeep_repo::diff::{Change, ChangeKind, diff};
use nodekeep_repo::repository::SnapshotRecord;
use nodekeep_service::find::NodeSnapshot;
use schemars::JsonSchema;
use serde::Serialize;

use super::tree::{kind, size};
use crate::call::{Call, encoded};
use crate::problem::Problem;

/// What changed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DiffDocument {
    /// In figures.
    summary: Summary,
    /// Names that differ, folders before what they hold.
    items: Vec<ChangeDocument>,
    /// Where the next page begins; null on the last.
    next: Option<String>,
}

/// What changed, in figures.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Summary {
    /// Names that only the later has.
    added: u64,
    /// Names that only the earlier has.
    removed: u64,
    /// Names that differ.
    changed: u64,
    /// Bytes of files that were added, and by which others grew.
    bytes_added: u64,
    /// Bytes of files that were removed, and by which others shrank.
    bytes_removed: u64,
    /// In the node's own terms.
    lines: Vec<String>,
}

/// A name that differs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChangeDocument {
    /// `added`, `removed`, `changed` or `metadata`.
    change: String,
    /// Percent-encoded bytes of its path.
    path: String,
    /// What it is, or was.
    kind: String,
    /// Its size in the earlier.
    bytes_from: Option<u64>,
    /// Its size in the later.
    bytes_to: Option<u64>,
}

/// `GET /diff`.
pub fn show(call: &Call) -> Result<DiffDocument, Problem> {
    let shelf = call.house.library.readable()?;
    let (limit, offset) = (call.query.limit()?, call.query.offset()?);
    let from = shelf.snapshot(call.query.needed("from")?)?;
    let to = shelf.snapshot(call.query.needed("to")?)?;
    let reader = shelf.reader()?;
    let mut summary = Summary { lines: steps(from, to), ..Summary::default() };
    let (mut items, mut seen) = (Vec::new(), 0);
    let mut each = |change: Change| {
        summary.count(&change);
        if seen >= offset && items.len() < limit {
            items.push(document(&change));
        }
        seen += 1;
    };
    diff(&reader, from, &reader, to, &mut each)?;
    let end = offset.saturating_add(items.len());
    Ok(DiffDocument { summary, items, next: (end < seen).then(|| end.to_string()) })
}

impl Summary {
    fn count(&mut self, change: &Change) {
        match change.kind {
            ChangeKind::Added => self.added += 1,
            ChangeKind::Removed => self.removed += 1,
            _ => self.changed += 1,
        }
        let file =
            |entry: &Option<nodekeep_repo::tree::Entry>| entry.as_ref().map_or(0, |e| e.size());
        let (before, after) = (file(&change.before), file(&change.after));
        self.bytes_added += after.saturating_sub(before);
        self.bytes_removed += before.saturating_sub(after);
    }
}

fn document(change: &Change) -> ChangeDocument {
    let word = match change.kind {
        ChangeKind::Added => "added",
        ChangeKind::Removed => "removed",
        ChangeKind::MetadataChanged => "metadata",
        ChangeKind::Modified | ChangeKind::TypeChanged => "changed",
    };
    let shown = change.after.as_ref().or(change.before.as_ref());
    ChangeDocument {
        change: word.to_owned(),
        path: encoded(&change.path),
        kind: shown.map_or("file", kind).to_owned(),
        bytes_from: change.before.as_ref().map(size),
        bytes_to: change.after.as_ref().map(size),
    }
}

/// "412 more blocks": how far a node came.
fn steps(from: &SnapshotRecord, to: &SnapshotRecord) -> Vec<String> {
    let position = |record| Some(NodeSnapshot::of(record)?.ok()?.manifest.position());
    let (Some(before), Some(after)) = (position(from), position(to)) else { return Vec::new() };
    let steps = before.steps(&after).into_iter();
    steps.map(|(name, from, to)| step_text(name, from, to)).collect()
}
