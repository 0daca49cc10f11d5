//! Directories in the making. Each has a slot for every name; whoever fills the last slot finishes the directory, and so on upwards.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::backup::Work;
use crate::backup::cache::{Encoded, Signature};
use crate::codec::Compressor;
use crate::error::Result;
use crate::id::ChunkId;
use crate::pack::PackKind;
use crate::source::{Details, FileType, Item, Stat};
use crate::tree::{Entry, Kind, Node};
use crate::wire::Encoder;

/// A leaf is closed at a marked name from this size on, in bytes.
const LEAF_MIN: usize = 64 * 1024;
/// And at this size in any case.
const LEAF_MAX: usize = 512 * 1024;
/// One name in so many is marked.
const MARKED: u32 = 64;
/// Parts of a split node.
const SPLIT_MAX: usize = 4096;

/// A slot of a directory, or the place of a root.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) node: Arc<DirNode>,
    pub(super) at: usize,
}

/// A directory in the making; the topmost stands for the list of roots.
#[derive(Debug)]
pub(super) struct DirNode {
    /// Absolute path.
    pub(super) path: Vec<u8>,
    /// Where its own entry goes; `None` for the list of roots.
    pub(super) parent: Option<Slot>,
    /// Its own entry, without the tree.
    own: Option<(Entry, Signature)>,
    /// Its tree in the last snapshot.
    cached_tree: Option<ChunkId>,
    slots: Mutex<Vec<Option<Encoded>>>,
    /// Slots to fill, and one for whoever still adds names.
    pending: AtomicUsize,
}

/// An entry of an item, all but its kind.
pub(super) fn entry_of(item: &Item, details: Details, kind: Kind) -> Entry {
    let Stat { mode, uid, gid, mtime, mtime_ns, .. } = item.stat;
    Entry {
        name: item.name.clone(),
        mode,
        uid,
        gid,
        mtime,
        mtime_ns,
        xattrs: details.xattrs,
        link: None,
        kind,
    }
}

/// The kind of an item that has no content to read.
pub(super) fn plain_kind(item: &Item, target: Vec<u8>) -> Kind {
    let (major, minor) = item.stat.rdev;
    match item.stat.file_type {
        FileType::Symlink => Kind::Symlink { target },
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        FileType::CharDevice => Kind::CharDevice { major, minor },
        FileType::BlockDevice => Kind::BlockDevice { major, minor },
        FileType::File | FileType::Directory => {
            Kind::File { size: 0, hash: [0; 32], runs: Vec::new() }
        }
    }
}

/// An entry, ready for tree and cache.
pub(super) fn encode(entry: &Entry, signature: Signature) -> Encoded {
    let mut to = Encoder::new();
    entry.encode(&mut to);
    let (files, size) = match &entry.kind {
        Kind::Directory { files, bytes, .. } => (*files, *bytes),
        _ => (1, entry.size()),
    };
    Encoded { signature, bytes: to.into_bytes(), files, size }
}

impl DirNode {
    /// The list of `count` roots.
    pub(super) fn roots(count: usize) -> Arc<Self> {
        Arc::new(Self::new(Vec::new(), None, None, None, count))
    }

    fn new(
        path: Vec<u8>,
        parent: Option<Slot>,
        own: Option<(Entry, Signature)>,
        cached_tree: Option<ChunkId>,
        count: usize,
    ) -> Self {
        let slots = Mutex::new(vec![None; count]);
        Self { path, parent, own, cached_tree, slots, pending: AtomicUsize::new(count + 1) }
    }

    /// A directory of `count` names, sorted, whose entry goes to `parent`.
    pub(super) fn directory(
        path: Vec<u8>,
        parent: Slot,
        own: (Entry, Signature),
        cached_tree: Option<ChunkId>,
        count: usize,
    ) -> Arc<Self> {
        Arc::new(Self::new(path, Some(parent), Some(own), cached_tree, count))
    }

