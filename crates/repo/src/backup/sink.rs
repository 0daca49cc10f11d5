//! Where chunks go: known ones are passed over, new ones are compressed, encrypted and packed; packs and index segments are written.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};

use nodekeep_store::Durability;

use crate::backup::session::Running;
use crate::codec::{Compression, Compressor};
use crate::error::{Error, Result};
use crate::id::{ChunkId, ObjectHash};
use crate::index::{Index, SEGMENT_ENTRIES, Segment};
use crate::monitor::Monitor;
use crate::names;
use crate::pack::{PackBuilder, PackKind};

/// After so many stored bytes an index segment and a progress object make the work known, so that an interrupted run loses no more.
const PROGRESS_BYTES: u64 = 1 << 30;
/// Room in a pack's buffer beyond its target size: the chunk that crosses it.
const HEADROOM: usize = 4 * 1024 * 1024 + 64 * 1024;

/// What was in the repository before: entries that may be reused.
struct Base {
    index: Index,
    usable: Vec<bool>,
}

struct Writing {
    segment: Segment,
    /// Segments written since the last progress object.
    fresh: Vec<ObjectHash>,
    all: Vec<ObjectHash>,
    unreported: u64,
}

/// What was added.
#[derive(Debug, Default)]
pub(super) struct Added {
    pub(super) chunks: AtomicU64,
    pub(super) bytes: AtomicU64,
}

/// Takes chunks from all threads of a backup.
pub(super) struct Sink<'a> {
    running: &'a Running<'a>,
    monitor: &'a dyn Monitor,
    compression: Compression,
    base: OnceLock<Base>,
    base_lock: Mutex<()>,
    fresh: [Mutex<HashSet<ChunkId>>; 16],
    open: [Mutex<Vec<PackBuilder>>; 2],
    buffers: Mutex<Vec<Vec<u8>>>,
    writing: Mutex<Writing>,
    pub(super) added: Added,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked ends the whole backup; what it left is never committed.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn slot(kind: PackKind) -> usize {
    match kind {
        PackKind::Data => 0,
        PackKind::Tree => 1,
    }
}

impl<'a> Sink<'a> {
    pub(super) fn new(
        running: &'a Running<'a>,
        compression: Compression,
        monitor: &'a dyn Monitor,
    ) -> Self {
        Self {
            running,
            monitor,
            compression,
            base: OnceLock::new(),
            base_lock: Mutex::new(()),
            fresh: Default::default(),
            open: Default::default(),
            buffers: Mutex::default(),
            writing: Mutex::new(Writing {
                segment: Segment::default(),
                fresh: Vec::new(),
                all: Vec::new(),
                unreported: 0,
            }),
            added: Added::default(),
        }
    }

    /// A compressor for a thread.
    pub(super) fn compressor(&self) -> Compressor {
        Compressor::new(self.compression)
    }

    /// The index is read only when something is new.
    fn base(&self) -> Result<&Base> {
        if let Some(base) = self.base.get() {
            return Ok(base);
        }
        let _one = lock(&self.base_lock);
        if self.base.get().is_none() {
            let base = self.load_base()?;
            let _ = self.base.set(base);
        }
        self.base.get().ok_or(Error::Interrupted)
    }

    fn load_base(&self) -> Result<Base> {
        let repo = self.running.repo;
        let (index, problems) = repo.index_with_problems(&self.running.view)?;
        for problem in problems {
            self.monitor.note(&format!("{problem}; what it listed is stored again"));
        }
        let present = present_packs(repo)?;
        let usable = |p: &crate::index::Pack| {
            self.running.may_reuse(&p.pack) && present.contains(&(p.pack.id, p.size))
        };
        let usable = index.packs.iter().map(usable).collect();
        Ok(Base { index, usable })
    }

    /// Whether the repository has a chunk that may be reused.
    pub(super) fn has(&self, kind: PackKind, id: &ChunkId) -> Result<bool> {
        let base = self.base()?;
        let usable = |e: &crate::index::Entry| {
            base.usable[e.pack as usize] && base.index.pack(e).pack.kind == kind
        };
        Ok(base.index.places(id).iter().any(usable))
    }

