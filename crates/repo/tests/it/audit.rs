//! Audits: what was removed, rolled back or forged is found and named; what is in order raises no alarm.

use nodekeep_repo::audit::{AuditReport, Seen, Standing};
use nodekeep_repo::collect::CollectOptions;
use nodekeep_repo::control::{Commit, Outcome, Process, Session, Stamp, Statement};
use nodekeep_repo::crypto::random;
use nodekeep_repo::error::Error;
use nodekeep_repo::id::SessionId;
use nodekeep_repo::keys::{ContentKey, Credential, Purpose, Seal};
use nodekeep_repo::monitor::Silent;
use nodekeep_repo::repository::{Pins, Repository};
use nodekeep_repo::roster::Trust;
use nodekeep_store::{Durability, Store};

use crate::world::{World, copy, flip, named, replace};

const THOROUGH: CollectOptions =
    CollectOptions { max_unused_percent: 0, patience_secs: 7 * 24 * 3600 };

/// What a client remembers.
#[derive(Default)]
struct Memory {
    pins: Pins,
    seen: Seen,
}

impl Memory {
    fn of(world: &World) -> Self {
        let mut memory = Self::default();
        memory.look(world);
        memory
    }

    fn look(&mut self, world: &World) {
        let repo = world.repo();
        let view = repo.view().unwrap();
        self.pins.raise(&repo.pins().unwrap());
        self.pins.raise_heads(view.live.iter().map(|l| (l.stamp.writer, l.stamp.sequence)));
        self.seen.observe(&view);
        // Through its file, as a client does it.
        self.pins = Pins::from_text(&self.pins.to_text());
        self.seen = Seen::from_text(&self.seen.to_text());
    }

    fn audit(&mut self, store: &Store, world: &World) -> AuditReport {
        world.repo_at(store.clone()).audit(&self.pins, &mut self.seen).unwrap()
    }
}

fn codes(report: &AuditReport) -> Vec<&'static str> {
    report.alarms.iter().map(|alarm| alarm.code).collect()
}

fn three_snapshots() -> World {
    let mut world = World::new();
    for round in 0..3 {
        world.write(&format!("file{round}"), round, 50_000);
        world.backup();
    }
    world
}

#[test]
fn what_is_in_order_raises_no_alarm() {
    let mut world = three_snapshots();
    let mut memory = Memory::of(&world);
    let report = memory.audit(&world.store, &world);
    assert_eq!(codes(&report), Vec::<&str>::new());
    let writer = &report.writers[0];
    assert_eq!((writer.head, writer.settled, writer.snapshots), (3, 0, 3));
    assert_eq!(writer.label.as_deref(), Some("first writer"));
    assert!(writer.packs.is_some_and(|(packs, bytes)| packs >= 6 && bytes > 100_000));
    let sequences: Vec<u64> = writer.sessions.iter().map(|session| session.sequence).collect();
    assert_eq!(sequences, [1, 2, 3]);

    // Deleted by a keeper, collected, and written on: all of it is explained.
    let ids: Vec<_> = world.snapshots.keys().copied().collect();
    world.repo().collect(&ids[..2], &THOROUGH, &Silent).unwrap();
    let report = memory.audit(&world.store, &world);
    assert_eq!(codes(&report), Vec::<&str>::new());
    assert_eq!(report.deletions.len(), 2);
    assert_eq!(report.checkpoint, 1);
    let deleted = |s: &&nodekeep_repo::audit::AuditedSession| s.standing == Standing::Deleted;
    assert_eq!(report.writers[0].sessions.iter().filter(deleted).count(), 2);
    world.write("more", 9, 100);
    world.backup();
    memory.look(&world);
    world
        .repo()
        .collect(&[], &CollectOptions { max_unused_percent: 0, ..THOROUGH }, &Silent)
        .unwrap();
    assert_eq!(codes(&memory.audit(&world.store, &world)), Vec::<&str>::new());
}

#[test]
fn a_removed_snapshot_is_named() {
    let world = three_snapshots();
    let repo = world.repo();
    for live in repo.view().unwrap().live {
        let store = copy(&world.store);
        for name in named(&store, &live.stamp.session.hex()) {
            store.delete(&name).unwrap();
        }
        let mut memory = Memory::of(&world);
        let report = memory.audit(&store, &world);
        let named = report.alarms.iter().find(|alarm| alarm.code == "snapshot-removed").unwrap();
        assert_eq!(named.snapshot, Some(live.stamp.session));
        assert!(named.message.contains(&live.stamp.session.short()), "{}", named.message);
        // Who has seen nothing finds the gap, unless it was the newest that went.
        let newest = live.stamp.sequence == 3;
        let report = Memory::default().audit(&store, &world);
        assert_eq!(codes(&report), if newest { vec![] } else { vec!["gap"] });
        assert!(report.alarms.iter().all(|alarm| alarm.sequence == Some(live.stamp.sequence)));
    }
}

