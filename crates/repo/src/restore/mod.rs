//! Restore: a snapshot, or paths of it, back into the file system, exactly.
//!
//! First a plan is made by comparing with what is there; then it is carried out, or refused if it would change what exists
//! and that was not asked for. A target that does not exist is built beside its place and appears whole; in one that
//! exists every file is replaced in one step. A file that cannot be restored whole is reported and leaves what was there.

mod apply;
pub(crate) mod cache;
mod content;
mod dirs;
mod meta;
mod plan;
mod spared;
pub(crate) mod want;
mod write;

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, RenameFlags, fchmod, fchown, flock, fsync, mkdirat,
    openat, renameat, renameat_with, unlinkat,
};
use rustix::io::Errno;

pub use plan::{Action, PlanItem, RestorePlan, Tally};

use self::meta::{Notes, Owners, Setter};
use self::plan::Planning;
use self::spared::Spared;
use self::want::{Placing, Want};
use self::write::Work;
use crate::error::{Error, Result};
use crate::fetch;
use crate::monitor::Monitor;
use crate::reader::ChunkReader;
use crate::repository::{Repository, SnapshotRecord};
use crate::source::fs::stat_open;

/// Where a restore goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Into this folder: the content of a single root folder directly, a single file by its name, several roots below
    /// their absolute paths. Folders on the way that the snapshot does not describe are private to their owner.
    Into(PathBuf),
    /// Back to the paths that were backed up.
    InPlace,
}

/// How to restore.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// Where to.
    pub target: Target,
    /// Only these: absolute as in the snapshot, or relative to its single root. Empty: everything.
    pub subpaths: Vec<Vec<u8>>,
    /// Only plan.
    pub dry_run: bool,
    /// Read every file again after writing and compare it with its hash.
    pub verify: bool,
    /// Replace what exists and differs.
    pub force: bool,
    /// Delete what the snapshot does not have, in folders that are restored whole. What the backup left out by a pattern,
    /// the repository itself and what is in `protect` stay.
    pub delete_extra: bool,
    /// Paths that are neither deleted nor replaced by something else: where keys and caches are.
    pub protect: Vec<PathBuf>,
    /// How many threads; `None`: one for each processor, at least two; 0: only the calling one.
    pub threads: Option<usize>,
    /// Give files the numbers of their owners, not the owners of the same names.
    pub numeric_owner: bool,
}

impl RestoreOptions {
    /// Everything into `target`, nothing replaced.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            subpaths: Vec::new(),
            dry_run: false,
            verify: false,
            force: false,
            delete_extra: false,
            protect: Vec::new(),
            threads: None,
            numeric_owner: false,
        }
    }

    fn threads(&self) -> usize {
        self.threads
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(2, Into::into).max(2))
    }
}

/// What a restore did. After a dry run: what it would do.
#[derive(Debug, Clone, Default)]
pub struct RestoreReport {
    /// Names that were not there.
    pub created: u64,
    /// Names that had other content or another type.
    pub changed: u64,
    /// Names of which only metadata was set.
    pub metadata: u64,
    /// Names that were as in the snapshot.
    pub kept: u64,
    /// Names that were deleted.
    pub deleted: u64,
    /// Bytes of the files written.
    pub bytes: u64,
    /// What could not be restored: path in the target, or object in the repository, and why.
    pub errors: Vec<(Vec<u8>, String)>,
    /// What could not be set, once for each kind.
    pub notes: Vec<String>,
    /// Where it went.
    pub base: PathBuf,
    /// How long it took.
    pub elapsed: Duration,
}

/// A path from the bytes of a name.
pub(crate) fn os_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

