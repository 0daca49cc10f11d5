//! The blocks of a node's archive: exported by the node, unpacked, checked from link to link, and stored in runs that never change.

use std::io::BufReader;
use std::path::Path;

use flate2::read::GzDecoder;

use super::LARGEST;
use crate::error::{Error, Result};
use crate::kind::{Captured, Outcome, Verified};
use crate::minima::cascade::Cascade;
use crate::minima::link::Link;
use crate::minima::store::{BlockStore, Extent, next_block};
use crate::minima::wire::Reader;

/// More blocks than any chain has.
const MANY: u64 = 1 << 40;

/// Has the node export its archive and stores it in a folder.
///
/// # Errors
/// If the node refuses (it has no blocks in its archive before its chain is longer than its tree), or a block does not follow the one before.
pub(super) fn capture(link: &Link, folder: &Path) -> Result<Captured> {
    let parcel = link.parcel("raw.dat")?;
    link.rpc.export_archive(&parcel.inside)?;
    let store = BlockStore::open(folder)?;
    unpack(parcel.open(LARGEST)?, &store).map_err(|error| error_at(&parcel.host, error))?;
    drop(parcel);
    let found = told(&store.extent()?);
    Ok(Captured { position: found.position, hashes: found.hashes, ..Captured::default() })
}

/// Stores what an exported archive holds; the folder is empty.
///
/// # Errors
/// If it is damaged, or cannot be stored.
pub fn unpack(packed: impl std::io::Read, store: &BlockStore) -> Result<(), Unpacking> {
    let mut reader = Reader::new(BufReader::new(GzDecoder::new(BufReader::new(packed))));
    let format = |error: crate::minima::wire::WireError| Unpacking::Format(error.into());
    if reader.bool("whether there is a cascade").map_err(format)? {
        let (cascade, bytes) = kept_cascade(&mut reader)?;
        drop(cascade);
        store.set_cascade(&bytes)?;
    }
    let count = reader.count("the number of blocks", MANY).map_err(format)?;
    let mut appending = store.appending()?;
    for _ in 0..count {
        appending.take(&next_block(&mut reader)?)?;
    }
    appending.finish()?;
    reader.end().map_err(format)
}

fn kept_cascade<R: std::io::Read>(reader: &mut Reader<R>) -> Result<(Cascade, Vec<u8>), Unpacking> {
    let mut flaw = None;
    let kept = reader.keep(|reader| {
        Cascade::read(reader).map(Some).or_else(|error| match error {
            crate::minima::error::Error::Wire(error) => Err(error),
            other => {
                flaw = Some(other);
                Ok(None)
            }
        })
    });
    match (kept, flaw) {
        (_, Some(flaw)) => Err(flaw.into()),
        (Ok((Some(cascade), bytes)), None) => Ok((cascade, bytes)),
        (Ok((None, _)), None) => Err(Unpacking::Format(crate::minima::error::Error::CutOff)),
        (Err(error), None) => Err(Unpacking::Format(error.into())),
    }
}

/// Why an archive cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Unpacking {
    /// It is damaged.
    #[error(transparent)]
    Format(#[from] crate::minima::error::Error),
    /// It cannot be stored.
    #[error(transparent)]
    Store(#[from] Error),
}

fn error_at(path: &Path, error: Unpacking) -> Error {
    match error {
        Unpacking::Format(source) => Error::Minima { path: path.to_owned(), source },
        Unpacking::Store(error) => error,
    }
}

/// Checks every block and every link.
pub(super) fn verify(folder: &Path) -> Result<Verified> {
    match BlockStore::open(folder)?.check() {
        Ok(extent) => {
            let mut verified = told(&extent);
            let detail = format!("{} blocks, each linked to the one before", extent.blocks);
            verified.check("blocks", Outcome::Passed, detail);
            Ok(verified)
        }
        Err(error) => {
            let mut verified = Verified::default();
            verified.check("blocks", Outcome::Failed, error.to_string());
            Ok(verified)
        }
    }
}

fn told(extent: &Extent) -> Verified {
    let mut verified = Verified::default();
    verified.position.count("archived blocks", extent.blocks);
    if let Some(last) = &extent.last {
        verified.position.label("newest block", last.number.to_string());
        verified.hashes.insert("newest block".to_owned(), last.id.to_string());
    }
    verified
}
