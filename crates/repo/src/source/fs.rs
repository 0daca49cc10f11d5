//! The file system as a source. Every look is relative to an open directory and follows no symbolic link, so that neither
//! paths beyond the system's limit nor a rename while the backup runs can lead it astray.

use std::fs::canonicalize;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::fs::{
    Advice, AtFlags, CWD, Mode, OFlags, RawDir, SeekFrom, Statx, StatxFlags, fadvise, makedev,
    openat, readlinkat, seek, statx,
};
use rustix::io::{Errno, retry_on_intr};

use super::{Content, Details, Directory, FileType, Item, Listing, Root, Source, Stat};
use crate::error::{Error, Result};
use crate::xattr;

/// Room for names while a directory is read, in bytes.
const NAMES_BUFFER: usize = 32 * 1024;
/// Files above this are announced to the kernel as read from front to back, in bytes.
const READ_AHEAD_FROM: u64 = 256 * 1024;

/// Paths of this machine's file system.
#[derive(Debug)]
pub struct FsSource {
    paths: Vec<PathBuf>,
    users: OnceLock<Vec<(u32, String)>>,
    groups: OnceLock<Vec<(u32, String)>>,
}

impl FsSource {
    /// Takes the paths to back up. Each is recorded as the absolute path without symbolic links that it leads to: who
    /// names a link means what it points to. The same path twice counts once.
    ///
    /// # Errors
    /// If a path does not exist or cannot be reached.
    pub fn new(paths: Vec<PathBuf>) -> Result<Self> {
        let real = |path: PathBuf| {
            canonicalize(&path).map_err(|e| Error::file(path, "looking for what to back up", e))
        };
        let mut paths = paths.into_iter().map(real).collect::<Result<Vec<_>>>()?;
        paths.sort();
        paths.dedup();
        Ok(Self { paths, ..Self::none() })
    }

    /// No path at all: for an adapter that only asks for the names of owners.
    pub fn none() -> Self {
        Self { paths: Vec::new(), users: OnceLock::new(), groups: OnceLock::new() }
    }

    /// The paths: absolute, sorted.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }
}

impl Source for FsSource {
    fn roots(&self) -> std::result::Result<Vec<Root>, (Vec<u8>, io::Error)> {
        self.paths
            .iter()
            .map(|path| open_root(path).map_err(|e| (path.as_os_str().as_bytes().to_vec(), e)))
            .collect()
    }

    fn user_name(&self, uid: u32) -> Option<String> {
        look_up(&self.users, "/etc/passwd", uid)
    }

    fn group_name(&self, gid: u32) -> Option<String> {
        look_up(&self.groups, "/etc/group", gid)
    }
}

fn open_root(path: &Path) -> io::Result<Root> {
    // The parent may be one that may be passed through but not read.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = openat(CWD, path.parent().unwrap_or(path), flags, Mode::empty())?;
    let parent = Arc::new(FsDirectory::new(fd));
    let name = path.file_name().map_or(b"/".as_slice(), OsStrExt::as_bytes);
    let stat = stat_at(parent.fd.as_fd(), place(name))?;
    let directory = match stat.file_type {
        FileType::Directory => Some(parent.enter(name)?),
        _ => None,
    };
    let path = path.as_os_str().as_bytes().to_vec();
    Ok(Root { path, item: Item { name: name.to_vec(), stat }, parent, directory })
}

/// The root directory is named `/` and lies in itself.
fn place(name: &[u8]) -> &[u8] {
    if name == b"/" { b"." } else { name }
}

/// Names by number from a file in the form of `/etc/passwd`; the program is static, so there is no name service to ask.
fn look_up(table: &OnceLock<Vec<(u32, String)>>, file: &str, id: u32) -> Option<String> {
    let table = table.get_or_init(|| {
        let mut names = accounts(file);
        // The first line of a number is the one that counts; sorting is stable.
        names.sort_by_key(|(id, _)| *id);
        names.dedup_by_key(|(id, _)| *id);
        names
    });
    table.binary_search_by_key(&id, |(id, _)| *id).ok().map(|at| table[at].1.clone())
}

/// Numbers and names in the order of the file; none if it cannot be read.
pub(crate) fn accounts(file: &str) -> Vec<(u32, String)> {
    let text = std::fs::read(file).unwrap_or_default();
    text.split(|b| *b == b'\n').filter_map(account).collect()
}

fn account(line: &[u8]) -> Option<(u32, String)> {
    let mut fields = std::str::from_utf8(line).ok()?.split(':');
    let name = fields.next()?;
    let id = fields.nth(1)?.parse().ok()?;
    Some((id, name.to_owned()))
}

/// An open directory of the file system.
#[derive(Debug)]
struct FsDirectory {
    fd: OwnedFd,
    /// The kernel keeps one reading position for each open directory.
    position: Mutex<()>,
}

impl FsDirectory {
    fn new(fd: OwnedFd) -> Self {
        Self { fd, position: Mutex::new(()) }
    }
}

impl Directory for FsDirectory {
    fn list(&self) -> io::Result<Listing> {
        let _alone = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        list(self.fd.as_fd())
    }

    fn enter(&self, name: &[u8]) -> io::Result<Arc<dyn Directory>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = open_quietly(self.fd.as_fd(), place(name), flags)?;
        Ok(Arc::new(Self::new(fd)))
    }

    fn open(&self, name: &[u8]) -> io::Result<Box<dyn Content>> {
        Ok(Box::new(FsContent::open(self.fd.as_fd(), name)?))
    }

    fn details(&self, item: &Item) -> io::Result<Details> {
        let name = place(&item.name);
        let xattrs = xattr::read(self.fd.as_fd(), name)?;
        let target = match item.stat.file_type {
            FileType::Symlink => readlinkat(&self.fd, name, Vec::new())?.into_bytes(),
            _ => Vec::new(),
        };
        Ok(Details { xattrs, target })
    }
}

