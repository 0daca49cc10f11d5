//! What a store really does: tried out, not believed.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Barrier;

use crate::{Created, Durability, Store, StoreError, StoreErrorKind};

/// Creators in the race.
const RACERS: u8 = 16;

/// What a store was found to do. Printed, it is one line for the user, and more where it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Whether a second create of the same name changes nothing and is told so.
    pub create_if_absent: Honesty,
    /// Whether of sixteen creators at once one wins, and its object stays.
    pub race: Honesty,
    /// Whether a listing shows what was just created, and no longer what was just deleted.
    pub listing: Honesty,
    /// Whether these credentials may read.
    pub read: Allowed,
    /// Whether these credentials may list.
    pub list: Allowed,
    /// Whether these credentials may delete.
    pub delete: Allowed,
    /// Objects of the probe that could not be deleted.
    pub left_behind: Vec<String>,
}

/// Whether a store keeps a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Honesty {
    /// It did when tried.
    Honest,
    /// It did not.
    Lies {
        /// What happened instead.
        how: String,
    },
    /// It could not be tried with these credentials.
    Unknown,
}

/// Whether credentials may do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// They may.
    Yes,
    /// They may not.
    Denied,
}

impl Probe {
    /// Whether many may write to the store at once, and collect what is no longer needed: creation
    /// and listing are as promised.
    pub fn is_honest(&self) -> bool {
        let promises = [&self.create_if_absent, &self.race, &self.listing];
        promises.into_iter().all(|promise| *promise == Honesty::Honest)
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { create_if_absent, race, listing, .. } = self;
        write!(f, "creating only if absent: {create_if_absent}; ")?;
        write!(f, "{RACERS} at once: {race}; listings: {listing}")?;
        write!(f, "\nthese credentials may create")?;
        let rights = [("read", self.read), ("list", self.list), ("delete", self.delete)];
        for (right, _) in rights.iter().filter(|(_, allowed)| *allowed == Allowed::Yes) {
            write!(f, ", {right}")?;
        }
        for (right, _) in rights.iter().filter(|(_, allowed)| *allowed == Allowed::Denied) {
            write!(f, ", not {right}")?;
        }
        if !self.left_behind.is_empty() {
            write!(f, "; left behind: {}", self.left_behind.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Honesty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Honest => f.write_str("honest"),
            Self::Lies { how } => write!(f, "NOT as promised ({how})"),
            Self::Unknown => f.write_str("unknown, for want of permission"),
        }
    }
}

impl Honesty {
    fn lies(how: impl Into<String>) -> Self {
        Self::Lies { how: how.into() }
    }
}

impl Store {
    /// Tries what every store must do, on objects of its own below `probe/`, which it deletes
    /// afterwards, after errors too. Takes about forty requests.
    ///
    /// # Errors
    /// Why something could not be tried at all, for instance because creating is not permitted.
    /// That reading, listing or deleting is denied is no error but a result.
    pub fn probe(&self) -> Result<Probe, StoreError> {
        let mut trial = Trial::start(self);
        let create_if_absent = trial.create_twice()?;
        let race = trial.race()?;
        let (shows_new, list) = trial.list_new()?;
        let delete = trial.delete_all()?;
        let listing = match (shows_new, delete) {
            (Honesty::Honest, Allowed::Yes) => trial.list_gone()?,
            (found, _) => found,
        };
        let (read, left_behind) = (trial.read, std::mem::take(&mut trial.made));
        Ok(Probe { create_if_absent, race, listing, read, list, delete, left_behind })
    }
}

/// A probe under way. Dropped, it deletes what it made.
struct Trial<'a> {
    store: &'a Store,
    root: String,
    /// Objects that are, or may be, there.
    made: Vec<String>,
    read: Allowed,
}

impl<'a> Trial<'a> {
    fn start(store: &'a Store) -> Self {
        let root = format!("probe/{:016x}{:016x}/", random(), random());
        Self { store, root, made: Vec::new(), read: Allowed::Yes }
    }

