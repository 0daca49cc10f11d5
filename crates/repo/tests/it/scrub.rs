//! The rotating scrub: its calendar, its record, and what it finds.

use std::collections::HashMap;

use nodekeep_repo::check::CheckOptions;
use nodekeep_repo::control::{Numbered, PackRef, Statement};
use nodekeep_repo::crypto::SigningKey;
use nodekeep_repo::error::Error;
use nodekeep_repo::id::{MemberId, PackId};
use nodekeep_repo::monitor::{Monitor, Silent};
use nodekeep_repo::pack::PackKind;
use nodekeep_repo::repository::{Access, Repository};
use nodekeep_repo::scrub::{
    Candidate, DAY_SECS, Finding, Mark, Record, ScrubOptions, ScrubReport, due,
};
use nodekeep_store::FaultPlan;

use crate::world::{World, flip, named, replace};

const START: i64 = 1_800_000_000;

fn pack(n: u64) -> PackRef {
    let mut id = [0; 32];
    blake3::Hasher::new().update(&n.to_le_bytes()).finalize_xof().fill(&mut id);
    PackRef { writer: MemberId([1; 16]), kind: PackKind::Data, id: PackId(id) }
}

/// A calendar: how many packs are there on a day, and whether a scrub runs on it.
struct Calendar {
    period: i64,
    days: i64,
    packs: fn(i64) -> u64,
    runs: fn(i64) -> bool,
    /// A byte may be so many days older than the period because no scrub ran.
    missed: i64,
}

fn size(n: u64) -> u64 {
    1000 + n % 7 * 500
}

/// Runs a calendar; returns the bytes read on each day.
fn run(calendar: &Calendar) -> Vec<u64> {
    let mut marks: HashMap<PackRef, Mark> = HashMap::new();
    let (mut last, mut read) = (None, Vec::new());
    for day in 0..calendar.days {
        let now = START + day * DAY_SECS;
        if !(calendar.runs)(day) {
            read.push(0);
            continue;
        }
        let there: Vec<Candidate> = (0..(calendar.packs)(day))
            .map(|n| {
                let mark = *marks.entry(pack(n)).or_insert(Mark { proven: false, when: now });
                Candidate { pack: pack(n), size: size(n), since: mark.when, proven: mark.proven }
            })
            .collect();
        let chosen = due(&there, last, now, (calendar.period * DAY_SECS) as u64);
        read.push(chosen.iter().map(|at| there[*at].size).sum());
        for at in chosen {
            marks.insert(there[at].pack, Mark { proven: true, when: now });
        }
        for pack in &there {
            let age = (now - marks[&pack.pack].when) / DAY_SECS;
            assert!(age <= calendar.period + calendar.missed, "day {day}: {age} days old");
        }
        last = Some(now);
    }
    read
}

#[test]
fn every_byte_is_read_within_the_period() {
    let total: u64 = (0..1000).map(size).sum();
    let steady = Calendar { period: 30, days: 120, packs: |_| 1000, runs: |_| true, missed: 0 };
    let read = run(&steady);
    let share = total / 30;
    assert!(read.iter().all(|day| *day <= share + 5000), "no day reads much more than its share");
    assert!(read.iter().all(|day| *day + 5000 >= share), "and none much less");
    // It grows each day; all comes on one day; a single pack; nothing at all.
    let growing = Calendar { packs: |day| 100 + 10 * day as u64, ..steady };
    run(&growing);
    run(&Calendar { packs: |day| if day < 5 { 3 } else { 2000 }, ..steady });
    run(&Calendar { packs: |_| 1, ..steady });
    assert_eq!(run(&Calendar { packs: |_| 0, ..steady }).iter().sum::<u64>(), 0);
    run(&Calendar { period: 1, ..steady });
    run(&Calendar { period: 365, days: 800, ..steady });
}

#[test]
fn missed_days_are_caught_up() {
    let steady = Calendar { period: 30, days: 120, packs: |_| 1000, runs: |_| true, missed: 0 };
    // A machine that is off on weekends, and one that was off for three weeks.
    run(&Calendar { runs: |day| day % 7 < 5, missed: 2, ..steady });
    let read = run(&Calendar { runs: |day| !(40..61).contains(&day), missed: 21, ..steady });
    let share: u64 = (0..1000).map(size).sum::<u64>() / 30;
    assert!(read[61] > 20 * share, "after three weeks three weeks are read");
    run(&Calendar { runs: |day| day % 40 == 0, missed: 41, days: 400, ..steady });
}

