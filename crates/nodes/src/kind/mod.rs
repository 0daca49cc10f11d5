//! Kinds of component, one file or folder each: how it is captured while it is in use, and how a copy is verified.
//!
//! To capture is to make what is in use fit to be read. A kind leaves what it must copy in a staging folder and says, as grafts, what is to be
//! read instead of what lies there; everything else is read in place, once, by whoever makes the snapshot.
//!
//! What is captured as files comes back as files. What a program gave goes back through a program: [`back`].

pub mod applets;
pub mod back;
pub mod chain;
pub mod chunks;
pub mod dump;
pub mod files;
pub mod git;
pub mod json;
pub mod jsonl;
mod lines;
pub mod lsm;
pub mod minima;
pub mod postgres;
pub mod sqlite;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::manifest::{Missing, Note};
use crate::position::Position;
use crate::profile::{JsonlRule, Kind, SqliteRule, Variables};

/// Makes what lies at the request's path fit to be read, by its kind.
///
/// # Errors
/// Those of the kind.
pub fn capture(kind: &Kind, request: &Request<'_>) -> Result<Captured> {
    match kind {
        Kind::Files => files::capture(request),
        Kind::Json(rule) => json::capture(request, rule),
        Kind::Jsonl(rule) => jsonl::capture(request, rule),
        Kind::JsonlChain(rule, chain) => chain::capture(request, rule, chain),
        Kind::Sqlite(rule) => sqlite::capture(request, rule),
        Kind::Git => git::capture(request),
        Kind::Rocksdb | Kind::Leveldb => lsm::capture(request),
        Kind::Postgres(rule) => postgres::capture(request, rule),
        Kind::Command(rule) => dump::capture(request, rule),
        Kind::AxonChunks(rule) => chunks::capture(request, rule),
        Kind::AxonApplets(rule) => applets::capture(request, rule),
        Kind::Minima(rule) => minima::capture(request, rule),
    }
}

/// Checks a copy that nobody uses, by the rules of its kind and against the copies of others. `patience` is for what is started to check it.
///
/// # Errors
/// Those of the kind, if the copy cannot be looked at.
pub fn verify(
    kind: &Kind,
    path: &Path,
    others: &Others,
    variables: &Variables,
    patience: Duration,
) -> Result<Verified> {
    match kind {
        Kind::Files => files::verify(path),
        Kind::Json(rule) => json::verify(path, rule),
        Kind::Jsonl(rule) => jsonl::verify(path, rule),
        Kind::JsonlChain(rule, chain) => chain::verify(path, rule, chain),
        Kind::Sqlite(rule) => sqlite::verify(path, rule),
        Kind::Git => git::verify(path),
        Kind::Rocksdb | Kind::Leveldb => lsm::verify(path),
        Kind::Postgres(rule) => postgres::verify(path, rule, patience),
        Kind::Command(rule) => dump::verify(path, rule, variables, patience),
        Kind::AxonChunks(rule) => chunks::verify(path, rule, others),
        Kind::AxonApplets(_) => applets::verify(path),
        Kind::Minima(rule) => minima::verify(path, rule),
    }
}

/// What was read, and since when it may have changed.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// When capturing began.
    pub since: SystemTime,
    /// Paths in whose place copies were read.
    pub staged: &'a [PathBuf],
}

/// What a kind sees of a component once all of it was read, although nothing held it still: notes, and whether it is torn.
///
/// # Errors
/// If it cannot be looked at any more.
pub fn look_back(
    kind: &Kind,
    path: &Path,
    others: &Others,
    reading: &Reading<'_>,
) -> Result<Captured> {
    match kind {
        Kind::AxonChunks(rule) => chunks::look_back(path, rule, others, reading),
        _ => Ok(Captured::default()),
    }
}

/// Looks at a component that is in use, where its kind can tell what is wrong from what only changes; `None` where it cannot.
///
/// # Errors
/// If it cannot be looked at.
pub fn verify_live(kind: &Kind, path: &Path, others: &Others) -> Result<Option<Verified>> {
    match kind {
        Kind::AxonChunks(rule) => chunks::verify_live(path, rule, others).map(Some),
        Kind::AxonApplets(rule) => applets::verify_live(path, rule, others).map(Some),
        _ => Ok(None),
    }
}

/// What a snapshot without this component lacks, where the kind can name it.
///
/// # Errors
/// If what names it cannot be read.
pub fn left_out(kind: &Kind, others: &Others) -> Result<Vec<Missing>> {
    match kind {
        Kind::AxonChunks(rule) => chunks::left_out(rule, others),
        _ => Ok(Vec::new()),
    }
}

/// Puts a restored copy in order before the node starts on it; says what was done.
///
/// # Errors
/// If it cannot be looked at or changed.
pub fn mend(kind: &Kind, path: &Path) -> Result<Vec<String>> {
    match kind {
        Kind::AxonChunks(_) => chunks::mend(path),
        _ => Ok(Vec::new()),
    }
}

