//! Whether an old backup needs blocks from somebody else, and whether that one has the same chain.

use nodekeep_nodes::minima::backup::{Contents, Section};
use nodekeep_nodes::minima::chain::Tree;
use nodekeep_nodes::minima::peer::{self, From};
use nodekeep_nodes::minima::wire::{Hash, Reader};

use crate::error::Result;

/// A node asks nobody for blocks if its chain is younger, in milliseconds.
const YOUNG_MS: u64 = 2 * 24 * 3600 * 1000;
/// In a day.
const DAY_MS: u64 = 24 * 3600 * 1000;

/// How a backup's chain stands to that of somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// That one has the backup's newest block.
    Same,
    /// It has another block of this number: the backup stands on a branch that was left.
    Left,
    /// It does not have that block: its archive begins later, or ends before.
    Unknown,
}

/// What is done with an old backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// The newest block in the backup.
    pub block: u64,
    /// How old it is, in milliseconds.
    pub age_ms: u64,
    /// Whether a node takes blocks from others for it. Otherwise it goes on by itself.
    pub asks: bool,
    /// How its chain stands to that of the one who was asked, if one was.
    pub standing: Option<Standing>,
}

/// How old the newest block of a backup is at this time, and whether the host has it.
///
/// # Errors
/// If the backup has no readable chain, or the host does not answer.
pub fn advise(contents: &Contents, host: Option<&str>, now_ms: u64) -> Result<Advice> {
    let mut reader = Reader::new(contents.section(Section::ChainTree));
    let tree = Tree::read(&mut reader).map_err(|source| {
        let path = Section::ChainTree.file_name().into();
        nodekeep_nodes::error::Error::Minima { path, source }
    })?;
    let (block, id, time_ms) = tree
        .tip()
        .map_or((0, None, 0), |tip| (tip.header.number, Some(tip.header.id), tip.header.time_ms));
    let age_ms = now_ms.saturating_sub(time_ms);
    let standing = match (host, id) {
        (Some(host), Some(id)) => Some(standing(host, block, id)?),
        _ => None,
    };
    Ok(Advice { block, age_ms, asks: age_ms >= YOUNG_MS, standing })
}

fn standing(host: &str, number: u64, id: Hash) -> Result<Standing> {
    let mut answer = peer::blocks(host, From::Block(number))?;
    let told = |source| nodekeep_nodes::error::Error::Minima { path: host.into(), source };
    let first = answer.next_block().map_err(told)?;
    let header = first.as_ref().map(|block| block.block.header());
    Ok(match header {
        Some(header) if header.id == id => Standing::Same,
        Some(header) if header.number == number => Standing::Left,
        _ => Standing::Unknown,
    })
}

impl std::fmt::Display for Advice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let days = self.age_ms / DAY_MS;
        write!(f, "the backup ends at block {}, ", self.block)?;
        match days {
            0 => write!(f, "less than a day old")?,
            1 => write!(f, "1 day old")?,
            days => write!(f, "{days} days old")?,
        }
        match self.standing {
            None => Ok(()),
            Some(Standing::Same) => write!(f, "; the host has that block"),
            Some(Standing::Left) => write!(
                f,
                "; the host has another block there, so that the chain went another way since"
            ),
            Some(Standing::Unknown) => write!(
                f,
                "; the host does not have that block, so that the chains cannot be compared"
            ),
        }
    }
}