#[test]
fn dates_from_the_future_do_not_count() {
    let packs: Vec<Candidate> = (0..10)
        .map(|n| Candidate { pack: pack(n), size: 10, since: START + 10 * DAY_SECS, proven: true })
        .collect();
    let chosen = due(&packs, Some(START + 10 * DAY_SECS), START, 30 * DAY_SECS as u64);
    assert_eq!(chosen.len(), 10);
}

fn some_packs() -> World {
    let mut world = World::new();
    for n in 0..12 {
        world.write(&format!("large{n}"), n, 400_000);
    }
    world.backup();
    world
}

fn scrub_at(world: &World, day: i64) -> ScrubReport {
    let options = ScrubOptions {
        period_secs: Some(10 * DAY_SECS as u64),
        now: Some(START + day * DAY_SECS),
        ..ScrubOptions::default()
    };
    world.repo().scrub(&options, &Silent).unwrap()
}

#[test]
fn progress_is_kept_in_the_repository() {
    let mut world = some_packs();
    let all = named(&world.store, "/d/").len() + named(&world.store, "/t/").len();
    assert!(all > 4);
    let mut read = 0;
    for day in 0..10 {
        let report = scrub_at(&world, day);
        assert!(report.packs_read > 0 || report.status.proven_within_secs.is_some(), "day {day}");
        assert!(report.packs_read < all as u64, "day {day}: a share only");
        assert!(named(&world.store, "s/").len() <= 2, "day {day}: records do not add up");
        read += report.packs_read;
    }
    assert!(read >= all as u64);
    let status = scrub_at(&world, 10).status;
    assert!(status.proven_within_secs.unwrap() <= 10 * DAY_SECS as u64, "{status:?}");
    assert_eq!((status.late_bytes, status.proven_bytes), (0, status.bytes));
    // The same day again: nothing to do, nothing written.
    let before = named(&world.store, "");
    assert_eq!(scrub_at(&world, 10).record, None);
    assert_eq!(named(&world.store, ""), before);
    // What is new is not proven, and comes in.
    world.write("more", 99, 800_000);
    world.backup();
    let mut days = 11..;
    while scrub_at(&world, days.next().unwrap()).status.proven_within_secs.is_none() {}
    assert!(days.next().unwrap() <= 22);
    let report = world.repo().check(&CheckOptions::default(), &Silent).unwrap();
    assert_eq!((report.problems, report.notes), (vec![], vec![]), "a record is no stranger");
}

#[test]
fn damage_is_found_remembered_and_forgotten_when_it_is_healed() {
    let world = some_packs();
    let name = named(&world.store, "/d/").remove(1);
    let whole = world.store.get(&name).unwrap();
    for bytes in [&whole[..500], &[&whole[..], b"x"].concat()] {
        replace(&world.store, &name, bytes);
        let objects = |report: ScrubReport| {
            report.status.findings.into_iter().map(|found| found.object).collect::<Vec<_>>()
        };
        let all = ScrubOptions { all: true, ..ScrubOptions::default() };
        assert_eq!(
            objects(world.repo().scrub(&all, &Silent).unwrap()),
            std::slice::from_ref(&name)
        );
        assert_eq!(world.repo().scrub_status().unwrap().findings.len(), 1);
        // A share without that pack does not forget it, and looks again.
        let report = world.repo().scrub(&ScrubOptions::default(), &Silent).unwrap();
        assert_eq!(objects(report), std::slice::from_ref(&name));
        replace(&world.store, &name, &whole);
        assert_eq!(
            objects(world.repo().scrub(&ScrubOptions::default(), &Silent).unwrap()),
            [""; 0]
        );
    }
    // What is missing, and what is no pack.
    world.store.delete(&name).unwrap();
    let segment = named(&world.store, "/i/").remove(0);
    let report = world.repo().scrub(&ScrubOptions::default(), &Silent).unwrap();
    assert!(report.status.findings.iter().any(|found| found.object == name), "{report:?}");
    flip(&world.store, &segment, 100);
    let report = world.repo().scrub(&ScrubOptions::default(), &Silent).unwrap();
    assert!(report.status.findings.iter().any(|found| found.object == segment), "{report:?}");
}

#[test]
fn what_belongs_to_nothing_is_no_damage() {
    let world = some_packs();
    let name = named(&world.store, "/d/").remove(1);
    flip(&world.store, &name, world.store.size(&name).unwrap() as usize / 2);
    let all = ScrubOptions { all: true, ..ScrubOptions::default() };
    let found = world.repo().scrub(&all, &Silent).unwrap().status;
    assert_eq!((found.findings.len(), found.proven_within_secs), (1, None));
    // What was whole in it lies elsewhere, the rest is lost: the pack lies there until the next collection.
    assert!(!world.repo().repair(&Silent).unwrap().lost.is_empty());
    assert!(world.store.size(&name).is_ok());
    let after = world.repo().scrub(&all, &Silent).unwrap().status;
    assert_eq!(after.findings, []);
    assert!(after.proven_within_secs.is_some() && world.repo().scrub_status().unwrap() != found);
}