/// Everything in an open directory, from its start.
pub(crate) fn list(dir: BorrowedFd<'_>) -> io::Result<Listing> {
    seek(dir, SeekFrom::Start(0))?;
    let mut buffer = Vec::with_capacity(NAMES_BUFFER);
    let mut names = RawDir::new(dir, buffer.spare_capacity_mut());
    let mut listing = Listing::default();
    while let Some(entry) = names.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        match stat_at(dir, entry.file_name()) {
            Ok(stat) => listing.items.push(Item { name: name.to_vec(), stat }),
            Err(Errno::NOENT) => {}
            Err(error) => listing.unreadable.push((name.to_vec(), error.into())),
        }
    }
    Ok(listing)
}

/// Opens without touching the access time where that is permitted: to the owner and to root.
pub(crate) fn open_quietly(
    dir: BorrowedFd<'_>,
    name: &[u8],
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    match retry_on_intr(|| openat(dir, name, flags | OFlags::NOATIME, Mode::empty())) {
        Err(Errno::PERM) => retry_on_intr(|| openat(dir, name, flags, Mode::empty())),
        other => other,
    }
}

/// Metadata of a name in an open directory; a symbolic link is not followed.
pub(crate) fn stat_at(
    dir: BorrowedFd<'_>,
    name: impl rustix::path::Arg,
) -> rustix::io::Result<Stat> {
    statx(dir, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT, StatxFlags::BASIC_STATS)
        .map(|s| stat_of(&s))
}

/// Metadata of an open file.
pub(crate) fn stat_open(fd: BorrowedFd<'_>) -> rustix::io::Result<Stat> {
    statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).map(|s| stat_of(&s))
}

fn stat_of(s: &Statx) -> Stat {
    Stat {
        file_type: file_type(s.stx_mode),
        mode: s.stx_mode & 0o7777,
        uid: s.stx_uid,
        gid: s.stx_gid,
        size: s.stx_size,
        mtime: s.stx_mtime.tv_sec,
        mtime_ns: s.stx_mtime.tv_nsec,
        ctime: s.stx_ctime.tv_sec,
        ctime_ns: s.stx_ctime.tv_nsec,
        dev: makedev(s.stx_dev_major, s.stx_dev_minor),
        ino: s.stx_ino,
        nlink: u64::from(s.stx_nlink),
        rdev: (s.stx_rdev_major, s.stx_rdev_minor),
        allocated: s.stx_blocks.saturating_mul(512),
    }
}

fn file_type(mode: u16) -> FileType {
    use rustix::fs::FileType as Raw;
    match Raw::from_raw_mode(u32::from(mode)) {
        Raw::Directory => FileType::Directory,
        Raw::Symlink => FileType::Symlink,
        Raw::Fifo => FileType::Fifo,
        Raw::Socket => FileType::Socket,
        Raw::CharacterDevice => FileType::CharDevice,
        Raw::BlockDevice => FileType::BlockDevice,
        Raw::RegularFile | Raw::Unknown => FileType::File,
    }
}

/// An open regular file.
#[derive(Debug)]
struct FsContent {
    fd: OwnedFd,
}

impl FsContent {
    fn open(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Self> {
        // Not blocking: a pipe may have taken the file's place since it was listed.
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = match open_quietly(dir, name, flags) {
            Err(Errno::AGAIN) => open_leased(dir, name)?,
            other => other?,
        };
        let stat = stat_open(fd.as_fd())?;
        if stat.file_type != FileType::File {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is no regular file any more",
            ));
        }
        if stat.size > READ_AHEAD_FROM {
            // Only a hint: some file systems know none.
            let _ = fadvise(&fd, 0, None, Advice::Sequential);
        }
        Ok(Self { fd })
    }
}

/// Opens a file on which another process holds a lease, by waiting for it; only a regular file can have one.
fn open_leased(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let found =
        openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    if stat_open(found.as_fd())?.file_type != FileType::File {
        return Err(Errno::AGAIN.into());
    }
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    Ok(retry_on_intr(|| openat(CWD, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()))?)
}

impl Read for FsContent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::read(&self.fd, &mut *buffer) {
                Err(Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }
}

impl Content for FsContent {
    fn extents(&mut self, size: u64) -> io::Result<Option<Vec<(u64, u64)>>> {
        let stat = stat_open(self.fd.as_fd())?;
        if stat.allocated >= size {
            return Ok(None);
        }
        let found = match data_ranges(self.fd.as_fd(), size) {
            Err(Errno::INVAL | Errno::NOTSUP) => None,
            other => Some(other?),
        };
        self.seek(0)?;
        Ok(found)
    }

    fn seek(&mut self, offset: u64) -> io::Result<()> {
        seek(&self.fd, SeekFrom::Start(offset))?;
        Ok(())
    }

    fn stat(&self) -> io::Result<Option<Stat>> {
        Ok(Some(stat_open(self.fd.as_fd())?))
    }
}

/// Ranges `(offset, length)` that are not holes, within `size`.
pub(crate) fn data_ranges(fd: BorrowedFd<'_>, size: u64) -> rustix::io::Result<Vec<(u64, u64)>> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match seek(fd, SeekFrom::Data(at)) {
            Err(Errno::NXIO) => break,
            other => other?,
        };
        if start >= size {
            break;
        }
        let end = match seek(fd, SeekFrom::Hole(start)) {
            // Cut short meanwhile.
            Err(Errno::NXIO) => break,
            other => other?.min(size),
        };
        ranges.push((start, end - start));
        at = end;
    }
    Ok(ranges)
}
