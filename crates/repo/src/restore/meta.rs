//! Owners, permissions, attributes and times: compared, and put on what was restored.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, chmodat, chownat, fchmod,
    fchown, futimens, utimensat,
};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

use crate::monitor::Monitor;
use crate::snapshot::Snapshot;
use crate::source::Stat;
use crate::source::fs::accounts;
use crate::tree::{Entry, Kind};
use crate::xattr;

/// Permission bits that grant the owner's or group's rights to whoever runs the file.
const SET_ID: u16 = 0o6000;

/// Which owner a restored file gets, and what this process may set.
#[derive(Debug)]
pub struct Owners {
    privileged: bool,
    uid: u32,
    gid: u32,
    users: HashMap<u32, u32>,
    groups: HashMap<u32, u32>,
}

/// Numbers of the snapshot whose names have other numbers here.
fn renumbered(there: &[(u32, String)], here: &[(u32, String)]) -> HashMap<u32, u32> {
    let mut by_name = HashMap::new();
    for (id, name) in here {
        by_name.entry(name.as_str()).or_insert(*id);
    }
    there.iter().filter_map(|(id, name)| Some((*id, *by_name.get(name.as_str())?))).collect()
}

impl Owners {
    /// Owners by name where this machine knows the name, by number otherwise or if `numeric`.
    pub fn new(snapshot: &Snapshot, numeric: bool) -> Self {
        let (mut users, mut groups) = (HashMap::new(), HashMap::new());
        if !numeric {
            users = renumbered(&snapshot.users, &accounts("/etc/passwd"));
            groups = renumbered(&snapshot.groups, &accounts("/etc/group"));
        }
        let (uid, gid) = (geteuid(), getegid());
        Self { privileged: uid.is_root(), uid: uid.as_raw(), gid: gid.as_raw(), users, groups }
    }

    /// User and group of an entry, as numbers of this machine.
    pub fn of(&self, entry: &Entry) -> (u32, u32) {
        let mapped = |map: &HashMap<u32, u32>, id: u32| map.get(&id).copied().unwrap_or(id);
        (mapped(&self.users, entry.uid), mapped(&self.groups, entry.gid))
    }

    /// Whether this process can set such an attribute at all.
    fn may_set(&self, attribute: &[u8]) -> bool {
        self.privileged || attribute.starts_with(b"user.") || attribute.starts_with(b"system.")
    }
}

/// What could not be set for want of permission or support: said once for each kind.
#[derive(Debug, Default)]
pub struct Notes(Mutex<BTreeSet<&'static str>>);

impl Notes {
    /// Says it if it was not said before.
    pub fn say(&self, text: &'static str, monitor: &dyn Monitor) {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(text) {
            monitor.note(text);
        }
    }

    /// Everything that was said.
    pub fn into_list(self) -> Vec<String> {
        let said = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        said.into_iter().map(str::to_owned).collect()
    }
}

/// Whether the metadata of an existing name differs from the entry, as far as this process could change it.
///
/// # Errors
/// If its attributes cannot be read.
pub fn differs(
    dir: BorrowedFd<'_>,
    name: &[u8],
    entry: &Entry,
    stat: &Stat,
    owners: &Owners,
) -> io::Result<bool> {
    let (uid, gid) = owners.of(entry);
    let is_link = matches!(entry.kind, Kind::Symlink { .. });
    let other_owner = owners.privileged && (stat.uid, stat.gid) != (uid, gid);
    let other_mode = !is_link
        && stat.mode != entry.mode
        && (owners.privileged || (stat.uid, stat.gid) == (uid, gid));
    if other_owner || other_mode || (stat.mtime, stat.mtime_ns) != (entry.mtime, entry.mtime_ns) {
        return Ok(true);
    }
    let have = xattr::read(dir, name)?;
    let settable = |(attribute, _): &&(Vec<u8>, Vec<u8>)| owners.may_set(attribute);
    Ok(!have.iter().filter(settable).eq(entry.xattrs.iter().filter(settable)))
}

