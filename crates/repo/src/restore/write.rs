//! What the threads of a restore do: files, links and special files are made under a name of their own, complete with
//! metadata, and only then put in place. What cannot be made whole is not put in place at all.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{
    AtFlags, FileType as Raw, Mode, OFlags, RenameFlags, ftruncate, makedev, mknodat, openat,
    renameat, renameat_with, symlinkat, unlinkat,
};
use rustix::io::{Errno, pwrite};

use super::cache::ChunkCache;
use super::content::is_same;
use super::dirs::{TEMP_PREFIX, remove_any};
use super::meta::{Before, Inode, Setter};
use super::plan::{Action, RestorePlan};
use crate::crypto::random;
use crate::error::Error;
use crate::id::to_hex;
use crate::monitor::Monitor;
use crate::reader::ChunkReader;
use crate::tree::{Entry, Kind, Run};

/// Why a name could not be restored.
#[derive(Debug)]
pub enum Failure {
    /// The system refused.
    System(&'static str, io::Error),
    /// The repository does not give it.
    Engine(Error),
    /// It reads back different from what was written.
    ReadsDifferent,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(action, error) => write!(f, "{action}: {error}"),
            Self::Engine(error) => write!(f, "{error}"),
            Self::ReadsDifferent => f.write_str("it reads back different from what was written"),
        }
    }
}

impl Failure {
    /// For `map_err`: what was being done.
    pub fn doing<E: Into<io::Error>>(action: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::System(action, error.into())
    }

    /// Whether every other file would fail too.
    fn ends_all(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        matches!(self, Self::System(_, e) if matches!(e.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem))
    }
}

type Outcome<T> = Result<T, Failure>;

/// An open directory of the target.
#[derive(Debug)]
pub struct Place {
    /// The directory.
    pub fd: OwnedFd,
    /// Whether it hands group or ACL down to what is made in it.
    pub inherits: bool,
}

/// A name to restore that is no directory.
#[derive(Debug)]
pub struct Leaf {
    /// Its place in the plan.
    pub node: u32,
    /// What the snapshot holds.
    pub entry: Entry,
    /// Where it goes.
    pub place: Arc<Place>,
}

/// Work for a thread.
pub enum Job<'a> {
    /// Several names.
    Leaves(Vec<Leaf>),
    /// A part of a large file: runs and where they begin.
    Slice(Arc<Large<'a>>, Range<usize>, u64),
}

/// A large file that several threads write.
pub struct Large<'a> {
    leaf: Leaf,
    fd: OwnedFd,
    draft: Mutex<Option<Draft<'a>>>,
    left: AtomicUsize,
    failure: Mutex<Option<Failure>>,
}

/// Counts what was done.
#[derive(Debug, Default)]
pub struct Done {
    /// Names that were not there.
    pub created: AtomicU64,
    /// Names with other content or type.
    pub changed: AtomicU64,
    /// Names with other metadata.
    pub metadata: AtomicU64,
    /// Names that went.
    pub deleted: AtomicU64,
    /// Bytes of files written.
    pub bytes: AtomicU64,
}

/// What all threads of a restore share.
pub struct Work<'a> {
    /// Reads chunks.
    pub reader: &'a ChunkReader,
    /// What is to be done.
    pub plan: &'a RestorePlan,
    /// Puts metadata on inodes.
    pub setter: Setter<'a>,
    /// Hears of progress and problems.
    pub monitor: &'a dyn Monitor,
    /// Whether files are read again.
    pub verify: bool,
    /// Whether nobody sees the target yet, so that files are written under their own names.
    pub direct: bool,
    /// Where the base will be.
    pub shown: &'a Path,
    /// What was done.
    pub done: Done,
    temp: TempNames,
    state: Mutex<State>,
    stop: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    problems: Vec<(Vec<u8>, String)>,
    failed: HashSet<u32>,
    fatal: Option<Error>,
}

#[derive(Debug)]
struct TempNames {
    run: String,
    next: AtomicU64,
}

impl TempNames {
    fn next(&self) -> Vec<u8> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        [TEMP_PREFIX, format!("{}.{number}", self.run).as_bytes()].concat()
    }
}

/// A name in the making; it goes again unless it is put in place.
struct Draft<'a> {
    dir: Arc<Place>,
    name: Vec<u8>,
    target: &'a [u8],
    replace: bool,
    placed: bool,
}

