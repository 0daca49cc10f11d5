//! Copies: what is there is what was there, a second copy costs nothing, consecutive snapshots cost what differs, and neither a crash nor
//! damage leaves half a snapshot.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use nodekeep_repo::backup::BackupOptions;
use nodekeep_repo::check::CheckOptions;
use nodekeep_repo::collect::CollectOptions;
use nodekeep_repo::copy::{CopyOptions, CopyReport, Origin, origins};
use nodekeep_repo::error::{Damage, Error};
use nodekeep_repo::id::SnapshotId;
use nodekeep_repo::keys::Entropy;
use nodekeep_repo::monitor::{Monitor, Silent};
use nodekeep_repo::repository::{Access, Repository, SnapshotRecord};
use nodekeep_repo::tree::Kind;
use nodekeep_store::{FaultPlan, Op, Store};
use nodekeep_testkit::{Rng, Size, Tree, edit};

use crate::lab::{Keys, assert_restores, planted, scratch, small_packs};
use crate::world::{World, flip, named};

const ALL: CheckOptions = CheckOptions { data: Some(100), snapshot: None, threads: None };

/// Copies everything, and notes what each new snapshot must give back.
fn copy(from: &World, to: &mut World) -> CopyReport {
    let report = to.repo().copy_from(&from.repo(), &CopyOptions::default(), &Silent).unwrap();
    note(from, to, &report);
    report
}

fn note(from: &World, to: &mut World, report: &CopyReport) {
    for copied in &report.copied {
        to.snapshots.insert(copied.to.unwrap(), from.snapshots[&copied.from].clone());
    }
}

fn assert_sound(world: &World, what: &str) {
    let report = world.repo().check(&ALL, &Silent).unwrap();
    assert_eq!(report.problems, [], "{what}");
}

/// A world with files large and small in several folders.
fn some_files() -> World {
    let mut world = World::new();
    for n in 0..12 {
        world.write(&format!("a/small{n}"), n, 700 + n as usize);
    }
    world.write("a/b/large", 100, 900_000);
    world.write("c/d/e/large", 101, 400_000);
    world.write("c/same", 101, 400_000);
    world
}

fn facts(record: &SnapshotRecord) -> impl PartialEq + std::fmt::Debug + use<> {
    let s = record.snapshot.clone();
    let roots: Vec<_> =
        s.roots.iter().map(|r| (r.path.clone(), r.entry.mtime, r.entry.mode)).collect();
    let own: Vec<_> = s.attachments.into_iter().filter(|(name, _)| name == "mine").collect();
    (
        (s.started_ms, s.finished_ms),
        (s.host, s.user, s.program),
        s.tags,
        (roots, s.users, s.groups),
        own,
    )
}

#[test]
fn trees_and_facts_are_kept() {
    let (source, here) = (Store::memory(), Store::memory());
    let from = keys(&source, 1);
    let to = keys(&here, 2);
    let dir = scratch();
    let tree = dir.path().join("tree");
    planted(11, Size { names: 60, large: 1, deep: false }, &tree);
    let mut trees: BTreeMap<SnapshotId, Tree> = BTreeMap::new();
    let mut rng = Rng::new(4);
    for n in 0..3 {
        let options = BackupOptions {
            host: format!("host{n}"),
            user: "me".to_owned(),
            program: "p 1".to_owned(),
            tags: vec![("n".to_owned(), n.to_string())],
            attachments: vec![("mine".to_owned(), vec![n])],
            ..BackupOptions::default()
        };
        let files = nodekeep_repo::source::fs::FsSource::new(vec![tree.clone()]).unwrap();
        let report = from.open(&source).unwrap().backup(&files, &options, &Silent).unwrap();
        trees.insert(report.snapshot.unwrap(), Tree::read(&tree).unwrap());
        edit(&mut rng, &tree, 8).unwrap();
    }
    let (source, here) = (from.open(&source).unwrap(), to.open(&here).unwrap());
    let report = here.copy_from(&source, &CopyOptions::default(), &Silent).unwrap();
    assert_eq!((report.copied.len(), report.failed.len()), (3, 0), "{report:?}");
    assert!(report.packs_verified > 0);
    let (originals, copies) = (source.snapshots().unwrap(), here.snapshots().unwrap());
    for (original, copy) in originals.iter().zip(&copies) {
        assert_eq!(facts(original), facts(copy));
        let origin = Origin { repo: source.id(), snapshot: original.id };
        assert_eq!(origins(&copy.snapshot), [origin]);
        assert_restores(&here, copy, &trees[&original.id], "copied");
    }
    let sound = here.check(&ALL, &Silent).unwrap();
    assert_eq!(sound.problems, []);
}

