//! Where nodes and the repository meet: what a user asks for of a node, as calls that print nothing and decide everything below a face.
#![forbid(unsafe_code)]

pub mod applets;
pub mod backup;
pub mod capture;
pub mod certificate;
pub mod copies;
pub mod daemon;
pub mod diary;
pub mod drill;
pub mod error;
pub mod fencing;
pub mod fetch;
pub mod find;
pub mod fleet;
pub mod graft;
pub mod guard;
pub mod holding;
pub mod import;
pub mod jobs;
pub mod live;
pub mod loose;
pub mod metrics;
pub mod minima;
pub mod notify;
mod ours;
pub mod records;
pub mod restore;
pub mod resume;
pub mod schedule;
pub mod staging;
pub mod state;
pub mod verify;
