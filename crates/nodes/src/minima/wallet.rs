//! The wallet of a backup: the database of keys as H2 writes it out in SQL.
//!
//! Each key signs a limited number of times, and each use once: its counter of uses is the one thing in a wallet that must never run
//! backwards. [`raise`] writes the script again with higher counters and changes nothing else, not a byte.

use std::ops::Range;

use zeroize::Zeroizing;

use super::address::Address;
use super::error::{Error, Result};
use super::keys::{PrivateKey, Seed};
use super::phrase::Phrase;
use super::sql::{Bad, Lexer};
use super::tables::Tables;
use super::wire::Hash;

/// By how much a node raises every counter after a restore.
pub const NODE_MARGIN: u64 = 256;

/// A wallet. Its secrets are erased when it is dropped and never shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wallet {
    /// Whether its secrets are there.
    pub secrets: Secrets,
    /// Its keys, in the order in which they were made.
    pub keys: Vec<Key>,
    /// What it watches.
    pub scripts: Vec<Script>,
}

/// Whether a wallet's phrase and private keys are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secrets {
    /// They are.
    Present {
        /// The phrase.
        phrase: Phrase,
        /// What the keys come from. It should be that of the phrase.
        seed: Seed,
    },
    /// They were wiped, or locked with a password: then the settings hold the phrase, sealed.
    Wiped,
}

/// A key of a wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its public half.
    pub public: Hash,
    /// Its private half, unless it was wiped.
    pub private: Option<PrivateKey>,
    /// What makes it of the seed.
    pub modifier: Vec<u8>,
    /// How many one-time keys each of its trees has.
    pub size: u64,
    /// How many trees deep it is.
    pub depth: u64,
    /// How often it has signed.
    pub uses: u64,
    /// How often it can sign.
    pub max_uses: u64,
    /// Where its uses are written in the script.
    pub(super) uses_at: Range<usize>,
}

/// A script of a wallet, with its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// What must hold for coins to be spent.
    pub script: String,
    /// Where such coins lie.
    pub address: Address,
    /// The key whose signature is enough, if it is that simple.
    pub public: Option<Hash>,
    /// Whether the node uses it for change.
    pub default: bool,
    /// Whether the node watches it.
    pub tracked: bool,
}

/// A counter that was raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raised {
    /// Of which key.
    pub public: Hash,
    /// Where it stood.
    pub from: u64,
    /// Where it stands now.
    pub to: u64,
}

impl Wallet {
    /// Reads the script.
    ///
    /// # Errors
    /// If it holds a statement that no node writes, or lacks the seed.
    pub fn parse(sql: &[u8]) -> Result<Self> {
        let sql = text(sql)?;
        let mut tables = Tables::default();
        let mut lexer = Lexer::new(sql);
        while let Some(statement) = lexer.statement().map_err(|bad| bad.within(sql))? {
            tables.take(&statement).map_err(|bad| bad.within(sql))?;
        }
        let missing = Bad { at: sql.len(), reason: "the table of the seed has no row" };
        let secrets = tables.secrets.ok_or(missing.within(sql))?;
        Ok(Self { secrets, keys: tables.keys, scripts: tables.scripts })
    }

    /// The key with this public half.
    pub fn key(&self, public: &Hash) -> Option<&Key> {
        self.keys.iter().find(|key| key.public == *public)
    }

    /// Whether this seed made a key of the wallet: half a second, since one key settles it. `None` if it has no key to compare.
    pub fn is_of(&self, seed: &Seed) -> Option<bool> {
        let key = self.keys.iter().find(|key| key.is_usual())?;
        Some(seed.modified(&key.modifier).public_key() == key.public)
    }
}

impl Key {
    /// Whether it has the size that all nodes give to keys, so that it can be made again here.
    pub fn is_usual(&self) -> bool {
        self.size == super::keys::LEAVES as u64 && self.depth >= 1
    }
}

/// Writes the script again with the uses of each key at least as high as `wanted`. Nothing is ever lowered, and nothing else changes.
///
/// # Errors
/// If it is no wallet's, or if a key would come so near to its last use that a node which restores it would begin anew.
pub fn raise(
    sql: &[u8],
    wanted: impl Fn(&Key) -> u64,
) -> Result<(Zeroizing<Vec<u8>>, Vec<Raised>)> {
    let wallet = Wallet::parse(sql)?;
    let mut raised = Vec::new();
    // Twenty digits hold any counter.
    let mut written = Zeroizing::new(Vec::with_capacity(sql.len() + 20 * wallet.keys.len()));
    let mut at = 0;
    for key in &wallet.keys {
        let to = wanted(key).max(key.uses);
        if to == key.uses {
            continue;
        }
        if to.saturating_add(NODE_MARGIN) >= key.max_uses {
            return Err(Error::UsedUp { public: key.public, uses: to, most: key.max_uses });
        }
        written.extend_from_slice(&sql[at..key.uses_at.start]);
        written.extend_from_slice(to.to_string().as_bytes());
        at = key.uses_at.end;
        raised.push(Raised { public: key.public, from: key.uses, to });
    }
    written.extend_from_slice(&sql[at..]);
    Ok((written, raised))
}

fn text(sql: &[u8]) -> Result<&str> {
    std::str::from_utf8(sql).map_err(|error| {
        let line = line_of(sql, error.valid_up_to());
        Error::Wallet { line, reason: "this is not UTF-8" }
    })
}

fn line_of(sql: &[u8], at: usize) -> usize {
    sql.iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

impl Bad {
    fn within(self, sql: &str) -> Error {
        Error::Wallet { line: line_of(sql.as_bytes(), self.at), reason: self.reason }
    }
}
