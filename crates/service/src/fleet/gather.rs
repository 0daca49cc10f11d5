//! What the overview is made from: the repository, as far as the keys read it, and this machine's schedules, jobs and nodes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use nodekeep_nodes::manifest::Machine as Writer;
use nodekeep_repo::id::{MemberId, SnapshotId};
use nodekeep_repo::repository::{Repository, SnapshotRecord};
use nodekeep_repo::scrub::ScrubStatus;
use nodekeep_repo::view::View;

use super::machines::{Duty, Writing, machines};
use super::moment::Moment;
use super::overview::{
    Alert, Copy, Dedup, Detail, Jobs, Machine, Overview, Repository as Summary, Role, Scrub,
};
use super::space::{self, Added};
use super::targets::Targets;
use super::weights::{self, Weight};
use crate::copies::{CopyRecord, Distance, is_offsite};
use crate::error::Result;
use crate::find::{NodeSnapshot, is_record, node_of};
use crate::jobs::journal::Journal;
use crate::notify::desk::Desk;
use crate::schedule::Planned;
use crate::schedule::decide::{History, Now, decide};
use crate::state::State;

/// Where the repository is, as a face knows it.
#[derive(Debug, Clone)]
pub struct Place {
    /// How far from this machine.
    pub distance: Distance,
    /// Its folder, if it is in one.
    pub folder: Option<PathBuf>,
    /// Bytes that fit there, as a person set it.
    pub capacity: Option<u64>,
    /// Copies that this machine made.
    pub copies: Vec<CopyRecord>,
    /// Snapshots that were seen here and are gone without a record of deletion.
    pub lost: u64,
    /// Whether the recovery words were confirmed.
    pub words_confirmed: bool,
}

/// What an overview is made from.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The repository, opened with the keys at hand.
    pub repository: &'a Repository,
    /// What this machine keeps of nodes.
    pub state: &'a State,
    /// This machine's name.
    pub host: String,
    /// The program's version.
    pub version: String,
    /// Where the repository is.
    pub place: Place,
    /// What is wanted.
    pub targets: Targets,
}

/// What the repository says. Reading it is the dear part: it may be kept and shown several times.
#[derive(Debug)]
pub struct Stored {
    /// Snapshots and records, oldest first; `None` if the keys do not read.
    pub records: Option<Vec<SnapshotRecord>>,
    /// Snapshots of nodes by the node's name, oldest first. Those whose manifest cannot be read are not here; `check` names them.
    pub nodes: BTreeMap<String, Vec<NodeSnapshot>>,
    /// Objects that cannot be read.
    pub damaged: u64,
    /// Objects and their bytes; `None` where the store has no lists.
    pub objects: Option<(u64, u64)>,
    /// How far every byte is proven.
    pub scrub: Option<ScrubStatus>,
}

impl Stored {
    /// Reads control objects and lists; no data.
    ///
    /// # Errors
    /// If the store fails.
    pub fn read(repository: &Repository) -> Result<Self> {
        Self::of(repository, &repository.view()?, None)
    }

    /// The same of a view that is at hand; snapshots that were read before are not read again.
    ///
    /// # Errors
    /// As [`Stored::read`].
    pub fn of(repository: &Repository, view: &View, before: Option<&Self>) -> Result<Self> {
        let known = before.and_then(|before| before.records.as_deref()).unwrap_or_default();
        let mut damaged = view.problems.len() as u64;
        let records = match repository.capability().reads_trees {
            true => {
                let (records, bad) = repository.snapshots_since(view, known)?;
                damaged += bad.len() as u64;
                Some(records)
            }
            false => None,
        };
        let (mut objects, mut scrub) = (None, None);
        if repository.store().can_list() {
            let listed = repository.store().list("").map_err(nodekeep_repo::error::Error::from)?;
            objects = Some((listed.len() as u64, listed.iter().map(|object| object.size).sum()));
            scrub = repository.scrub_status_if_any()?;
        }
        let nodes = by_node(records.as_deref().unwrap_or_default());
        Ok(Self { records, nodes, damaged, objects, scrub })
    }

    /// Snapshots with files; without the records.
    fn snapshots(&self) -> impl Iterator<Item = &SnapshotRecord> {
        self.records.iter().flatten().filter(|record| !is_record(record))
    }
}

