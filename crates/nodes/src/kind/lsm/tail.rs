//! Follows CURRENT and the MANIFEST that it names, record by record, as the database writes them.
//!
//! Each look reads only what is new: whoever reads a long MANIFEST again for every try does not keep up with a busy database. What is not a whole
//! record, or not yet a whole atomic group, does not count.

use std::fs::File;
use std::io;

use super::disk::Disk;
use super::edit::{Bad, Edit};
use super::log::{Next, Reader};
use super::version::{Named, Version, named};
use crate::error::{Error, Result};

/// How much is read at once, in bytes.
const PIECE: usize = 1 << 20;
/// How often a MANIFEST may be replaced between reading its name and opening it.
const REPLACEMENTS: usize = 100;

/// A MANIFEST that is followed.
#[derive(Debug)]
pub struct Tail {
    name: String,
    file: File,
    read: u64,
    reader: Reader,
    version: Version,
    /// Up to where the version holds, in bytes.
    whole: u64,
}

/// A place in a MANIFEST: all before it is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The MANIFEST's name.
    pub manifest: String,
    /// Bytes up to here.
    pub length: u64,
}

impl Tail {
    /// Reads CURRENT and all of the MANIFEST that it names.
    ///
    /// # Errors
    /// If they cannot be read or make no sense.
    pub fn open(disk: &dyn Disk) -> Result<Self> {
        for _ in 0..REPLACEMENTS {
            let name = current(disk)?;
            match disk.open(&name) {
                Ok(file) => return Self::over(disk, name, file),
                // Replaced between the two.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    if current(disk)? == name
                        && !disk.list().is_ok_and(|names| names.contains(&name))
                    {
                        let reason = format!("CURRENT names {name}, which is not there");
                        return Err(Error::Damaged { path: disk.path().to_owned(), reason });
                    }
                }
                Err(source) => {
                    return Err(Error::file(disk.path().join(name), "open")(source));
                }
            }
        }
        let reason = "its MANIFEST is replaced faster than it can be opened".to_owned();
        Err(Error::Damaged { path: disk.path().to_owned(), reason })
    }

    fn over(disk: &dyn Disk, name: String, file: File) -> Result<Self> {
        let (reader, version) = (Reader::new(None), Version::default());
        let mut tail = Self { name, file, read: 0, reader, version, whole: 0 };
        tail.catch_up(disk)?;
        Ok(tail)
    }

    /// Takes in what was written since, in another MANIFEST if CURRENT names another now.
    ///
    /// # Errors
    /// As [`Tail::open`].
    pub fn follow(&mut self, disk: &dyn Disk) -> Result<()> {
        if current(disk)? == self.name {
            return self.catch_up(disk);
        }
        *self = Self::open(disk)?;
        Ok(())
    }

    /// The database as far as it was followed.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// How far it was followed.
    pub fn place(&self) -> Place {
        Place { manifest: self.name.clone(), length: self.whole }
    }

    /// The MANIFEST, which can be read even when it was replaced.
    pub fn file(&self) -> &File {
        &self.file
    }

    fn catch_up(&mut self, disk: &dyn Disk) -> Result<()> {
        loop {
            let piece = disk.read_at(&self.file, self.read, PIECE);
            let piece = piece.map_err(Error::file(disk.path().join(&self.name), "read"))?;
            self.read += piece.len() as u64;
            self.reader.push(&piece);
            self.take_records(disk)?;
            if piece.len() < PIECE {
                return Ok(());
            }
        }
    }

    fn take_records(&mut self, disk: &dyn Disk) -> Result<()> {
        loop {
            match self.reader.read() {
                Next::Record(record) => self.take(disk, &record)?,
                Next::Wait | Next::End => return Ok(()),
                Next::Broken { at: 0, what } => {
                    let reason = format!(
                        "{} begins with {what}: an encrypted database cannot be read here; stop or freeze the node",
                        self.name
                    );
                    return Err(Error::Unsupported { path: disk.path().to_owned(), reason });
                }
                Next::Broken { at, what } => return Err(self.damaged(disk, at, what)),
                Next::Compressed => {
                    return Err(self.damaged(disk, self.whole, "a compressed record"));
                }
            }
        }
    }

    fn take(&mut self, disk: &dyn Disk, record: &[u8]) -> Result<()> {
        let at = self.whole;
        let edit = Edit::parse(record).map_err(|bad| match bad {
            Bad::Short => self.damaged(disk, at, "a record that ends early"),
            Bad::Unknown(tag) => Error::Unsupported {
                path: disk.path().join(&self.name),
                reason: format!("tag {tag} is of a later version than this program knows"),
            },
        })?;
        if self.version.take(edit).map_err(|what| self.damaged(disk, at, what))? {
            self.whole = self.reader.whole();
        }
        Ok(())
    }

    fn damaged(&self, disk: &dyn Disk, at: u64, what: &str) -> Error {
        let path = disk.path().join(&self.name);
        Error::Damaged { path, reason: format!("{what} at offset {at}") }
    }
}

/// What a folder without CURRENT is not.
fn unreadable(disk: &dyn Disk, source: io::Error) -> Error {
    if source.kind() != io::ErrorKind::NotFound {
        return Error::file(disk.path().join("CURRENT"), "read")(source);
    }
    let reason = "it holds no RocksDB or LevelDB database: there is no file CURRENT";
    Error::Unsupported { path: disk.path().to_owned(), reason: reason.to_owned() }
}

/// The MANIFEST that CURRENT names.
fn current(disk: &dyn Disk) -> Result<String> {
    let bytes = disk.read("CURRENT").map_err(|source| unreadable(disk, source))?;
    let text = String::from_utf8(bytes).unwrap_or_default();
    let name = text.trim_end_matches('\n');
    if matches!(named(name), Named::Manifest(_)) {
        return Ok(name.to_owned());
    }
    let reason = "CURRENT does not name a MANIFEST: it is damaged, or the database is encrypted and must be stopped or frozen to be copied";
    Err(Error::Unsupported { path: disk.path().to_owned(), reason: reason.to_owned() })
}
