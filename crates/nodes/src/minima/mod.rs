//! Minima: a full node in Java, with a wallet of one-time keys, a cascading chain and a set of unspent coins.
//!
//! [`wire`] and [`number`] are its encoding; [`phrase`], [`keys`] and [`address`] lead from 24 words to where coins lie; [`backup`] opens
//! and writes its `.bak` files, [`wallet`], [`cascade`], [`chain`] and [`history`] read what is in them,
//! [`verify`] holds one against itself; [`archive`] and [`mega`] read what
//! whole chains are stored in, block by block. Facts were taken from the real
//! node, version 1.0.45.15.

pub mod address;
pub mod archive;
pub mod backup;
pub mod cascade;
pub mod chain;
pub mod coin;
pub mod error;
pub mod history;
pub mod ibd;
pub mod keys;
pub mod mega;
pub mod mmr;
pub mod number;
pub mod password;
pub mod phrase;
pub mod settings;
mod sql;
pub mod txblock;
pub mod txpow;
pub mod verify;
pub mod wallet;
pub mod wire;
