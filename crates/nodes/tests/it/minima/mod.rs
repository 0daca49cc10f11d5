//! Minima's files: made here by a writer of its own, read by the crate, and damaged in every place.

mod archive;
mod backup;
mod chain;
mod damage;
mod golden;
mod mega;
mod node;
mod scene;
mod serving;
mod standin;
mod wallet;
