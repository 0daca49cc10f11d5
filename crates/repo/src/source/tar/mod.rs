//! A tar archive as a source: plain, or packed with gzip, zstd or Brotli. The archive is not trusted: what leads out of it,
//! or through one of its own links, is refused.

mod parse;
mod unpack;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use self::parse::{Member, MemberKind, Members, Segment};
use super::{Content, Details, Directory, FileType, Item, Listing, Root, Source, Stat};
use crate::error::{Error, Result};

/// The folder that stands above the archive's own.
const ABOVE: usize = 0;
/// The archive's top folder.
const TOP: usize = 1;

/// A tar archive to back up.
#[derive(Debug)]
pub struct TarSource {
    tree: Arc<Tree>,
    path: Vec<u8>,
}

#[derive(Debug)]
struct Tree {
    nodes: Vec<Node>,
    file: File,
    users: BTreeMap<u32, String>,
    groups: BTreeMap<u32, String>,
}

/// A file, folder or whatever else; hard links are several names of one.
#[derive(Debug)]
struct Node {
    stat: Stat,
    details: Details,
    children: BTreeMap<Vec<u8>, usize>,
    segments: Arc<[Segment]>,
}

fn stat(file_type: FileType, mode: u16) -> Stat {
    Stat {
        file_type,
        mode,
        uid: 0,
        gid: 0,
        size: 0,
        mtime: 0,
        mtime_ns: 0,
        // An archive has none: in the future, so that it never vouches for anything.
        ctime: i64::MAX,
        ctime_ns: 0,
        dev: 1,
        ino: 0,
        nlink: 1,
        rdev: (0, 0),
        allocated: 0,
    }
}

impl Node {
    /// A folder that the archive only implies.
    fn folder() -> Self {
        Self {
            stat: stat(FileType::Directory, 0o755),
            details: Details::default(),
            children: BTreeMap::new(),
            segments: Arc::from([]),
        }
    }

    fn is_folder(&self) -> bool {
        self.stat.file_type == FileType::Directory
    }
}

fn node_of(member: Member) -> (Node, Option<Vec<u8>>) {
    let (file_type, target, link) = match member.kind {
        MemberKind::File => (FileType::File, Vec::new(), None),
        MemberKind::Folder => (FileType::Directory, Vec::new(), None),
        MemberKind::Symlink(target) => (FileType::Symlink, target, None),
        MemberKind::Fifo => (FileType::Fifo, Vec::new(), None),
        MemberKind::CharDevice => (FileType::CharDevice, Vec::new(), None),
        MemberKind::BlockDevice => (FileType::BlockDevice, Vec::new(), None),
        MemberKind::HardLink(target) => (FileType::File, Vec::new(), Some(target)),
    };
    let stored: u64 = member.segments.iter().map(|s| s.len).sum();
    let stat = Stat {
        uid: member.uid,
        gid: member.gid,
        size: member.size,
        mtime: member.mtime.0,
        mtime_ns: member.mtime.1,
        rdev: member.device,
        allocated: stored,
        ..stat(file_type, member.mode)
    };
    let details = Details { xattrs: member.xattrs, target };
    (Node { stat, details, children: BTreeMap::new(), segments: member.segments.into() }, link)
}

impl TarSource {
    /// Opens an archive. What is packed is unpacked into an unlinked file in the folder `temp`, for reading from anywhere.
    /// The archive's top folder is recorded as `/`.
    ///
    /// # Errors
    /// If the archive cannot be read, is damaged or cut short, or holds what is not acceptable: names that are absolute or
    /// lead up, hard links to nothing, names below a link or a file.
    pub fn open(archive: &Path, temp: &Path) -> Result<Self> {
        let refused =
            |what: String| Error::Archive { archive: archive.display().to_string(), what };
        let file = unpack::open(archive, temp)?;
        let mut tree = Tree {
            nodes: vec![Node::folder(), Node::folder()],
            file,
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
        };
        let copy = tree.file.try_clone().map_err(|e| Error::file(archive, "opening", e))?;
        for member in Members::new(copy) {
            let member = member.map_err(|e| refused(e.to_string()))?;
            let name = String::from_utf8_lossy(&member.name).into_owned();
            tree.add(member).map_err(|why| refused(format!("`{name}`: {why}")))?;
        }
        tree.finish();
        Ok(Self { tree: Arc::new(tree), path: b"/".to_vec() }.named())
    }

