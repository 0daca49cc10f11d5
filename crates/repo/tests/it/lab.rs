//! What the tests of the engine's promises share: a repository with its keys, backups and restores of whole trees, and a source
//! that lets a test interfere between two looks at a file.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use nodekeep_repo::backup::{BackupOptions, BackupReport};
use nodekeep_repo::error::Result;
use nodekeep_repo::keys::{Credential, Entropy};
use nodekeep_repo::monitor::Silent;
use nodekeep_repo::repository::{Access, CreateOptions, Repository, SnapshotRecord};
use nodekeep_repo::restore::{RestoreOptions, RestoreReport, Target};
use nodekeep_repo::source::fs::FsSource;
use nodekeep_repo::source::{Content, Details, Directory, Item, Listing, Root, Source, Stat};
use nodekeep_store::Store;
use nodekeep_testkit::{Abilities, Rng, Size, Tree, random};

/// The keys of a repository.
#[derive(Clone)]
pub struct Keys {
    pub owner: Entropy,
    pub credential: Credential,
}

/// A small repository in `store`, whose packs are small, too.
pub fn create(store: Store) -> Keys {
    let owner = Entropy::from_bytes([7; 32]);
    let (_, credential) = Repository::create(store, &owner, &small_packs()).unwrap();
    Keys { owner, credential }
}

pub fn small_packs() -> CreateOptions {
    CreateOptions { pack_size: 64 * 1024, ..CreateOptions::default() }
}

impl Keys {
    /// Everything that the owner's own machine has.
    pub fn access(&self) -> Access {
        Access {
            owner: Some(self.owner.clone()),
            credential: Some(self.credential.clone()),
            ..Access::default()
        }
    }

    pub fn open(&self, store: &Store) -> Result<Repository> {
        Repository::open(store.clone(), &self.access(), None)
    }
}

/// A directory in memory where there is one: what is synced there takes no time. For tests that restore hundreds of times.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A directory with a random tree in it, of what can be had there and in [`scratch`].
pub fn planted(seed: u64, size: Size, at: &Path) -> Tree {
    std::fs::create_dir_all(at).unwrap();
    let (here, there) =
        (Abilities::probe(at).unwrap(), Abilities::probe(scratch().path()).unwrap());
    let can = Abilities {
        root: here.root,
        xattrs: here.xattrs && there.xattrs,
        acls: here.acls && there.acls,
    };
    random(&mut Rng::new(seed), can, size).write(at).unwrap();
    Tree::read(at).unwrap()
}

pub fn options(cache: Option<&Path>) -> BackupOptions {
    BackupOptions {
        cache: cache.map(Path::to_path_buf),
        host: "lab".to_owned(),
        ..BackupOptions::default()
    }
}

/// Backs up a directory.
pub fn backup(repo: &Repository, dir: &Path, cache: Option<&Path>) -> Result<BackupReport> {
    repo.backup(&FsSource::new(vec![dir.to_path_buf()])?, &options(cache), &Silent)
}

/// Restores a snapshot into scratch space and reads it back.
pub fn restore(repo: &Repository, record: &SnapshotRecord) -> Result<(RestoreReport, Tree)> {
    restore_in(scratch().path(), repo, record)
}

/// Restores a snapshot into a new directory in `dir` and reads it back.
pub fn restore_in(
    dir: &Path,
    repo: &Repository,
    record: &SnapshotRecord,
) -> Result<(RestoreReport, Tree)> {
    let target = dir.join("restored");
    let report =
        repo.restore(record, &RestoreOptions::new(Target::Into(target.clone())), &Silent)?;
    let tree = if target.exists() { Tree::read(&target).unwrap() } else { Tree::default() };
    Ok((report, tree))
}

/// Restores a snapshot that must be whole.
#[track_caller]
pub fn assert_restores(repo: &Repository, record: &SnapshotRecord, expected: &Tree, what: &str) {
    let (report, tree) = restore(repo, record).unwrap();
    assert!(report.errors.is_empty(), "{what}: {:?}", report.errors);
    expected.assert_same(&tree, what);
}

/// The newest snapshot.
pub fn newest(repo: &Repository) -> SnapshotRecord {
    repo.snapshots().unwrap().pop().unwrap()
}

/// Bytes in a store.
pub fn stored(store: &Store) -> u64 {
    store.list("").unwrap().iter().map(|object| object.size).sum()
}

/// When a [`Meddling`] source lets the test interfere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A directory was listed: its name comes with it.
    Listed,
    /// A file is about to be opened.
    Opening,
    /// A file was opened and nothing read yet.
    Opened,
    /// Some of a file was read.
    Read,
}