impl Draft<'_> {
    fn dir(&self) -> BorrowedFd<'_> {
        self.dir.fd.as_fd()
    }

    fn put_in_place(mut self) -> io::Result<()> {
        if self.name != self.target {
            let dir = self.dir.fd.as_fd();
            if self.replace { self.rename_over(dir)? } else { self.rename_new(dir)? }
        }
        self.placed = true;
        Ok(())
    }

    fn rename_over(&self, dir: BorrowedFd<'_>) -> io::Result<()> {
        match renameat(dir, self.name.as_slice(), dir, self.target) {
            Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                remove_any(dir, self.target)?;
                Ok(renameat(dir, self.name.as_slice(), dir, self.target)?)
            }
            other => Ok(other?),
        }
    }

    /// What came into being since the plan was made is not overwritten.
    fn rename_new(&self, dir: BorrowedFd<'_>) -> io::Result<()> {
        match renameat_with(dir, self.name.as_slice(), dir, self.target, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => {
                Ok(renameat(dir, self.name.as_slice(), dir, self.target)?)
            }
            other => Ok(other?),
        }
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.placed {
            // Nothing can be done about what cannot be removed; the next restore removes it.
            let _ = unlinkat(self.dir(), self.name.as_slice(), AtFlags::empty());
        }
    }
}

/// Working memory of a thread.
struct Memory {
    chunks: ChunkCache,
    buffer: Vec<u8>,
}