    /// Records the archive's top folder as this absolute path.
    #[must_use]
    pub fn with_root(mut self, path: &[u8]) -> Self {
        self.path = path.to_vec();
        self.named()
    }

    fn named(mut self) -> Self {
        let name = self.name().to_vec();
        if let Some(tree) = Arc::get_mut(&mut self.tree) {
            tree.nodes[ABOVE].children = BTreeMap::from([(name, TOP)]);
        }
        self
    }

    /// The last part of the root's path.
    fn name(&self) -> &[u8] {
        let last = self.path.rsplit(|b| *b == b'/').next().unwrap_or_default();
        if last.is_empty() { b"/" } else { last }
    }
}

/// Parts of a name that stays inside.
fn parts(name: &[u8]) -> std::result::Result<Vec<&[u8]>, &'static str> {
    if name.starts_with(b"/") {
        return Err("its name is absolute");
    }
    if name.contains(&0) {
        return Err("its name contains a zero byte");
    }
    let parts: Vec<&[u8]> =
        name.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".").collect();
    if parts.contains(&b"..".as_slice()) {
        Err("its name leads up, out of the archive")
    } else {
        Ok(parts)
    }
}

impl Tree {
    fn add(&mut self, mut member: Member) -> std::result::Result<(), &'static str> {
        for (names, id, name) in [
            (&mut self.users, member.uid, std::mem::take(&mut member.user)),
            (&mut self.groups, member.gid, std::mem::take(&mut member.group)),
        ] {
            if !name.is_empty() {
                names.entry(id).or_insert(name);
            }
        }
        let name = std::mem::take(&mut member.name);
        let parts = parts(&name)?;
        let (node, link) = node_of(member);
        let Some((last, above)) = parts.split_last() else {
            return self.set_top(node);
        };
        let folder = self.folder(above)?;
        match link {
            Some(target) => self.link(folder, last, &target),
            None => self.insert(folder, last, node),
        }
    }

    fn set_top(&mut self, node: Node) -> std::result::Result<(), &'static str> {
        if !node.is_folder() {
            return Err("the archive's top is no folder");
        }
        let top = &mut self.nodes[TOP];
        (top.stat, top.details) = (node.stat, node.details);
        Ok(())
    }

    /// The folder at a path; those that the archive did not name yet are made.
    fn folder(&mut self, parts: &[&[u8]]) -> std::result::Result<usize, &'static str> {
        let mut at = TOP;
        for part in parts {
            at = match self.nodes[at].children.get(*part) {
                Some(child) if self.nodes[*child].is_folder() => *child,
                Some(child) if self.nodes[*child].stat.file_type == FileType::Symlink => {
                    return Err("it lies behind a symbolic link");
                }
                Some(_) => return Err("it lies below what is no folder"),
                None => self.push(at, part, Node::folder()),
            };
        }
        Ok(at)
    }

    fn push(&mut self, folder: usize, name: &[u8], node: Node) -> usize {
        self.nodes.push(node);
        let at = self.nodes.len() - 1;
        self.nodes[folder].children.insert(name.to_vec(), at);
        at
    }

    /// The last of several entries of one name counts, as it does for tar.
    fn insert(
        &mut self,
        folder: usize,
        name: &[u8],
        node: Node,
    ) -> std::result::Result<(), &'static str> {
        let before = self.nodes[folder].children.get(name).copied();
        match before.filter(|at| self.nodes[*at].is_folder()) {
            Some(at) if node.is_folder() => {
                (self.nodes[at].stat, self.nodes[at].details) = (node.stat, node.details);
            }
            Some(at) if !self.nodes[at].children.is_empty() => {
                return Err("it would replace a folder that is not empty");
            }
            _ => {
                self.push(folder, name, node);
            }
        }
        Ok(())
    }

    fn link(
        &mut self,
        folder: usize,
        name: &[u8],
        target: &[u8],
    ) -> std::result::Result<(), &'static str> {
        let inside = parts(target).map_err(|_| "it is a hard link out of the archive")?;
        let mut at = TOP;
        for part in inside {
            at = *self.nodes[at]
                .children
                .get(part)
                .ok_or("it is a hard link to what is not in the archive")?;
        }
        if self.nodes[at].is_folder() {
            return Err("it is a hard link to a folder");
        }
        let before = self.nodes[folder].children.get(name);
        if before.is_some_and(|before| !self.nodes[*before].children.is_empty()) {
            return Err("it would replace a folder that is not empty");
        }
        self.nodes[folder].children.insert(name.to_vec(), at);
        Ok(())
    }

    /// Numbers what has several names.
    fn finish(&mut self) {
        let mut names = vec![0u64; self.nodes.len()];
        for node in &self.nodes {
            for child in node.children.values() {
                names[*child] += 1;
            }
        }
        for (number, (node, names)) in self.nodes.iter_mut().zip(names).enumerate() {
            if names > 1 {
                (node.stat.nlink, node.stat.ino) = (names, number as u64);
            }
        }
    }
}

