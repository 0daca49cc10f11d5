//! A snapshot as a source: export, import and copies are backups of it into another repository, under that one's keys.

use std::io::{self, Read};
use std::sync::Arc;

use crate::error::Error;
use crate::id::ChunkId;
use crate::pack::PackKind;
use crate::reader::{Buffers, ChunkReader};
use crate::snapshot::Snapshot;
use crate::source::{Content, Details, Directory, FileType, Item, Listing, Root, Source, Stat};
use crate::tree::{Entry, Kind, Run};

/// Stands for the one file system of a snapshot: hard links are told by it and their number.
const DEV: u64 = 1;

/// A snapshot to back up elsewhere.
#[derive(Debug)]
pub struct SnapshotSource {
    reader: ChunkReader,
    snapshot: Snapshot,
}

impl SnapshotSource {
    /// Reads `snapshot` through `reader`.
    pub fn new(reader: ChunkReader, snapshot: Snapshot) -> Self {
        Self { reader, snapshot }
    }
}

fn name_in(list: &[(u32, String)], id: u32) -> Option<String> {
    list.iter().find(|(known, _)| *known == id).map(|(_, name)| name.clone())
}

impl Source for SnapshotSource {
    fn roots(&self) -> Result<Vec<Root>, (Vec<u8>, io::Error)> {
        let open = |root: &crate::snapshot::Root| {
            let parent: Arc<dyn Directory> = Arc::new(TreeDirectory {
                reader: self.reader.clone(),
                entries: vec![root.entry.clone()],
            });
            let directory = match &root.entry.kind {
                Kind::Directory { tree, .. } => Some(
                    TreeDirectory::open(&self.reader, tree).map_err(|e| (root.path.clone(), e))?,
                ),
                _ => None,
            };
            Ok(Root { path: root.path.clone(), item: item_of(&root.entry), parent, directory })
        };
        self.snapshot.roots.iter().map(open).collect()
    }

    fn user_name(&self, uid: u32) -> Option<String> {
        name_in(&self.snapshot.users, uid)
    }

    fn group_name(&self, gid: u32) -> Option<String> {
        name_in(&self.snapshot.groups, gid)
    }
}

/// An engine's error, as a source reports it.
fn to_io(error: Error) -> io::Error {
    io::Error::other(error)
}

fn item_of(entry: &Entry) -> Item {
    let rdev = match entry.kind {
        Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => (major, minor),
        _ => (0, 0),
    };
    let stat = Stat {
        file_type: FileType::of(&entry.kind),
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        size: entry.size(),
        mtime: entry.mtime,
        mtime_ns: entry.mtime_ns,
        ctime: 0,
        ctime_ns: 0,
        dev: DEV,
        ino: entry.link.unwrap_or(0),
        nlink: if entry.link.is_some() { 2 } else { 1 },
        rdev,
        allocated: 0,
    };
    Item { name: entry.name.clone(), stat }
}

#[derive(Debug)]
struct TreeDirectory {
    reader: ChunkReader,
    entries: Vec<Entry>,
}

impl TreeDirectory {
    fn open(reader: &ChunkReader, tree: &ChunkId) -> io::Result<Arc<dyn Directory>> {
        let entries = reader.entries(tree).map_err(to_io)?;
        Ok(Arc::new(Self { reader: reader.clone(), entries }))
    }

    fn entry(&self, name: &[u8]) -> io::Result<&Entry> {
        let at = self.entries.binary_search_by(|e| e.name.as_slice().cmp(name));
        at.map(|at| &self.entries[at]).map_err(|_| io::ErrorKind::NotFound.into())
    }
}

impl Directory for TreeDirectory {
    fn list(&self) -> io::Result<Listing> {
        Ok(Listing { items: self.entries.iter().map(item_of).collect(), unreadable: Vec::new() })
    }

    fn enter(&self, name: &[u8]) -> io::Result<Arc<dyn Directory>> {
        match &self.entry(name)?.kind {
            Kind::Directory { tree, .. } => Self::open(&self.reader, tree),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn open(&self, name: &[u8]) -> io::Result<Box<dyn Content>> {
        match &self.entry(name)?.kind {
            Kind::File { runs, .. } => {
                Ok(Box::new(RunReader::new(self.reader.clone(), runs.clone())))
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn details(&self, item: &Item) -> io::Result<Details> {
        let entry = self.entry(&item.name)?;
        let target = match &entry.kind {
            Kind::Symlink { target } => target.clone(),
            _ => Vec::new(),
        };
        Ok(Details { xattrs: entry.xattrs.clone(), target })
    }
}

/// Reads a file of a snapshot from start to end, or from any offset. Holes read as zeros.
#[derive(Debug)]
pub struct RunReader {
    reader: ChunkReader,
    runs: Vec<Run>,
    buffers: Buffers,
    loaded: Option<ChunkId>,
    run: usize,
    /// Bytes of the present run that were read.
    at: u64,
}

impl RunReader {
    /// Reads `runs`.
    pub fn new(reader: ChunkReader, runs: Vec<Run>) -> Self {
        Self { reader, runs, buffers: Buffers::new(), loaded: None, run: 0, at: 0 }
    }

    fn load(&mut self, chunk: &ChunkId) -> io::Result<()> {
        if self.loaded != Some(*chunk) {
            self.loaded = None;
            self.reader.chunk(PackKind::Data, chunk, &mut self.buffers).map_err(to_io)?;
            self.loaded = Some(*chunk);
        }
        Ok(())
    }

    fn read_run(&mut self, run: Run, out: &mut [u8]) -> io::Result<usize> {
        let len = out.len().min(usize::try_from(run.len() - self.at).unwrap_or(usize::MAX));
        match run {
            Run::Hole { .. } => out[..len].fill(0),
            Run::Data { chunk, offset, .. } => {
                self.load(&chunk)?;
                let from = offset as usize + self.at as usize;
                let bytes = self.buffers.plain.get(from..from + len);
                out[..len].copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            }
        }
        self.at += len as u64;
        Ok(len)
    }
}

impl Read for RunReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Some(run) = self.runs.get(self.run).copied() {
            if self.at < run.len() {
                return self.read_run(run, out);
            }
            self.run += 1;
            self.at = 0;
        }
        Ok(0)
    }
}

impl Content for RunReader {
    fn extents(&mut self, _size: u64) -> io::Result<Option<Vec<(u64, u64)>>> {
        if !self.runs.iter().any(|r| matches!(r, Run::Hole { .. })) {
            return Ok(None);
        }
        let mut extents: Vec<(u64, u64)> = Vec::new();
        let mut at = 0;
        for run in &self.runs {
            match (run, extents.last_mut()) {
                (Run::Hole { .. }, _) => (),
                (Run::Data { .. }, Some((offset, len))) if *offset + *len == at => {
                    *len += run.len()
                }
                (Run::Data { .. }, _) => extents.push((at, run.len())),
            }
            at += run.len();
        }
        Ok(Some(extents))
    }

    fn seek(&mut self, offset: u64) -> io::Result<()> {
        (self.run, self.at) = (0, offset);
        while let Some(run) = self.runs.get(self.run).filter(|r| r.len() <= self.at) {
            self.at -= run.len();
            self.run += 1;
        }
        Ok(())
    }

    fn stat(&self) -> io::Result<Option<Stat>> {
        Ok(None)
    }
}
