//! Walks the trees of snapshots, each tree once whatever the number of snapshots that share it, and marks the chunks they reach.

use std::collections::VecDeque;

use crate::error::{Damage, Error, Result};
use crate::id::ChunkId;
use crate::index::{Entry as Place, Index};
use crate::pack::PackKind;
use crate::reader::{Buffers, ChunkReader};
use crate::snapshot::Snapshot;
use crate::tree::{Entry, Kind, Node, Run};

/// Tree packs are kept in memory up to so many bytes: one read for each is far cheaper than one for each chunk.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// One bit for each entry of an index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    pub(crate) fn new(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(64)] }
    }

    /// Sets a bit; true if it was clear.
    pub(crate) fn set(&mut self, at: usize) -> bool {
        let (word, bit) = (&mut self.words[at / 64], 1 << (at % 64));
        let clear = *word & bit == 0;
        *word |= bit;
        clear
    }

    pub(crate) fn get(&self, at: usize) -> bool {
        self.words[at / 64] >> (at % 64) & 1 == 1
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }
}

/// Index of the first place of a chunk of a kind among the index's entries: the chunk's own bit.
pub(crate) fn position(index: &Index, kind: PackKind, id: &ChunkId) -> Option<usize> {
    index.range(id).find(|at| index.pack(&index.entries()[*at]).pack.kind == kind)
}

/// Places of a chunk of a kind, with their positions among the index's entries.
pub(crate) fn places<'a>(
    index: &'a Index,
    kind: PackKind,
    id: &'a ChunkId,
) -> impl Iterator<Item = (usize, &'a Place)> {
    let numbered = index.range(id).map(|at| (at, &index.entries()[at]));
    numbered.filter(move |(_, place)| index.pack(place).pack.kind == kind)
}

/// Reads tree chunks out of whole packs.
pub(crate) struct TreeReader<'a> {
    reader: &'a ChunkReader,
    packs: VecDeque<(u32, Vec<u8>)>,
    bytes: u64,
    buffers: Buffers,
    scratch: Vec<u8>,
}

impl<'a> TreeReader<'a> {
    pub(crate) fn new(reader: &'a ChunkReader) -> Self {
        Self {
            reader,
            packs: VecDeque::new(),
            bytes: 0,
            buffers: Buffers::new(),
            scratch: Vec::new(),
        }
    }

