//! What goes back through a program. The copy stays beside its place until the program has taken it, and a list of what waits is written
//! down before state is put in place: neither a failure nor a crash loses it, and the same restore of the component tries again.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nodekeep_nodes::kind::back::{self, GiveBack, Returned, WayBack, way_back};
use nodekeep_nodes::kind::{Outcome, Verified};
use nodekeep_nodes::node::Node;
use nodekeep_nodes::profile::Variables;
use serde::{Deserialize, Serialize};

use super::place::Placement;
use super::stage::{Staged, remove};
use super::{Back, Restored};
use crate::error::{Error, Result};
use crate::find::NodeSnapshot;
use crate::state::NodeState;

const LIST: &str = "give-back.json";
/// How long a program may take, where the profile does not say less.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// How long a node that ends by itself may take to do so.
const ENDS_WITHIN: Duration = Duration::from_secs(60);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(100);

/// A component that a program takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Its name.
    pub component: String,
    /// Where it lay, and where it lies now.
    pub placement: Placement,
    /// When it goes back.
    pub way: WayBack,
}

/// A copy that was not taken yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The component.
    pub component: String,
    /// The snapshot's id.
    pub snapshot: String,
    /// Where the copy lies.
    pub copy: PathBuf,
    /// Whether the program took it: then it waits only to be compared.
    #[serde(default)]
    pub is_taken: bool,
}

impl Given {
    /// The copy, for its kind.
    pub(super) fn back<'a>(&'a self, copy: &'a Path, variables: &'a Variables) -> GiveBack<'a> {
        GiveBack { copy, path: &self.placement.target, variables, patience: PATIENCE }
    }
}

impl Waiting {
    /// What to type, in a sentence.
    pub fn told(&self, node: &str) -> String {
        let short = self.snapshot.get(..8).unwrap_or(&self.snapshot);
        format!(
            "`{0}` of snapshot {short} was not given back; its copy lies in {1}. To give it back: nodekeep restore {node}@{short} --component {0}",
            self.component,
            self.copy.display()
        )
    }
}

/// The wanted components of a snapshot that a program takes: those for the stopped node first.
pub(super) fn planned(
    snapshot: &NodeSnapshot,
    node: &Node,
    wants: impl Fn(&str) -> bool,
) -> Result<Vec<Given>> {
    let mut planned = Vec::new();
    for located in node.components()? {
        let name = &located.component.name;
        let way = way_back(&located.component.kind);
        let mut held = snapshot.manifest.components.iter();
        let held = held.find(|record| record.name == *name && snapshot.holds(name));
        let (Some(record), true, true) = (held, way != WayBack::Files, wants(name)) else {
            continue;
        };
        let components = vec![name.clone()];
        let placement =
            Placement { recorded: record.path.clone(), target: located.path, components };
        planned.push(Given { component: name.clone(), placement, way });
    }
    planned.sort_by_key(|given| given.way == WayBack::WhileRunning);
    Ok(planned)
}

/// What waits to be given back.
///
/// # Errors
/// If the list cannot be read.
pub fn waiting(state: &NodeState) -> Result<Vec<Waiting>> {
    let mut waiting: Vec<Waiting> = state.read_json(LIST)?.unwrap_or_default();
    // Whoever removes the copy has seen to it.
    waiting.retain(|one| one.copy.symlink_metadata().is_ok());
    Ok(waiting)
}

/// Writes down that these copies wait. Others of the same components are superseded.
pub(super) fn begin(state: &NodeState, snapshot: &NodeSnapshot, staged: &Staged) -> Result<()> {
    if staged.given.is_empty() {
        return Ok(());
    }
    let new: Vec<Waiting> = staged
        .given
        .iter()
        .map(|(given, copy)| Waiting {
            component: given.component.clone(),
            snapshot: snapshot.record.id.hex(),
            copy: copy.clone(),
            is_taken: false,
        })
        .collect();
    let is_new = |one: &Waiting| new.iter().any(|new| new.component == one.component);
    let (old, mut kept): (Vec<_>, Vec<_>) = waiting(state)?.into_iter().partition(is_new);
    let stale = old.iter().filter(|old| !new.iter().any(|new| new.copy == old.copy));
    stale.map(|old| remove(&old.copy)).collect::<Result<()>>()?;
    kept.extend(new);
    keep(state, &kept)
}

