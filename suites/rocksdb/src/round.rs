//! One capture at a random moment, and everything that must hold of the copy.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nodekeep_nodes::error::Error;
use nodekeep_nodes::kind::{Captured, Outcome, Request, lsm};
use rocksdb::{DB, IteratorMode};

use crate::model::{self, FAMILIES, State};
use crate::writer::{self, Variant};

/// How long a capture may try.
const PATIENCE: Duration = Duration::from_secs(20);

/// What one round showed.
#[derive(Debug)]
pub struct Seen {
    /// How long the capture took.
    pub took: Duration,
    /// Tables in the copy.
    pub tables: u64,
    /// WALs in the copy.
    pub logs: u64,
    /// Writes in the copy beyond those acknowledged before it began.
    pub beyond: u64,
    /// Whether its files were linked, and not copied.
    pub linked: bool,
}

/// Captures `live` into `staging` and judges the copy. `acknowledged` is the last write that was known to be done when the capture began.
pub fn run(
    live: &Path,
    staging: &Path,
    variant: &Variant,
    acknowledged: u64,
) -> Result<Seen, String> {
    let variables = Default::default();
    let request = Request::alone(live, staging, &variables, PATIENCE);
    let start = Instant::now();
    let captured = lsm::capture(&request).map_err(|error| format!("capture: {error}"))?;
    let took = start.elapsed();
    let unexpected = captured.notes.iter().find(|note| note.code != "copied");
    if let Some(note) = unexpected {
        return Err(format!("note {}: {}", note.code, note.text));
    }
    let ours = check_without_rocksdb(staging).map_err(|error| format!("verify: {error}"))?;
    let theirs = read_with_rocksdb(staging, variant)?;
    if let Some(what) = model::difference(&ours, &theirs) {
        return Err(format!("our reader, compared with RocksDB: {what}"));
    }
    let last = model::last(&theirs);
    if last < acknowledged {
        return Err(format!("ends with write {last}; {acknowledged} was acknowledged before"));
    }
    if let Some(what) = model::difference(&theirs, &model::state(last)) {
        return Err(format!("after write {last}: {what}"));
    }
    Ok(seen(&captured, took, last - acknowledged))
}

fn seen(captured: &Captured, took: Duration, beyond: u64) -> Seen {
    let counter = |name: &str| captured.position.counters.get(name).copied().unwrap_or(0);
    let linked = captured.notes.iter().all(|note| note.code != "copied");
    Seen { took, tables: counter("tables"), logs: counter("write-ahead-logs"), beyond, linked }
}

/// Everything that Nodekeep finds in the copy by itself.
fn check_without_rocksdb(copy: &Path) -> Result<State, Error> {
    let verified = lsm::verify(copy)?;
    if let Some(check) = verified.checks.iter().find(|check| check.outcome == Outcome::Failed) {
        let reason = format!("{}: {}", check.name, check.detail);
        return Err(Error::Damaged { path: copy.to_owned(), reason });
    }
    let database = lsm::read::Database::open(copy)?;
    let mut state = State::default();
    for (name, pairs) in FAMILIES.iter().zip(&mut state) {
        for pair in database.pairs(name)? {
            let pair = pair?;
            pairs.insert(pair.key, pair.value.into_bytes());
        }
    }
    Ok(state)
}

/// The copy as RocksDB sees it, opened to be written to, as a node would.
fn read_with_rocksdb(copy: &Path, variant: &Variant) -> Result<State, String> {
    let db = writer::open(copy, variant).map_err(|error| format!("RocksDB: {error}"))?;
    state_of(&db)
}

/// Every key and value.
pub fn state_of(db: &DB) -> Result<State, String> {
    let mut state = State::default();
    for (name, pairs) in FAMILIES.iter().zip(&mut state) {
        let family = db.cf_handle(name).ok_or("a column family is not there")?;
        for pair in db.iterator_cf(family, IteratorMode::Start) {
            let (key, value) = pair.map_err(|error| format!("RocksDB: {name}: {error}"))?;
            pairs.insert(key.into_vec(), value.into_vec());
        }
    }
    Ok(state)
}

/// A fresh folder.
pub fn empty(path: &Path) -> Result<(), String> {
    _ = fs::remove_dir_all(path);
    fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))
}
