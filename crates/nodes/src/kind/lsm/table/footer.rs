//! The end of a table: which checksums it has, and where its directory lies.

use super::checksum::{Checksum, place_modifier};
use crate::kind::lsm::wire::{Cursor, Short};

/// The longest footer in bytes.
pub const LONGEST: usize = 53;
/// Footer of LevelDB and the first RocksDB, in bytes.
const OLD: usize = 48;
/// At the end of tables of LevelDB, and of the first RocksDB.
const OLD_MAGIC: u64 = 0xdb47_7524_8b80_fb57;
/// At the end of tables of RocksDB.
const MAGIC: u64 = 0x88e2_41b7_85f4_cff7;
/// Tables in other layouts of RocksDB: plain and cuckoo.
const OTHER_LAYOUTS: [u64; 4] =
    [0x8242_2296_63bf_9564, 0x4f34_18eb_7a8f_13b8, 0x9267_89d0_c5f1_7873, 0x9c0f_9fe5_95e2_3d46];
/// From this version on the footer has a checksum of its own.
const CHECKED: u32 = 6;
/// What stands first in such a footer.
const EXTENDED: [u8; 4] = [0x3e, 0x00, 0x7a, 0x00];
/// The newest version known.
const NEWEST: u32 = 7;

/// A place in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Handle {
    /// In bytes from the start.
    pub offset: u64,
    /// In bytes, without the block's trailer.
    pub size: u64,
}

/// What a footer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    /// Version of the format; LevelDB has 0.
    pub version: u32,
    /// Of every block.
    pub checksum: Checksum,
    /// Where all other blocks but those of data are listed.
    pub directory: Handle,
    /// Where data blocks are listed; newer versions have it in the directory.
    pub index: Option<Handle>,
    /// What checksums of blocks are modified with: 0 for nothing.
    pub base: u32,
    /// In bytes.
    pub length: u64,
}

/// Why there is no footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadFooter {
    /// It is damaged, in this way.
    Damaged(&'static str),
    /// This program does not know it.
    Unknown(&'static str),
}

impl From<Short> for BadFooter {
    fn from(_: Short) -> Self {
        Self::Damaged("the footer ends early")
    }
}

impl Handle {
    pub fn read(cursor: &mut Cursor) -> Result<Self, Short> {
        Ok(Self { offset: cursor.varint64()?, size: cursor.varint64()? })
    }
}

impl Footer {
    /// Reads the last bytes of a table of `size` bytes.
    ///
    /// # Errors
    /// If it is no footer that is known, or damaged.
    pub fn parse(end: &[u8], size: u64) -> Result<Self, BadFooter> {
        let magic = end.len().checked_sub(8).map_or(&[][..], |at| &end[at..]);
        match Cursor::new(magic).u64() {
            Ok(OLD_MAGIC) => Self::old(last(end, OLD)?),
            Ok(MAGIC) => Self::new(last(end, LONGEST)?, size),
            Ok(magic) if OTHER_LAYOUTS.contains(&magic) => {
                Err(BadFooter::Unknown("a table that is not made of blocks"))
            }
            _ => Err(BadFooter::Damaged("the end is not that of a table")),
        }
    }

    fn old(bytes: &[u8]) -> Result<Self, BadFooter> {
        let mut cursor = Cursor::new(bytes);
        let directory = Handle::read(&mut cursor)?;
        let index = Some(Handle::read(&mut cursor)?);
        let (checksum, length) = (Checksum::Crc32c, bytes.len() as u64);
        Ok(Self { version: 0, checksum, directory, index, base: 0, length })
    }

    fn new(bytes: &[u8], size: u64) -> Result<Self, BadFooter> {
        let mut cursor = Cursor::new(bytes);
        let number = cursor.u8()?;
        let checksum =
            Checksum::of(number).ok_or(BadFooter::Damaged("a checksum of no known kind"))?;
        let part = cursor.take(40)?;
        let version = cursor.u32()?;
        let length = bytes.len() as u64;
        if version > NEWEST {
            return Err(BadFooter::Unknown("a table of a later version"));
        }
        if version >= CHECKED {
            return Self::checked(bytes, part, size.saturating_sub(length), checksum, version);
        }
        let mut part = Cursor::new(part);
        let directory = Handle::read(&mut part)?;
        let index = Some(Handle::read(&mut part)?);
        Ok(Self { version, checksum, directory, index, base: 0, length })
    }

    fn checked(
        bytes: &[u8],
        part: &[u8],
        at: u64,
        checksum: Checksum,
        version: u32,
    ) -> Result<Self, BadFooter> {
        let mut part = Cursor::new(part);
        if part.take(4)? != EXTENDED {
            return Err(BadFooter::Damaged("the footer is not that of its version"));
        }
        let (stored, base, size) = (part.u32()?, part.u32()?, u64::from(part.u32()?));
        let mut blank = bytes.to_vec();
        blank.get_mut(5..9).ok_or(Short)?.fill(0);
        let computed = checksum.sum(&blank).wrapping_add(place_modifier(base, at));
        if stored != computed {
            return Err(BadFooter::Damaged("the footer has a wrong checksum"));
        }
        let offset = at.checked_sub(size + super::block::TRAILER);
        let offset =
            offset.ok_or(BadFooter::Damaged("the directory does not fit into the file"))?;
        let directory = Handle { offset, size };
        let length = bytes.len() as u64;
        Ok(Self { version, checksum, directory, index: None, base, length })
    }
}

fn last(bytes: &[u8], count: usize) -> Result<&[u8], Short> {
    bytes.len().checked_sub(count).map(|at| &bytes[at..]).ok_or(Short)
}
