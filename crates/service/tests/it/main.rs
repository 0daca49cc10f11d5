//! Nodes and the engine together, on real files and a real repository in a folder.

mod backup;
mod drill;
mod giving;
mod lab;
mod restore;
mod schedule;
