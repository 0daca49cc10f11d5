//! Backup: one thread walks, the others read, cut, compress, encrypt and pack; directories finish themselves from the leaves up;
//! one outcome commits it all.

mod cache;
mod content;
mod dry;
mod filter;
mod node;
mod order;
mod queue;
pub mod session;
pub(crate) mod sink;
mod small;
mod walk;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) use content::sizes_for;
pub(crate) use filter::Matcher;
pub use filter::{BadPattern, Filter};

use crate::backup::cache::{Block, Cache, CacheWriter, Encoded};
use crate::backup::content::{ChunkJob, FileJob, Thread};
use crate::backup::node::DirNode;
use crate::backup::order::Order;
use crate::backup::queue::{Next, Queue};
use crate::backup::session::Running;
use crate::backup::sink::Sink;
use crate::backup::small::SmallFiles;
use crate::backup::walk::{Linked, Walked, Walker};
use crate::codec::Compression;
use crate::error::{Error, Result};
use crate::id::{ChunkId, SnapshotId};
use crate::monitor::Monitor;
use crate::repository::Repository;
use crate::snapshot::{Counts, Root as SnapshotRoot, Snapshot};
use crate::source::{Root, Source};
use crate::tree::{Entry, Kind};
use crate::wire::Decoder;

/// How to back up.
#[derive(Debug, Clone, Default)]
pub struct BackupOptions {
    /// Compression of new chunks.
    pub compression: Compression,
    /// Tags of the snapshot.
    pub tags: Vec<(String, String)>,
    /// What to leave out.
    pub filter: Filter,
    /// Host name to record.
    pub host: String,
    /// User name to record.
    pub user: String,
    /// Program and version to record.
    pub program: String,
    /// Reading threads; one more than the machine's cores if absent. 0: none, the calling thread reads what it walked.
    pub threads: Option<usize>,
    /// Folder for the local cache; without one, everything is read.
    pub cache: Option<PathBuf>,
    /// Read everything, even what the cache knows unchanged.
    pub ignore_cache: bool,
    /// Walk and count only; nothing is written.
    pub dry_run: bool,
    /// Start and end to record, Unix milliseconds, instead of now: a copy keeps the times of its original.
    pub times: Option<(i64, i64)>,
    /// For adapters: what goes into the snapshot besides files, and is known before; see also [`Source::attachments`].
    pub attachments: Vec<(String, Vec<u8>)>,
}

