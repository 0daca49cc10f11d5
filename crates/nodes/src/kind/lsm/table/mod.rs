//! Tables (`.sst`, `.ldb`): read block by block, each checked before it is used.

mod block;
mod checksum;
mod codec;
mod footer;
mod walk;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

pub use block::{Block, Layout, TRAILER};
pub use codec::{Era, Plain, decompress};
pub use footer::Handle;
pub use walk::{Entry, Walk};

use footer::{BadFooter, Footer};

use super::disk::read_at;
use super::wire::Cursor;
use crate::error::{Error, Result};

/// Where the directory lists the index in newer versions.
const INDEX: &str = "rocksdb.index";
/// Where it lists ranges that are deleted.
const RANGES: &str = "rocksdb.range_del";

/// A table that is open.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    file: File,
    size: u64,
    footer: Footer,
    directory: BTreeMap<String, Handle>,
    index: Handle,
    properties: BTreeMap<String, Vec<u8>>,
    dictionary: Vec<u8>,
}

impl Table {
    /// Opens a table and reads its directory and properties.
    ///
    /// # Errors
    /// [`Error::Damaged`] with the offset, [`Error::Unsupported`] for what this program does not know, and what cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::file(path, "open"))?;
        let size = file.metadata().map_err(Error::file(path, "look at"))?.len();
        let start = size.saturating_sub(footer::LONGEST as u64);
        let end = read_at(&file, start, footer::LONGEST).map_err(Error::file(path, "read"))?;
        let footer = Footer::parse(&end, size).map_err(|bad| match bad {
            BadFooter::Damaged(what) => damaged(path, start, what),
            BadFooter::Unknown(what) => unsupported(path, what),
        })?;
        let mut table = Self {
            path: path.to_owned(),
            file,
            size,
            index: footer.index.unwrap_or_default(),
            footer,
            directory: BTreeMap::new(),
            properties: BTreeMap::new(),
            dictionary: Vec::new(),
        };
        table.read_directory()?;
        Ok(table)
    }

    fn read_directory(&mut self) -> Result<()> {
        let place = self.footer.directory;
        let mut block = self.block(place)?;
        while let Some((name, handle)) =
            block.next_place(Layout::Plain).map_err(|_| self.bad_block(place))?
        {
            self.directory.insert(String::from_utf8_lossy(name).into_owned(), handle);
        }
        if self.footer.index.is_none() {
            let index = self.directory.get(INDEX).copied();
            self.index = index.ok_or_else(|| self.damaged(place.offset, "no index is listed"))?;
        }
        if let Some(place) = self.directory.get("rocksdb.properties").copied() {
            let mut block = self.block(place)?;
            while let Some((name, value)) = block.next_pair().map_err(|_| self.bad_block(place))? {
                let name = String::from_utf8_lossy(name).into_owned();
                self.properties.insert(name, value.to_vec());
            }
        }
        if let Some(place) = self.directory.get("rocksdb.compression_dict").copied() {
            self.dictionary = self.plain(place)?;
        }
        Ok(())
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Size of the file in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Size of the footer in bytes.
    pub fn footer_size(&self) -> u64 {
        self.footer.length
    }

    /// Blocks besides index and data, by name.
    pub fn directory(&self) -> &BTreeMap<String, Handle> {
        &self.directory
    }

    /// Where the index lies, or its top where it is partitioned.
    pub fn index(&self) -> Handle {
        self.index
    }

    /// Where the directory lies.
    pub fn directory_place(&self) -> Handle {
        self.footer.directory
    }

    /// A number among its properties.
    pub fn number(&self, name: &str) -> Option<u64> {
        Cursor::new(self.properties.get(name)?).varint64().ok()
    }

    /// A text among its properties.
    pub fn text(&self, name: &str) -> Option<String> {
        let bytes = self.properties.get(name)?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }

    fn fixed32(&self, name: &str) -> Option<u32> {
        Cursor::new(self.properties.get(name)?).u32().ok()
    }

    /// Whether its keys got their sequence when it was ingested: all of them the same, which the MANIFEST knows.
    pub fn is_ingested(&self) -> bool {
        self.fixed32("rocksdb.external_sst_file.version").is_some_and(|version| version >= 2)
    }

    /// Whether its index has two levels.
    pub fn is_partitioned(&self) -> bool {
        self.fixed32("rocksdb.block.based.table.index.type") == Some(2)
    }

    /// How places are written in its index.
    pub fn layout(&self) -> Layout {
        let is_delta = self.number("rocksdb.index.value.is.delta.encoded") == Some(1);
        let has_first_key = self.fixed32("rocksdb.block.based.table.index.type") == Some(3);
        if is_delta || has_first_key {
            Layout::Places { is_delta, has_first_key }
        } else {
            Layout::Plain
        }
    }

    /// Where ranges that are deleted are listed, if any are.
    pub fn ranges(&self) -> Option<Handle> {
        self.directory.get(RANGES).copied()
    }

    /// The stored bytes of a block, after its checksum was found right, and its compression.
    ///
    /// # Errors
    /// As [`Table::open`].
    pub fn stored(&self, place: Handle) -> Result<(Vec<u8>, u8)> {
        let end = place.offset.checked_add(place.size).and_then(|end| end.checked_add(TRAILER));
        let fits = end.is_some_and(|end| end <= self.size - self.footer.length.min(self.size));
        let length = usize::try_from(place.size).ok().filter(|_| fits);
        let length = length.ok_or_else(|| {
            self.damaged(place.offset, "a block that does not fit into the file is listed")
        })?;
        let bytes = read_at(&self.file, place.offset, length + 5);
        let mut bytes = bytes.map_err(Error::file(&self.path, "read"))?;
        let (Some(method), Some(sum)) = (
            bytes.get(length).copied(),
            bytes.get(length + 1..).and_then(|sum| Cursor::new(sum).u32().ok()),
        ) else {
            return Err(self.damaged(place.offset, "the file ends within a block"));
        };
        bytes.truncate(length + 1);
        let modifier = checksum::place_modifier(self.footer.base, place.offset);
        let computed = self.footer.checksum.sum(&bytes).wrapping_add(modifier);
        if sum != computed {
            return Err(self.damaged(place.offset, "a block has a wrong checksum"));
        }
        bytes.truncate(length);
        Ok((bytes, method))
    }

    /// The bytes of a block, decompressed.
    ///
    /// # Errors
    /// As [`Table::open`].
    pub fn plain(&self, place: Handle) -> Result<Vec<u8>> {
        let (stored, method) = self.stored(place)?;
        let era = if self.footer.version >= 2 { Era::Sized } else { Era::Old };
        match decompress(method, &stored, era, &self.dictionary) {
            Plain::Bytes(bytes) => Ok(bytes),
            Plain::Unknown(method) => {
                Err(unsupported(&self.path, &format!("blocks are compressed by method {method}")))
            }
            Plain::Bad(what) => Err(self.damaged(place.offset, what)),
        }
    }

    /// The entries of a block.
    ///
    /// # Errors
    /// As [`Table::open`].
    pub fn block(&self, place: Handle) -> Result<Block> {
        Block::new(self.plain(place)?).map_err(|_| self.bad_block(place))
    }

    /// A block whose entries cannot be read.
    pub fn bad_block(&self, place: Handle) -> Error {
        self.damaged(place.offset, "a block whose entries cannot be read")
    }

    /// Damage at an offset.
    pub fn damaged(&self, at: u64, what: &str) -> Error {
        damaged(&self.path, at, what)
    }
}

/// Where a table lies: newer LevelDBs have a name of their own for them.
pub fn table_path(folder: &Path, number: u64) -> PathBuf {
    let plain = folder.join(format!("{number:06}.sst"));
    if plain.exists() { plain } else { folder.join(format!("{number:06}.ldb")) }
}

fn damaged(path: &Path, at: u64, what: &str) -> Error {
    Error::Damaged { path: path.to_owned(), reason: format!("{what} at offset {at}") }
}

fn unsupported(path: &Path, what: &str) -> Error {
    let reason = format!("{what}: this program cannot read it");
    Error::Unsupported { path: path.to_owned(), reason }
}
