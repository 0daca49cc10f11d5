//! What a mirror reads of control objects: their names at one moment, and what they name.

use std::collections::BTreeSet;

use nodekeep_store::Store;

use crate::control::{
    Checkpoint, CollectionOutcome, Deletion, Doomed, Numbered, Outcome, Progress, Session,
};
use crate::error::Damage;
use crate::id::RepoId;
use crate::listing::Lists;
use crate::names::{self, Role as Part};
use crate::roster::Roster;

/// The control objects of the source, as listed at one moment.
pub(super) struct Control {
    pub(super) rosters: Vec<String>,
    /// Ascending.
    pub(super) checkpoints: Vec<u64>,
    pub(super) generations: Vec<String>,
    pub(super) collections: Vec<String>,
}

impl Control {
    pub(super) fn list(store: &Store) -> crate::error::Result<Self> {
        let lists = Lists::of(store)?;
        let rosters = lists.numbers(names::ROSTERS, names::roster)?;
        let parsed = |name: &String| names::parse_in_generation(name).is_some();
        Ok(Self {
            rosters: rosters.into_iter().map(names::roster).collect(),
            checkpoints: lists.numbers(names::CHECKPOINTS, names::checkpoint)?,
            generations: lists.names("g/")?.into_iter().filter(parsed).collect(),
            collections: lists.names(names::COLLECTIONS)?,
        })
    }

    pub(super) fn newest(&self) -> u64 {
        self.checkpoints.last().copied().unwrap_or(0)
    }

    /// What a client can need: of the newest generation and checkpoint, and of those before, which stand in for a damaged checkpoint.
    pub(super) fn of_generation(&self, generation: u64) -> Vec<String> {
        let prefix = names::generation(generation);
        self.generations.iter().filter(|name| name.starts_with(&prefix)).cloned().collect()
    }
}

/// What control objects name.
#[derive(Default)]
pub(super) struct Named {
    /// Committed snapshots.
    pub(super) snapshots: u64,
    /// Names of index segments.
    pub(super) segments: BTreeSet<String>,
}

impl Named {
    pub(super) fn by_outcome(outcome: Outcome) -> Self {
        let writer = outcome.stamp.writer;
        let segments = outcome.commit.iter().flat_map(|commit| &commit.segments);
        Self {
            snapshots: u64::from(outcome.commit.is_some()),
            segments: segments.map(|hash| names::segment(&writer, hash)).collect(),
        }
    }

    pub(super) fn by_checkpoint(checkpoint: &Checkpoint) -> Self {
        let segments = checkpoint.segments.iter();
        Self {
            snapshots: checkpoint.outcomes.len() as u64,
            segments: segments.map(|(writer, hash)| names::segment(writer, hash)).collect(),
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.snapshots += other.snapshots;
        self.segments.extend(other.segments);
    }
}

/// Checks a signed object; returns what it names.
pub(super) fn named_in(
    name: &str,
    object: &[u8],
    id: &RepoId,
    roster: &Roster,
) -> Result<Named, Damage> {
    let nothing = Named::default();
    if let Some(place) = names::parse_in_generation(name) {
        return match place.role {
            Part::Session => Session::open(object, &place, id, roster).map(|_| nothing),
            Part::Progress(_) => Progress::open(object, &place, id, roster).map(|_| nothing),
            Part::Deleted => Deletion::open(object, Some(&place), id, roster).map(|_| nothing),
            Part::Outcome => Outcome::open(object, &place, id, roster).map(Named::by_outcome),
        };
    }
    if let Some(number) = names::number(name, names::CHECKPOINTS, "") {
        return Checkpoint::open(object, number, id, roster).map(|c| Named::by_checkpoint(&c));
    }
    if let Some(number) = names::number(name, names::COLLECTIONS, ".doomed") {
        return Doomed::open(object, number, id, roster).map(|_| nothing);
    }
    let number = names::number(name, names::COLLECTIONS, ".outcome").ok_or(Damage::Name)?;
    CollectionOutcome::open(object, number, id, roster).map(|_| nothing)
}
