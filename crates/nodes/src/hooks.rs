//! Hooks: what a profile runs around a backup and a restore. One that fails, hangs or is killed is named by its place, and never keeps the
//! rest of the way out from being gone.

use std::fmt;

use thiserror::Error;

use crate::command::{Program, Stop, never};
use crate::error::Error as NodeError;
use crate::node::Node;
use crate::profile::Line;

/// What hooks are told in their environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// `NODEKEEP_NODE`.
    pub node: String,
    /// `NODEKEEP_SNAPSHOT`: its id, where there is one.
    pub snapshot: Option<String>,
    /// `NODEKEEP_STATUS`: how it came out, where that is known.
    pub status: Option<String>,
}

/// When hooks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the hold is entered.
    BeforeBackup,
    /// After the hold was released.
    AfterBackup,
    /// Before a restore stops the node.
    BeforeRestore,
    /// After state is in place, before the node starts.
    AfterRestore,
}

/// Hooks that did not end well.
#[derive(Debug, Error)]
#[error("{}", told(*moment, failures))]
pub struct HookError {
    /// When they ran.
    pub moment: Moment,
    /// Each of them: never empty.
    pub failures: Vec<HookFailure>,
}

/// One that did not end well.
#[derive(Debug)]
pub struct HookFailure {
    /// Its place in the profile's list, from 1.
    pub number: usize,
    /// [`NodeError::Failed`], [`NodeError::Hung`], [`NodeError::Start`], or a placeholder without a value.
    pub source: NodeError,
}

impl fmt::Display for Moment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::BeforeBackup => "before-backup",
            Self::AfterBackup => "after-backup",
            Self::BeforeRestore => "before-restore",
            Self::AfterRestore => "after-restore",
        })
    }
}

/// Runs the hooks before a backup, up to the first that fails.
///
/// # Errors
/// [`HookError`] names it.
pub fn before_backup(node: &Node, context: &Context) -> Result<(), HookError> {
    before_backup_unless(node, context, &never)
}

/// The same; a wish to stop ends the one that runs, and begins no other.
///
/// # Errors
/// As [`before_backup`].
pub fn before_backup_unless(
    node: &Node,
    context: &Context,
    stop: Stop<'_>,
) -> Result<(), HookError> {
    run(node, &node.profile.hooks.before_backup, Moment::BeforeBackup, context, stop)
}

/// Runs all hooks after a backup, whatever came of each.
///
/// # Errors
/// [`HookError`] names all that failed.
pub fn after_backup(node: &Node, context: &Context) -> Result<(), HookError> {
    run(node, &node.profile.hooks.after_backup, Moment::AfterBackup, context, &never)
}

/// Runs the hooks before a restore, up to the first that fails.
///
/// # Errors
/// [`HookError`] names it.
pub fn before_restore(node: &Node, context: &Context) -> Result<(), HookError> {
    run(node, &node.profile.hooks.before_restore, Moment::BeforeRestore, context, &never)
}

/// Runs the hooks after a restore, up to the first that fails: each may stand on the one before.
///
/// # Errors
/// [`HookError`] names it.
pub fn after_restore(node: &Node, context: &Context) -> Result<(), HookError> {
    run(node, &node.profile.hooks.after_restore, Moment::AfterRestore, context, &never)
}

fn run(
    node: &Node,
    lines: &[Line],
    moment: Moment,
    context: &Context,
    stop: Stop<'_>,
) -> Result<(), HookError> {
    let mut failures = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if let Err(source) = run_line(node, line, context, stop) {
            failures.push(HookFailure { number: at + 1, source });
            if moment != Moment::AfterBackup {
                break;
            }
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(HookError { moment, failures }) }
}

fn run_line(node: &Node, line: &Line, context: &Context, stop: Stop<'_>) -> Result<(), NodeError> {
    let program = Program::of(line, &node.variables())?;
    Program { environment: context.environment(), ..program }.run_unless(stop).map(drop)
}

impl Context {
    /// What is not known is empty, so that a value from elsewhere is never taken for ours.
    fn environment(&self) -> Vec<(String, String)> {
        let snapshot = self.snapshot.clone().unwrap_or_default();
        let status = self.status.clone().unwrap_or_default();
        let values = [
            ("NODEKEEP_NODE", self.node.clone()),
            ("NODEKEEP_SNAPSHOT", snapshot),
            ("NODEKEEP_STATUS", status),
        ];
        values.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }
}

fn told(moment: Moment, failures: &[HookFailure]) -> String {
    let told = failures.iter().map(|one| format!("hook {moment} {}: {}", one.number, one.source));
    told.collect::<Vec<_>>().join("; ")
}