/// What a backup did.
#[derive(Debug, Clone, Default)]
pub struct BackupReport {
    /// The snapshot; `None` after a dry run.
    pub snapshot: Option<SnapshotId>,
    /// Counts, as in the snapshot.
    pub counts: Counts,
    /// What could not be read, and why.
    pub errors: Vec<(Vec<u8>, String)>,
    /// What was read, but changed or vanished meanwhile.
    pub notices: Vec<(Vec<u8>, String)>,
    /// Files that the last snapshot did not have.
    pub new_files: u64,
    /// Files that changed.
    pub changed_files: u64,
    /// Files that did not.
    pub unmodified_files: u64,
    /// Bytes of new and changed files.
    pub bytes_to_read: u64,
    /// The snapshot before, of the same roots by the same writer.
    pub parent: Option<SnapshotId>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Reading threads beyond the machine's cores: one often waits for a read or a write. Each costs about 30 MB.
const WAITING: usize = 1;

/// So often is a backup begun again that a collection or a new roster interfered with.
const ATTEMPTS: u32 = 3;

impl Repository {
    /// Backs up a source into a new snapshot.
    ///
    /// # Errors
    /// If a root cannot be opened, the store fails, or the writer may not write. What cannot be read below a root is no error: it is in the report.
    pub fn backup(
        &self,
        source: &dyn Source,
        options: &BackupOptions,
        monitor: &dyn Monitor,
    ) -> Result<BackupReport> {
        let mut attempt = 1;
        loop {
            match self.backup_once(source, options, monitor) {
                Err(Error::Fenced(session)) if attempt < ATTEMPTS => {
                    monitor.note(&format!(
                        "session {} was overtaken by a collection; beginning again",
                        session.short()
                    ));
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn backup_once(
        &self,
        source: &dyn Source,
        options: &BackupOptions,
        monitor: &dyn Monitor,
    ) -> Result<BackupReport> {
        let began = Instant::now();
        let roots = source
            .roots()
            .map_err(|(path, e)| Error::file(os_path(&path), "cannot be opened", e))?;
        let matcher = options.filter.matcher()?;
        if options.dry_run {
            return dry::run(self, roots, &matcher, options, monitor, began);
        }
        let running = Running::begin(self)?;
        let result =
            Attempt { running: &running, options, monitor, began }.run(source, roots, &matcher);
        if result.is_err() {
            running.give_up();
        }
        result
    }
}

fn os_path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(bytes).into()
}

/// What the readers do.
enum Job {
    /// Small files; groups are numbered in the order of the walk.
    Group(u64, Vec<FileJob>),
    Large(FileJob),
}

/// Everything that the threads share.
struct Work<'a> {
    running: &'a Running<'a>,
    sink: Sink<'a>,
    monitor: &'a dyn Monitor,
    queue: Queue<Job, ChunkJob>,
    cache: Option<Cache>,
    cache_is_live: bool,
    next_cache: Option<CacheWriter>,
    began_ns: i128,
    bytes_read: AtomicU64,
    failed: AtomicBool,
    failure: Mutex<Option<Error>>,
    errors: Mutex<Vec<(Vec<u8>, String)>>,
    notices: Mutex<Vec<(Vec<u8>, String)>>,
    links: Mutex<HashMap<(u64, u64), Linked>>,
    /// In which groups are placed.
    order: Order,
    /// Small files of this session by their hash.
    small: Mutex<SmallFiles>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Work<'_> {
    fn stopped(&self) -> bool {
        self.failed.load(Ordering::Relaxed) || self.monitor.interrupted()
    }

    /// Ends the backup with the first failure.
    fn fail(&self, error: Error) {
        lock(&self.failure).get_or_insert(error);
        self.failed.store(true, Ordering::Relaxed);
        self.queue.abandon();
    }

    fn problem(&self, path: Vec<u8>, why: String) {
        self.monitor.problem(&path, &why);
        lock(&self.errors).push((path, why));
    }

    fn notice(&self, path: Vec<u8>, what: String) {
        lock(&self.notices).push((path, what));
    }

    fn count_read(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    fn block(&self, path: &[u8]) -> Block {
        self.cache.as_ref().map(|c| c.block(path)).unwrap_or_default()
    }

    /// A reading thread.
    fn read(&self, mut thread: Thread) {
        while let Some(next) = self.queue.next() {
            let (result, is_job) = match next {
                Next::Chunk(chunk) => (self.run_chunk(chunk, &mut thread), false),
                Next::Job(job) => (self.run_job(job, &mut thread), true),
            };
            if is_job {
                self.queue.job_done();
            }
            if let Err(error) = result {
                self.fail(error);
            }
        }
    }
}

/// One try at a backup.
struct Attempt<'a> {
    running: &'a Running<'a>,
    options: &'a BackupOptions,
    monitor: &'a dyn Monitor,
    began: Instant,
}

impl<'a> Attempt<'a> {
    fn run(
        &self,
        source: &dyn Source,
        roots: Vec<Root>,
        matcher: &filter::Matcher,
    ) -> Result<BackupReport> {
        let started_ms = crate::clock::now().as_millisecond();
        let paths: Vec<Vec<u8>> = roots.iter().map(|r| r.path.clone()).collect();
        let cache_path = self.cache_path(&paths);
        let work = self.work(cache_path.as_ref());
        let list = DirNode::roots(roots.len());
        let ((walked, uids, gids), segments) = work.sink.with_uploads(|| {
            let walked = self.read_all(&work, roots, &list, matcher)?;
            Ok((walked, work.sink.finish()?))
        })?;
        let mut report = self.report(&work, walked);
        let filled: Vec<_> = paths.into_iter().zip(list.take()).collect();
        cache_single_roots(&work, &filled);
        let roots = roots_of(filled);
        report.counts.bytes = roots.iter().map(|r| bytes_of(&r.entry)).sum();
        let mut snapshot = self.snapshot(&report, started_ms);
        snapshot.roots = roots;
        snapshot.attachments.extend(source.attachments());
        snapshot.users =
            uids.into_iter().filter_map(|id| Some((id, source.user_name(id)?))).collect();
        snapshot.groups =
            gids.into_iter().filter_map(|id| Some((id, source.group_name(id)?))).collect();
        self.running.commit(&snapshot, segments)?;
        report.snapshot = Some(self.running.stamp.session);
        report.elapsed = self.began.elapsed();
        if let (Some(next), Some(path)) = (work.next_cache, cache_path) {
            next.publish(&path);
        }
        Ok(report)
    }

    fn cache_path(&self, paths: &[Vec<u8>]) -> Option<PathBuf> {
        let roots: Vec<&[u8]> = paths.iter().map(Vec::as_slice).collect();
        let dir = self.options.cache.as_ref()?;
        Some(cache::file_of(dir, &roots, &self.running.stamp.writer))
    }

    fn work(&self, cache_path: Option<&PathBuf>) -> Work<'a> {
        let running = self.running;
        let cache = cache_path.and_then(|path| Cache::open(path, &running.repo.id()));
        let is_live = |c: &Cache| running.view.is_live(&c.snapshot) || planted!(TrustCache);
        let cache_is_live = cache.as_ref().is_some_and(is_live);
        let next_cache = cache_path.and_then(|path| {
            CacheWriter::create(path, &running.repo.id(), &running.stamp.session).ok()
        });
        let threads = self.threads();
        Work {
            running,
            sink: Sink::new(running, self.options.compression, self.monitor),
            monitor: self.monitor,
            queue: if threads == 0 {
                Queue::unbounded()
            } else {
                Queue::new(16 * threads, 2 * threads)
            },
            cache: cache.filter(|_| !self.options.ignore_cache),
            cache_is_live,
            next_cache,
            began_ns: crate::clock::now().as_nanosecond(),
            bytes_read: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            failure: Mutex::default(),
            errors: Mutex::default(),
            notices: Mutex::default(),
            links: Mutex::default(),
            order: Order::default(),
            small: Mutex::default(),
        }
    }

    fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        self.options.threads.unwrap_or_else(|| cores() + WAITING)
    }