fn keys(store: &Store, seed: u8) -> Keys {
    let owner = Entropy::from_bytes([seed; 32]);
    let (_, credential) = Repository::create(store.clone(), &owner, &small_packs()).unwrap();
    Keys { owner, credential }
}

#[test]
fn what_is_there_is_passed_over() {
    let (mut from, mut to) = (some_files(), World::new());
    from.backup();
    from.write("a/small3", 50, 900);
    from.backup();
    assert_eq!(copy(&from, &mut to).copied.len(), 2);
    let before = named(&to.store, "");
    let again = copy(&from, &mut to);
    assert_eq!((again.copied.len(), again.present.len()), (0, 2));
    assert_eq!(named(&to.store, ""), before, "nothing is written");
    from.remove("a/small1");
    from.backup();
    let third = copy(&from, &mut to);
    assert_eq!((third.copied.len(), third.present.len()), (1, 2));
    assert_eq!(to.verify().len(), 3);
    assert_sound(&to, "copied");
}

#[test]
fn a_copy_of_a_copy_is_known_and_comes_home_once() {
    let (mut a, mut b, mut c) = (some_files(), World::new(), World::new());
    let original = a.backup();
    copy(&a, &mut b);
    copy(&b, &mut c);
    let record = c.repo().snapshots().unwrap().pop().unwrap();
    let chain: Vec<_> = origins(&record.snapshot).iter().map(|origin| origin.repo).collect();
    assert_eq!(chain, [b.repo().id(), a.repo().id()]);
    assert_eq!(copy(&a, &mut c).present, [original], "it came through another");
    assert_eq!(copy(&c, &mut a).copied, [], "the original is still here");
    assert_eq!((a.verify().len(), b.verify().len(), c.verify().len()), (1, 1, 1));
}

#[test]
fn consecutive_snapshots_cost_what_differs() {
    let (mut from, mut to) = (some_files(), World::new());
    from.backup();
    from.write("a/small3", 50, 900);
    from.backup();
    let newest = from.repo().snapshots().unwrap()[1].id;
    // What differs: the group of small files that changed, and the trees above it.
    let differs = |report: &CopyReport| report.copied.last().unwrap().bytes_added;
    let whole = 1_300_000;
    let (store, reads) = from.store.clone().recording();
    let source = from.repo_at(store);
    let first = to.repo().copy_from(&source, &CopyOptions::default(), &Silent).unwrap();
    assert_eq!(first.copied.len(), 2);
    assert!(first.copied[0].bytes_added > whole && differs(&first) < 40_000, "{first:?}");
    note(&from, &mut to, &first);
    // The same across runs: what was copied before is the base.
    from.write("a/small4", 51, 900);
    from.backup();
    reads.clear();
    let later = to.repo().copy_from(&source, &CopyOptions::default(), &Silent).unwrap();
    assert!(differs(&later) < 40_000, "{later:?}");
    let data = |made: &&nodekeep_store::Recorded| made.op == Op::Get && made.name.contains("/d/");
    let read: u64 = reads.operations().iter().filter(data).map(|made| made.bytes).sum();
    assert!(read > 0 && read < 40_000, "{read} bytes of content were read");
    note(&from, &mut to, &later);
    assert_eq!(to.verify().len(), 3);
    assert_ne!(later.copied[0].from, newest);
}

