//! Blocks of an archive in a folder: runs of 256 in a file each, so that what is stored never changes and a new run costs only itself.
//!
//! `cascade`, if there is one, is what the first block stands on. `blocks/000000000256` holds blocks 256 to 511 as they are sent.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufReader, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::cascade::Cascade;
use super::error::Error as FormatError;
use super::txblock::TxBlock;
use super::txpow::Header;
use super::wire::{Reader, WireError};
use crate::error::{Error, Result};

/// Blocks in a run: as many as a node sends at once.
pub const RUN: u64 = 256;
/// File with the cascade.
const CASCADE: &str = "cascade";
/// Folder with the runs.
const BLOCKS: &str = "blocks";

/// A block as it is stored and sent.
#[derive(Debug, Clone)]
pub struct StoredBlock {
    /// What its header says.
    pub header: Header,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// A folder with blocks.
#[derive(Debug, Clone)]
pub struct BlockStore {
    folder: PathBuf,
}

/// What a folder with blocks holds.
#[derive(Debug, Clone, Default)]
pub struct Extent {
    /// Its oldest block.
    pub first: Option<Header>,
    /// Its newest one.
    pub last: Option<Header>,
    /// The tip of its cascade.
    pub cascade: Option<Header>,
    /// How many blocks.
    pub blocks: u64,
}

impl BlockStore {
    /// In a folder, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn open(folder: &Path) -> Result<Self> {
        let blocks = folder.join(BLOCKS);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&blocks);
        made.map_err(Error::file(&blocks, "cannot be made"))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Its cascade, as it is sent.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn cascade(&self) -> Result<Option<Vec<u8>>> {
        let path = self.folder.join(CASCADE);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::file(&path, "cannot be read")(error)),
        }
    }

    /// Keeps a cascade.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn set_cascade(&self, bytes: &[u8]) -> Result<()> {
        replace(&self.folder.join(CASCADE), bytes)
    }

    /// At most so many blocks from a number on.
    ///
    /// # Errors
    /// If a run cannot be read or is damaged.
    pub fn from(&self, number: u64, most: usize) -> Result<Vec<StoredBlock>> {
        let mut blocks = Vec::new();
        for (_, path) in self.runs()?.into_iter().filter(|(start, _)| start + RUN > number) {
            let run = read_run(&path)?;
            blocks.extend(run.into_iter().filter(|block| block.header.number >= number));
            if blocks.len() >= most {
                break;
            }
        }
        blocks.truncate(most);
        Ok(blocks)
    }

    /// What it holds, from its first and last runs alone.
    ///
    /// # Errors
    /// If one of them cannot be read or is damaged.
    pub fn extent(&self) -> Result<Extent> {
        let runs = self.runs()?;
        let mut extent = Extent { cascade: self.cascade_tip()?, ..Extent::default() };
        let (Some((_, first)), Some((_, last))) = (runs.first(), runs.last()) else {
            return Ok(extent);
        };
        extent.first = read_run(first)?.into_iter().next().map(|block| block.header);
        extent.last = read_run(last)?.pop().map(|block| block.header);
        if let (Some(first), Some(last)) = (&extent.first, &extent.last) {
            extent.blocks = (last.number + 1).saturating_sub(first.number);
        }
        Ok(extent)
    }

    /// Reads every block and checks each link, the first one to the cascade.
    ///
    /// # Errors
    /// The first block that does not fit, or what cannot be read.
    pub fn check(&self) -> Result<Extent> {
        let mut extent = Extent { cascade: self.cascade_tip()?, ..Extent::default() };
        let mut before = extent.cascade.clone();
        for (_, path) in self.runs()? {
            for block in read_run(&path)? {
                follows(before.as_ref(), &block.header)
                    .map_err(|source| Error::Minima { path: path.clone(), source })?;
                extent.first.get_or_insert_with(|| block.header.clone());
                extent.blocks += 1;
                before = Some(block.header);
            }
        }
        extent.last = before.filter(|_| extent.blocks > 0);
        Ok(extent)
    }

    /// Takes blocks that follow what is there, in their order.
    pub fn appending(&self) -> Result<Appending<'_>> {
        let extent = self.extent()?;
        let before = extent.last.or(extent.cascade);
        Ok(Appending { store: self, before, run: Vec::new(), start: None })
    }

    fn cascade_tip(&self) -> Result<Option<Header>> {
        let Some(bytes) = self.cascade()? else { return Ok(None) };
        let cascade = Cascade::read(&mut Reader::new(bytes.as_slice()));
        let path = self.folder.join(CASCADE);
        Ok(cascade.map_err(|source| Error::Minima { path, source })?.tip)
    }

    fn runs(&self) -> Result<Vec<(u64, PathBuf)>> {
        let folder = self.folder.join(BLOCKS);
        let entries = fs::read_dir(&folder).map_err(Error::file(&folder, "cannot be listed"))?;
        let run = |entry: fs::DirEntry| {
            let start = entry.file_name().to_str()?.parse().ok()?;
            Some((start, entry.path()))
        };
        let mut runs: Vec<_> = entries.flatten().filter_map(run).collect();
        runs.sort();
        Ok(runs)
    }

    fn path_of(&self, start: u64) -> PathBuf {
        self.folder.join(BLOCKS).join(format!("{start:012}"))
    }
}

