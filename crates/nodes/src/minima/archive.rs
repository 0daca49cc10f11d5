//! Raw archives (`.raw.dat`): all blocks that a node keeps, packed with gzip.

use std::io::BufRead;

use flate2::bufread::GzDecoder;

use super::error::Result;
use super::ibd::Blocks;
use super::wire::Reader;

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