/// Stops after so many bytes.
struct Stop(std::sync::atomic::AtomicU64);

impl Monitor for Stop {
    fn advance(&self, _: u64, bytes: u64) {
        self.0.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
    }

    fn interrupted(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::Relaxed) > 0
    }
}

#[test]
fn an_interrupted_run_keeps_what_it_read() {
    let world = some_packs();
    let all = ScrubOptions { all: true, threads: Some(1), ..ScrubOptions::default() };
    let stopped = world.repo().scrub(&all, &Stop(0.into()));
    assert!(matches!(stopped, Err(Error::Interrupted)));
    let status = world.repo().scrub_status().unwrap();
    assert!(status.proven_bytes > 0 && status.proven_bytes < status.bytes, "{status:?}");
}

#[test]
fn runs_of_two_machines_add_up() {
    let world = some_packs();
    let now =
        |day: i64| ScrubOptions { now: Some(START + day * DAY_SECS), ..ScrubOptions::default() };
    // The second begins before the first has written, and writes after it.
    struct Other<'a>(&'a World, ScrubOptions, std::sync::atomic::AtomicBool);
    impl Monitor for Other<'_> {
        fn plan(&self, _: u64, _: u64) {
            if !self.2.swap(true, std::sync::atomic::Ordering::Relaxed) {
                let all = ScrubOptions { all: true, ..self.1 };
                self.0.repo().scrub(&all, &Silent).unwrap();
            }
        }
    }
    let other = Other(&world, now(0), false.into());
    let report = world.repo().scrub(&now(0), &other).unwrap();
    assert_eq!(report.record, Some(2), "the other was first");
    assert_eq!(report.status.proven_bytes, report.status.bytes, "{report:?}");
    assert_eq!(named(&world.store, "s/").len(), 2);
}

#[test]
fn a_crash_at_every_change_costs_a_run_at_most() {
    let base = some_packs();
    for change in 1.. {
        let world = base.fork();
        scrub_at(&world, 0);
        scrub_at(&world, 1);
        let faulty = world.store.clone().with_faults(FaultPlan::crash_before_change(change));
        let options = ScrubOptions { all: true, ..ScrubOptions::default() };
        let crashed = world.repo_at(faulty).scrub(&options, &Silent).is_err();
        let report = world.repo().scrub(&options, &Silent).unwrap();
        assert_eq!(report.status.proven_within_secs.map(|age| age < 60), Some(true));
        assert!(named(&world.store, "s/").len() <= 2, "change {change}");
        if !crashed {
            break;
        }
    }
}

#[test]
fn a_damaged_record_is_done_without() {
    let world = some_packs();
    for day in 0..3 {
        scrub_at(&world, day);
    }
    let records = named(&world.store, "s/");
    assert_eq!(records, ["s/00000002", "s/00000003"]);
    flip(&world.store, &records[1], 60);
    let status = world.repo().scrub_status().unwrap();
    assert_eq!(status.last_run, Some(START + DAY_SECS), "the one before counts");
    assert_eq!(scrub_at(&world, 3).record, Some(4));
    assert_eq!(named(&world.store, "s/"), ["s/00000003", "s/00000004"]);
}

#[test]
fn only_a_keeper_says_what_was_read() {
    let world = some_packs();
    let access = Access { credential: Some(world.credential.clone()), ..Access::default() };
    let writer = Repository::open(world.store.clone(), &access, None).unwrap();
    let refused = writer.scrub(&ScrubOptions::default(), &Silent);
    assert!(matches!(refused, Err(Error::OwnerOnly)));
    assert!(writer.scrub_status().unwrap().last_run.is_none(), "any key may ask");
    // A record by a writer does not count.
    let repo = world.repo();
    let (_, keeper) = repo.keeper().unwrap();
    let record = Record {
        number: 1,
        keeper,
        when: START,
        period_secs: 10,
        packs: [([7; 8], Mark { proven: true, when: START })].into(),
        findings: vec![Finding { object: "x".into(), what: "y".into(), when: -1 }],
    };
    let open = |key: &SigningKey, number| {
        Record::open(&record.seal(&repo.id(), key), number, &repo.id(), repo.roster())
    };
    assert_eq!(open(&repo.owner_keys().unwrap().keeper, 1).unwrap(), record);
    assert!(open(&repo.owner_keys().unwrap().keeper, 2).is_err());
    assert!(open(&world.credential.signing, 1).is_err());
}