type Hook = dyn Fn(Moment, &[u8]) -> io::Result<()> + Send + Sync;
type Pose = dyn Fn(&[u8], &mut Stat) + Send + Sync;

/// The file system, and a hook that may change it, or fail, at every moment; `pose` changes what files look like.
pub struct Meddling {
    inner: FsSource,
    hook: Arc<Hook>,
    pose: Arc<Pose>,
}

impl Meddling {
    pub fn new(
        dir: &Path,
        hook: impl Fn(Moment, &[u8]) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let inner = FsSource::new(vec![dir.to_path_buf()]).unwrap();
        Self { inner, hook: Arc::new(hook), pose: Arc::new(|_, _| ()) }
    }

    pub fn posing(self, pose: impl Fn(&[u8], &mut Stat) + Send + Sync + 'static) -> Self {
        Self { pose: Arc::new(pose), ..self }
    }

    fn directory(&self, inner: Arc<dyn Directory>, name: &[u8]) -> Arc<dyn Directory> {
        Arc::new(MeddlingDir {
            inner,
            name: name.to_vec(),
            hook: self.hook.clone(),
            pose: self.pose.clone(),
        })
    }
}

impl Source for Meddling {
    fn roots(&self) -> std::result::Result<Vec<Root>, (Vec<u8>, io::Error)> {
        let wrap = |root: Root| {
            let name = root.item.name.clone();
            let parent = self.directory(root.parent, b"");
            Root { parent, directory: root.directory.map(|dir| self.directory(dir, &name)), ..root }
        };
        Ok(self.inner.roots()?.into_iter().map(wrap).collect())
    }

    fn user_name(&self, _: u32) -> Option<String> {
        None
    }

    fn group_name(&self, _: u32) -> Option<String> {
        None
    }
}

struct MeddlingDir {
    inner: Arc<dyn Directory>,
    name: Vec<u8>,
    hook: Arc<Hook>,
    pose: Arc<Pose>,
}

impl Directory for MeddlingDir {
    fn list(&self) -> io::Result<Listing> {
        let mut listing = self.inner.list()?;
        for item in &mut listing.items {
            (self.pose)(&item.name, &mut item.stat);
        }
        (self.hook)(Moment::Listed, &self.name)?;
        Ok(listing)
    }

    fn enter(&self, name: &[u8]) -> io::Result<Arc<dyn Directory>> {
        let inner = self.inner.enter(name)?;
        Ok(Arc::new(Self {
            inner,
            name: name.to_vec(),
            hook: self.hook.clone(),
            pose: self.pose.clone(),
        }))
    }

    fn open(&self, name: &[u8]) -> io::Result<Box<dyn Content>> {
        (self.hook)(Moment::Opening, name)?;
        let inner = self.inner.open(name)?;
        (self.hook)(Moment::Opened, name)?;
        Ok(Box::new(MeddlingContent {
            inner,
            name: name.to_vec(),
            hook: self.hook.clone(),
            pose: self.pose.clone(),
        }))
    }

    fn details(&self, item: &Item) -> io::Result<Details> {
        self.inner.details(item)
    }
}

struct MeddlingContent {
    inner: Box<dyn Content>,
    name: Vec<u8>,
    hook: Arc<Hook>,
    pose: Arc<Pose>,
}

impl Read for MeddlingContent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Little by little, so that there is something between the first read and the last.
        let len = buffer.len().min(64 * 1024);
        let read = self.inner.read(&mut buffer[..len])?;
        (self.hook)(Moment::Read, &self.name)?;
        Ok(read)
    }
}

impl Content for MeddlingContent {
    fn extents(&mut self, size: u64) -> io::Result<Option<Vec<(u64, u64)>>> {
        self.inner.extents(size)
    }

    fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.inner.seek(offset)
    }

    fn stat(&self) -> io::Result<Option<Stat>> {
        let mut stat = self.inner.stat()?;
        if let Some(stat) = &mut stat {
            (self.pose)(&self.name, stat);
        }
        Ok(stat)
    }
}

/// The system's memory, and a note of the largest piece that was ever asked for.
struct Measured;

static LARGEST: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// Bytes of the largest piece of memory that this process has asked for.
pub fn largest_allocation() -> usize {
    LARGEST.load(std::sync::atomic::Ordering::Relaxed)
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its nature; this one only counts")]
// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl std::alloc::GlobalAlloc for Measured {
    unsafe fn alloc(&self, layout: std::alloc::Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), std::sync::atomic::Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { std::alloc::System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: std::alloc::Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and `at` came from the system's allocator.
        unsafe { std::alloc::System.dealloc(at, layout) }
    }
}

#[global_allocator]
static MEASURED: Measured = Measured;
