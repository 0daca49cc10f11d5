//! Nodes and the engine together, on real files and a real repository in a folder.

mod backup;
mod drill;
mod fences;
mod giving;
mod lab;
mod notify;
mod live;
mod restore;
mod schedule;