    /// Reads a tree chunk from any place that gives it whole.
    pub(crate) fn node(&mut self, id: &ChunkId) -> Result<Node> {
        let index = self.reader.index();
        let mut last = Error::ChunkMissing(*id);
        for place in
            index.places(id).iter().filter(|place| index.pack(place).pack.kind == PackKind::Tree)
        {
            match self.open(place) {
                Ok(()) => {
                    return Node::decode(&self.buffers.plain)
                        .map_err(|m| Error::damaged(format!("tree {id}"), m));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn open(&mut self, place: &Place) -> Result<()> {
        if !self.load(place.pack) {
            return self.reader.chunk_at(place, &mut self.buffers);
        }
        let name = || self.reader.index().pack(place).pack.name();
        let (_, pack) = self.packs.back().ok_or_else(|| Error::damaged(name(), Damage::Missing))?;
        let from = place.offset as usize;
        let stored = pack.get(from..from + place.stored as usize);
        let stored = stored.ok_or_else(|| Error::damaged(name(), Damage::Truncated))?;
        self.scratch.clear();
        self.scratch.extend_from_slice(stored);
        self.reader.open_at(place, &mut self.scratch, &mut self.buffers)
    }

    /// Brings a pack to the back of the cache; false if it is too large for it or cannot be read whole.
    fn load(&mut self, number: u32) -> bool {
        if let Some(at) = self.packs.iter().position(|(have, _)| *have == number) {
            let pack = self.packs.remove(at);
            self.packs.extend(pack);
            return true;
        }
        let pack = &self.reader.index().packs[number as usize];
        if pack.size > CACHE_BYTES / 2 {
            return false;
        }
        let read = self.reader.store().get(&pack.pack.name()).ok();
        let Some(bytes) = read.filter(|bytes| bytes.len() as u64 == pack.size) else {
            return false;
        };
        self.bytes += bytes.len() as u64;
        self.packs.push_back((number, bytes));
        while self.bytes > CACHE_BYTES && self.packs.len() > 1 {
            self.bytes -= self.packs.pop_front().map_or(0, |(_, bytes)| bytes.len() as u64);
        }
        true
    }
}

/// Something that a snapshot needs and that is not there or not whole.
#[derive(Debug)]
pub(crate) struct Flaw {
    /// The tree chunk, if it is one that cannot be read: everything below it is out of reach.
    pub(crate) tree: Option<ChunkId>,
    /// What is wrong.
    pub(crate) error: Error,
}

/// What is wrong with the runs of a file, if anything: a chunk that no pack has, or a run beyond its chunk.
pub(crate) fn flaw_of_runs(index: &Index, runs: &[Run]) -> Option<Error> {
    runs.iter().find_map(|run| {
        let Run::Data { chunk, offset, len } = run else {
            return None;
        };
        match places(index, PackKind::Data, chunk).next() {
            None => Some(Error::ChunkMissing(*chunk)),
            Some((_, place)) if u64::from(*offset) + u64::from(*len) > u64::from(place.raw) => {
                Some(Error::damaged(format!("chunk {chunk}"), Damage::Truncated))
            }
            Some(_) => None,
        }
    })
}

/// The walk: it goes on behind what is wrong, so that all of it is found.
pub(crate) struct Walk<'a> {
    trees: TreeReader<'a>,
    index: &'a Index,
    /// A bit for each chunk that was reached, at its [`position`].
    pub(crate) reached: Bits,
    /// What is wrong.
    pub(crate) flaws: Vec<Flaw>,
    /// Tree chunks read.
    pub(crate) tree_count: u64,
    /// Files in them.
    pub(crate) files: u64,
    pending: Vec<ChunkId>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(reader: &'a ChunkReader) -> Self {
        let index = reader.index();
        Self {
            trees: TreeReader::new(reader),
            index,
            reached: Bits::new(index.entries().len()),
            flaws: Vec::new(),
            tree_count: 0,
            files: 0,
            pending: Vec::new(),
        }
    }

    /// Walks a snapshot; `stop` is asked at every tree.
    pub(crate) fn snapshot(&mut self, snapshot: &Snapshot, stop: &dyn Fn() -> bool) -> Result<()> {
        for root in &snapshot.roots {
            self.entry(&root.entry);
        }
        while let Some(tree) = self.pending.pop() {
            if stop() {
                return Err(Error::Interrupted);
            }
            self.tree(tree);
        }
        Ok(())
    }

    fn tree(&mut self, id: ChunkId) {
        match position(self.index, PackKind::Tree, &id) {
            Some(at) if !self.reached.set(at) => return,
            Some(_) => (),
            None => {
                return self.flaws.push(Flaw { tree: Some(id), error: Error::ChunkMissing(id) });
            }
        }
        self.tree_count += 1;
        match self.trees.node(&id) {
            Ok(Node::Leaf(entries)) => entries.iter().for_each(|entry| self.entry(entry)),
            Ok(Node::Split(parts)) => self.pending.extend(parts.into_iter().map(|(_, part)| part)),
            Err(error) => self.flaws.push(Flaw { tree: Some(id), error }),
        }
    }

    fn entry(&mut self, entry: &Entry) {
        match &entry.kind {
            Kind::Directory { tree, .. } => self.pending.push(*tree),
            Kind::File { runs, .. } => self.file(runs),
            _ => (),
        }
    }

    fn file(&mut self, runs: &[Run]) {
        self.files += 1;
        for run in runs {
            let Run::Data { chunk, .. } = run else {
                continue;
            };
            if let Some(at) = position(self.index, PackKind::Data, chunk) {
                self.reached.set(at);
            }
        }
        if let Some(error) = flaw_of_runs(self.index, runs) {
            self.flaws.push(Flaw { tree: None, error });
        }
    }
}
