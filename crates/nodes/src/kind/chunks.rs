//! Chunks of an Axon: files that are read in place, and checked against the rows of the database that name them.
//!
//! Axon encrypts the same content again into the same files, and updates the row last. So every chunk is hashed when it is captured; what does
//! not match is looked at again, row and chunks together; if the rows are ahead of their copy, that is taken again; what was written a
//! short while ago is copied, as it is the likeliest to be written again; and once everything
//! was read, what was written meanwhile is hashed once more. A chunk that fits before and after was never another in between,
//! because no two encryptions are the same.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Captured, Graft, Other, Others, Outcome, Reading, Request, Verified, With, other};
use crate::axon::chunks::{self, FlawKind};
use crate::axon::digest::Digest;
use crate::axon::manifest::ContentManifest;
use crate::axon::verify::{self, Fault, Since, Verification};
use crate::error::{Error, Result};
use crate::manifest::{Missing, Note};
use crate::profile::AxonChunksRule;

/// How often what does not match is looked at again.
const LOOKS: u32 = 5;
/// What was written within this time is copied.
const RECENT: Duration = Duration::from_secs(120);
/// But no more than this, in bytes: the rest is looked at again once it was read.
const MOST_KEPT: u64 = 256 << 20;
/// Before each look: Axon writes the row a moment after the chunks.
const PAUSE: Duration = Duration::from_millis(500);
/// How many a note names before it counts.
const NAMED: usize = 5;

/// Checks the chunks; they are read where they lie.
///
/// # Errors
/// If the database or the folder cannot be read.
pub fn capture(request: &Request<'_>, rule: &AxonChunksRule) -> Result<Captured> {
    let Other { copy, live } = request.other(&rule.database)?;
    let seen = verify::verify(&verify::Request {
        database: copy,
        live: Some(live),
        chunks: request.path,
        looks: LOOKS,
        pause: PAUSE,
        since: None,
    })?;
    let mut captured = judged(&seen);
    if seen.settled > 0 {
        let text = format!("{} contents were being written and were read again", seen.settled);
        captured.notes.push(Note::new("settled", text));
    }
    if !seen.outdated.is_empty() {
        captured.outdated.push(rule.database.clone());
    }
    captured.position.count("contents", seen.contents);
    captured.position.count("chunks", seen.chunks);
    if captured.outdated.is_empty() && !keep_recent(request, copy, &seen, &mut captured)? {
        captured.outdated.push(rule.database.clone());
    }
    Ok(captured)
}

