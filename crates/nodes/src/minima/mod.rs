//! Minima: a full node in Java, with a wallet of one-time keys, a cascading chain and a set of unspent coins.
//!
//! [`wire`] and [`number`] are its encoding; [`phrase`], [`keys`] and [`address`] lead from 24 words to where coins lie. Facts were taken
//! from the real node, version 1.0.45.15.

pub mod address;
pub mod backup;
pub mod ending;
pub mod error;
pub mod keys;
pub mod link;
pub mod live;
pub mod number;
pub mod password;
pub mod phrase;
pub mod rpc;
mod sql;
pub mod wallet;
pub mod wire;
