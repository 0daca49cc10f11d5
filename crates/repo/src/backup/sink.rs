//! Where chunks go: known ones are passed over, new ones are compressed, encrypted and packed; packs and index segments are written.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use crossbeam_channel::{Receiver, Sender};
use nodekeep_store::Durability;

use crate::backup::session::Running;
use crate::codec::{Compression, Compressor};
use crate::error::{Error, Result};
use crate::fetch;
use crate::id::{ChunkId, ObjectHash};
use crate::index::{Index, SEGMENT_ENTRIES, Segment};
use crate::monitor::Monitor;
use crate::names;
use crate::pack::{PackBuilder, PackKind, Sealed};

/// After so many stored bytes an index segment and a progress object make the work known, so that an interrupted run loses no more.
const PROGRESS_BYTES: u64 = 1 << 30;
/// Room in a pack's buffer beyond its target size: the chunk that crosses it.
const HEADROOM: usize = 4 * 1024 * 1024 + 64 * 1024;

/// What was in the repository before: entries that may be reused.
struct Base {
    index: Arc<Index>,
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
pub(crate) struct Added {
    pub(crate) chunks: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

/// Packs that are on their way to a distant store, so that whoever filled one goes on meanwhile. Each takes its size in memory.
const UPLOADS: usize = 3;

/// Packs handed over to the threads that upload them.
#[derive(Default)]
struct Uploads {
    /// Where to hand them; absent while nobody uploads but the caller.
    queue: Mutex<Option<Sender<Sealed>>>,
    state: Mutex<UploadState>,
    changed: Condvar,
}

#[derive(Default)]
struct UploadState {
    under_way: usize,
    failure: Option<Error>,
}

impl Uploads {
    /// Gives a pack back if nobody else uploads it.
    fn hand_over(&self, pack: Sealed) -> Option<Sealed> {
        let Some(queue) = lock(&self.queue).clone() else {
            return Some(pack);
        };
        lock(&self.state).under_way += 1;
        let refused = queue.send(pack).err();
        if refused.is_some() {
            self.arrived(Ok(()));
        }
        refused.map(|refused| refused.0)
    }

    fn arrived(&self, result: Result<()>) {
        let mut state = lock(&self.state);
        state.under_way -= 1;
        if let Err(error) = result {
            state.failure.get_or_insert(error);
        }
        self.changed.notify_all();
    }

    /// Waits for what is under way.
    fn wait(&self) -> Result<()> {
        let mut state = lock(&self.state);
        while state.under_way > 0 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.failure.take().map_or(Ok(()), Err)
    }

    fn failed(&self) -> Result<()> {
        lock(&self.state).failure.take().map_or(Ok(()), Err)
    }
}

/// Takes chunks from all threads of a backup.
pub(crate) struct Sink<'a> {
    running: &'a Running<'a>,
    monitor: &'a dyn Monitor,
    compression: Compression,
    base: OnceLock<Base>,
    base_lock: Mutex<()>,
    fresh: [Mutex<HashSet<ChunkId>>; 16],
    open: [Mutex<Vec<PackBuilder>>; 2],
    buffers: Mutex<Vec<Vec<u8>>>,
    writing: Mutex<Writing>,
    uploads: Uploads,
    pub(crate) added: Added,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked ends the whole backup; what it left is never committed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn slot(kind: PackKind) -> usize {
    match kind {
        PackKind::Data => 0,
        PackKind::Tree => 1,
    }
}

impl<'a> Sink<'a> {
    pub(crate) fn new(
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
            uploads: Uploads::default(),
            added: Added::default(),
        }
    }

    /// A compressor for a thread.
    pub(crate) fn compressor(&self) -> Compressor {
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

    /// What the repository had when the session began; it is read once.
    pub(crate) fn index(&self) -> Result<Arc<Index>> {
        Ok(self.base()?.index.clone())
    }

    fn load_base(&self) -> Result<Base> {
        let repo = self.running.repo;
        // The list takes more memory than what is kept of it: it goes before the index comes.
        let present = present_packs(repo)?;
        let (index, problems) = repo.index_with_problems(&self.running.view)?;
        for problem in problems {
            self.monitor.note(&format!("{problem}; what it listed is stored again"));
        }
        let usable = |p: &crate::index::Pack| {
            self.running.may_reuse(&p.pack) && present.binary_search(&(p.pack.id, p.size)).is_ok()
        };
        let usable = index.packs.iter().map(usable).collect();
        Ok(Base { index: Arc::new(index), usable })
    }

    /// Whether the repository has a chunk that may be reused.
    pub(crate) fn has(&self, kind: PackKind, id: &ChunkId) -> Result<bool> {
        let base = self.base()?;
        let usable = |e: &crate::index::Entry| {
            base.usable[e.pack as usize] && base.index.pack(e).pack.kind == kind
        };
        Ok(base.index.places(id).iter().any(usable))
    }

    /// Stores a chunk unless it is known. Returns its id.
    pub(crate) fn put(
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
    pub(crate) fn put_as(
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

    /// Runs `work` while packs for a distant store are uploaded beside it.
    pub(crate) fn with_uploads<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        if !fetch::is_distant(self.running.repo.store()) {
            return work();
        }
        std::thread::scope(|scope| {
            let (queue, packs) = crossbeam_channel::bounded(0);
            *lock(&self.uploads.queue) = Some(queue);
            for _ in 0..UPLOADS {
                let packs: Receiver<Sealed> = packs.clone();
                scope.spawn(move || packs.iter().for_each(|p| self.uploads.arrived(self.write(p))));
            }
            drop(packs);
            let result = work();
            *lock(&self.uploads.queue) = None;
            result
        })
    }

    fn close(&self, pack: PackBuilder) -> Result<()> {
        self.uploads.failed()?;
        match self.uploads.hand_over(pack.finish()) {
            Some(pack) => self.write(pack),
            None => Ok(()),
        }
    }

    fn write(&self, sealed: Sealed) -> Result<()> {
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
    pub(crate) fn finish(&self) -> Result<Vec<ObjectHash>> {
        for open in &self.open {
            for pack in std::mem::take(&mut *lock(open)) {
                self.close(pack)?;
            }
        }
        self.uploads.wait()?;
        let mut writing = lock(&self.writing);
        self.write_segment(&mut writing)?;
        Ok(std::mem::take(&mut writing.all))
    }
}

/// Packs that lie in the store, with their sizes, sorted: an index may name one that was lost, and nothing new may lean on it.
fn present_packs(repo: &crate::repository::Repository) -> Result<Vec<(crate::id::PackId, u64)>> {
    let listed = repo.store().list(names::WRITERS)?;
    let packs = listed.iter().filter_map(|o| Some((names::parse_pack(&o.name)?.2, o.size)));
    let mut packs: Vec<_> = packs.collect();
    packs.sort_unstable();
    Ok(packs)
}
