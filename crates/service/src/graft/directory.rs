//! A folder of a node, with grafts in it.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nodekeep_nodes::kind::With;
use nodekeep_repo::source::{Content, Details, Directory, FileType, Item, Listing, Stat};

use super::content::{AsListed, Memory, Prefix};
use super::{Overlay, open};
use crate::ours::is_ours;

/// Mode of what exists in a snapshot only.
const OWN_MODE: u16 = 0o600;

/// A folder with grafts.
pub struct Grafted {
    path: PathBuf,
    inner: Arc<dyn Directory>,
    /// The one name in it that counts, and what it is called in `inner`: for the folder above a root.
    only: Option<Vec<u8>>,
    /// Whether files in it never change under one name.
    forever: bool,
    overlay: Arc<Overlay>,
}

/// How what is read differs from what lies there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mask {
    /// Owner, mode and times of what lies at the place.
    live: Option<Stat>,
    forever: bool,
    is_staged: bool,
}

impl Mask {
    /// Metadata as it is shown.
    pub fn over(&self, mut stat: Stat) -> Stat {
        if let Some(live) = self.live.filter(|live| live.file_type == stat.file_type) {
            (stat.mode, stat.uid, stat.gid) = (live.mode, live.uid, live.gid);
        }
        if self.forever {
            // A hard link to it changes the time of change and nothing else.
            (stat.ctime, stat.ctime_ns) = (stat.mtime, stat.mtime_ns);
        }
        if self.is_staged && stat.file_type == FileType::File {
            stat.nlink = 1;
        }
        stat
    }
}

impl Grafted {
    /// The folder above a root: only the root is ever asked of it.
    pub fn above(
        root: &Path,
        inner: Arc<dyn Directory>,
        name: Vec<u8>,
        overlay: Arc<Overlay>,
    ) -> Self {
        let path = root.parent().unwrap_or(root).to_owned();
        Self { path, inner, only: Some(name), forever: false, overlay }
    }

    /// The folder that is a root.
    pub fn within(
        root: &Path,
        inner: Arc<dyn Directory>,
        overlay: Arc<Overlay>,
    ) -> Arc<dyn Directory> {
        let forever = matches!(overlay.at(root), Some(With::StagedForever(_)));
        Arc::new(Self { path: root.to_owned(), inner, only: None, forever, overlay })
    }

    fn place(&self, name: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(name))
    }

    /// What a name is called in `inner`.
    fn inner_name<'a>(&'a self, name: &'a [u8]) -> &'a [u8] {
        self.only.as_deref().unwrap_or(name)
    }

    /// A root as it is shown.
    pub fn shown(&self, mut item: Item) -> Item {
        let with = self.overlay.at(&self.place(&item.name));
        match with {
            Some(With::Prefix(length)) => cut(&mut item.stat, *length),
            Some(With::Staged(_) | With::StagedForever(_)) => {
                item.stat = self.mask(with, None).over(item.stat);
            }
            _ => {}
        }
        item
    }

    fn mask(&self, with: Option<&With>, live: Option<Stat>) -> Mask {
        let is_staged = matches!(with, Some(With::Staged(_) | With::StagedForever(_)));
        let forever = self.forever || matches!(with, Some(With::StagedForever(_)));
        Mask { live, forever, is_staged: is_staged || forever }
    }

    /// An item that lies there, as it is shown; `None` if it is not.
    fn show(&self, mut item: Item) -> Option<Result<Item, (Vec<u8>, io::Error)>> {
        let path = self.place(&item.name);
        let with = self.overlay.at(&path);
        match with {
            Some(With::Nothing) => return None,
            None if is_ours(OsStr::from_bytes(&item.name)) => return None,
            None if self.overlay.is_excluded(&path) => return None,
            None => item.stat = self.mask(None, None).over(item.stat),
            Some(With::Prefix(length)) => cut(&mut item.stat, *length),
            Some(With::Bytes(bytes)) => item.stat = in_memory(item.stat, bytes),
            Some(With::Staged(staged) | With::StagedForever(staged)) => match open(staged) {
                Ok(root) => {
                    item.stat = self.mask(with, Some(item.stat)).over(root.item.stat);
                }
                Err(error) => return Some(Err((item.name, error))),
            },
        }
        self.overlay.count(&path, &item);
        Some(Ok(item))
    }

    /// An item that exists in the snapshot only.
    fn added(&self, path: &Path, with: &With) -> Option<Result<Item, (Vec<u8>, io::Error)>> {
        let name = path.file_name()?.as_bytes().to_vec();
        let stat = match with {
            With::Nothing | With::Prefix(_) => return None,
            With::Bytes(bytes) => Ok(in_memory(nowhere(), bytes)),
            With::Staged(staged) | With::StagedForever(staged) => {
                open(staged).map(|root| self.mask(Some(with), None).over(root.item.stat))
            }
        };
        Some(match stat {
            Ok(stat) => {
                let item = Item { name, stat };
                self.overlay.count(path, &item);
                Ok(item)
            }
            Err(error) => Err((name, error)),
        })
    }

    fn list_inner(&self) -> io::Result<Listing> {
        let listed = self.inner.list()?;
        let mut shown = Listing { items: Vec::new(), unreadable: listed.unreadable };
        let lying: Vec<PathBuf> = listed.items.iter().map(|item| self.place(&item.name)).collect();
        let there = listed.items.into_iter().filter_map(|item| self.show(item));
        let added =
            self.overlay.children(&self.path).filter(|(path, _)| !lying.iter().any(|l| l == path));
        for item in there.chain(added.filter_map(|(path, with)| self.added(path, with))) {
            match item {
                Ok(item) => shown.items.push(item),
                Err(unreadable) => shown.unreadable.push(unreadable),
            }
        }
        for (name, error) in &shown.unreadable {
            self.overlay.failed(&self.place(name), error);
        }
        Ok(shown)
    }

    fn open_inner(&self, name: &[u8], path: &Path) -> io::Result<Box<dyn Content>> {
        let with = self.overlay.at(path);
        match with {
            Some(With::Nothing) => Err(io::ErrorKind::NotFound.into()),
            Some(With::Bytes(bytes)) => Ok(Box::new(Memory::new(bytes.clone()))),
            Some(With::Prefix(length)) => {
                Ok(Box::new(Prefix::new(self.inner.open(self.inner_name(name))?, *length)))
            }
            Some(With::Staged(staged) | With::StagedForever(staged)) => {
                let root = open(staged)?;
                let content = root.parent.open(&root.item.name)?;
                // What lies there may be gone: then it was shown with its own metadata.
                let live = self.live(name);
                Ok(Box::new(AsListed::new(content, self.mask(with, live))))
            }
            None => {
                let content = self.inner.open(self.inner_name(name))?;
                Ok(Box::new(AsListed::new(content, self.mask(None, None))))
            }
        }
    }

    /// Metadata of what lies at a name now.
    fn live(&self, name: &[u8]) -> Option<Stat> {
        if self.only.is_some() {
            return None;
        }
        self.inner.open(name).ok()?.stat().ok()?
    }
}