#[test]
fn an_accepted_gap_is_no_alarm_any_more() {
    let world = three_snapshots();
    let second =
        world.repo().view().unwrap().live.iter().find(|l| l.stamp.sequence == 2).unwrap().stamp;
    for name in named(&world.store, &second.session.hex()) {
        world.store.delete(&name).unwrap();
    }
    let mut memory = Memory::default();
    assert_eq!(codes(&memory.audit(&world.store, &world)), ["gap"]);
    memory.seen.accepted.insert((second.writer, 2));
    memory.look(&world);
    assert_eq!(codes(&memory.audit(&world.store, &world)), Vec::<&str>::new());
}

#[test]
fn a_store_that_was_rolled_back_does_not_open_and_is_named() {
    let mut world = three_snapshots();
    let before = copy(&world.store);
    let first = *world.snapshots.keys().next().unwrap();
    world.repo().collect(&[first], &THOROUGH, &Silent).unwrap();
    let collected = copy(&world.store);
    world.write("late", 9, 100);
    let late = world.backup();
    let mut memory = Memory::of(&world);

    // To before the checkpoint: it does not even open.
    let error = Repository::open(before.clone(), &world.access(), Some(&memory.pins)).unwrap_err();
    assert!(matches!(error, Error::CheckpointRolledBack { found: 0, pinned: 1 }), "{error}");
    let report = memory.audit(&before, &world);
    assert!(codes(&report).contains(&"checkpoint-rolled-back"), "{:?}", codes(&report));

    // To after it: the last snapshot is missing.
    Repository::open(collected.clone(), &world.access(), Some(&memory.pins)).unwrap();
    let report = memory.audit(&collected, &world);
    assert_eq!(codes(&report), ["head-rolled-back", "snapshot-removed"]);
    assert_eq!(report.alarms[1].snapshot, Some(late));
    let present = Repository::open(world.store.clone(), &world.access(), Some(&memory.pins));
    assert!(present.is_ok());
}

#[test]
fn a_store_that_was_rolled_back_and_written_on_is_found() {
    let world = three_snapshots();
    let before = copy(&world.store);
    let ids: Vec<_> = world.snapshots.keys().copied().collect();
    world.repo().collect(&ids[..1], &THOROUGH, &Silent).unwrap();
    let mut memory = Memory::of(&world);
    let mut fork = world.fork();
    fork.store = before;
    fork.repo().collect(&ids[1..2], &THOROUGH, &Silent).unwrap();
    let error =
        Repository::open(fork.store.clone(), &world.access(), Some(&memory.pins)).unwrap_err();
    assert!(matches!(error, Error::CheckpointReplaced { number: 1 }), "{error}");
    let report = memory.audit(&fork.store, &world);
    assert!(codes(&report).contains(&"checkpoint-replaced"), "{:?}", codes(&report));
    // One more checkpoint there, and the chain gives it away.
    fork.repo().settle().unwrap();
    fork.store.delete("c/00000001").unwrap();
    let report = memory.audit(&fork.store, &world);
    assert_eq!(codes(&report), ["checkpoint-chain"], "{:?}", report.alarms);
}

#[test]
fn damage_of_a_checkpoint_is_no_rollback() {
    let world = three_snapshots();
    let first = *world.snapshots.keys().next().unwrap();
    world.repo().collect(&[first], &THOROUGH, &Silent).unwrap();
    let memory = Memory::of(&world);
    flip(&world.store, "c/00000001", 200);
    let opened = Repository::open(world.store.clone(), &world.access(), Some(&memory.pins));
    assert!(opened.is_ok());
}

#[test]
fn forged_and_foreign_statements_are_alarms() {
    let world = three_snapshots();
    let outcome = named(&world.store, ".outcome")[0].clone();
    let forged = copy(&world.store);
    flip(&forged, &outcome, 60);
    let report = Memory::of(&world).audit(&forged, &world);
    assert!(codes(&report).contains(&"invalid") && codes(&report).contains(&"snapshot-removed"));

    let swapped = copy(&world.store);
    let other = World::new();
    replace(&swapped, "r/00000001", &other.store.get("r/00000001").unwrap());
    assert!(Repository::open(swapped, &world.access(), None).is_err());

    let strange = copy(&world.store);
    let pack = named(&strange, "/d/")[0].clone();
    let writer = pack.split('/').nth(1).unwrap();
    let elsewhere = pack.replace(writer, &"ab".repeat(16));
    strange.create(&elsewhere, b"x", Durability::Durable).unwrap();
    assert_eq!(codes(&Memory::of(&world).audit(&strange, &world)), ["unknown-writer"]);
}

