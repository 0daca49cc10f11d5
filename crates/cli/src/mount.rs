//! Snapshots as a read-only file system. Directories and content are read when someone looks at them.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyXattr, Request,
};
use nodekeep_repo::error::Error as Engine;
use nodekeep_repo::pack::PackKind;
use nodekeep_repo::reader::{Buffers, ChunkReader};
use nodekeep_repo::tree::{Entry, Kind, Run};

use crate::interrupt;

/// What is mounted never changes: the kernel may remember it.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
const POLL: Duration = Duration::from_millis(200);

/// A folder of the mount that stands for itself: its name, and what is in it.
#[derive(Debug)]
pub enum Branch {
    /// A folder that no backup holds, such as one for each snapshot.
    Folder(Vec<(Vec<u8>, Branch)>),
    /// Something that was backed up.
    Entry(Box<Entry>),
}

/// Mounts and serves until it is unmounted from outside, or Ctrl-C.
///
/// # Errors
/// If it cannot be mounted.
pub fn serve(reader: ChunkReader, top: Branch, at: &Path, ready: impl FnOnce()) -> io::Result<()> {
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::RO,
        MountOption::NoDev,
        MountOption::NoSuid,
        MountOption::DefaultPermissions,
        MountOption::FSName("nodekeep".to_owned()),
    ];
    let session = fuser::spawn_mount(Snapshots::new(reader, top), at, &config)?;
    interrupt::watch();
    ready();
    while !interrupt::asked() && !session.guard.is_finished() {
        std::thread::sleep(POLL);
    }
    if session.guard.is_finished() { session.join() } else { session.umount_and_join() }
}

/// One name of the mount.
struct Node {
    parent: u64,
    what: What,
    /// Names and inodes below; read when first looked at.
    children: Option<Vec<(Vec<u8>, u64)>>,
}

enum What {
    Folder,
    Entry(Entry),
}

