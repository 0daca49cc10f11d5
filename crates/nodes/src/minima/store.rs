//! Blocks of an archive in a folder: runs of 256 in a file each, so that what is stored never changes and a new run costs only itself.
//!
//! `cascade`, if there is one, is what the first block stands on. `blocks/000000000256` holds blocks 256 to 511 as they are sent.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufReader, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::cascade::Cascade;
use super::error::Error as FormatError;
use super::ibd::{Block, Blocks, Last};
use super::txblock::TxBlock;
use super::wire::Reader;
use crate::error::{Error, Result};

/// Blocks in a run: as many as a node sends at once.
pub const RUN: u64 = 256;
/// File with the cascade.
const CASCADE: &str = "cascade";
/// Folder with the runs.
const BLOCKS: &str = "blocks";

/// A folder with blocks.
#[derive(Debug, Clone)]
pub struct BlockStore {
    folder: PathBuf,
}

/// What a folder with blocks holds.
#[derive(Debug, Clone, Default)]
pub struct Extent {
    /// Its oldest block.
    pub first: Option<u64>,
    /// Its newest one.
    pub last: Option<Last>,
    /// The tip of its cascade.
    pub cascade: Option<Last>,
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

    /// In a folder that was made before.
    pub fn at(folder: &Path) -> Option<Self> {
        folder.join(BLOCKS).is_dir().then(|| Self { folder: folder.to_owned() })
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

    /// At most so many blocks from a number on, and at most so many bytes of them after the first.
    ///
    /// # Errors
    /// If a run cannot be read or is damaged.
    pub fn from(&self, number: u64, most: usize, bytes: usize) -> Result<Vec<Block>> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut size = 0;
        for (_, path) in self.runs()?.into_iter().filter(|(start, _)| start + RUN > number) {
            for block in Run::open(&path)? {
                let block = block?;
                if block.block.header().number < number {
                    continue;
                }
                size += block.bytes.len();
                if blocks.len() >= most || (size > bytes && !blocks.is_empty()) {
                    return Ok(blocks);
                }
                blocks.push(block);
            }
        }
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
        let number = |block: &Block| block.block.header().number;
        extent.first = Run::open(first)?.next().transpose()?.as_ref().map(number);
        let mut last = Run::open(last)?;
        extent.last = last
            .try_fold(None, |_, block| Ok::<_, Error>(Some(Last::from(block?.block.header()))))?;
        if let (Some(first), Some(last)) = (extent.first, extent.last) {
            extent.blocks = (last.number + 1).saturating_sub(first);
        }
        Ok(extent)
    }

    /// Reads every block and checks each link, the first one to the cascade.
    ///
    /// # Errors
    /// The first block that does not fit, or what cannot be read.
    pub fn check(&self) -> Result<Extent> {
        let mut extent = Extent { cascade: self.cascade_tip()?, ..Extent::default() };
        let mut before = extent.cascade;
        for (_, path) in self.runs()? {
            for block in Run::open(&path)? {
                let block = block?;
                follows(before, &block)
                    .map_err(|source| Error::Minima { path: path.clone(), source })?;
                extent.first.get_or_insert(block.block.header().number);
                extent.blocks += 1;
                before = Some(Last::from(block.block.header()));
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

    /// Where its runs begin, the oldest first.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn starts(&self) -> Result<Vec<u64>> {
        Ok(self.runs()?.into_iter().map(|(start, _)| start).collect())
    }

    /// The blocks of the run that begins there.
    ///
    /// # Errors
    /// If it cannot be read or is damaged.
    pub fn run(&self, start: u64) -> Result<Vec<Last>> {
        let path = self.path_of(start);
        Run::open(&path)?.map(|block| Ok(Last::from(block?.block.header()))).collect()
    }

    /// Drops every block after this one. What is left is whole at any moment.
    ///
    /// # Errors
    /// If a run cannot be read, written or removed.
    pub fn cut_after(&self, number: u64) -> Result<()> {
        for (start, path) in
            self.runs()?.into_iter().rev().filter(|(start, _)| start + RUN > number)
        {
            if start > number {
                fs::remove_file(&path).map_err(Error::file(&path, "cannot be removed"))?;
                continue;
            }
            let mut kept = Vec::new();
            for block in Run::open(&path)? {
                let block = block?;
                if block.block.header().number <= number {
                    kept.extend_from_slice(&block.bytes);
                }
            }
            replace(&path, &kept)?;
        }
        Ok(())
    }

    /// That a host has nothing that fits to what is stored.
    pub fn unrelated(&self, host: &str) -> Error {
        let reason = format!(
            "{host} has none of the newest blocks here: its chain is another one, or its archive begins later. Nothing was changed; fetch into another folder"
        );
        Error::Unsupported { path: self.folder.clone(), reason }
    }

    fn cascade_tip(&self) -> Result<Option<Last>> {
        let Some(bytes) = self.cascade()? else { return Ok(None) };
        let cascade = Cascade::read(&mut Reader::new(bytes.as_slice()));
        let path = self.folder.join(CASCADE);
        let cascade = cascade.map_err(|source| Error::Minima { path, source })?;
        Ok(cascade.tip.as_ref().map(Last::from))
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

    /// What of a run is there already.
    fn begun(&self, start: u64) -> Result<Vec<u8>> {
        let path = self.path_of(start);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read.map_err(Error::file(&path, "cannot be read")),
        }
    }

    fn path_of(&self, start: u64) -> PathBuf {
        self.folder.join(BLOCKS).join(format!("{start:012}"))
    }
}

/// Blocks on their way into a folder. What is not whole is not written until [`Appending::finish`].
#[derive(Debug)]
pub struct Appending<'a> {
    store: &'a BlockStore,
    before: Option<Last>,
    run: Vec<u8>,
    start: Option<u64>,
}

impl Appending<'_> {
    /// The block that the next one must follow.
    pub fn before(&self) -> Option<Last> {
        self.before
    }