fn bytes_of(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

/// The place that a restore works in.
enum Ground {
    /// It exists.
    Existing(PathBuf),
    /// It does not: it is built beside its place.
    Fresh {
        target: PathBuf,
        parent: PathBuf,
        partial: Vec<u8>,
        /// Whose it is at the end.
        owner: Option<u32>,
    },
}

impl Ground {
    fn find(target: &Target, owner: Option<u32>) -> Result<Self> {
        let Target::Into(path) = target else {
            return Ok(Self::Existing(PathBuf::from("/")));
        };
        let failed = |e| Error::file(path, "looking at the target", e);
        match path.metadata() {
            Ok(_) => return Ok(Self::Existing(path.clone())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed(e)),
        }
        if path.symlink_metadata().is_ok() {
            return Err(Error::file(
                path,
                "restoring into a link that leads nowhere",
                Errno::NOENT,
            ));
        }
        let name = path.file_name().ok_or_else(|| failed(Errno::NOENT.into()))?;
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let partial = [b".", name.as_bytes(), b".nodekeep-partial"].concat();
        Ok(Self::Fresh { target: path.clone(), parent: parent.to_path_buf(), partial, owner })
    }

    fn is_fresh(&self) -> bool {
        matches!(self, Self::Fresh { .. })
    }

    /// The path where the result will be.
    fn shown(&self) -> &Path {
        match self {
            Self::Existing(path) => path,
            Self::Fresh { target, .. } => target,
        }
    }

    /// Opens the base; `None` if it does not exist and this is only a look.
    fn open(&self, only_look: bool) -> Result<Option<OwnedFd>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match self {
            Self::Existing(path) => {
                let opened = openat(CWD, path, flags, Mode::empty());
                opened.map(Some).map_err(|e| Error::file(path, "opening the target", e))
            }
            Self::Fresh { parent, partial, owner, .. } => {
                let path = parent.join(os_path(partial));
                let failed = |e| Error::file(&path, "preparing the target", e);
                if only_look {
                    return match openat(CWD, &path, flags | OFlags::NOFOLLOW, Mode::empty()) {
                        Ok(fd) => Ok(Some(fd)),
                        Err(Errno::NOENT) => Ok(None),
                        Err(error) => Err(failed(error.into())),
                    };
                }
                std::fs::create_dir_all(parent)
                    .map_err(|e| Error::file(parent, "creating the folder", e))?;
                open_partial(&path, *owner).map(Some).map_err(failed)
            }
        }
    }

    /// Puts a fresh target in its place.
    fn finish(&self) -> Result<()> {
        let Self::Fresh { target, parent, partial, .. } = self else {
            return Ok(());
        };
        let Some(name) = target.file_name().map(OsStrExt::as_bytes) else {
            return Ok(());
        };
        let put = || {
            let dir = openat(
                CWD,
                parent,
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            match renameat_with(&dir, partial.as_slice(), &dir, name, RenameFlags::NOREPLACE) {
                Err(Errno::INVAL | Errno::NOSYS) => renameat(&dir, partial.as_slice(), &dir, name)?,
                other => other?,
            }
            fsync(&dir)
        };
        put().map_err(|e| Error::file(target, "putting the restored folder in place", e))
    }

    /// After a failure: says where the parts are, or removes the place if there are none.
    fn abandon(&self, monitor: &dyn Monitor) {
        let Self::Fresh { parent, partial, .. } = self else {
            return;
        };
        let path = parent.join(os_path(partial));
        if unlinkat(CWD, &path, AtFlags::REMOVEDIR) == Err(Errno::NOTEMPTY) {
            monitor.note(&format!(
                "what was restored so far is in {}; the same restore continues there",
                path.display()
            ));
        }
    }
}

/// Makes the folder that a fresh target is built in, or takes over the one of an interrupted restore: ours, or already given to its
/// `owner` when the restore was cut off, in its last moment. Then it is taken back.
fn open_partial(path: &Path, owner: Option<u32>) -> std::io::Result<OwnedFd> {
    match mkdirat(CWD, path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = openat(CWD, path, flags, Mode::empty())?;
    let (me, found) = (rustix::process::geteuid(), stat_open(fd.as_fd())?.uid);
    if me.is_root() && owner == Some(found) {
        fchown(&fd, Some(me), None)?;
    } else if found != me.as_raw() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::PermissionDenied,
            "it belongs to someone else",
        ));
    }
    if flock(&fd, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::ResourceBusy,
            "another restore is at work there",
        ));
    }
    fchmod(&fd, Mode::RWXU)?;
    // What the parent hands down to new folders would go on to everything in it.
    for (attribute, _) in crate::xattr::read_open(fd.as_fd())? {
        crate::xattr::remove_open(fd.as_fd(), &attribute)?;
    }
    Ok(fd)
}

/// One restore.
struct Job<'a> {
    reader: ChunkReader,
    record: &'a SnapshotRecord,
    options: &'a RestoreOptions,
    monitor: &'a dyn Monitor,
    owners: Owners,
    ground: Ground,
    index_problems: Vec<Error>,
}

impl<'a> Job<'a> {
    fn new(
        repository: &Repository,
        record: &'a SnapshotRecord,
        options: &'a RestoreOptions,
        monitor: &'a dyn Monitor,
    ) -> Result<Self> {
        repository.needs_data()?;
        let (index, index_problems) = repository.index_as_it_is()?;
        let reader = repository.lasting_reader(Arc::new(index));
        let owners = Owners::new(&record.snapshot, options.numeric_owner);
        let owner = match record.snapshot.roots.as_slice() {
            [root] => Some(owners.of(&root.entry).0),
            _ => None,
        };
        let ground = Ground::find(&options.target, owner)?;
        Ok(Self { reader, record, options, monitor, owners, ground, index_problems })
    }

    fn placing(&self) -> Placing {
        want::placing(self.record, self.options.target == Target::InPlace)
    }

    fn want(&self) -> Result<Want> {
        want::select(&self.reader, self.record, &self.options.subpaths, self.placing())
    }

