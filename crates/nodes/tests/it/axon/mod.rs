//! The adapter of Axon, on instances that the tests build from facts; `upstream` asks the real Axon.

mod board;
mod exchange;
mod merging;
mod profile;
mod reading;
mod rekeying;
mod upstream;
mod verifying;
