//! Relay Network: what its `data/` must look like, how it is repaired, and the backups that its old tools have left.
//!
//! Facts are those of its version 93: `scripts/system-maintenance.mjs`, `scripts/backup-data.mjs` and the services that write the files.

pub mod check;
pub mod health;
pub mod import;
pub mod maintenance;
mod nonces;
mod tail;

use std::path::PathBuf;

pub use check::validate;

/// Where a Relay lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// The folder `data/`.
    pub data: PathBuf,
    /// The project that it belongs to, if it is there: caches and dependencies lie in it.
    pub project: Option<PathBuf>,
}

impl Folders {
    /// The folders of a node whose data lies here. The project is the folder above, if it has a `package.json`.
    pub fn of(data: PathBuf) -> Self {
        let above = data.parent().filter(|above| above.join("package.json").is_file());
        let project = above.map(PathBuf::from);
        Self { data, project }
    }
}

/// A component as the profile `relay` names it, and what the old tools call it.
pub(crate) struct Names {
    /// In the profile.
    pub component: &'static str,
    /// In `data/`, and in backups as the guide describes them.
    pub path: &'static str,
    /// In backups that `scripts/backup-data.mjs` really makes, and in their manifests.
    pub old: Option<&'static str>,
}

/// Every component that has a place of its own.
pub(crate) const COMPONENTS: [Names; 7] = [
    Names { component: "blockchain", path: "blockchain", old: Some("blockchain-data") },
    Names { component: "voting", path: "voting", old: Some("voting-data") },
    Names { component: "security", path: "security", old: Some("security-data") },
    Names { component: "users", path: "users", old: Some("user-data") },
    Names { component: "system", path: "system", old: Some("system-config") },
    Names { component: "sender-keys", path: "sender-keys.json", old: None },
    Names { component: "biometric-key", path: "biometric-encryption-key.dat", old: None },
];