impl Sources<'_> {
    /// Looks at everything now.
    ///
    /// # Errors
    /// If the store fails, or a file of this machine is damaged.
    pub fn overview(&self, now: Timestamp) -> Result<Overview> {
        let stored = Stored::read(self.repository)?;
        self.weigh(&stored, now);
        self.overview_of(&stored, now)
    }

    /// Remembers what the repository weighs today. Where that cannot be written down, growth is only told less well.
    fn weigh(&self, stored: &Stored, now: Timestamp) {
        if let Some((_, bytes)) = stored.objects {
            let weight = Weight { at: now.as_second(), bytes };
            _ = weights::note(self.state.folder(), &self.repository.id().hex(), weight);
        }
    }

    /// The overview of what was read before; what this machine knows is read anew.
    ///
    /// # Errors
    /// If a file of this machine is damaged.
    pub fn overview_of(&self, stored: &Stored, now: Timestamp) -> Result<Overview> {
        let scene = Scene::of(self, stored, now)?;
        let names = scene.names();
        let nodes: Vec<_> = names.iter().map(|name| scene.node(name)).collect::<Result<_>>()?;
        Ok(Overview {
            at: now.into(),
            version: self.version.clone(),
            host: self.host.clone(),
            role: role(self.repository),
            repository: scene.summary.clone(),
            nodes,
            machines: scene.machines.clone(),
            jobs: scene.jobs()?,
            alerts: scene.alerts()?,
        })
    }

    /// The repository and its place, from what was read before.
    pub fn summary_of(&self, stored: &Stored, now: Timestamp) -> Summary {
        summary(self, stored, now)
    }

    /// One node with its parts; `None` if nothing is known of it.
    ///
    /// # Errors
    /// As [`Sources::overview`].
    pub fn node(&self, name: &str, now: Timestamp) -> Result<Option<Detail>> {
        self.node_of(&Stored::read(self.repository)?, name, now)
    }

    /// The same from what was read before.
    ///
    /// # Errors
    /// As [`Sources::overview_of`].
    pub fn node_of(&self, stored: &Stored, name: &str, now: Timestamp) -> Result<Option<Detail>> {
        let scene = Scene::of(self, stored, now)?;
        match scene.names().contains(name) {
            true => scene.detail(name).map(Some),
            false => Ok(None),
        }
    }
}

fn role(repository: &Repository) -> Role {
    let can = repository.capability();
    match (can.owns, can.reads_trees) {
        (true, _) => Role::Owner,
        (false, true) => Role::Keeper,
        (false, false) => Role::Writer,
    }
}

/// Everything that was read, put in order.
pub(super) struct Scene<'a> {
    pub sources: &'a Sources<'a>,
    pub stored: &'a Stored,
    pub now: Timestamp,
    /// This machine's id.
    pub machine: String,
    /// This machine's schedules.
    pub planned: Vec<Planned>,
    pub history: History,
    /// Nodes registered here.
    pub registered: BTreeSet<String>,
    pub summary: Summary,
    pub machines: Vec<Machine>,
    /// Longest pauses that were found, by pattern and zone: a fleet has few, and each takes a year of moments.
    pauses: RefCell<BTreeMap<(String, String), SignedDuration>>,
}

impl<'a> Scene<'a> {
    fn of(sources: &'a Sources<'a>, stored: &'a Stored, now: Timestamp) -> Result<Self> {
        let machine = sources.state.machine(&sources.host)?.id;
        let book = sources.state.book();
        let mut scene = Self {
            sources,
            stored,
            now,
            planned: book.planned(&machine)?,
            history: book.history()?,
            registered: sources.state.names()?.into_iter().collect(),
            summary: summary(sources, stored, now),
            machines: Vec::new(),
            pauses: RefCell::default(),
            machine,
        };
        scene.machines = machines(&writings(stored), &scene.duties(), now);
        Ok(scene)
    }

    /// The longest pause between two moments of a schedule, in the year that begins now.
    pub fn pause(&self, plan: &Planned) -> SignedDuration {
        let key = (plan.schedule.when.to_string(), plan.schedule.zone.clone());
        let mut pauses = self.pauses.borrow_mut();
        *pauses.entry(key).or_insert_with(|| plan.rhythm.longest_pause(self.now))
    }

    fn names(&self) -> BTreeSet<String> {
        self.stored.nodes.keys().chain(&self.registered).cloned().collect()
    }

    /// What each machine is to do: its nodes, and the shortest pause between two of their backups.
    fn duties(&self) -> BTreeMap<String, Duty> {
        let mut duties: BTreeMap<String, Duty> = BTreeMap::new();
        for (name, snapshots) in &self.stored.nodes {
            let Some(newest) = snapshots.last() else { continue };
            let duty = duties.entry(newest.manifest.machine.id.clone()).or_default();
            duty.nodes.push(name.clone());
            let plans = self.backups(name);
            let pauses = plans.iter().map(|plan| self.pause(plan));
            let shortest: Option<SignedDuration> = pauses.chain(duty.pause).min();
            duty.pause = shortest;
        }
        duties
    }

    /// Jobs that run, and those that are due and wait.
    fn jobs(&self) -> Result<Jobs> {
        let journal = Journal::new(self.sources.state.folder().join("jobs"));
        let busy = BTreeSet::new();
        let now =
            Now { time: self.now, awake_since: Timestamp::MIN, busy: &busy, room: usize::MAX };
        let waiting = decide(&self.planned, &self.history, &now).due.len() as u64;
        Ok(Jobs { running: journal.open()?.len() as u64, waiting })
    }

    fn alerts(&self) -> Result<Vec<Alert>> {
        let Sources { state, host, .. } = self.sources;
        let desk = Desk::new(state.folder(), self.machine.clone(), host.clone());
        let alert = |(key, alert): (String, crate::notify::alerts::Alert)| Alert {
            key,
            topic: alert.topic,
            title: alert.title,
            text: alert.text,
            node: alert.node,
            since: alert.since.into(),
        };
        Ok(desk.alerts()?.into_iter().map(alert).collect())
    }
}

