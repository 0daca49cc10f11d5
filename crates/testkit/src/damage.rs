//! Damage to the objects of a store, by class: what a bad disk, a bad copy or an attacker leaves behind.

use nodekeep_store::{Durability, Store, StoreError};

/// What an object is, as its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The genesis configuration.
    Config,
    /// A roster.
    Roster,
    /// An envelope.
    Envelope,
    /// A checkpoint.
    Checkpoint,
    /// A session.
    Session,
    /// A progress object.
    Progress,
    /// An outcome, which holds the snapshot.
    Outcome,
    /// A deletion record.
    Deletion,
    /// A doomed list or the outcome of a collection.
    Collection,
    /// A data pack.
    DataPack,
    /// A tree pack.
    TreePack,
    /// An index segment.
    Segment,
}

impl Class {
    /// The class of a name; `None` for no object of a repository.
    pub fn of(name: &str) -> Option<Self> {
        let last = name.rsplit('.').next()?;
        match name.split('/').collect::<Vec<_>>()[..] {
            ["config"] => Some(Self::Config),
            ["r", _] => Some(Self::Roster),
            ["k", _] => Some(Self::Envelope),
            ["c", _] => Some(Self::Checkpoint),
            ["x", _] => Some(Self::Collection),
            ["w", _, "i", _] => Some(Self::Segment),
            ["w", _, "d", _, _] => Some(Self::DataPack),
            ["w", _, "t", _, _] => Some(Self::TreePack),
            ["g", _, _] if name.contains(".progress.") => Some(Self::Progress),
            ["g", _, _] => match last {
                "session" => Some(Self::Session),
                "outcome" => Some(Self::Outcome),
                "deleted" => Some(Self::Deletion),
                _ => None,
            },
            _ => None,
        }
    }
}

/// All objects of a class, by name.
///
/// # Errors
/// If the store cannot be listed.
pub fn objects(store: &Store, class: Class) -> Result<Vec<String>, StoreError> {
    let listed = store.list("")?.into_iter().map(|object| object.name);
    Ok(listed.filter(|name| Class::of(name) == Some(class)).collect())
}

/// A copy of a store in memory.
///
/// # Errors
/// If an object cannot be read.
pub fn copy(store: &Store) -> Result<Store, StoreError> {
    let copy = Store::memory();
    for object in store.list("")? {
        copy.create(&object.name, &store.get(&object.name)?, Durability::Visible)?;
    }
    Ok(copy)
}

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// One bit is another.
    Flip,
    /// The end is missing.
    Truncate,
    /// Zeros stand where bytes stood.
    Zero,
    /// The object is gone.
    Delete,
    /// It and another of its class have changed places.
    Swap,
    /// It stands under the name of another that could be there, too.
    Duplicate,
}

/// Every kind of damage.
pub const ALL: [Damage; 6] =
    [Damage::Flip, Damage::Truncate, Damage::Zero, Damage::Delete, Damage::Swap, Damage::Duplicate];

impl Damage {
    /// Damages `name`, or only the bytes `part` of it where that makes a difference. `other` is another object of the class for
    /// swaps, and `copy_name` a free name for duplicates; without it such damage does nothing.
    ///
    /// # Errors
    /// If the store fails.
    pub fn apply(
        self,
        store: &Store,
        name: &str,
        part: std::ops::Range<usize>,
        other: Option<&str>,
        copy_name: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut bytes = store.get(name)?;
        let middle = usize::midpoint(part.start, part.end);
        match self {
            Self::Flip => bytes[middle] ^= 0x10,
            Self::Truncate => bytes.truncate(middle),
            Self::Zero => bytes[part].fill(0),
            Self::Delete => return store.delete(name).map(drop),
            Self::Swap => return swap(store, name, other),
            Self::Duplicate => return duplicate(store, &bytes, copy_name),
        }
        replace(store, name, &bytes)
    }
}

/// Puts other bytes under a name.
///
/// # Errors
/// If the store fails.
pub fn replace(store: &Store, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    store.delete(name)?;
    store.create(name, bytes, Durability::Visible).map(drop)
}

fn swap(store: &Store, name: &str, other: Option<&str>) -> Result<(), StoreError> {
    let Some(other) = other else { return Ok(()) };
    let (mine, theirs) = (store.get(name)?, store.get(other)?);
    replace(store, name, &theirs)?;
    replace(store, other, &mine)
}

fn duplicate(store: &Store, bytes: &[u8], copy_name: Option<&str>) -> Result<(), StoreError> {
    match copy_name {
        Some(copy) => store.create(copy, bytes, Durability::Visible).map(drop),
        None => Ok(()),
    }
}
