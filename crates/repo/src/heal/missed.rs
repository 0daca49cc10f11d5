//! What live snapshots need and no pack gives any more: tree chunks with the paths where they belong, and data chunks with the parts of
//! files that they are made of.

use std::collections::{BTreeMap, HashSet};

use crate::error::{Error, Result};
use crate::id::ChunkId;
use crate::index::Index;
use crate::monitor::Monitor;
use crate::pack::PackKind;
use crate::reader::ChunkReader;
use crate::repository::SnapshotRecord;
use crate::tree::{Entry, Kind, Node, Run};
use crate::walk::{TreeReader, places};

/// So many parts of files are looked at in a round: what is beyond waits for the next.
const MOST_PIECES: usize = 200_000;
/// Directories in each other.
const MOST_DEPTH: usize = 4096;

/// A path in a snapshot.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    /// Which of the snapshots that were walked.
    pub(super) record: usize,
    /// Absolute, as it was backed up.
    pub(super) path: Vec<u8>,
}

/// A part of a file that lies in a chunk.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) spot: Spot,
    /// Which of the file's runs it is.
    pub(super) run: usize,
    /// Where it begins in the file, in bytes.
    pub(super) at: u64,
    /// Where it begins in the chunk, in bytes.
    pub(super) offset: u32,
    /// Bytes.
    pub(super) len: u32,
    /// Size of the file in bytes.
    pub(super) size: u64,
}

/// What is missed.
#[derive(Debug, Default)]
pub(super) struct Missed {
    /// Directories that cannot be read, or parts of them: where each belongs.
    pub(super) trees: BTreeMap<ChunkId, Vec<Spot>>,
    /// Content.
    pub(super) data: BTreeMap<ChunkId, Vec<Piece>>,
    pieces: usize,
}

impl Missed {
    /// Walks every snapshot; each tree once.
    ///
    /// # Errors
    /// If the work is interrupted, or the store fails otherwise than by damage.
    pub(super) fn find(
        reader: &ChunkReader,
        records: &[SnapshotRecord],
        monitor: &dyn Monitor,
    ) -> Result<Self> {
        let mut search = Search {
            index: reader.index(),
            trees: TreeReader::new(reader),
            seen: HashSet::new(),
            missed: Self::default(),
            monitor,
        };
        for (record, snapshot) in records.iter().enumerate() {
            for root in &snapshot.snapshot.roots {
                search.entry(&Spot { record, path: root.path.clone() }, &root.entry, 0)?;
            }
        }
        Ok(search.missed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.trees.is_empty() && self.data.is_empty()
    }

    /// Ids of what is missed.
    pub(super) fn ids(&self) -> impl Iterator<Item = (PackKind, ChunkId)> + '_ {
        let trees = self.trees.keys().map(|id| (PackKind::Tree, *id));
        trees.chain(self.data.keys().map(|id| (PackKind::Data, *id)))
    }
}

struct Search<'a> {
    index: &'a Index,
    trees: TreeReader<'a>,
    seen: HashSet<ChunkId>,
    missed: Missed,
    monitor: &'a dyn Monitor,
}

impl Search<'_> {
    fn entry(&mut self, spot: &Spot, entry: &Entry, depth: usize) -> Result<()> {
        match &entry.kind {
            Kind::Directory { tree, .. } => self.tree(spot, tree, depth),
            Kind::File { runs, size, .. } => {
                self.file(spot, runs, *size);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn tree(&mut self, spot: &Spot, tree: &ChunkId, depth: usize) -> Result<()> {
        if self.monitor.interrupted() {
            return Err(Error::Interrupted);
        }
        // The same lost tree in another snapshot is another place where it may be found.
        if let Some(spots) = self.missed.trees.get_mut(tree) {
            spots.push(spot.clone());
            return Ok(());
        }
        if depth > MOST_DEPTH || !self.seen.insert(*tree) {
            return Ok(());
        }
        match self.trees.node(tree) {
            Ok(Node::Leaf(entries)) => entries.iter().try_for_each(|entry| {
                let base = spot.path.strip_suffix(b"/").unwrap_or(&spot.path);
                let path = [base, b"/", &entry.name].concat();
                self.entry(&Spot { record: spot.record, path }, entry, depth + 1)
            }),
            Ok(Node::Split(parts)) => {
                parts.iter().try_for_each(|(_, part)| self.tree(spot, part, depth + 1))
            }
            Err(Error::Store(error)) => Err(error.into()),
            Err(_) => {
                self.missed.trees.insert(*tree, vec![spot.clone()]);
                Ok(())
            }
        }
    }

    fn file(&mut self, spot: &Spot, runs: &[Run], size: u64) {
        let mut at = 0;
        for (run, part) in runs.iter().enumerate() {
            if let Run::Data { chunk, offset, len } = *part
                && self.missed.pieces < MOST_PIECES
                && places(self.index, PackKind::Data, &chunk).next().is_none()
            {
                let piece = Piece { spot: spot.clone(), run, at, offset, len, size };
                self.missed.data.entry(chunk).or_default().push(piece);
                self.missed.pieces += 1;
            }
            at += part.len();
        }
    }
}