/// Copies what was written a short while ago, and is therefore likely to be written again before it is read; says whether all of it was
/// still as the rows say.
fn keep_recent(
    request: &Request<'_>,
    database: &Path,
    seen: &Verification,
    captured: &mut Captured,
) -> Result<bool> {
    let since = SystemTime::now().checked_sub(RECENT).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut room = MOST_KEPT;
    for (_, manifest) in verify::manifests(database)? {
        let name = manifest.content_hash.to_string();
        let folder = request.path.join(&name);
        let size = manifest.chunk_size * manifest.chunk_hashes.len() as u64;
        if !chunks::is_touched(&folder, &manifest, since) {
            continue;
        }
        let (flaws, _) = chunks::examine(&folder, &manifest);
        let was_wrong = seen.faults.iter().any(|f| f.content_hash == manifest.content_hash);
        if !was_wrong && flaws.iter().any(|flaw| flaw.kind != FlawKind::Missing) {
            // It was right a moment ago: it was encrypted again since.
            return Ok(false);
        }
        if size > room || !flaws.is_empty() {
            continue;
        }
        room -= size;
        if !keep(request, &folder, &manifest, captured)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Copies one content; says whether it was still as its manifest says.
fn keep(
    request: &Request<'_>,
    folder: &Path,
    manifest: &ContentManifest,
    captured: &mut Captured,
) -> Result<bool> {
    let to = request.staging.join(manifest.content_hash.to_string());
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&to)
        .map_err(Error::file(&to, "cannot be made"))?;
    for index in 0..manifest.chunk_hashes.len() {
        let Ok(bytes) = chunks::read(folder, manifest, index) else { return Ok(false) };
        let copy = to.join(chunks::name(index));
        fs::write(&copy, bytes).map_err(Error::file(&copy, "cannot be written"))?;
        let at = folder.join(chunks::name(index));
        captured.grafts.push(Graft { at, with: With::Staged(copy) });
    }
    // It may be of another encryption by now; Axon makes it again.
    captured.grafts.push(Graft { at: folder.join(chunks::CACHE), with: With::Nothing });
    Ok(true)
}

/// What was written since, against the copy of the database.
///
/// # Errors
/// If the database or the folder cannot be read.
pub fn look_back(
    path: &Path,
    rule: &AxonChunksRule,
    others: &Others,
    reading: &Reading<'_>,
) -> Result<Captured> {
    let database = &other(others, &rule.database, path)?.copy;
    let seen = verify::verify(&verify::Request {
        database,
        live: None,
        chunks: path,
        looks: 0,
        pause: Duration::ZERO,
        since: Some(Since { at: reading.since, kept: kept(path, reading.staged) }),
    })?;
    let mut captured = Captured::default();
    if let Some(text) = faults(&seen) {
        let text =
            format!("encrypted again while they were read, take them from the next backup: {text}");
        captured.notes.push(Note::new("changed-while-read", text));
        captured.is_torn = true;
        captured.missing = missing(&seen);
    }
    Ok(captured)
}

/// Content of which copies were read.
fn kept(path: &Path, staged: &[PathBuf]) -> BTreeSet<Digest> {
    let content = |at: &PathBuf| {
        let inner = at.strip_prefix(path).ok()?.components().next()?;
        Digest::parse(inner.as_os_str().to_str()?)
    };
    staged.iter().filter_map(content).collect()
}

/// What the rows name: none of it is in a snapshot without the chunks.
///
/// # Errors
/// If the database cannot be read.
pub fn left_out(rule: &AxonChunksRule, others: &Others) -> Result<Vec<Missing>> {
    let Some(database) = others.get(&rule.database) else { return Ok(Vec::new()) };
    let named = verify::named(&database.copy)?;
    let missing = |(holder, content): (String, Digest)| Missing {
        name: content.to_string(),
        of: holder,
        why: "left-out".to_owned(),
    };
    Ok(named.into_iter().map(missing).collect())
}

/// Checks a copy against the copy of its database.
///
/// # Errors
/// If the database or the folder cannot be read.
pub fn verify(path: &Path, rule: &AxonChunksRule, others: &Others) -> Result<Verified> {
    let mut verified = Verified::default();
    let Some(database) = others.get(&rule.database) else {
        let why =
            format!("the component `{}`, which names the chunks, is not there", rule.database);
        verified.check("chunks", Outcome::Skipped, why);
        return Ok(verified);
    };
    let seen = verify::verify(&verify::Request {
        database: &database.copy,
        live: None,
        chunks: path,
        looks: 0,
        pause: Duration::ZERO,
        since: None,
    })?;
    report(&seen, &mut verified);
    let (count, stale) = verify::caches(path)?;
    let detail = match stale.as_slice() {
        [] => format!("{count}, none stale"),
        stale => format!(
            "{} of {count} are stale: Axon would delete the chunks beside them; a restore removes them",
            stale.len()
        ),
    };
    verified.check("cached manifests", Outcome::Passed, detail);
    Ok(verified)
}

/// Checks the chunks of an instance in use.
///
/// # Errors
/// If the database or the folder cannot be read.
pub fn verify_live(path: &Path, rule: &AxonChunksRule, others: &Others) -> Result<Verified> {
    let mut verified = Verified::default();
    let seen = verify::verify(&verify::Request {
        database: &other(others, &rule.database, path)?.live,
        live: None,
        chunks: path,
        looks: LOOKS,
        pause: PAUSE,
        since: None,
    })?;
    report(&seen, &mut verified);
    Ok(verified)
}

fn report(seen: &Verification, verified: &mut Verified) {
    let figures =
        format!("{} chunks of {} contents, {} bytes", seen.chunks, seen.contents, seen.bytes);
    match faults(seen) {
        Some(text) => verified.check("chunks", Outcome::Failed, text),
        None => verified.check("chunks", Outcome::Passed, figures),
    }
    for note in judged(seen).notes.into_iter().filter(|note| note.code != "wrong-chunks") {
        verified.check(&note.code, Outcome::Passed, note.text);
    }
    verified.position.count("contents", seen.contents);
    verified.position.count("chunks", seen.chunks);
}

/// Removes every `.manifest` that does not fit the chunks beside it: Axon deletes such chunks at the next read.
///
/// # Errors
/// If the folder cannot be listed or a file cannot be removed.
pub fn mend(path: &Path) -> Result<Vec<String>> {
    let (_, stale) = verify::caches(path)?;
    for cache in &stale {
        fs::remove_file(&cache.path).map_err(Error::file(&cache.path, "cannot be removed"))?;
    }
    Ok(match stale.len() {
        0 => Vec::new(),
        count => vec![format!(
            "{count} stale `.manifest` files were removed, so that Axon keeps the chunks beside them"
        )],
    })
}

/// Notes and what is missing.
fn judged(seen: &Verification) -> Captured {
    let mut captured = Captured { missing: missing(seen), ..Captured::default() };
    if let Some(text) = faults(seen) {
        captured.notes.push(Note::new("wrong-chunks", text));
        captured.is_torn = true;
    }
    if !seen.outdated.is_empty() {
        let text = "the database changed again and again: its copy is older than some chunks";
        captured.notes.push(Note::new("outdated", text));
        captured.is_torn = true;
    }
    if !seen.absent.is_empty() {
        let text = format!(
            "never fetched from a peer: {}",
            named(seen.absent.iter().map(|fault| fault.holder.name.clone()))
        );
        captured.notes.push(Note::new("not-fetched", text));
    }
    let stale: Vec<&Fault> = seen.faults.iter().filter(|fault| fault.is_superseded).collect();
    if !stale.is_empty() {
        let text = format!(
            "the same content was stored again under another key, and only the newer row can read it: {}",
            named(stale.iter().map(|fault| fault.holder.name.clone()))
        );
        captured.notes.push(Note::new("superseded", text));
    }
    captured
}

/// What is wrong with content that nothing else stands in for.
fn faults(seen: &Verification) -> Option<String> {
    let wrong = real(seen)
        .filter_map(|fault| Some(format!("{}: {}", fault.holder.name, fault.flaws.first()?)));
    let all: Vec<String> = wrong.chain(seen.unusable.iter().cloned()).collect();
    (!all.is_empty()).then(|| named(all.into_iter()))
}

fn missing(seen: &Verification) -> Vec<Missing> {
    real(seen)
        .map(|fault| Missing {
            name: fault.content_hash.to_string(),
            of: fault.holder.name.clone(),
            why: fault.flaws.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        })
        .collect()
}

fn real(seen: &Verification) -> impl Iterator<Item = &Fault> {
    seen.faults.iter().filter(|fault| !fault.is_superseded)
}

/// The first few, then how many more.
fn named(all: impl ExactSizeIterator<Item = String>) -> String {
    let count = all.len();
    let first: Vec<String> = all.take(NAMED).collect();
    match count.checked_sub(NAMED) {
        None | Some(0) => first.join("; "),
        Some(more) => format!("{}; and {more} more", first.join("; ")),
    }
}
