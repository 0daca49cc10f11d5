//! Blocks as archives and peers carry them: a TxPoW, the peaks of all coins before it, the coins that it spends and makes.
//!
//! That is enough to follow all coins from block to block without any transaction: applied to the peaks, its coins lead to the root that
//! its header names.

use std::collections::BTreeMap;
use std::io::Read;

use super::coin::{Coin, CoinProof};
use super::mmr::{self, Entry, Node, Place};
use super::txpow::{Body, Header, TxPow};
use super::wire::{Hash, Reader, Result};

/// More coins than a block can spend or make.
const MANY: u64 = 1 << 20;

/// A block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxBlock {
    /// Its header and whether its body is right.
    pub txpow: TxPow,
    /// The peaks of all coins before it.
    pub peaks: Vec<Entry>,
    /// The coins that it spends, with proofs.
    pub spent: Vec<CoinProof>,
    /// The coins that it makes.
    pub made: Vec<Coin>,
}

impl TxBlock {
    /// Reads one.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn read<R: Read>(reader: &mut Reader<R>) -> Result<Self> {
        Ok(Self {
            txpow: TxPow::read(reader)?,
            peaks: reader.list("the number of peaks", mmr::ROWS, Entry::read)?,
            spent: reader.list("the number of coins spent", MANY, CoinProof::read)?,
            made: reader.list("the number of coins made", MANY, Coin::read)?,
        })
    }

    /// Its header.
    pub fn header(&self) -> &Header {
        &self.txpow.header
    }

    /// The root of all coins before it, by its peaks.
    pub fn root_before(&self) -> Option<Hash> {
        let peaks: Vec<Node> = self.peaks.iter().map(|peak| peak.node).collect();
        mmr::root(&peaks).map(|root| root.hash)
    }

    /// What is wrong with it, looked at alone.
    pub fn flaw(&self) -> Option<&'static str> {
        if self.txpow.body == Body::Wrong {
            return Some("its body is not the one that its header names");
        }
        if !self.header().is_block() {
            return Some("its work is not enough for a block");
        }
        match self.apply().and_then(|after| after.root()) {
            Some(root) if self.header().coins == Some(root) => None,
            _ => Some("its coins do not lead to the root that its header names"),
        }
    }

    /// All coins that it touches, after it. `None` if its proofs do not hold together.
    pub fn apply(&self) -> Option<Touched> {
        let mut touched = Touched::above(&self.peaks)?;
        for spent in &self.spent {
            touched.replace(&spent.coin, spent)?;
        }
        for coin in &self.made {
            let entry = touched.leaves;
            let number = self.header().number;
            touched.append(coin.as_made(entry, number).leaf())?;
        }
        Some(touched)
    }
}

/// A part of the range of all coins: what a block touches, and the peaks.
#[derive(Debug, Clone)]
pub struct Touched {
    nodes: BTreeMap<Place, Node>,
    leaves: u64,
}

impl Touched {
    fn above(peaks: &[Entry]) -> Option<Self> {
        let leaves = peaks.iter().try_fold(0_u64, |sum, peak| {
            let row = u32::try_from(peak.place.row).ok().filter(|row| *row < 56)?;
            sum.checked_add(1 << row)
        })?;
        let nodes: BTreeMap<_, _> = peaks.iter().map(|peak| (peak.place, peak.node)).collect();
        let right = mmr::peaks_of(leaves).iter().all(|place| nodes.contains_key(place));
        (right && nodes.len() == peaks.len()).then_some(Self { nodes, leaves })
    }

    /// The node at a place, if the block touched it.
    pub fn node(&self, place: Place) -> Option<&Node> {
        self.nodes.get(&place)
    }

    /// How many coins there ever were.
    pub fn leaves(&self) -> u64 {
        self.leaves
    }

    /// The root of all coins.
    pub fn root(&self) -> Option<Hash> {
        let peaks = mmr::peaks_of(self.leaves);
        let nodes: Option<Vec<Node>> =
            peaks.iter().map(|place| self.node(*place).copied()).collect();
        mmr::root(&nodes?).map(|root| root.hash)
    }

    /// Puts the spent coin in the place of the unspent one; neighbours come from what was touched before, or from the proof.
    fn replace(&mut self, coin: &Coin, proof: &CoinProof) -> Option<()> {
        let peaks = mmr::peaks_of(self.leaves);
        let mut place = Place { row: 0, entry: coin.entry };
        let mut node = coin.as_spent().leaf();
        self.nodes.insert(place, node);
        let mut chunks = proof.proof.chunks.iter();
        while !peaks.contains(&place) {
            let (_, given) = chunks.next()?;
            let sibling = *self.nodes.entry(place.sibling()).or_insert(*given);
            node = above(place, node, sibling)?;
            place = place.parent();
            self.nodes.insert(place, node);
        }
        Some(())
    }

    fn append(&mut self, leaf: Node) -> Option<()> {
        let mut place = Place { row: 0, entry: self.leaves };
        let mut node = leaf;
        self.leaves += 1;
        self.nodes.insert(place, node);
        while !place.is_left() {
            node = Node::above(self.node(place.sibling())?, &node)?;
            place = place.parent();
            self.nodes.insert(place, node);
        }
        Some(())
    }
}

/// The node above one and its sibling.
pub(super) fn above(place: Place, node: Node, sibling: Node) -> Option<Node> {
    match place.is_left() {
        true => Node::above(&node, &sibling),
        false => Node::above(&sibling, &node),
    }
}
