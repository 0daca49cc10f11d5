//! What can go wrong with Minima's files. No variant holds a secret; whoever knows the file adds its name.

use std::io;

use thiserror::Error;

use super::backup::Section;
use super::wire::WireError;

/// Any failure of this adapter.
#[derive(Debug, Error)]
pub enum Error {
    /// A file of another kind.
    #[error("this is no Minima backup: {reason}")]
    NotABackup {
        /// What is missing.
        reason: &'static str,
    },
    /// The password does not open it.
    #[error("the password is wrong (or the file's salt, its bytes 4 to 11, is damaged)")]
    WrongPassword,
    /// The password opens it, and something is wrong with it.
    #[error("the backup is damaged: {reason}")]
    Damaged {
        /// What, and where.
        reason: String,
    },
    /// The password opens it, and its end is missing.
    #[error("the backup is damaged: its end is missing, so it was cut off or copied too early")]
    CutOff,
    /// More than may be unpacked.
    #[error(
        "it has more than {limit} bytes, packed or unpacked, and a backup is held in memory: so much is refused before it is read"
    )]
    TooLarge {
        /// The most that is allowed.
        limit: u64,
    },
    /// A section of a backup.
    #[error("section {section} of the backup: {source}")]
    Section {
        /// Which one.
        section: Section,
        /// What is wrong with it.
        source: WireError,
    },
    /// The wallet of a backup.
    #[error("the wallet in the backup: line {line}: {reason}")]
    Wallet {
        /// Where in its SQL, counted from 1.
        line: usize,
        /// What is wrong there, without any value.
        reason: &'static str,
    },
    /// A key that has signed so often that it must not be used any more.
    #[error(
        "key {public} would stand at {uses} uses of {most}: a node begins anew after the last one and then signs twice with the same \
         one-time key. Send its coins elsewhere from a running node and do not use it again"
    )]
    UsedUp {
        /// The public key.
        public: super::wire::Hash,
        /// Where its counter would stand.
        uses: u64,
        /// How often it can sign.
        most: u64,
    },
    /// An archive or a MegaMMR.
    #[error("{0}")]
    Wire(#[from] WireError),
    /// Blocks that do not follow each other.
    #[error("block {number} ({id}): {reason}")]
    Chain {
        /// Its number.
        number: u64,
        /// Its identifier.
        id: super::wire::Hash,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The coins of a MegaMMR.
    #[error("the MegaMMR of block {block}: {reason}")]
    Mega {
        /// The block after which its coins are unspent.
        block: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file that cannot be read.
    #[error("reading failed: {0}")]
    Io(#[from] io::Error),
    /// The system gives no randomness.
    #[error("the system gives no random bytes")]
    Random,
}

/// What this adapter gives.
pub type Result<T> = std::result::Result<T, Error>;
