//! Reads a view, object by object.

use std::collections::{BTreeMap, HashSet};

use nodekeep_store::Store;

use super::{BadObject, Live, OpenCollection, View};
use crate::control::{
    Checkpoint, CollectionOutcome, Deletion, Doomed, Numbered, Outcome, Progress, Session, Stamp,
};
use crate::error::{Damage, Result};
use crate::fetch;
use crate::id::{MemberId, ObjectHash, RepoId, SessionId};
use crate::listing::Lists;
use crate::names::{self, InGeneration, Role};
use crate::roster::Roster;

/// Reads the state: again, if it was torn by a checkpoint.
pub(super) fn load(store: &Store, repo: &RepoId, roster: &Roster) -> Result<View> {
    loop {
        let mut loader = Loader {
            store,
            lists: Lists::of(store)?,
            repo,
            roster,
            view: View::default(),
            ended: HashSet::new(),
            folded: HashSet::new(),
            progress: Vec::new(),
            collecting: false,
        };
        loader.show("begun", &());
        loader.checkpoint()?;
        loader.show("checkpoint", &());
        loader.generations()?;
        loader.collections()?;
        loader.show("collections", &());
        if loader.is_consistent()? {
            return Ok(loader.finish().shown());
        }
    }
}

#[derive(Clone)]
struct Loader<'a> {
    store: &'a Store,
    lists: Lists<'a>,
    repo: &'a RepoId,
    roster: &'a Roster,
    view: View,
    /// Sessions with an outcome, and their generations.
    ended: HashSet<(u64, SessionId)>,
    /// Outcomes that the checkpoint has taken in, live or deleted since.
    folded: HashSet<ObjectHash>,
    /// What unfinished sessions have named.
    progress: Vec<((u64, SessionId), (MemberId, ObjectHash))>,
    /// Whether a collection that is not over was listed.
    collecting: bool,
}

