//! The repository engine of Nodekeep: encrypted, deduplicated snapshots in an object store, and their exact restore.
pub mod audit;

/// Whether a fault is planted here, to prove that the simulator would find it; a constant `false` in what is shipped.
#[cfg(feature = "simulate")]
macro_rules! planted {
    ($bug:ident) => {
        crate::simulate::has(crate::simulate::Bug::$bug)
    };
}
/// Says what the thread depends on from here on, for the simulator; nothing in what is shipped.
#[cfg(feature = "simulate")]
macro_rules! settled {
    ($place:literal, $($what:expr),+) => {
        crate::simulate::settle($place, &($(&$what,)+))
    };
}
#[cfg(not(feature = "simulate"))]
macro_rules! settled {
    ($place:literal, $($what:expr),+) => {};
}
#[cfg(not(feature = "simulate"))]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
}

pub mod backup;
mod blocks;
pub mod check;
pub mod chunker;
mod clock;
pub mod codec;
pub mod collect;
pub mod config;
pub mod control;
pub mod copy;
pub mod crypto;
pub mod diff;
pub mod error;
pub mod export;
mod fetch;
pub mod frame;
mod heal;
pub mod id;
pub mod index;
pub mod keys;
pub mod listing;
pub mod mirror;
pub mod monitor;
pub mod names;
pub mod pack;
mod packs;
pub mod portable;
pub mod process;
pub mod reader;
pub mod repair;
pub mod repository;
pub mod restore;
pub mod retention;
pub mod roster;
pub mod scrub;
pub mod sessions;
#[cfg(feature = "simulate")]
pub mod simulate;
pub mod snapshot;
pub mod source;
pub mod tree;
pub mod view;
mod walk;
pub mod wire;
mod xattr;
