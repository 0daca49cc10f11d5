//! What can go wrong between a node and the repository.

use std::io;
use std::path::PathBuf;

use nodekeep_nodes::error::{Error as NodeError, FileError};
use nodekeep_nodes::fence::judge::Verdict;
use nodekeep_nodes::fence::remedy::Failure as RemedyFailure;
use nodekeep_nodes::hold::HoldError;
use nodekeep_nodes::hooks::HookError;
use nodekeep_nodes::service::ServiceError;
use nodekeep_repo::error::Error as RepoError;
use thiserror::Error;

use crate::schedule::ScheduleError;

/// Any failure of this crate.
#[derive(Debug, Error)]
pub enum Error {
    /// The engine's word.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// A node's.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A schedule's.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// A file of this machine.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file of Nodekeep's own that cannot be read.
    #[error("{} is damaged: {reason}", path.display())]
    State {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No node of this name is registered.
    #[error("there is no node `{name}`{}", listed(known))]
    NoNode {
        /// What was asked for.
        name: String,
        /// Those that are.
        known: Vec<String>,
    },
    /// A node of this name is registered.
    #[error("there is a node `{name}` already, of profile `{profile}`")]
    NodeExists {
        /// Its name.
        name: String,
        /// Its profile.
        profile: String,
    },
    /// The journal has no such job.
    #[error("there is no job `{id}`; see `nodekeep daemon jobs`")]
    NoJob {
        /// What was asked for.
        id: String,
    },
    /// Another runner has the job.
    #[error("the job {id} is worked on already")]
    JobTaken {
        /// Which.
        id: String,
    },
    /// There is a daemon.
    #[error("a daemon works in {} already", folder.display())]
    DaemonRuns {
        /// Where its files are.
        folder: PathBuf,
    },
    /// No command was given that runs jobs.
    #[error("the daemon was given no command that runs jobs")]
    NoRunner,
    /// A command for Minima nodes alone.
    #[error("the profile of the node `{node}` has no state of kind `minima` with a fence rule")]
    NotMinima {
        /// Its name.
        node: String,
    },
    /// It went wrong in the middle.
    #[error("{why}; {rolled_back}")]
    RolledBack {
        /// What went wrong.
        why: Box<Error>,
        /// What became of the node.
        rolled_back: String,
    },
    /// Another process works on the node.
    #[error("another nodekeep works on the node `{name}`")]
    Busy {
        /// Its name.
        name: String,
    },
    /// A guarded command was cut off, and nobody has said what became of it.
    #[error("{told}")]
    GuardLeft {
        /// The node.
        node: String,
        /// What was left, in a sentence.
        told: String,
    },
    /// A component that the profile does not have.
    #[error("node `{node}` has no component `{component}`{}", listed(known))]
    NoComponent {
        /// The node.
        node: String,
        /// What was asked for.
        component: String,
        /// Those it has.
        known: Vec<String>,
    },
    /// Names were chosen, and no component that was asked for can choose.
    #[error("--select chooses in a component that has names in it{}", listed(choosers))]
    NothingToChoose {
        /// The node.
        node: String,
        /// Components that could.
        choosers: Vec<String>,
    },
    /// A component in use of which nothing can be told.
    #[error("`{component}` changes while it is in use, and can be checked in a copy only")]
    OnlyInCopy {
        /// Which.
        component: String,
    },
    /// Nothing can open what is to be given to others.
    #[error(
        "no snapshot of the node `{node}` holds both its database and its secret, so nothing opens the content to make envelopes for others"
    )]
    NoInstanceKey {
        /// The node.
        node: String,
    },
    /// Nothing could be captured at all.
    #[error("nothing of the node `{node}` could be captured: {reason}")]
    Nothing {
        /// The node.
        node: String,
        /// The first reason.
        reason: String,
    },
    /// No snapshot of this node.
    #[error("there is no snapshot of the node `{node}`{when}")]
    NoSnapshot {
        /// The node.
        node: String,
        /// Which was asked for, in words.
        when: String,
    },
    /// A snapshot without a component that was asked for.
    #[error("snapshot {snapshot} does not have the component `{component}`")]
    NotHeld {
        /// Its id.
        snapshot: String,
        /// What was asked for.
        component: String,
    },
    /// Something of a snapshot cannot be restored whole.
    #[error("{}: {why}{}", path.display(), and_more(*more))]
    NotWhole {
        /// The first path.
        path: PathBuf,
        /// Why.
        why: String,
        /// How many more there are.
        more: usize,
    },
    /// A restored copy does not keep the rules of its kind.
    #[error("the copy of `{component}` is not sound: {check}: {detail}")]
    Unsound {
        /// The component.
        component: String,
        /// What was looked at.
        check: String,
        /// What was seen.
        detail: String,
    },
    /// Another machine holds the node's identity.
    #[error("the identity of the node `{node}` is not free: {claim}")]
    Held {
        /// The node.
        node: String,
        /// Who holds it.
        claim: String,
    },
    /// A restore would rewind what must not run backwards.
    #[error("this would rewind what must never run backwards:\n{}", verdict.to_string().trim_end())]
    Rewinds {
        /// What the fence says.
        verdict: Box<Verdict>,
    },
    /// What the running node takes, and a node that stays stopped.
    #[error(
        "`{component}` of the node `{node}` goes back through the running node, which would stay stopped"
    )]
    NeedsRunning {
        /// The node.
        node: String,
        /// The component.
        component: String,
    },
    /// Nothing of the node is copied only while it is stopped.
    #[error("nothing of the node `{node}` is whole only while it is stopped: leave out --cold")]
    NothingCold {
        /// The node.
        node: String,
    },
    /// A component that would run backwards without another.
    #[error(
        "`{component}` holds what `{with}` holds, older and unraised: it is put back together with `{with}` alone"
    )]
    OnlyTogether {
        /// The component.
        component: String,
        /// The one that raises what must not run backwards.
        with: String,
    },
    /// A remedy for a rule that does not need it, or that has no such remedy.
    #[error("`{rule}={remedy}` is no remedy here{}", listed(known))]
    NoRemedy {
        /// The rule.
        rule: String,
        /// The remedy.
        remedy: String,
        /// Those that are.
        known: Vec<String>,
    },
    /// No key to sign with.
    #[error("a drill is signed by a writer, and there is no writer credential here")]
    NoSigner,
    /// A remedy could not be applied.
    #[error(transparent)]
    Remedy(#[from] RemedyFailure),
    /// A node could not be stopped or started.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A hook failed.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// A node could not be held or let go.
    #[error(transparent)]
    Hold(#[from] HoldError),
    /// A restore that ended before it touched anything of the node.
    #[error("{what}: {reason}; nothing of the node's data was changed")]
    Untouched {
        /// What did not succeed.
        what: &'static str,
        /// Why.
        reason: Box<Self>,
    },
    /// A snapshot that is of no node, or of one that this version does not know how to read.
    #[error("snapshot {snapshot} cannot be restored as a node: {reason}")]
    NotANode {
        /// Its id.
        snapshot: String,
        /// Why.
        reason: String,
    },
}

impl From<nodekeep_nodes::axon::error::Error> for Error {
    fn from(error: nodekeep_nodes::axon::error::Error) -> Self {
        Self::Node(error.into())
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// For `map_err` on what comes before anything of a node is touched.
    pub(crate) fn untouched<E: Into<Self>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |reason| Self::Untouched { what, reason: Box::new(reason.into()) }
    }

    /// For `map_err` on what touched a file.
    pub fn file(path: impl Into<PathBuf>, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let fail = FileError::at(path, action);
        move |source| Self::File(fail(source))
    }
}

fn listed(known: &[String]) -> String {
    match known {
        [] => String::new(),
        known => format!("; there are {}", known.join(", ")),
    }
}

fn and_more(more: usize) -> String {
    match more {
        0 => String::new(),
        more => format!(", and {more} more"),
    }
}
