//! What the control objects say at one moment: which snapshots live, which sessions run, what may not be reused
//! (`docs/format.md`, section 7).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use nodekeep_store::Store;

use crate::control::{
    Checkpoint, CollectionOutcome, Deletion, Doomed, Outcome, PackRef, Session, Stamp,
};
use crate::error::{Damage, Error, Result};
use crate::id::{MemberId, ObjectHash, RepoId, SessionId};
use crate::roster::Roster;

mod loader;

/// A snapshot that lives.
#[derive(Debug, Clone)]
pub struct Live {
    /// Generation, writer, sequence, session.
    pub stamp: Stamp,
    /// Hash of the outcome object.
    pub hash: ObjectHash,
    /// The outcome object, verbatim.
    pub object: Vec<u8>,
    /// The outcome; always committed.
    pub outcome: Outcome,
}

impl Live {
    /// Its name in messages.
    pub fn name(&self) -> String {
        self.stamp.outcome_name()
    }
}

/// A collection that is not over.
#[derive(Debug, Clone)]
pub struct OpenCollection {
    /// Number.
    pub number: u64,
    /// Its doomed list; absent if damaged or already retired.
    pub doomed: Option<Doomed>,
    /// Its outcome, if decided.
    pub outcome: Option<CollectionOutcome>,
}

impl OpenCollection {
    /// The packs to keep off: none once it is abandoned.
    fn packs(&self) -> &[PackRef] {
        match (&self.outcome, &self.doomed) {
            (Some(CollectionOutcome { condemned: None, .. }), _) => &[],
            (Some(CollectionOutcome { condemned: Some(packs), .. }), _) => packs,
            (None, Some(doomed)) => &doomed.packs,
            (None, None) => &[],
        }
    }
}

/// A damaged control object: it counts as not there, and is reported.
#[derive(Debug, Clone)]
pub struct BadObject {
    /// Its name.
    pub object: String,
    /// What is wrong.
    pub damage: Damage,
}

/// The state.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Newest checkpoint.
    pub checkpoint: Option<Checkpoint>,
    /// Hash of its object.
    pub checkpoint_hash: Option<ObjectHash>,
    /// Open generation.
    pub generation: u64,
    /// Live snapshots.
    pub live: Vec<Live>,
    /// Sessions without outcome.
    pub sessions: Vec<Session>,
    /// Deletion records: the open generation's and the checkpoint's, verbatim.
    pub deletions: Vec<(Deletion, Vec<u8>)>,
    /// Segments that make the index.
    pub segments: Vec<(MemberId, ObjectHash)>,
    /// Those of them that an open session may still come to name: they must stay as they are.
    pub held: BTreeSet<(MemberId, ObjectHash)>,
    /// Collections that are not over.
    pub collections: Vec<OpenCollection>,
    /// Highest sequence of each writer.
    pub heads: BTreeMap<MemberId, u64>,
    /// Damaged objects.
    pub problems: Vec<BadObject>,
    /// Objects of the open generation and of the one that is ending, by name.
    pub generation_objects: Vec<String>,
}

impl View {
    /// Reads the state.
    ///
    /// # Errors
    /// If the store fails. Damaged objects are listed in `problems`.
    pub fn load(store: &Store, repo: &RepoId, roster: &Roster) -> Result<Self> {
        loader::load(store, repo, roster)
    }

    /// Tells the simulator what whoever asked for the view will look at.
    fn shown(self) -> Self {
        #[cfg(feature = "simulate")]
        crate::simulate::lens::settle("view", &(), || self.clone());
        self
    }

    /// What lives, by outcome.
    #[cfg(feature = "simulate")]
    pub(crate) fn live_hashes(&self) -> BTreeSet<ObjectHash> {
        self.live.iter().map(|live| live.hash).collect()
    }

    /// Number of the newest checkpoint, 0 before the first.
    pub fn checkpoint_number(&self) -> u64 {
        self.checkpoint.as_ref().map_or(0, |c| c.number)
    }

    /// Packs that may not be reused.
    pub fn avoided(&self) -> HashSet<PackRef> {
        self.collections.iter().flat_map(|c| c.packs().iter().copied()).collect()
    }

    /// Whether a snapshot lives.
    pub fn is_live(&self, id: &SessionId) -> bool {
        self.live.iter().any(|l| l.stamp.session == *id)
    }
}

/// What a list or another object names, and is not there, is damage.
pub(crate) fn damaged_missing(name: &str, error: Error) -> Error {
    if error.is_missing() { Error::damaged(name, Damage::Missing) } else { error }
}
