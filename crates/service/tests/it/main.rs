//! Nodes and the engine together, on real files and a real repository in a folder.

mod backup;
mod drill;
mod fences;
mod fleet;
mod giving;
mod lab;
mod live;
mod minima;
mod notify;
mod restore;
mod schedule;
