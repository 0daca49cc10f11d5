//! Open sessions: seen, judged by the looker's own clock, and stopped.

use nodekeep_repo::collect::CollectOptions;
use nodekeep_repo::control::{Process, Progress, Session, Stamp, Statement};
use nodekeep_repo::crypto::random;
use nodekeep_repo::error::Error;
use nodekeep_repo::id::SessionId;
use nodekeep_repo::keys::{ContentKey, Entropy, Purpose, Seal};
use nodekeep_repo::monitor::Silent;
use nodekeep_repo::names;
use nodekeep_repo::process;
use nodekeep_repo::repository::{Access, CreateOptions, Repository};
use nodekeep_repo::roster::Trust;
use nodekeep_repo::sessions::{Sighting, Sightings, StoppedBy, Whereabouts};
use nodekeep_store::{Durability, Store};

use crate::world::World;

const DAY_MS: i64 = 24 * 3600 * 1000;

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Begins a session and leaves it open.
fn begin(world: &World, process: Process, started_ms: i64) -> Stamp {
    let repo = world.repo();
    let view = repo.view().unwrap();
    let writer = repo.writer_id().unwrap();
    let sequence = view.heads.get(&writer).map_or(1, |head| head + 1);
    let stamp =
        Stamp { generation: view.generation, writer, sequence, session: SessionId(random()) };
    let group = repo.roster().current_group();
    let seal = |purpose| Seal::close(&ContentKey::random(&repo.id()), purpose, group);
    let session = Session {
        stamp,
        roster: repo.roster().number,
        started_ms,
        process,
        tree: seal(Purpose::Tree),
        data: seal(Purpose::Data),
    };
    let object = session.seal(&repo.id(), repo.writer_key().unwrap());
    world.store.create(&stamp.session_name(), &object, Durability::Durable).unwrap();
    stamp
}

fn get_on(world: &World, stamp: &Stamp, k: u64) {
    let repo = world.repo();
    let progress = Progress { stamp: *stamp, k, segments: Vec::new() };
    let object = progress.seal(&repo.id(), repo.writer_key().unwrap());
    let name = names::progress(stamp.generation, &stamp.writer, &stamp.session, k);
    world.store.create(&name, &object, Durability::Durable).unwrap();
}

fn elsewhere() -> Process {
    Process { host: [9; 32], pid: 1, started: 1 }
}

fn here(world: &World) -> Process {
    process::this(world.repo().domain())
}

#[test]
fn sessions_say_where_they_run_and_whether_they_live() {
    let world = World::new();
    let gone = Process { started: here(&world).started + 1, ..here(&world) };
    let (a, b, c) = (
        begin(&world, here(&world), now_ms() - 3000),
        begin(&world, gone, now_ms() - 2000),
        begin(&world, elsewhere(), now_ms() - 1000),
    );
    get_on(&world, &a, 0);
    get_on(&world, &a, 1);
    let open = world.repo().open_sessions(&CollectOptions::default()).unwrap();
    let ids: Vec<SessionId> = open.iter().map(|session| session.id).collect();
    assert_eq!(ids, [a.session, b.session, c.session]);
    let pid = u64::from(std::process::id());
    assert_eq!(open[0].whereabouts, Whereabouts::Here { pid, runs: true });
    assert_eq!(open[1].whereabouts, Whereabouts::Here { pid, runs: false });
    assert_eq!(open[2].whereabouts, Whereabouts::Elsewhere);
    let dead: Vec<bool> = open.iter().map(|session| session.is_dead).collect();
    assert_eq!(dead, [false, true, false]);
    let progress: Vec<u64> = open.iter().map(|session| session.progress).collect();
    assert_eq!(progress, [2, 0, 0]);
}

/// What a client remembers that saw a session so many days ago with so many progress objects.
fn seen(stamp: &Stamp, days: i64, progress: u64) -> Sightings {
    let since = now_ms() - days * DAY_MS;
    Sightings::from_text(&format!("{} {progress} {since}\n", stamp.session))
}