/// What a crash left waiting; copies that were taken are removed.
///
/// # Errors
/// If the list cannot be read or written, or a copy not be removed.
pub fn resume(state: &NodeState) -> Result<Vec<Waiting>> {
    let taken = waiting(state)?.into_iter().filter(|one| one.is_taken);
    taken.map(|one| end(state, &one.copy)).collect::<Result<()>>()?;
    waiting(state)
}

/// Strikes a copy from the list and removes it: it was taken and compared, or nothing came of the restore.
fn end(state: &NodeState, copy: &Path) -> Result<()> {
    remove(copy)?;
    keep(state, &waiting(state)?)
}

fn mark(state: &NodeState, copy: &Path, is_taken: bool) -> Result<()> {
    let mut list = waiting(state)?;
    list.iter_mut().filter(|one| one.copy == copy).for_each(|one| one.is_taken = is_taken);
    keep(state, &list)
}

fn keep(state: &NodeState, list: &[Waiting]) -> Result<()> {
    match list {
        [] => state.forget(LIST),
        list => state.write_json(LIST, &list),
    }
}

impl Back<'_> {
    /// Gives back what is due now, up to the first that is not taken; whether all was.
    pub(super) fn give(
        &self,
        state: &NodeState,
        staged: &Staged,
        way: WayBack,
        restored: &mut Restored,
    ) -> bool {
        staged.given.iter().filter(|(given, _)| given.way == way).all(|(given, copy)| {
            match self.give_one(state, given, copy) {
                Ok(returned) => {
                    restored.given.push((given.component.clone(), returned.said));
                    !returned.ends_node || self.starts_anew(restored)
                }
                Err(error) => {
                    restored.problems.push(self.not_taken(state, given, &error));
                    false
                }
            }
        })
    }

    fn give_one(&self, state: &NodeState, given: &Given, copy: &Path) -> Result<Returned> {
        let located = self.node.component(&given.component)?;
        let variables = self.node.variables();
        let returned = back::give_back(&located.component.kind, &given.back(copy, &variables))?;
        mark(state, copy, true)?;
        Ok(returned)
    }

    fn not_taken(&self, state: &NodeState, given: &Given, error: &Error) -> String {
        let list = waiting(state).unwrap_or_default();
        let told = list.iter().find(|one| one.component == given.component);
        let told = told.map(|one| one.told(self.node.name())).unwrap_or_default();
        format!("{}: {error}. {told}", given.component)
    }

    /// A node that ended by itself is started again. One that something else starts at once is not seen to end.
    fn starts_anew(&self, restored: &mut Restored) -> bool {
        let deadline = Instant::now() + ENDS_WITHIN;
        while matches!(self.control.is_running(), Ok(Some(true))) && Instant::now() < deadline {
            thread::sleep(LOOK);
        }
        self.starts(restored)
    }

    /// Whether the node has what it was given; only then the copy goes.
    pub(super) fn compare(&self, state: &NodeState, staged: &Staged, restored: &mut Restored) {
        let taken: Vec<String> = restored.given.iter().map(|(name, _)| name.clone()).collect();
        let given = staged.given.iter().filter(|(given, _)| taken.contains(&given.component));
        for (given, copy) in given {
            let verified = self.compare_one(given, copy);
            let bad = verified.checks.iter().find(|check| check.outcome == Outcome::Failed);
            let kept = match bad {
                None => end(state, copy),
                Some(check) => {
                    restored.problems.push(format!(
                        "{}: it was taken, and {} differ: {}. Its copy is kept in {}",
                        given.component,
                        check.name,
                        check.detail,
                        copy.display()
                    ));
                    mark(state, copy, false)
                }
            };
            restored.problems.extend(kept.err().map(|error| error.to_string()));
            restored.verified.push((given.component.clone(), verified));
        }
    }

    fn compare_one(&self, given: &Given, copy: &Path) -> Verified {
        let variables = self.node.variables();
        let located = self.node.component(&given.component).map_err(Error::from);
        let compared = located.and_then(|located| {
            Ok(back::compare(&located.component.kind, &given.back(copy, &variables))?)
        });
        compared.unwrap_or_else(|error| {
            let mut failed = Verified::default();
            failed.check("comparison", Outcome::Failed, error.to_string());
            failed
        })
    }
}
