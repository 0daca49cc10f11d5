//! The Merkle mountain range of all coins: entries in rows, peaks, proofs and the root.
//!
//! A node is a hash and a sum, and its parent's hash covers both sums, so that nobody can make Minima out of nothing. Entry `n` of row `r`
//! has its parent at entry `n / 2` of the row above; what has no right neighbour yet is a peak.

use std::io::Read;

use sha3::{Digest, Sha3_256};

use super::coin::{read_entry, write_entry};
use super::number::Number;
use super::wire::{Hash, Reader, Result, Write};

/// A node of a proof or of a tree never lies higher.
pub const ROWS: u64 = 256;

/// A hash and a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Of what lies below.
    pub hash: Hash,
    /// Of the amounts below.
    pub sum: Number,
}

impl Node {
    /// For a thing that is worth so much.
    pub fn leaf(bytes: &[u8], sum: Number) -> Self {
        let mut hash = Sha3_256::new();
        hash.whole(0).raw(bytes).number(&sum);
        Self { hash: Hash(hash.finalize().into()), sum }
    }

    /// Above two. `None` if the sum is not one that a node can write.
    pub fn above(left: &Self, right: &Self) -> Option<Self> {
        let sum = left.sum.plus(&right.sum)?;
        let mut hash = Sha3_256::new();
        hash.whole(1).data(&left.hash.0).data(&right.hash.0).number(&sum);
        Some(Self { hash: Hash(hash.finalize().into()), sum })
    }

    /// Reads one.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn read<R: Read>(reader: &mut Reader<R>) -> Result<Self> {
        Ok(Self { hash: reader.hash("a node's hash")?, sum: reader.number("a node's sum")? })
    }

    /// Writes it.
    pub fn write(&self, out: &mut impl Write) {
        out.data(&self.hash.0).number(&self.sum);
    }
}

/// A place in the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Counted from the coins, which lie in row 0.
    pub row: u64,
    /// Counted from the left.
    pub entry: u64,
}

impl Place {
    /// Its neighbour below the same parent.
    pub fn sibling(self) -> Self {
        Self { entry: self.entry ^ 1, ..self }
    }

    /// The place above.
    pub fn parent(self) -> Self {
        Self { row: self.row + 1, entry: self.entry / 2 }
    }

    /// Whether it is a left neighbour. Peaks are.
    pub fn is_left(self) -> bool {
        self.entry.is_multiple_of(2)
    }
}

/// A node in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub place: Place,
    /// What.
    pub node: Node,
}

impl Entry {
    /// Reads one.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn read<R: Read>(reader: &mut Reader<R>) -> Result<Self> {
        let row = reader.count("an entry's row", ROWS - 1)?;
        let entry = read_entry(reader)?;
        Ok(Self { place: Place { row, entry }, node: Node::read(reader)? })
    }

    /// Writes it.
    pub fn write(&self, out: &mut impl Write) {
        out.whole(self.place.row);
        write_entry(out, self.place.entry);
        self.node.write(out);
    }
}

/// Leads from a leaf upwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// In which block it holds.
    pub block: u64,
    /// Neighbours on the way, and whether each is a left one.
    pub chunks: Vec<(bool, Node)>,
}

impl Proof {
    /// Reads one.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn read<R: Read>(reader: &mut Reader<R>) -> Result<Self> {
        let block = reader.whole("a proof's block")?;
        let chunks = reader.list("a proof's length", ROWS, |reader| {
            Ok((reader.bool("a proof's side")?, Node::read(reader)?))
        })?;
        Ok(Self { block, chunks })
    }

    /// Writes it.
    pub fn write(&self, out: &mut impl Write) {
        out.whole(self.block).whole(self.chunks.len() as u64);
        for (left, node) in &self.chunks {
            out.bool(*left);
            node.write(out);
        }
    }

    /// Where it leads. `None` if a sum on the way is none.
    pub fn top(&self, leaf: Node) -> Option<Node> {
        self.chunks.iter().try_fold(leaf, |node, (left, other)| match left {
            true => Node::above(other, &node),
            false => Node::above(&node, other),
        })
    }
}

/// The root above peaks, from the highest to the lowest: they are the leaves of a range, and so on until one is left.
/// `None` without a peak or with sums that are none.
pub fn root(peaks: &[Node]) -> Option<Node> {
    let mut peaks = peaks.to_vec();
    while peaks.len() > 1 {
        let mut next = Vec::new();
        let mut from = 0;
        while from < peaks.len() {
            let width = 1 << (peaks.len() - from).ilog2();
            next.push(perfect(&peaks[from..from + width])?);
            from += width;
        }
        peaks = next;
    }
    peaks.first().copied()
}

/// Above a power of two of leaves.
fn perfect(leaves: &[Node]) -> Option<Node> {
    let mut row = leaves.to_vec();
    while row.len() > 1 {
        let (pairs, _) = row.as_chunks::<2>();
        row = pairs.iter().map(|[left, right]| Node::above(left, right)).collect::<Option<_>>()?;
    }
    row.first().copied()
}

/// Reads a range and gives each entry as it comes.
///
/// # Errors
/// If it is damaged.
pub fn read_range<R: Read>(reader: &mut Reader<R>, mut entry: impl FnMut(Entry)) -> Result<Range> {
    let block = reader.whole("the block of a range")?;
    let leaves = read_entry(reader)?;
    let entries = reader.skip_list("the number of entries", u64::MAX, |reader| {
        entry(Entry::read(reader)?);
        Ok(())
    })?;
    Ok(Range { block, leaves, entries })
}

/// What a range is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The block after which it holds.
    pub block: u64,
    /// How many coins there ever were.
    pub leaves: u64,
    /// How many entries are written, for what no unspent coin needs is left out.
    pub entries: u64,
}

impl Range {
    /// Where its peaks are, from the highest to the lowest.
    pub fn peaks(&self) -> Vec<Place> {
        peaks_of(self.leaves)
    }
}

/// Where the peaks above so many leaves are, from the highest to the lowest.
pub fn peaks_of(leaves: u64) -> Vec<Place> {
    let rows = (0..u64::from(u64::BITS)).rev().filter(|row| leaves >> row & 1 == 1);
    rows.map(|row| Place { row, entry: (leaves >> row) - 1 }).collect()
}
