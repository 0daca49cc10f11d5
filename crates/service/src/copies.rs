//! Where else a repository lies and how far away that is: words that `status`, the fleet and the dashboard share.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far away from this machine's disk a place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Distance {
    /// On the same file system as this user's data.
    SameDisk,
    /// On this machine, on another file system: often another disk, never another house.
    OtherDisk,
    /// A service on this very machine.
    ThisMachine,
    /// On another host.
    OtherHost,
}

impl Distance {
    /// How far a folder is from `data`, a folder of this machine.
    pub fn of_folder(folder: &Path, data: &Path) -> Self {
        match (device(folder), device(data)) {
            (Some(there), Some(here)) if there != here => Self::OtherDisk,
            _ => Self::SameDisk,
        }
    }

    /// Whether it survives the loss of this machine.
    pub fn is_offsite(self) -> bool {
        self == Self::OtherHost
    }

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::SameDisk => "on the same disk",
            Self::OtherDisk => "on another disk of this machine",
            Self::ThisMachine => "served by this machine",
            Self::OtherHost => "on another host",
        }
    }
}

/// The device of a path, or of the nearest folder above it that exists.
fn device(path: &Path) -> Option<u64> {
    path.ancestors().find_map(|path| path.metadata().ok()).map(|found| found.dev())
}

/// A copy that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyRecord {
    /// `mirror` or `copy`.
    pub kind: String,
    /// Where it lies.
    pub location: String,
    /// How far that is from this machine.
    pub distance: Distance,
    /// Id of the repository there, hexadecimal: a mirror's is the original's.
    pub repository: String,
    /// When it was complete, Unix seconds.
    pub finished: i64,
    /// Number of the newest checkpoint that it holds.
    pub checkpoint: u64,
    /// Live snapshots that it holds; a keyless mirror counts outcomes.
    pub snapshots: u64,
}

/// Whether the repository, or a copy that this machine knows of, lies on another host.
pub fn is_offsite(own: Distance, copies: &[CopyRecord]) -> bool {
    own.is_offsite() || copies.iter().any(|copy| copy.distance.is_offsite())
}