/// Blocks on their way into a folder. What is not whole is not written until [`Appending::finish`].
#[derive(Debug)]
pub struct Appending<'a> {
    store: &'a BlockStore,
    before: Option<Header>,
    run: Vec<u8>,
    start: Option<u64>,
}

impl Appending<'_> {
    /// The block that the next one must follow.
    pub fn before(&self) -> Option<&Header> {
        self.before.as_ref()
    }

    /// Takes the next block.
    ///
    /// # Errors
    /// If it does not follow the one before, is not sound, or cannot be written.
    pub fn take(&mut self, block: &StoredBlock) -> Result<()> {
        follows(self.before.as_ref(), &block.header)
            .map_err(|source| Error::Minima { path: self.store.folder.clone(), source })?;
        let start = block.header.number / RUN * RUN;
        if self.start != Some(start) {
            self.flush()?;
            // A run that was begun goes on.
            let path = self.store.path_of(start);
            self.run = if path.exists() {
                fs::read(&path).map_err(Error::file(&path, "cannot be read"))?
            } else {
                Vec::new()
            };
            self.start = Some(start);
        }
        self.run.extend_from_slice(&block.bytes);
        self.before = Some(block.header.clone());
        Ok(())
    }

    /// Writes the last run.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<()> {
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        let Some(start) = self.start.take() else { return Ok(()) };
        replace(&self.store.path_of(start), &self.run)
    }
}

/// Whether a block follows another: its number and its parent.
pub fn follows(before: Option<&Header>, block: &Header) -> std::result::Result<(), FormatError> {
    let wrong = |reason| FormatError::Chain { number: block.number, id: block.id, reason };
    match before {
        None if block.number > 1 => {
            Err(wrong("it is not the first block of a chain, and there is no cascade before it"))
        }
        None => Ok(()),
        Some(before) if block.number != before.number + 1 => {
            Err(wrong("its number does not follow that of the block before"))
        }
        Some(before) if block.parent != Some(before.id) => {
            Err(wrong("its parent is not the block before"))
        }
        Some(_) => Ok(()),
    }
}

/// The next block, with its bytes, checked alone.
///
/// # Errors
/// If it is damaged.
pub fn next_block<R: Read>(
    reader: &mut Reader<R>,
) -> std::result::Result<StoredBlock, FormatError> {
    let (block, bytes) = reader.keep(TxBlock::read)?;
    let header = block.header().clone();
    match block.flaw() {
        Some(reason) => Err(FormatError::Chain { number: header.number, id: header.id, reason }),
        None => Ok(StoredBlock { header, bytes }),
    }
}

fn read_run(path: &Path) -> Result<Vec<StoredBlock>> {
    let bad = |source| Error::Minima { path: path.to_owned(), source };
    let file = File::open(path).map_err(Error::file(path, "cannot be read"))?;
    let length = file.metadata().map_err(Error::file(path, "cannot be read"))?.len();
    let mut reader = Reader::new(BufReader::new(file));
    let mut blocks = Vec::new();
    while reader.at() < length {
        blocks.push(next_block(&mut reader).map_err(bad)?);
    }
    reader.end().map_err(|error: WireError| bad(error.into()))?;
    Ok(blocks)
}

/// A file that appears whole.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut options = File::options();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(Error::file(path, "cannot be written"))
}
