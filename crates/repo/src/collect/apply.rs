//! Carries a collection out, in the order that makes it safe: doomed list, sessions, rescue, condemnation, and only then deletion.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use nodekeep_store::{Created, Durability};

use crate::control::{CollectionOutcome, Doomed, PackRef, Statement};
use crate::crypto::{SigningKey, random};
use crate::error::Result;
use crate::id::MemberId;
use crate::monitor::Monitor;
use crate::names;
use crate::reader::ChunkReader;
use crate::repository::Repository;
use crate::view::{OpenCollection, View};
use crate::walk::Bits;

use super::finish::{self, Finish, highest};
use super::rescue::Rescue;
use super::{CollectOptions, CollectionReport, Postponed, Survey, mark, refuse_damage, sessions};

/// A generation with fewer objects is not closed for its own sake.
pub(super) const GENERATION_OBJECTS: usize = 32;

pub(super) struct Collector<'a> {
    repo: &'a Repository,
    options: &'a CollectOptions,
    monitor: &'a dyn Monitor,
    key: SigningKey,
    keeper: MemberId,
    report: CollectionReport,
}

impl<'a> Collector<'a> {
    pub(super) fn new(
        repo: &'a Repository,
        options: &'a CollectOptions,
        monitor: &'a dyn Monitor,
    ) -> Result<Self> {
        let (key, keeper) = repo.keeper()?;
        Ok(Self { repo, options, monitor, key, keeper, report: CollectionReport::default() })
    }

    pub(super) fn run(mut self, removed: usize) -> Result<CollectionReport> {
        self.settle_earlier()?;
        settled!("dead sessions", self.repo.roster_hash(), self.told());
        self.end_dead_sessions()?;
        settled!("survey", self.repo.roster_hash(), self.told());
        let survey = Survey::take(self.repo, &HashSet::new(), self.options, self.monitor)?;
        let open = sessions::judge(self.repo, &survey.view, self.options).open;
        self.report.plan = survey.plan(removed, (open, 0));
        settled!("surveyed", self.repo.roster_hash(), self.told(), open, survey.essence());
        if survey.frees_nothing() {
            self.tidy(&survey, open)?;
        } else if open > 0 {
            self.postpone(Postponed::Sessions(open as u64));
        } else {
            self.doom(&survey)?;
        }
        Ok(self.report)
    }

    /// What of the report a simulated program looks at.
    #[cfg(feature = "simulate")]
    fn told(&self) -> Option<Postponed> {
        self.report.postponed
    }

    fn postpone(&mut self, why: Postponed) {
        self.report.postponed = Some(why);
    }

    /// Deletes what finished collections left, abandons one that was cut off before it condemned anything, and finishes one that did.
    fn settle_earlier(&mut self) -> Result<()> {
        self.sweep_leftovers()?;
        settled!("abandon", self.repo.roster_hash(), self.told());
        let mut decided = BTreeSet::new();
        let view = view_for!(self.repo, "open", (self.repo.roster_hash(), self.told()), |view| [
            outcomes_of(view)
        ])?;
        for collection in view.collections {
            if collection.outcome.is_none() {
                self.decide(collection.number, None)?;
            }
            decided.insert(collection.number);
        }
        settled!("resume", self.repo.roster_hash(), self.told(), decided);
        let view = view_for!(
            self.repo,
            "decided",
            (self.repo.roster_hash(), self.told(), decided),
            |view| [outcomes_of(view)]
        )?;
        let mut collections = view.collections;
        // One that has begun since is its keeper's affair.
        let is_decided = |c: &OpenCollection| c.outcome.is_some() || decided.contains(&c.number);
        collections.truncate(collections.iter().take_while(|c| is_decided(c)).count());
        let condemned: BTreeSet<PackRef> =
            collections.iter().flat_map(condemned).copied().collect();
        let last =
            collections.iter().filter(|c| condemned_list(c).is_some()).map(|c| c.number).max();
        // An outcome that cannot be read: nothing was deleted yet, so it counts as abandoned once a checkpoint says that it is over.
        let undecided = collections.iter().any(|c| c.outcome.is_none());
        if last.is_some() || undecided {
            let finish = Finish {
                repo: self.repo,
                condemned,
                collections: collections.last().map_or(0, |c| c.number),
                fresh: Vec::new(),
                stale: Vec::new(),
            };
            scoped!("resumed", self.repo.roster_hash(), self.told());
            self.report.checkpoint = finish.resume(&|| self.monitor.interrupted())?;
            self.report.finished = last;
        }
        Ok(())
    }

