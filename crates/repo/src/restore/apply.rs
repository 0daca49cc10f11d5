//! Carries out a plan: walks what is wanted once more, makes directories, hands everything else to the threads, and at the
//! end makes hard links and gives directories their metadata, deepest first.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::{Receiver, Sender};
use rustix::fs::{Mode, mkdirat, syncfs};
use rustix::io::Errno;
use rustix::process::getegid;

use super::dirs::{Climber, open_dir, open_way, remove_any};
use super::meta::{Before, Inode};
use super::plan::Action;
use super::want::{Step, Walk, Want, children};
use super::write::{Failure, Job, Leaf, Place, Work};
use crate::error::Result;
use crate::id::ChunkId;
use crate::source::fs::stat_open;
use crate::tree::{Entry, Kind, Run};
use crate::xattr;

/// Files from this size on are written by several threads, in bytes.
const LARGE: u64 = 16 * 1024 * 1024;
/// What one thread writes of a large file at a time, in bytes.
const SLICE: u64 = 8 * 1024 * 1024;
/// A batch of small files has about so many bytes.
const BATCH_BYTES: u64 = 4 * 1024 * 1024;
/// No batch has more names.
const BATCH_NAMES: usize = 256;
/// Directories that all batches under way may keep open together.
const OPEN_DIRS: usize = 400;

/// Consecutive names for one thread.
#[derive(Default)]
struct Batch {
    leaves: Vec<Leaf>,
    bytes: u64,
    dirs: usize,
    last_chunk: Option<ChunkId>,
}

impl Batch {
    /// Whether the leaf should begin another batch. Files of one chunk stay together, so that it is decrypted once.
    fn is_full(&self, first_chunk: Option<&ChunkId>, most_dirs: usize) -> bool {
        let many = self.bytes >= BATCH_BYTES || self.leaves.len() >= BATCH_NAMES;
        let shares = first_chunk.is_some() && first_chunk == self.last_chunk.as_ref();
        self.dirs >= most_dirs || self.leaves.len() >= 16 * BATCH_NAMES || many && !shares
    }

    fn add(&mut self, leaf: Leaf) {
        let same_dir = self.leaves.last().is_some_and(|last| Arc::ptr_eq(&last.place, &leaf.place));
        self.dirs += usize::from(!same_dir);
        self.bytes += leaf.entry.size();
        self.last_chunk = chunks(&leaf.entry).last().copied().or(self.last_chunk);
        self.leaves.push(leaf);
    }
}

fn chunks(entry: &Entry) -> impl Iterator<Item = &ChunkId> {
    entry.runs().iter().filter_map(|run| match run {
        Run::Data { chunk, .. } => Some(chunk),
        Run::Hole { .. } => None,
    })
}

struct Level {
    node: u32,
    place: Arc<Place>,
    /// The metadata it gets in the end if anything in it or of it changes.
    entry: Option<Entry>,
    touched: bool,
}

/// One walk through the target.
pub struct Applier<'w, 'a> {
    work: &'w Work<'a>,
    threads: usize,
    jobs: Sender<Job<'a>>,
    walk: Walk,
    levels: Vec<Level>,
    next: u32,
    batch: Batch,
    /// Directories and the metadata they get, each after what it holds.
    dirs: Vec<(u32, Entry)>,
}

/// Whether a directory may hand a group or an ACL down to what is made in it. Some file systems hand the group down without
/// being told to, so one of another group counts.
fn inherits(fd: &OwnedFd) -> bool {
    let own_group = getegid().as_raw();
    let group = stat_open(fd.as_fd()).is_ok_and(|s| s.mode & 0o2000 == 0 && s.gid == own_group);
    let attributes = xattr::read_open(fd.as_fd()).unwrap_or_default();
    let acl = attributes.iter().any(|(name, _)| name == b"system.posix_acl_default");
    !group || acl
}

/// Without threads, all jobs wait until the walk is over.
fn job_channel<'a>(threads: usize) -> (Sender<Job<'a>>, Receiver<Job<'a>>) {
    if threads == 0 { crossbeam_channel::unbounded() } else { crossbeam_channel::bounded(threads) }
}