impl Source for TarSource {
    fn roots(&self) -> std::result::Result<Vec<Root>, (Vec<u8>, io::Error)> {
        let open = |node| Arc::new(TarDirectory { tree: self.tree.clone(), node });
        let item = Item { name: self.name().to_vec(), stat: self.tree.nodes[TOP].stat };
        Ok(vec![Root {
            path: self.path.clone(),
            item,
            parent: open(ABOVE),
            directory: Some(open(TOP)),
        }])
    }

    fn user_name(&self, uid: u32) -> Option<String> {
        self.tree.users.get(&uid).cloned()
    }

    fn group_name(&self, gid: u32) -> Option<String> {
        self.tree.groups.get(&gid).cloned()
    }
}

#[derive(Debug)]
struct TarDirectory {
    tree: Arc<Tree>,
    node: usize,
}

impl TarDirectory {
    fn find(&self, name: &[u8]) -> io::Result<usize> {
        let found = self.tree.nodes[self.node].children.get(name).copied();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Directory for TarDirectory {
    fn list(&self) -> io::Result<Listing> {
        let children = self.tree.nodes[self.node].children.iter();
        let items =
            children.map(|(name, at)| Item { name: name.clone(), stat: self.tree.nodes[*at].stat });
        Ok(Listing { items: items.collect(), unreadable: Vec::new() })
    }

    fn enter(&self, name: &[u8]) -> io::Result<Arc<dyn Directory>> {
        let node = self.find(name)?;
        if !self.tree.nodes[node].is_folder() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Arc::new(Self { tree: self.tree.clone(), node }))
    }

    fn open(&self, name: &[u8]) -> io::Result<Box<dyn Content>> {
        let node = &self.tree.nodes[self.find(name)?];
        if node.stat.file_type != FileType::File {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (segments, size) = (node.segments.clone(), node.stat.size);
        Ok(Box::new(TarContent { tree: self.tree.clone(), segments, size, at: 0 }))
    }

    fn details(&self, item: &Item) -> io::Result<Details> {
        Ok(self.tree.nodes[self.find(&item.name)?].details.clone())
    }
}

/// A file in the archive.
#[derive(Debug)]
struct TarContent {
    tree: Arc<Tree>,
    segments: Arc<[Segment]>,
    size: u64,
    at: u64,
}

impl Read for TarContent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size.saturating_sub(self.at);
        let next = self.segments.partition_point(|s| s.offset + s.len <= self.at);
        let (data, end) = match self.segments.get(next) {
            Some(s) if s.offset <= self.at => {
                (Some(s.position + (self.at - s.offset)), s.offset + s.len - self.at)
            }
            Some(s) => (None, s.offset - self.at),
            None => (None, left),
        };
        let len = buffer.len().min(usize::try_from(end.min(left)).unwrap_or(usize::MAX));
        match data {
            Some(position) => self.tree.file.read_exact_at(&mut buffer[..len], position)?,
            None => buffer[..len].fill(0),
        }
        self.at += len as u64;
        Ok(len)
    }
}

impl Content for TarContent {
    fn extents(&mut self, size: u64) -> io::Result<Option<Vec<(u64, u64)>>> {
        let stored: u64 = self.segments.iter().map(|s| s.len).sum();
        if stored >= size {
            return Ok(None);
        }
        Ok(Some(self.segments.iter().filter(|s| s.len > 0).map(|s| (s.offset, s.len)).collect()))
    }

    fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.at = offset;
        Ok(())
    }

    fn stat(&self) -> io::Result<Option<Stat>> {
        Ok(None)
    }
}
