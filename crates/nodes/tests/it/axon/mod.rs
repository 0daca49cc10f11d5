//! The adapter of Axon, on instances that the tests build from facts. `cargo xtask test-axon` asks the real Axon.

mod board;
mod exchange;
mod merging;
mod profile;
mod reading;
mod rekeying;
mod verifying;
