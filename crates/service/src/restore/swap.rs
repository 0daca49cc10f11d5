//! State put in place: a list of renames, written down before the first, so that a crash between two is finished at the next start and a
//! node never starts on half of it. What was there before is kept beside.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::state::NodeState;

const JOURNAL: &str = "restore.json";

/// One rename.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    /// From here.
    pub from: PathBuf,
    /// To here, where nothing is.
    pub to: PathBuf,
    /// How a later look tells that it was done, if those before it were.
    pub seen_by: Evidence,
}

/// What shows that a rename was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// It is there now: something else may have come where it was.
    Arrived,
    /// It is gone from where it was: something else may have been where it is now.
    Left,
}

/// Everything that puts a snapshot in place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    /// Id of the snapshot.
    pub snapshot: String,
    /// In this order.
    pub renames: Vec<Rename>,
    /// Where what was there before lies afterwards.
    pub aside: Vec<PathBuf>,
}

impl Swap {
    /// For a snapshot.
    pub fn new(snapshot: String) -> Self {
        Self { snapshot, ..Self::default() }
    }

    /// Puts `staged` in the place of `target`; what is there goes to `aside`, but for what is in `left_out`, which stays.
    ///
    /// # Errors
    /// If the folders cannot be read.
    pub fn replace(
        &mut self,
        staged: &Path,
        target: &Path,
        aside: &Path,
        left_out: &[PathBuf],
    ) -> Result<()> {
        let there = target.symlink_metadata().is_ok();
        if !there {
            self.rename(staged, target, Evidence::Left);
            return Ok(());
        }
        self.aside.push(aside.to_owned());
        self.rename(target, aside, Evidence::Arrived);
        self.rename(staged, target, Evidence::Left);
        for path in left_out.iter().filter(|path| path.symlink_metadata().is_ok()) {
            if let Ok(relative) = path.strip_prefix(target) {
                self.rename(&aside.join(relative), path, Evidence::Left);
            }
        }
        Ok(())
    }

    /// Puts everything that lies in `staged` into `target`; what has the same name there goes to `aside`.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn adopt(&mut self, staged: &Path, target: &Path, aside: &Path) -> Result<()> {
        let unread = || Error::file(staged, "cannot be read");
        let mut replaces = false;
        for entry in fs::read_dir(staged).map_err(unread())? {
            let name = entry.map_err(unread())?.file_name();
            let place = target.join(&name);
            if place.symlink_metadata().is_ok() {
                replaces = true;
                self.rename(&place, &aside.join(&name), Evidence::Arrived);
            }
            self.rename(&staged.join(&name), &place, Evidence::Left);
        }
        if replaces {
            self.aside.push(aside.to_owned());
        }
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path, seen_by: Evidence) {
        self.renames.push(Rename { from: from.to_owned(), to: to.to_owned(), seen_by });
    }

    /// Writes the list down, and does it.
    ///
    /// # Errors
    /// If it cannot be written down: then nothing is changed. If a rename fails: what was done is undone.
    pub fn run(&self, state: &NodeState) -> Result<()> {
        state.write_json(JOURNAL, self)?;
        for (at, rename) in self.renames.iter().enumerate() {
            if let Err(error) = rename.apply() {
                let undone = self.renames[..at].iter().rev().try_for_each(Rename::undo);
                // If it cannot be undone, the journal stays, and the next start finishes it.
                if undone.is_ok() {
                    state.forget(JOURNAL)?;
                }
                return Err(error);
            }
        }
        self.sync()?;
        state.forget(JOURNAL)
    }

    fn sync(&self) -> Result<()> {
        let mut folders: Vec<&Path> = self.renames.iter().filter_map(|r| r.to.parent()).collect();
        folders.sort();
        folders.dedup();
        folders.into_iter().try_for_each(|folder| {
            let synced = fs::File::open(folder).and_then(|file| file.sync_all());
            synced.map_err(Error::file(folder, "cannot be made durable"))
        })
    }
}

