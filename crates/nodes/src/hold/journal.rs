//! The journal of a node's holds: a file that is only added to, and on the disk before anything is done to the node. So the next start
//! knows what was left held, however the last one ended.
//!
//! `NODE.journal` holds a line of JSON for each event, `NODE.lock` is locked by whoever holds the node: the system unlocks it when that
//! process is gone, so it never goes stale.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::HoldError;
use super::step::Step;
use crate::error::{Error, Result};
use crate::node::check_name;
use crate::process::Process;

/// A program that is being started holds copies of our locks until it runs: for a moment nobody else does.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// Above this size in bytes a journal in which nothing is held begins anew.
const LONG: u64 = 64 << 10;
/// Tells one start of the machine from the next.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A number for something that was entered, unique in a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HoldId(u64);

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
enum Event {
    /// About to be done.
    Entering { id: HoldId, at: Timestamp, is_manual: bool, boot: String, step: Box<Step> },
    /// About to be stopped, besides those named before.
    Stopping { id: HoldId, processes: Vec<Process> },
    /// Undone.
    Released { id: HoldId, at: Timestamp },
    /// Could not be undone.
    Failed { id: HoldId, at: Timestamp, reason: String },
}

/// Something that is held, or may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outstanding {
    /// Its number.
    pub id: HoldId,
    /// Since when.
    pub since: Timestamp,
    /// Whether a person asked for it, so that it stays until a person ends it.
    pub is_manual: bool,
    /// What was done.
    pub step: Step,
    /// The processes that were stopped.
    pub processes: Vec<Process>,
    /// Why it could not be released the last time that was tried.
    pub failure: Option<String>,
    boot: String,
}

/// A node's journal, and the right to hold the node.
#[derive(Debug)]
pub struct Journal {
    node: String,
    path: PathBuf,
    file: File,
    outstanding: BTreeMap<HoldId, Outstanding>,
    next: u64,
    boot: String,
    now: (Timestamp, Instant),
    /// Locked for as long as this lives.
    _lock: File,
}

impl Outstanding {
    /// The line that releases it, to be typed into a shell.
    pub fn by_hand(&self) -> String {
        self.step.by_hand(&self.processes)
    }

    /// The processes that may still be stopped: none after the machine was started anew, whatever has their ids then.
    pub(super) fn processes_of(&self, boot: &str) -> &[Process] {
        if self.boot == boot { &self.processes } else { &[] }
    }
}

impl Journal {
    /// Opens or begins a node's journal in `folder`, and takes the right to hold the node. `now` is the time of day.
    ///
    /// # Errors
    /// [`HoldError::Busy`] if another process has that right; or if the journal cannot be read or written.
    pub fn open(folder: &Path, node: &str, now: Timestamp) -> Result<Self, HoldError> {
        check_name(node)?;
        make_private(folder)?;
        let lock = lock_within(folder, node, LOCK_PATIENCE)?;
        let path = path_of(folder, node);
        let mut file = open(&path)?;
        sync_folder(folder)?;
        let (outstanding, next) = read(&mut file, &path, true)?;
        let boot = fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned();

        let (node, now) = (node.to_owned(), (now, Instant::now()));
        let mut journal = Self { node, path, file, outstanding, next, boot, now, _lock: lock };
        journal.shorten()?;
        Ok(journal)
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// What is held, the oldest first.
    pub fn outstanding(&self) -> impl DoubleEndedIterator<Item = &Outstanding> {
        self.outstanding.values()
    }

    /// This start of the machine.
    pub(super) fn boot(&self) -> &str {
        &self.boot
    }

    /// Says that a step is about to be done.
    pub(super) fn entering(&mut self, step: &Step, is_manual: bool) -> Result<HoldId> {
        let id = HoldId(self.next);
        self.next += 1;
        let (at, boot) = (self.now(), self.boot.clone());
        self.append(Event::Entering { id, at, is_manual, boot, step: Box::new(step.clone()) })?;
        Ok(id)
    }

    /// Says that these processes are about to be stopped.
    pub(super) fn stopping(&mut self, id: HoldId, processes: &[Process]) -> Result<()> {
        self.append(Event::Stopping { id, processes: processes.to_vec() })
    }

    /// Says that a step was undone.
    pub(super) fn released(&mut self, id: HoldId) -> Result<()> {
        self.append(Event::Released { id, at: self.now() })
    }

    /// Says that a step could not be undone.
    pub(super) fn failed(&mut self, id: HoldId, reason: String) -> Result<()> {
        self.append(Event::Failed { id, at: self.now(), reason })
    }

    fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.now.1.elapsed()).unwrap_or(SignedDuration::ZERO);
        self.now.0.checked_add(passed).unwrap_or(self.now.0)
    }

    /// On the disk when it returns.
    fn append(&mut self, event: Event) -> Result<()> {
        let fail = |source| Error::file(self.path.clone(), "the journal cannot be written")(source);
        let mut line = serde_json::to_vec(&event).map_err(|error| fail(error.into()))?;
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        written.map_err(fail)?;
        apply(&mut self.outstanding, event);
        Ok(())
    }

    fn shorten(&mut self) -> Result<()> {
        let fail = Error::file(&self.path, "the journal cannot be shortened");
        let shorten = || {
            if self.outstanding.is_empty() && self.file.metadata()?.len() > LONG {
                self.file.set_len(0)?;
                self.file.sync_all()?;
            }
            Ok(())
        };
        shorten().map_err(fail)
    }
}

