//! The tree of recent blocks, as a node saves it: each block with the coins in it, and which of them belong to the wallet.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;
use std::ops::Range;

use super::coin::{Coin, read_entry};
use super::error::{Error, Result};
use super::mmr;
use super::txblock::TxBlock;
use super::txpow::Header;
use super::wire::{Hash, Reader};

/// More coins than lie in a block's reach.
const MANY: u64 = 1 << 28;

/// A block of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its header.
    pub header: Header,
    /// Where it lies in the section, with everything that belongs to it.
    pub range: Range<u64>,
    /// Coins that belong to the wallet: made, spent, or taken over from older blocks.
    pub coins: Vec<Coin>,
}

/// A tree of blocks, the root first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// Each block after its parent.
    pub blocks: Vec<Block>,
    /// Which of them is the newest of the heaviest branch.
    tip: usize,
}

impl Tree {
    /// Reads one to its end and checks every block and every link.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn read<R: Read>(reader: &mut Reader<R>) -> Result<Self> {
        let count = reader.count("the number of blocks", MANY)?;
        let mut blocks: Vec<Block> = Vec::new();
        let mut places = HashMap::new();
        for _ in 0..count {
            let block = read_block(reader)?;
            link(&block.header, blocks.is_empty(), &places)?;
            places.insert(block.header.id, (blocks.len(), block.header.number));
            blocks.push(block);
        }
        reader.end()?;
        let tip = heaviest(&blocks, &places);
        Ok(Self { blocks, tip })
    }

    /// The oldest block.
    pub fn root(&self) -> Option<&Block> {
        self.blocks.first()
    }

    /// The newest block of the heaviest branch, as the node sees it.
    pub fn tip(&self) -> Option<&Block> {
        self.blocks.get(self.tip)
    }

    /// The blocks from the tip back to the root.
    pub fn branch(&self) -> Vec<&Block> {
        let places: HashMap<Hash, usize> =
            self.blocks.iter().enumerate().map(|(at, block)| (block.header.id, at)).collect();
        let parent = |block: &&Block| {
            let at = places.get(&block.header.parent?)?;
            self.blocks.get(*at).filter(|parent| parent.header.number < block.header.number)
        };
        std::iter::successors(self.tip(), parent).collect()
    }

    /// The wallet's coins that are unspent at the tip.
    pub fn unspent(&self) -> Vec<&Coin> {
        let mut seen = BTreeSet::new();
        let mut unspent = Vec::new();
        for coin in self.branch().into_iter().flat_map(|block| &block.coins) {
            // The newest word on a coin counts; within a block, that it was spent.
            if seen.insert(&coin.id) && !coin.spent {
                unspent.push(coin);
            }
        }
        unspent
    }
}

fn read_block<R: Read>(reader: &mut Reader<R>) -> Result<Block> {
    let start = reader.at();
    let block = TxBlock::read(reader)?;
    mmr::read_range(reader, |_| ())?;
    let mut coins = reader.list("the number of coins", MANY, Coin::read)?;
    let own: BTreeSet<u64> =
        reader.list("the number of own coins", MANY, read_entry)?.into_iter().collect();
    coins.retain(|coin| own.contains(&coin.entry));
    coins.sort_by_key(|coin| !coin.spent);
    let header = block.header().clone();
    if let Some(reason) = block.flaw() {
        return Err(Error::Chain { number: header.number, id: header.id, reason });
    }
    Ok(Block { header, range: start..reader.at(), coins })
}

type Places = HashMap<Hash, (usize, u64)>;

fn link(header: &Header, is_root: bool, places: &Places) -> Result<()> {
    let wrong = |reason| Error::Chain { number: header.number, id: header.id, reason };
    if is_root {
        return Ok(());
    }
    let parent = header.parent.and_then(|parent| places.get(&parent));
    let (_, number) = parent.ok_or(wrong("its parent is not in the tree"))?;
    if header.number != number + 1 {
        return Err(wrong("its number does not follow that of its parent"));
    }
    match places.contains_key(&header.id) {
        true => Err(wrong("it is there twice")),
        false => Ok(()),
    }
}

/// From the root, always the child with the most work in it and above it; of equals the first.
fn heaviest(blocks: &[Block], places: &Places) -> usize {
    let mut weights: Vec<f64> = blocks.iter().map(|block| block.header.weight()).collect();
    let mut children: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, block) in blocks.iter().enumerate().skip(1).rev() {
        let parent = block.header.parent.and_then(|parent| places.get(&parent));
        if let Some((parent, _)) = parent {
            weights[*parent] += weights[at];
            children.entry(*parent).or_default().push(at);
        }
    }
    let mut tip = 0;
    while let Some(next) = children.get(&tip) {
        // Collected from the last to the first, and the last of equals wins here.
        let heavier = next.iter().copied().max_by(|a, b| weights[*a].total_cmp(&weights[*b]));
        tip = heavier.unwrap_or(tip);
    }
    tip
}
