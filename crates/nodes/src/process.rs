//! Processes as `/proc` shows them: named by id and the time they started, so that an id which was used again is not taken for the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A process, and no other that gets its id later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// When it started, in clock ticks since the machine did.
    pub started: u64,
}

/// What `/proc/PID/stat` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    state: char,
    parent: i32,
    started: u64,
}

impl Process {
    /// The process whose id stands in a file; `None` if it does not run.
    ///
    /// # Errors
    /// If the file cannot be read or holds no id.
    pub fn of_file(path: &Path) -> Result<Option<Self>> {
        let text = fs::read_to_string(path).map_err(Error::file(path, "cannot be read"))?;
        let word = text.split_whitespace().next().unwrap_or_default();
        match word.parse::<i32>() {
            Ok(pid) if pid > 0 => Ok(Self::find(pid)),
            _ => Err(Error::Damaged {
                path: path.to_path_buf(),
                reason: "its first word is no process id".to_owned(),
            }),
        }
    }

    /// The process that has this id now.
    pub fn find(pid: i32) -> Option<Self> {
        let stat = stat(&folder(pid).join("stat"))?;
        (stat.state != 'Z').then_some(Self { pid, started: stat.started })
    }

    /// Whether it still runs, or is stopped: not a zombie.
    pub fn is_alive(&self) -> bool {
        Self::find(self.pid) == Some(*self)
    }

    /// Whether it and each of its threads is stopped, by whomever; `false` if it is gone.
    pub fn is_stopped(&self) -> bool {
        let threads = self.is_alive().then(|| fs::read_dir(folder(self.pid).join("task")));
        let Some(Ok(threads)) = threads else { return false };
        let stats = threads.flatten().filter_map(|thread| stat(&thread.path().join("stat")));
        stats.map(|stat| stat.state).all(|state| "TtZX".contains(state))
    }

    /// Sends a signal, unless it is gone.
    ///
    /// # Errors
    /// If this user may not.
    pub fn signal(&self, signal: Signal) -> std::io::Result<()> {
        match Pid::from_raw(self.pid).filter(|_| self.is_alive()) {
            None => Ok(()),
            Some(pid) => match kill_process(pid, signal) {
                Err(error) if error != rustix::io::Errno::SRCH => Err(error.into()),
                _ => Ok(()),
            },
        }
    }

    /// It and all that descend from it, it first.
    pub fn tree(&self) -> Vec<Self> {
        let all = everything();
        let mut tree = vec![*self];
        let mut known = BTreeSet::from([self.pid]);
        // Parents may come after their children in the list: look until nothing is added.
        loop {
            let children = all.iter().filter(|(_, parent)| known.contains(parent));
            let new: Vec<Self> = children
                .map(|(process, _)| *process)
                .filter(|process| !known.contains(&process.pid))
                .collect();
            if new.is_empty() {
                return tree;
            }
            known.extend(new.iter().map(|process| process.pid));
            tree.extend(new);
        }
    }
}

/// Every process that is no zombie, with its parent's id.
fn everything() -> Vec<(Process, i32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter_map(|pid| {
        let stat = stat(&folder(pid).join("stat")).filter(|stat| stat.state != 'Z')?;
        Some((Process { pid, started: stat.started }, stat.parent))
    })
    .collect()
}

fn folder(pid: i32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

fn stat(path: &Path) -> Option<Stat> {
    parse(&fs::read_to_string(path).ok()?)
}

/// The name stands in parentheses and may itself hold some: what counts follows the last.
fn parse(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let text = "42 (a) R (b) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 189051 1 2";
        let expected = Stat { state: 'S', parent: 7, started: 189_051 };
        assert_eq!(parse(text), Some(expected));
        for broken in ["", "42", "42 (a)", "42 (a) S x", "42 (a) S 7 1"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn this_process_lives_and_is_in_its_parents_tree() {
        let own = i32::try_from(std::process::id()).unwrap();
        let own = Process::find(own).unwrap();
        assert!(own.is_alive() && !own.is_stopped());
        assert!(!Process { started: own.started + 1, ..own }.is_alive());
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert!(own.tree().iter().any(|process| process.pid == pid));
        child.kill().unwrap();
        // A zombie runs no more.
        while Process::find(pid).is_some() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }
}
