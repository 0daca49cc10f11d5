//! Git repositories in use: bare, with a work tree, or a folder of them, read without git.
//!
//! First the refs are read, until two readings agree; then the objects are linked into the staging folder, packs and loose ones, in an order
//! in which nothing that a `gc` moves can be missed (see `objects`). So the copy's refs are of one moment, and all that they name is there.
//! Files of a work tree are files as they are.
//!
//! Linking changes nothing in a repository but the link count of its objects, and with it the time of the last change that `stat` calls ctime.

mod contents;
mod find;
mod freeze;
mod objects;
mod refs;
mod verify;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

pub use verify::verify;

use super::{Captured, Graft, Request, With};
use crate::error::{Error, Result};
use crate::manifest::Note;
use contents::Contents;
use find::{find, is_repository};
use objects::{Origins, gather};
use refs::{Refs, Tips};

/// How often a repository is tried in which a ref names what is not there.
const TRIES: usize = 3;
/// How long to wait before the next try.
const PAUSE: Duration = Duration::from_millis(50);

/// Captures every repository at a path.
///
/// # Errors
/// If there is none, or none of them can be captured. If only some cannot, a note says which, and they are read as plain files.
pub fn capture(request: &Request<'_>) -> Result<Captured> {
    let found = find(request.path)?;
    let mut captured = Captured::default();
    let mut failure = None;
    let mut done = 0;
    for (number, repository) in found.repositories.iter().enumerate() {
        let staging = request.staging.join(number.to_string());
        match capture_one(request, repository, &staging) {
            Ok(one) => {
                join(&mut captured, one);
                done += 1;
            }
            Err(error) => {
                captured.is_torn = true;
                captured.notes.push(Note::new("repository-failed", error.to_string()));
                failure = failure.or(Some(error));
            }
        }
    }
    if done == 0 {
        return Err(failure.unwrap_or_else(|| no_repository(request.path)));
    }
    captured.position.count("repositories", done);
    if done > 1 {
        // Of several heads none is the head.
        captured.hashes.clear();
    }
    captured.notes.extend(found.elsewhere.iter().map(|(folder, there)| {
        let text = format!(
            "{} is a work tree of {}, which lies elsewhere and is not in the copy",
            folder.display(),
            there.display()
        );
        Note::new("elsewhere", text)
    }));
    Ok(captured)
}

/// Whether a folder is a repository, or a work tree with one.
pub fn is_one(path: &Path) -> bool {
    is_repository(path) || is_repository(&path.join(".git"))
}

fn no_repository(path: &Path) -> Error {
    let reason = "there is no git repository in it".to_owned();
    Error::Unsupported { path: path.to_owned(), reason }
}

fn join(all: &mut Captured, one: Captured) {
    all.grafts.extend(one.grafts);
    all.position.join(&one.position);
    all.notes.extend(one.notes);
    all.is_torn |= one.is_torn;
    all.hashes.extend(one.hashes);
}

/// One try at a repository.
struct Attempt {
    refs: Refs,
    are_refs_still: bool,
    grafts: Vec<Graft>,
    origins: Origins,
    contents: Contents,
}

fn capture_one(request: &Request<'_>, repository: &Path, staging: &Path) -> Result<Captured> {
    check_format(repository)?;
    let deadline = Instant::now() + request.patience;
    let mut attempt = Attempt::make(request, repository, staging, deadline)?;
    for _ in 1..TRIES {
        // A branch that was dropped, and its objects pruned, since the refs were read; or a repository that is broken.
        if attempt.missing().is_empty() || Instant::now() >= deadline {
            break;
        }
        thread::sleep(PAUSE);
        attempt = Attempt::make(request, repository, staging, deadline)?;
    }
    Ok(attempt.describe(repository))
}

impl Attempt {
    fn make(
        request: &Request<'_>,
        repository: &Path,
        staging: &Path,
        deadline: Instant,
    ) -> Result<Self> {
        start_over(staging)?;
        let (refs, are_refs_still) = Refs::read_still(repository)?;
        let mut grafts = freeze::freeze(repository, &refs, staging)?;
        let (from, to) = (repository.join("objects"), staging.join("objects"));
        let origins = Origins::of(&from)?;
        if gather(&origins, &to, deadline)?.is_none() {
            let reason = "packs came and went all the time".to_owned();
            let (path, patience) = (repository.to_owned(), request.patience);
            return Err(Error::Restless { path, patience, reason });
        }
        let damaged = |reason| Error::Damaged { path: repository.to_owned(), reason };
        let contents = Contents::open(&to).map_err(damaged)?;
        grafts.push(Graft { at: from, with: With::StagedForever(to) });
        Ok(Self { refs, are_refs_still, grafts, origins, contents })
    }

