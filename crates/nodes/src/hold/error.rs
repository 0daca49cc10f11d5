//! What can go wrong with a hold. What is still held is always named with the line that releases it.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::service::ServiceError;

/// Any failure around a hold.
#[derive(Debug, Error)]
pub enum HoldError {
    /// Another process holds the node.
    #[error("node `{node}` is held by another Nodekeep right now ({}): wait until it is done", lock.display())]
    Busy {
        /// Its name.
        node: String,
        /// The file that is locked.
        lock: PathBuf,
    },
    /// The profile does not say how.
    #[error("profile `{profile}` does not say how: it has no {needs}")]
    NoCommands {
        /// Its name.
        profile: String,
        /// What it would need.
        needs: &'static str,
    },
    /// A volume or dataset that is mounted nowhere.
    #[error(
        "volume `{volume}` of the hold is not mounted: hold.volume names what `findmnt` shows for the node's folder"
    )]
    NotMounted {
        /// As the profile names it.
        volume: String,
    },
    /// Something that must stop did not.
    #[error("{what} did not come to a stop within {} s", patience.as_secs_f32())]
    Stubborn {
        /// Which process or cgroup.
        what: String,
        /// How long it had.
        patience: Duration,
    },
    /// What would be frozen holds Nodekeep itself.
    #[error("{}: Nodekeep itself runs there, and would freeze with it: start it elsewhere, or name the node's own process", path.display())]
    Ourselves {
        /// The file with the process id, or the cgroup.
        path: PathBuf,
    },
    /// The node does not run, so there is nothing to freeze.
    #[error("{}: the process it names does not run", path.display())]
    NotRunning {
        /// The file with the process id.
        path: PathBuf,
    },
    /// A journal that cannot be read.
    #[error("{}: line {line} is none of Nodekeep's: release the node by hand and remove the file", path.display())]
    Journal {
        /// Which.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// Somebody wants us to stop.
    #[error("a stop was asked for")]
    Asked,
    /// A step that could not be entered. All before it were released, but for those named.
    #[error("{step}: {reason}{}", left(unreleased))]
    Enter {
        /// What was to be done.
        step: String,
        /// Why it was not.
        reason: Box<HoldError>,
        /// What is still held.
        unreleased: Vec<Unreleased>,
    },
    /// What is still held.
    #[error("not released{}", left(unreleased))]
    Release {
        /// Each with what to type.
        unreleased: Vec<Unreleased>,
    },
    /// The service.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A file or a program.
    #[error(transparent)]
    Node(#[from] crate::error::Error),
}

impl HoldError {
    /// Whether it came of a wish to stop, with nothing left held.
    pub fn is_stop(&self) -> bool {
        match self {
            Self::Asked => true,
            Self::Enter { reason, unreleased, .. } => unreleased.is_empty() && reason.is_stop(),
            Self::Node(error) | Self::Service(ServiceError::Node(error)) => {
                matches!(error, crate::error::Error::Stopped { .. })
            }
            _ => false,
        }
    }
}

/// Something that is still held because releasing it failed. It stays in the journal and is tried again at the next start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreleased {
    /// The node.
    pub node: String,
    /// What was done to it.
    pub step: String,
    /// Why it could not be undone.
    pub reason: String,
    /// The line that undoes it, to be typed into a shell.
    pub by_hand: String,
}

fn left(unreleased: &[Unreleased]) -> String {
    let lines = unreleased.iter().map(|one| {
        format!("; still held: {} ({}); to release it, type: {}", one.step, one.reason, one.by_hand)
    });
    lines.collect()
}
