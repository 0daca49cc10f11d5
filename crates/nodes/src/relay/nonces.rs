//! Nonces: each transaction of the chain has one that is used up, and the service refuses what bears it again.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use crate::counting::counted;
use crate::error::{Error, Result};
use crate::kind::{Outcome, Verified};

#[derive(Deserialize)]
struct Nonce {
    value: String,
}

#[derive(Deserialize)]
struct Block {
    #[serde(default)]
    index: u64,
    #[serde(default)]
    transactions: Vec<Transaction>,
}

#[derive(Deserialize)]
struct Transaction {
    #[serde(default)]
    nonce: Option<serde_json::Value>,
}

/// Whether every nonce of a block is among those that are used up. The service clears both files at once and then writes one block whose
/// nonce it has just forgotten: the first block is no fault.
///
/// # Errors
/// If a file that is there cannot be read.
pub(super) fn check(report: &mut Verified, data: &Path) -> Result<()> {
    let chain = data.join("blockchain/chain.jsonl");
    if !chain.is_file() {
        report.check("nonces of blocks", Outcome::Skipped, "there is no chain");
        return Ok(());
    }
    let mut used = BTreeSet::new();
    let nonces = data.join("blockchain/nonces.jsonl");
    if nonces.is_file() {
        each(&nonces, |nonce: Nonce| {
            used.insert(nonce.value);
        })?;
    }
    let (mut all, mut missing) = (0_u64, Vec::new());
    let mut is_first = true;
    each(&chain, |block: Block| {
        let nonces = block.transactions.iter().filter_map(|t| t.nonce.as_ref()?.as_str());
        let unknown = nonces.inspect(|_| all += 1).filter(|nonce| !used.contains(*nonce)).count();
        if unknown > 0 && !is_first {
            missing.push(block.index);
        }
        is_first = false;
    })?;
    match missing.first() {
        None => report.check("nonces of blocks", Outcome::Passed, format!("{all} nonces in blocks, all among the {} that are used up", used.len())),
        Some(first) => report.check(
            "nonces of blocks",
            Outcome::Failed,
            format!("{}, from block {first} on, with nonces that nonces.jsonl does not have: their transactions could be replayed", counted(missing.len() as u64, "block")),
        ),
    }
    Ok(())
}

/// Every line that is of the shape; the others are for the check of lines.
fn each<T: for<'a> Deserialize<'a>>(path: &Path, mut see: impl FnMut(T)) -> Result<()> {
    let unreadable = || Error::file(path, "cannot be read");
    let file = File::open(path).map_err(unreadable())?;
    for line in BufReader::new(file).split(b'\n') {
        if let Ok(seen) = serde_json::from_slice(&line.map_err(unreadable())?) {
            see(seen);
        }
    }
    Ok(())
}