    fn sweep_leftovers(&self) -> Result<()> {
        scoped!("leftovers", self.repo.roster_hash(), self.told());
        let view = view_for!(self.repo, "sweep leftovers", (self.repo.roster_hash()), |view| [
            view.checkpoint_hash,
            view.generation,
            view.segments
        ])?;
        finish::sweep_leftovers(self.repo, &view)
    }

    fn end_dead_sessions(&mut self) -> Result<()> {
        let view = view_for!(
            self.repo,
            "find dead sessions",
            (self.repo.roster_hash(), self.told()),
            |view| [sessions::without_outcome(view)]
        )?;
        for stamp in sessions::judge(self.repo, &view, self.options).dead {
            if sessions::fence(self.repo, &stamp)? {
                self.report.sessions_ended += 1;
            }
        }
        Ok(())
    }

    /// Deletes segments that a crash left, and closes a generation that has grown long: opening a repository reads all of it.
    fn tidy(&mut self, survey: &Survey, open: usize) -> Result<()> {
        if open > 0 {
            return Ok(());
        }
        for (writer, hash) in survey.stale_segments() {
            self.repo.store().delete(&names::segment(&writer, &hash))?;
        }
        let prefix = names::generation(survey.view.generation);
        let objects = survey.view.generation_objects.iter();
        if objects.filter(|name| name.starts_with(&prefix)).count() > GENERATION_OBJECTS {
            let finish = Finish {
                repo: self.repo,
                condemned: BTreeSet::new(),
                collections: highest(&survey.view),
                fresh: Vec::new(),
                stale: Vec::new(),
            };
            self.report.checkpoint = finish.run()?;
        }
        Ok(())
    }

    fn doom(&mut self, survey: &Survey) -> Result<()> {
        let number = highest(&survey.view) + 1;
        let packs = survey.doomed();
        let doomed = Doomed {
            number,
            keeper: self.keeper,
            generation: survey.view.generation,
            nonce: random(),
            packs: packs.clone(),
        };
        let object = doomed.seal(&self.repo.id(), &self.key);
        let created =
            self.repo.store().create(&names::doomed(number), &object, Durability::Durable)?;
        if created == Created::Exists {
            self.postpone(Postponed::Collection(number));
            return Ok(());
        }
        let done = self.condemn(survey, number, packs);
        if done.is_err() {
            // Whatever went wrong is what to report; if this fails too, the next collection does it.
            let _ = self.decide(number, None);
        }
        done
    }

    /// From here on every new session sees the doomed list. One that is open now may not have seen it.
    fn condemn(&mut self, survey: &Survey, number: u64, doomed: Vec<PackRef>) -> Result<()> {
        let repo = self.repo.refreshed()?;
        let view = view_for!(
            repo,
            "condemn",
            (repo.roster_hash(), self.told(), survey.essence(), number),
            |view| [
                view.checkpoint_hash,
                view.generation,
                view.live_hashes(),
                view.segments,
                sessions::without_outcome(view),
                outcomes_of(view),
                view.problems
            ]
        )?;
        refuse_damage(&view)?;
        if let Some(why) = self.obstacle(&repo, survey, &view, number) {
            self.decide(number, None)?;
            self.postpone(why);
            return Ok(());
        }
        settled!(
            "mark",
            repo.roster_hash(),
            self.told(),
            survey.essence(),
            number,
            doomed,
            view.live_hashes(),
            view.segments
        );
        let marked = Marked::again(&repo, survey, &view, self.monitor)?;
        let mut rescue = Rescue::new(&repo, &marked.reader)?;
        rescue.copy(&marked.choose(&doomed)?, &doomed, self.monitor)?;
        let (segments, damaged) = rescue.finish()?;
        let condemned: Vec<PackRef> =
            doomed.into_iter().filter(|pack| !damaged.contains(pack)).collect();
        self.report.packs_damaged = damaged.iter().map(PackRef::name).collect();
        repo.store().barrier()?;
        if planted!(DeleteFirst) {
            finish::delete_packs(&repo, &condemned)?;
        }
        if !self.decide(number, Some(condemned.clone()))? {
            self.postpone(Postponed::Collection(number));
            return Ok(());
        }
        let condemned = condemned.into_iter().collect();
        settled!(
            "finish",
            repo.roster_hash(),
            self.told(),
            number,
            condemned,
            segments,
            survey.stale_segments()
        );
        let finish = Finish {
            repo: &repo,
            condemned,
            collections: number,
            fresh: segments,
            stale: survey.stale_segments(),
        };
        scoped!("own", repo.roster_hash(), self.told(), number);
        self.report.checkpoint = finish.run()?;
        match self.report.checkpoint {
            Some(_) => self.report.collection = Some(number),
            None => self.postpone(Postponed::Collection(number)),
        }
        Ok(())
    }