impl Loader<'_> {
    fn bad(&mut self, object: impl Into<String>, damage: Damage) {
        self.view.problems.push(BadObject { object: object.into(), damage });
    }

    /// Tells the simulator what the rest depends on: this, and what the caller will look at of what was read so far.
    #[cfg_attr(
        not(feature = "simulate"),
        expect(clippy::unused_self, reason = "for the simulator")
    )]
    fn show(&self, _stage: &str, _what: &dyn std::fmt::Debug) {
        #[cfg(feature = "simulate")]
        {
            let Self { view, collecting, .. } = self;
            let deleted: std::collections::BTreeSet<ObjectHash> =
                view.deletions.iter().map(|(deletion, _)| deletion.outcome).collect();
            let known = (view.generation, view.checkpoint_hash, collecting, &view.problems);
            let so_far = || self.clone().finish();
            crate::simulate::lens::settle(_stage, &(_what, known, deleted), so_far);
        }
    }

    /// Reads an object that a list named; `None` if it went meanwhile.
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>> {
        get_listed(self.store, name)
    }

    /// Whether there is anything of a generation. Nothing begins in one before its checkpoint is made.
    fn has_objects(&self, generation: u64) -> Result<bool> {
        let listed = self.lists.names(&names::generation(generation))?;
        Ok(listed.iter().any(|name| names::parse_in_generation(name).is_some()))
    }

    fn checkpoint(&mut self) -> Result<()> {
        let numbers = self.lists.numbers(names::CHECKPOINTS, names::checkpoint)?;
        let mut newest = numbers.last().copied().unwrap_or(0);
        if self.has_objects(newest + 1)? {
            newest += 1;
            let name = names::checkpoint(newest);
            if self.get(&name)?.is_some() {
                // It was made since the list.
                return self.checkpoint();
            }
            self.bad(name, Damage::Missing);
        }
        for number in numbers.into_iter().rev() {
            let name = names::checkpoint(number);
            let open = |object: &[u8]| Checkpoint::open(object, number, self.repo, self.roster);
            let Some((object, checkpoint)) =
                fetch::if_there(fetch::opened(self.store, &name, open))?
            else {
                continue;
            };
            match checkpoint {
                Ok(checkpoint) => {
                    self.view.checkpoint_hash = Some(ObjectHash::of(&object));
                    self.fold(checkpoint);
                    break;
                }
                Err(damage) => self.bad(name, damage),
            }
        }
        self.view.generation = newest;
        Ok(())
    }

    fn fold(&mut self, checkpoint: Checkpoint) {
        self.view.segments = checkpoint.segments.clone();
        self.view.heads = checkpoint.heads.iter().copied().collect();
        let name = names::checkpoint(checkpoint.number);
        for object in &checkpoint.outcomes {
            self.folded.insert(ObjectHash::of(object));
            match Outcome::open_folded(object, self.repo, self.roster) {
                Ok(outcome) => self.live(outcome, object.clone(), false),
                Err(damage) => self.bad(name.clone(), damage),
            }
        }
        for object in &checkpoint.deletions {
            match Deletion::open(object, None, self.repo, self.roster) {
                Ok(deletion) => {
                    self.folded.insert(deletion.outcome);
                    self.view.deletions.push((deletion, object.clone()));
                }
                Err(damage) => self.bad(name.clone(), damage),
            }
        }
        self.view.checkpoint = Some(checkpoint);
    }

    /// Takes in a committed outcome. Segments of folded outcomes are in the checkpoint's own list, as far as they still exist.
    fn live(&mut self, outcome: Outcome, object: Vec<u8>, with_segments: bool) {
        let stamp = outcome.stamp;
        if with_segments && let Some(commit) = &outcome.commit {
            self.view.segments.extend(commit.segments.iter().map(|hash| (stamp.writer, *hash)));
        }
        if outcome.commit.is_some() && !self.view.is_live(&stamp.session) {
            let hash = ObjectHash::of(&object);
            self.view.live.push(Live { stamp, hash, object, outcome });
        }
    }

    /// Reads the open generation and the one before, which is ending: its sessions may still commit. If the newest checkpoint is
    /// damaged, the generations since the newest sound one stand in for it: a collection keeps them for that.
    fn generations(&mut self) -> Result<()> {
        let ending = self.view.checkpoint_number().saturating_sub(1);
        for generation in ending..=self.view.generation {
            self.generation(generation)?;
            self.show("generation", &generation);
        }
        Ok(())
    }

    fn generation(&mut self, generation: u64) -> Result<()> {
        let mut named = Vec::new();
        for object in self.lists.names(&names::generation(generation))? {
            self.view.generation_objects.push(object.clone());
            match names::parse_in_generation(&object) {
                Some(name) => named.push((object, name)),
                None => self.bad(object, Damage::Name),
            }
        }
        let store = self.store;
        let read = fetch::map(store, &named, |(object, _)| get_listed(store, object));
        for ((object, name), bytes) in named.iter().zip(read) {
            if let Some(bytes) = bytes? {
                self.take_twice(object, bytes, |loader, bytes| loader.take(name, bytes))?;
            }
        }
        Ok(())
    }

    /// Takes an object in. One that seems damaged is read once more first, as with [`fetch::opened`].
    fn take_twice(
        &mut self,
        object: &str,
        bytes: Vec<u8>,
        mut take: impl FnMut(&mut Self, &[u8]) -> std::result::Result<(), Damage>,
    ) -> Result<()> {
        let Err(damage) = take(self, &bytes) else {
            return Ok(());
        };
        // What went meanwhile is not damaged.
        let taken = match self.get(object)? {
            None => Ok(()),
            Some(again) if again == bytes => Err(damage),
            Some(again) => take(self, &again),
        };
        if let Err(damage) = taken {
            self.bad(object, damage);
        }
        Ok(())
    }

    fn take(&mut self, name: &InGeneration, bytes: &[u8]) -> std::result::Result<(), Damage> {
        match name.role {
            Role::Session => self.take_session(name, bytes),
            Role::Progress(_) => self.take_progress(name, bytes),
            Role::Outcome => self.take_outcome(name, bytes),
            Role::Deleted => self.take_deletion(name, bytes),
        }
    }

    fn head(&mut self, stamp: &Stamp) {
        let head = self.view.heads.entry(stamp.writer).or_default();
        *head = (*head).max(stamp.sequence);
    }

    /// A session takes a number above every one that its generation's checkpoint knows of. Only a stolen key, of a writer that was
    /// removed since, has a use for older ones: those it may still sign.
    fn refuse_used(&self, stamp: &Stamp) -> std::result::Result<(), Damage> {
        // What the generation that is ending began with, only the checkpoint before knows.
        if stamp.generation < self.view.checkpoint_number() {
            return Ok(());
        }
        let heads = self.view.checkpoint.as_ref().map_or(&[][..], |c| c.heads.as_slice());
        let used = heads.iter().any(|(w, head)| *w == stamp.writer && stamp.sequence <= *head);
        if used { Err(Damage::Sequence) } else { Ok(()) }
    }

    fn take_session(
        &mut self,
        name: &InGeneration,
        bytes: &[u8],
    ) -> std::result::Result<(), Damage> {
        let session = Session::open(bytes, name, self.repo, self.roster)?;
        self.refuse_used(&session.stamp)?;
        self.head(&session.stamp);
        self.view.sessions.push(session);
        Ok(())
    }

    fn take_progress(
        &mut self,
        name: &InGeneration,
        bytes: &[u8],
    ) -> std::result::Result<(), Damage> {
        let progress = Progress::open(bytes, name, self.repo, self.roster)?;
        self.refuse_used(&progress.stamp)?;
        // The checkpoint lists those of the generation that is ending, as far as they were there.
        if name.generation < self.view.checkpoint_number() {
            return Ok(());
        }
        let session = (name.generation, name.session);
        let segments = progress.segments.iter().map(|hash| (session, (name.member, *hash)));
        self.progress.extend(segments);
        Ok(())
    }

    fn take_outcome(
        &mut self,
        name: &InGeneration,
        bytes: &[u8],
    ) -> std::result::Result<(), Damage> {
        // Whatever it says, the slot is taken: the session is over.
        self.ended.insert((name.generation, name.session));
        let outcome = Outcome::open(bytes, name, self.repo, self.roster)?;
        if outcome.commit.is_some() {
            self.refuse_used(&outcome.stamp)?;
        }
        self.head(&outcome.stamp);
        if !self.folded.contains(&ObjectHash::of(bytes)) {
            self.live(outcome, bytes.to_vec(), true);
        }
        Ok(())
    }

    fn take_deletion(
        &mut self,
        name: &InGeneration,
        bytes: &[u8],
    ) -> std::result::Result<(), Damage> {
        let deletion = Deletion::open(bytes, Some(name), self.repo, self.roster)?;
        if self.view.deletions.iter().all(|(_, object)| object != bytes) {
            self.view.deletions.push((deletion, bytes.to_vec()));
        }
        Ok(())
    }

    fn collections(&mut self) -> Result<()> {
        let over = self.view.checkpoint.as_ref().map_or(0, |c| c.collections);
        let mut open: BTreeMap<u64, OpenCollection> = BTreeMap::new();
        let mut named = Vec::new();
        for listed in self.lists.names(names::COLLECTIONS)? {
            let doomed = names::number(&listed, "x/", ".doomed");
            match doomed.or_else(|| names::number(&listed, "x/", ".outcome")) {
                Some(number) if number <= over => {}
                Some(number) => named.push((listed, number, doomed.is_some())),
                None => self.bad(listed, Damage::Name),
            }
        }
        self.collecting = !named.is_empty();
        self.show("listed", &named);
        for (listed, number, is_doomed) in named {
            let Some(bytes) = self.get(&listed)? else {
                continue;
            };
            let entry = open.entry(number).or_insert(OpenCollection {
                number,
                doomed: None,
                outcome: None,
            });
            self.take_twice(&listed, bytes, |loader, bytes| {
                take_collection(entry, is_doomed, bytes, loader.repo, loader.roster)
            })?;
        }
        self.view.collections = open.into_values().collect();
        Ok(())
    }

    /// Whether the checkpoint was still the newest when the collections were listed. If there is another, one of them may be over and swept
    /// away, or have been abandoned and swept away before its keeper decided it too late.
    fn is_consistent(&self) -> Result<bool> {
        if planted!(TornView) || !self.collecting {
            return Ok(true);
        }
        let numbers = self.lists.numbers(names::CHECKPOINTS, names::checkpoint)?;
        Ok(numbers.last().is_none_or(|newest| *newest <= self.view.generation))
    }

    fn finish(mut self) -> View {
        let gone: HashSet<ObjectHash> =
            self.view.deletions.iter().map(|(d, _)| d.outcome).collect();
        self.view.live.retain(|live| !gone.contains(&live.hash));
        let ended = |stamp: &Stamp| self.ended.contains(&(stamp.generation, stamp.session));
        self.view.sessions.retain(|session| !ended(&session.stamp));
        let open = |session: &(u64, SessionId)| !self.ended.contains(session);
        let held = self.progress.iter().filter(|(session, _)| open(session));
        self.view.held = held.map(|(_, segment)| *segment).collect();
        self.view.segments.extend(self.progress.iter().map(|(_, segment)| *segment));
        self.view.segments.sort_unstable();
        self.view.segments.dedup();
        self.view
    }
}

fn take_collection(
    entry: &mut OpenCollection,
    is_doomed: bool,
    bytes: &[u8],
    repo: &RepoId,
    roster: &Roster,
) -> std::result::Result<(), Damage> {
    if is_doomed {
        entry.doomed = Some(Doomed::open(bytes, entry.number, repo, roster)?);
    } else {
        entry.outcome = Some(CollectionOutcome::open(bytes, entry.number, repo, roster)?);
    }
    Ok(())
}

fn get_listed(store: &Store, name: &str) -> Result<Option<Vec<u8>>> {
    Ok(fetch::if_there(store.get(name))?)
}
