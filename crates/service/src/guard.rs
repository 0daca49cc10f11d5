//! A guarded command: what a deployment or an upgrade runs between a verified backup and a look at the node. Each phase is written down
//! before it begins, so that whoever comes after a crash is told which one was cut off and which snapshot holds what was before.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;

use jiff::Timestamp;
use nodekeep_repo::id::SnapshotId;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::state::{NodeState, make_folder};

const JOURNAL: &str = "guard.json";
const LOCK: &str = "guard.lock";

/// How far a guarded command had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The backup is made and verified: nothing was changed yet.
    Backup,
    /// The command runs, or the node is looked at.
    Command,
    /// What was before is put back.
    Rollback,
}

/// What is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The node.
    pub node: String,
    /// When it began.
    pub began: Timestamp,
    /// How far it had come.
    pub phase: Phase,
    /// The snapshot that holds what was before, hexadecimal.
    pub snapshot: Option<String>,
}

impl Entry {
    /// What a person must know of one that was cut off.
    pub fn told(&self) -> String {
        let Self { node, began, phase, snapshot } = self;
        let id: String = snapshot.as_deref().unwrap_or_default().chars().take(8).collect();
        let cut = match phase {
            Phase::Backup => {
                return format!(
                    "a guarded command for {node} was cut off before it began; nothing was changed"
                );
            }
            Phase::Command => "while its command ran, which may be half done",
            Phase::Rollback => "while what was before was put back",
        };
        format!(
            "a guarded command for {node}, begun at {began:.0}, was cut off {cut}. What was before: nodekeep restore {node}@{id}. If all is well: nodekeep guard {node} --forget"
        )
    }
}

/// A guarded command that goes on. When it goes out of use without [`Guard::done`], it counts as cut off.
#[derive(Debug)]
pub struct Guard {
    state: NodeState,
    entry: Entry,
    _lock: File,
}

impl Guard {
    /// Begins one for a node.
    ///
    /// # Errors
    /// [`Error::Busy`] if another goes on, [`Error::GuardLeft`] if one was cut off and nobody has said what became of it.
    pub fn begin(state: &NodeState, node: &str, now: Timestamp) -> Result<Self> {
        let lock = lock(state)?.ok_or_else(|| Error::Busy { name: node.to_owned() })?;
        if let Some(left) = read(state)?.filter(|left| left.phase != Phase::Backup) {
            return Err(Error::GuardLeft { node: node.to_owned(), told: left.told() });
        }
        let entry =
            Entry { node: node.to_owned(), began: now, phase: Phase::Backup, snapshot: None };
        state.write_json(JOURNAL, &entry)?;
        Ok(Self { state: state.clone(), entry, _lock: lock })
    }

    /// What was before is in this snapshot: the command may run.
    ///
    /// # Errors
    /// If it cannot be written down; then nothing may be run.
    pub fn backed_up(&mut self, snapshot: SnapshotId) -> Result<()> {
        self.entry.snapshot = Some(snapshot.hex());
        self.enter(Phase::Command)
    }

    /// What was before is about to be put back.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn roll_back(&mut self) -> Result<()> {
        self.enter(Phase::Rollback)
    }

    /// Nothing is left to say of it.
    ///
    /// # Errors
    /// If the journal cannot be removed.
    pub fn done(self) -> Result<()> {
        self.state.forget(JOURNAL)
    }

    fn enter(&mut self, phase: Phase) -> Result<()> {
        self.entry.phase = phase;
        self.state.write_json(JOURNAL, &self.entry)
    }
}

/// What a crash left of a guarded command, in a sentence. One that had not begun is forgotten with that; the others are told until
/// somebody says what became of them.
///
/// # Errors
/// If the journal cannot be read or removed.
pub fn left(state: &NodeState) -> Result<Option<String>> {
    let Some(entry) = read(state)? else {
        return Ok(None);
    };
    let Some(_lock) = lock(state)? else {
        return Ok(None);
    };
    if entry.phase == Phase::Backup {
        state.forget(JOURNAL)?;
    }
    Ok(Some(entry.told()))
}

/// Forgets what was left; whether there was anything.
///
/// # Errors
/// [`Error::Busy`] if it still goes on, or if the journal cannot be removed.
pub fn forget(state: &NodeState, node: &str) -> Result<bool> {
    let _lock = lock(state)?.ok_or_else(|| Error::Busy { name: node.to_owned() })?;
    let was_there = read(state)?.is_some();
    state.forget(JOURNAL)?;
    Ok(was_there)
}

/// A restore of the node answers what was left. One that goes on has the journal in its own hands.
///
/// # Errors
/// If the journal cannot be removed.
pub fn answered(state: &NodeState) -> Result<()> {
    match lock(state)? {
        Some(_lock) => state.forget(JOURNAL),
        None => Ok(()),
    }
}

fn read(state: &NodeState) -> Result<Option<Entry>> {
    state.read_json(JOURNAL)
}

/// `None` if a living process has it.
fn lock(state: &NodeState) -> Result<Option<File>> {
    make_folder(state.folder())?;
    let path = state.folder().join(LOCK);
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.map_err(Error::file(&path, "cannot be opened"))?;
    Ok(flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;

    fn state(folder: &tempfile::TempDir) -> NodeState {
        State::new(folder.path().to_owned()).of("n").unwrap()
    }

    #[test]
    fn what_was_cut_off_is_told_by_its_phase_until_it_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        let state = state(&folder);
        let now = Timestamp::UNIX_EPOCH;
        drop(Guard::begin(&state, "n", now).unwrap());
        assert!(left(&state).unwrap().unwrap().contains("nothing was changed"));
        assert_eq!(left(&state).unwrap(), None, "there was nothing to answer");
        let mut guard = Guard::begin(&state, "n", now).unwrap();
        guard.backed_up(SnapshotId::parse(&"ab".repeat(SnapshotId::LEN)).unwrap()).unwrap();
        assert_eq!(left(&state).unwrap(), None, "it goes on");
        assert!(matches!(forget(&state, "n"), Err(Error::Busy { .. })));
        assert!(matches!(Guard::begin(&state, "n", now), Err(Error::Busy { .. })));
        drop(guard);
        for _ in 0..2 {
            let told = left(&state).unwrap().unwrap();
            assert!(told.contains("half done") && told.contains("n@abababab"), "{told}");
        }
        assert!(matches!(Guard::begin(&state, "n", now), Err(Error::GuardLeft { .. })));
        assert!(forget(&state, "n").unwrap());
        assert!(!forget(&state, "n").unwrap());
        let mut guard = Guard::begin(&state, "n", now).unwrap();
        guard.roll_back().unwrap();
        drop(guard);
        assert!(left(&state).unwrap().unwrap().contains("put back"));
        answered(&state).unwrap();
        Guard::begin(&state, "n", now).unwrap().done().unwrap();
        assert_eq!(left(&state).unwrap(), None);
    }
}
