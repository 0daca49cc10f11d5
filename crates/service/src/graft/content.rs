//! Files as they are shown: with other metadata, cut short, or from memory.

use std::io::{self, Cursor, Read};

use nodekeep_repo::source::{Content, Stat};

use super::directory::Mask;

/// A file whose metadata is told as it was listed.
pub struct AsListed {
    content: Box<dyn Content>,
    mask: Mask,
}

impl AsListed {
    /// Shows a file.
    pub fn new(content: Box<dyn Content>, mask: Mask) -> Self {
        Self { content, mask }
    }
}

impl Read for AsListed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.content.read(into)
    }
}

impl Content for AsListed {
    fn extents(&mut self, size: u64) -> io::Result<Option<Vec<(u64, u64)>>> {
        self.content.extents(size)
    }

    fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.content.seek(offset)
    }

    fn stat(&self) -> io::Result<Option<Stat>> {
        Ok(self.content.stat()?.map(|stat| self.mask.over(stat)))
    }
}

/// The first bytes of a file that only grows.
pub struct Prefix {
    content: Box<dyn Content>,
    at: u64,
    length: u64,
}

impl Prefix {
    /// The first `length` bytes.
    pub fn new(content: Box<dyn Content>, length: u64) -> Self {
        Self { content, at: 0, length }
    }
}

impl Read for Prefix {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length - self.at).unwrap_or(usize::MAX);
        let room = into.len().min(left);
        let read = self.content.read(&mut into[..room])?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Content for Prefix {
    fn extents(&mut self, size: u64) -> io::Result<Option<Vec<(u64, u64)>>> {
        self.content.extents(size.min(self.length))
    }

    fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.at = offset.min(self.length);
        self.content.seek(self.at)
    }

    /// What follows may grow while this is read; the prefix is what was looked at.
    fn stat(&self) -> io::Result<Option<Stat>> {
        Ok(None)
    }
}

/// A file that lies nowhere.
pub struct Memory(Cursor<Vec<u8>>);

impl Memory {
    /// Of these bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Cursor::new(bytes))
    }
}

impl Read for Memory {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Content for Memory {
    fn extents(&mut self, _size: u64) -> io::Result<Option<Vec<(u64, u64)>>> {
        Ok(None)
    }

    fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.0.set_position(offset);
        Ok(())
    }

    fn stat(&self) -> io::Result<Option<Stat>> {
        Ok(None)
    }
}