impl<'a> Work<'a> {
    /// Prepares a restore.
    pub fn new(
        reader: &'a ChunkReader,
        plan: &'a RestorePlan,
        setter: Setter<'a>,
        monitor: &'a dyn Monitor,
        shown: &'a Path,
    ) -> Self {
        let temp = TempNames { run: to_hex(&random::<8>()), next: AtomicU64::new(0) };
        Self {
            reader,
            plan,
            setter,
            monitor,
            verify: false,
            direct: false,
            shown,
            done: Done::default(),
            temp,
            state: Mutex::default(),
            stop: AtomicBool::new(false),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a node will be.
    fn shown(&self, node: u32) -> PathBuf {
        let below = self.plan.path(node);
        if below.is_empty() {
            self.shown.to_path_buf()
        } else {
            self.shown.join(super::os_path(&below))
        }
    }

    /// Records that a name could not be restored. A full disk ends everything.
    pub fn failed(&self, node: u32, failure: Failure) {
        let path = self.shown(node);
        let mut state = self.state();
        state.failed.insert(node);
        if failure.ends_all() {
            self.stop.store(true, Ordering::Relaxed);
            if let Failure::System(action, source) = failure {
                state.fatal.get_or_insert(Error::File { path, action, source });
            }
            return;
        }
        let (path, why) = (super::bytes_of(&path), failure.to_string());
        self.monitor.problem(&path, &why);
        state.problems.push((path, why));
    }

    /// Whether a node was recorded as failed.
    pub fn has_failed(&self, node: u32) -> bool {
        self.state().failed.contains(&node)
    }

    /// Whether to stop.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.monitor.interrupted()
    }

    /// What ended the restore early, if anything.
    pub fn ended(&self) -> Option<Error> {
        let fatal = self.state().fatal.take();
        fatal.or_else(|| self.monitor.interrupted().then_some(Error::Interrupted))
    }

    /// Counts, and the problems so far.
    pub fn into_results(self) -> (Done, Vec<(Vec<u8>, String)>) {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        (self.done, state.problems)
    }

    /// Does jobs until there are no more.
    pub fn run(&self, jobs: crossbeam_channel::Receiver<Job<'_>>) {
        let mut memory = Memory { chunks: ChunkCache::new(self.reader), buffer: Vec::new() };
        for job in jobs {
            match job {
                _ if self.stopped() => {}
                Job::Leaves(leaves) => self.leaves(leaves, &mut memory),
                Job::Slice(large, runs, offset) => self.slice(&large, runs, offset, &mut memory),
            }
        }
    }

    fn leaves(&self, leaves: Vec<Leaf>, memory: &mut Memory) {
        if let Some(first) = leaves.first() {
            self.monitor.path(&super::bytes_of(&self.shown(first.node)));
        }
        memory.chunks.expect(leaves.iter().flat_map(|leaf| leaf.entry.runs()));
        for leaf in leaves {
            if self.stopped() {
                return;
            }
            match self.leaf(&leaf, memory) {
                Ok(()) => self.finished(&leaf, leaf.entry.size()),
                Err(failure) => self.failed(leaf.node, failure),
            }
        }
    }

    /// Counts a finished name; `bytes` of it were not reported yet.
    fn finished(&self, leaf: &Leaf, bytes: u64) {
        let counter = match self.plan.action(leaf.node) {
            Action::Metadata => {
                self.done.metadata.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Action::Create => &self.done.created,
            _ => &self.done.changed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.done.bytes.fetch_add(leaf.entry.size(), Ordering::Relaxed);
        self.monitor.advance(1, bytes);
    }

    fn leaf(&self, leaf: &Leaf, memory: &mut Memory) -> Outcome<()> {
        if self.plan.action(leaf.node) == Action::Metadata {
            return self.metadata_only(leaf);
        }
        let draft = self.draft(leaf.node, &leaf.place)?;
        match &leaf.entry.kind {
            Kind::File { size, runs, .. } => {
                let fd = create_file(&draft)?;
                self.write_runs(fd.as_fd(), runs, 0, memory)?;
                if matches!(runs.last(), Some(Run::Hole { .. })) {
                    ftruncate(&fd, *size).map_err(Failure::doing("writing"))?;
                }
                self.complete(draft, fd.as_fd(), leaf, &mut memory.buffer)
            }
            Kind::Symlink { target } => {
                symlinkat(target.as_slice(), draft.dir(), draft.name.as_slice())
                    .map_err(Failure::doing("making the symbolic link"))?;
                self.dress(Inode::Link(draft.dir(), &draft.name), leaf)?;
                draft.put_in_place().map_err(Failure::doing("putting in place"))
            }
            other => self.special(draft, other, leaf),
        }
    }

    fn special(&self, draft: Draft<'_>, kind: &Kind, leaf: &Leaf) -> Outcome<()> {
        let (file_type, device) = match kind {
            Kind::CharDevice { major, minor } => (Raw::CharacterDevice, makedev(*major, *minor)),
            Kind::BlockDevice { major, minor } => (Raw::BlockDevice, makedev(*major, *minor)),
            Kind::Socket => (Raw::Socket, 0),
            _ => (Raw::Fifo, 0),
        };
        mknodat(draft.dir(), draft.name.as_slice(), file_type, Mode::RUSR | Mode::WUSR, device)
            .map_err(Failure::doing("making the special file"))?;
        let fd = open_path(draft.dir(), &draft.name)?;
        self.dress(Inode::Path(fd.as_fd()), leaf)?;
        draft.put_in_place().map_err(Failure::doing("putting in place"))
    }

    fn dress(&self, inode: Inode<'_>, leaf: &Leaf) -> Outcome<()> {
        let before = if leaf.place.inherits { Before::Unknown } else { Before::Fresh };
        self.setter.apply(inode, &leaf.entry, before).map_err(Failure::doing("setting metadata"))
    }

    fn metadata_only(&self, leaf: &Leaf) -> Outcome<()> {
        let (dir, name) = (leaf.place.fd.as_fd(), self.plan.name(leaf.node));
        let doing = Failure::doing("setting metadata");
        if let Kind::Symlink { .. } = leaf.entry.kind {
            return self
                .setter
                .apply(Inode::Link(dir, name), &leaf.entry, Before::Unknown)
                .map_err(doing);
        }
        let fd = open_path(dir, name)?;
        self.setter.apply(Inode::Path(fd.as_fd()), &leaf.entry, Before::Unknown).map_err(doing)
    }

    /// Begins a name: its own where nobody looks yet, otherwise a temporary one beside it.
    fn draft(&self, node: u32, place: &Arc<Place>) -> Outcome<Draft<'a>> {
        let target = self.plan.name(node);
        let replace = self.plan.action(node) == Action::Change;
        if self.direct && replace {
            remove_any(place.fd.as_fd(), target)
                .map_err(Failure::doing("removing what was there"))?;
        }
        let name = if self.direct { target.to_vec() } else { self.temp.next() };
        Ok(Draft { dir: place.clone(), name, target, replace, placed: false })
    }

    fn write_runs(
        &self,
        fd: BorrowedFd<'_>,
        runs: &[Run],
        from: u64,
        memory: &mut Memory,
    ) -> Outcome<()> {
        let mut at = from;
        for run in runs {
            if let Some(bytes) = memory.chunks.bytes(self.reader, run).map_err(Failure::Engine)? {
                write_all(fd, bytes, at)?;
            }
            at += run.len();
        }
        Ok(())
    }

    /// Checks a written file if asked to, gives it its metadata and puts it in place.
    fn complete(
        &self,
        draft: Draft<'_>,
        fd: BorrowedFd<'_>,
        leaf: &Leaf,
        buffer: &mut Vec<u8>,
    ) -> Outcome<()> {
        if let (true, Kind::File { runs, hash, .. }) = (self.verify, &leaf.entry.kind) {
            let hasher = self.reader.domain().file_hasher();
            let same = is_same(fd, runs, hash, hasher, buffer)
                .map_err(Failure::doing("reading it again"))?;
            if !same {
                return Err(Failure::ReadsDifferent);
            }
        }
        self.dress(Inode::Open(fd), leaf)?;
        draft.put_in_place().map_err(Failure::doing("putting in place"))
    }

    /// Begins a file that several threads will write, in so many slices.
    pub fn large(&self, leaf: Leaf, slices: usize) -> Option<Arc<Large<'a>>> {
        let begun = self.draft(leaf.node, &leaf.place).and_then(|draft| {
            let fd = create_file(&draft)?;
            ftruncate(&fd, leaf.entry.size()).map_err(Failure::doing("writing"))?;
            Ok((draft, fd))
        });
        match begun {
            Ok((draft, fd)) => Some(Arc::new(Large {
                leaf,
                fd,
                draft: Mutex::new(Some(draft)),
                left: AtomicUsize::new(slices),
                failure: Mutex::new(None),
            })),
            Err(failure) => {
                self.failed(leaf.node, failure);
                None
            }
        }
    }

    fn slice(&self, large: &Large<'_>, runs: Range<usize>, offset: u64, memory: &mut Memory) {
        let Kind::File { runs: all, .. } = &large.leaf.entry.kind else {
            return;
        };
        let runs = &all[runs];
        let mut failure = large.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        if failure.is_none() {
            memory.chunks.expect(runs.iter());
            failure = self.write_runs(large.fd.as_fd(), runs, offset, memory).err();
            self.monitor.advance(0, runs.iter().map(Run::len).sum());
        }
        if let Some(failure) = failure {
            *large.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
        }
        if large.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.finish_large(large, &mut memory.buffer);
        }
    }

