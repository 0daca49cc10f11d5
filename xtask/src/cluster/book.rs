//! What was promised: which snapshots are committed, and what each must give back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nodekeep_testkit::{Rng, Tree};
use serde_json::Value;

use super::machine::{Machine, text_of};
use crate::error::Error;

/// A snapshot that was reported as committed.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its id.
    pub id: String,
    /// What it holds.
    pub tree: Tree,
}

/// The snapshots of a repository, from any thread.
#[derive(Debug, Default)]
pub struct Book {
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    entries: BTreeMap<String, Entry>,
    /// Of each machine, oldest first.
    order: BTreeMap<String, Vec<String>>,
    removed: BTreeSet<String>,
}

impl Book {
    /// A machine's backup has returned, or its snapshot was found.
    pub fn committed(&self, machine: &str, id: String, tree: Tree) {
        let mut pages = self.pages();
        pages.order.entry(machine.to_owned()).or_default().push(id.clone());
        pages.entries.insert(id.clone(), Entry { id, tree });
    }

    /// A `snapshot prune --json` has returned: what it did not keep is gone.
    pub fn pruned(&self, said: &Value) {
        let mut pages = self.pages();
        for snapshot in said["snapshots"].as_array().into_iter().flatten() {
            if let Some(id) = text_of(&snapshot["id"]).filter(|_| snapshot["keep"] == false) {
                pages.removed.insert(id);
            }
        }
    }

    /// Whether a prune has removed it.
    pub fn is_removed(&self, id: &str) -> bool {
        self.pages().removed.contains(id)
    }

    /// Any snapshot that is not removed.
    pub fn any(&self, rng: &mut Rng) -> Option<Entry> {
        let live = self.live();
        (!live.is_empty()).then(|| rng.pick(&live).clone())
    }

    /// Every snapshot that is not removed.
    pub fn live(&self) -> Vec<Entry> {
        let pages = self.pages();
        let live = pages.entries.values().filter(|entry| !pages.removed.contains(&entry.id));
        live.cloned().collect()
    }

    /// How many were committed.
    pub fn len(&self) -> usize {
        self.pages().entries.len()
    }

    /// Fails unless the repository lists what is in the book, less what was removed, and nothing else.
    pub fn must_list(&self, reader: &Machine) -> Result<(), Error> {
        let listed: BTreeSet<String> = reader.ids()?.into_iter().collect();
        let promised: BTreeSet<String> = self.live().into_iter().map(|entry| entry.id).collect();
        let lost: Vec<&String> = promised.difference(&listed).collect();
        let strange: Vec<&String> = listed.difference(&promised).collect();
        if lost.is_empty() && strange.is_empty() {
            return Ok(());
        }
        Err(Error::Broken(format!("snapshots lost: {lost:?}; listed and not known: {strange:?}")))
    }

    /// Takes in what a prune that was killed did: with `keep` it may have removed all but the newest of each machine.
    pub fn pruned_unseen(&self, reader: &Machine, keep: usize) -> Result<(), Error> {
        let listed: BTreeSet<String> = reader.ids()?.into_iter().collect();
        let mut pages = self.pages();
        let mut gone = Vec::new();
        for ids in pages.order.values() {
            let must_stay = ids.len().saturating_sub(keep);
            for (at, id) in ids.iter().enumerate() {
                if listed.contains(id) {
                    continue;
                }
                if at >= must_stay {
                    return Err(Error::Broken(format!("snapshot {id} is lost: it had to be kept")));
                }
                gone.push(id.clone());
            }
        }
        pages.removed.extend(gone);
        Ok(())
    }

    /// Whether this id was ever in it.
    pub fn knows(&self, id: &str) -> bool {
        self.pages().entries.contains_key(id)
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
