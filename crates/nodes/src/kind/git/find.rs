//! Where repositories lie in a folder: bare ones, those of work trees, those of submodules within others.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The folders with `HEAD`, `objects` and `refs`, sorted.
    pub repositories: Vec<PathBuf>,
    /// Work trees whose repository lies elsewhere, and where: what is there is not in the copy.
    pub elsewhere: Vec<(PathBuf, PathBuf)>,
}

/// Whether a folder is a repository's own folder.
pub(super) fn is_repository(folder: &Path) -> bool {
    folder.join("HEAD").symlink_metadata().is_ok()
        && folder.join("objects").is_dir()
        && folder.join("refs").is_dir()
}

/// Looks everywhere in a folder. Links are not followed.
pub(super) fn find(path: &Path) -> Result<Found> {
    path.metadata().map_err(Error::file(path, "look at"))?;
    let mut found = Found::default();
    let mut waiting = vec![path.to_owned()];
    while let Some(folder) = waiting.pop() {
        if is_repository(&folder) {
            waiting.extend(Some(folder.join("modules")).filter(|modules| modules.is_dir()));
            found.repositories.push(folder);
            continue;
        }
        for entry in entries(&folder)? {
            let child = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => waiting.push(child),
                Ok(kind) if kind.is_file() && entry.file_name() == ".git" => {
                    let pointed = points_to(&child).filter(|there| !there.starts_with(path));
                    found.elsewhere.extend(pointed.map(|there| (folder.clone(), there)));
                }
                _ => {}
            }
        }
    }
    found.repositories.sort();
    Ok(found)
}

/// What a folder holds; nothing if it vanished.
pub(super) fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect::<Result<_, _>>().map_err(Error::file(folder, "list")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::file(folder, "list")(error)),
    }
}

/// A file's bytes; `None` if it vanished or is a folder.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    use std::io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), NotFound | IsADirectory | NotADirectory) => Ok(None),
        Err(error) => Err(Error::file(path, "read")(error)),
    }
}

/// The folder that a `.git` file names.
fn points_to(file: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(file).ok()?;
    let named = text.strip_prefix("gitdir:")?.trim();
    let there = file.parent()?.join(named);
    Some(there.canonicalize().unwrap_or(there))
}
