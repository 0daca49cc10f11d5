//! A run of blocks, as archives hold it and peers send it: perhaps a cascade, how many blocks, the blocks from old to new.
//!
//! They are read one by one, so that a chain of any length needs little memory, and each must follow the one before: its parent, its
//! number, and the coins that it starts from.

use std::io::Read;

use super::cascade::Cascade;
use super::error::{Error, Result};
use super::txblock::TxBlock;
use super::txpow::Header;
use super::wire::{Hash, Reader};

/// More blocks than there will be in a thousand years.
const MANY: u64 = 1 << 32;

/// A cascade as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// What it says.
    pub cascade: Cascade,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A block as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What it says.
    pub block: TxBlock,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A run of blocks that is being read.
#[derive(Debug)]
pub struct Blocks<R> {
    reader: Reader<R>,
    /// What comes before the blocks, if it is there.
    pub cascade: Option<Carried>,
    /// How many blocks there are, by what is written; so many came only if reading ends well.
    pub count: u64,
    taken: u64,
    last: Option<Last>,
}

/// What the next block must follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Last {
    /// Its identifier.
    pub id: Hash,
    /// Its number.
    pub number: u64,
    /// The root of all coins after it.
    pub coins: Option<Hash>,
}

impl From<&Header> for Last {
    fn from(header: &Header) -> Self {
        Self { id: header.id, number: header.number, coins: header.coins }
    }
}

impl Last {
    /// Whether a block follows it.
    ///
    /// # Errors
    /// If it does not.
    pub fn precedes(&self, block: &TxBlock) -> Result<()> {
        let header = block.header();
        let wrong = |reason| Err(Error::Chain { number: header.number, id: header.id, reason });
        if header.number != self.number + 1 {
            return wrong("its number does not follow that of the block before");
        }
        if header.parent != Some(self.id) {
            return wrong("the block before is not its parent");
        }
        if block.root_before() != self.coins {
            return wrong("it does not start from the coins that the block before left");
        }
        Ok(())
    }
}

impl<R: Read> Blocks<R> {
    /// Begins to read: the cascade and the number of blocks.
    ///
    /// # Errors
    /// If they are damaged.
    pub fn begin(mut reader: Reader<R>) -> Result<Self> {
        let cascade = match reader.bool("whether there is a cascade")? {
            false => None,
            true => Some(read_cascade(&mut reader)?),
        };
        let count = reader.count("the number of blocks", MANY)?;
        let last =
            cascade.as_ref().and_then(|carried| carried.cascade.tip.as_ref()).map(Last::from);
        Ok(Self { reader, cascade, count, taken: 0, last })
    }

    /// The next block, checked. `None` after the last one.
    ///
    /// # Errors
    /// If it is damaged or does not follow the one before.
    pub fn next_block(&mut self) -> Result<Option<Block>> {
        if self.taken == self.count {
            return Ok(None);
        }
        let (block, bytes) = self.reader.keep(TxBlock::read)?;
        let header = block.header();
        if let Some(reason) = block.flaw() {
            return Err(Error::Chain { number: header.number, id: header.id, reason });
        }
        if let Some(last) = &self.last {
            last.precedes(&block)?;
        }
        self.last = Some(Last::from(header));
        self.taken += 1;
        Ok(Some(Block { block, bytes }))
    }

    /// The newest block so far.
    pub fn last(&self) -> Option<&Last> {
        self.last.as_ref()
    }

    /// Reads what is left of the blocks and gives the reader back, after the last one.
    ///
    /// # Errors
    /// If a block is damaged or does not follow the one before.
    pub fn finish(mut self) -> Result<Reader<R>> {
        while self.next_block()?.is_some() {}
        Ok(self.reader)
    }
}

/// The reader keeps bytes only of what it reads itself, so the cascade's own errors are carried around it.
fn read_cascade<R: Read>(reader: &mut Reader<R>) -> Result<Carried> {
    let mut outcome = None;
    let ((), bytes) = reader.keep(|reader| {
        outcome = Some(Cascade::read(reader));
        Ok(())
    })?;
    match outcome {
        Some(cascade) => Ok(Carried { cascade: cascade?, bytes }),
        None => Err(reader.invalid("a cascade", "it was not read").into()),
    }
}
