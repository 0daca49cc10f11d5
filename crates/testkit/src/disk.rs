//! Trees on disk. Everything is done relative to open directories, so that paths may be longer than the system's limit.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Statx, StatxFlags, Timespec, Timestamps, Uid,
    XattrFlags, chmodat, chownat, lgetxattr, linkat, llistxattr, lsetxattr, makedev, mkdirat,
    mknodat, openat, readlinkat, statx, symlinkat, utimensat,
};
use rustix::io::Errno;

use crate::tree::{Kind, Meta, Node, Tree};

/// Blocks of zeros that become holes are so long, in bytes.
const BLOCK: usize = 64 * 1024;

/// What this user can put into a directory of this file system.
#[derive(Debug, Clone, Copy)]
pub struct Abilities {
    /// Owners, devices and trusted attributes.
    pub root: bool,
    /// Attributes of users.
    pub xattrs: bool,
    /// POSIX ACLs.
    pub acls: bool,
}

impl Abilities {
    /// Tries them out in `dir`.
    ///
    /// # Errors
    /// If nothing can be made there at all.
    pub fn probe(dir: &Path) -> io::Result<Self> {
        let file = tempfile::NamedTempFile::new_in(dir)?;
        let set = |name: &str, value: &[u8]| {
            lsetxattr(file.path(), name, value, XattrFlags::empty()).is_ok()
        };
        let xattrs = set("user.probe", b"1");
        let acls = set("system.posix_acl_access", &acl(0o640, 1234));
        let root = rustix::process::geteuid().is_root() && set("trusted.probe", b"1");
        Ok(Self { root, xattrs, acls })
    }
}

/// A POSIX ACL that fits a mode and gives one more user the right to read.
pub(crate) fn acl(mode: u16, user: u32) -> Vec<u8> {
    let mut out = 2u32.to_le_bytes().to_vec();
    let bits = |shift: u16| mode >> shift & 7;
    let everyone = u32::MAX;
    for (tag, rights, id) in [
        (1, bits(6), everyone),
        (2, 4, user),
        (4, 5, everyone),
        (16, bits(3), everyone),
        (32, bits(0), everyone),
    ] {
        out.extend_from_slice(&u16::to_le_bytes(tag));
        out.extend_from_slice(&u16::to_le_bytes(rights));
        out.extend_from_slice(&u32::to_le_bytes(id));
    }
    out
}

/// Opens a directory for passing through and reading.
pub(crate) fn open_dir(at: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(at, name, flags, Mode::empty())?)
}

/// Opens the directory that holds `path`, and gives the last part of it.
pub(crate) fn parent_of<'p>(root: &OwnedFd, path: &'p [u8]) -> io::Result<(OwnedFd, &'p [u8])> {
    let mut parts: Vec<&[u8]> = path.split(|b| *b == b'/').collect();
    let name = parts.pop().filter(|name| !name.is_empty()).unwrap_or(b".");
    let mut at = root.try_clone()?;
    for part in parts {
        at = open_dir(at.as_fd(), part)?;
    }
    Ok((at, name))
}

impl Tree {
    /// Puts the tree into `dir`, an empty directory, which becomes the tree's own.
    ///
    /// # Errors
    /// If the file system or the user's rights do not allow it.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let root = open_dir(CWD, dir.as_os_str().as_encoded_bytes())?;
        for (path, node) in self.nodes.iter().filter(|(path, _)| !path.is_empty()) {
            let (parent, name) = parent_of(&root, path)?;
            make(&root, parent.as_fd(), name, &node.kind)?;
        }
        for (path, node) in self.nodes.iter().rev() {
            let (parent, name) = parent_of(&root, path)?;
            if !matches!(node.kind, Kind::SameAs(_)) {
                set_meta(parent.as_fd(), name, node)?;
            }
        }
        Ok(())
    }

    /// Reads what `dir` holds.
    ///
    /// # Errors
    /// If something in it cannot be read.
    pub fn read(dir: &Path) -> io::Result<Self> {
        let root = open_dir(CWD, dir.as_os_str().as_encoded_bytes())?;
        let mut reading = Reading::default();
        reading.name(root.as_fd(), b".", Vec::new())?;
        reading.directory(&root, &[])?;
        Ok(reading.finish())
    }
}

fn make(root: &OwnedFd, at: BorrowedFd<'_>, name: &[u8], kind: &Kind) -> io::Result<()> {
    let mode = Mode::from_raw_mode(0o700);
    let node = |kind: FileType, device| mknodat(at, name, kind, mode, device);
    match kind {
        Kind::File { bytes, holes } => make_file(at, name, bytes, *holes > 0)?,
        Kind::Dir => mkdirat(at, name, mode)?,
        Kind::Symlink(target) => symlinkat(target.as_slice(), at, name)?,
        Kind::Fifo => node(FileType::Fifo, 0)?,
        Kind::Socket => node(FileType::Socket, 0)?,
        Kind::CharDevice(major, minor) => node(FileType::CharacterDevice, makedev(*major, *minor))?,
        Kind::BlockDevice(major, minor) => node(FileType::BlockDevice, makedev(*major, *minor))?,
        Kind::SameAs(first) => {
            let (parent, first) = parent_of(root, first)?;
            linkat(parent, first, at, name, AtFlags::empty())?;
        }
    }
    Ok(())
}

