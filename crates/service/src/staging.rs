//! Folders for copies that are made while a node runs: on the file system of what is copied, so that hard links work, and gone
//! afterwards. A list of them is written down before one is made; what a crash left is removed at the next start.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::ours::STAGING;
use crate::state::{NodeState, make_folder};

const LIST: &str = "staging.json";

/// The staging folders of one run.
#[derive(Debug)]
pub struct Staging {
    state: NodeState,
    fallback: PathBuf,
    node: String,
    made: Vec<PathBuf>,
}

impl Staging {
    /// Removes what an earlier run left, and begins. `fallback` is where folders are made if nothing else serves.
    ///
    /// # Errors
    /// If the list cannot be read, or what was left cannot be removed.
    pub fn begin(state: &NodeState, node: &str, fallback: PathBuf) -> Result<Self> {
        let left: Vec<PathBuf> = state.read_json(LIST)?.unwrap_or_default();
        for folder in left.iter().filter(|folder| is_ours(folder)) {
            remove(folder)?;
        }
        state.forget(LIST)?;
        Ok(Self { state: state.clone(), fallback, node: node.to_owned(), made: Vec::new() })
    }

    /// A new, empty, private folder for a copy of `path`.
    ///
    /// # Errors
    /// If none can be made anywhere.
    pub fn folder_for(&mut self, path: &Path) -> Result<PathBuf> {
        make_folder(&self.fallback)?;
        let name = format!("{STAGING}{}-{}-{}", self.node, std::process::id(), self.made.len());
        let places = self.places(path);
        for place in &places {
            let folder = place.join(&name);
            self.made.push(folder.clone());
            self.state.write_json(LIST, &self.made)?;
            if fs::DirBuilder::new().mode(0o700).create(&folder).is_ok() {
                return Ok(folder);
            }
            self.made.pop();
        }
        let folder = self.fallback.join(name);
        Err(Error::file(folder, "no staging folder can be made")(
            io::ErrorKind::PermissionDenied.into(),
        ))
    }

    /// Every folder that was made: none of them is part of the node.
    pub fn folders(&self) -> &[PathBuf] {
        &self.made
    }

    /// Where to try, best first: on the same file system, and outside of the data where that can be.
    fn places(&self, path: &Path) -> Vec<PathBuf> {
        let device = path.ancestors().find_map(device_of);
        let beside = path.parent().map(Path::to_path_buf);
        let inside = path.is_dir().then(|| path.to_path_buf());
        let candidates = [Some(self.fallback.clone()), beside, inside];
        let near = |place: &PathBuf| device.is_some() && device_of(place) == device;
        let mut places: Vec<PathBuf> = candidates.into_iter().flatten().filter(near).collect();
        places.push(self.fallback.clone());
        places
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let removed = self.made.iter().all(|folder| remove(folder).is_ok());
        if removed {
            // Otherwise the next start tries again.
            _ = self.state.forget(LIST);
        }
    }
}

fn device_of(path: &Path) -> Option<u64> {
    path.metadata().ok().map(|metadata| metadata.dev())
}

/// The list is a file on a disk: nothing that does not look like ours is removed for its sake.
fn is_ours(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str());
    folder.is_absolute() && name.is_some_and(|name| name.starts_with(STAGING))
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file(folder, "cannot be removed")(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;

    #[test]
    fn what_a_crash_left_is_removed() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        fs::create_dir(&data).unwrap();
        let state = State::new(home.path().join("state")).of("n").unwrap();
        let mut staging = Staging::begin(&state, "n", home.path().join("cache")).unwrap();
        let folder = staging.folder_for(&data.join("db")).unwrap();
        fs::write(folder.join("copy"), b"x").unwrap();
        std::mem::forget(staging);
        assert!(folder.exists());
        let staging = Staging::begin(&state, "n", home.path().join("cache")).unwrap();
        assert!(!folder.exists() && staging.folders().is_empty());
    }

    #[test]
    fn a_list_does_not_make_us_remove_what_is_not_ours() {
        let home = tempfile::tempdir().unwrap();
        let precious = home.path().join("precious");
        fs::create_dir(&precious).unwrap();
        let state = State::new(home.path().join("state")).of("n").unwrap();
        state.write_json(LIST, &[&precious]).unwrap();
        Staging::begin(&state, "n", home.path().join("cache")).unwrap();
        assert!(precious.exists());
    }
}
