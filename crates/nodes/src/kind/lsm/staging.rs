//! What a capture keeps of a database before it knows that it is consistent: second names of files that never change, and open WALs.
//!
//! A hard link costs nothing and holds a file that the database deletes. Where the staging folder lies on another file system, files are held open
//! instead and copied at the end. WALs are never linked: a recycled one is written over in place, and would change in the copy.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::disk::{Disk, read_at};
use super::version::Fixed;
use super::wal::{Look, Seen};
use crate::error::{Error, Result};

/// How much is copied at once, in bytes.
const PIECE: usize = 1 << 20;
/// How many files are held open at most; what is beyond is copied at once.
const HELD_OPEN: usize = 256;

/// How a file that never changes is kept.
#[derive(Debug)]
enum Kept {
    /// It has its place in the staging folder.
    There,
    /// It is held open and must be copied.
    Open(File),
}

/// How trying to keep one ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Keeping {
    /// It is kept.
    Kept,
    /// It is not there any more.
    Gone,
}

/// The staging folder.
#[derive(Debug)]
pub struct Staging {
    folder: PathBuf,
    kept: BTreeMap<Fixed, (String, Kept)>,
    open: usize,
    /// Whether files can be linked here; found out with the first.
    links: bool,
}

impl Staging {
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), kept: BTreeMap::new(), open: 0, links: true }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether files were linked, and not copied.
    pub fn is_linked(&self) -> bool {
        self.links
    }

    /// Keeps a file that never changes; names are tried in turn. One that is kept already is not looked for again.
    ///
    /// # Errors
    /// If it cannot be kept, or has another size than `size` bytes.
    pub fn keep(&mut self, disk: &dyn Disk, file: Fixed, size: u64) -> Result<Keeping> {
        if self.kept.contains_key(&file) {
            return Ok(Keeping::Kept);
        }
        for name in names(file) {
            let fail = |source| Error::file(disk.path().join(&name), "keep")(source);
            match self.hold(disk, &name) {
                Ok(kept) => {
                    self.check_size(disk, &name, &kept, size)?;
                    self.kept.insert(file, (name, kept));
                    return Ok(Keeping::Kept);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(fail(error)),
            }
        }
        Ok(Keeping::Gone)
    }

    fn hold(&mut self, disk: &dyn Disk, name: &str) -> io::Result<Kept> {
        if self.links {
            match disk.link(name, &self.folder.join(name)) {
                Ok(()) => return Ok(Kept::There),
                Err(error) if cannot_link(&error) => self.links = false,
                Err(error) => return Err(error),
            }
        }
        let file = disk.open(name)?;
        if self.open < HELD_OPEN {
            self.open += 1;
            return Ok(Kept::Open(file));
        }
        copy(&file, &self.folder.join(name))?;
        Ok(Kept::There)
    }

    fn check_size(&self, disk: &dyn Disk, name: &str, kept: &Kept, expected: u64) -> Result<()> {
        let path = disk.path().join(name);
        let found = match kept {
            Kept::There => fs::metadata(self.folder.join(name)).map(|found| found.len()),
            Kept::Open(file) => disk.size(file),
        };
        let found = found.map_err(Error::file(&path, "look at"))?;
        if found == expected {
            return Ok(());
        }
        let reason = format!("it has {found} bytes, and {expected} by the MANIFEST");
        Err(Error::Damaged { path, reason })
    }

    /// Brings all that is needed into place and lets go of the rest.
    ///
    /// # Errors
    /// If the staging folder cannot be written.
    pub fn settle(&mut self, needed: &BTreeMap<Fixed, u64>) -> Result<()> {
        for (file, (name, kept)) in std::mem::take(&mut self.kept) {
            let path = self.folder.join(&name);
            match kept {
                Kept::There if !needed.contains_key(&file) => {
                    fs::remove_file(&path).map_err(Error::file(&path, "remove"))?;
                }
                Kept::Open(file_open) if needed.contains_key(&file) => {
                    copy(&file_open, &path).map_err(Error::file(&path, "copy"))?;
                }
                Kept::There | Kept::Open(_) => {}
            }
        }
        self.open = 0;
        Ok(())
    }

    /// Writes a small file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(name);
        let written = create(&path).and_then(|mut file| file.write_all(bytes));
        written.map_err(Error::file(path, "write"))
    }

    /// Copies the first `length` bytes of a file.
    ///
    /// # Errors
    /// If it is shorter, or the copy cannot be written.
    pub fn write_start(&self, disk: &dyn Disk, name: &str, from: &File, length: u64) -> Result<()> {
        let path = self.folder.join(name);
        let mut to = create(&path).map_err(Error::file(&path, "create"))?;
        let mut done = 0;
        while done < length {
            let wanted = usize::try_from(length - done).map_or(PIECE, |left| left.min(PIECE));
            let piece = disk.read_at(from, done, wanted).map_err(Error::file(&path, "copy"))?;
            if piece.is_empty() {
                let source = io::ErrorKind::UnexpectedEof.into();
                return Err(Error::file(path, "copy")(source));
            }
            to.write_all(&piece).map_err(Error::file(&path, "write"))?;
            done += piece.len() as u64;
        }
        Ok(())
    }

    /// Copies a WAL to its end, looks at its records, and cuts what is no whole record. Returns what was seen and how much was read, in bytes.
    ///
    /// # Errors
    /// If it cannot be read, or the copy cannot be written.
    pub fn write_log(&self, disk: &dyn Disk, log: &OpenLog, is_last: bool) -> Result<(Seen, u64)> {
        let path = self.folder.join(&log.name);
        let mut to = create(&path).map_err(Error::file(&path, "create"))?;
        let mut look = Look::new(log.number);
        let mut done = 0;
        loop {
            let piece = disk.read_at(&log.file, done, PIECE);
            let piece = piece.map_err(Error::file(disk.path().join(&log.name), "read"))?;
            to.write_all(&piece).map_err(Error::file(&path, "write"))?;
            done += piece.len() as u64;
            look.push(&piece, |_| {});
            if piece.len() < PIECE {
                break;
            }
        }
        let whole = look.whole();
        let seen = look.finish(is_last);
        // The end of the last WAL may be in the middle of a write; a compressed one cannot be judged.
        if (is_last || seen.broken.is_none()) && !seen.is_compressed {
            to.set_len(whole).map_err(Error::file(&path, "cut"))?;
        }
        Ok((seen, done))
    }
}

/// A WAL that is held open.
#[derive(Debug)]
pub struct OpenLog {
    /// Number in its name.
    pub number: u64,
    /// Its name.
    pub name: String,
    /// It can be read on when its name is gone.
    pub file: File,
}

fn names(file: Fixed) -> Vec<String> {
    match file {
        Fixed::Table(number) => vec![format!("{number:06}.sst"), format!("{number:06}.ldb")],
        Fixed::Blob(number) => vec![format!("{number:06}.blob")],
    }
}

/// Another file system, one without links, or a file that has no room for one more.
fn cannot_link(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    [Errno::XDEV, Errno::PERM, Errno::MLINK, Errno::OPNOTSUPP, Errno::NOSYS, Errno::ACCESS]
        .map(Some)
        .contains(&errno)
}

fn create(path: &Path) -> io::Result<File> {
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn copy(from: &File, to: &Path) -> io::Result<()> {
    let mut to = create(to)?;
    let mut done = 0;
    loop {
        let piece = read_at(from, done, PIECE)?;
        if piece.is_empty() {
            return Ok(());
        }
        to.write_all(&piece)?;
        done += piece.len() as u64;
    }
}
