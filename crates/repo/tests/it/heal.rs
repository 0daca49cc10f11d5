//! Healing: what is missing, cut short or flipped comes back from a replica, from another repository and from the files themselves; what
//! does not is named; and neither a crash nor damage of the donor makes anything worse.

use std::sync::atomic::{AtomicBool, Ordering};

use nodekeep_repo::check::CheckOptions;
use nodekeep_repo::collect::CollectOptions;
use nodekeep_repo::copy::CopyOptions;
use nodekeep_repo::id::SnapshotId;
use nodekeep_repo::monitor::{Monitor, Silent};
use nodekeep_repo::repair::{Donor, RepairOptions, RepairReport};
use nodekeep_repo::scrub::ScrubOptions;
use nodekeep_store::{Durability, FaultPlan, Store};

use crate::world::{World, copy, flip, named, replace};

const ALL: CheckOptions = CheckOptions { data: Some(100), snapshot: None, threads: None };

/// Two snapshots with files large and small.
fn some_snapshots() -> (World, Vec<SnapshotId>) {
    let mut world = World::new();
    for n in 0..12 {
        world.write(&format!("a/small{n}"), n, 700 + n as usize);
    }
    world.write("a/b/large", 100, 900_000);
    world.write("c/d/e/large", 101, 400_000);
    let mut ids = vec![world.backup()];
    world.write("a/small3", 50, 900);
    world.write("c/new", 60, 300_000);
    ids.push(world.backup());
    ids.sort_unstable();
    (world, ids)
}

fn repair(world: &World, donors: Vec<Donor<'_>>) -> RepairReport {
    let options = RepairOptions { read_all: true, donors };
    world.repo().repair_with(&options, &Silent).unwrap()
}

/// All snapshots are whole, and once a collection has removed what is in nobody's index, there is nothing to say.
#[track_caller]
fn assert_whole(world: &World, ids: &[SnapshotId], what: &str) {
    assert_eq!(world.verify(), ids, "{what}");
    world.repo().collect(&[], &CollectOptions::default(), &Silent).unwrap();
    assert_eq!(world.verify(), ids, "{what}");
    let report = world.repo().check(&ALL, &Silent).unwrap();
    assert_eq!((report.problems, report.notes), (vec![], vec![]), "{what}");
}

/// What can happen to an object.
#[derive(Debug, Clone, Copy)]
enum Harm {
    Missing,
    Flipped,
    CutShort,
    HeadGone,
}

const HARMS: [Harm; 4] = [Harm::Missing, Harm::Flipped, Harm::CutShort, Harm::HeadGone];

fn harm(store: &Store, name: &str, how: Harm) {
    let bytes = store.get(name).unwrap();
    match how {
        Harm::Missing => assert!(store.delete(name).unwrap()),
        Harm::Flipped => flip(store, name, bytes.len() / 2),
        Harm::CutShort => replace(store, name, &bytes[..bytes.len() / 3]),
        Harm::HeadGone => flip(store, name, 3),
    }
}

#[test]
fn a_replica_brings_everything_back() {
    let (base, ids) = some_snapshots();
    let packs = [named(&base.store, "/d/"), named(&base.store, "/t/")].concat();
    assert!(packs.len() >= 4);
    let mirror = copy(&base.store);
    for how in HARMS {
        for name in &packs {
            let mut world = base.fork();
            harm(&world.store, name, how);
            let report = repair(&world, vec![Donor::Mirror(mirror.clone())]);
            let what = format!("{how:?} {name}: {report:?}");
            assert_eq!(report.lost, [], "{what}");
            assert!(report.checkpoint.is_some(), "{what}");
            // A damaged head costs no chunk: all of them move, and nobody is asked. In the middle of a small pack there may be head.
            let healed: u64 = report.healed.iter().map(|healed| healed.chunks).sum();
            match how {
                Harm::HeadGone => assert_eq!(healed, 0, "{what}"),
                Harm::Flipped => assert!(healed + report.chunks_rescued > 0, "{what}"),
                Harm::Missing | Harm::CutShort => assert!(healed > 0, "{what}"),
            }
            assert_whole(&world, &ids, &what);
            assert!(world.store.size(name).is_err(), "its name never returns: {what}");
            world.write("later", 70, 5000);
            world.backup();
            assert_eq!(world.verify().len(), 3);
        }
        // Everything at once.
        let world = base.fork();
        packs.iter().for_each(|name| harm(&world.store, name, how));
        named(&world.store, "/i/").iter().for_each(|name| harm(&world.store, name, Harm::Missing));
        let report = repair(&world, vec![Donor::Mirror(mirror.clone())]);
        assert_eq!(report.lost, [], "{how:?}: {report:?}");
        assert_whole(&world, &ids, "everything");
    }
}