/// The kind of what lies at a path, where it is plain; `None` where it is not, and for plain files.
pub fn recognise(path: &Path) -> Option<Kind> {
    type Test = fn(&Path) -> bool;
    let tests: [(Test, Kind); 5] = [
        (lsm::is_rocksdb, Kind::Rocksdb),
        (lsm::is_leveldb, Kind::Leveldb),
        (sqlite::is_one, Kind::Sqlite(SqliteRule::default())),
        (git::is_one, Kind::Git),
        (jsonl::is_one, Kind::Jsonl(JsonlRule::default())),
    ];
    let found = tests.into_iter().find_map(|(is_one, kind)| is_one(path).then_some(kind));
    match found {
        Some(Kind::Jsonl(rule)) => Some(chain::recognise(path).unwrap_or(Kind::Jsonl(rule))),
        other => other,
    }
}

/// Where other components lie, by their names.
pub type Others = BTreeMap<String, Other>;

/// Where another component lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Its copy, which nobody uses; the same as `live` where it is not copied.
    pub copy: PathBuf,
    /// What the node uses.
    pub live: PathBuf,
}

/// What of a component is wanted, for kinds that can choose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Only things of these names; empty: all.
    pub select: Vec<String>,
    /// Without content that can be fetched later.
    pub skip_chunks: bool,
}

/// What is asked of a kind.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What to capture: absolute.
    pub path: &'a Path,
    /// An empty folder of its own, 0700, for what must be copied; on the file system of `path` wherever that can be.
    pub staging: &'a Path,
    /// What the last capture of this remembered, if there was one.
    pub memory: Option<&'a serde_json::Value>,
    /// For commands and connections.
    pub variables: &'a Variables,
    /// How long it may be tried.
    pub patience: Duration,
    /// Where other components lie.
    pub others: &'a Others,
    /// What of it is wanted.
    pub choice: &'a Choice,
}

/// No other component.
static NOBODY: Others = BTreeMap::new();
/// All of it.
static WHOLE: Choice = Choice { select: Vec::new(), skip_chunks: false };

impl<'a> Request<'a> {
    /// All of something that stands alone, and of which nothing is remembered.
    pub fn alone(
        path: &'a Path,
        staging: &'a Path,
        variables: &'a Variables,
        patience: Duration,
    ) -> Self {
        let (others, choice) = (&NOBODY, &WHOLE);
        Self { path, staging, memory: None, variables, patience, others, choice }
    }

    /// Another component that this one cannot do without.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it does not lie here.
    pub fn other(&self, name: &str) -> Result<&Other> {
        other(self.others, name, self.path)
    }
}

/// Another component, for the one at `path`.
fn other<'a>(others: &'a Others, name: &str, path: &Path) -> Result<&'a Other> {
    others.get(name).ok_or_else(|| Error::Unsupported {
        path: path.to_owned(),
        reason: format!("it needs the component `{name}`, which is not there"),
    })
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Captured {
    /// What to read instead of what lies there.
    pub grafts: Vec<Graft>,
    /// How far the state has come.
    pub position: Position,
    /// Hashes in the terms of the kind.
    pub hashes: BTreeMap<String, String>,
    /// What was torn or is not as it was, and why. With a note the component counts as partial only if `is_torn`.
    pub notes: Vec<Note>,
    /// Whether something that should be there is not in the copy.
    pub is_torn: bool,
    /// For the next capture of this, on this machine.
    pub memory: Option<serde_json::Value>,
    /// What belongs to it and is not in the copy, where the kind can name it.
    pub missing: Vec<Missing>,
    /// Components whose copies are older than what was found here: they are to be captured again, and then this.
    pub outdated: Vec<String>,
}

/// At a path, something else is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graft {
    /// Absolute; need not exist.
    pub at: PathBuf,
    /// What is read there.
    pub with: With,
}

/// What is read in place of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum With {
    /// A file or folder of the staging folder. Owner, mode and times of what lies at the path are kept where it exists.
    Staged(PathBuf),
    /// The same, and files in it never change under one name, so that size, time and inode tell that they were read before.
    StagedForever(PathBuf),
    /// The first bytes of the file that lies there.
    Prefix(u64),
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing: it is not part of the copy.
    Nothing,
}

/// What was found in a copy that nobody uses: a restored component.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verified {
    /// Each thing that was looked at, in order.
    pub checks: Vec<Check>,
    /// How far the state has come, told from the copy alone.
    pub position: Position,
    /// Hashes in the terms of the kind.
    pub hashes: BTreeMap<String, String>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What it shows: `integrity_check`, `hash links`.
    pub name: String,
    /// How it came out.
    pub outcome: Outcome,
    /// What was seen: figures, the first thing that is wrong with its place, or why it was skipped.
    pub detail: String,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it should be.
    Passed,
    /// Not as it should be.
    Failed,
    /// Not looked at.
    Skipped,
}

impl Verified {
    /// Adds a check.
    pub fn check(&mut self, name: &str, outcome: Outcome, detail: impl Into<String>) {
        self.checks.push(Check { name: name.to_owned(), outcome, detail: detail.into() });
    }

    /// Whether nothing failed.
    pub fn is_sound(&self) -> bool {
        self.checks.iter().all(|check| check.outcome != Outcome::Failed)
    }
}
