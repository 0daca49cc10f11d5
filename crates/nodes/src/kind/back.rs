//! The way back of what is not put in place as files: a dump that a program takes, before the node starts or through the running node.
//!
//! A restore asks three times. Before anything is touched: can it be taken? When files are in place: take it. When the node is up again: is it
//! there? A kind that a failure leaves half done says so in its error; the copy is kept until it has been taken.

use std::path::Path;
use std::time::Duration;

use super::{Verified, dump, minima, postgres};
use crate::error::{Error, Result};
use crate::profile::{Kind, RestoreWhile, Variables};

/// How a component comes back, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WayBack {
    /// As files, put in place while the node is stopped.
    Files,
    /// Given to a program while the node is stopped, after files are in place.
    WhileStopped,
    /// Given through the running node, after its start.
    WhileRunning,
}

/// A copy that goes back.
#[derive(Debug, Clone, Copy)]
pub struct GiveBack<'a> {
    /// The restored file or folder, which nobody uses. It is not changed.
    pub copy: &'a Path,
    /// Where the component lies on this machine: absolute; nothing need lie there.
    pub path: &'a Path,
    /// For commands and connections: those of the live node.
    pub variables: &'a Variables,
    /// The longest that it may take, where the profile does not say less.
    pub patience: Duration,
}

/// What was said when it was taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Returned {
    /// For a person, in lines.
    pub said: Vec<String>,
    /// Whether the node ends by itself when it has taken it, so that it has to be started again.
    pub ends_node: bool,
}

impl WayBack {
    /// Through a program.
    pub fn through(when: RestoreWhile) -> Self {
        match when {
            RestoreWhile::Stopped => Self::WhileStopped,
            RestoreWhile::Running => Self::WhileRunning,
        }
    }
}

impl Returned {
    /// With one line, by a node that goes on.
    pub fn said(line: String) -> Self {
        Self { said: vec![line], ends_node: false }
    }
}

/// How a component of this kind comes back.
pub fn way_back(kind: &Kind) -> WayBack {
    match kind {
        Kind::Command(rule) => dump::way_back(rule),
        Kind::Postgres(rule) => postgres::way_back(rule),
        Kind::Minima(rule) => minima::back::way_back(rule),
        Kind::Files
        | Kind::Json(_)
        | Kind::Jsonl(_)
        | Kind::JsonlChain(..)
        | Kind::Sqlite(_)
        | Kind::Rocksdb
        | Kind::Leveldb
        | Kind::Git
        | Kind::AxonChunks(_)
        | Kind::AxonApplets(_) => WayBack::Files,
    }
}

/// Looks whether it can be taken, before anything is touched; the node may run.
///
/// # Errors
/// What stands against it, and what to do.
pub fn can_take(kind: &Kind, back: &GiveBack<'_>) -> Result<()> {
    match kind {
        Kind::Command(rule) => dump::can_take(back, rule),
        Kind::Postgres(rule) => postgres::can_take(back, rule),
        Kind::Minima(rule) => minima::back::can_take(back, rule),
        other => Err(no_program(other, back)),
    }
}

/// Gives it back.
///
/// # Errors
/// If it was not taken: what the program said.
pub fn give_back(kind: &Kind, back: &GiveBack<'_>) -> Result<Returned> {
    match kind {
        Kind::Command(rule) => dump::give_back(back, rule),
        Kind::Postgres(rule) => postgres::give_back(back, rule),
        Kind::Minima(rule) => minima::back::give_back(back, rule),
        other => Err(no_program(other, back)),
    }
}

/// Compares what the node has now with the copy; no checks, where there is nothing to compare with.
///
/// # Errors
/// If it cannot be looked at.
pub fn compare(kind: &Kind, back: &GiveBack<'_>) -> Result<Verified> {
    match kind {
        Kind::Postgres(rule) => postgres::compare(back, rule),
        Kind::Minima(rule) => minima::back::compare(back, rule),
        _ => Ok(Verified::default()),
    }
}

fn no_program(kind: &Kind, back: &GiveBack<'_>) -> Error {
    let reason = format!("kind `{}` is put in place as files", kind.word());
    Error::Unsupported { path: back.copy.to_owned(), reason }
}
