//! Where nodes and the repository meet: what a user asks for of a node, as calls that print nothing and decide everything below a face.
#![forbid(unsafe_code)]

pub mod backup;
pub mod error;
pub mod find;
pub mod graft;
pub mod staging;
pub mod state;
