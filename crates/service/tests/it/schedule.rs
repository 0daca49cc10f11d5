//! Schedules through whole years of a clock that is only a number.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, date, time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, Zoned};
use nodekeep_service::schedule::decide::{Due, Ending, History, Now, Run, decide};
use nodekeep_service::schedule::job::{Job, Keep};
use nodekeep_service::schedule::rhythm::Pattern;
use nodekeep_service::schedule::{Planned, Schedule};
use proptest::prelude::*;

const BERLIN: &str = "Europe/Berlin";

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn mins(number: i64) -> SignedDuration {
    SignedDuration::from_mins(number)
}

fn schedule(name: &str, when: Pattern) -> Schedule {
    Schedule {
        name: name.parse().unwrap(),
        node: Some("guts".into()),
        job: Job::Backup { components: Vec::new() },
        when,
        zone: BERLIN.into(),
        jitter_secs: 0,
        catch_up: false,
        retries: 3,
        retry_after_secs: 300,
        paused: false,
        since: moment("2027-12-31T12:00:00Z"),
    }
}

fn daily(hour: i8, minute: i8) -> Pattern {
    Pattern::of("daily", Some(time(hour, minute, 0, 0)), None).unwrap()
}

fn plans(schedules: &[Schedule]) -> Vec<Planned> {
    schedules.iter().map(|schedule| schedule.plan("machine").unwrap()).collect()
}

/// A daemon of which only time is left.
struct World {
    planned: Vec<Planned>,
    history: History,
    /// From and until when it was off.
    off: Vec<(Timestamp, Timestamp)>,
    /// How long a run takes, and how it ends.
    takes: fn(&Due) -> (SignedDuration, Ending),
    running: Vec<(Timestamp, Due, Ending)>,
    begun: Vec<(Timestamp, Due)>,
    skipped: usize,
}

impl World {
    fn new(schedules: &[Schedule]) -> Self {
        Self {
            planned: plans(schedules),
            history: History::new(),
            off: Vec::new(),
            takes: |_| (mins(2), Ending::Done),
            running: Vec::new(),
            begun: Vec::new(),
            skipped: 0,
        }
    }

    fn plan(&self, due: &Due) -> &Planned {
        self.planned.iter().find(|plan| plan.schedule.name == due.schedule).unwrap()
    }

    /// Runs from one moment to another; returns what was begun, with the moment.
    fn run(&mut self, from: Timestamp, until: Timestamp) -> &[(Timestamp, Due)] {
        let mut now = from;
        let mut awake_since = from;
        while now <= until {
            if let Some((_, back)) = self.off.iter().find(|(off, on)| (*off..*on).contains(&now)) {
                (now, awake_since) = (*back, *back);
            }
            self.end_runs(now);
            let wake = self.step(now, awake_since);
            let end = self.running.iter().map(|(end, ..)| *end).min();
            let outage = self.off.iter().map(|(off, _)| *off).filter(|off| *off > now).min();
            let next = [wake, end, outage].into_iter().flatten().min().unwrap_or(Timestamp::MAX);
            assert!(next > now, "the daemon would spin at {now}");
            now = next;
        }
        &self.begun
    }

    fn end_runs(&mut self, now: Timestamp) {
        for (end, due, ending) in std::mem::take(&mut self.running) {
            if end > now {
                self.running.push((end, due, ending));
                continue;
            }
            let past = self.history.get_mut(&due.schedule).unwrap();
            past.run.as_mut().unwrap().ended = Some((end, ending));
        }
    }

    fn step(&mut self, now: Timestamp, awake_since: Timestamp) -> Option<Timestamp> {
        let busy: BTreeSet<_> =
            self.running.iter().map(|(_, due, _)| self.plan(due).schedule.subject()).collect();
        let moment = Now { time: now, awake_since, busy: &busy, room: 4 };
        let decision = decide(&self.planned, &self.history, &moment);
        for skip in &decision.skipped {
            self.skipped += skip.count;
            self.history.entry(skip.schedule.clone()).or_default().decided = Some(skip.slot);
        }
        for due in &decision.due {
            assert!(!busy.contains(&self.plan(due).schedule.subject()), "two runs at once");
            let past = self.history.entry(due.schedule.clone()).or_default();
            past.decided = Some(due.slot);
            past.run = Some(Run { slot: due.slot, attempt: due.attempt, ended: None });
            let (takes, ending) = (self.takes)(due);
            self.running.push((now + takes, due.clone(), ending));
            self.begun.push((now, due.clone()));
        }
        decision.wake
    }