/// Carries out the plan of `work` in the open base, and waits until it is on disk.
///
/// # Errors
/// If the disk is full, it is interrupted, or a tree cannot be read any more. Everything else is recorded name by name.
pub fn apply(work: &Work<'_>, want: Want, base: OwnedFd, threads: usize) -> Result<()> {
    let tally = work.plan.tally;
    work.monitor.plan(tally.create + tally.change, work.plan.bytes_to_write);
    let place = Arc::new(Place { inherits: inherits(&base), fd: base });
    let (jobs, receiver) = job_channel(threads);
    let dirs = std::thread::scope(|scope| {
        for _ in 0..threads {
            let receiver = receiver.clone();
            scope.spawn(|| work.run(receiver));
        }
        let own = (threads == 0).then_some(receiver);
        let (walk, levels, dirs) = Default::default();
        let applier =
            Applier { work, threads, jobs, walk, levels, next: 0, batch: Batch::default(), dirs };
        let dirs = applier.run(want, place.clone());
        own.into_iter().for_each(|receiver| work.run(receiver));
        dirs
    });
    let dirs = dirs?;
    if let Some(error) = work.ended() {
        return Err(error);
    }
    links(work, &place);
    directories(work, &place, dirs);
    if let Some(error) = work.ended() {
        return Err(error);
    }
    syncfs(&place.fd).map_err(|e| crate::error::Error::file(work.shown, "writing to disk", e))
}

fn links(work: &Work<'_>, base: &Place) {
    let mut links: Vec<(u32, u32)> =
        work.plan.links.iter().map(|(to, from)| (*to, *from)).collect();
    links.sort_unstable();
    let mut from_dirs = Climber::new(base.fd.as_fd(), work.plan);
    let mut to_dirs = Climber::new(base.fd.as_fd(), work.plan);
    for (to, from) in links {
        if work.has_failed(from) {
            let missing = std::io::Error::new(
                std::io::ErrorKind::NotFound,
                "its first name could not be restored",
            );
            work.failed(to, Failure::System("making the hard link", missing));
            continue;
        }
        let linked = from_dirs
            .open(work.plan.parent(from))
            .and_then(|a| Ok((a, to_dirs.open(work.plan.parent(to))?)));
        let linked = linked.map_err(Failure::doing("opening the folder"));
        match linked.and_then(|(a, b)| work.link((a, from), (b, to))) {
            Ok(()) if work.plan.action(to) == Action::Create => {
                work.done.created.fetch_add(1, Ordering::Relaxed);
            }
            Ok(()) => {
                work.done.changed.fetch_add(1, Ordering::Relaxed);
            }
            Err(failure) => work.failed(to, failure),
        }
        work.monitor.advance(1, 0);
    }
}

fn directories(work: &Work<'_>, base: &Place, dirs: Vec<(u32, Entry)>) {
    let mut climber = Climber::new(base.fd.as_fd(), work.plan);
    for (node, entry) in dirs {
        let fd = climber.open(node).map_err(Failure::doing("opening the folder"));
        let set = fd.and_then(|fd| {
            let inode = Inode::Path(fd);
            work.setter
                .apply(inode, &entry, Before::Unknown)
                .map_err(Failure::doing("setting metadata"))
        });
        match set {
            Ok(()) if work.plan.action(node) == Action::Metadata => {
                work.done.metadata.fetch_add(1, Ordering::Relaxed);
            }
            Ok(()) => {}
            Err(failure) => work.failed(node, failure),
        }
    }
}

impl Applier<'_, '_> {
    fn run(mut self, want: Want, base: Arc<Place>) -> Result<Vec<(u32, Entry)>> {
        self.next = 1;
        if self.work.plan.action(0) == Action::Create {
            self.work.done.created.fetch_add(1, Ordering::Relaxed);
        }
        self.enter(0, want, base)?;
        while let Some(step) = self.walk.step() {
            if self.work.stopped() {
                break;
            }
            match step {
                Step::Leave => self.leave(),
                Step::Visit(want) if want.is_dir() => self.directory(*want)?,
                Step::Visit(want) => self.leaf(*want),
            }
        }
        self.flush();
        Ok(self.dirs)
    }

    fn take_node(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    fn touch(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.touched = true;
        }
    }

    fn enter(&mut self, node: u32, mut want: Want, place: Arc<Place>) -> Result<()> {
        let plan = self.work.plan;
        let unreadable = plan.unreadable.contains(&node);
        let names = if unreadable { Vec::new() } else { children(self.work.reader, &mut want)? };
        let action = plan.action(node);
        // An existing directory that only leads to something chosen keeps its own metadata.
        let own = want.whole || self.work.direct || action != Action::Keep;
        let entry = want.entry.filter(|_| own);
        self.levels.push(Level { node, place, entry, touched: action != Action::Keep });
        self.walk.push(names);
        while self.next < plan.len()
            && plan.parent(self.next) == node
            && plan.action(self.next) == Action::Delete
        {
            let extra = self.take_node();
            self.delete(extra);
        }
        Ok(())
    }