/// The file system. Inodes are places in `nodes`, from 1.
struct Snapshots {
    reader: ChunkReader,
    nodes: Mutex<Vec<Node>>,
    open: Mutex<HashMap<u64, OpenFile>>,
    mounted: SystemTime,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Snapshots {
    fn new(reader: ChunkReader, top: Branch) -> Self {
        let mut nodes = Vec::new();
        plant(&mut nodes, 1, top);
        Self {
            reader,
            nodes: Mutex::new(nodes),
            open: Mutex::default(),
            mounted: SystemTime::now(),
        }
    }

    /// The names below an inode.
    fn children(&self, ino: u64) -> Result<Vec<(Vec<u8>, u64)>, Errno> {
        let mut nodes = lock(&self.nodes);
        let node = at(&nodes, ino)?;
        if let Some(known) = &node.children {
            return Ok(known.clone());
        }
        let What::Entry(Entry { kind: Kind::Directory { tree, .. }, .. }) = &node.what else {
            return Err(Errno::ENOTDIR);
        };
        let entries = self.reader.entries(tree).map_err(|_| Errno::EIO)?;
        let mut children = Vec::with_capacity(entries.len());
        for entry in entries {
            let name = entry.name.clone();
            children.push((name, grow(&mut nodes, ino, What::Entry(entry))));
        }
        if let Some(node) = nodes.get_mut(ino as usize - 1) {
            node.children = Some(children.clone());
        }
        Ok(children)
    }

    fn child(&self, ino: u64, name: &OsStr) -> Result<FileAttr, Errno> {
        let children = self.children(ino)?;
        let found = children.iter().find(|(known, _)| known == name.as_bytes());
        self.attributes(found.ok_or(Errno::ENOENT)?.1)
    }

    fn attributes(&self, ino: u64) -> Result<FileAttr, Errno> {
        let nodes = lock(&self.nodes);
        Ok(match &at(&nodes, ino)?.what {
            What::Folder => folder_attributes(ino, self.mounted),
            What::Entry(entry) => entry_attributes(ino, entry),
        })
    }

    fn entry<T>(
        &self,
        ino: u64,
        read: impl FnOnce(&Entry) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        match &at(&lock(&self.nodes), ino)?.what {
            What::Entry(entry) => read(entry),
            What::Folder => Err(Errno::ENODATA),
        }
    }

    fn list(&self, ino: u64) -> Result<Vec<(Vec<u8>, u64, FileType)>, Errno> {
        let children = self.children(ino)?;
        let nodes = lock(&self.nodes);
        let parent = at(&nodes, ino)?.parent;
        let mut listed = vec![
            (b".".to_vec(), ino, FileType::Directory),
            (b"..".to_vec(), parent, FileType::Directory),
        ];
        for (name, child) in children {
            let kind = match &at(&nodes, child)?.what {
                What::Folder => FileType::Directory,
                What::Entry(entry) => file_type(entry),
            };
            listed.push((name, child, kind));
        }
        Ok(listed)
    }

    fn read_open(&self, handle: u64, offset: u64, size: u32) -> Result<Vec<u8>, Errno> {
        let mut open = lock(&self.open);
        let file = open.get_mut(&handle).ok_or(Errno::EBADF)?;
        file.read(&self.reader, offset, size as usize).map_err(|_| Errno::EIO)
    }
}

/// Adds a branch and what it holds; its inode is the next.
fn plant(nodes: &mut Vec<Node>, parent: u64, branch: Branch) -> u64 {
    let below = match branch {
        Branch::Entry(entry) => return grow(nodes, parent, What::Entry(*entry)),
        Branch::Folder(below) => below,
    };
    let ino = grow(nodes, parent, What::Folder);
    let children =
        below.into_iter().map(|(name, branch)| (name, plant(nodes, ino, branch))).collect();
    nodes[ino as usize - 1].children = Some(children);
    ino
}

fn grow(nodes: &mut Vec<Node>, parent: u64, what: What) -> u64 {
    nodes.push(Node { parent, what, children: None });
    nodes.len() as u64
}

fn at(nodes: &[Node], ino: u64) -> Result<&Node, Errno> {
    let place = usize::try_from(ino).ok().and_then(|ino| ino.checked_sub(1));
    place.and_then(|place| nodes.get(place)).ok_or(Errno::ENOENT)
}

fn file_type(entry: &Entry) -> FileType {
    match entry.kind {
        Kind::File { .. } => FileType::RegularFile,
        Kind::Directory { .. } => FileType::Directory,
        Kind::Symlink { .. } => FileType::Symlink,
        Kind::Fifo => FileType::NamedPipe,
        Kind::Socket => FileType::Socket,
        Kind::CharDevice { .. } => FileType::CharDevice,
        Kind::BlockDevice { .. } => FileType::BlockDevice,
    }
}

fn folder_attributes(ino: u64, time: SystemTime) -> FileAttr {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    attributes(ino, FileType::Directory, 0o755, 0, time, (uid, gid), 0)
}

fn entry_attributes(ino: u64, entry: &Entry) -> FileAttr {
    let time = match u64::try_from(entry.mtime) {
        Ok(seconds) => UNIX_EPOCH + Duration::new(seconds, entry.mtime_ns),
        Err(_) => {
            UNIX_EPOCH - Duration::from_secs(entry.mtime.unsigned_abs())
                + Duration::from_nanos(entry.mtime_ns.into())
        }
    };
    let size = match &entry.kind {
        Kind::Symlink { target } => target.len() as u64,
        _ => entry.size(),
    };
    let device = match entry.kind {
        Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
            libc::makedev(major, minor) as u32
        }
        _ => 0,
    };
    attributes(ino, file_type(entry), entry.mode, size, time, (entry.uid, entry.gid), device)
}

fn attributes(
    ino: u64,
    kind: FileType,
    perm: u16,
    size: u64,
    time: SystemTime,
    (uid, gid): (u32, u32),
    rdev: u32,
) -> FileAttr {
    FileAttr {
        ino: INodeNo(ino),
        size,
        blocks: size.div_ceil(512),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm,
        nlink: if kind == FileType::Directory { 2 } else { 1 },
        uid,
        gid,
        rdev,
        blksize: 128 * 1024,
        flags: 0,
    }
}

/// An open file: where its runs end, and the chunk that was read last.
struct OpenFile {
    runs: Vec<Run>,
    ends: Vec<u64>,
    buffers: Buffers,
    loaded: Option<usize>,
}