impl Rename {
    fn apply(&self) -> Result<()> {
        if let Some(parent) = self.to.parent() {
            fs::create_dir_all(parent).map_err(Error::file(parent, "cannot be made"))?;
        }
        if self.to.symlink_metadata().is_ok() {
            let exists = io::ErrorKind::AlreadyExists.into();
            return Err(Error::file(&self.to, "is in the way")(exists));
        }
        fs::rename(&self.from, &self.to).map_err(Error::file(&self.to, "cannot be put in place"))
    }

    fn undo(&self) -> Result<()> {
        fs::rename(&self.to, &self.from).map_err(Error::file(&self.from, "cannot be put back"))
    }

    fn is_done(&self) -> bool {
        match self.seen_by {
            Evidence::Arrived => self.to.symlink_metadata().is_ok(),
            Evidence::Left => self.from.symlink_metadata().is_err(),
        }
    }
}

/// Whether a crash left something half done.
pub fn is_pending(state: &NodeState) -> bool {
    state.folder().join(JOURNAL).exists()
}

/// Finishes what a crash left half done; the id of the snapshot that is in place then.
///
/// # Errors
/// If it cannot be finished: the journal stays.
pub fn finish(state: &NodeState) -> Result<Option<String>> {
    let Some(swap) = state.read_json::<Swap>(JOURNAL)? else {
        return Ok(None);
    };
    let mut left = swap.renames.iter().skip_while(|rename| rename.is_done());
    left.try_for_each(Rename::apply)?;
    swap.sync()?;
    state.forget(JOURNAL)?;
    Ok(Some(swap.snapshot))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;

    fn lay(folder: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_else(|error| error.kind().to_string())
    }

    fn scene(folder: &Path) -> (NodeState, Swap) {
        lay(&folder.join("data"), &[("a", "old"), ("keys/k", "live key")]);
        lay(&folder.join("staged"), &[("a", "new")]);
        let state = State::new(folder.join("state")).of("n").unwrap();
        let mut swap = Swap::new("s1".to_owned());
        let keys = [folder.join("data/keys")];
        let [staged, data, aside] = ["staged", "data", "aside"].map(|name| folder.join(name));
        swap.replace(&staged, &data, &aside, &keys).unwrap();
        (state, swap)
    }

    #[test]
    fn what_is_left_out_stays_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let (state, swap) = scene(folder.path());
        swap.run(&state).unwrap();
        assert_eq!(read(&folder.path().join("data/a")), "new");
        assert_eq!(read(&folder.path().join("data/keys/k")), "live key");
        assert_eq!(read(&folder.path().join("aside/a")), "old");
        assert_eq!(finish(&state).unwrap(), None);
    }

    #[test]
    fn a_crash_after_any_step_is_finished() {
        for done in 0..=3 {
            let folder = tempfile::tempdir().unwrap();
            let (state, swap) = scene(folder.path());
            state.write_json(JOURNAL, &swap).unwrap();
            swap.renames.iter().take(done).try_for_each(Rename::apply).unwrap();
            assert_eq!(finish(&state).unwrap().as_deref(), Some("s1"));
            assert_eq!(read(&folder.path().join("data/a")), "new", "after {done}");
            assert_eq!(read(&folder.path().join("data/keys/k")), "live key", "after {done}");
        }
    }

    #[test]
    fn a_step_that_fails_undoes_those_before() {
        let folder = tempfile::tempdir().unwrap();
        let (state, mut swap) = scene(folder.path());
        swap.rename(&folder.path().join("nowhere"), &folder.path().join("data/x"), Evidence::Left);
        swap.run(&state).unwrap_err();
        assert_eq!(read(&folder.path().join("data/a")), "old");
        assert_eq!(read(&folder.path().join("data/keys/k")), "live key");
        assert_eq!(finish(&state).unwrap(), None);
    }
}
