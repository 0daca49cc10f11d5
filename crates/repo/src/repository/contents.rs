//! What an open repository shows: its view, roster, snapshots and index.

use std::collections::HashMap;
use std::sync::Arc;

use nodekeep_store::Store;

use super::{LOOKS, Repository, SEGMENTS_AT_ONCE, SnapshotRecord, read_roster};
use crate::error::{Error, Result};
use crate::fetch;
use crate::id::{MemberId, ObjectHash};
use crate::index::{Index, Segment};
use crate::names;
use crate::reader::ChunkReader;
use crate::roster::Roster;
use crate::view::{View, damaged_missing};

impl Repository {
    /// The control state now.
    ///
    /// # Errors
    /// If the store fails.
    pub fn view(&self) -> Result<View> {
        View::load(&self.store, &self.config.id, &self.roster)
    }

    /// Reads the roster again: another client may have changed it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn current_roster(&self) -> Result<Roster> {
        Ok(read_roster(&self.store, &self.config)?.0)
    }

    /// The same repository with the roster in force now.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn refreshed(&self) -> Result<Self> {
        let (roster, roster_hash) = read_roster(&self.store, &self.config)?;
        Ok(Self { roster, roster_hash, ..self.clone() })
    }

    /// The same repository in another store: a replica of it.
    pub(crate) fn at(&self, store: Store) -> Self {
        Self { store, newest: Arc::default(), ..self.clone() }
    }

    /// The live snapshots by start, oldest first.
    ///
    /// # Errors
    /// If one cannot be opened, or the key does not read.
    pub fn snapshots(&self) -> Result<Vec<SnapshotRecord>> {
        let (records, mut problems) = self.snapshots_in(&self.view()?)?;
        match problems.pop() {
            None => Ok(records),
            Some((_, error)) => Err(error),
        }
    }

    /// The live snapshots of a view, oldest first, and those that do not open.
    ///
    /// # Errors
    /// If the key does not read.
    #[expect(clippy::type_complexity, reason = "a list of results, split")]
    pub fn snapshots_in(&self, view: &View) -> Result<(Vec<SnapshotRecord>, Vec<(String, Error)>)> {
        self.snapshots_since(view, &[])
    }

    /// The same; those in `known` are not read again, for snapshots never change.
    ///
    /// # Errors
    /// As [`Repository::snapshots_in`].
    #[expect(clippy::type_complexity, reason = "as it is above")]
    pub fn snapshots_since(
        &self,
        view: &View,
        known: &[SnapshotRecord],
    ) -> Result<(Vec<SnapshotRecord>, Vec<(String, Error)>)> {
        self.needs_trees()?;
        let known: HashMap<_, _> = known.iter().map(|one| (one.outcome_hash, one)).collect();
        let reader = self.reader(Arc::new(Index::new()));
        let (mut records, mut problems) = (Vec::new(), Vec::new());
        for live in &view.live {
            if let Some(record) = known.get(&live.hash) {
                records.push((*record).clone());
                continue;
            }
            match reader.snapshot(live) {
                Ok(snapshot) => records.push(SnapshotRecord {
                    id: live.stamp.session,
                    stamp: live.stamp,
                    outcome_hash: live.hash,
                    snapshot,
                }),
                Err(error) => problems.push((live.name(), error)),
            }
        }
        records.sort_by_key(|r| (r.snapshot.started_ms, r.stamp.sequence, r.id));
        Ok((records, problems))
    }

    /// One segment.
    ///
    /// # Errors
    /// If it is missing or damaged.
    pub fn segment(&self, writer: &MemberId, hash: &ObjectHash) -> Result<Segment> {
        let name = names::segment(writer, hash);
        let open = |object: &[u8]| {
            hash.check(object)?;
            Segment::open(object, writer, &self.config.id, &self.domain, &self.roster)
        };
        let opened = fetch::opened(&self.store, &name, open);
        let (_, segment) = opened.map_err(|e| damaged_missing(&name, e.into()))?;
        segment.map_err(|damage| Error::damaged(name, damage))
    }

    /// The whole index of a view.
    ///
    /// # Errors
    /// If a segment is missing or damaged: `repo repair` rebuilds it from the packs.
    pub fn index(&self, view: &View) -> Result<Index> {
        let (index, mut problems) = self.index_with_problems(view)?;
        match problems.pop() {
            None => Ok(index),
            Some(error) => Err(error),
        }
    }

    /// The index of a view as far as it can be read, and what could not.
    ///
    /// # Errors
    /// If the store fails otherwise than by a missing object.
    pub fn index_with_problems(&self, view: &View) -> Result<(Index, Vec<Error>)> {
        let mut index = Index::new();
        let mut problems = Vec::new();
        for some in view.segments.chunks(fetch::in_flight(&self.store).min(SEGMENTS_AT_ONCE)) {
            for read in fetch::map(&self.store, some, |(writer, hash)| self.segment(writer, hash)) {
                match read {
                    Ok(segment) => index.add(segment),
                    Err(error @ Error::Damaged { .. }) => problems.push(error),
                    Err(error) => return Err(error),
                }
            }
        }
        index.sort();
        Ok((index, problems))
    }

    /// The index of now as far as it can be read, and what could not: looked up again if a collection has replaced a segment meanwhile.
    ///
    /// # Errors
    /// If the store fails otherwise than by a missing object.
    pub fn index_as_it_is(&self) -> Result<(Index, Vec<Error>)> {
        let mut view = self.view()?;
        for _ in 0..LOOKS {
            let (index, problems) = self.index_with_problems(&view)?;
            if problems.is_empty() {
                return Ok((index, problems));
            }
            let now = self.view()?;
            if now.segments == view.segments {
                return Ok((index, problems));
            }
            view = now;
        }
        self.index_with_problems(&view)
    }

    /// Reads chunks while collections go on: what is missing is looked up again before it counts as lost (`docs/format.md`, section 7.4).
    pub fn lasting_reader(&self, index: Arc<Index>) -> ChunkReader {
        self.reader(index).looking_again(self, LOOKS)
    }

    /// Reads chunks by an index, and by nothing else.
    pub fn reader(&self, index: Arc<Index>) -> ChunkReader {
        ChunkReader::new(
            self.store.clone(),
            self.config.id,
            self.domain.clone(),
            self.groups.clone(),
            index,
        )
    }
}