    fn read_all(
        &self,
        work: &Work<'_>,
        roots: Vec<Root>,
        list: &Arc<DirNode>,
        matcher: &filter::Matcher,
    ) -> Result<(Walked, std::collections::BTreeSet<u32>, std::collections::BTreeSet<u32>)> {
        let chunking = Arc::new(self.running.repo.domain().chunking());
        let walked = std::thread::scope(|scope| {
            let thread = || Thread::new(work.sink.compressor(), chunking.clone());
            for _ in 0..self.threads() {
                let thread = thread();
                scope.spawn(move || work.read(thread));
            }
            let mut walker = Walker::new(work, matcher);
            let result = walker.walk(roots, list);
            match result {
                Ok(()) => work.queue.close(),
                Err(error) => work.fail(error),
            }
            if self.threads() == 0 {
                work.read(thread());
            }
            (walker.walked, walker.uids, walker.gids)
        });
        match lock(&work.failure).take() {
            None => Ok(walked),
            Some(error) => Err(error),
        }
    }

    fn report(&self, work: &Work<'_>, walked: Walked) -> BackupReport {
        let counts = Counts {
            files: walked.files,
            dirs: walked.dirs,
            bytes: 0,
            bytes_read: work.bytes_read.load(Ordering::Relaxed),
            chunks_added: work.sink.added.chunks.load(Ordering::Relaxed),
            bytes_added: work.sink.added.bytes.load(Ordering::Relaxed),
        };
        let mut errors = std::mem::take(&mut *lock(&work.errors));
        errors.sort();
        let mut notices = std::mem::take(&mut *lock(&work.notices));
        notices.sort();
        BackupReport {
            snapshot: None,
            counts,
            errors,
            notices,
            new_files: walked.new,
            changed_files: walked.changed,
            unmodified_files: walked.unmodified,
            bytes_to_read: walked.bytes_to_read,
            parent: work.cache.as_ref().map(|c| c.snapshot),
            elapsed: self.began.elapsed(),
        }
    }

    fn snapshot(&self, report: &BackupReport, started_ms: i64) -> Snapshot {
        let now = crate::clock::now().as_millisecond();
        let (started_ms, finished_ms) = self.options.times.unwrap_or((started_ms, now));
        Snapshot {
            started_ms,
            finished_ms,
            host: self.options.host.clone(),
            user: self.options.user.clone(),
            program: self.options.program.clone(),
            tags: self.options.tags.clone(),
            excludes: self.options.filter.exclude.clone(),
            counts: report.counts,
            errors: report.errors.clone(),
            parent: report.parent,
            incomplete: !report.errors.is_empty(),
            attachments: self.options.attachments.clone(),
            ..Snapshot::default()
        }
    }
}

fn bytes_of(entry: &Entry) -> u64 {
    match &entry.kind {
        Kind::Directory { bytes, .. } => *bytes,
        _ => entry.size(),
    }
}

/// The entries of the roots, as far as they could be read.
fn roots_of(filled: Vec<(Vec<u8>, Option<Encoded>)>) -> Vec<SnapshotRoot> {
    let decode = |(path, encoded): (Vec<u8>, Option<Encoded>)| {
        let entry = Entry::decode(&mut Decoder::new(&encoded?.bytes)).ok()?;
        Some(SnapshotRoot { path, entry })
    };
    filled.into_iter().filter_map(decode).collect()
}

/// A root that is a file has no directory whose block could remember it.
fn cache_single_roots(work: &Work<'_>, filled: &[(Vec<u8>, Option<Encoded>)]) {
    let Some(cache) = &work.next_cache else {
        return;
    };
    for (path, encoded) in filled {
        let file = encoded
            .as_ref()
            .filter(|e| Entry::decode(&mut Decoder::new(&e.bytes)).is_ok_and(|e| !e.is_dir()));
        if let Some(encoded) = file {
            cache.add(&single_root_key(path), &ChunkId([0; 32]), std::iter::once(encoded));
        }
    }
}

/// The block of a root that is a file: no directory's path has a NUL.
fn single_root_key(path: &[u8]) -> Vec<u8> {
    [path, b"\0"].concat()
}
