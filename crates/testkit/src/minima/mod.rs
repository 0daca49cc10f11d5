//! Minima without a node: a small chain and files that obey its rules, and a process that takes a node's place.

pub mod scene;
pub mod standin;
