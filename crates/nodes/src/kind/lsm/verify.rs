//! Verifies a copy without the program that made it: every checksum of every file, the order of keys, counts, and that all of it belongs together.

mod tables;

use std::fs;
use std::path::Path;

use super::blob;
use super::capture::{identities, judge_logs, position};
use super::disk::{Disk, Folder, read_at};
use super::read::Database;
use super::tail::Tail;
use super::version::{Fixed, Named, Version, named};
use super::wal::{Look, Seen};
use crate::error::{Error, Result};
use crate::kind::{Outcome, Verified};

/// How much is read at once, in bytes.
const PIECE: usize = 1 << 20;
/// How many damaged places are named.
const NAMED: usize = 5;

/// Verifies the database in a folder.
///
/// # Errors
/// If the folder cannot be read. What is wrong with the database is a failed check and no error.
pub fn verify(path: &Path) -> Result<Verified> {
    let mut verified = Verified::default();
    let folder = Folder::new(path);
    folder.list().map_err(Error::file(path, "list"))?;
    let tail = match Tail::open(&folder) {
        Ok(tail) => tail,
        Err(error) => {
            verified.check("manifest", Outcome::Failed, error.to_string());
            return Ok(verified);
        }
    };
    check_manifest(path, &tail, &mut verified);
    let version = tail.version();
    check_files(&folder, version, &mut verified)?;
    tables::check(path, version, &mut verified);
    check_blobs(path, version, &mut verified);
    let seen = check_logs(&folder, version, &mut verified)?;
    verified.position = position(version, seen.iter());
    check_pairs(path, &mut verified);
    let identity = fs::read_to_string(path.join("IDENTITY")).ok();
    verified.hashes = identities(path, version, identity.map(|id| id.trim().to_owned()));
    Ok(verified)
}

fn check_manifest(path: &Path, tail: &Tail, verified: &mut Verified) {
    let place = tail.place();
    let size = fs::metadata(path.join(&place.manifest)).map(|found| found.len()).unwrap_or(0);
    let families = tail.version().families.len();
    if size == place.length {
        let detail = format!("{}: {size} bytes, {families} column families", place.manifest);
        verified.check("manifest", Outcome::Passed, detail);
    } else {
        let detail = format!(
            "{}: from offset {} on it holds no whole record, or not all of an atomic group",
            place.manifest, place.length
        );
        verified.check("manifest", Outcome::Failed, detail);
    }
}

/// What the MANIFEST names is there with its size; what else lies there is said.
fn check_files(folder: &Folder, version: &Version, verified: &mut Verified) -> Result<()> {
    let names = folder.list().map_err(Error::file(folder.path(), "list"))?;
    let mut wrong = Findings::default();
    let files = version.files();
    for (file, expected) in &files {
        let name = names.iter().find(|name| fixed(name) == Some(*file));
        match name.map(|name| (name, fs::metadata(folder.path().join(name)))) {
            Some((_, Ok(found))) if found.len() == *expected => {}
            Some((name, Ok(found))) => wrong
                .add(format!("{name} has {} bytes, and {expected} by the MANIFEST", found.len())),
            _ => wrong.add(format!("{file:?} of the MANIFEST is not there")),
        }
    }
    let is_extra = |name: &&String| fixed(name).is_some_and(|file| !files.contains_key(&file));
    let extra = names.iter().filter(is_extra).count();
    let mut detail = format!("{} files are there with their sizes", files.len());
    if extra > 0 {
        detail += &format!("; {extra} more lie there that do not count any more");
    }
    wrong.tell("files", detail, verified);
    Ok(())
}

fn fixed(name: &str) -> Option<Fixed> {
    match named(name) {
        Named::Table(number) => Some(Fixed::Table(number)),
        Named::Blob(number) => Some(Fixed::Blob(number)),
        _ => None,
    }
}

fn check_blobs(path: &Path, version: &Version, verified: &mut Verified) {
    let numbers: Vec<u64> = version
        .files()
        .into_keys()
        .filter_map(|file| if let Fixed::Blob(number) = file { Some(number) } else { None })
        .collect();
    if numbers.is_empty() {
        return;
    }
    let (mut wrong, mut values, mut bytes) = (Findings::default(), 0, 0);
    for number in &numbers {
        match blob::check(&path.join(format!("{number:06}.blob"))) {
            Ok(figures) => {
                values += figures.values;
                bytes += figures.bytes;
            }
            Err(error) => wrong.add(error.to_string()),
        }
    }
    let detail = format!("{} files, {values} values, {bytes} bytes", numbers.len());
    wrong.tell("blob files", detail, verified);
}