/// What a node's journal says is held, without taking the right to hold it; and whether somebody has that right now.
///
/// # Errors
/// If it cannot be read.
pub fn look(folder: &Path, node: &str) -> Result<(Vec<Outstanding>, bool), HoldError> {
    let path = path_of(folder, node);
    if !path.exists() {
        return Ok((Vec::new(), false));
    }
    let mut file = File::open(&path).map_err(Error::file(&path, "cannot be read"))?;
    let (outstanding, _) = read(&mut file, &path, false)?;
    let is_busy = matches!(lock(folder, node), Err(HoldError::Busy { .. }));
    Ok((outstanding.into_values().collect(), is_busy))
}

/// The nodes that have a journal in a folder, sorted; none if there is no folder.
///
/// # Errors
/// If it cannot be listed.
pub fn nodes(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::file(folder, "cannot be listed")(error)),
    };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let nodes = names.filter_map(|name| name.strip_suffix(".journal").map(str::to_owned));
    let mut nodes: Vec<String> = nodes.filter(|node| check_name(node).is_ok()).collect();
    nodes.sort();
    Ok(nodes)
}

/// Makes a folder that only its owner can look into.
pub(super) fn make_private(folder: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(Error::file(folder, "cannot be made"))
}

fn path_of(folder: &Path, node: &str) -> PathBuf {
    folder.join(format!("{node}.journal"))
}

fn lock_within(folder: &Path, node: &str, patience: Duration) -> Result<File, HoldError> {
    let deadline = Instant::now() + patience;
    loop {
        match lock(folder, node) {
            Err(HoldError::Busy { .. }) if Instant::now() < deadline => {
                thread::sleep(patience / 50);
            }
            result => return result,
        }
    }
}

fn lock(folder: &Path, node: &str) -> Result<File, HoldError> {
    let path = folder.join(format!("{node}.lock"));
    let file = open(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(HoldError::Busy { node: node.to_owned(), lock: path }),
        Err(TryLockError::Error(source)) => {
            Err(Error::file(path, "cannot be locked")(source).into())
        }
    }
}

fn open(path: &Path) -> Result<File> {
    let file = File::options().read(true).append(true).create(true).mode(0o600).open(path);
    file.map_err(Error::file(path, "cannot be opened"))
}

fn sync_folder(folder: &Path) -> Result<()> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(Error::file(folder, "cannot be synced"))
}

/// What is held, and the next number. A last line without an end was never acted upon: it is cut if `cut`.
fn read(
    file: &mut File,
    path: &Path,
    cut: bool,
) -> Result<(BTreeMap<HoldId, Outstanding>, u64), HoldError> {
    let fail = |source| Error::file(path.to_path_buf(), "cannot be read")(source);
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(0)).map_err(fail)?;
    file.read_to_end(&mut text).map_err(fail)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if cut && whole < text.len() {
        file.set_len(whole as u64).and_then(|()| file.sync_all()).map_err(fail)?;
    }
    let mut outstanding = BTreeMap::new();
    let mut next = 0;
    for (at, line) in text[..whole].split_inclusive(|byte| *byte == b'\n').enumerate() {
        let event: Event = serde_json::from_slice(line)
            .map_err(|_| HoldError::Journal { path: path.to_path_buf(), line: at + 1 })?;
        if let Event::Entering { id, .. } = &event {
            next = next.max(id.0.saturating_add(1));
        }
        apply(&mut outstanding, event);
    }
    Ok((outstanding, next))
}

fn apply(outstanding: &mut BTreeMap<HoldId, Outstanding>, event: Event) {
    match event {
        Event::Entering { id, at, is_manual, boot, step } => {
            let (processes, failure) = (Vec::new(), None);
            let step = *step;
            let one = Outstanding { id, since: at, is_manual, step, processes, failure, boot };
            outstanding.insert(id, one);
        }
        Event::Stopping { id, processes } => {
            if let Some(one) = outstanding.get_mut(&id) {
                one.processes.extend(processes);
            }
        }
        Event::Released { id, .. } => drop(outstanding.remove(&id)),
        Event::Failed { id, reason, .. } => {
            if let Some(one) = outstanding.get_mut(&id) {
                one.failure = Some(reason);
            }
        }
    }
}
