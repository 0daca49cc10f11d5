//! Minima: a full node in Java, with a wallet of one-time keys, a cascading chain and a set of unspent coins.
//!
//! Files: [`wire`] and [`number`] are its encoding; [`phrase`], [`keys`] and [`address`] lead from 24 words to where coins lie; [`backup`]
//! opens and writes its `.bak` files, [`wallet`], [`cascade`], [`chain`] and [`history`] read what is in them, [`verify`] holds one against
//! itself; [`archive`] and [`mega`] read what whole chains are stored in, block by block; [`store`] keeps blocks.
//!
//! The living node: [`rpc`], [`live`], [`link`] and [`ending`] speak to one; [`peer`] asks others for blocks, [`supply`] and [`serve`] give
//! them. Facts were taken from the real node, version 1.0.45.15.

pub mod address;
pub mod archive;
pub mod backup;
pub mod cascade;
pub mod chain;
pub mod coin;
pub mod ending;
pub mod error;
pub mod frame;
mod hash;
pub mod history;
pub mod ibd;
pub mod keys;
pub mod link;
pub mod live;
pub mod mega;
pub mod mmr;
pub mod number;
mod paced;
pub mod password;
pub mod peer;
pub mod phrase;
pub mod rpc;
pub mod serve;
pub mod settings;
mod sql;
mod stale;
pub mod store;
pub mod supply;
mod tables;
pub mod txblock;
pub mod txpow;
pub mod verify;
pub mod wallet;
pub mod wire;
