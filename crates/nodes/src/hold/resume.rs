//! What is held beyond the life of a process: what a crash left, and maintenance that a person entered.

use std::path::Path;

use jiff::Timestamp;

use super::error::{HoldError, Unreleased};
use super::journal::{self, HoldId, Journal, Outstanding};
use super::plan::{Plan, Site};
use super::{Action, State};
use crate::command::never;
use crate::manifest::Note;
use crate::node::Node;

/// What was done about a node at a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// The node.
    pub node: String,
    /// What had been left held and was released.
    pub released: Vec<String>,
    /// What could not be released.
    pub unreleased: Vec<Unreleased>,
}

/// What is held of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Everything that is held, the oldest first.
    pub outstanding: Vec<Outstanding>,
    /// Whether a process holds it right now. If not, what is not manual was left by a crash.
    pub is_busy: bool,
}

/// Releases what a crash left held, of every node with a journal in `folder`. A node that a living process holds is passed over, and what a
/// person entered stays. Only nodes about which there is something to say are returned.
///
/// # Errors
/// If the folder or a journal cannot be read or written.
pub fn resume(folder: &Path, now: Timestamp) -> Result<Vec<Resumed>, HoldError> {
    let mut all = Vec::new();
    for node in journal::nodes(folder)? {
        let resumed = match resume_node(folder, &node, now) {
            Err(HoldError::Busy { .. }) => continue,
            resumed => resumed?,
        };
        if !resumed.released.is_empty() || !resumed.unreleased.is_empty() {
            all.push(resumed);
        }
    }
    Ok(all)
}

/// The same for one node.
///
/// # Errors
/// Also [`HoldError::Busy`], if a living process holds it.
pub fn resume_node(folder: &Path, node: &str, now: Timestamp) -> Result<Resumed, HoldError> {
    // A node whose journal holds nothing is not locked for it: somebody may want to hold it just now.
    if !journal::look(folder, node)?.0.iter().any(|one| !one.is_manual) {
        let (released, unreleased) = (Vec::new(), Vec::new());
        return Ok(Resumed { node: node.to_owned(), released, unreleased });
    }
    let mut journal = Journal::open(folder, node, now)?;
    let left = journal.outstanding().filter(|one| !one.is_manual);
    let before: Vec<(HoldId, String)> = left.map(|one| (one.id, one.step.about.clone())).collect();
    let unreleased = release_all(&mut journal, false);
    let is_gone = |id: HoldId| !journal.outstanding().any(|one| one.id == id);
    let released = before.into_iter().filter(|(id, _)| is_gone(*id)).map(|(_, about)| about);
    Ok(Resumed { node: node.to_owned(), released: released.collect(), unreleased })
}

/// Enters the node's maintenance mode to stay: also when this process is gone. Entering twice is well.
///
/// # Errors
/// If the profile has no commands for it, the node is held, or its command fails.
pub fn enter_maintenance(node: &Node, site: &Site) -> Result<Option<Note>, HoldError> {
    let plan = Plan::of_maintenance(node)?;
    let mut journal = Journal::open(&site.folder, node.name(), site.now)?;
    let unreleased = release_all(&mut journal, false);
    if !unreleased.is_empty() {
        return Err(HoldError::Release { unreleased });
    }
    if let Some(one) = journal.outstanding().find(|one| one.is_manual) {
        let text = format!("in maintenance already, since {}", one.since);
        return Ok(Some(Note::new("manual-maintenance", text)));
    }
    let mut state = State::new(journal);
    for step in &plan.steps {
        if let Err(reason) = state.enter_step(step, true, &never) {
            state.release();
            let (step, reason) = (step.about.clone(), Box::new(reason));
            let unreleased = std::mem::take(&mut state.unreleased);
            return Err(HoldError::Enter { step, reason, unreleased });
        }
    }
    Ok(None)
}

/// Leaves the maintenance mode that a person entered, and whatever else a crash left. Says what was released; nothing if nothing was held.
///
/// # Errors
/// [`HoldError::Release`] with what is still held.
pub fn exit_maintenance(
    folder: &Path,
    node: &str,
    now: Timestamp,
) -> Result<Vec<String>, HoldError> {
    let mut journal = Journal::open(folder, node, now)?;
    let before: Vec<String> = journal.outstanding().map(|one| one.step.about.clone()).collect();
    let unreleased = release_all(&mut journal, true);
    if unreleased.is_empty() { Ok(before) } else { Err(HoldError::Release { unreleased }) }
}

/// What is held of a node, by whom.
///
/// # Errors
/// If its journal cannot be read.
pub fn status(folder: &Path, node: &str) -> Result<Standing, HoldError> {
    let (outstanding, is_busy) = journal::look(folder, node)?;
    Ok(Standing { outstanding, is_busy })
}

/// Strikes out everything that is held of a node without releasing it: a person did it by hand. Returns what was struck out.
///
/// # Errors
/// If a living process holds the node, or its journal cannot be written.
pub fn forget(folder: &Path, node: &str, now: Timestamp) -> Result<Vec<Outstanding>, HoldError> {
    let mut journal = Journal::open(folder, node, now)?;
    let all: Vec<Outstanding> = journal.outstanding().cloned().collect();
    for one in &all {
        journal.released(one.id)?;
    }
    Ok(all)
}

/// Releases what a journal says is held, the youngest first; what a person entered only if `also_manual`.
pub(super) fn release_all(journal: &mut Journal, also_manual: bool) -> Vec<Unreleased> {
    let chosen = journal.outstanding().filter(|one| also_manual || !one.is_manual);
    let ids: Vec<HoldId> = chosen.rev().map(|one| one.id).collect();
    ids.into_iter().filter_map(|id| release_one(journal, id)).collect()
}

/// Releases one thing and writes what came of it.
pub(super) fn release_one(journal: &mut Journal, id: HoldId) -> Option<Unreleased> {
    let one = journal.outstanding().find(|one| one.id == id)?.clone();
    let released = one.step.release(processes(&one, journal.boot()));
    let reason = match released {
        Ok(()) => journal.released(id).err()?.to_string(),
        Err(error) => {
            let reason = error.to_string();
            // If not even that can be written, the step is still in the journal, which is what counts.
            _ = journal.failed(id, reason.clone());
            reason
        }
    };
    let (node, step, by_hand) = (journal.node().to_owned(), one.step.about.clone(), one.by_hand());
    Some(Unreleased { node, step, reason, by_hand })
}

fn processes<'a>(one: &'a Outstanding, boot: &str) -> &'a [crate::process::Process] {
    match one.step.action {
        Action::Freeze { .. } => one.processes_of(boot),
        _ => &[],
    }
}
