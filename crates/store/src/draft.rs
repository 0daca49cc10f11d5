//! Files that nobody sees until they are complete, and that appear without replacing anything.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, linkat, open, renameat_with, unlink};
use rustix::io::Errno;

use crate::Created;
use crate::name::DRAFT_PREFIX;

/// Where the kernel shows open files as links; the way to give an unnamed file a name.
const OPEN_FILES: &str = "/proc/self/fd";

/// A file in the making. Dropped unpublished, it leaves nothing behind.
pub(crate) struct Draft {
    file: File,
    /// The temporary name on file systems that have no unnamed files.
    named: Option<PathBuf>,
}

impl Draft {
    /// Starts an empty file in `folder`, mode 0600.
    pub(crate) fn start(folder: &Path) -> io::Result<Self> {
        match Self::unnamed(folder) {
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {
                Self::named(folder)
            }
            Err(errno) => Err(errno.into()),
            Ok(draft) => Ok(draft),
        }
    }

    fn unnamed(folder: &Path) -> Result<Self, Errno> {
        if !Path::new(OPEN_FILES).exists() {
            return Err(Errno::OPNOTSUPP);
        }
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = File::from(open(folder, flags, Mode::RUSR | Mode::WUSR)?);
        Ok(Self { file, named: None })
    }

    fn named(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        loop {
            let path = folder.join(format!("{DRAFT_PREFIX}{:016x}", random()));
            match open(&path, flags, Mode::RUSR | Mode::WUSR) {
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
                Ok(file) => {
                    let file = File::from(file);
                    let named = Some(path);
                    return Ok(Self { file, named });
                }
            }
        }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name, unless that is taken. Does not sync anything. To be called once.
    pub(crate) fn publish(&mut self, target: &Path) -> io::Result<Created> {
        let published = match self.named.take() {
            None => link_open_file(&self.file, target),
            Some(path) => {
                let moved = move_without_replacing(&path, target);
                // Not moved: `drop` removes it.
                self.named = moved.is_err().then_some(path);
                moved
            }
        };
        match published {
            Ok(()) => Ok(Created::New),
            Err(Errno::EXIST) => Ok(Created::Exists),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(path) = &self.named {
            // Nothing can be done about a failure here; listings ignore such files.
            let _ = unlink(path);
        }
    }
}

fn link_open_file(file: &File, target: &Path) -> Result<(), Errno> {
    let source = format!("{OPEN_FILES}/{}", file.as_raw_fd());
    linkat(CWD, source, CWD, target, AtFlags::SYMLINK_FOLLOW)
}

fn move_without_replacing(source: &Path, target: &Path) -> Result<(), Errno> {
    match renameat_with(CWD, source, CWD, target, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            linkat(CWD, source, CWD, target, AtFlags::empty())?;
            // The object is there either way; a second, ignored name does no harm.
            let _ = unlink(source);
            Ok(())
        }
        result => result,
    }
}

/// A number that differs between processes and calls; uniqueness is up to `O_EXCL`.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Asks the kernel to start writing the bytes to disk and does not wait, so that a later sync
/// finds little left to do.
pub(crate) fn start_writeback(file: &File, offset: u64, len: u64) {
    let (Ok(offset), Ok(len)) = (i64::try_from(offset), i64::try_from(len)) else {
        return;
    };
    let fd = file.as_fd().as_raw_fd();
    // Only a hint: its failure changes nothing.
    #[expect(unsafe_code, reason = "rustix has no sync_file_range")]
    // SAFETY: takes no pointers, and `fd` is open as long as `file` is borrowed.
    let _ = unsafe { libc::sync_file_range(fd, offset, len, libc::SYNC_FILE_RANGE_WRITE) };
}

/// Makes the entries of a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        // Some network and FUSE file systems cannot sync folders; they have no such state.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// The way of file systems without unnamed files, which tests cannot count on having.
    #[test]
    fn a_named_draft_appears_once_and_leaves_nothing() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let target = folder.path().join("object");
        for (content, expected) in [("first", Created::New), ("second", Created::Exists)] {
            let mut draft = Draft::named(folder.path())?;
            draft.file().write_all(content.as_bytes())?;
            assert_eq!(draft.publish(&target)?, expected);
        }
        drop(Draft::named(folder.path())?);
        assert_eq!(std::fs::read_to_string(&target)?, "first");
        assert_eq!(folder.path().read_dir()?.count(), 1);
        Ok(())
    }
}