/// Puts a session and its commitment into the open generation, signed by a writer's key.
fn forge(world: &World, credential: &Credential, sequence: u64) -> SessionId {
    let repo = world.repo();
    let view = repo.view().unwrap();
    let writer = repo
        .roster()
        .signer(nodekeep_repo::roster::Role::Writer, &credential.signing.public())
        .unwrap()
        .id;
    let session = SessionId(random());
    let stamp = Stamp { generation: view.generation, writer, sequence, session };
    let group = repo.roster().current_group();
    let seal = |purpose| Seal::close(&ContentKey::random(&repo.id()), purpose, group);
    let object = Session {
        stamp,
        roster: repo.roster().number,
        started_ms: 0,
        process: Process { host: [0; 32], pid: 0, started: 0 },
        tree: seal(Purpose::Tree),
        data: seal(Purpose::Data),
    };
    put(world, &stamp.session_name(), object.seal(&repo.id(), &credential.signing));
    let commit =
        Commit { segments: vec![], tree: seal(Purpose::Tree), salt: [0; 32], snapshot: vec![1] };
    let outcome = Outcome { stamp, roster: repo.roster().number, commit: Some(commit) };
    put(world, &stamp.outcome_name(), outcome.seal(&repo.id(), &credential.signing));
    session
}

fn put(world: &World, name: &str, object: Vec<u8>) {
    world.store.create(name, &object, Durability::Durable).unwrap();
}

#[test]
fn a_removed_writers_key_signs_nothing_that_counts_after_the_next_checkpoint() {
    let mut world = World::new();
    world.write("file", 1, 50_000);
    let stolen = world.credential.clone();
    for _ in 0..3 {
        world.backup();
    }
    let mut repo = world.repo();
    let thief = repo.writer_id().unwrap();
    world.credential = repo.enroll_writer("second", Trust::All).unwrap();
    repo.remove_member(&thief).unwrap();
    assert_eq!(world.repo().settle().unwrap(), Some(1));
    let view = world.repo().view().unwrap();
    assert_eq!((view.generation, view.heads[&thief], view.live.len()), (1, 3, 3));
    for sequence in [1, 3, 4, 100] {
        let forged = forge(&world, &stolen, sequence);
        let view = world.repo().view().unwrap();
        assert!(!view.is_live(&forged), "{sequence}");
        assert_eq!(view.live.len(), 3);
        assert!(view.sessions.iter().all(|session| session.stamp.session != forged));
        let report = Memory::default().audit(&world.store, &world);
        let what = report.alarms.iter().filter(|alarm| alarm.message.contains(&forged.hex()));
        assert!(what.count() > 0, "{sequence}: {:?}", report.alarms);
    }
    // Who still may write is not disturbed by it.
    world.write("more", 2, 100);
    let id = world.backup();
    assert!(world.verify().contains(&id));
}

#[test]
fn a_new_writer_begins_above_what_the_checkpoint_knows() {
    let mut world = three_snapshots();
    let first = *world.snapshots.keys().next().unwrap();
    world.repo().collect(&[first], &THOROUGH, &Silent).unwrap();
    world.write("more", 9, 100);
    let id = world.backup();
    let view = world.repo().view().unwrap();
    let live = view.live.iter().find(|live| live.stamp.session == id).unwrap();
    assert_eq!((live.stamp.generation, live.stamp.sequence), (1, 4));
}

#[test]
fn rosters_that_were_exchanged_or_removed_are_found() {
    let world = three_snapshots();
    let mut repo = world.repo();
    repo.enroll_writer("second", Trust::All).unwrap();
    repo.enroll_writer("third", Trust::All).unwrap();
    let mut memory = Memory::of(&world);
    let gone = copy(&world.store);
    gone.delete("r/00000003").unwrap();
    assert_eq!(codes(&memory.audit(&gone, &world)), ["roster-rolled-back"]);
    let holed = copy(&world.store);
    holed.delete("r/00000002").unwrap();
    assert_eq!(codes(&memory.audit(&holed, &world)), ["roster-missing"]);
}

#[test]
fn old_pins_are_read() {
    let hash = "ab".repeat(32);
    let pins = Pins::from_text(&format!("roster = 3 {hash}\ncheckpoint = 5\n"));
    assert_eq!((pins.roster, pins.checkpoint, pins.checkpoint_hash), (3, 5, None));
    assert!(pins.roster_hash.is_some());
    assert_eq!(Pins::from_text("nonsense"), Pins::default());
}
