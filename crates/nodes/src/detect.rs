//! Which nodes lie in a folder, told by what profiles say they look like. The look is bounded and follows no symbolic links downwards, so that
//! it ends soon on any disk.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::profile::{Detect, Profile, usual_folders};

/// Folders that hold no node and many files.
const NOT_ENTERED: [&str; 8] =
    ["node_modules", ".git", ".cache", "proc", "sys", "dev", "target", "lost+found"];

/// How to look.
#[derive(Debug, Clone)]
pub struct Look<'a> {
    /// What to look for.
    pub profiles: &'a [Profile],
    /// What `~/` means in the profiles' usual places.
    pub home: Option<&'a Path>,
    /// How many folders deep.
    pub depth: usize,
    /// How many names at most.
    pub entries: usize,
}

/// A node that seems to lie somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guess {
    /// The profile that fits.
    pub profile: String,
    /// Folders by the names of the profile's roots; those besides the first are in their usual places and exist.
    pub paths: BTreeMap<String, PathBuf>,
    /// Roots that a registration needs and that were not found.
    pub missing: Vec<String>,
    /// What was found there, as the profile writes it: the more, the surer.
    pub why: Vec<String>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detection {
    /// The surest first in each folder.
    pub guesses: Vec<Guess>,
    /// What could not be looked at, and why.
    pub unreadable: BTreeMap<PathBuf, String>,
    /// Whether there was more to look at than was allowed.
    pub is_cut_short: bool,
}

impl<'a> Look<'a> {
    /// Three folders deep, twenty thousand names.
    pub fn new(profiles: &'a [Profile]) -> Self {
        Self { profiles, home: None, depth: 3, entries: 20_000 }
    }

    /// Looks at a folder and those below. Below a node it does not look further.
    ///
    /// # Errors
    /// If the folder itself cannot be read. What cannot be read below is named in the answer.
    pub fn at(&self, folder: &Path) -> Result<Detection> {
        fs::read_dir(folder).map_err(Error::file(folder, "cannot be looked at"))?;
        let mut detection = Detection::default();
        let mut left = self.entries;
        let mut queue = VecDeque::from([(folder.to_path_buf(), 0)]);
        while let Some((folder, depth)) = queue.pop_front() {
            if self.folder(self.profiles, &folder, &mut detection) || depth == self.depth {
                continue;
            }
            let below = detection.folders_in(&folder, &mut left);
            queue.extend(below.into_iter().map(|path| (path, depth + 1)));
        }
        Ok(detection)
    }

    /// Looks where each profile's nodes usually lie.
    pub fn usual(&self) -> Detection {
        let mut detection = Detection::default();
        for profile in self.profiles {
            let usual = usual_folders(profile, &BTreeMap::new(), self.home);
            let main = profile.roots.first().and_then(|root| usual.get(&root.name));
            if let Some(main) = main.filter(|main| main.is_dir()) {
                self.folder(std::slice::from_ref(profile), main, &mut detection);
            }
        }
        detection
    }

    /// Whether a node lies in this very folder.
    fn folder(&self, profiles: &[Profile], folder: &Path, detection: &mut Detection) -> bool {
        let mut guesses: Vec<Guess> = Vec::new();
        for profile in profiles {
            let why = detection.fits(&profile.detect, folder);
            guesses.extend(why.map(|why| self.guess(profile, folder, why)));
        }
        guesses.sort_by_key(|guess| std::cmp::Reverse(guess.why.len()));
        let is_node = !guesses.is_empty();
        detection.guesses.append(&mut guesses);
        is_node
    }

    fn guess(&self, profile: &Profile, folder: &Path, why: Vec<String>) -> Guess {
        let main = profile.roots.first().map(|root| (root.name.clone(), folder.to_path_buf()));
        let given: BTreeMap<String, PathBuf> = main.into_iter().collect();
        let mut paths = usual_folders(profile, &given, self.home);
        paths.retain(|name, path| given.contains_key(name) || path.is_dir());
        let needed = profile.roots.iter().filter(|root| !root.optional);
        let missing = needed.map(|root| root.name.clone()).filter(|name| !paths.contains_key(name));
        Guess { profile: profile.name.clone(), missing: missing.collect(), why, paths }
    }
}

impl Detection {
    /// What of the patterns was found in a folder, if it is enough.
    fn fits(&mut self, detect: &Detect, folder: &Path) -> Option<Vec<String>> {
        if detect.all.is_empty() && detect.any.is_empty() {
            return None;
        }
        let all: Vec<String> = self.present(&detect.all, folder);
        if all.len() < detect.all.len() || !self.present(&detect.none, folder).is_empty() {
            return None;
        }
        let any = self.present(&detect.any, folder);
        (detect.any.is_empty() || !any.is_empty()).then(|| all.into_iter().chain(any).collect())
    }

    fn present(&mut self, patterns: &[String], folder: &Path) -> Vec<String> {
        patterns.iter().filter(|pattern| self.is_there(folder, pattern)).cloned().collect()
    }

    /// Whether a path with `*` for parts of names is there.
    fn is_there(&mut self, folder: &Path, pattern: &str) -> bool {
        let (step, rest) = pattern.split_once('/').unwrap_or((pattern, ""));
        let found: Vec<PathBuf> = if step.contains('*') {
            let entries = self.noted(folder, fs::read_dir(folder)).into_iter().flatten();
            let fits = |path: &PathBuf| {
                path.file_name().is_some_and(|name| matches(step, &name.to_string_lossy()))
            };
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(fits).collect()
        } else {
            let path = folder.join(step);
            self.noted(&path, fs::metadata(&path)).map(|_| path).into_iter().collect()
        };
        found.into_iter().any(|path| rest.is_empty() || self.is_there(&path, rest))
    }

    /// Real folders in a folder, by name.
    fn folders_in(&mut self, folder: &Path, left: &mut usize) -> BTreeSet<PathBuf> {
        let mut folders = BTreeSet::new();
        for entry in self.noted(folder, fs::read_dir(folder)).into_iter().flatten().flatten() {
            if *left == 0 {
                self.is_cut_short = true;
                break;
            }
            *left -= 1;
            let name = entry.file_name();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && !NOT_ENTERED.iter().any(|skipped| name == *skipped) {
                folders.insert(entry.path());
            }
        }
        folders
    }

    /// Remembers what is there and cannot be looked at.
    fn noted<T>(&mut self, path: &Path, looked: io::Result<T>) -> Option<T> {
        match looked {
            Ok(seen) => Some(seen),
            Err(error) => {
                let absent = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
                if !absent.contains(&error.kind()) {
                    self.unreadable.insert(path.to_path_buf(), error.to_string());
                }
                None
            }
        }
    }
}

/// Whether a name fits a pattern in which `*` stands for any part.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(rest) = name.strip_prefix(head) else {
        return false;
    };
    let starts = (0..=rest.len()).filter(|at| rest.is_char_boundary(*at));
    starts.into_iter().any(|at| matches(tail, &rest[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns() {
        let cases = [
            ("*", "", true),
            ("guts-*", "guts-consensus", true),
            ("guts-*", "gut", false),
            ("*.wal", "000001.wal", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXcYb", false),
            ("exact", "exact", true),
            ("é*", "éa", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