#[test]
fn a_replica_that_followed_the_loss_still_has_the_packs() {
    let (world, ids) = some_snapshots();
    let name = named(&world.store, "/d/").remove(0);
    let pack = world.store.get(&name).unwrap();
    world.store.delete(&name).unwrap();
    assert!(!world.repo().repair(&Silent).unwrap().lost.is_empty());
    // The replica has the newest checkpoint, which does not name the pack any more, and the pack.
    let mirror = copy(&world.store);
    mirror.create(&name, &pack, Durability::Durable).unwrap();
    let report = repair(&world, vec![Donor::Mirror(mirror)]);
    assert_eq!(report.lost, [], "{report:?}");
    assert_whole(&world, &ids, "healed");
}

#[test]
fn a_damaged_replica_gives_what_is_whole() {
    let (world, ids) = some_snapshots();
    let mirror = copy(&world.store);
    let packs = named(&world.store, "/d/");
    assert!(packs.len() >= 2);
    packs.iter().for_each(|name| harm(&world.store, name, Harm::Missing));
    harm(&mirror, &packs[0], Harm::Flipped);
    let report = repair(&world, vec![Donor::Mirror(mirror.clone())]);
    assert!(!report.lost.is_empty() && report.healed[0].chunks > 0, "{report:?}");
    let lost = report.lost.iter().flat_map(|lost| lost.paths.clone()).count();
    assert!(lost > 0, "files are named: {report:?}");
    // A better replica does the rest.
    let (whole, _) = some_snapshots();
    assert_eq!(whole.files, world.files);
    harm(&mirror, &packs[0], Harm::Missing);
    let better = copy(&mirror);
    let report = repair(&world, vec![Donor::Mirror(better), Donor::Files(Vec::new())]);
    // The file as it was in the first snapshot is nowhere any more, unless the flip hit something else.
    let old = report.lost.iter().flat_map(|lost| lost.paths.iter());
    assert!(
        old.clone().all(|path| path.ends_with(b"a/small3") || path.windows(3).any(|w| w == b"/a/")),
        "{report:?}"
    );
    if report.lost.is_empty() {
        assert_whole(&world, &ids, "healed");
    }
}

#[test]
fn a_copy_brings_everything_back() {
    let (base, ids) = some_snapshots();
    let other = World::new();
    other.repo().copy_from(&base.repo(), &CopyOptions::default(), &Silent).unwrap();
    let packs = [named(&base.store, "/d/"), named(&base.store, "/t/")].concat();
    let donor = other.repo();
    for how in [Harm::Missing, Harm::Flipped] {
        for name in &packs {
            let world = base.fork();
            harm(&world.store, name, how);
            let report = repair(&world, vec![Donor::Copy(&donor)]);
            assert_eq!(report.lost, [], "{how:?} {name}: {report:?}");
            let healed: u64 = report.healed.iter().map(|healed| healed.chunks).sum();
            assert!(healed + report.chunks_rescued > 0, "{how:?} {name}");
            assert_whole(&world, &ids, &format!("{how:?} {name}"));
        }
        let world = base.fork();
        packs.iter().for_each(|name| harm(&world.store, name, how));
        let report = repair(&world, vec![Donor::Copy(&donor)]);
        assert_eq!(report.lost, [], "{how:?}: {report:?}");
        assert_whole(&world, &ids, "everything");
    }
}