impl OpenFile {
    fn new(runs: &[Run]) -> Self {
        let mut end = 0;
        let ends = runs.iter().map(|run| {
            end += run.len();
            end
        });
        Self { ends: ends.collect(), runs: runs.to_vec(), buffers: Buffers::new(), loaded: None }
    }

    fn read(
        &mut self,
        reader: &ChunkReader,
        mut offset: u64,
        size: usize,
    ) -> Result<Vec<u8>, Engine> {
        let mut out = Vec::with_capacity(size);
        let mut run = self.ends.partition_point(|end| *end <= offset);
        while run < self.runs.len() && out.len() < size {
            let inside = offset - (self.ends[run] - self.runs[run].len());
            let wanted = (self.ends[run] - offset).min((size - out.len()) as u64);
            self.append(reader, run, inside, wanted as usize, &mut out)?;
            offset += wanted;
            run += 1;
        }
        Ok(out)
    }

    fn append(
        &mut self,
        reader: &ChunkReader,
        run: usize,
        inside: u64,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Engine> {
        let Run::Data { chunk, offset, .. } = self.runs[run] else {
            out.resize(out.len() + len, 0);
            return Ok(());
        };
        if self.loaded != Some(run) {
            self.loaded = None;
            reader.chunk(PackKind::Data, &chunk, &mut self.buffers)?;
            self.loaded = Some(run);
        }
        let from = offset as usize + inside as usize;
        let part = self.buffers.plain.get(from..from + len).ok_or(Engine::ChunkMissing(chunk))?;
        out.extend_from_slice(part);
        Ok(())
    }
}

/// Answers with an attribute: its size if asked for that, otherwise its bytes.
fn reply_bytes(reply: ReplyXattr, bytes: &[u8], size: u32) {
    match u32::try_from(bytes.len()) {
        Ok(len) if size == 0 => reply.size(len),
        Ok(len) if len <= size => reply.data(bytes),
        _ => reply.error(Errno::ERANGE),
    }
}

impl Filesystem for Snapshots {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.child(parent.0, name) {
            Ok(attributes) => reply.entry(&FOREVER, &attributes, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(ino.0) {
            Ok(attributes) => reply.attr(&FOREVER, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        let target = self.entry(ino.0, |entry| match &entry.kind {
            Kind::Symlink { target } => Ok(target.clone()),
            _ => Err(Errno::EINVAL),
        });
        match target {
            Ok(target) => reply.data(&target),
            Err(error) => reply.error(error),
        }
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let file = self.entry(ino.0, |entry| match &entry.kind {
            Kind::File { runs, .. } => Ok(OpenFile::new(runs)),
            _ => Err(Errno::EINVAL),
        });
        match file {
            Ok(file) => {
                let mut open = lock(&self.open);
                let handle = (1..).find(|handle| !open.contains_key(handle)).unwrap_or(u64::MAX);
                open.insert(handle, file);
                reply.opened(FileHandle(handle), FopenFlags::FOPEN_KEEP_CACHE);
            }
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.read_open(handle.0, offset, size) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        lock(&self.open).remove(&handle.0);
        reply.ok();
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        match self.list(ino.0) {
            Ok(listed) => {
                for (at, (name, child, kind)) in listed.iter().enumerate().skip(offset as usize) {
                    if reply.add(INodeNo(*child), at as u64 + 1, *kind, OsStr::from_bytes(name)) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(error) => reply.error(error),
        }
    }

    fn getxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let value = self.entry(ino.0, |entry| {
            let found = entry.xattrs.iter().find(|(known, _)| known == name.as_bytes());
            found.map(|(_, value)| value.clone()).ok_or(Errno::ENODATA)
        });
        match value {
            Ok(value) => reply_bytes(reply, &value, size),
            Err(error) => reply.error(error),
        }
    }

    fn listxattr(&self, _: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let names = self.entry(ino.0, |entry| {
            Ok(entry
                .xattrs
                .iter()
                .flat_map(|(name, _)| [name.as_slice(), b"\0"].concat())
                .collect::<Vec<u8>>())
        });
        reply_bytes(reply, &names.unwrap_or_default(), size);
    }
}