    fn begun_at(&self, name: &str) -> Vec<Timestamp> {
        let of = |(_, due): &&(Timestamp, Due)| due.schedule.as_str() == name;
        self.begun.iter().filter(of).map(|(at, _)| *at).collect()
    }
}

fn year() -> (Timestamp, Timestamp) {
    (moment("2027-12-31T23:00:00Z"), moment("2028-12-31T22:59:59Z"))
}

/// What a wall clock in Berlin shows on each day of 2028 at this time: told by the calendar, not by a cron pattern.
fn each_day(hour: i8, minute: i8) -> Vec<Timestamp> {
    let zone = TimeZone::get(BERLIN).unwrap();
    let days = date(2028, 1, 1).series(jiff::Span::new().days(1)).take(366);
    days.map(|day: Date| {
        let clock = zone.to_ambiguous_zoned(day.at(hour, minute, 0, 0));
        match clock.offset() {
            AmbiguousOffset::Gap { .. } => day.at(3, 0, 0, 0).to_zoned(zone.clone()).unwrap(),
            _ => clock.earlier().unwrap(),
        }
        .timestamp()
    })
    .collect()
}

#[test]
fn a_leap_year_of_days_has_each_day_once_also_when_the_clock_is_changed() {
    let mut world = World::new(&[schedule("early", daily(2, 30)), schedule("noon", daily(12, 0))]);
    let (from, until) = year();
    world.run(from, until);
    assert_eq!(world.begun_at("early"), each_day(2, 30));
    assert_eq!(world.begun_at("noon"), each_day(12, 0));
    assert_eq!(each_day(2, 30).len(), 366);
    let gap = moment("2028-03-26T01:00:00Z");
    let twice = moment("2028-10-29T00:30:00Z");
    assert!(world.begun_at("early").contains(&gap), "03:00 instead of the missing 02:30");
    assert!(world.begun_at("early").contains(&twice), "the first of the two 02:30");
}

#[test]
fn hours_follow_each_other_by_the_hour_through_both_changes() {
    let hourly = Pattern::of("hourly", Some(time(0, 7, 0, 0)), None).unwrap();
    let mut world = World::new(&[schedule("hourly", hourly)]);
    let (from, until) = year();
    world.run(from, until);
    let expected: Vec<Timestamp> = (0..366 * 24).map(|hour| from + mins(60 * hour + 7)).collect();
    assert_eq!(world.begun_at("hourly"), expected);
}

#[test]
fn weeks_and_leap_days_come_when_the_calendar_says() {
    let weekly =
        Pattern::of("weekly", Some(time(4, 0, 0, 0)), Some(jiff::civil::Weekday::Monday)).unwrap();
    let leap = "15 6 29 2 *".parse().unwrap();
    let mut world = World::new(&[schedule("weekly", weekly), schedule("leap", leap)]);
    let (from, until) = year();
    world.run(from, until);
    let zone = TimeZone::get(BERLIN).unwrap();
    let at = |stamp: &Timestamp| -> Zoned { stamp.to_zoned(zone.clone()) };
    let mondays = world.begun_at("weekly");
    assert_eq!(mondays.len(), 52);
    assert!(
        mondays
            .iter()
            .all(|stamp| at(stamp).hour() == 4
                && at(stamp).weekday() == jiff::civil::Weekday::Monday)
    );
    assert_eq!(world.begun_at("leap"), [moment("2028-02-29T05:15:00Z")]);
}

#[test]
fn what_was_missed_is_caught_up_once_or_skipped() {
    let kept = Schedule { catch_up: true, ..schedule("kept", daily(2, 0)) };
    let dropped = schedule("dropped", daily(2, 0));
    let mut world = World::new(&[kept, dropped]);
    let back = moment("2028-05-11T09:00:00Z");
    world.off.push((moment("2028-05-01T12:00:00Z"), back));
    let (from, until) = year();
    world.run(from, until);
    let caught: Vec<_> = world.begun.iter().filter(|(_, due)| due.missed > 0).collect();
    assert_eq!(caught.len(), 1);
    assert_eq!((caught[0].0, caught[0].1.missed), (back, 9));
    assert_eq!(caught[0].1.slot, moment("2028-05-11T00:00:00Z"));
    assert_eq!(world.begun_at("kept").len(), 366 - 10 + 1);
    assert_eq!((world.begun_at("dropped").len(), world.skipped), (366 - 10, 10));
}

