//! What is served to nodes: blocks in a folder, and perhaps a file with all coins.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::backup::{Contents, Section};
use super::chain::Tree;
use super::ibd::{Block, Blocks, Last};
use super::mega::{self, Mega};
use super::store::{BlockStore, follows};
use super::txblock::TxBlock;
use super::wire::Reader;
use crate::error::{Error, Result};
use crate::kind::minima::{MEGA, archive};

/// What a gzip file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Blocks, and perhaps coins.
#[derive(Debug)]
pub struct Supply {
    /// The blocks.
    pub blocks: BlockStore,
    /// The file with all coins.
    pub coins: Option<Coins>,
}

/// A file with all coins.
#[derive(Debug, Clone)]
pub struct Coins {
    /// Where it lies.
    pub path: PathBuf,
    /// What it holds.
    pub mega: Mega,
    /// Its size in bytes.
    pub size: u64,
}

impl Supply {
    /// From a folder with blocks, an exported archive (`.raw.dat`) or a file with all coins (`.megammr`). `scratch` is an empty folder for
    /// what has to be unpacked. Everything is checked.
    ///
    /// # Errors
    /// If it is none of them or damaged.
    pub fn of(path: &Path, scratch: &Path) -> Result<Self> {
        if path.is_dir() {
            return Ok(Self { blocks: folder(path)?, coins: None });
        }
        let blocks = BlockStore::open(scratch)?;
        let mut file = File::open(path).map_err(Error::file(path, "cannot be read"))?;
        let mut begin = [0; 2];
        let failed = Error::file(path, "cannot be read");
        file.read_exact(&mut begin).and_then(|()| file.rewind()).map_err(failed)?;
        if begin == GZIP {
            archive::unpack(file, path, &blocks)?;
            return Ok(Self { blocks, coins: None });
        }
        let coins = Coins::open(path)?;
        coins.unpack(&blocks)?;
        Ok(Self { blocks, coins: Some(coins) })
    }

    /// From the copies of a node's components, as far as they are there.
    ///
    /// # Errors
    /// If one is damaged, or none is there.
    pub fn of_copies(copies: &Copies<'_>, scratch: &Path) -> Result<Self> {
        let coins = copies.mega.map(|folder| Coins::open(&folder.join(MEGA))).transpose()?;
        let blocks = match copies.archive {
            Some(folder) => {
                let blocks = BlockStore::open(folder)?;
                blocks.check()?;
                blocks
            }
            None => BlockStore::open(scratch)?,
        };
        match (copies.state, &coins) {
            (Some(state), _) => add_tree(&blocks, state)?,
            (None, Some(coins)) if copies.archive.is_none() => coins.unpack(&blocks)?,
            _ => {}
        }
        Ok(Self { blocks, coins })
    }
}

/// A folder with blocks that is there already; all are checked.
fn folder(path: &Path) -> Result<BlockStore> {
    let none = || {
        let reason = "there are no blocks in this folder: name one that `fetch-archive` filled";
        Error::Unsupported { path: path.to_owned(), reason: reason.to_owned() }
    };
    let blocks = BlockStore::at(path).ok_or_else(none)?;
    match blocks.check()?.blocks {
        0 => Err(none()),
        _ => Ok(blocks),
    }
}

/// Restored components of a node.
#[derive(Debug, Clone, Copy, Default)]
pub struct Copies<'a> {
    /// Its state: cascade and recent blocks.
    pub state: Option<&'a Contents>,
    /// Folder with the blocks of its archive.
    pub archive: Option<&'a Path>,
    /// Folder with the file of all coins.
    pub mega: Option<&'a Path>,
}

impl Coins {
    /// Checks a file with all coins.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::file(path, "cannot be read"))?;
        let size = file.metadata().map_err(Error::file(path, "cannot be read"))?.len();
        let mega = mega::verify(BufReader::new(file))
            .map_err(|source| Error::Minima { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), mega, size })
    }

    /// Its cascade and blocks, as they are sent.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn chain(&self) -> io::Result<File> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.mega.blocks_at))?;
        Ok(file)
    }

    fn unpack(&self, store: &BlockStore) -> Result<()> {
        let bad = |source| Error::Minima { path: self.path.clone(), source };
        let file = self.chain().map_err(Error::file(&self.path, "cannot be read"))?;
        let mut blocks = Blocks::begin(Reader::new(BufReader::new(file))).map_err(bad)?;
        if let Some(cascade) = &blocks.cascade {
            store.set_cascade(&cascade.bytes)?;
        }
        let mut appending = store.appending()?;
        appending.take_all(&mut blocks)?;
        appending.finish()
    }
}

/// Adds the recent blocks of a node's state to those of its archive. Without an archive they stand on the cascade.
fn add_tree(store: &BlockStore, state: &Contents) -> Result<()> {
    let section = state.section(Section::ChainTree);
    let bad = |source| Error::Minima { path: Section::ChainTree.file_name().into(), source };
    let tree = Tree::read(&mut Reader::new(section)).map_err(bad)?;
    let extent = store.extent()?;
    let root = tree.root().map_or(0, |root| root.header.number);
    if extent.last.is_none() && extent.cascade.is_none() && root > 1 {
        store.set_cascade(state.section(Section::Cascade))?;
    }
    let mut appending = store.appending()?;
    let mut branch = tree.branch();
    branch.reverse();
    for place in branch {
        let start = usize::try_from(place.range.start).unwrap_or(usize::MAX);
        let bytes = section.get(start..).unwrap_or_default();
        let (block, bytes) = Reader::new(bytes).keep(TxBlock::read).map_err(|e| bad(e.into()))?;
        let block = Block { block, bytes };
        let before: Option<Last> = appending.before();
        // The archive may reach into the tree.
        if before.is_some_and(|before| place.header.number <= before.number) {
            continue;
        }
        follows(before, &block).map_err(bad)?;
        appending.take(&block)?;
    }
    appending.finish()
}
