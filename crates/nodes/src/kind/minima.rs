//! A Minima node, through its own commands: it backs itself up under a password that nobody keeps, and what it wrote is opened, read to
//! its last byte and stored in its parts, so that the next backup costs only what changed.
//!
//! A copy of its state is a folder with the sections of the node's backup, the tree of blocks in runs of 64. The wallet in it is in the
//! clear, as on the node's own disk; a repository seals everything. [`back`] is the way back.

pub mod archive;
pub mod back;
mod sections;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

pub use self::sections::{read as read_state, write as write_state};
use super::{Captured, Check, Graft, Outcome, Request, Verified, With};
use crate::error::{Error, Result};
use crate::manifest::Note;
use crate::minima::backup::{self, Contents, LIMIT};
use crate::minima::link::{Link, one_time_password};
use crate::minima::{mega, verify as rules};
use crate::profile::{MinimaPart, MinimaRule};

/// The largest file with blocks or coins that is taken of a node, in bytes. They are read from end to end and never held in memory.
pub const LARGEST: u64 = 1 << 40;
/// What the file with all coins is called in a copy.
pub const MEGA: &str = "coins.megammr";

/// Has the node write what the rule takes, and stages it in its parts.
///
/// # Errors
/// If the node does not answer or refuses, or if what it wrote is not whole.
pub fn capture(request: &Request<'_>, rule: &MinimaRule) -> Result<Captured> {
    let link = Link::of(rule, request.variables)?;
    let folder = request.staging.join("minima");
    make_folder(&folder)?;
    let (mut captured, with) = match rule.take {
        MinimaPart::State => (state(&link, &folder)?, With::Staged(folder)),
        MinimaPart::Archive => (archive::capture(&link, &folder)?, With::Staged(folder)),
        MinimaPart::Mega => (mega_state(&link, &folder)?, With::Staged(folder)),
    };
    captured.grafts.push(Graft { at: request.path.to_owned(), with });
    Ok(captured)
}

/// Checks a copy by Minima's own rules, without a node.
///
/// # Errors
/// If it cannot be read.
pub fn verify(path: &Path, rule: &MinimaRule) -> Result<Verified> {
    match rule.take {
        MinimaPart::State => Ok(rules::contents(&read_state(path)?, rules::Keys::All)),
        MinimaPart::Archive => archive::verify(path),
        MinimaPart::Mega => verify_mega(path),
    }
}

/// The node's state as it is now, opened and checked.
///
/// # Errors
/// If the node does not answer or refuses, or if what it wrote is not whole. Nothing stays on its disk.
pub fn fetch_state(link: &Link) -> Result<Fetched> {
    let password = one_time_password()?;
    let parcel = link.parcel("bak")?;
    let is_automatic = link.rpc.back_up(&parcel.inside, &password)?;
    let mut sealed = Vec::new();
    let read = parcel.open(LIMIT)?.read_to_end(&mut sealed);
    read.map_err(Error::file(&parcel.host, "cannot be read"))?;
    let contents = backup::open(&sealed, &password, LIMIT)
        .map_err(|source| Error::Minima { path: parcel.host.clone(), source })?;
    let verified = rules::contents(&contents, rules::Keys::First(1));
    if let Some(bad) = first_failed(&verified) {
        let reason = format!("what the node wrote is not sound: {}: {}", bad.name, bad.detail);
        return Err(Error::Damaged { path: parcel.host.clone(), reason });
    }
    Ok(Fetched { contents, verified, is_automatic })
}

/// What a node wrote of itself.
#[derive(Debug)]
pub struct Fetched {
    /// Its sections.
    pub contents: Contents,
    /// What was found in them.
    pub verified: Verified,
    /// Whether the node also writes backups by itself.
    pub is_automatic: bool,
}

/// The first check that failed.
pub fn first_failed(verified: &Verified) -> Option<&Check> {
    verified.checks.iter().find(|check| check.outcome == Outcome::Failed)
}

fn state(link: &Link, folder: &Path) -> Result<Captured> {
    let standing = link.rpc.standing()?;
    let fetched = fetch_state(link)?;
    write_state(folder, &fetched.contents)?;
    let version = format!("written by Minima {}", standing.version);
    let mut notes = vec![Note::new("node-version", version)];
    notes.extend(notes_of(&fetched));
    let Verified { position, hashes, .. } = fetched.verified;
    Ok(Captured { position, hashes, notes, ..Captured::default() })
}

fn notes_of(fetched: &Fetched) -> Vec<Note> {
    let mut notes = Vec::new();
    let phrase = fetched.verified.position.labels.get("phrase");
    if phrase.is_some_and(|phrase| phrase != "present") {
        let text = "the node's keys are locked or wiped, so that the copy holds no phrase: after a restore unlock them with their password, or give the phrase (nodekeep minima keys NODE restore)";
        notes.push(Note::new("locked", text));
    }
    if fetched.is_automatic {
        let text = "the node also writes backups by itself, without a password, and never removes one: turn that off with `backup auto:false` in its own terminal";
        notes.push(Note::new("auto-backup", text));
    }
    notes
}

/// The file with all coins, as the node writes it.
fn mega_state(link: &Link, folder: &Path) -> Result<Captured> {
    let parcel = link.parcel("megammr")?;
    link.rpc.export_mega(&parcel.inside)?;
    let to = folder.join(MEGA);
    let mut from = parcel.open(LARGEST)?;
    let copied = private(&to).and_then(|mut file| io::copy(&mut from, &mut file));
    copied.map_err(Error::file(&to, "cannot be written"))?;
    drop(parcel);
    let verified = verify_mega(folder)?;
    if let Some(bad) = first_failed(&verified) {
        let reason = format!("what the node wrote is not sound: {}: {}", bad.name, bad.detail);
        return Err(Error::Damaged { path: to, reason });
    }
    let Verified { position, hashes, .. } = verified;
    Ok(Captured { position, hashes, ..Captured::default() })
}

fn verify_mega(folder: &Path) -> Result<Verified> {
    let path = folder.join(MEGA);
    let file = File::open(&path).map_err(Error::file(&path, "cannot be read"))?;
    let mut verified = Verified::default();
    match mega::verify(io::BufReader::new(file)) {
        Err(error) => verified.check("coins", Outcome::Failed, error.to_string()),
        Ok(found) => {
            let detail =
                format!("{} unspent coins, {} blocks after them", found.coins, found.blocks);
            verified.check("coins", Outcome::Passed, detail);
            verified.position.count("unspent coins", found.coins);
            if let Some(tip) = found.tip {
                verified.position.label("newest block", tip.number.to_string());
                verified.hashes.insert("newest block".to_owned(), tip.id.to_string());
            }
        }
    }
    Ok(verified)
}

pub(super) fn make_folder(folder: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().mode(0o700).create(folder);
    made.map_err(Error::file(folder, "cannot be made"))
}

pub(super) fn private(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}