#[test]
fn runs_of_one_node_wait_for_each_other_and_backups_go_first() {
    let drill = Schedule { job: Job::Drill, ..schedule("drill", daily(2, 0)) };
    let prune = Schedule {
        job: Job::Prune { keep: Keep { last: Some(7), ..Keep::default() } },
        ..schedule("a-prune", daily(2, 0))
    };
    let other = Schedule { node: Some("relay".into()), ..schedule("other", daily(2, 0)) };
    let mut world = World::new(&[prune, drill, schedule("z-backup", daily(2, 0)), other]);
    world.takes = |_| (mins(40), Ending::Done);
    let two = moment("2028-01-01T01:00:00Z");
    world.run(two - mins(5), two + mins(300));
    let begun: Vec<(&str, i64)> = world
        .begun
        .iter()
        .map(|(at, due)| (due.schedule.as_str(), at.duration_since(two).as_mins()))
        .collect();
    assert_eq!(begun, [("other", 0), ("z-backup", 0), ("drill", 40), ("a-prune", 80)]);
}

#[test]
fn a_run_that_takes_longer_than_the_pause_loses_no_time_and_never_overlaps() {
    let hourly = Pattern::of("hourly", None, None).unwrap();
    let from = moment("2028-06-01T00:00:00Z");
    let since = from - mins(1);
    let mut world = World::new(&[Schedule { since, ..schedule("hourly", hourly) }]);
    world.takes = |_| (mins(150), Ending::Done);
    world.run(from - mins(1), from + mins(24 * 60));
    let begun: Vec<i64> = world
        .begun_at("hourly")
        .iter()
        .map(|at| at.duration_since(from).as_mins())
        .take(5)
        .collect();
    assert_eq!(begun, [0, 150, 300, 450, 600]);
    assert_eq!(world.skipped, 0, "it waited for itself; nobody was away");
}

#[test]
fn a_failed_run_is_tried_again_until_it_is_not_worth_it() {
    let mut world = World::new(&[schedule("daily", daily(2, 0))]);
    world.takes = |_| (mins(1), Ending::Retry);
    let two = moment("2028-01-01T01:00:00Z");
    world.run(two - mins(5), two + mins(23 * 60));
    let begun: Vec<i64> =
        world.begun.iter().map(|(at, _)| at.duration_since(two).as_mins()).collect();
    assert_eq!(begun, [0, 6, 22, 68], "5, 15 and 45 minutes after the end of the one before");

    let mut world = World::new(&[schedule("daily", daily(2, 0))]);
    world.takes = |_| (mins(1), Ending::Failed);
    world.run(two - mins(5), two + mins(23 * 60));
    assert_eq!(world.begun.len(), 1);
}

#[test]
fn a_clock_that_was_set_right_stops_no_schedule_and_doubles_no_run() {
    let planned = plans(&[schedule("daily", daily(2, 0))]);
    let wrong = moment("2031-01-01T01:00:00Z");
    let right = moment("2028-01-05T12:00:00Z");
    let busy = BTreeSet::new();
    let mut history = History::new();
    history.entry(planned[0].schedule.name.clone()).or_default().decided = Some(wrong);
    let ask = |history: &History, time| {
        decide(&planned, history, &Now { time, awake_since: right, busy: &busy, room: 1 })
    };
    let decision = ask(&history, right);
    assert!(decision.due.is_empty() && decision.skipped.is_empty());
    assert_eq!(decision.wake, Some(moment("2028-01-06T01:00:00Z")));
    assert_eq!(ask(&history, decision.wake.unwrap()).due.len(), 1);

    let slot = moment("2028-01-06T01:00:00Z");
    history.get_mut(&planned[0].schedule.name).unwrap().decided = Some(slot);
    let little_earlier = slot - mins(10);
    assert!(ask(&history, little_earlier).due.is_empty(), "ten minutes back is no second run");
    assert!(ask(&history, slot).due.is_empty());
}

#[test]
fn a_paused_schedule_does_nothing() {
    let paused = Schedule { paused: true, ..schedule("daily", daily(2, 0)) };
    let mut world = World::new(&[paused]);
    let (from, until) = year();
    assert!(world.run(from, until).is_empty());
}