#[test]
fn an_original_heals_its_copy() {
    let (original, _) = some_snapshots();
    let mut copied = World::new();
    let report =
        copied.repo().copy_from(&original.repo(), &CopyOptions::default(), &Silent).unwrap();
    for snapshot in report.copied {
        copied.snapshots.insert(snapshot.to.unwrap(), original.snapshots[&snapshot.from].clone());
    }
    let ids = copied.verify();
    let packs = [named(&copied.store, "/d/"), named(&copied.store, "/t/")].concat();
    packs.iter().for_each(|name| harm(&copied.store, name, Harm::Missing));
    let donor = original.repo();
    let report = repair(&copied, vec![Donor::Copy(&donor)]);
    assert_eq!(report.lost, [], "{report:?}");
    assert_whole(&copied, &ids, "everything");
}

#[test]
fn a_stranger_with_the_same_files_helps() {
    let (world, ids) = some_snapshots();
    // Its own backup, cut and grouped in its own way.
    let mut stranger = World::new();
    stranger.write("elsewhere", 7, 1000);
    let source = nodekeep_repo::source::fs::FsSource::new(vec![
        world.path("a").parent().unwrap().to_owned(),
    ]);
    let options = nodekeep_repo::backup::BackupOptions::default();
    stranger.repo().backup(&source.unwrap(), &options, &Silent).unwrap();
    named(&world.store, "/d/").iter().for_each(|name| harm(&world.store, name, Harm::Missing));
    let donor = stranger.repo();
    let report = repair(&world, vec![Donor::Copy(&donor)]);
    assert!(report.healed[0].chunks >= 3, "{report:?}");
    // What only the first snapshot had, nobody has: one group of small files.
    let lost: Vec<_> = report.lost.iter().flat_map(|lost| lost.paths.clone()).collect();
    assert!(
        !lost.is_empty() && lost.iter().all(|path| path.windows(6).any(|w| w == b"/small")),
        "{report:?}"
    );
    assert_eq!(ids.len(), 2);
}

#[test]
fn the_files_themselves_are_read_again() {
    let (base, ids) = some_snapshots();
    for how in [Harm::Missing, Harm::Flipped] {
        for name in named(&base.store, "/d/") {
            let world = base.fork();
            harm(&world.store, &name, how);
            // The snapshots say where the first folder was, the files are in another.
            let none = repair(&world, vec![Donor::Files(vec![world.path("nowhere")])]);
            assert!(!none.lost.is_empty() && none.healed.is_empty(), "{none:?}");
            let folder = world.path("a").parent().unwrap().to_owned();
            let report = repair(&world, vec![Donor::Files(vec![folder])]);
            let lost: Vec<_> = report.lost.iter().flat_map(|lost| lost.paths.clone()).collect();
            // One small file has changed, and so has the group that it was in.
            let is_group = |path: &Vec<u8>| path.windows(6).any(|w| w == b"/small");
            assert!(lost.iter().all(is_group), "{how:?} {name}: {report:?}");
            if lost.is_empty() {
                assert_whole(&world, &ids, &name);
            }
        }
    }
}

#[test]
fn content_that_moved_in_a_file_is_found() {
    let mut world = World::new();
    let large = crate::world::noise(5, 12_000_000);
    std::fs::create_dir_all(world.path("")).unwrap();
    std::fs::write(world.path("large"), &large).unwrap();
    world.files.insert(b"large".to_vec(), large.clone());
    let id = world.backup();
    let packs = named(&world.store, "/d/");
    assert!(packs.len() > 4);
    harm(&world.store, packs.last().unwrap(), Harm::Missing);
    // Something was put before it all: no offset is as it was.
    std::fs::write(world.path("large"), [b"new first line\n".as_slice(), &large].concat()).unwrap();
    let report = repair(&world, vec![Donor::Files(Vec::new())]);
    let first_chunk = report.lost.is_empty() || report.lost.len() == 1;
    assert!(first_chunk, "{report:?}");
    if report.lost.is_empty() {
        assert!(report.healed[0].chunks > 0);
        assert_whole(&world, &[id], "moved");
    }
}

