//! What a person asks for by hand: work that waits in the journal until the daemon has room, and then is a job like any other.

use std::path::PathBuf;

use crate::schedule::job::Role;

/// What is asked for, of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The node.
    pub node: String,
    /// What is done.
    pub deed: Deed,
}

/// What is done. Snapshots are named by their ids, so that what runs later is what was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// A snapshot.
    Backup,
    /// A look at its health.
    Health,
    /// A snapshot, restored into a sandbox and checked.
    Verify {
        /// Its id.
        snapshot: String,
    },
    /// The same, measured and signed.
    Drill {
        /// Its id.
        snapshot: String,
    },
    /// A snapshot, put in place, or into a folder.
    Restore {
        /// Its id.
        snapshot: String,
        /// The folder.
        to: Option<PathBuf>,
    },
}

impl Wish {
    /// Its one word.
    pub fn word(&self) -> &'static str {
        match self.deed {
            Deed::Backup => "backup",
            Deed::Health => "health",
            Deed::Verify { .. } => "verify",
            Deed::Drill { .. } => "drill",
            Deed::Restore { .. } => "restore",
        }
    }

    /// What it must be able to do.
    pub fn role(&self) -> Role {
        match self.deed {
            Deed::Backup | Deed::Health => Role::Writer,
            Deed::Verify { .. } | Deed::Drill { .. } | Deed::Restore { .. } => Role::Keeper,
        }
    }

    /// What is typed after `nodekeep` to do it.
    pub fn arguments(&self) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        match &self.deed {
            Deed::Backup => words(&["backup", &self.node]),
            Deed::Health => words(&["health", &self.node]),
            Deed::Verify { snapshot } => words(&["check", snapshot, "--node"]),
            Deed::Drill { snapshot } => words(&["drill", snapshot]),
            Deed::Restore { snapshot, to: None } => words(&["restore", snapshot, "--yes"]),
            Deed::Restore { snapshot, to: Some(folder) } => {
                words(&["restore", snapshot, "--target", &folder.display().to_string()])
            }
        }
    }
}