#[test]
fn life_is_judged_by_progress_and_by_the_own_clock() {
    // When the session says that it began; what this client remembers; whether it is ended.
    type Case = (&'static str, i64, Option<(i64, u64)>, u64, bool);
    let cases: [Case; 7] = [
        ("no memory: its own word counts", -8, None, 0, true),
        ("no memory, and young", -6, None, 0, false),
        ("seen for the first time, whatever it says", -300, Some((0, 0)), 0, false),
        ("its clock is in the future", 300, Some((1, 0)), 0, false),
        ("silent for eight days", -8, Some((8, 3)), 3, true),
        ("silent for eight days, though it says that it is young", 0, Some((8, 0)), 0, true),
        ("a long upload that gets on", -30, Some((8, 3)), 4, false),
    ];
    for (what, began, memory, progress, ended) in cases {
        let world = World::new();
        let stamp = begin(&world, elsewhere(), now_ms() + began * DAY_MS);
        (0..progress).for_each(|k| get_on(&world, &stamp, k));
        let mut repo = world.repo();
        if let Some((days, progress)) = memory {
            repo.remember_sessions(seen(&stamp, days, progress));
        }
        let report = repo.collect(&[], &CollectOptions::default(), &Silent).unwrap();
        assert_eq!(report.sessions_ended, u64::from(ended), "{what}");
        if memory.is_some() && !ended {
            let sighting = repo.sessions_remembered().unwrap().of(&stamp.session).unwrap();
            assert_eq!(sighting.progress, progress, "{what}");
        }
    }
}

#[test]
fn sightings_survive_their_file_and_forget_what_ended() {
    let world = World::new();
    let (a, b) = (begin(&world, elsewhere(), 0), begin(&world, elsewhere(), 0));
    get_on(&world, &b, 0);
    let mut sightings = Sightings::default();
    sightings.look(&world.repo().view().unwrap(), 1000);
    let mut again = Sightings::from_text(&sightings.to_text());
    assert_eq!(again, sightings);
    get_on(&world, &b, 1);
    again.look(&world.repo().view().unwrap(), 2000);
    assert_eq!(again.of(&a.session), Some(Sighting { progress: 0, since_ms: 1000 }));
    assert_eq!(again.of(&b.session), Some(Sighting { progress: 2, since_ms: 2000 }));
    // A clock that was set back begins to count again.
    again.look(&world.repo().view().unwrap(), 500);
    assert_eq!(again.of(&a.session), Some(Sighting { progress: 0, since_ms: 500 }));
    world.repo().stop_session(&a.session.hex()).unwrap();
    again.look(&world.repo().view().unwrap(), 600);
    assert_eq!(again.of(&a.session), None);
}

#[test]
fn a_stopped_session_commits_nothing_and_is_told_so() {
    let mut world = World::new();
    let stamp = begin(&world, elsewhere(), now_ms());
    let repo = world.repo();
    let stopped = repo.stop_session(&stamp.session.hex()[..8]).unwrap();
    assert_eq!(stopped, (stamp.session, StoppedBy::Keeper));
    assert!(repo.open_sessions(&CollectOptions::default()).unwrap().is_empty());
    let error = repo.stop_session(&stamp.session.hex()).unwrap_err();
    assert!(matches!(error, Error::SessionEnded { .. }), "{error}");
    world.write("file", 1, 10);
    let id = world.backup();
    let error = repo.stop_session(&id.hex()).unwrap_err();
    assert!(error.to_string().contains("committed"), "{error}");
    for unknown in ["", "ffff"] {
        let error = repo.stop_session(unknown).unwrap_err();
        assert!(matches!(error, Error::NoSession { .. }), "{error}");
    }
    assert_eq!(world.verify(), [id]);
}

#[test]
fn a_writer_ends_its_own_sessions_only() {
    let world = World::new();
    let own = begin(&world, elsewhere(), now_ms());
    let credential = world.repo().enroll_writer("other", Trust::All).unwrap();
    let other = Access { credential: Some(credential), ..Access::default() };
    let other = Repository::open(world.store.clone(), &other, None).unwrap();
    let error = other.stop_session(&own.session.hex()).unwrap_err();
    assert!(matches!(error, Error::OwnerOnly), "{error}");
    let access = Access { credential: Some(world.credential.clone()), ..Access::default() };
    let writer = Repository::open(world.store.clone(), &access, None).unwrap();
    let stopped = writer.stop_session(&own.session.hex()).unwrap();
    assert_eq!(stopped, (own.session, StoppedBy::Writer));
}

#[test]
fn where_the_store_keeps_nobody_apart_somebody_must_say_that_he_is_alone() {
    let owner = Entropy::random();
    let options = CreateOptions { alone: true, ..CreateOptions::default() };
    let store = Store::memory();
    let (_, credential) = Repository::create(store.clone(), &owner, &options).unwrap();
    let access = Access { owner: Some(owner), credential: Some(credential), ..Access::default() };
    let mut repo = Repository::open(store, &access, None).unwrap();
    assert!(repo.config().alone);
    let refused = |result: Result<(), Error>| matches!(result, Err(Error::NotAlone { .. }));
    let collect =
        |repo: &Repository| repo.collect(&[], &CollectOptions::default(), &Silent).map(|_| ());
    assert!(refused(collect(&repo)));
    assert!(refused(repo.repair(&Silent).map(|_| ())));
    assert!(refused(repo.settle().map(|_| ())));
    assert!(refused(repo.enroll_writer("second", Trust::All).map(|_| ())));
    repo.declare_alone();
    collect(&repo).unwrap();
    repo.repair(&Silent).unwrap();
    repo.enroll_writer("second", Trust::All).unwrap();
}
