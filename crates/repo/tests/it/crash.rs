//! A crash, a torn write or a full disk at every single change that an operation makes to the store: what was committed stays whole,
//! and the operation succeeds when it is tried again.

use std::collections::BTreeMap;
use std::path::Path;

use nodekeep_repo::check::{CheckOptions, Problem};
use nodekeep_repo::collect::CollectOptions;
use nodekeep_repo::error::{Error, Result};
use nodekeep_repo::id::SnapshotId;
use nodekeep_repo::keys::{Entropy, Reader};
use nodekeep_repo::monitor::Silent;
use nodekeep_repo::repository::{Access, Repository};
use nodekeep_repo::roster::{Role, Trust};
use nodekeep_store::{
    Effect, FaultPlan, NameMatch, Occurrence, Op, OpMatch, Store, StoreErrorKind,
};
use nodekeep_testkit::{Rng, Size, Tree, damage, edit};

use crate::lab::{Keys, assert_restores, backup, create, planted, small_packs};

/// What happens at a change. A torn object can only be one that no barrier followed: those below `w/` and sessions.
const CRASHES: [(OpMatch, &str, Effect); 4] = [
    (OpMatch::Mutating, "", Effect::CrashFromHere),
    (OpMatch::Mutating, "", Effect::CrashAfterActing),
    (OpMatch::Only(Op::Create), "w/", Effect::Torn(100)),
    (OpMatch::Only(Op::Create), ".session", Effect::Torn(0)),
];

/// A repository with two snapshots, and a folder that changed since.
struct Scene {
    store: Store,
    keys: Keys,
    dir: tempfile::TempDir,
    snapshots: BTreeMap<SnapshotId, Tree>,
}

impl Scene {
    fn new() -> Self {
        let dir = crate::lab::scratch();
        let store = Store::memory();
        let keys = create(store.clone());
        let mut scene = Self { store, keys, dir, snapshots: BTreeMap::new() };
        planted(3, Size { names: 20, large: 0, deep: false }, &scene.source());
        std::fs::write(scene.source().join("cut into chunks"), Rng::new(9).bytes(700_000, false))
            .unwrap();
        let mut rng = Rng::new(5);
        for _ in 0..2 {
            scene.back_up();
            edit(&mut rng, &scene.source(), 6).unwrap();
        }
        scene
    }

    fn source(&self) -> std::path::PathBuf {
        self.dir.path().join("source")
    }

    fn back_up(&mut self) {
        let repo = self.keys.open(&self.store).unwrap();
        let id = backup(&repo, &self.source(), None).unwrap().snapshot.unwrap();
        self.snapshots.insert(id, Tree::read(&self.source()).unwrap());
    }

    fn now(&self) -> Tree {
        Tree::read(&self.source()).unwrap()
    }

    /// Every snapshot that was there is listed and comes back whole, but those `gone`.
    fn assert_whole(&self, store: &Store, gone: &[SnapshotId], what: &str) {
        let repo = self.keys.open(store).unwrap();
        let records = repo.snapshots().unwrap();
        for (id, tree) in self.snapshots.iter().filter(|(id, _)| !gone.contains(id)) {
            let record = records.iter().find(|record| record.id == *id);
            let record = record.unwrap_or_else(|| panic!("{what}: snapshot {id} is not listed"));
            assert_restores(&repo, record, tree, what);
        }
    }

    fn assert_sound(&self, store: &Store, what: &str) {
        let repo = self.keys.open(store).unwrap();
        let report = repo
            .check(&CheckOptions { data: Some(100), ..CheckOptions::default() }, &Silent)
            .unwrap();
        // A session torn by a power cut is reported until its generation is closed; it hits nothing.
        let harmless = |p: &Problem| {
            p.object.ends_with(".session") && p.snapshots.is_empty() && p.paths.is_empty()
        };
        let torn_session = what.starts_with("Torn(0)");
        let problems: Vec<_> =
            report.problems.into_iter().filter(|p| !(torn_session && harmless(p))).collect();
        assert!(problems.is_empty(), "{what}: {problems:?}");
    }
}

/// How many operations of a kind an act makes.
fn count(store: &Store, op: OpMatch, part: &str, act: &dyn Fn(&Store) -> Result<()>) -> u64 {
    let (store, recording) = damage::copy(store).unwrap().recording();
    act(&store).unwrap();
    let matches = |made: &&nodekeep_store::Recorded| {
        let right = match op {
            OpMatch::Any => true,
            OpMatch::Mutating => made.op.is_mutating(),
            OpMatch::Only(only) => made.op == only,
        };
        right && made.name.contains(part)
    };
    recording.operations().iter().filter(matches).count() as u64
}