#[test]
fn chosen_snapshots_only() {
    let (mut from, mut to) = (some_files(), World::new());
    let first = from.backup();
    from.write("new", 60, 5000);
    from.backup();
    let options = CopyOptions { snapshots: Some(vec![first]), ..CopyOptions::default() };
    let planned = CopyOptions { dry_run: true, ..options.clone() };
    let before = named(&to.store, "");
    let plan = to.repo().copy_from(&from.repo(), &planned, &Silent).unwrap();
    assert_eq!((plan.copied[0].from, plan.copied[0].to, plan.copied.len()), (first, None, 1));
    assert_eq!(named(&to.store, ""), before);
    let report = to.repo().copy_from(&from.repo(), &options, &Silent).unwrap();
    note(&from, &mut to, &report);
    assert_eq!(to.verify().len(), 1);
    let options = CopyOptions {
        snapshots: Some(vec![nodekeep_repo::id::SessionId([9; 16])]),
        ..CopyOptions::default()
    };
    let refused = to.repo().copy_from(&from.repo(), &options, &Silent);
    assert!(matches!(refused, Err(Error::NoSnapshot { .. })));
}

#[test]
fn a_copy_keeps_the_cuts_of_its_original() {
    let (mut from, mut to) = (some_files(), World::new());
    from.backup();
    copy(&from, &mut to);
    let large = |world: &World| {
        let repo = world.repo();
        let reader = repo.reader(std::sync::Arc::new(repo.index(&repo.view().unwrap()).unwrap()));
        let record = repo.snapshots().unwrap().pop().unwrap();
        let entry = reader.find(&record.snapshot, b"a/b/large").unwrap().unwrap();
        match entry.kind {
            Kind::File { runs, hash, .. } => {
                (runs.iter().map(|run| run.len()).collect::<Vec<_>>(), hash)
            }
            kind => panic!("{kind:?}"),
        }
    };
    let (original, copied) = (large(&from), large(&to));
    assert_eq!(original.0, copied.0);
    assert_ne!(original.1, copied.1, "hashes are keyed by each repository");
}

#[test]
fn a_crash_at_every_change_is_gone_on_from() {
    let mut from = some_files();
    from.backup();
    from.write("a/small3", 50, 900);
    from.backup();
    let base = World::new();
    for change in 1.. {
        let mut to = base.fork();
        let faulty = to.store.clone().with_faults(FaultPlan::crash_before_change(change));
        let crashed =
            to.repo_at(faulty).copy_from(&from.repo(), &CopyOptions::default(), &Silent).is_err();
        // What was committed before the crash is whole.
        for record in to.repo().snapshots().unwrap() {
            let original = origins(&record.snapshot)[0].snapshot;
            to.snapshots.insert(record.id, from.snapshots[&original].clone());
        }
        let there = to.verify().len();
        let report = copy(&from, &mut to);
        assert_eq!(report.copied.len() + there, 2, "change {change}");
        assert_eq!(to.verify().len(), 2, "change {change}");
        assert_sound(&to, "after a crash");
        to.repo().collect(&[], &CollectOptions::default(), &Silent).unwrap();
        assert_eq!(to.verify().len(), 2, "collected after change {change}");
        if !crashed {
            assert!(change > 8, "{change} changes");
            break;
        }
    }
}

/// Interrupts at the nth file.
struct Stop(std::sync::atomic::AtomicU64);