fn by_node(records: &[SnapshotRecord]) -> BTreeMap<String, Vec<NodeSnapshot>> {
    let mut found: BTreeMap<String, Vec<NodeSnapshot>> = BTreeMap::new();
    for record in records.iter().filter(|record| !is_record(record)) {
        let Some(name) = node_of(record) else { continue };
        if let Some(Ok(snapshot)) = NodeSnapshot::of(record) {
            found.entry(name.to_owned()).or_default().push(snapshot);
        }
    }
    found
}

/// Who wrote what, and when. A machine is told by its own id where a manifest says it; of other records by the same key and host, else
/// by its key.
fn writings(stored: &Stored) -> Vec<Writing> {
    let told = || stored.nodes.values().flatten();
    let own: BTreeMap<SnapshotId, &Writer> =
        told().map(|one| (one.record.id, &one.manifest.machine)).collect();
    let ids: BTreeMap<(MemberId, &str), &str> = told()
        .map(|one| (one.record.stamp.writer, &one.manifest.machine))
        .map(|(writer, machine)| ((writer, machine.host.as_str()), machine.id.as_str()))
        .collect();
    let writing = |record: &SnapshotRecord| {
        let (writer, host) = (record.stamp.writer, record.snapshot.host.as_str());
        let by_key =
            || ids.get(&(writer, host)).map_or_else(|| writer.hex(), |id| (*id).to_owned());
        let own = own.get(&record.id);
        Writing {
            machine: own.map_or_else(by_key, |machine| machine.id.clone()),
            host: own.map_or(host, |machine| machine.host.as_str()).to_owned(),
            at: Moment::of_millis(record.snapshot.started_ms),
        }
    };
    stored.records.iter().flatten().map(writing).collect()
}

fn summary(sources: &Sources<'_>, stored: &Stored, now: Timestamp) -> Summary {
    let place = &sources.place;
    let bytes = stored.objects.map(|(_, bytes)| bytes);
    let by_setting = place.capacity.zip(bytes).map(|(total, used)| space::of_setting(total, used));
    let by_folder = place.folder.as_deref().and_then(space::of_folder);
    let capacity = space::narrower(by_folder, by_setting);
    let growth = growth(sources, stored, now);
    Summary {
        location: sources.repository.store().location().to_owned(),
        id: sources.repository.id().hex(),
        bytes,
        objects: stored.objects.map(|(count, _)| count),
        snapshots: stored.records.as_ref().map(|_| stored.snapshots().count() as u64),
        capacity,
        growth_per_day: growth,
        days_until_full: space::days_until_full(capacity, growth),
        distance: place.distance,
        offsite: is_offsite(place.distance, &place.copies),
        copies: place.copies.iter().map(copy).collect(),
        scrub: stored.scrub.as_ref().map(|status| scrub(status, now)),
        dedup: stored.records.as_ref().zip(bytes).map(|(_, stored_bytes)| {
            let sizes = stored.snapshots().map(|record| record.snapshot.counts.bytes);
            Dedup { logical_bytes: sizes.fold(0, u64::saturating_add), stored_bytes }
        }),
        damaged_objects: stored.damaged,
        snapshots_lost: place.lost,
        words_confirmed: place.words_confirmed,
    }
}

/// What came, or what was left of it after prunes where that is known.
fn growth(sources: &Sources<'_>, stored: &Stored, now: Timestamp) -> Option<u64> {
    let came = stored.records.as_ref().and_then(|records| came(records, now));
    let left = stored.objects.and_then(|(_, bytes)| {
        let known = weights::known(sources.state.folder(), &sources.repository.id().hex());
        weights::net_per_day(&known, Weight { at: now.as_second(), bytes })
    });
    left.or(came)
}

fn came(records: &[SnapshotRecord], now: Timestamp) -> Option<u64> {
    let added = |record: &SnapshotRecord| Added {
        at: record.snapshot.started_ms / 1000,
        bytes: record.snapshot.counts.bytes_added,
    };
    space::growth_per_day(&records.iter().map(added).collect::<Vec<_>>(), now.as_second())
}

fn copy(record: &CopyRecord) -> Copy {
    Copy {
        kind: record.kind.clone(),
        location: record.location.clone(),
        snapshots: record.snapshots,
        finished: Moment::of_millis(record.finished.saturating_mul(1000)),
        distance: record.distance,
    }
}

fn scrub(status: &ScrubStatus, now: Timestamp) -> Scrub {
    let share = match status.bytes {
        0 => 1.0,
        bytes => status.proven_bytes as f64 / bytes as f64,
    };
    let oldest = status.proven_within_secs.and_then(|secs| i64::try_from(secs).ok());
    let before = |secs: i64| (now.as_second() - secs).saturating_mul(1000);
    Scrub {
        proven_share: share,
        oldest: oldest.map(|secs| Moment::of_millis(before(secs))),
        damaged: status.findings.len() as u64,
    }
}