    fn finish_large(&self, large: &Large<'_>, buffer: &mut Vec<u8>) {
        let draft = large.draft.lock().unwrap_or_else(PoisonError::into_inner).take();
        let failure = large.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        let outcome = match (failure, draft) {
            (Some(failure), _) => Err(failure),
            (None, Some(draft)) => self.complete(draft, large.fd.as_fd(), &large.leaf, buffer),
            (None, None) => Ok(()),
        };
        match outcome {
            Ok(()) => self.finished(&large.leaf, 0),
            Err(failure) => self.failed(large.leaf.node, failure),
        }
    }

    /// Makes a name a hard link of another, which is complete.
    pub fn link(&self, from: (BorrowedFd<'_>, u32), to: (BorrowedFd<'_>, u32)) -> Outcome<()> {
        let doing = Failure::doing::<Errno>("making the hard link");
        let (dir, name) = (to.0, self.plan.name(to.1));
        let replace = self.plan.action(to.1) == Action::Change;
        if replace && self.direct {
            remove_any(dir, name).map_err(Failure::doing("removing what was there"))?;
        }
        let from_name = self.plan.name(from.1);
        if !replace || self.direct {
            return rustix::fs::linkat(from.0, from_name, dir, name, AtFlags::empty())
                .map_err(doing);
        }
        let temp = self.temp.next();
        rustix::fs::linkat(from.0, from_name, dir, temp.as_slice(), AtFlags::empty())
            .map_err(&doing)?;
        let renamed = match renameat(dir, temp.as_slice(), dir, name) {
            Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                remove_any(dir, name).and_then(|()| Ok(renameat(dir, temp.as_slice(), dir, name)?))
            }
            other => other.map_err(Into::into),
        };
        // Renaming a link over another name of the same file does nothing and leaves it.
        let _ = unlinkat(dir, temp.as_slice(), AtFlags::empty());
        renamed.map_err(Failure::doing("putting in place"))
    }
}

fn create_file(draft: &Draft<'_>) -> Outcome<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(draft.dir(), draft.name.as_slice(), flags, Mode::RUSR | Mode::WUSR)
        .map_err(Failure::doing("creating"))
}

fn open_path(dir: BorrowedFd<'_>, name: &[u8]) -> Outcome<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::empty()).map_err(Failure::doing("opening"))
}

fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8], mut at: u64) -> Outcome<()> {
    while !bytes.is_empty() {
        match pwrite(fd, bytes, at) {
            Ok(0) => return Err(Failure::System("writing", io::ErrorKind::WriteZero.into())),
            Ok(written) => {
                bytes = &bytes[written..];
                at += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(Failure::System("writing", error.into())),
        }
    }
    Ok(())
}
