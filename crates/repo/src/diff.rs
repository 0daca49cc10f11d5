//! What differs between two snapshots, of one repository or of two. Folders with the same tree are passed over unread.

use std::collections::BTreeMap;
use std::mem::discriminant;

use crate::error::Result;
use crate::id::ChunkId;
use crate::reader::ChunkReader;
use crate::repository::SnapshotRecord;
use crate::restore::cache::ChunkCache;
use crate::tree::{Entry, Kind, Run};

/// How a name differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// Only the second snapshot has it.
    Added,
    /// Only the first snapshot has it.
    Removed,
    /// Its content differs: a file's bytes, a link's target, a device's number.
    Modified,
    /// Only owner, permissions, attributes or time differ.
    MetadataChanged,
    /// It is something else now.
    TypeChanged,
}

/// A name that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Absolute path.
    pub path: Vec<u8>,
    /// How it differs.
    pub kind: ChangeKind,
    /// What it was.
    pub before: Option<Entry>,
    /// What it is.
    pub after: Option<Entry>,
}

/// A name of one snapshot or both.
#[derive(Debug, Default)]
struct Pair {
    before: Option<Entry>,
    after: Option<Entry>,
}

/// A folder that is being compared.
struct Level {
    path: Vec<u8>,
    pairs: std::collections::btree_map::IntoIter<Vec<u8>, Pair>,
}

/// Tells every name that differs, folders before what they hold, by name. What lies in an added or removed folder is told
/// too. Paths of roots that both snapshots have are compared; other roots count as added or removed.
///
/// # Errors
/// If a tree cannot be read; or a chunk, where snapshots of two repositories are compared: their hashes tell nothing then.
pub fn diff(
    a: &ChunkReader,
    before: &SnapshotRecord,
    b: &ChunkReader,
    after: &SnapshotRecord,
    each: &mut dyn FnMut(Change),
) -> Result<()> {
    let mut roots: BTreeMap<Vec<u8>, Pair> = BTreeMap::new();
    for root in &before.snapshot.roots {
        roots.entry(root.path.clone()).or_default().before = Some(root.entry.clone());
    }
    for root in &after.snapshot.roots {
        roots.entry(root.path.clone()).or_default().after = Some(root.entry.clone());
    }
    let comparison = Comparison { a, b, same_keys: a.domain().id == b.domain().id };
    comparison.run(Level { path: Vec::new(), pairs: roots.into_iter() }, each)
}

struct Comparison<'a> {
    a: &'a ChunkReader,
    b: &'a ChunkReader,
    /// Whether equal content has equal ids and hashes.
    same_keys: bool,
}

impl Comparison<'_> {
    fn run(&self, roots: Level, each: &mut dyn FnMut(Change)) -> Result<()> {
        let mut levels = vec![roots];
        while let Some(level) = levels.last_mut() {
            let Some((name, pair)) = level.pairs.next() else {
                levels.pop();
                continue;
            };
            let path = join(&level.path, name);
            let (before, after) = (tree_of(&pair.before), tree_of(&pair.after));
            if let Some(kind) = self.compare(&pair)? {
                each(Change { path: path.clone(), kind, before: pair.before, after: pair.after });
            }
            if before.is_some() || after.is_some() {
                let same = self.same_keys && before == after;
                if !same {
                    levels.push(self.open(path, before, after)?);
                }
            }
        }
        Ok(())
    }

    fn open(
        &self,
        path: Vec<u8>,
        before: Option<ChunkId>,
        after: Option<ChunkId>,
    ) -> Result<Level> {
        let mut pairs: BTreeMap<Vec<u8>, Pair> = BTreeMap::new();
        for entry in before.map(|tree| self.a.entries(&tree)).transpose()?.unwrap_or_default() {
            let pair = pairs.entry(entry.name.clone()).or_default();
            pair.before = Some(entry);
        }
        for entry in after.map(|tree| self.b.entries(&tree)).transpose()?.unwrap_or_default() {
            let pair = pairs.entry(entry.name.clone()).or_default();
            pair.after = Some(entry);
        }
        Ok(Level { path, pairs: pairs.into_iter() })
    }

    fn compare(&self, pair: &Pair) -> Result<Option<ChangeKind>> {
        let (before, after) = match (&pair.before, &pair.after) {
            (Some(before), Some(after)) => (before, after),
            (None, Some(_)) => return Ok(Some(ChangeKind::Added)),
            (Some(_), None) => return Ok(Some(ChangeKind::Removed)),
            (None, None) => return Ok(None),
        };
        Ok(if discriminant(&before.kind) != discriminant(&after.kind) {
            Some(ChangeKind::TypeChanged)
        } else if !self.same_content(&before.kind, &after.kind)? {
            Some(ChangeKind::Modified)
        } else if metadata(before) != metadata(after) {
            Some(ChangeKind::MetadataChanged)
        } else {
            None
        })
    }

    fn same_content(&self, before: &Kind, after: &Kind) -> Result<bool> {
        match (before, after) {
            (Kind::Directory { .. }, Kind::Directory { .. }) => Ok(true),
            (
                Kind::File { size: a, hash: x, runs: r },
                Kind::File { size: b, hash: y, runs: s },
            ) => {
                if a != b || self.same_keys {
                    return Ok(a == b && x == y && layout(r) == layout(s));
                }
                Ok(content_hash(self.a, r)? == content_hash(self.b, s)?)
            }
            _ => Ok(before == after),
        }
    }
}

fn join(folder: &[u8], name: Vec<u8>) -> Vec<u8> {
    match folder {
        [] => name,
        [.., b'/'] => [folder, &name].concat(),
        _ => [folder, b"/", &name].concat(),
    }
}

fn tree_of(entry: &Option<Entry>) -> Option<ChunkId> {
    match entry {
        Some(Entry { kind: Kind::Directory { tree, .. }, .. }) => Some(*tree),
        _ => None,
    }
}

/// What counts as metadata. The number that joins hard links is none: it changes when files move to another disk.
fn metadata(entry: &Entry) -> impl PartialEq + '_ {
    (entry.mode, entry.uid, entry.gid, entry.mtime, entry.mtime_ns, &entry.xattrs)
}

/// Where data and holes lie; the hash of a file covers only the data.
fn layout(runs: &[Run]) -> Vec<(bool, u64)> {
    let mut parts: Vec<(bool, u64)> = Vec::new();
    for run in runs.iter().filter(|run| !run.is_empty()) {
        let is_data = matches!(run, Run::Data { .. });
        match parts.last_mut() {
            Some((last, len)) if *last == is_data => *len += run.len(),
            _ => parts.push((is_data, run.len())),
        }
    }
    parts
}

/// Hash of all bytes, holes as zeros.
fn content_hash(reader: &ChunkReader, runs: &[Run]) -> Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut chunks = ChunkCache::new(reader);
    chunks.expect(runs.iter());
    for run in runs {
        match chunks.bytes(reader, run)? {
            Some(bytes) => {
                hasher.update(bytes);
            }
            None => hash_zeros(&mut hasher, run.len()),
        }
    }
    Ok(hasher.finalize())
}

fn hash_zeros(hasher: &mut blake3::Hasher, mut len: u64) {
    let zeros = [0; 64 * 1024];
    while len > 0 {
        let part = len.min(zeros.len() as u64);
        hasher.update(&zeros[..part as usize]);
        len -= part;
    }
}
