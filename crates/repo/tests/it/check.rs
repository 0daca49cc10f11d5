//! Checks: a sound repository passes, and every kind of damage is found, named, and traced to the files it hits.

use nodekeep_repo::check::{CheckOptions, CheckReport};
use nodekeep_repo::error::Error;
use nodekeep_repo::id::{SessionId, SnapshotId};
use nodekeep_repo::keys::{Identities, Reader};
use nodekeep_repo::monitor::{Monitor, Silent};
use nodekeep_repo::repository::{Access, Repository};
use nodekeep_repo::roster::Role;
use nodekeep_store::Store;

use crate::world::{World, flip, named};

const ALL: CheckOptions = CheckOptions { data: Some(100), snapshot: None, threads: Some(2) };
const NO_DATA: CheckOptions = CheckOptions { data: None, snapshot: None, threads: None };

fn two_snapshots() -> (World, Vec<SnapshotId>) {
    let mut world = World::new();
    world.write("first/large", 1, 600_000);
    world.write("first/small", 2, 1000);
    let first = world.backup();
    world.write("second/large", 3, 700_000);
    world.remove("first/small");
    let second = world.backup();
    (world, vec![first, second])
}

fn check(world: &World, options: &CheckOptions) -> CheckReport {
    world.repo().check(options, &Silent).unwrap()
}

#[test]
fn a_sound_repository_passes() {
    let (world, _) = two_snapshots();
    let report = check(&world, &ALL);
    assert_eq!((report.problems.len(), report.notes.len()), (0, 0), "{report:?}");
    assert_eq!((report.snapshots, report.packs_read), (2, report.packs));
    assert_eq!(
        report.bytes_read,
        named(&world.store, "/d/")
            .iter()
            .chain(&named(&world.store, "/t/"))
            .map(|n| world.store.size(n).unwrap())
            .sum::<u64>()
    );
    // Of each snapshot: the root and its two directories, of which the second shares none.
    assert!(report.trees >= 4 && report.files >= 4 && report.chunks > 4, "{report:?}");
    let fast = check(&world, &NO_DATA);
    assert_eq!((fast.problems.len(), fast.packs_read, fast.bytes_read), (0, 0, 0));
}

#[test]
fn a_share_of_the_packs_is_read() {
    let (world, _) = two_snapshots();
    let report = check(&world, &CheckOptions { data: Some(1), ..ALL });
    assert_eq!((report.packs_read, report.problems.len()), (1, 0));
}

/// What damage does to an object.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Harm {
    Missing,
    Flipped,
    Cut,
}

fn harm(store: &Store, name: &str, harm: Harm) {
    match harm {
        Harm::Missing => assert!(store.delete(name).unwrap()),
        Harm::Flipped => flip(store, name, store.size(name).unwrap() as usize / 2),
        Harm::Cut => {
            let bytes = store.get(name).unwrap();
            crate::world::replace(store, name, &bytes[..bytes.len() / 2]);
        }
    }
}

#[test]
fn every_damage_is_found_and_named() {
    let (base, ids) = two_snapshots();
    base.repo().delete(&ids[..1]).unwrap();
    base.repo()
        .collect(
            &[],
            &nodekeep_repo::collect::CollectOptions { max_unused_percent: 0, ..Default::default() },
            &Silent,
        )
        .unwrap();
    let mut base = base.fork();
    base.write("third", 5, 300_000);
    base.backup();
    for object in base.store.list("").unwrap() {
        let name = &object.name;
        // Nothing rests on a closed generation or the checkpoint before: they are there for emergencies.
        let spare = name.starts_with("g/00000000/") || name == "config" || name.starts_with("r/");
        if spare {
            continue;
        }
        for kind in [Harm::Missing, Harm::Flipped, Harm::Cut] {
            let world = base.fork();
            harm(&world.store, name, kind);
            let report = match Repository::open(world.store.clone(), &world.access(), None) {
                Ok(repo) => repo.check(&ALL, &Silent).unwrap(),
                Err(Error::Damaged { object, .. }) if object == *name => continue,
                Err(error) => panic!("{name} {kind:?}: {error}"),
            };
            // A missing checkpoint shows by what was begun after it.
            let unnoticeable = kind == Harm::Missing && name.starts_with("g/");
            let found = report.problems.iter().any(|problem| problem.object == *name);
            assert_eq!(found, !unnoticeable, "{name} {kind:?}: {:?}", report.problems);
        }
    }
}