/// Runs `act` on copies of a store with a crash at each of its changes, and hands over what survived.
fn at_every_change(
    store: &Store,
    act: &dyn Fn(&Store) -> Result<()>,
    after: &dyn Fn(&Store, &str),
) {
    let mut crashes = 0;
    for (op, part, effect) in CRASHES {
        for n in 1..=count(store, op, part, act) {
            let survivor = damage::copy(store).unwrap();
            let plan =
                FaultPlan::of(op, NameMatch::Contains(part.to_owned()), Occurrence::Nth(n), effect);
            // An error, mostly; a crash behind the last change that matters is not noticed.
            let _ = act(&survivor.clone().with_faults(plan));
            after(&survivor, &format!("{effect:?} at change {n} of `{part}`"));
            crashes += 1;
        }
    }
    assert!(crashes >= 2, "only {crashes} places to crash");
}

/// The same for an act on a scene, which is then tried again.
fn survives(
    scene: &Scene,
    gone: &[SnapshotId],
    act: &dyn Fn(&Store) -> Result<()>,
    done: &dyn Fn(&Store, &str),
) {
    at_every_change(&scene.store, act, &|store, what| {
        scene.assert_whole(store, gone, what);
        act(store).unwrap_or_else(|error| panic!("{what}: again: {error}"));
        scene.assert_whole(store, gone, &format!("{what}, after another try"));
        scene.assert_sound(store, what);
        done(store, what);
    });
}

#[test]
fn an_interrupted_creation_is_completed_by_its_owner() {
    let owner = Entropy::from_bytes([9; 32]);
    let options = small_packs();
    let make = |store: &Store| Repository::create(store.clone(), &owner, &options).map(drop);
    let access = || Access { owner: Some(owner.clone()), ..Access::default() };
    at_every_change(&Store::memory(), &make, &|store, what| {
        let stranger = Entropy::from_bytes([8; 32]);
        let begun = Repository::exists(store).unwrap();
        let refused = Repository::create(damage::copy(store).unwrap(), &stranger, &options);
        assert_eq!(refused.is_err(), begun, "{what}: another owner");
        match make(store) {
            Ok(()) | Err(Error::RepositoryExists { .. }) => (),
            Err(error) => panic!("{what}: {error}"),
        }
        let mut repo = Repository::open(store.clone(), &access(), None)
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        let credential = repo.enroll_writer("again", Trust::All).unwrap();
        let keys = Keys { owner: owner.clone(), credential };
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), what).unwrap();
        let repo = keys.open(store).unwrap();
        backup(&repo, dir.path(), None).unwrap();
        assert_restores(
            &repo,
            &repo.snapshots().unwrap()[0],
            &Tree::read(dir.path()).unwrap(),
            what,
        );
    });
}

fn back_up(keys: &Keys, store: &Store, source: &Path) -> Result<()> {
    backup(&keys.open(store)?, source, None).map(drop)
}

#[test]
fn a_first_backup_survives_a_crash_anywhere() {
    let mut scene = Scene::new();
    scene.store = Store::memory();
    scene.keys = create(scene.store.clone());
    scene.snapshots.clear();
    crash_backup(&scene);
}

#[test]
fn a_later_backup_survives_a_crash_anywhere() {
    crash_backup(&Scene::new());
}

fn crash_backup(scene: &Scene) {
    let (source, now) = (scene.source(), scene.now());
    survives(scene, &[], &|store| back_up(&scene.keys, store, &source), &|store, what| {
        let repo = scene.keys.open(store).unwrap();
        let records = repo.snapshots().unwrap();
        let new: Vec<_> =
            records.iter().filter(|record| !scene.snapshots.contains_key(&record.id)).collect();
        // Two if the crash came behind the commit of the first try.
        assert!((1..=2).contains(&new.len()), "{what}: {} new snapshots", new.len());
        for record in new {
            assert_restores(&repo, record, &now, what);
        }
    });
}

