//! Who acts in scenarios: a repository with its keys and first snapshots, and the programs of writers, collectors and readers, each of them a
//! few lines around the real engine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use nodekeep_repo::backup::BackupOptions;
use nodekeep_repo::collect::CollectOptions;
use nodekeep_repo::error::{Error, Result};
use nodekeep_repo::id::SnapshotId;
use nodekeep_repo::keys::{Credential, Entropy};
use nodekeep_repo::monitor::Silent;
use nodekeep_repo::names;
use nodekeep_repo::pack::PackKind;
use nodekeep_repo::repair::{Donor, RepairOptions};
use nodekeep_repo::repository::{Access, CreateOptions, Repository};
use nodekeep_repo::restore::{RestoreOptions, Target};
use nodekeep_repo::roster::Trust;
use nodekeep_repo::simulate::{Bug, Context};
use nodekeep_store::{Durability, Store};

use super::actor::{Outcome, Program};
use super::cache::{Cache, scratch};
use super::source::{Files, MemorySource, ROOT};
use super::world::{Stock, World};

/// The time at which scenarios begin, Unix milliseconds.
const BEGINNING_MS: i64 = 1_700_000_000_000;
/// A collector comes so much later: every session looks old to one without patience.
pub(super) const LATER_MS: i64 = 10_000;
/// Stands for "the repository was made" where there are no snapshots.
pub(super) const CREATED: SnapshotId = nodekeep_repo::id::SessionId([0; 16]);
/// Bytes of a file that is a chunk of its own.
const LARGE: usize = 256 * 1024;

/// A file large enough to be a chunk of its own, and easily compressed.
pub fn large(letter: u8) -> Arc<[u8]> {
    vec![letter; LARGE].into()
}

/// A small file.
pub fn small(text: &str) -> Arc<[u8]> {
    text.as_bytes().into()
}

/// Files from pairs.
pub fn files(list: &[(&str, Arc<[u8]>)]) -> Files {
    list.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect()
}

/// What snapshots should hold, by the host's name in them.
pub type Contents = BTreeMap<String, Files>;

/// A repository before a scenario begins.
#[derive(Clone)]
pub struct Cast {
    /// The owner's secret.
    pub owner: Entropy,
    /// Writers' credentials.
    pub writers: Vec<Credential>,
    /// What is in it.
    pub store: Store,
    /// What snapshots hold.
    pub contents: Contents,
    /// A fault planted in all programs.
    pub bug: Option<Bug>,
    /// Seeds of programs count from it.
    pub seed: u64,
}

/// A program's clock and seed.
fn context(seed: u64, later_ms: i64, bug: Option<Bug>) -> Context {
    Context { seed, now_ms: BEGINNING_MS + later_ms, bug }
}

fn options(host: &str, cache: Option<&Path>) -> BackupOptions {
    BackupOptions {
        host: host.to_owned(),
        threads: Some(0),
        cache: cache.map(Path::to_path_buf),
        ..BackupOptions::default()
    }
}

impl Cast {
    /// An owner without a repository.
    pub fn empty(seed: u64, bug: Option<Bug>) -> Self {
        let _entry = context(seed << 8, -2 * LATER_MS, None).enter();
        let (owner, store) = (Entropy::random(), Store::memory());
        Self { owner, writers: Vec::new(), store, contents: Contents::new(), bug, seed }
    }

    /// A new repository with two writers and nothing in it.
    pub fn new(seed: u64, bug: Option<Bug>) -> Self {
        let _entry = context(seed << 8, -2 * LATER_MS, None).enter();
        let owner = Entropy::random();
        let store = Store::memory();
        let made = Repository::create(store.clone(), &owner, &create_options());
        let (mut repo, first) = made.expect("a store in memory takes a repository");
        let second = repo.enroll_writer("second writer", Trust::All).expect("the owner may");
        Self { owner, writers: vec![first, second], store, contents: Contents::new(), bug, seed }
    }

    pub(super) fn owns(&self) -> Access {
        Access { owner: Some(self.owner.clone()), ..Access::default() }
    }

    /// Backs up before the scenario begins.
    pub fn back_up(&mut self, writer: usize, host: &str, files: &Files) -> SnapshotId {
        self.back_up_caching(writer, host, files, None)
    }

    /// The same with a cache.
    pub fn back_up_caching(
        &mut self,
        writer: usize,
        host: &str,
        files: &Files,
        cache: Option<&Path>,
    ) -> SnapshotId {
        let number = self.contents.len() as u64 + 1;
        let _entry = context((self.seed << 8) + number, -LATER_MS, None).enter();
        let made = write(&self.writers[writer], self.store.clone(), host, files, cache);
        self.contents.insert(host.to_owned(), files.clone());
        made.expect("nothing is in the way")
    }