/// Something that metadata is put on.
#[derive(Debug, Clone, Copy)]
pub enum Inode<'a> {
    /// An open file.
    Open(BorrowedFd<'a>),
    /// Opened as a path only: directories, pipes, devices, sockets.
    Path(BorrowedFd<'a>),
    /// A symbolic link in a directory; nothing can hold it open for changing.
    Link(BorrowedFd<'a>, &'a [u8]),
}

fn proc_path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

impl Inode<'_> {
    fn chown(self, uid: Option<u32>, gid: Option<u32>) -> rustix::io::Result<()> {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        match self {
            Self::Open(fd) => fchown(fd, uid, gid),
            Self::Path(fd) => chownat(fd, c"", uid, gid, AtFlags::EMPTY_PATH),
            Self::Link(dir, name) => chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW),
        }
    }

    fn chmod(self, mode: u16) -> rustix::io::Result<()> {
        let mode = Mode::from_raw_mode(u32::from(mode));
        match self {
            Self::Open(fd) => fchmod(fd, mode),
            Self::Path(fd) => chmodat(CWD, proc_path(fd), mode, AtFlags::empty()),
            Self::Link(..) => Ok(()),
        }
    }

    fn touch(self, times: &Timestamps) -> rustix::io::Result<()> {
        match self {
            Self::Open(fd) => futimens(fd, times),
            Self::Path(fd) => utimensat(CWD, proc_path(fd), times, AtFlags::empty()),
            Self::Link(dir, name) => utimensat(dir, name, times, AtFlags::SYMLINK_NOFOLLOW),
        }
    }

    fn attributes(self) -> io::Result<xattr::Xattrs> {
        match self {
            Self::Open(fd) | Self::Path(fd) => xattr::read_open(fd),
            Self::Link(dir, name) => xattr::read(dir, name),
        }
    }

    fn set_attribute(self, attribute: &[u8], value: &[u8]) -> io::Result<()> {
        match self {
            Self::Open(fd) | Self::Path(fd) => xattr::set_open(fd, attribute, value),
            Self::Link(dir, name) => xattr::set(dir, name, attribute, value),
        }
    }

    fn remove_attribute(self, attribute: &[u8]) -> io::Result<()> {
        match self {
            Self::Open(fd) | Self::Path(fd) => xattr::remove_open(fd, attribute),
            Self::Link(dir, name) => xattr::remove(dir, name, attribute),
        }
    }
}

/// What is known about attributes and owner before they are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Just made by this process, in a directory that hands nothing down.
    Fresh,
    /// May have attributes, and any owner.
    Unknown,
}

/// Puts metadata on inodes.
pub struct Setter<'a> {
    /// Who gets what.
    pub owners: &'a Owners,
    /// Where to say what could not be set.
    pub notes: &'a Notes,
    /// Who hears it.
    pub monitor: &'a dyn Monitor,
}

impl Setter<'_> {
    /// Puts the entry's metadata on the inode. What this process may not set is noted, not failed.
    ///
    /// # Errors
    /// If the system refuses for another reason.
    pub fn apply(&self, inode: Inode<'_>, entry: &Entry, before: Before) -> io::Result<()> {
        let withheld = self.own(inode, entry, before)?;
        self.attributes(inode, &entry.xattrs, before)?;
        inode.chmod(entry.mode & !withheld)?;
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: entry.mtime, tv_nsec: entry.mtime_ns.into() },
        };
        Ok(inode.touch(&times)?)
    }

    /// Sets owner and group; gives the permission bits that must not be set, because the owner they speak of is another.
    fn own(&self, inode: Inode<'_>, entry: &Entry, before: Before) -> io::Result<u16> {
        let (uid, gid) = self.owners.of(entry);
        let own = (uid, gid) == (self.owners.uid, self.owners.gid);
        if own && before == Before::Fresh {
            return Ok(0);
        }
        let done = match inode.chown(Some(uid), Some(gid)) {
            // Without privilege a group that one is in can still be given.
            Err(Errno::PERM | Errno::INVAL) => inode.chown(None, Some(gid)).map(|()| false),
            other => other.map(|()| true),
        };
        match done {
            Ok(true) => return Ok(0),
            Ok(false) | Err(Errno::PERM | Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
        self.notes.say("owners could not be set: that takes root", self.monitor);
        Ok(if entry.is_dir() { 0 } else { SET_ID })
    }

    fn attributes(
        &self,
        inode: Inode<'_>,
        wanted: &[(Vec<u8>, Vec<u8>)],
        before: Before,
    ) -> io::Result<()> {
        let have = if before == Before::Unknown { inode.attributes()? } else { Vec::new() };
        for (attribute, _) in &have {
            if wanted.iter().all(|(name, _)| name != attribute) {
                self.tolerate(inode.remove_attribute(attribute))?;
            }
        }
        for pair in wanted.iter().filter(|pair| !have.contains(pair)) {
            self.tolerate(inode.set_attribute(&pair.0, &pair.1))?;
        }
        Ok(())
    }

    fn tolerate(&self, result: io::Result<()>) -> io::Result<()> {
        match result.as_ref().err().and_then(Errno::from_io_error) {
            Some(Errno::PERM) => {
                self.notes.say(
                    "some extended attributes could not be set: that takes root",
                    self.monitor,
                );
            }
            Some(Errno::NOTSUP) => {
                self.notes.say(
                    "some extended attributes could not be set: the file system has none",
                    self.monitor,
                );
            }
            Some(Errno::NODATA) => {}
            _ => return result,
        }
        Ok(())
    }
}
