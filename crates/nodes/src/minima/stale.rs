//! The file with all coins that a node with `-megammr` keeps. The node's own restore leaves it as it is, of whatever block it was; at its next
//! start the node sees that it does not fit the restored chain and gives up, each time.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::error::Result as Parsed;
use super::link::Link;
use super::mmr;
use super::txblock::TxBlock;
use super::wire::Reader;
use crate::error::{Error, Result};

/// In the node's `1.0/databases`.
const COINS: &str = "megammr.mmr";
const CHAIN: &str = "chaintree.db";
/// More blocks than a tree has.
const MANY: u64 = 1 << 28;

impl Link {
    /// Puts the file with all coins aside if it does not fit the node's chain; what was done, in a sentence. The node has ended.
    ///
    /// # Errors
    /// If it cannot be moved.
    pub fn put_stale_coins_aside(&self) -> Result<Option<String>> {
        let Some(databases) = self.data.as_ref().map(|data| data.join("databases")) else {
            return Ok(None);
        };
        let path = databases.join(COINS);
        let (Some(coins), Some(root)) = (of_block(&path), first_block(&databases.join(CHAIN)))
        else {
            return Ok(None);
        };
        if coins.checked_add(1) == Some(root) {
            return Ok(None);
        }
        let aside = aside(&path, coins);
        fs::rename(&path, &aside).map_err(Error::file(&path, "cannot be put aside"))?;
        Ok(Some(format!(
            "its file with all coins (-megammr) is of block {coins}, and its chain begins with block {root}: the node would not start. The file lies in {} now, and the node begins to collect coins anew; to have all of them: nodekeep restore NODE --from HOST:PORT",
            aside.display()
        )))
    }
}

fn aside(path: &Path, block: u64) -> PathBuf {
    path.with_extension(format!("mmr.of-block-{block}"))
}

/// The block of a file with all coins; nothing if there is none, it is empty, or of another form: then the node is left to itself.
fn of_block(path: &Path) -> Option<u64> {
    let mut reader = Reader::new(BufReader::new(File::open(path).ok()?));
    let range = (|| -> Parsed<mmr::Range> {
        reader.whole("the version")?;
        Ok(mmr::read_range(&mut reader, |_| ())?)
    })();
    range.ok().filter(|range| range.entries > 0).map(|range| range.block)
}

/// The oldest block of the node's tree.
fn first_block(path: &Path) -> Option<u64> {
    let mut reader = Reader::new(BufReader::new(File::open(path).ok()?));
    reader.count("the number of blocks", MANY).ok().filter(|count| *count > 0)?;
    Some(TxBlock::read(&mut reader).ok()?.header().number)
}
