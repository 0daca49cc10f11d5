//! PostgreSQL's own programs. Distributions keep them beside the search path, one folder for each version.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::Program;
use crate::error::{Error, Result};

/// Folders of versions: Debian's and Red Hat's.
const HOMES: [(&str, &str); 2] = [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")];
/// How long a program may take to say its version.
const ASK: Duration = Duration::from_secs(20);

/// A program of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tool {
    path: String,
    /// What it says of itself: `pg_dump (PostgreSQL) 15.18`.
    pub version: String,
}

impl Tool {
    /// The newest on this machine: clients work with older servers, and not with newer ones.
    pub(super) fn newest(name: &str, asked_for: &Path) -> Result<Self> {
        let folders = folders().into_iter().map(|(_, folder)| folder.join(name));
        let paths = folders.map(|path| path.display().to_string()).chain([name.to_owned()]);
        paths.filter_map(Self::ask).next().ok_or_else(|| Error::Unsupported {
            path: asked_for.to_owned(),
            reason: format!(
                "{name} is not on this machine: install PostgreSQL's client programs (Debian: postgresql-client), of the server's version or newer"
            ),
        })
    }

    /// That of one major version: what reads a server's files must be of its version.
    pub(super) fn of_version(name: &str, version: Option<u32>) -> Option<Self> {
        let version = version?;
        let folders = folders().into_iter().filter(|(number, _)| *number == version);
        let paths = folders.map(|(_, folder)| folder.join(name).display().to_string());
        let is_right = |tool: &Self| tool.major() == Some(version);
        paths.chain([name.to_owned()]).filter_map(Self::ask).find(is_right)
    }

    /// It with arguments.
    pub(super) fn program(&self, arguments: &[&str], patience: Duration) -> Program {
        let arguments = arguments.iter().map(|word| (*word).to_owned());
        let argv = std::iter::once(self.path.clone()).chain(arguments).collect();
        Program { patience, ..Program::new(argv) }
    }

    fn ask(path: String) -> Option<Self> {
        let argv = vec![path.clone(), "--version".to_owned()];
        let done = Program { patience: ASK, ..Program::new(argv) }.run().ok()?;
        let version = String::from_utf8_lossy(&done.stdout).lines().next()?.trim().to_owned();
        Some(Self { path, version })
    }

    fn major(&self) -> Option<u32> {
        let number =
            self.version.split(' ').find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
        number.split('.').next()?.parse().ok()
    }
}

/// The major version of a data folder.
pub(super) fn version_of(folder: &Path) -> Option<u32> {
    fs::read_to_string(folder.join("PG_VERSION")).ok()?.trim().parse().ok()
}

/// Folders with programs, the newest version first.
fn folders() -> Vec<(u32, PathBuf)> {
    let mut found = Vec::new();
    for (home, prefix) in HOMES {
        let entries = fs::read_dir(home).into_iter().flatten().flatten();
        found.extend(entries.filter_map(|entry| {
            let version = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        }));
    }
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found
}