    /// Everything that lies there as a world.
    pub fn world(&self, stock: &mut Stock) -> u32 {
        let mut world = World::default();
        for object in self.store.list("").expect("memory can be listed") {
            let bytes = self.store.get(&object.name).expect("it was listed");
            let name = stock.names.number(object.name.as_str());
            let content = stock.contents.number(bytes.as_slice());
            world.create(name, content, 0);
        }
        stock.world(world)
    }

    pub(super) fn program(
        &self,
        name: &str,
        later_ms: i64,
        work: impl Fn(Store) -> Outcome + Send + Sync + 'static,
    ) -> Program {
        let hash = nodekeep_repo::id::ObjectHash::of(name.as_bytes());
        let own = u64::from_le_bytes(hash.0[..8].try_into().expect("eight bytes"));
        Program {
            name: name.to_owned(),
            context: context(own ^ self.seed, later_ms, self.bug),
            work: Arc::new(work),
        }
    }

    /// A writer that backs up; its snapshot's host is its name. `cache`: the bytes of the file that an earlier backup left.
    pub fn writer(
        &mut self,
        writer: usize,
        name: &str,
        files: Files,
        cache: Option<Cache>,
    ) -> Program {
        self.contents.insert(name.to_owned(), files.clone());
        let credential = self.writers[writer].clone();
        let host = name.to_owned();
        self.program(name, 0, move |store| {
            let folder = cache.as_ref().map(Cache::unpack);
            let path = folder.as_ref().map(|folder| folder.path());
            match write(&credential, store, &host, &files, path) {
                Ok(id) => Outcome { ok: true, made: Some(id), ..Outcome::default() },
                Err(error) => Outcome::of(Err(error.to_string())),
            }
        })
    }

    /// A collector that also deletes. Without patience every open session counts as dead.
    pub fn collector(&self, name: &str, delete: Vec<SnapshotId>, patience_secs: u64) -> Program {
        self.collecting(name, vec![delete], patience_secs)
    }

    /// A collector that collects several times, and each time deletes other snapshots.
    pub fn collecting(
        &self,
        name: &str,
        deletes: Vec<Vec<SnapshotId>>,
        patience_secs: u64,
    ) -> Program {
        let access = self.owner.clone();
        self.program(name, LATER_MS, move |store| {
            let access = Access { owner: Some(access.clone()), ..Access::default() };
            let options = CollectOptions { max_unused_percent: 0, patience_secs };
            let collected = Repository::open(store, &access, None).and_then(|repo| {
                deletes.iter().enumerate().try_for_each(|(round, delete)| {
                    // The engine does not know which round this is: what it says to depend on would be the same in each.
                    let _scope = nodekeep_repo::simulate::scope("round", &round);
                    let _round: [u8; 8] = nodekeep_repo::crypto::random();
                    repo.collect(delete, &options, &Silent).map(drop)
                })
            });
            let gone = if collected.is_ok() { deletes.concat() } else { Vec::new() };
            let told = collected.map(|()| String::new()).map_err(|error| error.to_string());
            Outcome { gone, ..Outcome::of(told) }
        })
    }

    /// Deletes a snapshot and does not collect.
    pub fn deleter(&self, name: &str, snapshot: SnapshotId) -> Program {
        let owner = self.owner(name, move |repo| repo.delete(&[snapshot]));
        let work = owner.work.clone();
        let told = move |store| {
            let outcome = work(store);
            let gone = if outcome.ok { vec![snapshot] } else { Vec::new() };
            Outcome { gone, ..outcome }
        };
        Program { work: Arc::new(told), ..owner }
    }

    /// Restores a snapshot into a folder and compares. It must succeed as long as the snapshot is live.
    pub fn restorer(&self, name: &str, host: &str) -> Program {
        let (owner, host) = (self.owner.clone(), host.to_owned());
        let expected = self.contents[&host].clone();
        self.program(name, LATER_MS, move |store| {
            let access = Access { owner: Some(owner.clone()), ..Access::default() };
            match restore(store, &access, &host, &expected) {
                Ok(None) => Outcome::of(Ok("restored".to_owned())),
                Ok(Some(broken)) => Outcome { broken: Some(broken), ..Outcome::default() },
                Err(error) => Outcome::of(Err(error)),
            }
        })
    }

    /// Names of the packs with content.
    pub fn data_packs(&self) -> Vec<String> {
        let listed = self.store.list("w/").expect("memory can be listed");
        let is_data = |name: &String| {
            names::parse_pack(name).is_some_and(|(_, kind, _)| kind == PackKind::Data)
        };
        listed.into_iter().map(|object| object.name).filter(is_data).collect()
    }

