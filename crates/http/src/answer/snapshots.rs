//! `/snapshots`.

use std::collections::BTreeMap;

use nodekeep_nodes::manifest::{ComponentRecord, Manifest, Status};
use nodekeep_nodes::position::Position;
use nodekeep_repo::repository::SnapshotRecord;
use nodekeep_service::find::{NodeSnapshot, node_of};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Page, words};
use crate::call::Call;
use crate::problem::Problem;

/// A snapshot in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Snapshot {
    /// Its id.
    pub id: String,
    /// The first eight digits of it.
    pub short: String,
    /// The node, if it is of one.
    pub node: Option<String>,
    /// The machine that wrote it.
    pub host: String,
    /// What was backed up.
    pub paths: Vec<String>,
    /// When the backup began.
    pub at: String,
    /// How long it took, in seconds.
    pub duration: f64,
    /// Bytes of all files.
    pub bytes: u64,
    /// How many files.
    pub files: u64,
    /// Bytes that the repository grew by.
    pub added_bytes: u64,
    /// Whether everything that belongs in it is.
    pub complete: bool,
    /// How far the node was, in its own terms.
    pub position: Option<String>,
    /// Tags: name and value.
    pub tags: BTreeMap<String, String>,
    /// Whether the node was held while it was read.
    pub held: bool,
}

/// A snapshot with what it says of its node.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SnapshotDetails {
    #[serde(flatten)]
    snapshot: Snapshot,
    /// What it says of the node; null if it is of none.
    manifest: Option<ManifestDocument>,
    /// The same for people, line by line.
    text: Vec<String>,
}

/// What a snapshot says of its node.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ManifestDocument {
    /// Its parts.
    components: Vec<Component>,
}

/// A part of a node in a snapshot.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SnapshotComponent")]
pub struct Component {
    /// What it is called.
    name: String,
    /// What kind it is.
    kind: String,
    /// `captured`, `partial`, `absent`, `skipped` or `failed`.
    status: String,
    /// Whether the node needs it.
    required: bool,
    /// Its size in bytes.
    bytes: u64,
    /// How far it was, in the node's terms.
    position: Option<String>,
    /// Whether it holds a part only.
    torn: bool,
    /// What there is to say about it.
    note: Option<String>,
}

/// `GET /snapshots`.
pub fn list(call: &Call) -> Result<Page<Snapshot>, Problem> {
    let shelf = call.house.library.readable()?;
    let node = call.query.text("node")?;
    let limit = call.query.limit()?;
    let after = call.query.text("after")?;
    let mut wanted = shelf
        .snapshots()
        .rev()
        .filter(|record| node.is_none_or(|node| node_of(record) == Some(node)));
    if let Some(after) = after {
        // A cursor is the id of the last item of the page before: it holds while new snapshots come.
        wanted.by_ref().find(|record| record.id.hex() == after).ok_or_else(|| {
            Problem::usage("`after` must be the `next` of an earlier page; that snapshot is gone")
        })?;
    }
    let mut page = Page::of(wanted, 0, limit);
    page.next = page.next.and(page.items.last().map(|record| record.id.hex()));
    Ok(Page { items: page.items.into_iter().map(document).collect(), next: page.next })
}

/// `GET /snapshots/{id}`.
pub fn show(call: &Call) -> Result<SnapshotDetails, Problem> {
    let shelf = call.house.library.readable()?;
    let record = shelf.snapshot(call.param("id"))?;
    let node = NodeSnapshot::of(record).transpose()?;
    let manifest = node.as_ref().map(|node| ManifestDocument {
        components: node.manifest.components.iter().map(component).collect(),
    });
    let text = lines(record, node.as_ref().map(|node| &node.manifest));
    Ok(SnapshotDetails { snapshot: document(record), manifest, text })
}

/// How far a node was, over all its components.
pub fn position_of(manifest: &Manifest) -> Position {
    let mut all = Position::default();
    manifest.components.iter().for_each(|record| all.join(&record.position));
    all
}

fn document(record: &SnapshotRecord) -> Snapshot {
    let (id, snapshot) = (&record.id, &record.snapshot);
    let manifest = NodeSnapshot::of(record).and_then(Result::ok).map(|node| node.manifest);
    let counts = &snapshot.counts;
    Snapshot {
        id: id.hex(),
        short: id.short(),
        node: node_of(record).map(str::to_owned),
        host: snapshot.host.clone(),
        paths: snapshot.roots.iter().map(|root| words::lossy(&root.path)).collect(),
        at: words::time_ms(snapshot.started_ms),
        duration: (snapshot.finished_ms - snapshot.started_ms).max(0) as f64 / 1000.0,
        bytes: counts.bytes,
        files: counts.files,
        added_bytes: counts.bytes_added,
        complete: !snapshot.incomplete && manifest.as_ref().is_none_or(Manifest::is_complete),
        position: manifest.as_ref().and_then(|manifest| words::position(&position_of(manifest))),
        tags: snapshot.tags.iter().cloned().collect(),
        held: manifest.as_ref().is_some_and(is_held),
    }
}

fn is_held(manifest: &Manifest) -> bool {
    serde_json::to_value(manifest.hold).is_ok_and(|hold| hold != "none")
}

/// One part of a manifest.
pub fn component(record: &ComponentRecord) -> Component {
    let notes: Vec<&str> = record.notes.iter().map(|note| note.text.as_str()).collect();
    Component {
        name: record.name.clone(),
        kind: record.kind.clone(),
        status: status(record.status).to_owned(),
        required: record.required,
        bytes: record.bytes,
        position: words::position(&record.position),
        torn: record.status == Status::Partial,
        note: (!notes.is_empty()).then(|| notes.join(" ")),
    }
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Captured => "captured",
        Status::Partial => "partial",
        Status::Absent => "absent",
        Status::Skipped => "skipped",
        Status::Failed => "failed",
    }
}

fn lines(record: &SnapshotRecord, manifest: Option<&Manifest>) -> Vec<String> {
    let snapshot = &record.snapshot;
    let mut lines = vec![
        format!("by {}@{}, {}", snapshot.user, snapshot.host, snapshot.program),
        format!(
            "{} in {}",
            words::counted(snapshot.counts.files, "file"),
            words::counted(snapshot.counts.dirs, "folder")
        ),
    ];
    if let Some(manifest) = manifest {
        lines.push(format!(
            "node {} ({}), captured {} on {}",
            manifest.node, manifest.profile, manifest.captured_at, manifest.machine.host
        ));
        lines.extend(manifest.hold_notes.iter().map(|note| note.text.clone()));
    }
    let unreadable = snapshot.errors.iter().take(20);
    lines.extend(
        unreadable.map(|(path, why)| format!("could not be read: {}: {why}", words::lossy(path))),
    );
    lines
}
