//! A picture of a tree of files: everything that a backup keeps of it.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use nodekeep_repo::source::fs::FsSource;
use nodekeep_repo::source::{Details, Directory, FileType, Item, Source};

/// What is told of a name. Sizes of directories and inode numbers are no part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub file_type: FileType,
    pub mode: u16,
    pub owner: (u32, u32),
    pub mtime: (i64, u32),
    pub device: (u32, u32),
    pub details: Details,
    pub content: Option<blake3::Hash>,
    /// The first name of a file with several.
    pub same_as: Option<Vec<u8>>,
    pub ino: Option<u64>,
}

pub type Picture = BTreeMap<Vec<u8>, Facts>;

struct Painter {
    picture: Picture,
    first: HashMap<u64, Vec<u8>>,
    inodes: bool,
}

impl Painter {
    fn item(&mut self, parent: &dyn Directory, item: &Item, path: &[u8]) {
        let stat = item.stat;
        let content = (stat.file_type == FileType::File).then(|| {
            let mut bytes = Vec::new();
            parent.open(&item.name).unwrap().read_to_end(&mut bytes).unwrap();
            blake3::hash(&bytes)
        });
        let several = stat.nlink > 1 && stat.file_type != FileType::Directory;
        let first = self.first.entry(stat.ino).or_insert_with(|| path.to_vec());
        let facts = Facts {
            file_type: stat.file_type,
            mode: stat.mode,
            owner: (stat.uid, stat.gid),
            mtime: (stat.mtime, stat.mtime_ns),
            device: stat.rdev,
            details: parent.details(item).unwrap(),
            content,
            same_as: several.then(|| first.clone()),
            ino: self.inodes.then_some(stat.ino),
        };
        self.picture.insert(path.to_vec(), facts);
    }

    fn directory(&mut self, directory: &Arc<dyn Directory>, path: &[u8]) {
        let mut listing = directory.list().unwrap();
        assert!(listing.unreadable.is_empty());
        listing.items.sort_by(|a, b| a.name.cmp(&b.name));
        for item in listing.items {
            let path =
                if path.is_empty() { item.name.clone() } else { [path, b"/", &item.name].concat() };
            self.item(&**directory, &item, &path);
            if item.stat.file_type == FileType::Directory {
                self.directory(&directory.enter(&item.name).unwrap(), &path);
            }
        }
    }
}

fn paint(path: &Path, inodes: bool) -> Picture {
    let root = FsSource::new(vec![path.to_path_buf()]).unwrap().roots().unwrap().pop().unwrap();
    let mut painter = Painter { picture: Picture::new(), first: HashMap::new(), inodes };
    painter.item(&*root.parent, &root.item, b"");
    if let Some(directory) = root.directory {
        painter.directory(&directory, b"");
    }
    painter.picture
}

/// Everything at and below a path.
pub fn picture(path: &Path) -> Picture {
    paint(path, false)
}

/// The same with inode numbers, to see what was replaced.
pub fn picture_with_inodes(path: &Path) -> Picture {
    paint(path, true)
}

/// Compares two pictures and says which names differ.
#[track_caller]
pub fn assert_same(a: &Picture, b: &Picture) {
    let names: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
    for name in names {
        assert_eq!(a.get(name), b.get(name), "{}", String::from_utf8_lossy(name));
    }
}
