//! Extended attributes of names in open directories and of open files.
//!
//! They are reached through `/proc/self/fd`: that works for symbolic links, for files that may not be opened, and below
//! paths longer than the system takes.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::buffer::spare_capacity;
use rustix::fs::{
    XattrFlags, getxattr, lgetxattr, listxattr, llistxattr, lremovexattr, lsetxattr, removexattr,
    setxattr,
};
use rustix::io::Errno;

/// Names and values, sorted by name.
pub type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// No list and no value is larger on Linux, in bytes.
const LIMIT: usize = 64 * 1024;

/// Whether an attribute belongs to a backup: a user's own, capabilities, ACLs, and what only root may see.
///
/// `security.selinux` and its kind are left out: they are labels that the policy of the machine assigns by path, and a
/// label of another machine would lock its programs out.
pub fn is_kept(name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || name.starts_with(b"trusted.")
        || matches!(
            name,
            b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default"
        )
}

/// The path of `name` in the open directory `dir`.
fn path_in(dir: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    path
}

/// The path that leads to whatever is open.
fn path_of(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Calls `fill` with more room until what it reads fits.
fn grown(
    first: usize,
    fill: impl Fn(&mut Vec<u8>) -> Result<usize, Errno>,
) -> Result<Vec<u8>, Errno> {
    let mut room = first;
    loop {
        let mut bytes = Vec::with_capacity(room);
        match fill(&mut bytes) {
            Err(Errno::RANGE) if room < LIMIT => room = (room * 8).min(LIMIT),
            Err(error) => return Err(error),
            Ok(_) => return Ok(bytes),
        }
    }
}

fn collect(
    list: impl Fn(&mut Vec<u8>) -> Result<usize, Errno>,
    get: impl Fn(&[u8], &mut Vec<u8>) -> Result<usize, Errno>,
) -> io::Result<Xattrs> {
    let names = match grown(512, list) {
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for attribute in names.split(|b| *b == 0).filter(|n| is_kept(n)) {
        match grown(512, |to| get(attribute, to)) {
            Ok(value) => found.push((attribute.to_vec(), value)),
            // Removed since it was listed, or listed by a file system that has none to give.
            Err(Errno::NODATA | Errno::NOTSUP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The attributes of `name` that belong to a backup; none where the file system knows none. No link is followed.
pub fn read(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Xattrs> {
    let path = path_in(dir, name);
    let path = path.as_slice();
    collect(
        |to| llistxattr(path, spare_capacity(to)),
        |attribute, to| lgetxattr(path, attribute, spare_capacity(to)),
    )
}

/// The attributes of what is open, if only as a path, that belong to a backup.
pub fn read_open(fd: BorrowedFd<'_>) -> io::Result<Xattrs> {
    let path = path_of(fd);
    let path = path.as_str();
    collect(
        |to| listxattr(path, spare_capacity(to)),
        |attribute, to| getxattr(path, attribute, spare_capacity(to)),
    )
}

/// Sets one attribute of `name`; no link is followed.
pub fn set(dir: BorrowedFd<'_>, name: &[u8], attribute: &[u8], value: &[u8]) -> io::Result<()> {
    Ok(lsetxattr(path_in(dir, name), attribute, value, XattrFlags::empty())?)
}

/// Sets one attribute of what is open.
pub fn set_open(fd: BorrowedFd<'_>, attribute: &[u8], value: &[u8]) -> io::Result<()> {
    Ok(setxattr(path_of(fd), attribute, value, XattrFlags::empty())?)
}

/// Removes one attribute of `name`; no link is followed.
pub fn remove(dir: BorrowedFd<'_>, name: &[u8], attribute: &[u8]) -> io::Result<()> {
    Ok(lremovexattr(path_in(dir, name), attribute)?)
}

/// Removes one attribute of what is open.
pub fn remove_open(fd: BorrowedFd<'_>, attribute: &[u8]) -> io::Result<()> {
    Ok(removexattr(path_of(fd), attribute)?)
}
