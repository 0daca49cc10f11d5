//! What can be backed up: a tree of names with metadata, and content that can be read. The file system is one source;
//! a snapshot of another repository and a tar archive are others; an adapter or another program brings its own.

use std::io::{self, Read};
use std::sync::Arc;

use crate::tree::Kind;

pub mod fs;
pub mod snapshot;
pub mod tar;

/// What a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link.
    Symlink,
    /// Named pipe.
    Fifo,
    /// Socket.
    Socket,
    /// Character device.
    CharDevice,
    /// Block device.
    BlockDevice,
}

impl FileType {
    /// The type of a tree's entry.
    pub fn of(kind: &Kind) -> Self {
        match kind {
            Kind::File { .. } => Self::File,
            Kind::Directory { .. } => Self::Directory,
            Kind::Symlink { .. } => Self::Symlink,
            Kind::Fifo => Self::Fifo,
            Kind::Socket => Self::Socket,
            Kind::CharDevice { .. } => Self::CharDevice,
            Kind::BlockDevice { .. } => Self::BlockDevice,
        }
    }
}

/// Metadata of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub file_type: FileType,
    /// Permission bits, 12 bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Modification time, seconds since 1970.
    pub mtime: i64,
    /// Nanoseconds of it.
    pub mtime_ns: u32,
    /// Change time, seconds since 1970. Never stored in trees.
    pub ctime: i64,
    /// Nanoseconds of it.
    pub ctime_ns: u32,
    /// File system; 0 where the source has none.
    pub dev: u64,
    /// Inode; 0 where the source has none: then nothing is trusted without reading.
    pub ino: u64,
    /// Number of names.
    pub nlink: u64,
    /// Device number of a device.
    pub rdev: (u32, u32),
    /// Bytes on disk: fewer than the size where there are holes.
    pub allocated: u64,
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The name.
    pub name: Vec<u8>,
    /// Its metadata.
    pub stat: Stat,
}

/// What costs an extra look at each name, and is asked for only where something changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Extended attributes, sorted by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where a symbolic link points.
    pub target: Vec<u8>,
}

/// The names in a directory.
#[derive(Debug, Default)]
pub struct Listing {
    /// What is there, in any order.
    pub items: Vec<Item>,
    /// Names that could not be looked at. One that vanished meanwhile is not among them.
    pub unreadable: Vec<(Vec<u8>, io::Error)>,
}

/// An open directory.
pub trait Directory: Send + Sync {
    /// What it holds.
    ///
    /// # Errors
    /// If it cannot be read at all.
    fn list(&self) -> io::Result<Listing>;
    /// Opens a directory in it.
    ///
    /// # Errors
    /// If it cannot be opened, or is a directory no more.
    fn enter(&self, name: &[u8]) -> io::Result<Arc<dyn Directory>>;
    /// Opens a regular file in it.
    ///
    /// # Errors
    /// If it cannot be opened, or is no regular file any more.
    fn open(&self, name: &[u8]) -> io::Result<Box<dyn Content>>;
    /// Attributes and link target of a name in it.
    ///
    /// # Errors
    /// If they cannot be read.
    fn details(&self, item: &Item) -> io::Result<Details>;
}

/// An open file.
pub trait Content: Read + Send {
    /// Ranges `(offset, length)` in bytes that hold data, in order, within `size`; `None`: all of it.
    ///
    /// # Errors
    /// If the file cannot be read.
    fn extents(&mut self, size: u64) -> io::Result<Option<Vec<(u64, u64)>>>;
    /// Continues reading at `offset` bytes.
    ///
    /// # Errors
    /// If the file cannot be read.
    fn seek(&mut self, offset: u64) -> io::Result<()>;
    /// Metadata of the open file now, to see whether it changed while it was read; `None` where that cannot be.
    ///
    /// # Errors
    /// If it cannot be told.
    fn stat(&self) -> io::Result<Option<Stat>>;
}

/// A path to back up.
pub struct Root {
    /// Absolute path: bytes. It names the root in the snapshot.
    pub path: Vec<u8>,
    /// Its name (last part of the path, or `/`) and metadata.
    pub item: Item,
    /// The directory that holds it: for its details, and to open it if it is a file.
    pub parent: Arc<dyn Directory>,
    /// The directory itself, if it is one.
    pub directory: Option<Arc<dyn Directory>>,
}

/// Something to back up.
pub trait Source: Send + Sync {
    /// Opens the roots.
    ///
    /// # Errors
    /// Per root, with its path: the backup fails if a root cannot be opened.
    fn roots(&self) -> Result<Vec<Root>, (Vec<u8>, io::Error)>;
    /// Name of a user, if the source knows it.
    fn user_name(&self, uid: u32) -> Option<String>;
    /// Name of a group, if the source knows it.
    fn group_name(&self, gid: u32) -> Option<String>;
    /// What goes into the snapshot besides files, asked for once everything was read: an adapter tells what it saw.
    fn attachments(&self) -> Vec<(String, Vec<u8>)> {
        Vec::new()
    }
}
