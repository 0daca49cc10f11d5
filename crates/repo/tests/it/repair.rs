//! Repairs: an index is rebuilt from the packs, a damaged checkpoint is done without, and what is lost is said.

use nodekeep_repo::backup::BackupOptions;
use nodekeep_repo::check::CheckOptions;
use nodekeep_repo::collect::CollectOptions;
use nodekeep_repo::error::Error;
use nodekeep_repo::id::SnapshotId;
use nodekeep_repo::monitor::Silent;
use nodekeep_repo::repository::{Access, Repository};
use nodekeep_store::FaultPlan;

use crate::world::{World, flip, named, replace};

const ALL: CheckOptions = CheckOptions { data: Some(100), snapshot: None, threads: None };

/// Snapshots before and after a checkpoint.
fn some_snapshots() -> (World, Vec<SnapshotId>) {
    let mut world = World::new();
    world.write("a/large", 1, 600_000);
    world.write("a/small", 2, 1000);
    let mut ids = vec![world.backup()];
    world.write("b/large", 3, 300_000);
    ids.push(world.backup());
    let thorough = CollectOptions { max_unused_percent: 0, ..CollectOptions::default() };
    assert_eq!(world.repo().collect(&ids[..1], &thorough, &Silent).unwrap().checkpoint, Some(1));
    world.write("c/large", 4, 400_000);
    ids[0] = world.backup();
    ids.sort_unstable();
    (world, ids)
}

fn check_is_clean(world: &World, what: &str) {
    let report = world.repo().check(&ALL, &Silent).unwrap();
    assert_eq!((report.problems.len(), report.notes.len()), (0, 0), "{what}: {report:?}");
}

#[test]
fn a_sound_repository_is_left_alone() {
    let (world, _) = some_snapshots();
    let before = named(&world.store, "");
    let report = world.repo().repair(&Silent).unwrap();
    assert_eq!((report.checkpoint, report.lost.len()), (None, 0));
    assert_eq!(named(&world.store, ""), before);
}

#[test]
fn the_index_is_rebuilt_from_the_packs() {
    let (base, ids) = some_snapshots();
    let segments = named(&base.store, "/i/");
    assert!(segments.len() > 1);
    let all_of_them = segments.len();
    for (what, count) in [("one", 1), ("all", all_of_them)] {
        for missing in [true, false] {
            let mut world = base.fork();
            for name in &segments[..count] {
                if missing {
                    world.store.delete(name).unwrap();
                } else {
                    flip(&world.store, name, 200);
                }
            }
            assert!(!world.repo().check(&ALL, &Silent).unwrap().problems.is_empty());
            let report = world.repo().repair(&Silent).unwrap();
            assert_eq!(
                (report.segments_lost.len(), report.lost.len()),
                (count, 0),
                "{what}: {report:?}"
            );
            assert!(
                report.packs_recovered > 0
                    && report.packs_unreadable.is_empty()
                    && report.checkpoint.is_some()
            );
            assert_eq!(world.verify(), ids, "{what}");
            check_is_clean(&world, what);
            world.backup();
            assert_eq!(world.verify().len(), ids.len() + 1);
        }
    }
}

#[test]
fn a_damaged_checkpoint_is_done_without() {
    let (base, ids) = some_snapshots();
    for bytes in [b"NKO1".to_vec(), Vec::new()] {
        let world = base.fork();
        let name = world.store.list("c/").unwrap().pop().unwrap().name;
        replace(&world.store, &name, &bytes);
        let report = world.repo().repair(&Silent).unwrap();
        assert_eq!((report.control_lost, report.checkpoint), (vec![name], Some(2)));
        assert_eq!(report.lost, []);
        assert_eq!(world.verify(), ids);
        check_is_clean(&world, "checkpoint");
        world.repo().collect(&ids[..1], &CollectOptions::default(), &Silent).unwrap();
        assert_eq!(world.verify(), ids[1..]);
    }
}

#[test]
fn a_missing_pack_is_reported_and_stored_again_by_the_next_backup() {
    let (base, ids) = some_snapshots();
    for name in named(&base.store, "/d/") {
        let mut world = base.fork();
        world.store.delete(&name).unwrap();
        let report = world.repo().repair(&Silent).unwrap();
        assert_eq!(report.packs_dropped, [name]);
        assert!(
            report
                .lost
                .iter()
                .any(|problem| !problem.paths.is_empty() && !problem.snapshots.is_empty()),
            "{report:?}"
        );
        let again =
            world.backup_as(&BackupOptions { ignore_cache: true, ..BackupOptions::default() });
        // The folder is another one, but the content is the same: all snapshots are whole again.
        let whole = world.verify();
        assert!(whole.contains(&again) && ids.iter().all(|id| whole.contains(id)));
        check_is_clean(&world, "healed");
    }
}

#[test]
fn a_crash_during_a_repair_does_no_harm() {
    let (base, ids) = some_snapshots();
    for change in 1.. {
        let world = base.fork();
        for name in named(&world.store, "/i/") {
            world.store.delete(&name).unwrap();
        }
        let faulty = world.store.clone().with_faults(FaultPlan::crash_before_change(change));
        let crashed = world.repo_at(faulty).repair(&Silent).is_err();
        let report = world.repo().repair(&Silent).unwrap();
        assert_eq!(report.lost, [], "change {change}");
        assert_eq!(world.verify(), ids, "change {change}");
        world.repo().collect(&[], &CollectOptions::default(), &Silent).unwrap();
        check_is_clean(&world, "after a crash");
        if !crashed {
            break;
        }
    }
}

#[test]
fn repair_is_the_owners() {
    let (world, _) = some_snapshots();
    let access = Access { credential: Some(world.credential.clone()), ..Access::default() };
    let writer = Repository::open(world.store.clone(), &access, None).unwrap();
    assert!(matches!(writer.repair(&Silent), Err(Error::OwnerOnly)));
}