fn make_file(at: BorrowedFd<'_>, name: &[u8], bytes: &[u8], sparse: bool) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut file = File::from(openat(at, name, flags, Mode::from_raw_mode(0o600))?);
    if !sparse {
        return file.write_all(bytes);
    }
    file.set_len(bytes.len() as u64)?;
    for (number, block) in bytes.chunks(BLOCK).enumerate() {
        if block.iter().any(|byte| *byte != 0) {
            file.seek(SeekFrom::Start((number * BLOCK) as u64))?;
            file.write_all(block)?;
        }
    }
    Ok(())
}

/// Owners first, for they clear set-id bits and capabilities; times last.
pub(crate) fn set_meta(at: BorrowedFd<'_>, name: &[u8], node: &Node) -> io::Result<()> {
    let Meta { mode, uid, gid, mtime, xattrs } = &node.meta;
    let link = AtFlags::SYMLINK_NOFOLLOW;
    if rustix::process::geteuid().is_root() {
        chownat(at, name, Some(Uid::from_raw(*uid)), Some(Gid::from_raw(*gid)), link)?;
    }
    let path = by_descriptor(at, name);
    for (attribute, value) in xattrs {
        lsetxattr(&path, attribute.as_slice(), value, XattrFlags::empty())?;
    }
    if !matches!(node.kind, Kind::Symlink(_)) {
        chmodat(at, name, Mode::from_raw_mode(u32::from(*mode)), AtFlags::empty())?;
    }
    let time = Timespec { tv_sec: mtime.0, tv_nsec: i64::from(mtime.1) };
    utimensat(at, name, &Timestamps { last_access: time, last_modification: time }, link)?;
    Ok(())
}

/// A path for calls that take no directory.
fn by_descriptor(at: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    [format!("/proc/self/fd/{}/", at.as_raw_fd()).as_bytes(), name].concat()
}

/// A tree while it is read.
#[derive(Default)]
struct Reading {
    tree: Tree,
    /// Paths by device and inode, where a file has several names.
    links: HashMap<(u32, u32, u64), Vec<Vec<u8>>>,
}

impl Reading {
    fn directory(&mut self, dir: &OwnedFd, path: &[u8]) -> io::Result<()> {
        // Not opened again: that would take the right to pass through.
        for entry in Dir::new(dir.try_clone()?)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let path = if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() };
            if self.name(dir.as_fd(), name, path.clone())? {
                self.directory(&open_dir(dir.as_fd(), name)?, &path)?;
            }
        }
        Ok(())
    }

    /// Takes in one name; true if it is a directory.
    fn name(&mut self, at: BorrowedFd<'_>, name: &[u8], path: Vec<u8>) -> io::Result<bool> {
        let stat = statx(at, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS)?;
        let kind = kind_of(at, name, &stat)?;
        let is_dir = kind == Kind::Dir;
        if !is_dir && stat.stx_nlink > 1 {
            let inode = (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino);
            self.links.entry(inode).or_default().push(path.clone());
        }
        let meta = Meta {
            mode: stat.stx_mode & 0o7777,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            mtime: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            xattrs: xattrs_of(at, name)?,
        };
        self.tree.nodes.insert(path, Node { meta, kind });
        Ok(is_dir)
    }

    fn finish(mut self) -> Tree {
        for mut paths in self.links.into_values() {
            paths.sort();
            for other in &paths[1..] {
                if let Some(node) = self.tree.nodes.get_mut(other) {
                    node.kind = Kind::SameAs(paths[0].clone());
                }
            }
        }
        self.tree
    }
}

fn kind_of(at: BorrowedFd<'_>, name: &[u8], stat: &Statx) -> io::Result<Kind> {
    let (major, minor) = (stat.stx_rdev_major, stat.stx_rdev_minor);
    Ok(match FileType::from_raw_mode(u32::from(stat.stx_mode)) {
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Symlink(readlinkat(at, name, Vec::new())?.into_bytes()),
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        FileType::CharacterDevice => Kind::CharDevice(major, minor),
        FileType::BlockDevice => Kind::BlockDevice(major, minor),
        FileType::RegularFile | FileType::Unknown => read_file(at, name)?,
    })
}

fn read_file(at: BorrowedFd<'_>, name: &[u8]) -> io::Result<Kind> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(at, name, flags, Mode::empty())?);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let holes = bytes.len() as u64 - data_in(&file, bytes.len() as u64)?;
    Ok(Kind::File { bytes, holes })
}

/// Bytes of a file that are not in holes.
fn data_in(file: &File, size: u64) -> io::Result<u64> {
    let (mut at, mut data) = (0, 0);
    while at < size {
        let start = match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at)) {
            Err(Errno::NXIO) => break,
            start => start?,
        };
        at = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(start))?;
        data += at - start;
    }
    Ok(data)
}

fn xattrs_of(at: BorrowedFd<'_>, name: &[u8]) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let path = by_descriptor(at, name);
    let mut names = vec![0u8; 64 * 1024];
    let len = match llistxattr(&path, names.as_mut_slice()) {
        Err(Errno::NOTSUP) => 0,
        len => len?,
    };
    let mut out = Vec::new();
    for attribute in names[..len].split(|b| *b == 0).filter(|a| !a.is_empty()) {
        let mut value = vec![0u8; 64 * 1024];
        let len = lgetxattr(&path, attribute, value.as_mut_slice())?;
        value.truncate(len);
        out.push((attribute.to_vec(), value));
    }
    out.sort();
    Ok(out)
}
