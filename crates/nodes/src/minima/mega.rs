//! MegaMMR files (`.megammr`): the range of all coins, every unspent coin, and the recent blocks.
//!
//! With one of these and 24 words a wallet comes back: [`proofs`] finds the coins of somebody and shows, for each, that it is one of all
//! coins after the first of the recent blocks, which is where a node that has only those blocks can check it.
//! Files are read from end to end, twice where that is needed, so that a file of any size needs little memory.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{self, Read};

use super::address::Address;
use super::coin::{Coin, CoinProof};
use super::error::{Error, Result};
use super::ibd::{Blocks, Last};
use super::mmr::{self, Entry, Node, Place, Proof, Range};
use super::txblock::Touched;
use super::wire::{Hash, Reader, WireError, Write};

/// The only version there is, of the file and of the range in it.
const VERSION: u64 = 1;

/// More coins than there will be.
const MANY: u64 = 1 << 40;

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mega {
    /// The range of all coins.
    pub range: Range,
    /// How many coins are unspent.
    pub coins: u64,
    /// Where the cascade and the blocks begin. They go on to the end of the file, in the form of [`ibd`](super::ibd).
    pub blocks_at: u64,
    /// How many blocks there are after the cascade.
    pub blocks: u64,
    /// The newest block.
    pub tip: Option<Last>,
}

/// Whose coins to look for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    addresses: HashSet<Vec<u8>>,
    mentions: HashSet<String>,
}

impl Wanted {
    /// Coins at these addresses, and coins whose state names one of them or one of these public keys.
    pub fn new(addresses: &[Address], publics: &[Hash]) -> Self {
        let texts = addresses.iter().map(|address| &address.0).chain(publics);
        Self {
            addresses: addresses.iter().map(|address| address.0.0.to_vec()).collect(),
            mentions: texts.map(Hash::to_string).collect(),
        }
    }

    fn has(&self, coin: &Coin) -> bool {
        self.addresses.contains(&coin.address)
            || coin.mentions.iter().any(|mention| self.mentions.contains(mention))
    }
}

/// Reads a file to its end and checks it: that every unspent coin is in the range and the range has no other, that the range's root is
/// the one that the blocks start from, and every block.
///
/// # Errors
/// If it is damaged.
pub fn verify<R: Read>(file: R) -> Result<Mega> {
    let mut leaves = Tally::default();
    let mut coins = Tally::default();
    let entry = |entry: &Entry| leaves.add_entry(entry);
    let scan = scan(file, entry, |coin| coins.add_coin(coin), |_| ())?;
    if leaves != coins {
        return Err(broken(&scan.mega, "the unspent coins are not those of its range"));
    }
    Ok(scan.mega)
}

/// The coins of somebody that are unspent at the newest block and older than the first of the recent blocks, with proofs that hold after
/// that block. Newer ones are found in the blocks themselves. `open` opens the file from its beginning; it is read twice.
///
/// # Errors
/// If the file cannot be read or is damaged.
pub fn proofs<R: Read>(
    mut open: impl FnMut() -> io::Result<R>,
    wanted: &Wanted,
) -> Result<Vec<CoinProof>> {
    let mut coins = BTreeMap::new();
    let mut spent = HashSet::new();
    let found = |coin: &Coin| {
        if wanted.has(coin) && !coin.spent {
            coins.insert(coin.entry, coin.clone());
        }
    };
    let seen = scan(open()?, |_| (), found, |id| spent.extend([id]))?;
    coins.retain(|_, coin| !spent.contains(&coin.id));
    let Some((first, touched)) = seen.first else {
        return Ok(Vec::new());
    };
    let needed = neighbours(&seen.mega.range, coins.keys());
    let mut nodes = BTreeMap::new();
    let collect = |entry: &Entry| {
        if needed.contains(&entry.place) {
            nodes.insert(entry.place, entry.node);
        }
    };
    scan(open()?, collect, |_| (), |_| ())?;
    let node = |place: Place| touched.node(place).or_else(|| nodes.get(&place)).copied();
    let proofs = coins.into_values().map(|coin| {
        let proof = prove(&coin, first, touched.leaves(), node);
        let proof = proof.ok_or(broken(&seen.mega, "a coin has no place in its range"))?;
        Ok(CoinProof { coin, proof })
    });
    proofs.collect()
}

/// The neighbours on the way from each of these coins to its peak.
fn neighbours<'a>(range: &Range, entries: impl Iterator<Item = &'a u64>) -> BTreeSet<Place> {
    let peaks = range.peaks();
    let mut needed = BTreeSet::new();
    for entry in entries.filter(|entry| **entry < range.leaves) {
        let mut place = Place { row: 0, entry: *entry };
        while !peaks.contains(&place) {
            needed.insert(place.sibling());
            place = place.parent();
        }
    }
    needed
}

