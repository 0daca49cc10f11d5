//! TxPoWs: a header that is mined, and a body with transactions. With enough work in it, a TxPoW is a block.
//!
//! Its identifier is the hash of its header, and the header holds the hash of the body, so every bit of it is covered.

use std::io::Read;

use super::coin::{Coin, CoinProof, read_state};
use super::mmr::Proof;
use super::wire::{FIELD_LIMIT, HASH_LIMIT, Hash, Reader, Result};

/// How many older blocks a header names: the parent, and the last of each level of work above.
const LEVELS: u32 = 32;

/// More things than a transaction or a block can hold.
const MANY: u64 = 1 << 20;

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The identifier: its hash.
    pub id: Hash,
    /// The number of the block that it is, or would be.
    pub number: u64,
    /// When it was made, in milliseconds since 1970.
    pub time_ms: u64,
    /// The block before it. The first block has a placeholder.
    pub parent: Option<Hash>,
    /// The root of all coins after it.
    pub coins: Option<Hash>,
    /// The hash of its body.
    pub body: Option<Hash>,
    /// What the identifier must lie below for this to be a block: big-endian.
    pub difficulty: Vec<u8>,
}

/// A TxPoW.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxPow {
    /// Its header.
    pub header: Header,
    /// Whether it has its body, and whether that is the one that the header names.
    pub body: Body,
}

/// Whether a body is there and right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Left out, as the cascade does.
    Absent,
    /// There, and the one that the header names.
    Right,
    /// There, and another one.
    Wrong,
}

impl TxPow {
    /// Reads one.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn read<R: Read>(reader: &mut Reader<R>) -> Result<Self> {
        let header = Header::read(reader)?;
        if !reader.bool("whether there is a body")? {
            return Ok(Self { header, body: Body::Absent });
        }
        let ((), hash) = reader.hashed(skip_body)?;
        let body = if header.body == Some(hash) { Body::Right } else { Body::Wrong };
        Ok(Self { header, body })
    }
}

impl Header {
    fn read<R: Read>(reader: &mut Reader<R>) -> Result<Self> {
        let (header, id) = reader.hashed(read_header)?;
        Ok(Self { id, ..header })
    }

    /// Whether its work makes it a block.
    pub fn is_block(&self) -> bool {
        let zeros = self.difficulty.iter().take_while(|byte| **byte == 0).count();
        let wanted = &self.difficulty[zeros..];
        let Some(padding) = self.id.0.len().checked_sub(wanted.len()) else {
            return true;
        };
        self.id.0[..padding].iter().all(|byte| *byte == 0) && self.id.0[padding..] < *wanted
    }

    /// How much work it stands for, in units of the least possible; blocks of the same difficulty weigh exactly the same.
    pub fn weight(&self) -> f64 {
        if !self.is_block() {
            return 0.0;
        }
        let fraction = self
            .difficulty
            .iter()
            .rev()
            .fold(0.0, |value, byte| (value + f64::from(*byte)) / 256.0);
        // A difficulty shorter than a hash has zeros before it.
        let shorter = self.id.0.len().saturating_sub(self.difficulty.len());
        256_f64.powi(i32::try_from(shorter).unwrap_or(i32::MAX)) / fraction
    }
}

fn read_header<R: Read>(reader: &mut Reader<R>) -> Result<Header> {
    reader.number("a nonce")?;
    reader.short("a chain's id")?;
    let time_ms = reader.whole("a block's time")?;
    let number = reader.whole("a block's number")?;
    let difficulty = reader.short("a block's difficulty")?;
    let parent = read_parents(reader)?;
    let coins = to_hash(reader.short("the root of all coins")?);
    reader.number("the sum of all coins")?;
    skip_magic(reader)?;
    reader.short("a header's own hash")?;
    let body = to_hash(reader.short("the hash of a body")?);
    let id = Hash([0; 32]);
    Ok(Header { id, number, time_ms, parent, coins, body, difficulty })
}

fn to_hash(bytes: Vec<u8>) -> Option<Hash> {
    bytes.try_into().ok().map(Hash)
}

/// Runs of equal parents; the first is the parent itself.
fn read_parents<R: Read>(reader: &mut Reader<R>) -> Result<Option<Hash>> {
    let what = "a block's parents";
    let mut parent = None;
    let mut levels = 0;
    while levels < LEVELS {
        let run = u32::from(reader.byte(what)?);
        let hash = reader.short(what)?;
        if levels == 0 {
            parent = to_hash(hash);
        }
        levels += run;
        if run == 0 || levels > LEVELS {
            return Err(reader.invalid(what, "they must be 32 in all"));
        }
    }
    Ok(parent)
}

/// The rules that miners vote on: those in force and those wanted.
fn skip_magic<R: Read>(reader: &mut Reader<R>) -> Result<()> {
    for _ in 0..2 {
        for _ in 0..3 {
            reader.number("a rule of the network")?;
        }
        reader.skip_data("a rule of the network", HASH_LIMIT)?;
    }
    Ok(())
}

fn skip_body<R: Read>(reader: &mut Reader<R>) -> Result<()> {
    reader.short("a body's random bytes")?;
    reader.skip_data("a transaction's difficulty", HASH_LIMIT)?;
    // The transaction, and the one that pays for it.
    for _ in 0..2 {
        skip_transaction(reader)?;
        skip_witness(reader)?;
    }
    reader.skip_list("the transactions of a block", MANY, |reader| {
        reader.short("a transaction's id").map(drop)
    })?;
    Ok(())
}

fn skip_transaction<R: Read>(reader: &mut Reader<R>) -> Result<()> {
    for what in ["the number of inputs", "the number of outputs"] {
        reader.skip_list(what, MANY, |reader| Coin::read(reader).map(drop))?;
    }
    reader.skip_list("the number of states", MANY, |reader| read_state(reader).map(drop))?;
    reader.short("a transaction's link").map(drop)
}

fn skip_witness<R: Read>(reader: &mut Reader<R>) -> Result<()> {
    reader.skip_list("the number of signatures", MANY, |reader| {
        reader.skip_list("the parts of a signature", MANY, skip_signature).map(drop)
    })?;
    reader
        .skip_list("the number of coin proofs", MANY, |reader| CoinProof::read(reader).map(drop))?;
    reader.skip_list("the number of scripts", MANY, |reader| {
        reader.skip_data("a script", FIELD_LIMIT)?;
        Proof::read(reader).map(drop)
    })?;
    Ok(())
}

fn skip_signature<R: Read>(reader: &mut Reader<R>) -> Result<()> {
    reader.skip_data("a signature's key", FIELD_LIMIT)?;
    reader.skip_data("a signature", FIELD_LIMIT)?;
    Proof::read(reader).map(drop)
}
