//! A keyless replica of a repository, byte for byte (`docs/format.md`, section 7.5).
//!
//! Objects arrive in such an order that the destination can be opened at every moment from its first configuration on: what is named comes
//! before what names it. A mirror never collects. Names that are hashes are compared with what was read; everything else is signed, and its
//! signatures are checked, for which the public keys of configuration and roster are enough.

mod control;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nodekeep_store::{Created, Durability, Object, Store, StoreErrorKind};

use crate::config::Config;
use crate::error::{Damage, Error, Result};
use crate::id::{ObjectHash, RepoId};
use crate::listing::{Listing, Lists};
use crate::monitor::Monitor;
use crate::names::{self, Role as Part};
use crate::roster::Roster;
use control::{Control, Named, named_in};

/// Bytes of packs that are held at once.
const MEMORY: u64 = 256 * 1024 * 1024;
/// So often is the work begun again because the source was collected meanwhile.
const PASSES: usize = 5;

/// How to mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MirrorOptions {
    /// Deletes at the destination what a collection of the source has deleted there, once everything else is copied.
    pub delete: bool,
    /// Copies and deletes nothing; counts what is missing.
    pub dry_run: bool,
}

/// What was mirrored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MirrorReport {
    /// The repository.
    pub repository: Option<RepoId>,
    /// Objects copied, or to be copied.
    pub copied: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that were there already.
    pub present: u64,
    /// Objects deleted at the destination, or to be deleted.
    pub deleted: u64,
    /// The newest checkpoint of both.
    pub checkpoint: u64,
    /// Committed outcomes that it and its generation hold.
    pub snapshots: u64,
    /// Objects of the source that are damaged, and were not copied.
    pub damaged: Vec<(String, Damage)>,
    /// Whether a web server can serve the mirror.
    pub listing: bool,
    /// What is worth saying.
    pub notes: Vec<String>,
}

/// Copies what the destination lacks. Interrupted, it goes on where it was.
///
/// # Errors
/// [`Error::NotItsMirror`] if the destination holds something else or something newer, or if a store fails. Damage of the source is no
/// error: it is in the report.
pub fn mirror(
    source: &Store,
    destination: &Store,
    options: &MirrorOptions,
    monitor: &dyn Monitor,
) -> Result<MirrorReport> {
    let config_object = source.get(names::CONFIG).map_err(|error| no_repository(source, error))?;
    let config =
        Config::open(&config_object).map_err(|damage| Error::damaged(names::CONFIG, damage))?;
    let work = Work {
        source,
        destination,
        options,
        monitor,
        report: Mutex::new(MirrorReport { repository: Some(config.id), ..MirrorReport::default() }),
        config,
        roster: Mutex::new(None),
        failed: AtomicBool::new(false),
    };
    work.check_destination(&config_object)?;
    for _ in 0..PASSES {
        if work.pass(&config_object)? {
            return Ok(work.into_report());
        }
        monitor.note("the source was collected meanwhile; looking again");
    }
    Err(Error::Busy { what: names::CHECKPOINTS })
}

fn no_repository(store: &Store, error: nodekeep_store::StoreError) -> Error {
    match error.kind {
        StoreErrorKind::NotFound => Error::NoRepository { location: store.location().to_owned() },
        _ => error.into(),
    }
}