    fn obstacle(
        &self,
        repo: &Repository,
        survey: &Survey,
        view: &View,
        number: u64,
    ) -> Option<Postponed> {
        let judged = sessions::judge(repo, view, self.options);
        let sessions = judged.open + judged.dead.len();
        if sessions > 0 && !planted!(NoRecheck) {
            return Some(Postponed::Sessions(sessions as u64));
        }
        let others = |c: &&OpenCollection| {
            c.number != number && (c.outcome.is_none() || condemned_list(c).is_some())
        };
        if let Some(other) = view.collections.iter().find(others) {
            return Some(Postponed::Collection(other.number));
        }
        let closed = view.generation != survey.view.generation;
        closed.then_some(Postponed::Collection(view.checkpoint_number()))
    }

    /// Creates the outcome of a collection; false if it has another one already.
    fn decide(&self, number: u64, condemned: Option<Vec<PackRef>>) -> Result<bool> {
        let outcome = CollectionOutcome { number, keeper: self.keeper, nonce: random(), condemned };
        let object = outcome.seal(&self.repo.id(), &self.key);
        let name = names::collection_outcome(number);
        Ok(self.repo.store().create(&name, &object, Durability::Durable)? == Created::New)
    }
}

fn condemned_list(collection: &OpenCollection) -> Option<&Vec<PackRef>> {
    collection.outcome.as_ref()?.condemned.as_ref()
}

/// Of each collection whether it is decided, and what is condemned.
#[cfg(feature = "simulate")]
fn outcomes_of(view: &View) -> Vec<(u64, Option<Option<Vec<PackRef>>>)> {
    let outcome = |c: &OpenCollection| c.outcome.as_ref().map(|outcome| outcome.condemned.clone());
    view.collections.iter().map(|c| (c.number, outcome(c))).collect()
}

fn condemned(collection: &OpenCollection) -> &[PackRef] {
    condemned_list(collection).map_or(&[], Vec::as_slice)
}

/// What lives now that the doomed list is out.
struct Marked {
    reader: ChunkReader,
    reached: Bits,
}

impl Marked {
    /// Marks again only if something was committed or deleted since the survey.
    fn again(
        repo: &Repository,
        survey: &Survey,
        view: &View,
        monitor: &dyn Monitor,
    ) -> Result<Self> {
        let ids = |view: &View| view.live.iter().map(|live| live.hash).collect::<HashSet<_>>();
        let same = view.segments == survey.view.segments && ids(view) == ids(&survey.view);
        if same || planted!(NoRemark) {
            return Ok(Self { reader: survey.reader.clone(), reached: survey.reached.clone() });
        }
        let reader = repo.reader(Arc::new(repo.index(view)?));
        let reached =
            mark::reached(repo, view, &reader, &HashSet::new(), &|| monitor.interrupted())?;
        Ok(Self { reader, reached })
    }

    /// The places that stay, doomed ones only where there is no other.
    fn choose(&self, doomed: &[PackRef]) -> Result<Bits> {
        let index = self.reader.index();
        let numbers = doomed.iter().filter_map(|pack| index.pack_number(&pack.id)).collect();
        mark::choose(&self.reader, &self.reached, &numbers)
    }
}
