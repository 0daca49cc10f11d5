//! Keyless replicas: complete, openable at every moment, and readable without lists.

use std::sync::Mutex;

use nodekeep_repo::collect::CollectOptions;
use nodekeep_repo::error::Error;
use nodekeep_repo::listing::Listing;
use nodekeep_repo::mirror::{MirrorOptions, mirror};
use nodekeep_repo::monitor::{Monitor, Silent};
use nodekeep_repo::repository::Repository;
use nodekeep_store::{Durability, FaultPlan, Store};

use crate::world::{World, copy, flip, named};

const COPY: MirrorOptions = MirrorOptions { delete: false, dry_run: false };
const DELETE: MirrorOptions = MirrorOptions { delete: true, dry_run: false };
const THOROUGH: CollectOptions =
    CollectOptions { max_unused_percent: 0, patience_secs: 7 * 24 * 3600 };

fn two_snapshots() -> World {
    let mut world = World::new();
    for round in 0..2u64 {
        for file in 0..3u64 {
            world.write(&format!("dir{file}/file{round}"), 10 * round + file, 300_000);
        }
        world.backup();
    }
    world
}

/// The same world, with another store under it.
fn at(world: &World, store: &Store) -> World {
    let mut fork = world.fork();
    fork.store = store.clone();
    fork
}

fn without_listings(store: &Store) -> Vec<(String, Vec<u8>)> {
    let names = named(store, "").into_iter().filter(|name| !name.starts_with("l/"));
    names.map(|name| (name.clone(), store.get(&name).unwrap())).collect()
}

#[test]
fn a_mirror_is_the_same_byte_for_byte_and_costs_only_what_is_new() {
    let mut world = two_snapshots();
    let replica = Store::memory();
    let first = mirror(&world.store, &replica, &COPY, &Silent).unwrap();
    assert_eq!(without_listings(&replica), without_listings(&world.store));
    assert_eq!((first.snapshots, first.checkpoint, first.present), (2, 0, 0));
    assert_eq!(first.copied as usize, without_listings(&replica).len());
    assert_eq!(at(&world, &replica).verify().len(), 2);
    let again = mirror(&world.store, &replica, &COPY, &Silent).unwrap();
    assert_eq!((again.copied, again.present), (0, first.copied));
    world.write("late", 99, 1000);
    world.backup();
    let third = mirror(&world.store, &replica, &COPY, &Silent).unwrap();
    assert!(third.copied < 8 && third.copied > 2, "{third:?}");
    assert_eq!(at(&world, &replica).verify().len(), 3);
}

#[test]
fn a_dry_run_counts_and_copies_nothing() {
    let world = two_snapshots();
    let replica = Store::memory();
    let options = MirrorOptions { dry_run: true, ..COPY };
    let plan = mirror(&world.store, &replica, &options, &Silent).unwrap();
    assert_eq!(named(&replica, ""), Vec::<String>::new());
    let done = mirror(&world.store, &replica, &COPY, &Silent).unwrap();
    assert_eq!((plan.copied, plan.bytes), (done.copied, done.bytes));
}

#[test]
fn what_a_collection_deleted_stays_unless_it_is_to_go() {
    let mut world = two_snapshots();
    let (keeps, follows) = (Store::memory(), Store::memory());
    for store in [&keeps, &follows] {
        mirror(&world.store, store, &COPY, &Silent).unwrap();
    }
    let first = *world.snapshots.keys().next().unwrap();
    world.repo().collect(&[first], &THOROUGH, &Silent).unwrap();
    world.write("late", 99, 1000);
    world.backup();
    let before = named(&keeps, "/d/");
    mirror(&world.store, &keeps, &COPY, &Silent).unwrap();
    assert!(before.iter().all(|pack| named(&keeps, "/d/").contains(pack)));
    let report = mirror(&world.store, &follows, &DELETE, &Silent).unwrap();
    assert!(report.deleted > 0, "{report:?}");
    assert_eq!(named(&follows, "w/"), named(&world.store, "w/"));
    let live = world.verify();
    for store in [&keeps, &follows] {
        assert_eq!(at(&world, store).verify(), live);
        assert!(
            Repository::open(store.clone(), &world.access(), None)
                .unwrap()
                .view()
                .unwrap()
                .problems
                .is_empty()
        );
    }
}

/// Stops after so many creations, and looks at what is there.
#[test]
fn at_every_moment_the_destination_opens_and_what_it_shows_restores() {
    let mut world = two_snapshots();
    let first = *world.snapshots.keys().next().unwrap();
    let replica = Store::memory();
    mirror(&world.store, &replica, &COPY, &Silent).unwrap();
    world.write("dir0/file0", 77, 300_000);
    world.backup();
    world.repo().collect(&[first], &THOROUGH, &Silent).unwrap();
    world.write("late", 99, 1000);
    world.backup();
    for start in [Store::memory(), replica] {
        let mut stops = 0;
        for stop in 1.. {
            let there = copy(&start);
            let failing = there.clone().with_faults(FaultPlan::crash_before_change(stop));
            let done = mirror(&world.store, &failing, &COPY, &Silent);
            if Repository::exists(&there).unwrap() {
                let seen = at(&world, &there).verify();
                assert!(seen.len() <= 3, "{stop}: {seen:?}");
            }
            // It goes on where it was.
            mirror(&world.store, &there, &COPY, &Silent).unwrap();
            assert_eq!(at(&world, &there).verify(), world.verify());
            stops += 1;
            if done.is_ok() {
                break;
            }
        }
        assert!(stops > 5, "{stops}");
    }
}