    fn missing(&self) -> Vec<String> {
        let tips: Tips = self.refs.tips();
        let missing = self.contents.missing(&tips);
        missing.into_iter().map(|(name, id)| format!("{name} names {id}")).collect()
    }

    fn describe(self, repository: &Path) -> Captured {
        let mut captured = Captured::default();
        captured.position.count("refs", self.refs.count());
        captured.hashes.extend(self.refs.head().map(|id| ("HEAD".to_owned(), id.to_string())));
        let faults = match self.contents.count() {
            Ok((counts, faults)) => {
                counts.tell(&mut captured.position);
                faults.text()
            }
            Err(reason) => Some(reason),
        };
        let torn =
            |code, text: String| Note::new(code, format!("{}: {text}", repository.display()));
        if let Some(missing) = self.missing().first() {
            let text = format!("{missing}, which is not there: the repository itself is damaged");
            captured.notes.push(torn("missing-object", text));
        }
        captured.notes.extend(faults.map(|text| torn("damaged-object", text)));
        let missing = self.origins.missing.iter();
        captured.notes.extend(missing.map(|folder| {
            torn(
                "missing-alternate",
                format!("it borrows objects from {}, which is not there", folder.display()),
            )
        }));
        captured.is_torn = !captured.notes.is_empty();
        captured.notes.extend(self.remarks(repository));
        captured.grafts = self.grafts;
        captured
    }

    /// What a person should know though nothing is amiss.
    fn remarks(&self, repository: &Path) -> Vec<Note> {
        let note =
            |code, text: String| Note::new(code, format!("{}: {text}", repository.display()));
        let mut notes = Vec::new();
        if !self.are_refs_still {
            let text = "refs changed all the time: each is as it was at a moment of its own";
            notes.push(note("refs-moving", text.to_owned()));
        }
        for folder in self.origins.folders.iter().skip(1) {
            let text = format!("objects that it borrows from {} are in the copy", folder.display());
            notes.push(note("alternate", text));
        }
        if repository.join("shallow").exists() {
            notes.push(note(
                "shallow",
                "it is a shallow clone: older history is not in it".to_owned(),
            ));
        }
        if is_partial(repository) {
            let text = "it is a partial clone: what it never fetched is not in it".to_owned();
            notes.push(note("partial", text));
        }
        notes
    }
}

fn start_over(staging: &Path) -> Result<()> {
    if staging.exists() {
        fs::remove_dir_all(staging).map_err(Error::file(staging, "remove"))?;
    }
    fs::create_dir(staging).map_err(Error::file(staging, "create"))
}

/// Refuses what cannot be read here.
fn check_format(repository: &Path) -> Result<()> {
    let refuse = |what: &str| {
        let reason = format!(
            "it {what}, which Nodekeep cannot read yet: back it up as kind `command` with `git bundle create - --all`, or as `files` under a hold"
        );
        Err(Error::Unsupported { path: repository.to_owned(), reason })
    };
    if repository.join("reftable").is_dir() || says(repository, "refstorage", "reftable") {
        return refuse("keeps its refs as a reftable");
    }
    if says(repository, "objectformat", "sha256") {
        return refuse("names objects by SHA-256");
    }
    Ok(())
}

/// Whether the configuration gives a key of `[extensions]` a value; any value if that is empty.
fn says(repository: &Path, key: &str, value: &str) -> bool {
    let config = fs::read(repository.join("config")).unwrap_or_default();
    let config = String::from_utf8_lossy(&config).to_lowercase();
    config.lines().any(|line| {
        let (name, given) = line.split_once('=').unwrap_or((line, ""));
        name.trim() == key && (value.is_empty() || given.trim() == value)
    })
}

fn is_partial(repository: &Path) -> bool {
    says(repository, "partialclone", "") || says(repository, "promisor", "true")
}

/// The commits whose parents a shallow clone does not have.
fn shallow_ends(repository: &Path) -> Result<std::collections::HashSet<gix_hash::ObjectId>> {
    let text = find::read(&repository.join("shallow"))?.unwrap_or_default();
    let lines = text.split(|&byte| byte == b'\n');
    Ok(lines.filter_map(|line| gix_hash::ObjectId::from_hex(line.trim_ascii()).ok()).collect())
}

/// Where a copy of `name` lies in `staging`, with the folders above it.
fn staged(staging: &Path, name: &Path) -> Result<PathBuf> {
    let path = staging.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(Error::file(parent, "create"))?;
    }
    Ok(path)
}