impl Directory for Grafted {
    fn list(&self) -> io::Result<Listing> {
        self.list_inner().inspect_err(|error| self.overlay.failed(&self.path, error))
    }

    fn enter(&self, name: &[u8]) -> io::Result<Arc<dyn Directory>> {
        let path = self.place(name);
        let with = self.overlay.at(&path);
        let inner = match with {
            Some(With::Staged(staged) | With::StagedForever(staged)) => {
                let directory = open(staged).map(|root| root.directory);
                directory.and_then(|d| d.ok_or_else(|| io::ErrorKind::NotADirectory.into()))
            }
            _ => self.inner.enter(self.inner_name(name)),
        };
        let inner = inner.inspect_err(|error| self.overlay.failed(&path, error))?;
        let forever = self.forever || matches!(with, Some(With::StagedForever(_)));
        Ok(Arc::new(Self { path, inner, only: None, forever, overlay: self.overlay.clone() }))
    }

    fn open(&self, name: &[u8]) -> io::Result<Box<dyn Content>> {
        let path = self.place(name);
        self.open_inner(name, &path).inspect_err(|error| self.overlay.failed(&path, error))
    }

    fn details(&self, item: &Item) -> io::Result<Details> {
        let named = Item { name: self.inner_name(&item.name).to_vec(), stat: item.stat };
        match (self.inner.details(&named), self.overlay.at(&self.place(&item.name))) {
            (Err(_), Some(With::Bytes(_))) => Ok(Details::default()),
            (Err(_), Some(With::Staged(staged) | With::StagedForever(staged))) => {
                let root = open(staged)?;
                root.parent.details(&root.item)
            }
            (details, _) => details,
        }
    }
}

fn cut(stat: &mut Stat, length: u64) {
    stat.size = stat.size.min(length);
    stat.allocated = stat.allocated.min(length);
}

fn in_memory(live: Stat, bytes: &[u8]) -> Stat {
    // Without an inode nothing is trusted without reading.
    Stat { size: bytes.len() as u64, allocated: bytes.len() as u64, ino: 0, nlink: 1, ..live }
}

fn nowhere() -> Stat {
    let now = jiff::Timestamp::now();
    Stat {
        file_type: FileType::File,
        mode: OWN_MODE,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        size: 0,
        mtime: now.as_second(),
        mtime_ns: 0,
        ctime: now.as_second(),
        ctime_ns: 0,
        dev: 0,
        ino: 0,
        nlink: 1,
        rdev: (0, 0),
        allocated: 0,
    }
}
