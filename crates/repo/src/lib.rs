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
/// Says what the caller depends on when what it calls has come back, until the end of the block.
#[cfg(feature = "simulate")]
macro_rules! scoped {
    ($place:literal, $($what:expr),+) => {
        let _scope = crate::simulate::scope($place, &($(&$what,)+));
    };
}
#[cfg(not(feature = "simulate"))]
macro_rules! scoped {
    ($place:literal, $($what:expr),+) => {};
}
/// Reads the view, and says for the simulator what else the caller depends on and what it will look at.
#[cfg(feature = "simulate")]
macro_rules! view_for {
    ($repo:expr, $place:literal, ($($state:expr),*), |$view:ident| [$($shown:expr),*]) => {{
        let _lens = crate::simulate::lens::hold($place, &($(&$state,)*), move |$view| {
            format!("{:?}", ($(&$shown,)*))
        });
        $repo.view()
    }};
}
#[cfg(not(feature = "simulate"))]
macro_rules! view_for {
    ($repo:expr, $place:literal, ($($state:expr),*), |$view:ident| [$($shown:expr),*]) => {
        $repo.view()
    };
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