    /// Compares with the open base. What an interrupted restore left in the place of a fresh target goes or is used.
    fn plan(&self, base: Option<OwnedFd>) -> Result<RestorePlan> {
        let placing = self.placing();
        let store = Path::new(self.reader.store().location());
        let protected = self.options.protect.iter().map(PathBuf::as_path).chain([store]);
        let planning = Planning {
            reader: &self.reader,
            owners: &self.owners,
            delete_extra: self.options.delete_extra || self.ground.is_fresh(),
            fresh: self.ground.is_fresh(),
            threads: self.options.threads(),
            spared: Spared::new(&self.record.snapshot, placing, protected),
            monitor: self.monitor,
        };
        planning.plan(self.want()?, base, self.ground.shown())
    }

    /// Threads that write. On a distant store most of them wait for what they asked for.
    fn writers(&self) -> usize {
        let store = self.reader.store();
        let waiting = if fetch::is_distant(store) { store.in_flight() } else { 0 };
        self.options.threads.unwrap_or_else(|| self.options.threads().max(waiting))
    }

    fn look(&self) -> Result<RestorePlan> {
        self.plan(self.ground.open(true)?)
    }

    fn run(&self) -> Result<RestoreReport> {
        // A path that is not there is said before anything is made.
        self.want()?;
        let base = self.ground.open(false)?;
        let done = self.run_in(base);
        match &done {
            Ok(_) => self.ground.finish()?,
            Err(_) => self.ground.abandon(self.monitor),
        }
        done
    }

    fn run_in(&self, base: Option<OwnedFd>) -> Result<RestoreReport> {
        let missing = || Error::file(self.ground.shown(), "opening the target", Errno::NOENT);
        let base = base.ok_or_else(missing)?;
        let copy = base
            .try_clone()
            .map_err(|e| Error::file(self.ground.shown(), "opening the target", e))?;
        let plan = self.plan(Some(copy))?;
        if !self.options.force && !self.ground.is_fresh() {
            plan.refuse_overwriting()?;
        }
        for (path, why) in &plan.errors {
            self.monitor.problem(path, why);
        }
        let notes = Notes::default();
        let setter = Setter { owners: &self.owners, notes: &notes, monitor: self.monitor };
        let mut work = Work::new(&self.reader, &plan, setter, self.monitor, self.ground.shown());
        work.verify = self.options.verify;
        work.direct = self.ground.is_fresh();
        apply::apply(&work, self.want()?, base, self.writers())?;
        let (done, problems) = work.into_results();
        let mut report = report_of(&plan);
        report.created = done.created.load(Ordering::Relaxed);
        report.changed = done.changed.load(Ordering::Relaxed);
        report.metadata = done.metadata.load(Ordering::Relaxed);
        report.deleted = done.deleted.load(Ordering::Relaxed);
        report.bytes = done.bytes.load(Ordering::Relaxed);
        report.errors.extend(problems);
        report.notes = notes.into_list();
        Ok(report)
    }
}

/// What a plan comes to.
fn report_of(plan: &RestorePlan) -> RestoreReport {
    let named =
        |(path, why): &(Vec<u8>, String)| (bytes_of(&plan.base.join(os_path(path))), why.clone());
    RestoreReport {
        created: plan.tally.create,
        changed: plan.tally.change,
        metadata: plan.tally.metadata,
        kept: plan.tally.keep,
        deleted: plan.tally.delete,
        bytes: plan.bytes_to_write,
        errors: plan.errors.iter().map(named).collect(),
        base: plan.base.clone(),
        ..RestoreReport::default()
    }
}

impl Repository {
    /// What restoring a snapshot would do; nothing is touched. [`RestorePlan::refuse_overwriting`] tells whether it takes
    /// `force`.
    ///
    /// # Errors
    /// If the key cannot read content, a chosen path is not in the snapshot, or the target cannot be looked at.
    pub fn plan_restore(
        &self,
        record: &SnapshotRecord,
        options: &RestoreOptions,
        monitor: &dyn Monitor,
    ) -> Result<RestorePlan> {
        Job::new(self, record, options, monitor)?.look()
    }

    /// Restores a snapshot. Names that cannot be restored are in the report, and the rest is restored.
    ///
    /// # Errors
    /// If the key cannot read content, a chosen path is not in the snapshot, something that exists would be changed without
    /// `force` ([`Error::WouldOverwrite`]; then nothing was touched), the disk is full, or it is interrupted.
    pub fn restore(
        &self,
        record: &SnapshotRecord,
        options: &RestoreOptions,
        monitor: &dyn Monitor,
    ) -> Result<RestoreReport> {
        let started = Instant::now();
        let job = Job::new(self, record, options, monitor)?;
        let mut report = if options.dry_run { report_of(&job.look()?) } else { job.run()? };
        report.errors.extend(job.index_problems.iter().map(|e| (b"index".to_vec(), e.to_string())));
        report.elapsed = started.elapsed();
        Ok(report)
    }
}