    /// Takes objects out of the store; returns a replica that still has them.
    pub fn lose(&self, lost: &[String]) -> Store {
        let replica = Store::memory();
        for object in self.store.list("").expect("memory can be listed") {
            let bytes = self.store.get(&object.name).expect("it was listed");
            let made = replica.create(&object.name, &bytes, Durability::Durable);
            made.expect("memory takes everything");
        }
        for name in lost {
            self.store.delete(name).expect("memory deletes");
        }
        replica
    }

    /// Brings back what is lost from a replica; it says that this snapshot is whole then.
    pub fn healer(&self, name: &str, replica: &Store, snapshot: SnapshotId) -> Program {
        let (owner, replica) = (self.owner.clone(), replica.clone());
        self.program(name, LATER_MS, move |store| {
            let access = Access { owner: Some(owner.clone()), ..Access::default() };
            let healed = heal(store, &access, &replica);
            let made = healed.is_ok().then_some(snapshot);
            Outcome { made, ..Outcome::of(healed.map(|()| String::new())) }
        })
    }

    /// Any other work of the owner.
    pub fn owner(
        &self,
        name: &str,
        work: impl Fn(&mut Repository) -> Result<()> + Send + Sync + 'static,
    ) -> Program {
        let owner = self.owner.clone();
        self.program(name, LATER_MS, move |store| {
            let access = Access { owner: Some(owner.clone()), ..Access::default() };
            let done = Repository::open(store, &access, None).and_then(|mut repo| work(&mut repo));
            Outcome::of(done.map(|()| String::new()).map_err(|error| error.to_string()))
        })
    }

    /// Creates a repository.
    pub fn creator(&self, name: &str) -> Program {
        let owner = self.owner.clone();
        self.program(name, 0, move |store| {
            let made = Repository::create(store, &owner, &create_options());
            let promise = made.is_ok().then_some(CREATED);
            let told = made.map(|_| String::new()).map_err(|error| error.to_string());
            Outcome { made: promise, ..Outcome::of(told) }
        })
    }
}

pub(super) fn create_options() -> CreateOptions {
    CreateOptions { pack_size: 64 * 1024, ..CreateOptions::default() }
}

fn write(
    credential: &Credential,
    store: Store,
    host: &str,
    files: &Files,
    cache: Option<&Path>,
) -> Result<SnapshotId> {
    let access = Access { credential: Some(credential.clone()), ..Access::default() };
    let repo = Repository::open(store, &access, None)?;
    let report = repo.backup(&MemorySource(files.clone()), &options(host, cache), &Silent)?;
    match report.errors.first() {
        None => report.snapshot.ok_or(Error::Interrupted),
        Some((path, why)) => panic!("{}: {why}", String::from_utf8_lossy(path)),
    }
}

/// A real repair that must leave nothing lost.
pub(super) fn heal(
    store: Store,
    access: &Access,
    replica: &Store,
) -> std::result::Result<(), String> {
    let donors = vec![Donor::Mirror(replica.clone())];
    let options = RepairOptions { read_all: false, donors };
    let report = Repository::open(store, access, None)
        .and_then(|repo| repo.repair_with(&options, &Silent))
        .map_err(|error| error.to_string())?;
    report.lost.first().map_or(Ok(()), |problem| Err(format!("lost: {}", problem.object)))
}

/// A real restore. `Ok(Some(…))` is a broken promise.
fn restore(
    store: Store,
    access: &Access,
    host: &str,
    expected: &Files,
) -> std::result::Result<Option<String>, String> {
    let said = |error: Error| error.to_string();
    let repo = Repository::open(store, access, None).map_err(said)?;
    let records = repo.snapshots().map_err(said)?;
    let record = records.iter().find(|record| record.snapshot.host == host);
    let record = record.ok_or_else(|| format!("no snapshot of {host}"))?;
    let folder = scratch();
    let target = folder.path().join("restored");
    let mut options = RestoreOptions::new(Target::Into(target.clone()));
    options.threads = Some(0);
    let place = folder.path().to_string_lossy().into_owned();
    let report = repo.restore(record, &options, &Silent);
    let report = report.map_err(|error| error.to_string().replace(&place, ROOT))?;
    if let Some((path, why)) = report.errors.first() {
        return Err(format!("{}: {why}", String::from_utf8_lossy(path)).replace(&place, ROOT));
    }
    for (name, bytes) in expected {
        let found = std::fs::read(target.join(name)).unwrap_or_default();
        if found != **bytes {
            return Ok(Some(format!("{name} was restored with other bytes, and without an error")));
        }
    }
    Ok(None)
}
