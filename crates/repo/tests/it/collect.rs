//! Collections: what is deleted, what is not, and that a crash at any point does no harm.

use std::sync::Mutex;

use nodekeep_repo::collect::{CollectOptions, Postponed};
use nodekeep_repo::control::{CollectionOutcome, Process, Session, Stamp, Statement};
use nodekeep_repo::crypto::random;
use nodekeep_repo::error::Error;
use nodekeep_repo::id::{SessionId, SnapshotId};
use nodekeep_repo::keys::{ContentKey, Purpose, Seal};
use nodekeep_repo::monitor::{Monitor, Silent};
use nodekeep_repo::names;
use nodekeep_repo::process;
use nodekeep_repo::repository::{Access, Repository};
use nodekeep_store::{Durability, Effect, FaultPlan, NameMatch, Occurrence, OpMatch};

use crate::world::{World, flip, named};

const KEEP_NOTHING_UNUSED: CollectOptions =
    CollectOptions { max_unused_percent: 0, patience_secs: 7 * 24 * 3600 };

/// Three snapshots, each of which adds files and removes some: packs are partly dead once the first two are deleted.
fn three_snapshots() -> (World, Vec<SnapshotId>) {
    let mut world = World::new();
    let mut ids = Vec::new();
    for round in 0..3u64 {
        for file in 0..4u64 {
            let seed = 100 * round + file;
            world.write(&format!("dir{file}/file{seed}"), seed, 280_000 + 1000 * file as usize);
        }
        if round > 0 {
            world.remove(&format!("dir1/file{}", 100 * (round - 1) + 1));
            world.remove(&format!("dir2/file{}", 100 * (round - 1) + 2));
        }
        ids.push(world.backup());
    }
    (world, ids)
}

fn stored_bytes(world: &World) -> u64 {
    world.store.list("w/").unwrap().iter().map(|object| object.size).sum()
}

/// Everything in the store is named by something: nothing was left behind.
fn assert_no_leftovers(world: &World) {
    let repo = world.repo();
    let view = repo.view().unwrap();
    let index = repo.index(&view).unwrap();
    let mut expected: Vec<String> = index.packs.iter().map(|pack| pack.pack.name()).collect();
    expected.extend(
        view.segments.iter().map(|(writer, hash)| nodekeep_repo::names::segment(writer, hash)),
    );
    expected.sort_unstable();
    assert_eq!(named(&world.store, "w/"), expected);
    assert_eq!(named(&world.store, "x/"), Vec::<String>::new());
    assert!(view.problems.is_empty(), "{:?}", view.problems);
}

#[test]
fn deleted_snapshots_give_back_their_space() {
    let (world, ids) = three_snapshots();
    let before = stored_bytes(&world);
    let plan = world.repo().plan_collection(&ids[..2], &KEEP_NOTHING_UNUSED).unwrap();
    assert_eq!(stored_bytes(&world), before, "a plan changes nothing");
    let report = world.repo().collect(&ids[..2], &KEEP_NOTHING_UNUSED, &Silent).unwrap();
    assert_eq!(report.plan, plan);
    assert_eq!((report.postponed, report.collection, report.checkpoint), (None, Some(1), Some(1)));
    assert_eq!(world.verify(), [ids[2]]);
    assert_no_leftovers(&world);
    let live: usize = world.files.values().map(Vec::len).sum();
    let stored = stored_bytes(&world);
    assert!(stored < live as u64 * 11 / 10, "{stored} bytes stored for {live}");
    assert!(before - stored > plan.bytes_freed * 9 / 10, "{before} - {stored} against {plan:?}");
}

#[test]
fn what_is_collected_once_needs_no_second_collection() {
    let (world, ids) = three_snapshots();
    world.repo().collect(&ids[..1], &KEEP_NOTHING_UNUSED, &Silent).unwrap();
    let before = named(&world.store, "");
    let report = world.repo().collect(&[], &KEEP_NOTHING_UNUSED, &Silent).unwrap();
    assert_eq!((report.collection, report.checkpoint, report.plan.bytes_freed), (None, None, 0));
    assert_eq!(named(&world.store, ""), before);
}