    /// What the slots hold, once all are filled.
    pub(super) fn take(&self) -> Vec<Option<Encoded>> {
        std::mem::take(&mut *self.slots.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn set(&self, at: usize, entry: Option<Encoded>) {
        self.slots.lock().unwrap_or_else(std::sync::PoisonError::into_inner)[at] = entry;
    }

    /// Whether this was the last thing to wait for.
    fn settle(&self) -> bool {
        self.pending.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

impl Slot {
    /// The absolute path of a name in this slot.
    pub(super) fn path(&self, name: &[u8]) -> Vec<u8> {
        join(&self.node.path, name)
    }
}

/// A path and a name.
pub(super) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let separator: &[u8] = if dir.ends_with(b"/") || dir.is_empty() { b"" } else { b"/" };
    [dir, separator, name].concat()
}

impl Work<'_> {
    /// Fills a slot (`None`: left out) and finishes every directory that is complete by it.
    pub(super) fn fill(
        &self,
        slot: Slot,
        entry: Option<Encoded>,
        compressor: &mut Compressor,
    ) -> Result<()> {
        slot.node.set(slot.at, entry);
        self.settle(slot.node, compressor)
    }

    /// All names of a directory have been handed out.
    pub(super) fn handed_out(&self, node: Arc<DirNode>, compressor: &mut Compressor) -> Result<()> {
        self.settle(node, compressor)
    }

    fn settle(&self, mut node: Arc<DirNode>, compressor: &mut Compressor) -> Result<()> {
        while node.settle() {
            let Some(parent) = node.parent.clone() else {
                return Ok(());
            };
            let entry = self.finish_directory(&node, compressor)?;
            parent.node.set(parent.at, entry);
            node = parent.node;
        }
        Ok(())
    }

    fn finish_directory(
        &self,
        node: &DirNode,
        compressor: &mut Compressor,
    ) -> Result<Option<Encoded>> {
        let Some((own, signature)) = &node.own else {
            return Ok(None);
        };
        let slots = node.take();
        let entries: Vec<&Encoded> = slots.iter().flatten().collect();
        // The tree of a snapshot that lives no more may be gone with it.
        let cached = node.cached_tree.filter(|_| self.cache_is_live);
        let tree = self.put_tree(&entries, cached, compressor)?;
        if let Some(cache) = &self.next_cache {
            cache.add(&node.path, &tree, entries.iter().copied());
        }
        let files = entries.iter().map(|e| e.files).sum();
        let bytes = entries.iter().map(|e| e.size).sum();
        let mut own = own.clone();
        own.kind = Kind::Directory { tree, files, bytes };
        Ok(Some(encode(&own, *signature)))
    }

    /// Stores a directory's tree: one leaf, or leaves cut at keyed names below splits.
    fn put_tree(
        &self,
        entries: &[&Encoded],
        cached: Option<ChunkId>,
        compressor: &mut Compressor,
    ) -> Result<ChunkId> {
        let mut parts: Vec<(Vec<u8>, ChunkId)> = Vec::new();
        let leaves = self.cut_leaves(entries);
        let single = leaves.len() == 1;
        for leaf in leaves {
            let plain = Node::encode_leaf(leaf.iter().map(|e| e.bytes.as_slice()));
            let known = if single { cached } else { None };
            let id = self.put_node(&plain, known, compressor)?;
            parts.push((leaf.first().map(|e| name_of(e).to_vec()).unwrap_or_default(), id));
        }
        while parts.len() > 1 {
            let mut above = Vec::new();
            for group in parts.chunks(SPLIT_MAX) {
                let plain = Node::encode_split(group);
                let known = if parts.len() <= SPLIT_MAX { cached } else { None };
                above.push((group[0].0.clone(), self.put_node(&plain, known, compressor)?));
            }
            parts = above;
        }
        Ok(parts[0].1)
    }

    fn put_node(
        &self,
        plain: &[u8],
        known: Option<ChunkId>,
        compressor: &mut Compressor,
    ) -> Result<ChunkId> {
        if known.is_some_and(|id| self.running.repo.domain().chunk_id(PackKind::Tree, plain) == id)
        {
            return Ok(known.unwrap_or(ChunkId([0; 32])));
        }
        self.sink.put(PackKind::Tree, plain, compressor)
    }

    /// Runs of entries that make a leaf each; at least one, which may be empty.
    fn cut_leaves<'e, 'b>(&self, entries: &'e [&'b Encoded]) -> Vec<&'e [&'b Encoded]> {
        let mut leaves = Vec::new();
        let (mut start, mut size) = (0, 0);
        for (at, entry) in entries.iter().enumerate() {
            size += entry.bytes.len();
            let marked =
                || self.running.repo.domain().name_mark(name_of(entry)).is_multiple_of(MARKED);
            if size >= LEAF_MAX || (size >= LEAF_MIN && marked()) {
                leaves.push(&entries[start..=at]);
                (start, size) = (at + 1, 0);
            }
        }
        if start < entries.len() || leaves.is_empty() {
            leaves.push(&entries[start..]);
        }
        leaves
    }
}

/// The name that an encoded entry begins with.
fn name_of(entry: &Encoded) -> &[u8] {
    crate::wire::Decoder::new(&entry.bytes).blob().unwrap_or_default()
}
