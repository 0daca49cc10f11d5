//! A node as a source of the engine: its folders as they lie, with grafts in place of what must not be read as it lies. It counts what
//! each component holds, so that the manifest can say it.

mod content;
mod directory;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use globset::{GlobBuilder, GlobMatcher};
use nodekeep_nodes::kind::{Graft, With};
use nodekeep_repo::source::fs::FsSource;
use nodekeep_repo::source::{FileType, Item, Root, Source};

use self::directory::Grafted;

/// A component as the source must know it.
#[derive(Debug)]
pub struct Part {
    /// Where it lies.
    pub path: PathBuf,
    /// What is left out of it.
    pub exclude: Vec<Exclusion>,
    /// What was seen of it.
    pub seen: Seen,
}

/// What was read of a component; filled while the engine reads.
#[derive(Debug, Default)]
pub struct Seen {
    files: AtomicU64,
    bytes: AtomicU64,
    unreadable: AtomicU64,
}

impl Seen {
    /// Files in it.
    pub fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// Their size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Names in it that could not be read.
    pub fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    fn reset(&self) {
        for counter in [&self.files, &self.bytes, &self.unreadable] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

/// A pattern of what is left out.
#[derive(Debug)]
pub enum Exclusion {
    /// Matches names anywhere in the component.
    Name(GlobMatcher),
    /// Matches paths relative to the component.
    Path(GlobMatcher),
}

impl Exclusion {
    /// Reads a pattern: without a slash it matches names, with one the path below the component.
    ///
    /// # Errors
    /// In words, if it is none.
    pub fn parse(pattern: &str) -> Result<Self, String> {
        let mut glob = GlobBuilder::new(pattern.trim_start_matches('/'));
        let glob = glob.literal_separator(true).build().map_err(|error| error.to_string())?;
        let matcher = glob.compile_matcher();
        Ok(if pattern.contains('/') { Self::Path(matcher) } else { Self::Name(matcher) })
    }

    fn matches(&self, relative: &Path) -> bool {
        match self {
            Self::Name(glob) => relative.file_name().is_some_and(|name| glob.is_match(name)),
            Self::Path(glob) => glob.is_match(relative),
        }
    }
}

/// What is shown in place of what lies there.
#[derive(Debug, Default)]
struct Overlay {
    grafts: BTreeMap<PathBuf, With>,
    parts: Vec<Arc<Part>>,
}

impl Overlay {
    fn at(&self, path: &Path) -> Option<&With> {
        self.grafts.get(path)
    }

    /// Grafts directly in a folder, by name.
    fn children<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = (&'a Path, &'a With)> {
        let below = self.grafts.range(folder.to_path_buf()..);
        let below = below.take_while(move |(path, _)| path.starts_with(folder));
        below
            .filter(move |(path, _)| path.parent() == Some(folder))
            .map(|(path, with)| (path.as_path(), with))
    }

    /// The component that a path belongs to: the innermost.
    fn part(&self, path: &Path) -> Option<&Part> {
        let holding = self.parts.iter().filter(|part| path.starts_with(&part.path));
        holding.max_by_key(|part| part.path.as_os_str().len()).map(Arc::as_ref)
    }

    fn is_excluded(&self, path: &Path) -> bool {
        self.part(path).is_some_and(|part| {
            let relative = path.strip_prefix(&part.path).unwrap_or(path);
            part.exclude.iter().any(|exclusion| exclusion.matches(relative))
        })
    }

    fn count(&self, path: &Path, item: &Item) {
        if let (Some(part), FileType::File) = (self.part(path), item.stat.file_type) {
            part.seen.files.fetch_add(1, Ordering::Relaxed);
            part.seen.bytes.fetch_add(item.stat.size, Ordering::Relaxed);
        }
    }

    /// What vanished is no failure: the engine says what became of it.
    fn failed(&self, path: &Path, error: &io::Error) {
        if let (Some(part), true) = (self.part(path), error.kind() != io::ErrorKind::NotFound) {
            part.seen.unreadable.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Asked for the attachments once everything was read.
pub type Attach = Box<dyn Fn() -> Vec<(String, Vec<u8>)> + Send + Sync>;

/// A node as a source.
pub struct NodeSource {
    /// What is recorded, and what is read in its place: another path only under a snapshot of the file system.
    roots: Vec<(PathBuf, PathBuf)>,
    overlay: Arc<Overlay>,
    names: FsSource,
    attach: Attach,
}

impl std::fmt::Debug for NodeSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeSource").field("roots", &self.roots).finish_non_exhaustive()
    }
}

impl NodeSource {
    /// A source of these roots: `(recorded, read)` paths, none within another.
    pub fn new(
        roots: Vec<(PathBuf, PathBuf)>,
        grafts: Vec<Graft>,
        parts: Vec<Arc<Part>>,
        attach: Attach,
    ) -> Self {
        let grafts = grafts.into_iter().map(|graft| (graft.at, graft.with)).collect();
        // Knows the names of users and groups; nothing is opened.
        let names = FsSource::none();
        Self { roots, overlay: Arc::new(Overlay { grafts, parts }), names, attach }
    }

    fn open(&self, recorded: &Path, read: &Path) -> io::Result<Root> {
        let mut root = match self.overlay.at(recorded) {
            Some(With::Staged(staged) | With::StagedForever(staged)) => open(staged)?,
            _ => open(read)?,
        };
        root.path = recorded.as_os_str().as_bytes().to_vec();
        let name = root.item.name.clone();
        let is_file = root.directory.is_none();
        let parent = Grafted::above(recorded, root.parent.clone(), name, self.overlay.clone());
        if let Some(name) = recorded.file_name() {
            root.item.name = name.as_bytes().to_vec();
        }
        root.item = parent.shown(root.item);
        root.parent = Arc::new(parent);
        root.directory = root
            .directory
            .map(|directory| Grafted::within(recorded, directory, self.overlay.clone()));
        if is_file {
            self.overlay.count(recorded, &root.item);
        }
        Ok(root)
    }
}

/// A path of the file system, opened.
fn open(path: &Path) -> io::Result<Root> {
    let source = FsSource::new(vec![path.to_owned()]).map_err(io::Error::other)?;
    let mut roots = source.roots().map_err(|(_, error)| error)?;
    roots.pop().ok_or_else(|| io::ErrorKind::NotFound.into())
}

impl Source for NodeSource {
    fn roots(&self) -> Result<Vec<Root>, (Vec<u8>, io::Error)> {
        // A backup that was overtaken by a collection begins again.
        self.overlay.parts.iter().for_each(|part| part.seen.reset());
        let open = |(recorded, read): &(PathBuf, PathBuf)| {
            self.open(recorded, read)
                .map_err(|error| (recorded.as_os_str().as_bytes().to_vec(), error))
        };
        self.roots.iter().map(open).collect()
    }

    fn user_name(&self, uid: u32) -> Option<String> {
        self.names.user_name(uid)
    }

    fn group_name(&self, gid: u32) -> Option<String> {
        self.names.group_name(gid)
    }

    fn attachments(&self) -> Vec<(String, Vec<u8>)> {
        (self.attach)()
    }
}
