//! Minima: a full node in Java, with a wallet of one-time keys, a cascading chain and a set of unspent coins.
//!
//! [`wire`] and [`number`] are its encoding. Facts were taken from the real node, version 1.0.45.15.

pub mod number;
pub mod rpc;
pub mod wire;
