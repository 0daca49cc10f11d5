//! Directories of the target: every step is relative to an open one and follows no symbolic link, so that nothing that
//! lies in the target, or is put there meanwhile, leads outside.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use super::plan::RestorePlan;
use crate::source::FileType;
use crate::source::fs::{list, stat_at};

/// Names of files in the making start so.
pub const TEMP_PREFIX: &[u8] = b".nodekeep-tmp.";

/// Opens a directory to read and change it.
pub fn open_dir(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    openat(
        dir,
        name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// Opens a directory only to pass through: that needs no permission to read it.
pub fn open_way(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    openat(
        dir,
        name,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// Removes a name and, if it is a directory, all below; a mount point is left alone. Nothing there is no error.
pub fn remove_any(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(error) => return Err(error.into()),
    }
    remove_tree(dir, name)
}

/// A directory that is being emptied.
struct Emptying {
    fd: OwnedFd,
    name: Vec<u8>,
    subdirs: Vec<Vec<u8>>,
}

fn begin(dir: BorrowedFd<'_>, name: Vec<u8>, device: u64) -> io::Result<Emptying> {
    if stat_at(dir, name.as_slice())?.dev != device {
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, "a file system is mounted there"));
    }
    let fd = open_dir(dir, &name)?;
    let mut subdirs = Vec::new();
    for item in list(fd.as_fd())?.items {
        match item.stat.file_type {
            FileType::Directory => subdirs.push(item.name),
            _ => unlinkat(&fd, item.name.as_slice(), AtFlags::empty())?,
        }
    }
    Ok(Emptying { fd, name, subdirs })
}

fn remove_tree(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let device = stat_at(dir, b".".as_slice())?.dev;
    let mut stack = vec![begin(dir, name.to_vec(), device)?];
    while let Some(top) = stack.last_mut() {
        if let Some(name) = top.subdirs.pop() {
            let inner = begin(top.fd.as_fd(), name, device)?;
            stack.push(inner);
            continue;
        }
        let name = std::mem::take(&mut top.name);
        stack.pop();
        let parent = stack.last().map_or(dir, |p| p.fd.as_fd());
        unlinkat(parent, name.as_slice(), AtFlags::REMOVEDIR)?;
    }
    Ok(())
}

/// Opens directories of the plan by their place in it; what the last path shares with the next is not opened again.
pub struct Climber<'a> {
    base: BorrowedFd<'a>,
    plan: &'a RestorePlan,
    open: Vec<(u32, OwnedFd)>,
}

impl<'a> Climber<'a> {
    /// Starts at the base, the plan's first node.
    pub fn new(base: BorrowedFd<'a>, plan: &'a RestorePlan) -> Self {
        Self { base, plan, open: Vec::new() }
    }

    /// The directory that the node stands for.
    pub fn open(&mut self, node: u32) -> io::Result<BorrowedFd<'_>> {
        let chain = self.plan.chain(node);
        let shared =
            self.open.iter().zip(&chain).take_while(|(have, want)| have.0 == **want).count();
        self.open.truncate(shared);
        for step in &chain[shared..] {
            let at = self.open.last().map_or(self.base, |(_, fd)| fd.as_fd());
            let fd = open_way(at, self.plan.name(*step))?;
            self.open.push((*step, fd));
        }
        Ok(self.open.last().map_or(self.base, |(_, fd)| fd.as_fd()))
    }
}
