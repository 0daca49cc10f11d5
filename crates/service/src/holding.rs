//! A node held while it is captured. A hold that cannot be entered costs no backup: what is copied then is copied from the running node,
//! and the manifest says so.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use nodekeep_nodes::command::Stop;
use nodekeep_nodes::health;
use nodekeep_nodes::hold::{self, Held, HoldError, Journal, Mapping, Mounts, Plan, Site};
use nodekeep_nodes::hooks::{self, Context};
use nodekeep_nodes::manifest::Note;
use nodekeep_nodes::node::Node;
use nodekeep_nodes::profile::HoldMethod;
use nodekeep_repo::error::Error as Engine;

use crate::error::{Error, Result};
use crate::state::NodeState;

/// How long a node that was stopped for a copy may take to be well again.
const WELL_WITHIN: Duration = Duration::from_secs(180);

/// Where journals, mounts and logs of a node lie in its folder.
pub fn site(state: &NodeState) -> Site {
    let tools = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from).to_vec();
    Site { folder: state.folder().join("hold"), tools, now: Timestamp::now() }
}

/// A node that is held, or would have been.
#[derive(Debug)]
pub struct Holding {
    held: Option<Held>,
    notes: Vec<Note>,
    after: Option<(Node, Context)>,
    is_cold: bool,
}

/// Where paths are read while it is held.
#[derive(Debug, Clone, Default)]
pub struct View(Option<Mapping>);

impl View {
    /// Where a path is read.
    pub fn reading(&self, live: &Path) -> PathBuf {
        let shown = self.0.as_ref().and_then(|mapping| mapping.snapshot_of(live));
        shown.unwrap_or_else(|| live.to_owned())
    }

    /// Whether a path is read live although a file system was frozen.
    pub fn is_outside(&self, live: &Path) -> bool {
        self.0.as_ref().is_some_and(|mapping| mapping.snapshot_of(live).is_none())
    }

    /// File systems mounted in a folder of the frozen one: there they are empty.
    pub fn foreign_in(&self, folder: &Path) -> Vec<PathBuf> {
        let foreign = self.0.as_ref().map(Mapping::foreign).unwrap_or_default();
        let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        foreign
            .iter()
            .filter(|point| **point != real && point.starts_with(&real))
            .cloned()
            .collect()
    }
}

impl Holding {
    /// Runs the hooks before a backup and holds the node.
    ///
    /// # Errors
    /// Only a wish to stop: then all of it is undone.
    pub fn enter(node: &Node, state: &NodeState, stop: Stop<'_>) -> Result<Self> {
        let mut holding = Self::awaited(node, stop)?;
        match hold(node, state, stop) {
            Ok(held) => holding.held = Some(held),
            Err(error) if error.is_stop() => return Err(undone(error)),
            Err(error) => holding.notes.push(Note::new("hold-failed", error.to_string())),
        }
        Ok(holding)
    }

    /// Runs the hooks before a backup; the node goes on for now.
    ///
    /// # Errors
    /// As [`Holding::enter`].
    pub fn awaited(node: &Node, stop: Stop<'_>) -> Result<Self> {
        let context = Context { node: node.name().to_owned(), ..Context::default() };
        let mut holding = Self::nothing();
        holding.after = Some((node.clone(), context.clone()));
        holding.notes = hook_notes(hooks::before_backup_unless(node, &context, stop));
        if stop() { Err(Engine::Interrupted.into()) } else { Ok(holding) }
    }

    /// Nothing is done to the node: for a dry run.
    pub fn nothing() -> Self {
        Self { held: None, notes: Vec::new(), after: None, is_cold: false }
    }

    /// Stops the node, whatever way its profile holds it otherwise.
    ///
    /// # Errors
    /// If it cannot be stopped: what is whole only while it is stopped must not be copied then.
    pub fn stop(&mut self, node: &Node, state: &NodeState, stop: Stop<'_>) -> Result<()> {
        self.held = Some(hold(&stopped(node), state, stop).map_err(undone)?);
        self.is_cold = true;
        Ok(())
    }

    /// Where paths are read meanwhile.
    pub fn view(&self) -> View {
        View(self.held.as_ref().and_then(Held::mapping).cloned())
    }

    /// Lets it go and runs the hooks after a backup, which are told whether everything was captured whole; says all that a person
    /// should know.
    pub fn release(mut self, is_whole: bool) -> Vec<Note> {
        let mut notes = std::mem::take(&mut self.notes);
        match self.held.take().map(Held::release) {
            Some(Ok(ended)) => notes.extend(ended.notes),
            Some(Err(error)) => notes.push(Note::new("not-released", error.to_string())),
            None => {}
        }
        if let Some((node, mut context)) = self.after.take() {
            if self.is_cold && !notes.iter().any(|note| note.code == "not-running") {
                notes.extend(unwell(&node));
            }
            let status = if is_whole && notes.is_empty() { "complete" } else { "incomplete" };
            context.status = Some(status.to_owned());
            notes.extend(hook_notes(hooks::after_backup(&node, &context)));
        }
        notes
    }
}

impl Drop for Holding {
    /// On a way out that told nothing: the hold is released by its own guard, and the hooks still run.
    fn drop(&mut self) {
        drop(self.held.take());
        if let Some((node, mut context)) = self.after.take() {
            context.status = Some("failed".to_owned());
            _ = hooks::after_backup(&node, &context);
        }
    }
}

fn hold(node: &Node, state: &NodeState, stop: Stop<'_>) -> std::result::Result<Held, HoldError> {
    let site = site(state);
    let plan = Plan::of(node, &site, &Mounts::here()?)?;
    let journal = Journal::open(&site.folder, node.name(), site.now)?;
    hold::enter_unless(&plan, journal, stop)
}

/// Why the node is not held; a wish to stop is an interruption like any other.
fn undone(error: HoldError) -> Error {
    if error.is_stop() { Engine::Interrupted.into() } else { error.into() }
}

/// The node as one that is held by stopping it.
pub(crate) fn stopped(node: &Node) -> Node {
    let mut stopped = node.clone();
    stopped.profile.hold.method = HoldMethod::Stop;
    stopped
}

/// What is not well with a node some time after it was started.
fn unwell(node: &Node) -> Vec<Note> {
    let seen = health::wait_until_healthy(node, WELL_WITHIN);
    let ill = seen.into_iter().filter(|seen| !seen.is_well);
    ill.map(|seen| Note::new("not-well", format!("{}: {}", seen.name, seen.detail))).collect()
}

fn hook_notes(result: std::result::Result<(), hooks::HookError>) -> Vec<Note> {
    result.err().map(|error| Note::new("hook-failed", error.to_string())).into_iter().collect()
}