    /// A name that nobody uses; noted, so that it will be deleted.
    fn name(&mut self, last: &str) -> String {
        let name = format!("{}{last}", self.root);
        self.made.push(name.clone());
        name
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created, StoreError> {
        self.store.create(name, bytes, Durability::Visible)
    }

    /// The object's bytes; `None` if these credentials may not read.
    fn content(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match permitted(self.store.get(name))? {
            Some(bytes) => Ok(Some(bytes)),
            None => {
                self.read = Allowed::Denied;
                Ok(None)
            }
        }
    }

    fn create_twice(&mut self) -> Result<Honesty, StoreError> {
        let name = self.name("twice");
        let answers = (self.create(&name, b"first")?, self.create(&name, b"second")?);
        let is_first = self.content(&name)?.map(|bytes| bytes == b"first");
        Ok(match (answers, is_first) {
            ((Created::New, Created::Exists), Some(true) | None) => Honesty::Honest,
            ((Created::New, Created::Exists), Some(false)) => {
                Honesty::lies("a second create said that the object exists, and replaced it")
            }
            ((Created::New, Created::New), Some(false)) => {
                Honesty::lies("a second create replaced the object")
            }
            ((Created::New, Created::New), _) => {
                Honesty::lies("a second create of the same name claims to have made it too")
            }
            ((Created::Exists, _), _) => {
                Honesty::lies("an object that nobody made is said to exist")
            }
        })
    }

    fn race(&mut self) -> Result<Honesty, StoreError> {
        let name = self.name("race");
        let start = Barrier::new(usize::from(RACERS));
        let run = |number: u8| {
            start.wait();
            self.create(&name, &vec![number; 4096])
        };
        let run = &run;
        let results: Vec<_> = std::thread::scope(|scope| {
            let racers: Vec<_> =
                (0..RACERS).map(|number| scope.spawn(move || (number, run(number)))).collect();
            racers.into_iter().filter_map(|racer| racer.join().ok()).collect()
        });
        let mut winners = Vec::new();
        for (number, result) in results {
            if result? == Created::New {
                winners.push(number);
            }
        }
        let [winner] = winners[..] else {
            let how = format!("{} of {RACERS} were told that they made the object", winners.len());
            return Ok(Honesty::Lies { how });
        };
        Ok(match self.content(&name)? {
            Some(bytes) if bytes != vec![winner; 4096] => {
                Honesty::lies("the object is not that of the one who was told to have made it")
            }
            _ => Honesty::Honest,
        })
    }

    fn names(&self) -> Result<Option<Vec<String>>, StoreError> {
        let objects = permitted(self.store.list(&self.root))?;
        Ok(objects.map(|objects| objects.into_iter().map(|object| object.name).collect()))
    }

    fn list_new(&self) -> Result<(Honesty, Allowed), StoreError> {
        let mut expected = self.made.clone();
        expected.sort_unstable();
        Ok(match self.names()? {
            None => (Honesty::Unknown, Allowed::Denied),
            Some(names) if names == expected => (Honesty::Honest, Allowed::Yes),
            Some(_) => (Honesty::lies("they lack what was just created"), Allowed::Yes),
        })
    }

    fn delete_all(&mut self) -> Result<Allowed, StoreError> {
        for at in (0..self.made.len()).rev() {
            if permitted(self.store.delete(&self.made[at]))?.is_some() {
                self.made.remove(at);
            }
        }
        Ok(if self.made.is_empty() { Allowed::Yes } else { Allowed::Denied })
    }

    fn list_gone(&self) -> Result<Honesty, StoreError> {
        Ok(match self.names()? {
            None => Honesty::Unknown,
            Some(names) if names.is_empty() => Honesty::Honest,
            Some(_) => Honesty::lies("they show what was just deleted"),
        })
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        for name in &self.made {
            // The error that led here says more than that its traces stay.
            let _ = self.store.delete(name);
        }
    }
}

/// `None` if it is not permitted.
fn permitted<T>(result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind == StoreErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(error),
    }
}

/// Differs from call to call and from machine to machine; nothing secret depends on it.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests;
