//! Raw archives (`.raw.dat`): all blocks that a node keeps, packed with gzip.

use std::io::{BufRead, Read as _};

use flate2::bufread::GzDecoder;

use super::error::Result;
use super::ibd::{Blocks, Last};
use super::wire::Reader;

/// What the database begins with when it writes itself as SQL.
const SQL: &[u8; 5] = b"-- H2";

/// Whether a file is what `archive action:export` writes: the database in SQL, packed, of which no block can be checked.
pub fn is_sql(file: impl BufRead) -> bool {
    let mut first = [0; SQL.len()];
    GzDecoder::new(file).read_exact(&mut first).is_ok() && first == *SQL
}

/// Begins to read an archive.
///
/// # Errors
/// If its beginning is damaged.
pub fn begin<R: BufRead>(file: R) -> Result<Blocks<GzDecoder<R>>> {
    Blocks::begin(Reader::new(GzDecoder::new(file)))
}

/// Reads what is left of an archive; nothing may follow, neither in what is packed nor after it.
///
/// # Errors
/// If something is damaged or does not belong there.
pub fn finish<R: BufRead>(blocks: Blocks<GzDecoder<R>>) -> Result<()> {
    let mut reader = blocks.finish()?;
    reader.end()?;
    let packed = reader.into_inner().into_inner();
    Ok(Reader::new(packed).end()?)
}

/// What an archive holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How many blocks.
    pub blocks: u64,
    /// The number of the first one.
    pub first: Option<u64>,
    /// The newest one, or that of the cascade if there is no block.
    pub tip: Option<Last>,
}

/// Reads an archive from end to end.
///
/// # Errors
/// If it is damaged.
pub fn verify<R: BufRead>(file: R) -> Result<Summary> {
    let mut blocks = begin(file)?;
    let first = blocks.next_block()?.map(|block| block.block.header().number);
    while blocks.next_block()?.is_some() {}
    let summary = Summary { blocks: blocks.count, first, tip: blocks.last().copied() };
    finish(blocks)?;
    Ok(summary)
}