#[test]
fn without_a_donor_what_is_whole_is_saved_and_the_rest_is_named() {
    let mut world = World::new();
    world.write("small", 1, 700);
    world.write("large", 2, 400_000);
    world.write("larger", 3, 500_000);
    // One thread fills one pack.
    let alone = nodekeep_repo::backup::BackupOptions {
        threads: Some(1),
        ..nodekeep_repo::backup::BackupOptions::default()
    };
    world.backup_as(&alone);
    let name = named(&world.store, "/d/").remove(0);
    let size = world.store.size(&name).unwrap();
    assert_eq!(named(&world.store, "/d/").len(), 1);
    let repo = world.repo();
    let index = repo.index(&repo.view().unwrap()).unwrap();
    let largest = index.entries().iter().max_by_key(|place| place.stored).unwrap();
    flip(&world.store, &name, largest.offset as usize + 1000);
    let before = world.repo().check(&ALL, &Silent).unwrap();
    let report = repair(&world, Vec::new());
    assert_eq!(report.packs_damaged, std::slice::from_ref(&name));
    assert!(!report.lost.is_empty() && report.chunks_rescued > 0, "{report:?}");
    let paths = |problems: &[nodekeep_repo::check::Problem]| {
        let mut paths: Vec<_> = problems.iter().flat_map(|problem| problem.paths.clone()).collect();
        paths.sort();
        paths.dedup();
        paths
    };
    assert_eq!(paths(&before.problems), paths(&report.lost), "no file more than before");
    assert_eq!(world.store.size(&name).unwrap(), size, "of what is lost nothing is deleted");
    // The next backup that reads everything stores it again.
    let options = nodekeep_repo::backup::BackupOptions {
        ignore_cache: true,
        ..nodekeep_repo::backup::BackupOptions::default()
    };
    world.backup_as(&options);
    let left = world.repo().check(&ALL, &Silent).unwrap();
    assert!(left.problems.len() <= before.problems.len());
}

#[test]
fn a_crash_while_healing_does_no_harm() {
    let (base, ids) = some_snapshots();
    let mirror = copy(&base.store);
    let other = World::new();
    other.repo().copy_from(&base.repo(), &CopyOptions::default(), &Silent).unwrap();
    let donor = other.repo();
    let damage = |world: &World| {
        for (n, name) in
            [named(&base.store, "/d/"), named(&base.store, "/t/")].concat().iter().enumerate()
        {
            harm(&world.store, name, [Harm::Flipped, Harm::Missing, Harm::CutShort][n % 3]);
        }
    };
    for change in 1.. {
        let world = base.fork();
        damage(&world);
        let faulty = world.store.clone().with_faults(FaultPlan::crash_before_change(change));
        let options = RepairOptions { read_all: true, donors: vec![Donor::Mirror(mirror.clone())] };
        let crashed = world.repo_at(faulty).repair_with(&options, &Silent).is_err();
        // Another donor goes on where the first was cut off.
        let report = repair(&world, vec![Donor::Copy(&donor)]);
        assert_eq!(report.lost, [], "change {change}: {report:?}");
        world.repo().collect(&[], &CollectOptions::default(), &Silent).unwrap();
        assert_whole(&world, &ids, &format!("change {change}"));
        if !crashed {
            assert!(change > 12, "{change} changes");
            break;
        }
    }
}

#[test]
fn a_crash_while_healing_can_be_settled_by_a_collection() {
    let (base, ids) = some_snapshots();
    let mirror = copy(&base.store);
    let name = named(&base.store, "/d/").remove(0);
    for change in 1.. {
        let world = base.fork();
        harm(&world.store, &name, Harm::Flipped);
        let faulty = world.store.clone().with_faults(FaultPlan::crash_before_change(change));
        let options = RepairOptions { read_all: true, donors: vec![Donor::Mirror(mirror.clone())] };
        let crashed = world.repo_at(faulty).repair_with(&options, &Silent).is_err();
        world.repo().collect(&[], &CollectOptions::default(), &Silent).unwrap();
        let report = repair(&world, vec![Donor::Mirror(mirror.clone())]);
        assert_eq!(report.lost, [], "change {change}: {report:?}");
        world.repo().collect(&[], &CollectOptions::default(), &Silent).unwrap();
        assert_whole(&world, &ids, &format!("change {change}"));
        if !crashed {
            break;
        }
    }
}

