//! Trees of one repository become trees of another: the same names, structure and cuts, under the ids that the other domain's keys
//! give. Because nothing else differs, translating a copy back gives the ids of the original, and a copy can heal it.
//!
//! One thread walks the source's trees and orders chunks, several read them and hand them on, and the calling one puts files and
//! directories together in the order of the walk. What a base has already is neither read nor written.

use std::sync::mpsc::{SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};

use crate::codec::Compressor;
use crate::error::{Damage, Error, Result};
use crate::id::ChunkId;
use crate::keys::DomainKeys;
use crate::monitor::Monitor;
use crate::pack::PackKind;
use crate::reader::ChunkReader;
use crate::tree::{Entry, Kind, MAX_SPLIT_DEPTH, Node, Run};

use super::feed::{Orders, Permits, Ticket, work};
use super::making::Making;

/// Steps that the walk may be ahead.
const AHEAD: usize = 4096;
/// Directories in each other; a path of a file system is not deeper.
const MOST_DEPTH: usize = 4096;
/// Room for the walk through so many.
const WALK_STACK: usize = 64 * 1024 * 1024;

/// Where chunks of a translation go.
pub(crate) trait Put: Sync {
    /// Takes a chunk; returns its id there.
    fn put(&self, kind: PackKind, plain: &[u8], compressor: &mut Compressor) -> Result<ChunkId>;
    /// A compressor for a thread.
    fn compressor(&self) -> Compressor;
}

/// A root, and what was translated before at its path: the entry in the source and the one it became.
#[derive(Debug, Clone)]
pub(crate) struct Translated {
    pub(crate) entry: Entry,
    pub(crate) base: Option<(Entry, Entry)>,
}

/// From where to where.
pub(crate) struct Translation<'a> {
    pub(crate) from: &'a ChunkReader,
    pub(crate) to: &'a dyn Put,
    pub(crate) domain: &'a DomainKeys,
    /// Reads trees where they go, for bases.
    pub(crate) bases: Option<&'a ChunkReader>,
    pub(crate) threads: usize,
    pub(crate) monitor: &'a dyn Monitor,
}

/// What the walk tells whoever puts things together.
pub(super) enum Step {
    /// A directory begins; its entry goes to a slot of the open leaf.
    Directory {
        at: usize,
        entry: Entry,
    },
    /// A tree chunk begins: a leaf of so many entries, or a split. In a split above it, it goes by its first name.
    Leaf {
        first: Vec<u8>,
        count: usize,
    },
    Split {
        first: Vec<u8>,
    },
    /// The same tree chunk was translated before.
    Known {
        first: Vec<u8>,
        tree: ChunkId,
    },
    /// An entry that is as it will be.
    Entry {
        at: usize,
        entry: Entry,
    },
    /// A file begins.
    File {
        at: usize,
        entry: Entry,
    },
    Data {
        ticket: Arc<Ticket>,
        offset: u32,
        len: u32,
    },
    Hole {
        len: u64,
    },
    /// What began last ends.
    End,
    /// The walk cannot go on.
    Failed(Error),
}

impl Translation<'_> {
    /// Translates entries with everything below them; the result has their order.
    ///
    /// # Errors
    /// The first thing that cannot be read, is not what its hash says, or cannot be written.
    pub(crate) fn run(&self, roots: &[Translated]) -> Result<Vec<Entry>> {
        let threads = self.threads.max(1);
        let (steps, told) = sync_channel(AHEAD);
        let (jobs, asked) = channel();
        let asked = Mutex::new(asked);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| work(&asked, self.from, self.to));
            }
            let orders = Orders::new(jobs, Permits::for_threads(threads));
            let walk = Walk { work: self, steps, orders };
            let walker = std::thread::Builder::new().stack_size(WALK_STACK);
            walker
                .spawn_scoped(scope, move || walk.roots(roots))
                .map_err(|e| Error::file("a thread", "cannot be started", e))?;
            Making::new(self, roots.len()).take_all(told)
        })
    }
}

/// The other end has hung up: its error is what counts.
struct HungUp;

type Told = std::result::Result<(), HungUp>;

/// The walking thread.
struct Walk<'a> {
    work: &'a Translation<'a>,
    steps: SyncSender<Step>,
    orders: Orders,
}