#[test]
fn a_tolerant_aim_rewrites_nothing() {
    let (world, ids) = three_snapshots();
    let tolerant = CollectOptions { max_unused_percent: 99, ..KEEP_NOTHING_UNUSED };
    let report = world.repo().collect(&ids[..2], &tolerant, &Silent).unwrap();
    assert_eq!((report.plan.packs_compacted, report.plan.bytes_rewritten), (0, 0));
    assert_eq!(world.verify(), [ids[2]]);
}

#[test]
fn many_small_packs_become_few() {
    let mut world = World::new();
    for n in 0..10 {
        world.write(&format!("file{n}"), n, 2000);
        world.backup();
    }
    let before = named(&world.store, "/d/").len();
    let report = world.repo().collect(&[], &CollectOptions::default(), &Silent).unwrap();
    let after = named(&world.store, "/d/").len();
    assert!(
        before >= 10 && after <= 1 && report.collection == Some(1),
        "{before} packs became {after}: {report:?}"
    );
    assert_eq!(world.verify().len(), 10);
    assert_no_leftovers(&world);
}

#[test]
fn a_long_generation_is_closed() {
    let mut world = World::new();
    world.write("file", 1, 50_000);
    for _ in 0..17 {
        world.backup();
    }
    let report = world.repo().collect(
        &[],
        &CollectOptions { max_unused_percent: 100, ..CollectOptions::default() },
        &Silent,
    );
    assert_eq!(report.unwrap().checkpoint, Some(1));
    assert_eq!(world.verify().len(), 17);
    assert_no_leftovers(&world);
}

#[test]
fn deletion_is_the_owners_and_needs_a_snapshot() {
    let (world, ids) = three_snapshots();
    let writer = Access { credential: Some(world.credential.clone()), ..Access::default() };
    let writer = Repository::open(world.store.clone(), &writer, None).unwrap();
    assert!(matches!(writer.delete(&ids[..1]), Err(Error::OwnerOnly)));
    assert!(matches!(
        writer.collect(&[], &CollectOptions::default(), &Silent),
        Err(Error::OwnerOnly)
    ));
    let unknown = SessionId([1; 16]);
    assert!(matches!(world.repo().delete(&[ids[0], unknown]), Err(Error::NoSnapshot { .. })));
    assert_eq!(world.verify().len(), 3, "nothing was deleted");
    world.repo().delete(&[ids[0]]).unwrap();
    world.repo().delete(&[ids[0]]).unwrap();
    assert_eq!(world.verify().len(), 2);
}

/// Puts a session into the store that never ends.
fn begin_session(world: &World, started_ms: i64, process: Process) -> Stamp {
    let repo = world.repo();
    let seal = |purpose| {
        Seal::close(&ContentKey::random(&repo.id()), purpose, repo.roster().current_group())
    };
    let stamp = Stamp {
        generation: repo.view().unwrap().generation,
        writer: repo.writer_id().unwrap(),
        sequence: 77,
        session: SessionId(random()),
    };
    let (tree, data) = (seal(Purpose::Tree), seal(Purpose::Data));
    let session = Session { stamp, roster: 1, started_ms, process, tree, data };
    let object = session.seal(&repo.id(), repo.writer_key().unwrap());
    world.store.create(&stamp.session_name(), &object, Durability::Durable).unwrap();
    stamp
}