#[test]
fn what_a_scrub_found_need_not_be_searched_again() {
    let (world, ids) = some_snapshots();
    let mirror = copy(&world.store);
    let name = named(&world.store, "/d/").remove(0);
    harm(&world.store, &name, Harm::Flipped);
    // Without reading everything nothing is seen.
    assert_eq!(world.repo().repair(&Silent).unwrap().checkpoint, None);
    let all = ScrubOptions { all: true, ..ScrubOptions::default() };
    let found = world.repo().scrub(&all, &Silent).unwrap().status.findings;
    assert_eq!(found.iter().map(|found| &found.object).collect::<Vec<_>>(), [&name]);
    let (store, reads) = world.store.clone().recording();
    let options = RepairOptions { read_all: false, donors: vec![Donor::Mirror(mirror)] };
    let report = world.repo_at(store).repair_with(&options, &Silent).unwrap();
    assert_eq!((report.packs_damaged, report.lost), (vec![name.clone()], vec![]));
    let others = named(&world.store, "/d/");
    let read_others = reads
        .operations()
        .iter()
        .filter(|made| {
            made.op == nodekeep_store::Op::Get
                && others.contains(&made.name)
                && made.bytes > 300_000
        })
        .count();
    assert_eq!(read_others, 0, "only what was found is read whole");
    let after = world.repo().scrub(&all, &Silent).unwrap();
    assert_eq!(after.status.findings, []);
    assert_whole(&world, &ids, "healed");
}

/// Repairs while a backup runs, as soon as it comes to a path.
struct Meanwhile<'a> {
    world: &'a World,
    mirror: Store,
    at: &'static [u8],
    done: AtomicBool,
}

impl Monitor for Meanwhile<'_> {
    fn path(&self, path: &[u8]) {
        if path.ends_with(self.at) && !self.done.swap(true, Ordering::Relaxed) {
            let report = repair(self.world, vec![Donor::Mirror(self.mirror.clone())]);
            assert_eq!(report.lost, []);
        }
    }
}

#[test]
fn a_backup_that_runs_meanwhile_leans_on_nothing_that_goes() {
    let (base, _) = some_snapshots();
    let mirror = copy(&base.store);
    let packs = [named(&base.store, "/d/"), named(&base.store, "/t/")].concat();
    for at in [b"/a".as_slice(), b"/b", b"/c", b"/e"] {
        let mut world = base.fork();
        world.write("c/later", 80, 350_000);
        packs.iter().for_each(|name| harm(&world.store, name, Harm::Flipped));
        let folder = world.path("a").parent().unwrap().to_owned();
        let source = nodekeep_repo::source::fs::FsSource::new(vec![folder]).unwrap();
        let options = nodekeep_repo::backup::BackupOptions::default();
        let done = AtomicBool::new(false);
        let meanwhile = Meanwhile { world: &world, mirror: mirror.clone(), at, done };
        let report = world.repo().backup(&source, &options, &meanwhile).unwrap();
        assert!(meanwhile.done.load(Ordering::Relaxed));
        let files = world.files.clone();
        world.snapshots.insert(report.snapshot.unwrap(), files);
        let ids = world.verify();
        assert_eq!(ids.len(), 3);
        assert_whole(&world, &ids, "meanwhile");
    }
}

#[test]
fn a_sound_repository_is_not_touched() {
    let (world, ids) = some_snapshots();
    let mirror = copy(&world.store);
    let before = named(&world.store, "");
    let report = repair(&world, vec![Donor::Mirror(mirror), Donor::Files(Vec::new())]);
    assert_eq!((report.checkpoint, report.lost.len(), report.healed.len()), (None, 0, 0));
    assert_eq!(named(&world.store, ""), before);
    assert_whole(&world, &ids, "sound");
}