impl Monitor for Stop {
    fn advance(&self, files: u64, _bytes: u64) {
        _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(files));
    }

    fn interrupted(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

#[test]
fn an_interrupted_copy_does_not_store_twice() {
    let (mut from, mut to) = (some_files(), World::new());
    from.backup();
    let stop = Stop(13.into());
    let stopped = to.repo().copy_from(&from.repo(), &CopyOptions::default(), &stop);
    assert!(matches!(stopped, Err(Error::Interrupted)), "{stopped:?}");
    let stored = |world: &World| named(&world.store, "/d/").len();
    let before = stored(&to);
    assert!(before > 0, "what was stored is kept");
    let report = copy(&from, &mut to);
    assert!(report.copied[0].bytes_added < 900_000, "the large file was there: {report:?}");
    assert_eq!(to.verify().len(), 1);
}

#[test]
fn what_is_damaged_there_is_named_and_not_copied() {
    let (mut from, mut to) = (some_files(), World::new());
    let bad = from.backup();
    from.remove("a/b/large");
    let good = from.backup();
    let large = |name: &String| from.store.size(name).unwrap() > 500_000;
    let pack = named(&from.store, "/d/").into_iter().find(large).unwrap();
    let whole = from.store.get(&pack).unwrap();
    // Somewhere in the large file, which the second snapshot does not have.
    let repo = from.repo();
    let index = repo.index(&repo.view().unwrap()).unwrap();
    let place = index.entries().iter().max_by_key(|place| place.stored).unwrap();
    let name = index.pack(place).pack.name();
    flip(&from.store, &name, place.offset as usize + 77);
    let report = copy(&from, &mut to);
    assert_eq!(report.copied.iter().map(|copied| copied.from).collect::<Vec<_>>(), [good]);
    let [(failed, Error::Damaged { object, .. })] = &report.failed[..] else {
        panic!("{report:?}");
    };
    assert_eq!((*failed, object), (bad, &name));
    assert_eq!(to.verify().len(), 1);
    assert_sound(&to, "half");
    if name == pack {
        crate::world::replace(&from.store, &pack, &whole);
    } else {
        flip(&from.store, &name, place.offset as usize + 77);
    }
    assert_eq!(copy(&from, &mut to).copied.len(), 1, "once it is whole again");
    assert_eq!(to.verify().len(), 2);
}

/// Damages a pack as soon as the read-back of what was written is announced.
struct Saboteur {
    store: Store,
    done: AtomicBool,
}

impl Monitor for Saboteur {
    fn plan(&self, files: u64, _bytes: u64) {
        if files == 0 && !self.done.swap(true, Ordering::Relaxed) {
            let pack = named(&self.store, "/d/").pop().unwrap();
            flip(&self.store, &pack, 300);
        }
    }
}

#[test]
fn a_copy_that_was_stored_wrong_is_not_committed() {
    let (mut from, mut to) = (some_files(), World::new());
    from.backup();
    let saboteur = Saboteur { store: to.store.clone(), done: AtomicBool::new(false) };
    let refused = to.repo().copy_from(&from.repo(), &CopyOptions::default(), &saboteur);
    let Err(Error::Damaged { damage: Damage::Hash, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(to.verify(), []);
    let saboteur = Saboteur { done: AtomicBool::new(false), ..saboteur };
    let options = CopyOptions { unverified: true, ..CopyOptions::default() };
    let report = to.repo().copy_from(&from.repo(), &options, &saboteur).unwrap();
    note(&from, &mut to, &report);
    assert_eq!(report.packs_verified, 0);
}

#[test]
fn keys_and_places_are_asked_for_first() {
    let (mut from, to) = (some_files(), World::new());
    from.backup();
    let options = CopyOptions::default();
    let same = from.repo().copy_from(&from.repo(), &options, &Silent);
    assert!(matches!(same, Err(Error::SameRepository { .. })));
    let writer = |world: &World| {
        let access = Access { credential: Some(world.credential.clone()), ..Access::default() };
        Repository::open(world.store.clone(), &access, None).unwrap()
    };
    let unread = to.repo().copy_from(&writer(&from), &options, &Silent);
    assert!(matches!(unread, Err(Error::WriterOnly)));
    assert!(matches!(
        writer(&to).copy_from(&from.repo(), &options, &Silent),
        Err(Error::WriterOnly)
    ));
    let owner = Access { owner: Some(to.owner.clone()), ..Access::default() };
    let reads_only = Repository::open(to.store.clone(), &owner, None).unwrap();
    assert!(matches!(reads_only.copy_from(&from.repo(), &options, &Silent), Err(Error::NoWriter)));
}