#[test]
fn damage_is_traced_to_snapshots_and_files() {
    let (base, ids) = two_snapshots();
    let all: Vec<String> = named(&base.store, "/d/");
    let mut hit = Vec::new();
    for name in all {
        for (kind, options) in
            [(Harm::Missing, NO_DATA), (Harm::Missing, ALL), (Harm::Flipped, ALL)]
        {
            let world = base.fork();
            harm(&world.store, &name, kind);
            let report = check(&world, &options);
            let problem = report.problems.iter().find(|problem| problem.object == name).unwrap();
            assert!(
                !problem.paths.is_empty() && !problem.snapshots.is_empty(),
                "{name} {kind:?}: {problem:?}"
            );
            assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
            hit.extend(problem.paths.iter().map(|path| (path.clone(), problem.snapshots.clone())));
        }
    }
    let both =
        |name: &[u8]| hit.iter().any(|(path, snapshots)| path.ends_with(name) && *snapshots == ids);
    let only = |name: &[u8], id| {
        hit.iter().any(|(path, snapshots)| path.ends_with(name) && *snapshots == [id])
    };
    assert!(both(b"/first/large"), "{hit:?}");
    assert!(only(b"/second/large", ids[1]), "{hit:?}");
    let paths_are_absolute = hit.iter().all(|(path, _)| path.starts_with(b"/"));
    assert!(paths_are_absolute);
}

#[test]
fn a_flipped_bit_hits_only_its_chunk() {
    let (base, _) = two_snapshots();
    let repo = base.repo();
    let index = repo.index(&repo.view().unwrap()).unwrap();
    let large = index.packs.iter().position(|pack| {
        index.entries().iter().filter(|e| index.pack(e).pack == pack.pack).count() > 1
    });
    let pack = &index.packs[large.unwrap()];
    let entries: Vec<_> =
        index.entries().iter().filter(|e| index.pack(e).pack == pack.pack).collect();
    flip(&base.store, &pack.pack.name(), entries[0].offset as usize + 20);
    let report = check(&base, &ALL);
    let problem =
        report.problems.iter().find(|problem| problem.object == pack.pack.name()).unwrap();
    assert!(problem.what.contains("hash"), "{problem:?}");
}

#[test]
fn damaged_trees_hit_what_is_below() {
    let (world, ids) = two_snapshots();
    for name in named(&world.store, "/t/") {
        harm(&world.store, &name, Harm::Missing);
    }
    let report = check(&world, &NO_DATA);
    let hit: Vec<&SnapshotId> =
        report.problems.iter().flat_map(|problem| &problem.snapshots).collect();
    assert!(ids.iter().all(|id| hit.contains(&id)), "{:?}", report.problems);
    assert!(
        report.problems.iter().all(|problem| problem.what.contains("missing")),
        "{:?}",
        report.problems
    );
}

#[test]
fn one_snapshot_can_be_checked_alone() {
    let (world, ids) = two_snapshots();
    let first = check(&world, &CheckOptions { snapshot: Some(ids[0]), ..ALL });
    let everything = check(&world, &ALL);
    assert_eq!(first.snapshots, 1);
    assert!(first.packs < everything.packs && first.packs_read == first.packs, "{first:?}");
    // What only the second needs is no damage for the first.
    for name in named(&world.store, "/d/") {
        let world = world.fork();
        harm(&world.store, &name, Harm::Missing);
        let report = check(&world, &CheckOptions { snapshot: Some(ids[0]), ..ALL });
        assert!(
            report.problems.iter().all(|problem| problem.snapshots == ids[..1]),
            "{:?}",
            report.problems
        );
    }
    let unknown = CheckOptions { snapshot: Some(SessionId([3; 16])), ..ALL };
    assert!(matches!(world.repo().check(&unknown, &Silent), Err(Error::NoSnapshot { .. })));
}

