//! What git rewrites in a repository, besides its objects: kept as it was before the objects were read, so that it names none that came later.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::find::{entries, read};
use super::refs::{PACKED, Refs, is_lock, is_pseudo_ref};
use super::{Graft, With, staged};
use crate::error::{Error, Result};

/// Files that name objects and are no refs.
const FILES: [&str; 2] = ["index", "shallow"];
/// What may appear while objects are read, though it was not there before.
const MAY_APPEAR: [&str; 9] = [
    PACKED,
    "index",
    "shallow",
    "logs",
    "worktrees",
    "ORIG_HEAD",
    "FETCH_HEAD",
    "MERGE_HEAD",
    "CHERRY_PICK_HEAD",
];
/// What else git locks by a file beside it.
const LOCKED: [&str; 6] = ["HEAD", "AUTO_MERGE", "config", "config.worktree", "gc.pid", "gc.log"];

/// Writes the refs, the index and the logs of refs into `staging` and says what is read in place of what.
pub(super) fn freeze(repository: &Path, refs: &Refs, staging: &Path) -> Result<Vec<Graft>> {
    let mut tops: BTreeSet<PathBuf> = BTreeSet::new();
    for folder in &refs.folders {
        let path = staging.join(folder);
        fs::create_dir_all(&path).map_err(Error::file(&path, "create"))?;
        tops.extend(top(folder));
    }
    for (name, bytes) in &refs.files {
        write(staging, name, bytes)?;
        tops.extend(top(name));
    }
    for name in FILES {
        if let Some(bytes) = read(&repository.join(name))? {
            write(staging, Path::new(name), &bytes)?;
            tops.insert(name.into());
        }
    }
    if freeze_logs(repository, staging)? {
        tops.insert("logs".into());
    }
    let mut grafts = hidden(repository, &tops)?;
    grafts.extend(
        tops.iter().map(|name| Graft {
            at: repository.join(name),
            with: With::Staged(staging.join(name)),
        }),
    );
    Ok(grafts)
}

fn top(name: &Path) -> Option<PathBuf> {
    name.components().next().map(|first| PathBuf::from(first.as_os_str()))
}

fn write(staging: &Path, name: &Path, bytes: &[u8]) -> Result<()> {
    let path = staged(staging, name)?;
    fs::write(&path, bytes).map_err(Error::file(&path, "write"))
}

/// Copies the logs of refs. A last line that is being written is left out, as it may name what is not there.
fn freeze_logs(repository: &Path, staging: &Path) -> Result<bool> {
    if !repository.join("logs").is_dir() {
        return Ok(false);
    }
    let mut waiting: Vec<PathBuf> = vec!["logs".into()];
    while let Some(folder) = waiting.pop() {
        let path = staging.join(&folder);
        fs::create_dir_all(&path).map_err(Error::file(&path, "create"))?;
        for entry in entries(&repository.join(&folder))? {
            let name = folder.join(entry.file_name());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(name);
            } else if let Some(bytes) = read(&repository.join(&name))?.filter(|_| !is_lock(&name)) {
                let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
                write(staging, &name, &bytes[..whole])?;
            }
        }
    }
    Ok(true)
}

/// Locks, which would keep git from working in what is restored, also those that come after this; and what was not there when refs were read.
fn hidden(repository: &Path, tops: &BTreeSet<PathBuf>) -> Result<Vec<Graft>> {
    let mut names: BTreeSet<PathBuf> = MAY_APPEAR.iter().map(PathBuf::from).collect();
    let locked = MAY_APPEAR.iter().chain(&LOCKED);
    names.extend(locked.map(|name| PathBuf::from(format!("{name}.lock"))));
    names.insert("gc.pid".into());
    for entry in entries(repository)? {
        let name = PathBuf::from(entry.file_name());
        if is_lock(&name) || name.to_str().is_some_and(is_pseudo_ref) {
            names.insert(name);
        }
    }
    let nothing = |name: &PathBuf| Graft { at: repository.join(name), with: With::Nothing };
    Ok(names.difference(tops).map(nothing).collect())
}
