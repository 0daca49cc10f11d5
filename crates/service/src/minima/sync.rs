//! Whether an old backup needs blocks from somebody else, and who of those that are named has the same chain.

use nodekeep_nodes::error::Error;
use nodekeep_nodes::minima::backup::{Contents, Section};
use nodekeep_nodes::minima::chain::Tree;
use nodekeep_nodes::minima::peer::{self, From};
use nodekeep_nodes::minima::txpow::Header;
use nodekeep_nodes::minima::wire::Reader;

use crate::error::Result;

/// A node asks nobody for blocks if its chain is younger, in milliseconds.
const YOUNG_MS: u64 = 2 * 24 * 3600 * 1000;
/// In a day.
const DAY_MS: u64 = 24 * 3600 * 1000;
/// The node begins to ask so many blocks before its newest one, or at the first that it has.
const BACK: u64 = 128;

/// How a backup's chain stands to that of somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// That one has the backup's newest block, and at least so many after it.
    Same(u64),
    /// It has another block of this number, and the one from which the node asks on: the node goes back to it and follows.
    Left,
    /// It has other blocks even there: nothing that it has would ever fit.
    Apart,
    /// It does not have that block: its archive begins later, or ends before.
    Unknown,
}

impl Standing {
    /// How good blocks from there are, better ones being more. `None` if they are no use.
    fn rank(self) -> Option<(bool, u64)> {
        match self {
            Self::Same(after) => Some((true, after)),
            Self::Left => Some((false, 0)),
            Self::Apart | Self::Unknown => None,
        }
    }
}

/// A host that was asked.
#[derive(Debug)]
pub struct Asked {
    /// Its name and port, as they were given.
    pub host: String,
    /// How the backup stands to its chain, or why that is not known.
    pub standing: Result<Standing, Error>,
}

/// What is done with an old backup.
#[derive(Debug)]
pub struct Advice {
    /// The newest block in the backup.
    pub block: u64,
    /// How old it is, in milliseconds.
    pub age_ms: u64,
    /// Whether a node takes blocks from others for it. Otherwise it goes on by itself.
    pub asks: bool,
    /// Who was asked, in their order.
    pub asked: Vec<Asked>,
}

impl Advice {
    /// The host that blocks are taken from: the one that has the backup's newest block and the most after it; the first of equals.
    pub fn chosen(&self) -> Option<&str> {
        let rank = |asked: &&Asked| {
            let standing = asked.standing.as_ref().ok()?;
            standing.rank()
        };
        let usable = self.asked.iter().rev().filter(|asked| self.asks && rank(asked).is_some());
        usable.max_by_key(rank).map(|asked| asked.host.as_str())
    }
}

/// How old the newest block of a backup is at this time, and which of the hosts have it.
///
/// # Errors
/// If the backup has no readable chain.
pub fn advise(contents: &Contents, hosts: &[String], now_ms: u64) -> Result<Advice> {
    let mut reader = Reader::new(contents.section(Section::ChainTree));
    let tree = Tree::read(&mut reader).map_err(|source| {
        let path = Section::ChainTree.file_name().into();
        Error::Minima { path, source }
    })?;
    let block = tree.tip().map_or(0, |tip| tip.header.number);
    let age_ms = now_ms.saturating_sub(tree.tip().map_or(0, |tip| tip.header.time_ms));
    let ask = |host: &String| Asked { host: host.clone(), standing: standing(host, &tree) };
    let asked = hosts.iter().map(ask).collect();
    Ok(Advice { block, age_ms, asks: age_ms >= YOUNG_MS, asked })
}

fn standing(host: &str, tree: &Tree) -> Result<Standing, Error> {
    let branch = tree.branch();
    let (Some(tip), Some(root)) = (branch.first(), branch.last()) else {
        return Ok(Standing::Unknown);
    };
    let (found, after) = look(host, &tip.header)?;
    match found {
        Found::Same => return Ok(Standing::Same(after)),
        Found::None => return Ok(Standing::Unknown),
        Found::Other => {}
    }
    let begin = tip.header.number.saturating_sub(BACK).max(root.header.number);
    let begin = branch.iter().find(|place| place.header.number == begin).unwrap_or(root);
    Ok(match look(host, &begin.header)?.0 {
        Found::Same => Standing::Left,
        Found::Other => Standing::Apart,
        Found::None => Standing::Unknown,
    })
}

/// What a host has where a backup has a block.
enum Found {
    Same,
    Other,
    None,
}

/// The same, and how many blocks follow in its answer.
fn look(host: &str, wanted: &Header) -> Result<(Found, u64), Error> {
    let mut answer = peer::blocks(host, From::Block(wanted.number))?;
    let told = |source| Error::Minima { path: host.into(), source };
    let found = match answer.next_block().map_err(told)? {
        Some(block) if block.block.header().id == wanted.id => Found::Same,
        Some(block) if block.block.header().number == wanted.number => Found::Other,
        _ => return Ok((Found::None, 0)),
    };
    let mut after = 0;
    while answer.next_block().map_err(told)?.is_some() {
        after += 1;
    }
    Ok((found, after))
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
        self.asked.iter().try_for_each(|asked| write!(f, "; {asked}"))
    }
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = &self.host;
        match &self.standing {
            Ok(Standing::Same(0)) => write!(f, "{host} has that block, and none after it yet"),
            Ok(Standing::Same(after)) => {
                write!(f, "{host} has that block, and at least {after} after it")
            }
            Ok(Standing::Left) => write!(
                f,
                "{host} has another block there: the chain went another way since, and the node follows it"
            ),
            Ok(Standing::Apart) => {
                write!(f, "{host} has another chain, of which no block fits to the backup")
            }
            Ok(Standing::Unknown) => {
                write!(f, "{host} does not have that block, so that the chains cannot be compared")
            }
            // It names the host.
            Err(error) => write!(f, "{error}"),
        }
    }
}