impl Walk<'_> {
    fn roots(mut self, roots: &[Translated]) {
        for (at, root) in roots.iter().enumerate() {
            let base = root.base.as_ref().map(|(from, to)| (from, to));
            if self.entry(at, root.entry.clone(), base, 0).is_err() {
                return;
            }
        }
    }

    fn tell(&self, step: Step) -> Told {
        self.steps.send(step).map_err(|_| HungUp)
    }

    fn fail(&self, error: Error) -> Told {
        self.tell(Step::Failed(error))?;
        Err(HungUp)
    }

    fn entry(
        &mut self,
        at: usize,
        entry: Entry,
        base: Option<(&Entry, &Entry)>,
        depth: usize,
    ) -> Told {
        if self.work.monitor.interrupted() {
            return self.fail(Error::Interrupted);
        }
        if let Some((from, to)) = base
            && from.kind == entry.kind
            && is_same_shape(&from.kind, &to.kind)
        {
            return self.tell(Step::Entry { at, entry: Entry { kind: to.kind.clone(), ..entry } });
        }
        match &entry.kind {
            Kind::Directory { tree, .. } => {
                let tree = *tree;
                let mut below = BaseTree::open(self.work, base);
                self.tell(Step::Directory { at, entry })?;
                self.node(tree, Vec::new(), &mut below, (depth + 1, 0))?;
                self.tell(Step::End)
            }
            Kind::File { .. } => self.file(at, entry),
            _ => self.tell(Step::Entry { at, entry }),
        }
    }

    fn file(&mut self, at: usize, entry: Entry) -> Told {
        let Kind::File { runs, size, .. } = &entry.kind else {
            return Ok(());
        };
        self.work.monitor.plan(1, *size);
        let runs = runs.clone();
        self.tell(Step::File { at, entry })?;
        for run in runs {
            match run {
                Run::Hole { len } => self.tell(Step::Hole { len })?,
                Run::Data { chunk, offset, len } => {
                    let ticket = self.orders.ask(chunk);
                    self.tell(Step::Data { ticket, offset, len })?;
                }
            }
        }
        self.tell(Step::End)
    }

    fn node(
        &mut self,
        tree: ChunkId,
        first: Vec<u8>,
        base: &mut BaseTree,
        (depth, splits): (usize, usize),
    ) -> Told {
        if let Some(known) = base.translated(&tree) {
            return self.tell(Step::Known { first, tree: known });
        }
        if depth > MOST_DEPTH || splits > MAX_SPLIT_DEPTH {
            return self.fail(Error::damaged(format!("tree {tree}"), Damage::TooLarge));
        }
        match self.work.from.node(&tree) {
            Ok(Node::Leaf(entries)) => self.leaf(entries, first, base, depth),
            Ok(Node::Split(parts)) => {
                self.tell(Step::Split { first })?;
                for (name, part) in parts {
                    self.node(part, name, base, (depth, splits + 1))?;
                }
                self.tell(Step::End)
            }
            Err(error) => self.fail(error),
        }
    }

    /// Files first, as a backup reads them: those beside each other share chunks.
    fn leaf(
        &mut self,
        entries: Vec<Entry>,
        first: Vec<u8>,
        base: &mut BaseTree,
        depth: usize,
    ) -> Told {
        self.tell(Step::Leaf { first, count: entries.len() })?;
        let mut directories = Vec::new();
        for (at, entry) in entries.into_iter().enumerate() {
            if entry.is_dir() {
                directories.push((at, entry));
                continue;
            }
            let before = base.pair(self.work, &entry.name);
            self.entry(at, entry, before.as_ref().map(|(a, b)| (a, b)), depth)?;
        }
        for (at, entry) in directories {
            let before = base.pair(self.work, &entry.name);
            self.entry(at, entry, before.as_ref().map(|(a, b)| (a, b)), depth)?;
        }
        self.tell(Step::End)
    }
}

/// A base is another's statement as long as it was not read: it must at least be possible.
fn is_same_shape(from: &Kind, to: &Kind) -> bool {
    match (from, to) {
        (Kind::File { size: a, runs: x, .. }, Kind::File { size: b, runs: y, .. }) => {
            a == b && x.len() == y.len()
        }
        (
            Kind::Directory { files: a, bytes: x, .. },
            Kind::Directory { files: b, bytes: y, .. },
        ) => (a, x) == (b, y),
        (from, to) => from == to,
    }
}

/// Leaves of a directory that was translated before: first name, and the tree chunk here and there.
#[derive(Default)]
struct BaseTree {
    leaves: Vec<(Vec<u8>, ChunkId, ChunkId)>,
    open: Option<(usize, Vec<Entry>, Vec<Entry>)>,
}

impl BaseTree {
    /// Nothing, if there is no base, or it cannot be read: then everything is translated.
    fn open(work: &Translation<'_>, base: Option<(&Entry, &Entry)>) -> Self {
        let mut found = Self::default();
        if let (
            Some((
                Entry { kind: Kind::Directory { tree: from, .. }, .. },
                Entry { kind: Kind::Directory { tree: to, .. }, .. },
            )),
            Some(there),
        ) = (base, work.bases)
            && found.add(work.from, there, (Vec::new(), *from, *to), 0).is_none()
        {
            found.leaves.clear();
        }
        found
    }

    fn add(
        &mut self,
        here: &ChunkReader,
        there: &ChunkReader,
        (first, from, to): (Vec<u8>, ChunkId, ChunkId),
        splits: usize,
    ) -> Option<()> {
        if splits > MAX_SPLIT_DEPTH {
            return None;
        }
        match (here.node(&from).ok()?, there.node(&to).ok()?) {
            (Node::Leaf(_), Node::Leaf(_)) => self.leaves.push((first, from, to)),
            (Node::Split(a), Node::Split(b)) if a.len() == b.len() => {
                for ((name, from), (other, to)) in a.into_iter().zip(b) {
                    if name != other {
                        return None;
                    }
                    self.add(here, there, (name, from, to), splits + 1)?;
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// What a leaf became.
    fn translated(&self, tree: &ChunkId) -> Option<ChunkId> {
        self.leaves.iter().find(|(_, from, _)| from == tree).map(|(.., to)| *to)
    }

    /// A name's entry here and what it became.
    fn pair(&mut self, work: &Translation<'_>, name: &[u8]) -> Option<(Entry, Entry)> {
        let after = self.leaves.partition_point(|(first, ..)| first.as_slice() <= name);
        let at = after.checked_sub(1)?;
        if self.open.as_ref().is_none_or(|(open, ..)| *open != at) {
            let (_, from, to) = &self.leaves[at];
            let (Node::Leaf(from), Node::Leaf(to)) =
                (work.from.node(from).ok()?, work.bases?.node(to).ok()?)
            else {
                return None;
            };
            self.open = Some((at, from, to));
        }
        let (_, from, to) = self.open.as_ref()?;
        let find = |entries: &[Entry]| {
            let at = entries.binary_search_by(|e| e.name.as_slice().cmp(name)).ok()?;
            Some(entries[at].clone())
        };
        Some((find(from)?, find(to)?))
    }
}
