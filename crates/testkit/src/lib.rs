//! Tools of Nodekeep's own tests: random directory trees that can be put on disk, changed, read back and compared exactly,
//! damage to the objects of a store, a bad network, and a Minima chain with a stand-in for its node. Everything follows from a seed, so that a failure can be repeated.

pub mod damage;
mod disk;
mod edit;
mod grow;
pub mod http;
pub mod minima;
pub mod proxy;
mod rng;
pub mod sim;
mod tree;

pub use disk::Abilities;
pub use edit::edit;
pub use grow::{Size, random};
pub use rng::Rng;
pub use tree::{Kind, Meta, Node, Tree};