/// Every record of every WAL, and that each goes on where the one before has ended.
fn check_logs(folder: &Folder, version: &Version, verified: &mut Verified) -> Result<Vec<Seen>> {
    let names = folder.list().map_err(Error::file(folder.path(), "list"))?;
    let lowest = version.lowest_log();
    let mut logs: Vec<(u64, String)> = names
        .into_iter()
        .filter_map(|name| match named(&name) {
            Named::Log(number) if number >= lowest => Some((number, name)),
            _ => None,
        })
        .collect();
    logs.sort();
    let mut wrong = Findings::default();
    let mut all = Vec::new();
    for (number, name) in logs {
        let path = folder.path().join(&name);
        match look_at(number, &path) {
            Ok((seen, None)) => all.push((name, seen)),
            Ok((seen, Some(tail))) => {
                wrong.add(format!("{name}: {tail}"));
                all.push((name, seen));
            }
            Err(error) => wrong.add(error.to_string()),
        }
    }
    let records: u64 = all.iter().map(|(_, seen)| seen.records).sum();
    let gaps: usize = all.iter().map(|(_, seen)| seen.gaps.len()).sum();
    let mut detail = format!("{} logs, {records} records", all.len());
    if gaps > 0 {
        detail += &format!(", {gaps} gaps between writes within logs");
    }
    for note in judge_logs(&all).into_iter().filter(|note| note.code == "sequence-gap") {
        detail += &format!("; {}", note.text);
    }
    wrong.tell("write-ahead logs", detail, verified);
    Ok(all.into_iter().map(|(_, seen)| seen).collect())
}

/// Looks at one WAL; with what is wrong with it.
fn look_at(number: u64, path: &Path) -> Result<(Seen, Option<String>)> {
    let file = fs::File::open(path).map_err(Error::file(path, "open"))?;
    let (mut look, mut done) = (Look::new(number), 0);
    loop {
        let piece = read_at(&file, done, PIECE).map_err(Error::file(path, "read"))?;
        done += piece.len() as u64;
        look.push(&piece, |_| {});
        if piece.len() < PIECE {
            break;
        }
    }
    let whole = look.whole();
    let seen = look.finish(false);
    let wrong = match &seen.broken {
        Some((at, what)) => Some(format!("{what} at offset {at}")),
        None if seen.is_compressed => Some("it is compressed and was not looked at".to_owned()),
        // A capture cuts what is not whole, so that this is damage or the trace of a crash.
        None if whole != done => {
            Some(format!("{} bytes from offset {whole} on are no whole record", done - whole))
        }
        None => None,
    };
    Ok((seen, wrong))
}

/// Walks through all living pairs, so that references to blob files are followed and levels are merged as the database would.
fn check_pairs(path: &Path, verified: &mut Verified) {
    let database = match Database::open(path) {
        Ok(database) => database,
        Err(error) => return verified.check("keys", Outcome::Failed, error.to_string()),
    };
    let (mut wrong, mut skipped, mut keys, mut bytes) = (Findings::default(), Vec::new(), 0, 0);
    for family in database.families() {
        let walked = database.pairs(family).and_then(|pairs| {
            for pair in pairs {
                let pair = pair?;
                keys += 1;
                bytes += (pair.key.len() + pair.value.into_bytes().len()) as u64;
            }
            Ok(())
        });
        match walked {
            Ok(()) => {}
            Err(Error::Unsupported { reason, .. }) => skipped.push(reason),
            Err(error) => wrong.add(format!("{family}: {error}")),
        }
    }
    let counted = format!("{keys} living keys, {bytes} bytes with their values");
    if skipped.is_empty() || !wrong.is_empty() {
        wrong.tell("keys", counted, verified);
    } else {
        let detail = format!("not all was read: {}; {counted}", skipped.join("; "));
        verified.check("keys", Outcome::Skipped, detail);
    }
    verified.position.count("keys", keys);
}

/// What is wrong, as far as it is named.
#[derive(Debug, Default)]
struct Findings {
    named: Vec<String>,
    more: usize,
}

impl Findings {
    fn add(&mut self, what: String) {
        if self.named.len() < NAMED {
            self.named.push(what);
        } else {
            self.more += 1;
        }
    }

    fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    fn tell(self, name: &str, well: String, verified: &mut Verified) {
        if self.named.is_empty() {
            return verified.check(name, Outcome::Passed, well);
        }
        let mut detail = self.named.join("; ");
        if self.more > 0 {
            detail += &format!("; and {} more", self.more);
        }
        verified.check(name, Outcome::Failed, detail);
    }
}
