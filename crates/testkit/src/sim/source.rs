//! A folder in memory, to be backed up. Files never change while they are read.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use nodekeep_repo::source::{
    Content, Details, Directory, FileType, Item, Listing, Root, Source, Stat,
};

/// Files by name, and folders as far as names have a `/`.
pub type Files = BTreeMap<String, Arc<[u8]>>;

/// Where every folder lies.
pub const ROOT: &str = "/home";
/// Seconds since 1970 at which every file was last changed.
const CHANGED: i64 = 1_000_000_000;

/// A folder of files.
#[derive(Debug, Clone)]
pub struct MemorySource(pub Files);

fn stat(file_type: FileType, size: u64, ino: u64) -> Stat {
    Stat {
        file_type,
        mode: if file_type == FileType::File { 0o644 } else { 0o755 },
        uid: 0,
        gid: 0,
        size,
        mtime: CHANGED,
        mtime_ns: 0,
        ctime: CHANGED,
        ctime_ns: 0,
        dev: 1,
        ino,
        nlink: 1,
        rdev: (0, 0),
        allocated: size,
    }
}

/// An inode that follows from what it is of.
fn inode(path: &str, bytes: &[u8]) -> u64 {
    let hash = nodekeep_repo::id::ObjectHash::of(&[path.as_bytes(), b"\0", bytes].concat());
    u64::from_le_bytes(hash.0[..8].try_into().expect("eight bytes")) | 1
}

#[derive(Debug)]
struct Folder {
    files: Files,
    path: String,
}

impl Folder {
    fn items(&self) -> Vec<Item> {
        let mut items: Vec<Item> = Vec::new();
        for (path, bytes) in &self.files {
            let Some(rest) = path.strip_prefix(&self.path) else { continue };
            let (name, is_folder) = match rest.split_once('/') {
                Some((name, _)) => (name, true),
                None => (rest, false),
            };
            if items.last().is_some_and(|item| item.name == name.as_bytes()) {
                continue;
            }
            let stat = if is_folder {
                stat(FileType::Directory, 0, inode(&format!("{}{name}/", self.path), b""))
            } else {
                stat(FileType::File, bytes.len() as u64, inode(path, bytes))
            };
            items.push(Item { name: name.as_bytes().to_vec(), stat });
        }
        items
    }
}

impl Directory for Folder {
    fn list(&self) -> io::Result<Listing> {
        Ok(Listing { items: self.items(), unreadable: Vec::new() })
    }

    fn enter(&self, name: &[u8]) -> io::Result<Arc<dyn Directory>> {
        let path = format!("{}{}/", self.path, String::from_utf8_lossy(name));
        Ok(Arc::new(Self { files: self.files.clone(), path }))
    }

    fn open(&self, name: &[u8]) -> io::Result<Box<dyn Content>> {
        let path = format!("{}{}", self.path, String::from_utf8_lossy(name));
        let bytes = self.files.get(&path).cloned().ok_or(io::ErrorKind::NotFound)?;
        let stat = stat(FileType::File, bytes.len() as u64, inode(&path, &bytes));
        Ok(Box::new(Opened { bytes: Cursor::new(bytes), stat }))
    }

    fn details(&self, _: &Item) -> io::Result<Details> {
        Ok(Details::default())
    }
}

struct Opened {
    bytes: Cursor<Arc<[u8]>>,
    stat: Stat,
}

impl Read for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(buffer)
    }
}

impl Content for Opened {
    fn extents(&mut self, _: u64) -> io::Result<Option<Vec<(u64, u64)>>> {
        Ok(None)
    }

    fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.bytes.set_position(offset);
        Ok(())
    }

    fn stat(&self) -> io::Result<Option<Stat>> {
        Ok(Some(self.stat))
    }
}

impl Source for MemorySource {
    fn roots(&self) -> Result<Vec<Root>, (Vec<u8>, io::Error)> {
        let folder: Arc<dyn Directory> =
            Arc::new(Folder { files: self.0.clone(), path: String::new() });
        let name = ROOT.trim_start_matches('/').as_bytes().to_vec();
        let item = Item { name, stat: stat(FileType::Directory, 0, inode("", b"")) };
        let path = ROOT.as_bytes().to_vec();
        Ok(vec![Root { path, item, parent: folder.clone(), directory: Some(folder) }])
    }

    fn user_name(&self, _: u32) -> Option<String> {
        None
    }

    fn group_name(&self, _: u32) -> Option<String> {
        None
    }
}

/// Reads all files of a source, through whatever it is made of.
///
/// # Errors
/// The first that is met, with its path.
pub fn read_all(source: &dyn Source) -> Result<Files, String> {
    let mut files = Files::new();
    let roots = source.roots().map_err(|(path, error)| said(&path, &error))?;
    for root in roots {
        if let Some(directory) = root.directory {
            read_folder(&*directory, "", &mut files)?;
        }
    }
    Ok(files)
}

fn said(path: &[u8], error: &io::Error) -> String {
    format!("{}: {error}", String::from_utf8_lossy(path))
}

fn read_folder(folder: &dyn Directory, path: &str, files: &mut Files) -> Result<(), String> {
    let listing = folder.list().map_err(|error| said(path.as_bytes(), &error))?;
    for item in listing.items {
        let name = format!("{path}{}", String::from_utf8_lossy(&item.name));
        let failed = |error: io::Error| said(name.as_bytes(), &error);
        if item.stat.file_type == FileType::Directory {
            let inner = folder.enter(&item.name).map_err(failed)?;
            read_folder(&*inner, &format!("{name}/"), files)?;
            continue;
        }
        let mut bytes = Vec::new();
        let mut content = folder.open(&item.name).map_err(failed)?;
        content.read_to_end(&mut bytes).map_err(failed)?;
        files.insert(name, bytes.into());
    }
    Ok(())
}
