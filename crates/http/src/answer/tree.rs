//! `/snapshots/{id}/tree`: what lies in a folder of a snapshot.

use nodekeep_repo::tree::{Entry, Kind};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Page, words};
use crate::call::{Call, encoded};
use crate::problem::Problem;

/// A name in a folder.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Name {
    /// The name for people; of what was backed up, the whole path.
    name: String,
    /// Percent-encoded bytes of the path: what `?path=` takes.
    path: String,
    /// `file`, `directory`, `link`, `fifo`, `socket`, `character-device` or `block-device`.
    kind: String,
    /// Size in bytes; of a folder that of all below.
    bytes: u64,
    /// When it was last modified; null if that is no time.
    modified: Option<String>,
    /// Permissions, octal.
    mode: String,
    /// Where a link points.
    target: Option<String>,
}

/// `GET /snapshots/{id}/tree`.
pub fn list(call: &Call) -> Result<Page<Name>, Problem> {
    let shelf = call.house.library.readable()?;
    let record = shelf.snapshot(call.param("id"))?;
    let (offset, limit) = (call.query.offset()?, call.query.limit()?);
    let path = call.query.bytes("path").unwrap_or_default();
    if path.is_empty() {
        let roots = record.snapshot.roots.iter();
        let names = roots.map(|root| document(&words::lossy(&root.path), &root.path, &root.entry));
        return Ok(Page::of(names, offset, limit));
    }
    let reader = shelf.reader()?;
    let entry = entry_at(&reader, &record.snapshot, path)?;
    let Kind::Directory { tree, .. } = &entry.kind else {
        return Err(Problem::not_found("there is no folder at this path of the snapshot"));
    };
    let folder = path.strip_suffix(b"/").unwrap_or(path);
    let entries = reader.entries(tree)?;
    let names = entries.iter().map(|entry| {
        document(&words::lossy(&entry.name), &[folder, b"/", &entry.name].concat(), entry)
    });
    Ok(Page::of(names, offset, limit))
}

/// What is at an absolute path of a snapshot.
///
/// # Errors
/// 400 for a path that no backup can have, 404 if nothing is there.
pub fn entry_at(
    reader: &nodekeep_repo::reader::ChunkReader,
    snapshot: &nodekeep_repo::snapshot::Snapshot,
    path: &[u8],
) -> Result<Entry, Problem> {
    let is_odd = |part: &[u8]| matches!(part, b"." | b"..");
    if !path.starts_with(b"/") || path.contains(&0) || path.split(|b| *b == b'/').any(is_odd) {
        return Err(Problem::usage("`path` must be absolute, without `.`, `..` and NUL"));
    }
    let missing = || Problem::not_found("there is nothing at this path of the snapshot");
    reader.find(snapshot, path)?.ok_or_else(missing)
}

/// The word for what an entry is.
pub fn kind(entry: &Entry) -> &'static str {
    match entry.kind {
        Kind::File { .. } => "file",
        Kind::Directory { .. } => "directory",
        Kind::Symlink { .. } => "link",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
        Kind::CharDevice { .. } => "character-device",
        Kind::BlockDevice { .. } => "block-device",
    }
}

/// Size in bytes; of a folder that of all below.
pub fn size(entry: &Entry) -> u64 {
    match &entry.kind {
        Kind::Directory { bytes, .. } => *bytes,
        _ => entry.size(),
    }
}

fn document(name: &str, path: &[u8], entry: &Entry) -> Name {
    let target = match &entry.kind {
        Kind::Symlink { target } => Some(words::lossy(target)),
        _ => None,
    };
    let modified = jiff::Timestamp::from_second(entry.mtime).ok();
    Name {
        name: name.to_owned(),
        path: encoded(path),
        kind: kind(entry).to_owned(),
        bytes: size(entry),
        modified: modified.map(words::time),
        mode: format!("{:04o}", entry.mode),
        target,
    }
}
