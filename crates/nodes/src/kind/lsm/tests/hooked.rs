//! A folder in which the database moves between any two things that a capture does.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::path::Path;

use rustix::io::Errno;

use crate::kind::lsm::disk::{Disk, Folder};

/// What a capture does, as a hook sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call<'a> {
    Read(&'a str),
    Open(&'a str),
    ReadAt(u64),
    Size,
    List,
    Link(&'a str),
}

/// Runs before each call; gets its number, from 0.
type Hook<'a> = Box<dyn FnMut(usize, Call) + 'a>;
/// Changes what a listing shows.
type Listing<'a> = Box<dyn Fn(usize, &mut Vec<String>) + 'a>;

pub struct Hooked<'a> {
    folder: Folder,
    hook: RefCell<Hook<'a>>,
    pub listing: Option<Listing<'a>>,
    pub calls: Cell<usize>,
    lists: Cell<usize>,
    /// Whether the staging folder is on another file system.
    pub is_far: bool,
    /// Bytes that were read from offsets of open files.
    pub bytes: Cell<u64>,
}

impl<'a> Hooked<'a> {
    pub fn new(path: &Path, hook: impl FnMut(usize, Call) + 'a) -> Self {
        Self {
            folder: Folder::new(path),
            hook: RefCell::new(Box::new(hook)),
            listing: None,
            calls: Cell::new(0),
            lists: Cell::new(0),
            is_far: false,
            bytes: Cell::new(0),
        }
    }

    fn call(&self, call: Call) {
        let number = self.calls.replace(self.calls.get() + 1);
        (self.hook.borrow_mut())(number, call);
    }
}

impl Disk for Hooked<'_> {
    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.call(Call::Read(name));
        self.folder.read(name)
    }

    fn open(&self, name: &str) -> io::Result<File> {
        self.call(Call::Open(name));
        self.folder.open(name)
    }

    fn read_at(&self, file: &File, at: u64, length: usize) -> io::Result<Vec<u8>> {
        self.call(Call::ReadAt(at));
        let bytes = self.folder.read_at(file, at, length)?;
        self.bytes.set(self.bytes.get() + bytes.len() as u64);
        Ok(bytes)
    }

    fn size(&self, file: &File) -> io::Result<u64> {
        self.call(Call::Size);
        self.folder.size(file)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.call(Call::List);
        let mut names = self.folder.list()?;
        let number = self.lists.replace(self.lists.get() + 1);
        if let Some(change) = &self.listing {
            change(number, &mut names);
        }
        Ok(names)
    }

    fn link(&self, name: &str, to: &Path) -> io::Result<()> {
        self.call(Call::Link(name));
        if self.is_far {
            return Err(Errno::XDEV.into());
        }
        self.folder.link(name, to)
    }
}