#[test]
fn sessions_hold_a_collection_up_until_they_are_dead() {
    let now = jiff::Timestamp::now().as_millisecond();
    let here = process::this(three_snapshots().0.repo().domain());
    let day = 24 * 3600 * 1000;
    let elsewhere = Process { host: [9; 32], pid: 1, started: 1 };
    let cases: [(&str, i64, Option<Process>, bool); 4] = [
        ("alive here", now, None, false),
        ("gone here", now, Some(Process { started: here.started + 1, ..here }), true),
        ("elsewhere", now - 6 * day, Some(elsewhere), false),
        ("silent elsewhere", now - 8 * day, Some(elsewhere), true),
    ];
    for (what, started, process, dead) in cases {
        let (world, ids) = three_snapshots();
        let here = process::this(world.repo().domain());
        // The tag is the domain's own.
        let process = process
            .map_or(here, |p| if p.host == [9; 32] { p } else { Process { host: here.host, ..p } });
        let stamp = begin_session(&world, started, process);
        let report = world.repo().collect(&ids[..2], &KEEP_NOTHING_UNUSED, &Silent).unwrap();
        let postponed = (!dead).then_some(Postponed::Sessions(1));
        assert_eq!(
            (report.postponed, report.sessions_ended),
            (postponed, u64::from(dead)),
            "{what}"
        );
        assert_eq!(world.verify(), [ids[2]], "{what}: the deletion counts either way");
        assert_eq!(named(&world.store, &stamp.outcome_name()).len(), usize::from(dead), "{what}");
    }
}

#[test]
fn a_torn_session_is_ended() {
    let (world, ids) = three_snapshots();
    let stamp = begin_session(&world, 0, Process { host: [9; 32], pid: 1, started: 1 });
    let torn = world.store.get(&stamp.session_name()).unwrap()[..40].to_vec();
    crate::world::replace(&world.store, &stamp.session_name(), &torn);
    let report = world.repo().collect(&ids[..2], &KEEP_NOTHING_UNUSED, &Silent).unwrap();
    assert_eq!((report.sessions_ended, report.collection), (1, Some(1)));
    assert_eq!(world.verify(), [ids[2]]);
}

/// Does something while a collection works: at the nth time that it asks whether to stop.
struct Meanwhile<F: FnMut()> {
    at: u64,
    asked: Mutex<u64>,
    act: Mutex<F>,
}

impl<F: FnMut()> Meanwhile<F> {
    fn new(at: u64, act: F) -> Self {
        Self { at, asked: Mutex::new(0), act: Mutex::new(act) }
    }
}

impl<F: FnMut() + Send> Monitor for Meanwhile<F> {
    fn interrupted(&self) -> bool {
        let mut asked = self.asked.lock().unwrap();
        *asked += 1;
        if *asked == self.at {
            (self.act.lock().unwrap())();
        }
        false
    }
}

/// A backup of what was just deleted, at each step of the collection that would delete it.
#[test]
fn a_backup_meanwhile_loses_nothing() {
    let (base, ids) = three_snapshots();
    let mut collected = 0;
    for at in 1.. {
        let mut world = base.fork();
        let old = world.snapshots[&ids[0]].clone();
        for (name, bytes) in old {
            std::fs::write(world.path(std::str::from_utf8(&name).unwrap()), &bytes).unwrap();
            world.files.insert(name, bytes);
        }
        let repo = world.repo();
        let state = Mutex::new((&mut world, false));
        let meanwhile = Meanwhile::new(at, || {
            let mut state = state.lock().unwrap();
            state.0.backup();
            state.1 = true;
        });
        let report = repo.collect(&ids[..2], &KEEP_NOTHING_UNUSED, &meanwhile).unwrap();
        let happened = state.into_inner().unwrap().1;
        assert_eq!(world.verify().len(), if happened { 2 } else { 1 }, "at step {at}: {report:?}");
        collected += u64::from(report.collection.is_some());
        world.repo().collect(&[], &KEEP_NOTHING_UNUSED, &Silent).unwrap();
        assert_eq!(world.verify().len(), if happened { 2 } else { 1 }, "after step {at}");
        assert_no_leftovers(&world);
        if !happened {
            break;
        }
    }
    assert!(collected > 1, "no collection went through beside a backup");
}

