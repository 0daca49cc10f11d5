//! Traces damage to what it hits: one more walk, and only where there is damage.

use crate::id::ChunkId;
use crate::pack::PackKind;
use crate::tree::{Entry, Kind, Node, Run};
use crate::walk::{Flaw, TreeReader, places};

use super::*;

/// A problem names so many paths.
const MOST_PATHS: usize = 10_000;
/// No directory of a real system lies deeper.
const MOST_DEPTH: usize = 2048;

pub(super) fn trace(
    state: &State,
    walk: &Walk<'_>,
    bad: &Bits,
    findings: &mut Findings,
    monitor: &dyn Monitor,
) -> Result<()> {
    if walk.flaws.is_empty() && bad.is_empty() {
        return Ok(());
    }
    let mut trace = Trace {
        reader: &state.reader,
        trees: TreeReader::new(&state.reader),
        bad_trees: bad_trees(&walk.flaws),
        bad,
        clean: HashSet::new(),
        findings,
        monitor,
    };
    for record in &state.records {
        for root in &record.snapshot.roots {
            trace.entry(record.id, &root.path, &root.entry, 0)?;
        }
    }
    Ok(())
}

/// The object to blame for each tree that could not be read.
fn bad_trees(flaws: &[Flaw]) -> BTreeMap<ChunkId, String> {
    let blame = |flaw: &Flaw| {
        let object = match &flaw.error {
            Error::Damaged { object, .. } => object.clone(),
            Error::ChunkMissing(id) => format!("chunk {id}"),
            _ => "trees".to_owned(),
        };
        Some((flaw.tree?, object))
    };
    flaws.iter().filter_map(blame).collect()
}

struct Trace<'a> {
    reader: &'a ChunkReader,
    trees: TreeReader<'a>,
    bad_trees: BTreeMap<ChunkId, String>,
    bad: &'a Bits,
    /// Trees below which nothing is hit.
    clean: HashSet<ChunkId>,
    findings: &'a mut Findings,
    monitor: &'a dyn Monitor,
}

impl Trace<'_> {
    /// Whether anything at or below the entry is hit.
    fn entry(
        &mut self,
        snapshot: SnapshotId,
        path: &[u8],
        entry: &Entry,
        depth: usize,
    ) -> Result<bool> {
        match &entry.kind {
            Kind::Directory { tree, .. } => self.tree(snapshot, path, tree, depth),
            Kind::File { runs, .. } => {
                let blamed = self.blame(runs);
                blamed.iter().for_each(|object| self.hit(object, snapshot, path));
                Ok(!blamed.is_empty())
            }
            _ => Ok(false),
        }
    }

    fn hit(&mut self, object: &str, snapshot: SnapshotId, path: &[u8]) {
        let finding = self.findings.problems.entry(object.to_owned()).or_default();
        finding.snapshots.insert(snapshot);
        if finding.paths.len() < MOST_PATHS {
            finding.paths.insert(path.to_vec());
        }
    }

    fn tree(
        &mut self,
        snapshot: SnapshotId,
        path: &[u8],
        tree: &ChunkId,
        depth: usize,
    ) -> Result<bool> {
        if self.clean.contains(tree) || depth > MOST_DEPTH {
            return Ok(false);
        }
        if self.monitor.interrupted() {
            return Err(Error::Interrupted);
        }
        if let Some(object) = self.bad_trees.get(tree).cloned() {
            self.hit(&object, snapshot, path);
            return Ok(true);
        }
        let hit = match self.trees.node(tree) {
            Ok(node) => self.node(snapshot, path, &node, depth)?,
            // The walk has read it: the store has changed since.
            Err(error) => {
                let object = self.findings.add_error("trees", &error);
                self.hit(&object, snapshot, path);
                true
            }
        };
        if !hit {
            self.clean.insert(*tree);
        }
        Ok(hit)
    }

    fn node(
        &mut self,
        snapshot: SnapshotId,
        path: &[u8],
        node: &Node,
        depth: usize,
    ) -> Result<bool> {
        let mut hit = false;
        match node {
            Node::Leaf(entries) => {
                for entry in entries {
                    let base = path.strip_suffix(b"/").unwrap_or(path);
                    let path = [base, b"/", &entry.name].concat();
                    hit |= self.entry(snapshot, &path, entry, depth + 1)?;
                }
            }
            Node::Split(parts) => {
                for (_, part) in parts {
                    hit |= self.tree(snapshot, path, part, depth + 1)?;
                }
            }
        }
        Ok(hit)
    }

    /// The objects to blame for the damage of a file: all packs of a chunk that none of them gives whole.
    fn blame(&self, runs: &[Run]) -> BTreeSet<String> {
        let index = self.reader.index();
        let mut blamed = BTreeSet::new();
        for run in runs {
            let Run::Data { chunk, offset, len } = run else {
                continue;
            };
            let mut places = places(index, PackKind::Data, chunk).peekable();
            let beyond = places.peek().is_some_and(|(_, place)| {
                u64::from(*offset) + u64::from(*len) > u64::from(place.raw)
            });
            if beyond || places.peek().is_none() {
                blamed.insert(format!("chunk {chunk}"));
            }
            let packs: Vec<(usize, String)> =
                places.map(|(at, place)| (at, index.pack(place).pack.name())).collect();
            if packs.iter().all(|(at, _)| self.bad.get(*at)) {
                blamed.extend(packs.into_iter().map(|(_, name)| name));
            }
        }
        blamed
    }
}
