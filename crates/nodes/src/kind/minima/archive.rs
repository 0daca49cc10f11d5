//! The blocks of a node's archive: exported by the node, unpacked, checked from link to link, and stored in runs that never change.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::LARGEST;
use crate::error::{Error, Result};
use crate::kind::{Captured, Outcome, Verified};
use crate::minima::archive;
use crate::minima::link::Link;
use crate::minima::store::{BlockStore, Extent};

/// Has the node export its archive and stores it in a folder.
///
/// # Errors
/// If the node refuses (its archive is empty until its chain is longer than the tree it keeps in memory), or a block does not follow the
/// one before.
pub(super) fn capture(link: &Link, folder: &Path) -> Result<Captured> {
    let parcel = link.parcel("raw.dat")?;
    link.rpc.export_archive(&parcel.inside)?;
    let store = BlockStore::open(folder)?;
    unpack(parcel.open(LARGEST)?, &parcel.host, &store)?;
    drop(parcel);
    let found = told(&store.extent()?);
    Ok(Captured { position: found.position, hashes: found.hashes, ..Captured::default() })
}

/// Stores what an exported archive holds in an empty folder; `origin` is named in errors.
///
/// # Errors
/// If it is damaged, or cannot be stored.
pub fn unpack(file: File, origin: &Path, store: &BlockStore) -> Result<()> {
    let bad = |source| Error::Minima { path: origin.to_owned(), source };
    let mut blocks = archive::begin(BufReader::new(file)).map_err(bad)?;
    if let Some(cascade) = &blocks.cascade {
        store.set_cascade(&cascade.bytes)?;
    }
    let mut appending = store.appending()?;
    appending.take_all(&mut blocks)?;
    appending.finish()?;
    archive::finish(blocks).map_err(bad)
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