struct Work<'a> {
    source: &'a Store,
    destination: &'a Store,
    options: &'a MirrorOptions,
    monitor: &'a dyn Monitor,
    config: Config,
    /// In force at the source; it has every member that ever was.
    roster: Mutex<Option<Roster>>,
    report: Mutex<MirrorReport>,
    failed: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Work<'_> {
    fn into_report(self) -> MirrorReport {
        let mut report =
            self.report.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        report.damaged.sort_by(|a, b| a.0.cmp(&b.0));
        report.damaged.dedup();
        report
    }

    fn refuse(&self, what: String) -> Error {
        Error::NotItsMirror {
            destination: self.destination.location().to_owned(),
            source_location: self.source.location().to_owned(),
            what,
        }
    }

    /// The destination is empty, or holds this repository; a first mirroring that was cut off has not come to the configuration.
    fn check_destination(&self, config: &[u8]) -> Result<()> {
        match self.destination.get(names::CONFIG) {
            Ok(there) if there == config => Ok(()),
            Ok(there) => {
                let found = Config::open(&there).map(|config| config.id.hex());
                let found = found.unwrap_or_else(|_| "something else".to_owned());
                Err(self.refuse(format!("it holds {found}")))
            }
            Err(error) if error.kind == StoreErrorKind::NotFound => self.check_unfinished(),
            Err(error) => Err(error.into()),
        }
    }

    fn check_unfinished(&self) -> Result<()> {
        let there = self.destination.list("")?;
        let ours = |name: &str| name.starts_with("k/") || name.starts_with(names::ROSTERS);
        match there.iter().find(|object| !ours(&object.name)) {
            None => Ok(()),
            Some(_) => Err(Error::NotEmpty { location: self.destination.location().to_owned() }),
        }
    }

    /// One look at the source, and everything that it shows copied. False if the source was collected so that it must be looked at again.
    fn pass(&self, config: &[u8]) -> Result<bool> {
        let control = Control::list(self.source)?;
        let there = self.present()?;
        (lock(&self.report).present, lock(&self.report).snapshots) = (0, 0);
        self.refuse_older(&control, &there)?;
        self.members(&control, &there, config)?;
        let packs = self.content_addressed(&there)?;
        if Control::list(self.source)?.newest() != control.newest() {
            return Ok(false);
        }
        if !self.control(&control, &there, &packs)? {
            return Ok(false);
        }
        if self.options.delete && self.may_delete()? {
            self.delete(&control, &there, &packs)?;
        }
        self.destination.barrier()?;
        self.publish_listing(&control)?;
        lock(&self.report).checkpoint = control.newest();
        Ok(true)
    }

    fn present(&self) -> Result<BTreeMap<String, u64>> {
        let listed = self.destination.list("")?;
        Ok(listed.into_iter().map(|object| (object.name, object.size)).collect())
    }

    /// A source that is older than its mirror was rolled back, and one that differs was written to apart.
    fn refuse_older(&self, control: &Control, there: &BTreeMap<String, u64>) -> Result<()> {
        let newest = |prefix| there.keys().filter_map(|name| names::number(name, prefix, "")).max();
        let rosters = (newest(names::ROSTERS), control.rosters.len() as u64);
        self.refuse_higher("roster", rosters, names::roster)?;
        let checkpoints = (newest(names::CHECKPOINTS), control.newest());
        self.refuse_higher("checkpoint", checkpoints, names::checkpoint)
    }

    fn refuse_higher(
        &self,
        what: &str,
        (there, here): (Option<u64>, u64),
        name: fn(u64) -> String,
    ) -> Result<()> {
        match there {
            Some(there) if there > here => Err(self.refuse(format!(
                "it has {what} {there}, and the source only {here}: the source was rolled back"
            ))),
            Some(there) if there == here => {
                let name = name(there);
                let same = self.source.get(&name)? == self.destination.get(&name)?;
                let differs = || format!("{name} differs: the two were written to apart");
                if same { Ok(()) } else { Err(self.refuse(differs())) }
            }
            _ => Ok(()),
        }
    }

    /// Envelopes, rosters, and last the configuration: from here on the destination is a repository.
    fn members(
        &self,
        control: &Control,
        there: &BTreeMap<String, u64>,
        config: &[u8],
    ) -> Result<()> {
        let mut newest = None;
        let mut rosters = Vec::new();
        for (at, name) in control.rosters.iter().enumerate() {
            let object = self.source.get(name)?;
            match Roster::open(&object, &self.config.id, self.config.root, at as u64 + 1) {
                Ok(roster) => newest = Some(roster),
                Err(damage) => {
                    self.damaged(name, damage);
                    continue;
                }
            }
            rosters.push((name, object));
        }
        let roster = newest.ok_or_else(|| Error::damaged(names::roster(1), Damage::Missing))?;
        let hashes: BTreeSet<ObjectHash> =
            roster.members.iter().flat_map(|m| m.envelopes.iter().map(|(_, hash)| *hash)).collect();
        *lock(&self.roster) = Some(roster);
        for hash in hashes {
            self.copy(&names::envelope(&hash), there)?;
        }
        for (name, object) in rosters {
            self.put(name, &object, there)?;
        }
        self.put(names::CONFIG, config, there)
    }

    /// Packs, then segments, as many at once as the stores and the memory bear. Returns what the source has of them.
    fn content_addressed(&self, there: &BTreeMap<String, u64>) -> Result<BTreeSet<String>> {
        let listed = Lists::of(self.source)?.contents()?;
        let (packs, segments): (Vec<Object>, Vec<Object>) = listed
            .into_iter()
            .filter(|o| {
                names::parse_pack(&o.name).is_some() || names::parse_segment(&o.name).is_some()
            })
            .partition(|object| names::parse_pack(&object.name).is_some());
        let names = packs.iter().chain(&segments).map(|object| object.name.clone()).collect();
        for objects in [packs, segments] {
            self.copy_all(&objects, there)?;
            self.destination.barrier()?;
        }
        Ok(names)
    }

    fn copy_all(&self, objects: &[Object], there: &BTreeMap<String, u64>) -> Result<()> {
        let missing: Vec<&Object> =
            objects.iter().filter(|o| there.get(&o.name) != Some(&o.size)).collect();
        lock(&self.report).present += (objects.len() - missing.len()) as u64;
        self.monitor.plan(missing.len() as u64, missing.iter().map(|o| o.size).sum());
        let next = AtomicUsize::new(0);
        let failure = Mutex::new(None);
        let threads = self.source.in_flight().max(self.destination.in_flight());
        let widest = missing.iter().map(|o| o.size).max().unwrap_or(1).max(1);
        let threads = threads.min((MEMORY / widest).max(1) as usize).min(missing.len()).max(1);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(object) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if self.failed.load(Ordering::Relaxed) {
                            return;
                        }
                        if let Err(error) = self.copy_one(object, there) {
                            lock(&failure).get_or_insert(error);
                            self.failed.store(true, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        match lock(&failure).take() {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }

    fn copy_one(&self, object: &Object, there: &BTreeMap<String, u64>) -> Result<()> {
        if self.monitor.interrupted() {
            return Err(Error::Interrupted);
        }
        self.monitor.path(object.name.as_bytes());
        self.copy(&object.name, there)?;
        self.monitor.advance(1, object.size);
        Ok(())
    }

    /// Copies an object whose name is the hash of its bytes. What has gone from the source was collected there, and is not needed.
    fn copy(&self, name: &str, there: &BTreeMap<String, u64>) -> Result<()> {
        if self.options.dry_run && !there.contains_key(name) {
            let size = self.source.size(name).unwrap_or(0);
            self.count(size);
            return Ok(());
        }
        let object = match self.source.get(name) {
            Ok(object) => object,
            Err(error) if error.kind == StoreErrorKind::NotFound => {
                if name.starts_with("k/") {
                    self.damaged(name, Damage::Missing);
                }
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let hash = ObjectHash::of(&object);
        if !name.ends_with(&hash.hex()) {
            self.damaged(name, Damage::Hash);
            return Ok(());
        }
        self.put(name, &object, there)
    }

    fn damaged(&self, name: &str, damage: Damage) {
        lock(&self.report).damaged.push((name.to_owned(), damage));
    }

    fn count(&self, bytes: u64) {
        let mut report = lock(&self.report);
        report.copied += 1;
        report.bytes += bytes;
    }

    /// Puts an object that was verified. One of another size at the destination is damaged there, and replaced.
    fn put(&self, name: &str, object: &[u8], there: &BTreeMap<String, u64>) -> Result<()> {
        let size = object.len() as u64;
        match there.get(name) {
            Some(found) if *found == size => {
                lock(&self.report).present += 1;
                return Ok(());
            }
            _ if self.options.dry_run => {
                self.count(size);
                return Ok(());
            }
            Some(_) => {
                self.destination.delete(name)?;
                let note = format!("{name} was cut short at the destination, and was replaced");
                lock(&self.report).notes.push(note);
            }
            None => (),
        }
        let content = name.starts_with(names::WRITERS);
        let durability = if content { Durability::Visible } else { Durability::Durable };
        if self.destination.create(name, object, durability)? == Created::New {
            self.count(size);
        }
        Ok(())
    }

    /// The newest checkpoint and its generation, then what stands in for a damaged checkpoint. False if the newest one is gone.
    fn control(
        &self,
        control: &Control,
        there: &BTreeMap<String, u64>,
        packs: &BTreeSet<String>,
    ) -> Result<bool> {
        let newest = control.newest();
        let mut named = Named::default();
        if newest > 0 {
            match self.control_object(&names::checkpoint(newest), there)? {
                None => return Ok(false),
                Some(found) => named.add(found),
            }
        }
        let mut rest = control.of_generation(newest);
        rest.extend(control.collections.iter().cloned());
        for name in rest {
            named.add(self.control_object(&name, there)?.unwrap_or_default());
        }
        self.count_named(named, packs);
        if let Some(before) = newest.checked_sub(1) {
            for name in control.of_generation(before) {
                self.control_object(&name, there)?;
            }
            if control.checkpoints.contains(&before) {
                self.control_object(&names::checkpoint(before), there)?;
            }
        }
        Ok(true)
    }

    /// An index segment that is named and was not listed is lost, and with it what it describes.
    fn count_named(&self, named: Named, packs: &BTreeSet<String>) {
        lock(&self.report).snapshots = named.snapshots;
        for name in named.segments.iter().filter(|name| !packs.contains(*name)) {
            self.damaged(name, Damage::Missing);
        }
    }

    /// Copies a signed object; says what it names. `None` if the source has it no more.
    fn control_object(&self, name: &str, there: &BTreeMap<String, u64>) -> Result<Option<Named>> {
        let object = match self.source.get(name) {
            Ok(object) => object,
            Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let named = {
            let roster = lock(&self.roster);
            let roster = roster.as_ref().ok_or(Damage::Missing);
            roster.and_then(|roster| named_in(name, &object, &self.config.id, roster))
        };
        match named {
            Ok(named) => {
                self.put(name, &object, there)?;
                Ok(Some(named))
            }
            Err(damage) => {
                self.damaged(name, damage);
                Ok(Some(Named::default()))
            }
        }
    }

    /// Only where everything is copied, and nothing was damaged, may anything go.
    fn may_delete(&self) -> Result<bool> {
        let mut report = lock(&self.report);
        if report.damaged.is_empty() {
            return Ok(true);
        }
        report.notes.push("nothing was deleted, for objects of the source are damaged".to_owned());
        Ok(false)
    }

    /// Deletes what the source has no more, as a collection leaves it: packs and segments, and what older checkpoints and generations left.
    fn delete(
        &self,
        control: &Control,
        there: &BTreeMap<String, u64>,
        packs: &BTreeSet<String>,
    ) -> Result<()> {
        let newest = control.newest();
        let known: BTreeSet<&String> = control.generations.iter().collect();
        let foreign = |name: &String| {
            names::parse_in_generation(name)
                .is_some_and(|n| n.role == Part::Outcome && n.generation + 1 >= newest)
                && !known.contains(name)
        };
        if let Some(name) = there.keys().find(|name| foreign(name)) {
            let note = format!("nothing was deleted: the source does not have {name}");
            lock(&self.report).notes.push(note);
            return Ok(());
        }
        let newer = |number: u64| number + 1 >= newest;
        let goes = |name: &String| {
            if names::parse_pack(name).is_some() || names::parse_segment(name).is_some() {
                return !packs.contains(name);
            }
            let generation = names::parse_in_generation(name).map(|n| n.generation);
            let number = generation.or_else(|| names::number(name, names::CHECKPOINTS, ""));
            match number {
                Some(number) => !newer(number),
                None => name.starts_with(names::COLLECTIONS) && !control.collections.contains(name),
            }
        };
        for name in there.keys().filter(|name| goes(name)) {
            if self.options.dry_run || self.destination.delete(name)? {
                lock(&self.report).deleted += 1;
            }
        }
        Ok(())
    }

    /// Leaves the listing that a web server lacks. A store that deletes nothing keeps an older one.
    fn publish_listing(&self, control: &Control) -> Result<()> {
        if self.options.dry_run {
            return Ok(());
        }
        let there = self.destination.list("")?;
        let newest = control.newest();
        let prefixes = [names::generation(newest), names::generation(newest.saturating_sub(1))];
        let listed = |name: &String| {
            let in_generation = || prefixes.iter().any(|prefix| name.starts_with(prefix));
            names::number(name, names::ROSTERS, "").is_some()
                || names::number(name, names::CHECKPOINTS, "").is_some_and(|n| n + 1 >= newest)
                || control.collections.contains(name)
                || (names::parse_in_generation(name).is_some() && in_generation())
        };
        let (contents, rest): (Vec<Object>, Vec<Object>) =
            there.into_iter().partition(|object| object.name.starts_with(names::WRITERS));
        let names = rest.into_iter().map(|object| object.name).filter(listed).collect();
        let published = Listing::publish(self.destination, names, &contents);
        let mut report = lock(&self.report);
        match published {
            Ok(()) => report.listing = true,
            Err(error) => report
                .notes
                .push(format!("the listing for web servers could not be renewed: {error}")),
        }
        Ok(())
    }
}