#[test]
fn jitter_spreads_machines_and_is_the_same_when_asked_again() {
    let spread = Schedule { jitter_secs: 1800, ..schedule("daily", daily(2, 0)) };
    let slot = moment("2028-01-01T01:00:00Z");
    let starts: BTreeSet<Timestamp> =
        (0..50).map(|i| spread.plan(&format!("m{i}")).unwrap().start(slot)).collect();
    assert!(starts.len() > 40, "{}", starts.len());
    assert!(starts.iter().all(|at| (slot..slot + mins(30)).contains(at)));
    let again = spread.plan("m7").unwrap();
    assert_eq!(again.start(slot), spread.plan("m7").unwrap().start(slot));
    assert_eq!(again.next_start(slot - mins(1), slot - mins(1)), Some(again.start(slot)));
}

#[test]
fn mistakes_are_named() {
    let cases = [
        ("sometimes", None, "`sometimes` is no frequency: it has one field instead of five"),
        ("0 0 31 2 *", None, "`0 0 31 2 *` is no frequency"),
        ("61 * * * *", None, "`61 * * * *` is no frequency"),
        ("0 2 * * *", Some(time(3, 0, 0, 0)), "leave out --time"),
        ("hourly", Some(time(3, 5, 0, 0)), "write 00:05 for 5 minutes past each hour"),
    ];
    for (frequency, at, expected) in cases {
        let error = Pattern::of(frequency, at, None).unwrap_err().to_string();
        assert!(error.contains(expected), "{frequency}: {error}");
    }
    let nowhere = Schedule { zone: "Mars/Olympus".into(), ..schedule("daily", daily(2, 0)) };
    assert!(nowhere.plan("m").unwrap_err().to_string().contains("no time zone `Mars/Olympus`"));
}

fn any_pattern() -> impl Strategy<Value = Pattern> {
    prop_oneof![
        (0_i8..24, 0_i8..60).prop_map(|(hour, minute)| daily(hour, minute)),
        (0_i8..60)
            .prop_map(|minute| Pattern::of("hourly", Some(time(0, minute, 0, 0)), None).unwrap()),
        (1_u8..30).prop_map(|step| format!("*/{step} * * * *").parse().unwrap()),
        (0_u8..24, 1_u8..29).prop_map(|(hour, day)| format!("5 {hour} {day} * *").parse().unwrap()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every moment is run, stood for by a later run, or skipped; none twice.
    #[test]
    fn no_moment_is_lost_or_done_twice(
        patterns in prop::collection::vec((any_pattern(), any::<bool>(), 0_u32..900), 1..4),
        outages in prop::collection::vec((0_i64..40_000, 1_i64..900), 0..4),
        starts_at in 0_i64..500_000,
    ) {
        let schedules: Vec<Schedule> = patterns
            .into_iter()
            .enumerate()
            .map(|(i, (when, catch_up, jitter_secs))| Schedule {
                catch_up,
                jitter_secs,
                node: Some(format!("n{}", i % 2)),
                ..schedule(&format!("s{i}"), when)
            })
            .collect();
        let from = moment("2028-01-01T00:00:00Z") + mins(starts_at);
        let until = from + mins(40_000);
        let mut world = World::new(&schedules);
        for plan in &mut world.planned {
            plan.schedule.since = from;
        }
        world.off = outages.iter().map(|(at, len)| (from + mins(*at), from + mins(at + len))).collect();
        world.takes = |due| (SignedDuration::from_secs(1 + due.slot.as_second() % 5000), Ending::Done);
        world.run(from, until);
        let mut accounted: BTreeMap<&str, usize> = BTreeMap::new();
        let mut slots = BTreeSet::new();
        for (_, due) in &world.begun {
            prop_assert!(slots.insert((due.schedule.clone(), due.slot)), "twice: {due:?}");
            *accounted.entry(due.schedule.as_str()).or_default() += 1 + due.missed;
        }
        let mut all = 0;
        for plan in &world.planned {
            let decided = world.history.get(&plan.schedule.name).and_then(|past| past.decided);
            all += decided.map_or(0, |slot| plan.rhythm.count(from, slot, usize::MAX));
        }
        prop_assert_eq!(accounted.values().sum::<usize>() + world.skipped, all);
    }
}
