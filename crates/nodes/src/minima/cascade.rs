//! The cascade: the oldest part of a chain, where fewer and fewer blocks remain the further back one goes.
//!
//! It begins with its tip. Blocks in between are gone, so numbers fall from one to the next but not one by one.

use std::io::Read;

use super::error::{Error, Result};
use super::txpow::{Body, Header, TxPow};
use super::wire::Reader;

/// Thirty-two levels of 256 blocks each.
const MOST: u64 = 32 * 256 + 32;

/// What a cascade holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cascade {
    /// How many blocks.
    pub blocks: u64,
    /// The newest one. The tree grows from it.
    pub tip: Option<Header>,
    /// The number of the oldest one.
    pub oldest: Option<u64>,
}

impl Cascade {
    /// Reads one and checks that it runs backwards.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn read<R: Read>(reader: &mut Reader<R>) -> Result<Self> {
        let blocks = reader.count("the length of the cascade", MOST)?;
        let mut cascade = Self { blocks, tip: None, oldest: None };
        for _ in 0..blocks {
            let txpow = TxPow::read(reader)?;
            reader.count("a level of the cascade", 31)?;
            cascade.add(txpow)?;
        }
        Ok(cascade)
    }

    fn add(&mut self, txpow: TxPow) -> Result<()> {
        let header = txpow.header;
        let wrong = |reason| Error::Chain { number: header.number, id: header.id, reason };
        if txpow.body == Body::Wrong {
            return Err(wrong("its body is not the one that its header names"));
        }
        if !header.is_block() {
            return Err(wrong("its work is not enough for a block"));
        }
        if self.oldest.is_some_and(|oldest| header.number >= oldest) {
            return Err(wrong("the cascade does not run backwards here"));
        }
        self.oldest = Some(header.number);
        self.tip.get_or_insert(header);
        Ok(())
    }
}