#[test]
fn a_collector_checks_what_it_can_read() {
    let (world, ids) = two_snapshots();
    let identity = age::x25519::Identity::generate();
    let reader = Reader::parse(&identity.to_public().to_string()).unwrap();
    world.repo().add_reader(&reader, "collector", Role::Collector).unwrap();
    let text = age::secrecy::ExposeSecret::expose_secret(&identity.to_string()).to_owned();
    let collector = || {
        let mut identities = Identities::new();
        identities.add_text(&text, None).unwrap();
        let access = Access { identities, ..Access::default() };
        Repository::open(world.store.clone(), &access, None).unwrap()
    };
    let report = collector().check(&ALL, &Silent).unwrap();
    assert_eq!(report.problems, []);
    assert!(report.notes.iter().any(|note| note.contains("not decrypted")), "{:?}", report.notes);
    let victim = named(&world.store, "/d/").remove(0);
    harm(&world.store, &victim, Harm::Flipped);
    let report = collector().check(&ALL, &Silent).unwrap();
    assert_eq!(report.problems.len(), 1);
    assert!(
        !report.problems[0].paths.is_empty()
            && report.problems[0].snapshots.iter().all(|id| ids.contains(id))
    );
}

#[test]
fn leftovers_are_notes() {
    let (world, _) = two_snapshots();
    for part in ["/d/", "/i/"] {
        let name = named(&world.store, part).remove(0);
        let (writer, rest) = name.split_at("w/".len() + 32);
        let stray = format!(
            "{writer}{}{}",
            &rest[..rest.len() - 2],
            if rest.ends_with("00") { "11" } else { "00" }
        );
        world.store.create(&stray, b"anything", nodekeep_store::Durability::Durable).unwrap();
    }
    world.store.create("lost+found", b"", nodekeep_store::Durability::Durable).unwrap_err();
    world.store.create("strange", b"", nodekeep_store::Durability::Durable).unwrap();
    let report = check(&world, &ALL);
    assert_eq!(report.problems, []);
    assert_eq!(report.notes.len(), 2, "{:?}", report.notes);
}

#[test]
fn a_writer_alone_cannot_check() {
    let (world, _) = two_snapshots();
    let access = Access { credential: Some(world.credential.clone()), ..Access::default() };
    let writer = Repository::open(world.store.clone(), &access, None).unwrap();
    assert!(matches!(writer.check(&ALL, &Silent), Err(Error::WriterOnly)));
}

struct Stopped;

impl Monitor for Stopped {
    fn interrupted(&self) -> bool {
        true
    }
}

#[test]
fn a_check_can_be_interrupted() {
    let (world, _) = two_snapshots();
    assert!(matches!(world.repo().check(&ALL, &Stopped), Err(Error::Interrupted)));
}

/// Does something as soon as a check has looked at the state and begins to read.
struct Meanwhile<'a> {
    done: std::sync::atomic::AtomicBool,
    act: &'a (dyn Fn() + Sync),
}

impl nodekeep_repo::monitor::Monitor for Meanwhile<'_> {
    fn interrupted(&self) -> bool {
        if !self.done.swap(true, std::sync::atomic::Ordering::Relaxed) {
            (self.act)();
        }
        false
    }
}

#[test]
fn what_a_collection_removes_meanwhile_is_no_damage() {
    let mut world = World::new();
    world.write("a/large", 1, 600_000);
    world.write("a/small", 2, 1000);
    let first = world.backup();
    world.write("a/small", 3, 1000);
    world.write("b/large", 4, 300_000);
    world.backup();
    let thorough = nodekeep_repo::collect::CollectOptions {
        max_unused_percent: 0,
        ..nodekeep_repo::collect::CollectOptions::default()
    };
    let collect = || {
        let report = world.repo().collect(&[first], &thorough, &Silent).unwrap();
        assert!(report.checkpoint.is_some());
    };
    let meanwhile = Meanwhile { done: false.into(), act: &collect };
    for data in [None, Some(100)] {
        let options = CheckOptions { data, ..CheckOptions::default() };
        let report = world.repo().check(&options, &meanwhile).unwrap();
        assert_eq!(report.problems, [], "data {data:?}");
    }
}