/// A proof up to the peak, if it leads there.
fn prove(
    coin: &Coin,
    block: u64,
    leaves: u64,
    node: impl Fn(Place) -> Option<Node>,
) -> Option<Proof> {
    let peaks = mmr::peaks_of(leaves);
    let mut place = Place { row: 0, entry: coin.entry };
    let mut proof = Proof { block, chunks: Vec::new() };
    while !peaks.contains(&place) {
        let sibling = place.sibling();
        proof.chunks.push((sibling.is_left(), node(sibling)?));
        place = place.parent();
        if place.row >= mmr::ROWS {
            return None;
        }
    }
    (proof.top(coin.leaf()) == node(place)).then_some(proof)
}

/// What one reading gives.
struct Scan {
    mega: Mega,
    /// The number of the first block after the cascade, and what it touches.
    first: Option<(u64, Touched)>,
}

fn scan<R: Read>(
    file: R,
    mut entry: impl FnMut(&Entry),
    mut coin: impl FnMut(&Coin),
    mut spent: impl FnMut(Vec<u8>),
) -> Result<Scan> {
    let mut reader = Reader::new(file);
    version(&mut reader)?;
    version(&mut reader)?;
    let mut peaks = Vec::new();
    let range = read_range(&mut reader, &mut peaks, &mut entry)?;
    let coins = reader.skip_list("the number of coins", MANY, |reader| {
        coin(&Coin::read(reader)?);
        Ok(())
    })?;
    let blocks_at = reader.at();
    let mut blocks = Blocks::begin(reader)?;
    let mut mega = Mega { range, coins, blocks_at, blocks: blocks.count, tip: None };
    let mut first = None;
    while let Some(block) = blocks.next_block()? {
        let block = block.block;
        if first.is_none() {
            joins(&mega, &peaks, &block.peaks)?;
            let touched = block.apply().ok_or(broken(&mega, "its first block is broken"))?;
            first = Some((block.header().number, touched));
        }
        block.spent.into_iter().for_each(|proof| spent(proof.coin.id));
    }
    mega.tip = blocks.last().copied();
    blocks.finish()?.end()?;
    Ok(Scan { mega, first })
}

fn version<R: Read>(reader: &mut Reader<R>) -> std::result::Result<(), WireError> {
    match reader.whole("the version")? {
        VERSION => Ok(()),
        _ => Err(reader.invalid("the version", "only version 1 is known")),
    }
}

/// Reads the range and picks out its peaks; where they are is known only after its head, so those of every size are kept, which are few.
fn read_range<R: Read>(
    reader: &mut Reader<R>,
    peaks: &mut Vec<Entry>,
    entry: &mut impl FnMut(&Entry),
) -> Result<Range> {
    let mut highest: BTreeMap<u64, Entry> = BTreeMap::new();
    let range = mmr::read_range(reader, |found| {
        entry(&found);
        let kept = highest.entry(found.place.row).or_insert(found);
        if found.place.entry > kept.place.entry {
            *kept = found;
        }
    })?;
    let places = range.peaks();
    peaks.extend(places.iter().filter_map(|place| {
        highest.get(&place.row).filter(|entry| entry.place == *place).copied()
    }));
    Ok(range)
}

/// The first block must start from the range's own peaks.
fn joins(mega: &Mega, peaks: &[Entry], before: &[Entry]) -> Result<()> {
    if mega.range.entries == 0 || peaks == before {
        return Ok(());
    }
    Err(broken(mega, "its blocks do not start from the coins of its range"))
}

fn broken(mega: &Mega, reason: &'static str) -> Error {
    Error::Mega { block: mega.range.block, reason }
}

/// A sum over hashes, by which two sets are compared without being kept.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    count: u64,
    sum: [u64; 4],
}

impl Tally {
    fn add_entry(&mut self, entry: &Entry) {
        if entry.place.row == 0 && entry.node.sum.digits().iter().any(|byte| *byte != 0) {
            self.add(entry.place.entry, &entry.node.hash);
        }
    }

    /// A coin that is worth nothing cannot be told from a spent one in the range, so both sides leave those out.
    fn add_coin(&mut self, coin: &Coin) {
        if coin.amount.digits().iter().any(|byte| *byte != 0) {
            self.add(coin.entry, &coin.leaf().hash);
        }
    }

    fn add(&mut self, entry: u64, hash: &Hash) {
        let mut bytes = Vec::new();
        bytes.whole(entry).data(&hash.0);
        let hash = Hash::of(&bytes);
        for (sum, word) in self.sum.iter_mut().zip(hash.0.as_chunks::<8>().0) {
            *sum = sum.wrapping_add(u64::from_be_bytes(*word));
        }
        self.count += 1;
    }
}