    fn delete(&mut self, node: u32) {
        let Some(level) = self.levels.last() else {
            return;
        };
        match remove_any(level.place.fd.as_fd(), self.work.plan.name(node)) {
            Ok(()) => {
                self.work.done.deleted.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => self.work.failed(node, Failure::System("deleting", error)),
        }
        self.touch();
    }

    fn leave(&mut self) {
        if let Some(Level { node, entry: Some(entry), touched: true, .. }) = self.levels.pop() {
            self.dirs.push((node, entry));
        }
    }

    fn directory(&mut self, want: Want) -> Result<()> {
        let node = self.take_node();
        match self.make_directory(node, &want) {
            Ok(place) => self.enter(node, want, Arc::new(place)),
            Err(failure) => {
                self.work.failed(node, failure);
                // Everything below has this node or a later one as its parent.
                while self.next < self.work.plan.len() && self.work.plan.parent(self.next) >= node {
                    self.next += 1;
                }
                Ok(())
            }
        }
    }

    fn make_directory(&mut self, node: u32, want: &Want) -> std::result::Result<Place, Failure> {
        let above = self.levels.last().map(|level| level.place.clone());
        let above =
            above.ok_or_else(|| Failure::System("opening the folder", Errno::NOENT.into()))?;
        let (dir, name) = (above.fd.as_fd(), self.work.plan.name(node));
        let open = if want.whole { open_dir } else { open_way };
        let action = self.work.plan.action(node);
        if matches!(action, Action::Keep | Action::Metadata) {
            let fd = open(dir, name).map_err(Failure::doing("opening the folder"))?;
            return Ok(Place { inherits: inherits(&fd), fd });
        }
        if action == Action::Change {
            remove_any(dir, name).map_err(Failure::doing("removing what was there"))?;
            self.work.done.changed.fetch_add(1, Ordering::Relaxed);
        } else {
            self.work.done.created.fetch_add(1, Ordering::Relaxed);
        }
        self.touch();
        match mkdirat(dir, name, Mode::RWXU) {
            // A directory that came into being meanwhile is as good.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(Failure::System("creating the folder", error.into())),
        }
        self.work.monitor.advance(1, 0);
        let fd = open_dir(dir, name).map_err(Failure::doing("opening the folder"))?;
        Ok(Place { inherits: above.inherits, fd })
    }

    fn leaf(&mut self, want: Want) {
        let node = self.take_node();
        let Some(entry) = want.entry else { return };
        let action = self.work.plan.action(node);
        if action == Action::Keep {
            return;
        }
        if action != Action::Metadata {
            self.touch();
        }
        if self.work.plan.links.contains_key(&node) {
            return;
        }
        let Some(place) = self.levels.last().map(|level| level.place.clone()) else {
            return;
        };
        let leaf = Leaf { node, entry, place };
        if leaf.entry.size() >= LARGE && action != Action::Metadata {
            return self.large(leaf);
        }
        let most_dirs = (OPEN_DIRS / (2 * self.threads + 1)).max(4);
        if self.batch.is_full(chunks(&leaf.entry).next(), most_dirs) {
            self.flush();
        }
        self.batch.add(leaf);
    }

    fn flush(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if !batch.leaves.is_empty() {
            self.send(Job::Leaves(batch.leaves));
        }
    }

    fn large(&mut self, leaf: Leaf) {
        let Kind::File { runs, .. } = &leaf.entry.kind else {
            return;
        };
        let slices = slices(runs);
        let Some(large) = self.work.large(leaf, slices.len()) else {
            return;
        };
        for (runs, offset) in slices {
            self.send(Job::Slice(large.clone(), runs, offset));
        }
    }
}

impl<'a> Applier<'_, 'a> {
    fn send(&self, job: Job<'a>) {
        // The other end is gone only after a panic, which the scope passes on.
        let _ = self.jobs.send(job);
    }
}

/// Ranges of runs with at least [`SLICE`] bytes of data, and where each begins; at least one.
fn slices(runs: &[Run]) -> Vec<(std::ops::Range<usize>, u64)> {
    let mut slices = Vec::new();
    let (mut first, mut offset, mut at, mut data) = (0, 0, 0, 0);
    for (index, run) in runs.iter().enumerate() {
        at += run.len();
        data += if matches!(run, Run::Data { .. }) { run.len() } else { 0 };
        if data >= SLICE {
            slices.push((first..index + 1, offset));
            (first, offset, data) = (index + 1, at, 0);
        }
    }
    if first < runs.len() || slices.is_empty() {
        slices.push((first..runs.len(), offset));
    }
    slices
}