    /// Takes the next block.
    ///
    /// # Errors
    /// If it does not follow the one before, or cannot be written.
    pub fn take(&mut self, block: &Block) -> Result<()> {
        follows(self.before, block)
            .map_err(|source| Error::Minima { path: self.store.folder.clone(), source })?;
        let start = block.block.header().number / RUN * RUN;
        if self.start != Some(start) {
            self.flush()?;
            self.run = self.store.begun(start)?;
            self.start = Some(start);
        }
        self.run.extend_from_slice(&block.bytes);
        self.before = Some(Last::from(block.block.header()));
        Ok(())
    }

    /// Takes every block that is still to come.
    ///
    /// # Errors
    /// As [`Appending::take`], or if one is damaged.
    pub fn take_all<R: Read>(&mut self, blocks: &mut Blocks<R>) -> Result<u64> {
        let bad = |source| Error::Minima { path: self.store.folder.clone(), source };
        let mut taken = 0;
        while let Some(block) = blocks.next_block().map_err(bad)? {
            self.take(&block)?;
            taken += 1;
        }
        Ok(taken)
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

/// Whether a block follows another: its number, its parent, its coins. The first block of all stands on nothing.
///
/// # Errors
/// If it does not.
pub fn follows(before: Option<Last>, block: &Block) -> std::result::Result<(), FormatError> {
    let header = block.block.header();
    match before {
        Some(before) => before.precedes(&block.block),
        None if header.number <= 1 => Ok(()),
        None => Err(FormatError::Chain {
            number: header.number,
            id: header.id,
            reason: "it is not the first block of a chain, and there is no cascade before it",
        }),
    }
}

/// The blocks of a run, one after the other.
struct Run<'a> {
    path: &'a Path,
    reader: Reader<BufReader<File>>,
    length: u64,
}

impl<'a> Run<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::file(path, "cannot be read"))?;
        let length = file.metadata().map_err(Error::file(path, "cannot be read"))?.len();
        Ok(Self { path, reader: Reader::new(BufReader::new(file)), length })
    }
}

impl Iterator for Run<'_> {
    type Item = Result<Block>;

    fn next(&mut self) -> Option<Self::Item> {
        let is_more = self.reader.at() < self.length;
        let bad = |source| Error::Minima { path: self.path.to_owned(), source };
        is_more.then(|| next(&mut self.reader).map_err(bad))
    }
}

/// The next block, looked at alone.
fn next<R: Read>(reader: &mut Reader<R>) -> std::result::Result<Block, FormatError> {
    let (block, bytes) = reader.keep(TxBlock::read)?;
    let header = block.header();
    match block.flaw() {
        Some(reason) => Err(FormatError::Chain { number: header.number, id: header.id, reason }),
        None => Ok(Block { block, bytes }),
    }
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