#[test]
fn a_deletion_and_collection_survives_a_crash_anywhere() {
    let mut scene = Scene::new();
    scene.back_up();
    let first = scene.keys.open(&scene.store).unwrap().snapshots().unwrap()[0].id;
    let options = CollectOptions { max_unused_percent: 0, ..CollectOptions::default() };
    let act = |store: &Store| {
        let repo = scene.keys.open(store)?;
        repo.collect(&[first], &options, &Silent).map(drop)
    };
    let clean = damage::copy(&scene.store).unwrap();
    act(&clean).unwrap();
    let size =
        |store: &Store| store.list("w/").unwrap().iter().map(|object| object.size).sum::<u64>();
    assert!(size(&clean) < size(&scene.store), "something was to be collected");
    survives(&scene, &[first], &act, &|store, what| {
        let repo = scene.keys.open(store).unwrap();
        assert!(
            repo.snapshots().unwrap().iter().all(|record| record.id != first),
            "{what}: deleted, and there again"
        );
        // The crashed try may have left copies that take one more collection to find.
        act(store).unwrap();
        assert!(
            size(store) < size(&scene.store),
            "{what}: {} of {}",
            size(store),
            size(&scene.store)
        );
        back_up(&scene.keys, store, &scene.source()).unwrap();
        scene.assert_whole(store, &[first], what);
    });
}

/// All packs and segments with their bytes.
fn packs(store: &Store) -> BTreeMap<String, Vec<u8>> {
    let listed = store.list("w/").unwrap().into_iter();
    listed.map(|object| (object.name.clone(), store.get(&object.name).unwrap())).collect()
}

#[test]
fn changes_of_members_survive_a_crash_anywhere_and_change_no_pack() {
    let mut scene = Scene::new();
    let reader = Reader::Age(Entropy::from_bytes([1; 32]).owner().recipient());
    let mut repo = scene.keys.open(&scene.store).unwrap();
    let member = repo.add_reader(&reader, "old", Role::Reader).unwrap();
    let writer = repo.enroll_writer("old writer", Trust::Own).unwrap();
    let writer = nodekeep_repo::roster::Member::id_of(Role::Writer, &writer.signing.public().0);
    scene.back_up();
    let another = Reader::Age(Entropy::from_bytes([2; 32]).owner().recipient());
    type Change<'a> = &'a dyn Fn(&mut Repository) -> Result<()>;
    let changes: [(&str, Change<'_>); 5] = [
        ("adding a reader", &|repo| repo.add_reader(&another, "new", Role::Reader).map(drop)),
        ("adding a writer", &|repo| repo.enroll_writer("new writer", Trust::All).map(drop)),
        ("removing a reader", &|repo| repo.remove_member(&member)),
        ("removing a writer", &|repo| repo.remove_member(&writer)),
        ("rotating", &|repo| repo.rotate().map(drop)),
    ];
    for (name, change) in changes {
        let before = packs(&scene.store);
        let act = |store: &Store| change(&mut scene.keys.open(store)?);
        survives(&scene, &[], &act, &|store, what| {
            assert!(packs(store) == before, "{name}: {what}: a pack changed");
            back_up(&scene.keys, store, &scene.source())
                .unwrap_or_else(|error| panic!("{name}: {what}: {error}"));
        });
    }
}

#[test]
fn a_full_disk_is_named_and_costs_nothing_but_the_attempt() {
    let scene = Scene::new();
    let source = scene.source();
    let act = |store: &Store| back_up(&scene.keys, store, &source);
    let creates = count(&scene.store, OpMatch::Only(Op::Create), "", &act);
    for n in 1..=creates {
        for when in [Occurrence::Nth(n), Occurrence::From(n)] {
            let what = format!("no space at create {when:?}");
            let store = damage::copy(&scene.store).unwrap();
            let effect = Effect::Fail(StoreErrorKind::NoSpace);
            let plan = FaultPlan::of(OpMatch::Only(Op::Create), NameMatch::Any, when, effect);
            let error = act(&store.clone().with_faults(plan)).unwrap_err();
            let named =
                matches!(&error, Error::Store(error) if error.kind == StoreErrorKind::NoSpace);
            assert!(named && error.to_string().contains("no space left"), "{what}: {error:?}");
            let repo = scene.keys.open(&store).unwrap();
            assert_eq!(
                repo.snapshots().unwrap().len(),
                scene.snapshots.len(),
                "{what}: half a snapshot"
            );
            scene.assert_whole(&store, &[], &what);
            act(&store).unwrap_or_else(|error| panic!("{what}: again: {error}"));
            scene.assert_sound(&store, &what);
        }
    }
}