    /// Stores a chunk unless it is known. Returns its id.
    pub(super) fn put(
        &self,
        kind: PackKind,
        plain: &[u8],
        compressor: &mut Compressor,
    ) -> Result<ChunkId> {
        let id = self.running.repo.domain().chunk_id(kind, plain);
        self.put_as(kind, id, plain, compressor)?;
        Ok(id)
    }

    /// The same, where the id was computed before.
    pub(super) fn put_as(
        &self,
        kind: PackKind,
        id: ChunkId,
        plain: &[u8],
        compressor: &mut Compressor,
    ) -> Result<()> {
        let shard = &self.fresh[usize::from(id.0[0] & 15)];
        if lock(shard).contains(&id) || self.has(kind, &id)? || !lock(shard).insert(id) {
            return Ok(());
        }
        let mut pack = match lock(&self.open[slot(kind)]).pop() {
            Some(pack) => pack,
            None => self.new_pack(kind),
        };
        let stored = pack.append(id, plain, compressor);
        self.added.chunks.fetch_add(1, Ordering::Relaxed);
        self.added.bytes.fetch_add(u64::from(stored), Ordering::Relaxed);
        if pack.len() as u64 >= self.running.repo.config().pack_size {
            self.close(pack)?;
        } else {
            lock(&self.open[slot(kind)]).push(pack);
        }
        Ok(())
    }

    fn new_pack(&self, kind: PackKind) -> PackBuilder {
        let running = self.running;
        let repo = running.repo;
        let (key, seal) = match kind {
            PackKind::Data => &running.data,
            PackKind::Tree => &running.tree,
        };
        let size = repo.config().pack_size as usize + HEADROOM;
        // Trees are small: their buffer grows as needed.
        let fresh = || {
            if kind == PackKind::Data { Vec::with_capacity(size) } else { Vec::new() }
        };
        let buffer = lock(&self.buffers).pop().unwrap_or_else(fresh);
        PackBuilder::new(kind, repo.id(), repo.domain(), key, seal.clone(), buffer)
    }

    fn close(&self, pack: PackBuilder) -> Result<()> {
        let sealed = pack.finish();
        let writer = self.running.stamp.writer;
        let name = names::pack(&writer, sealed.kind, &sealed.id);
        self.running.repo.store().create(&name, &sealed.bytes, Durability::Visible)?;
        let mut writing = lock(&self.writing);
        writing.segment.add_sealed(writer, &sealed);
        writing.unreported += sealed.bytes.len() as u64;
        if writing.segment.entries() >= SEGMENT_ENTRIES {
            self.write_segment(&mut writing)?;
        }
        if writing.unreported >= PROGRESS_BYTES {
            self.write_segment(&mut writing)?;
            self.running.report_progress(std::mem::take(&mut writing.fresh))?;
            writing.unreported = 0;
        }
        drop(writing);
        lock(&self.buffers).push(sealed.bytes);
        Ok(())
    }

    /// A segment may name only packs that are durable.
    fn write_segment(&self, writing: &mut Writing) -> Result<()> {
        if writing.segment.packs.is_empty() {
            return Ok(());
        }
        let repo = self.running.repo;
        if !planted!(NoBarrier) {
            repo.store().barrier()?;
        }
        let segment = std::mem::take(&mut writing.segment);
        let object = segment.seal(&repo.id(), repo.domain(), self.running.signing());
        let hash = ObjectHash::of(&object);
        repo.store().create(
            &names::segment(&self.running.stamp.writer, &hash),
            &object,
            Durability::Durable,
        )?;
        writing.fresh.push(hash);
        writing.all.push(hash);
        Ok(())
    }

    /// Writes what is still open; returns all segments of the session.
    pub(super) fn finish(&self) -> Result<Vec<ObjectHash>> {
        for open in &self.open {
            for pack in std::mem::take(&mut *lock(open)) {
                self.close(pack)?;
            }
        }
        let mut writing = lock(&self.writing);
        self.write_segment(&mut writing)?;
        Ok(std::mem::take(&mut writing.all))
    }
}

/// Packs that lie in the store, with their sizes: an index may name one that was lost, and nothing new may lean on it.
fn present_packs(
    repo: &crate::repository::Repository,
) -> Result<HashSet<(crate::id::PackId, u64)>> {
    let listed = repo.store().list(names::WRITERS)?;
    Ok(listed
        .iter()
        .filter_map(|o| names::parse_pack(&o.name).map(|(_, _, id)| (id, o.size)))
        .collect())
}