#[test]
fn a_session_that_begins_before_the_doomed_list_stops_the_collection() {
    let (world, ids) = three_snapshots();
    let act = || {
        begin_session(
            &world,
            jiff::Timestamp::now().as_millisecond(),
            process::this(world.repo().domain()),
        );
    };
    let before = named(&world.store, "w/");
    let report =
        world.repo().collect(&ids[..2], &KEEP_NOTHING_UNUSED, &Meanwhile::new(1, act)).unwrap();
    assert_eq!((report.postponed, report.collection), (Some(Postponed::Sessions(1)), None));
    assert_eq!(named(&world.store, "w/"), before);
    assert_eq!(world.verify(), [ids[2]]);
}

/// The invariant: whatever change is the last before a crash, live snapshots are whole, a backup of what was deleted works, and the next
/// collection cleans up.
#[test]
fn a_crash_at_any_change_does_no_harm() {
    let (base, ids) = three_snapshots();
    let mut crashes = 0;
    for change in 1.. {
        let mut world = base.fork();
        let plan = FaultPlan::crash_before_change(change);
        let repo = world.repo_at(world.store.clone().with_faults(plan));
        let crashed = repo.collect(&ids[..2], &KEEP_NOTHING_UNUSED, &Silent).is_err();
        let live = world.verify();
        assert!(live.contains(&ids[2]), "change {change}: {live:?}");
        if change % 2 == 0 {
            world.write("dir1/file1", 1, 281_000);
            world.write("dir2/file2", 2, 282_000);
            world.backup();
            assert_eq!(world.verify().len(), live.len() + 1, "change {change}");
        }
        let present: Vec<SnapshotId> =
            ids[..2].iter().filter(|id| world.verify().contains(id)).copied().collect();
        world.repo().collect(&present, &KEEP_NOTHING_UNUSED, &Silent).unwrap();
        let live = world.verify();
        assert!(
            live.contains(&ids[2]) && !live.contains(&ids[0]) && !live.contains(&ids[1]),
            "change {change}"
        );
        world.repo().collect(&[], &KEEP_NOTHING_UNUSED, &Silent).unwrap();
        assert_no_leftovers(&world);
        assert_eq!(world.verify(), live, "change {change}");
        if !crashed {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 15, "only {crashes} changes were tried");
}

/// As a power cut does: what was not made durable is torn.
#[test]
fn torn_objects_do_no_harm() {
    let (base, ids) = three_snapshots();
    for nth in 1.. {
        let world = base.fork();
        let plan = FaultPlan::of(
            OpMatch::Mutating,
            NameMatch::Prefix("w/".to_owned()),
            Occurrence::Nth(nth),
            Effect::Torn(50),
        );
        let repo = world.repo_at(world.store.clone().with_faults(plan));
        let crashed = repo.collect(&ids[..2], &KEEP_NOTHING_UNUSED, &Silent).is_err();
        world.repo().collect(&[], &KEEP_NOTHING_UNUSED, &Silent).unwrap();
        assert_eq!(world.verify(), [ids[2]], "object {nth}");
        assert_no_leftovers(&world);
        if !crashed {
            break;
        }
    }
}

#[test]
fn a_damaged_pack_is_not_touched() {
    let (world, ids) = three_snapshots();
    let plan = world.repo().plan_collection(&ids[..2], &KEEP_NOTHING_UNUSED).unwrap();
    assert!(plan.packs_compacted > 0);
    for name in named(&world.store, "/d/") {
        flip(&world.store, &name, 5000);
    }
    let report = world.repo().collect(&ids[..2], &KEEP_NOTHING_UNUSED, &Silent).unwrap();
    assert!(!report.packs_damaged.is_empty());
    let left = named(&world.store, "/d/");
    assert!(report.packs_damaged.iter().all(|name| left.contains(name)));
}

#[test]
fn a_damaged_repository_is_not_collected() {
    for part in ["/i/", "/t/", ".outcome", "c/0"] {
        let (world, ids) = three_snapshots();
        world.repo().collect(&ids[..1], &KEEP_NOTHING_UNUSED, &Silent).unwrap();
        let victims = match part {
            "c/0" => {
                world.store.list(part).unwrap().into_iter().map(|object| object.name).collect()
            }
            part => named(&world.store, part),
        };
        // Outcomes lie in the closed generation, whose damage does not matter.
        let refused = part != ".outcome";
        for victim in victims {
            world.store.delete(&victim).unwrap();
            if part == "c/0" {
                world.store.create(&victim, b"NKO1", Durability::Durable).unwrap();
            }
        }
        let before = named(&world.store, "w/");
        let result = world.repo().collect(&[], &KEEP_NOTHING_UNUSED, &Silent);
        assert_eq!(result.is_err(), refused, "{part}: {result:?}");
        assert_eq!(named(&world.store, "w/"), before, "{part}");
    }
}

/// The same owner on another machine: one of the two may fail or give up, but nothing is lost.
#[test]
fn two_keepers_do_each_other_no_harm() {
    let (base, ids) = three_snapshots();
    for at in 1.. {
        let world = base.fork();
        let happened = Mutex::new(false);
        let meanwhile = Meanwhile::new(at, || {
            world.repo().collect(&ids[..1], &KEEP_NOTHING_UNUSED, &Silent).unwrap();
            *happened.lock().unwrap() = true;
        });
        let result = world.repo().collect(&ids[..2], &KEEP_NOTHING_UNUSED, &meanwhile);
        assert_eq!(world.verify(), [ids[2]], "at step {at}: {result:?}");
        world.repo().collect(&[], &KEEP_NOTHING_UNUSED, &Silent).unwrap();
        assert_eq!(world.verify(), [ids[2]], "after step {at}");
        assert_no_leftovers(&world);
        if !happened.into_inner().unwrap() {
            break;
        }
    }
}

/// A keeper sleeps before it decides: its collection is abandoned, what it doomed is used again, and another collection sweeps away all
/// traces of the first, so that the slot of its outcome is free when it wakes.
#[test]
fn a_keeper_that_decides_too_late_condemns_nothing() {
    let (base, ids) = three_snapshots();
    let mut late = 0;
    for at in 1.. {
        let mut world = base.fork();
        let old = world.snapshots[&ids[0]].clone();
        let (repo, other) = (world.repo(), world.repo());
        let state = Mutex::new((&mut world, false));
        let meanwhile = Meanwhile::new(at, || {
            let mut state = state.lock().unwrap();
            state.1 = true;
            abandon(&other);
            for (name, bytes) in &old {
                let path = state.0.path(std::str::from_utf8(name).unwrap());
                std::fs::write(path, bytes).unwrap();
                state.0.files.insert(name.clone(), bytes.clone());
            }
            state.0.backup();
            let report = other.collect(&[], &KEEP_NOTHING_UNUSED, &Silent).unwrap();
            late += u64::from(report.collection == Some(2));
        });
        // It may fail: what it copied may be gone.
        let result = repo.collect(&ids[..2], &KEEP_NOTHING_UNUSED, &meanwhile);
        let (_, happened) = state.into_inner().unwrap();
        let live = world.verify();
        assert_eq!(live.len(), if happened { 2 } else { 1 }, "at step {at}: {result:?}");
        for _ in 0..2 {
            world.repo().collect(&[], &KEEP_NOTHING_UNUSED, &Silent).unwrap();
            assert_eq!(world.verify(), live, "after step {at}");
        }
        assert_no_leftovers(&world);
        if !happened {
            break;
        }
    }
    assert!(late > 0, "no collection was abandoned and swept away");
}

/// Abandons the first collection, if it has begun.
fn abandon(repo: &Repository) {
    let (key, keeper) = repo.keeper().unwrap();
    if repo.store().size(&names::doomed(1)).is_ok() {
        let abandoned = CollectionOutcome { number: 1, keeper, nonce: random(), condemned: None };
        let object = abandoned.seal(&repo.id(), &key);
        repo.store().create(&names::collection_outcome(1), &object, Durability::Durable).unwrap();
    }
}