#[test]
fn damage_of_the_source_is_named_and_not_copied() {
    let world = two_snapshots();
    for part in ["/d/", "/t/", "/i/", "k/", ".outcome", ".session"] {
        let source = copy(&world.store);
        let name = named(&source, part)[0].clone();
        flip(&source, &name, 100);
        let replica = Store::memory();
        let report = mirror(&source, &replica, &DELETE, &Silent).unwrap();
        let damaged: Vec<&String> = report.damaged.iter().map(|(name, _)| name).collect();
        assert_eq!(damaged, [&name], "{part}");
        assert!(!named(&replica, "").contains(&name), "{part}");
    }
    let source = copy(&world.store);
    let lost = named(&source, "/i/")[0].clone();
    source.delete(&lost).unwrap();
    let report = mirror(&source, &Store::memory(), &COPY, &Silent).unwrap();
    assert_eq!(report.damaged.len(), 1);
    assert_eq!(report.damaged[0].0, lost);
}

#[test]
fn a_torn_object_at_the_destination_is_replaced() {
    let world = two_snapshots();
    let replica = Store::memory();
    mirror(&world.store, &replica, &COPY, &Silent).unwrap();
    let name = named(&replica, "/d/")[0].clone();
    crate::world::replace(&replica, &name, b"torn");
    let report = mirror(&world.store, &replica, &COPY, &Silent).unwrap();
    assert_eq!((report.copied, report.notes.len()), (1, 1));
    assert_eq!(replica.get(&name).unwrap(), world.store.get(&name).unwrap());
}

#[test]
fn other_things_and_newer_ones_are_not_touched() {
    let world = two_snapshots();
    let other = World::new();
    let replica = copy(&other.store);
    let before = without_listings(&replica);
    let error = mirror(&world.store, &replica, &COPY, &Silent).unwrap_err();
    assert!(matches!(error, Error::NotItsMirror { .. }), "{error}");
    assert_eq!(without_listings(&replica), before);

    let strange = Store::memory();
    strange.create("photos/1.jpg", b"x", Durability::Durable).unwrap();
    let error = mirror(&world.store, &strange, &COPY, &Silent).unwrap_err();
    assert!(matches!(error, Error::NotEmpty { .. }), "{error}");

    // The source was rolled back to before its checkpoint.
    let old = copy(&world.store);
    let first = *world.snapshots.keys().next().unwrap();
    world.repo().collect(&[first], &THOROUGH, &Silent).unwrap();
    let replica = Store::memory();
    mirror(&world.store, &replica, &COPY, &Silent).unwrap();
    let error = mirror(&old, &replica, &DELETE, &Silent).unwrap_err();
    assert!(error.to_string().contains("rolled back"), "{error}");
    assert_eq!(at(&world, &replica).verify(), world.verify());
}

/// Collects the source once, when the first pack is about to be copied.
struct CollectsMeanwhile<'a> {
    world: &'a World,
    doomed: Mutex<Option<nodekeep_repo::id::SnapshotId>>,
}

impl Monitor for CollectsMeanwhile<'_> {
    fn path(&self, _: &[u8]) {
        if let Some(snapshot) = self.doomed.lock().unwrap().take() {
            self.world.repo().collect(&[snapshot], &THOROUGH, &Silent).unwrap();
        }
    }
}

#[test]
fn a_collection_of_the_source_meanwhile_leaves_a_whole_mirror() {
    let world = two_snapshots();
    let first = *world.snapshots.keys().next().unwrap();
    let replica = Store::memory();
    let monitor = CollectsMeanwhile { world: &world, doomed: Mutex::new(Some(first)) };
    mirror(&world.store, &replica, &COPY, &monitor).unwrap();
    assert_eq!(at(&world, &replica).verify(), world.verify());
    let repo = Repository::open(replica.clone(), &world.access(), None).unwrap();
    let report = repo.check(&Default::default(), &Silent).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

#[test]
fn a_mirror_says_that_it_is_one() {
    let world = two_snapshots();
    let replica = Store::memory();
    mirror(&world.store, &replica, &COPY, &Silent).unwrap();
    let repo = Repository::open(replica.clone(), &world.access(), None).unwrap();
    assert!(matches!(repo.refuse_mirror(), Err(Error::IsMirror { .. })));
    nodekeep_repo::listing::promote(&replica).unwrap();
    repo.refuse_mirror().unwrap();
    assert_eq!(Listing::newest(&replica).unwrap(), None);
}
