//! The few things that a capture does with a live database's folder, behind a trait so that tests can let the database move between any two of
//! them.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A live database's folder. Every name is that of a file in it.
pub trait Disk {
    /// Where it lies, for messages.
    fn path(&self) -> &Path;
    /// The whole of a small file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// A file to read from; it can be read on when its name is gone.
    fn open(&self, name: &str) -> io::Result<File>;
    /// Up to `length` bytes of an open file from `at`; fewer only at its end.
    fn read_at(&self, file: &File, at: u64, length: usize) -> io::Result<Vec<u8>>;
    /// Size of an open file in bytes.
    fn size(&self, file: &File) -> io::Result<u64>;
    /// The names in it.
    fn list(&self) -> io::Result<Vec<String>>;
    /// A second name for a file, outside the folder.
    fn link(&self, name: &str, to: &Path) -> io::Result<()>;
}

/// The real one.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }
}

impl Disk for Folder {
    fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path.join(name))
    }

    fn open(&self, name: &str) -> io::Result<File> {
        File::open(self.path.join(name))
    }

    fn read_at(&self, file: &File, at: u64, length: usize) -> io::Result<Vec<u8>> {
        read_at(file, at, length)
    }

    fn size(&self, file: &File) -> io::Result<u64> {
        Ok(file.metadata()?.len())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.path)?;
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    fn link(&self, name: &str, to: &Path) -> io::Result<()> {
        fs::hard_link(self.path.join(name), to)
    }
}

/// Up to `length` bytes from `at`; fewer only at the end of the file.
pub fn read_at(mut file: &File, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at))?;
    file.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
