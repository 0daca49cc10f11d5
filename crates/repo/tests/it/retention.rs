//! Retention: the rules one by one, and what holds for every policy.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use nodekeep_repo::id::{MemberId, SessionId, SnapshotId};
use nodekeep_repo::retention::{Dated, Decision, Group, Policy, Reason, decide};
use proptest::prelude::*;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// 2026-01-01 was a Thursday; this is noon of that day, UTC.
const NOW: i64 = 1_767_268_800;

fn group(writer: u8) -> Group {
    Group { writer: MemberId([writer; 16]), paths: vec![b"/home".to_vec()] }
}

fn id(number: u64) -> SnapshotId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    SessionId(id)
}

fn dated(number: u64, at: i64) -> Dated {
    Dated { id: id(number), group: group(1), sequence: number, at, tags: Vec::new() }
}

/// Numbers of the snapshots that stay, oldest first.
fn kept(snapshots: &[Dated], policy: &Policy, zone: &TimeZone) -> Vec<u64> {
    let decisions = decide(snapshots, policy, NOW, zone);
    let stays = |(id, decision): &(SnapshotId, Decision)| {
        let number = u64::from_be_bytes(id.0[..8].try_into().unwrap());
        matches!(decision, Decision::Keep(_)).then_some(number)
    };
    let mut kept: Vec<u64> = decisions.iter().filter_map(stays).collect();
    kept.sort_unstable();
    kept
}

#[test]
fn each_rule_keeps_what_it_says() {
    // One snapshot every 6 hours over 40 days; number 160 is the newest, at NOW.
    let history: Vec<Dated> =
        (1..=160).map(|n| dated(n, NOW - (160 - n as i64) * 6 * HOUR)).collect();
    let cases: [(&str, Policy, &[u64]); 8] = [
        ("last", Policy { last: Some(3), ..Policy::default() }, &[158, 159, 160]),
        ("hourly", Policy { hourly: Some(2), ..Policy::default() }, &[159, 160]),
        // The newest of each day is at 18:00, of today at 12:00.
        ("daily", Policy { daily: Some(3), ..Policy::default() }, &[153, 157, 160]),
        // ISO weeks end on Sunday: 28 December 18:00 is 3 days and 18 hours ago.
        ("weekly", Policy { weekly: Some(3), ..Policy::default() }, &[117, 145, 160]),
        ("monthly", Policy { monthly: Some(2), ..Policy::default() }, &[157, 160]),
        ("yearly", Policy { yearly: Some(9), ..Policy::default() }, &[157, 160]),
        ("within", Policy { within: Some(12 * 3600), ..Policy::default() }, &[158, 159, 160]),
        ("older than", Policy { older_than: Some(6 * 3600), ..Policy::default() }, &[159, 160]),
    ];
    for (what, policy, expected) in cases {
        assert_eq!(kept(&history, &policy, &TimeZone::UTC), expected, "{what}");
    }
}

#[test]
fn days_are_those_of_the_zone() {
    let history = [dated(1, NOW - 13 * HOUR), dated(2, NOW - 11 * HOUR), dated(3, NOW)];
    let two_days = Policy { daily: Some(2), ..Policy::default() };
    assert_eq!(kept(&history, &two_days, &TimeZone::UTC), [1, 3], "23:00, 01:00 and 12:00");
    let zone = TimeZone::fixed(jiff::tz::offset(-3));
    assert_eq!(kept(&history, &two_days, &zone), [2, 3], "20:00, 22:00 and 09:00");
}

#[test]
fn a_policy_that_fits_nothing_keeps_the_newest_and_says_so() {
    let history = [dated(1, NOW - 90 * DAY), dated(2, NOW - 80 * DAY)];
    let policy = Policy { older_than: Some(30 * 24 * 3600), ..Policy::default() };
    let decisions = decide(&history, &policy, NOW, &TimeZone::UTC);
    assert_eq!(
        decisions,
        [(id(1), Decision::Remove), (id(2), Decision::Keep(vec![Reason::Newest]))]
    );
}

#[test]
fn without_a_rule_everything_stays() {
    let history = [dated(1, NOW - 90 * DAY), dated(2, NOW)];
    let decisions = decide(&history, &Policy::default(), NOW, &TimeZone::UTC);
    assert!(decisions.iter().all(|(_, d)| *d == Decision::Keep(vec![Reason::NoPolicy])));
}

#[test]
fn tags_keep_and_are_named() {
    let mut tagged = dated(1, NOW - DAY);
    tagged.tags.push(("keep".to_owned(), "yes".to_owned()));
    let policy = Policy {
        last: Some(1),
        tags: vec![("keep".to_owned(), "yes".to_owned())],
        ..Policy::default()
    };
    let decisions =
        decide(&[tagged, dated(2, NOW - HOUR), dated(3, NOW)], &policy, NOW, &TimeZone::UTC);
    let reason = Reason::Tag("keep".to_owned(), "yes".to_owned());
    assert_eq!(reason.to_string(), "tag keep=yes");
    assert_eq!(decisions[0].1, Decision::Keep(vec![reason]));
    assert_eq!(decisions[1].1, Decision::Remove);
}

#[test]
fn sequence_orders_and_the_future_counts_as_now() {
    // The second claims to be from next year, and the third to be older than both.
    let history = [dated(1, NOW - HOUR), dated(2, NOW + 365 * DAY), dated(3, NOW - 2 * HOUR)];
    let last = Policy { last: Some(1), ..Policy::default() };
    assert_eq!(kept(&history, &last, &TimeZone::UTC), [3]);
    let yearly = Policy { yearly: Some(5), ..Policy::default() };
    assert_eq!(kept(&history, &yearly, &TimeZone::UTC), [3], "all in this year");
}

#[test]
fn dates_beyond_any_calendar_are_harmless() {
    let history = [dated(1, i64::MIN), dated(2, i64::MAX)];
    let policy = Policy { yearly: Some(5), within: Some(u64::MAX), ..Policy::default() };
    let decisions = decide(&history, &policy, i64::MAX, &TimeZone::UTC);
    assert!(decisions.iter().all(|(_, d)| matches!(d, Decision::Keep(_))));
}

fn histories() -> impl Strategy<Value = Vec<Dated>> {
    let one = (1u8..4, -400 * DAY..10 * DAY, any::<bool>());
    prop::collection::vec(one, 1..40).prop_map(|list| {
        let make = |(number, (writer, at, tag)): (usize, (u8, i64, bool))| {
            let tags = if tag { vec![("t".to_owned(), "1".to_owned())] } else { Vec::new() };
            Dated { group: group(writer), tags, ..dated(number as u64, NOW + at) }
        };
        list.into_iter().enumerate().map(make).collect()
    })
}

fn policies() -> impl Strategy<Value = Policy> {
    let count = || prop::option::of(0u32..6);
    let span = || prop::option::weighted(0.3, 0u64..400 * 24 * 3600);
    let counts = (count(), count(), count(), count(), count(), count());
    (counts, span(), span(), any::<bool>()).prop_map(|(counts, within, older_than, tag)| Policy {
        last: counts.0,
        hourly: counts.1,
        daily: counts.2,
        weekly: counts.3,
        monthly: counts.4,
        yearly: counts.5,
        within,
        older_than,
        tags: if tag { vec![("t".to_owned(), "1".to_owned())] } else { Vec::new() },
    })
}

fn raise(policy: &Policy) -> Policy {
    let up = |count: Option<u32>| count.map(|n| n + 1);
    let longer = |span: Option<u64>| span.map(|s| s + 3600);
    Policy {
        last: up(policy.last),
        hourly: up(policy.hourly),
        daily: up(policy.daily),
        weekly: up(policy.weekly),
        monthly: up(policy.monthly),
        yearly: up(policy.yearly),
        within: longer(policy.within),
        older_than: longer(policy.older_than),
        tags: policy.tags.clone(),
    }
}

fn zone() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

proptest! {
    #[test]
    fn more_of_a_rule_keeps_no_less(history in histories(), policy in policies()) {
        let fewer: BTreeSet<u64> = kept(&history, &policy, &zone()).into_iter().collect();
        let more: BTreeSet<u64> = kept(&history, &raise(&policy), &zone()).into_iter().collect();
        prop_assert!(fewer.is_subset(&more));
    }

    #[test]
    fn no_group_loses_its_newest(history in histories(), policy in policies()) {
        let kept: BTreeSet<u64> = kept(&history, &policy, &zone()).into_iter().collect();
        let newest: BTreeMap<&Group, u64> = history.iter().map(|s| (&s.group, s.sequence)).collect();
        prop_assert!(newest.values().all(|number| kept.contains(number)));
    }

    #[test]
    fn deciding_again_removes_nothing(history in histories(), policy in policies()) {
        let kept_once = kept(&history, &policy, &zone());
        let rest: Vec<Dated> = history.into_iter().filter(|s| kept_once.contains(&s.sequence)).collect();
        prop_assert_eq!(kept(&rest, &policy, &zone()), kept_once);
    }

    #[test]
    fn groups_do_not_touch_each_other(history in histories(), policy in policies()) {
        let all = decide(&history, &policy, NOW, &zone());
        for writer in 1..4 {
            let alone: Vec<Dated> = history.iter().filter(|s| s.group == group(writer)).cloned().collect();
            for decision in decide(&alone, &policy, NOW, &zone()) {
                prop_assert!(all.contains(&decision));
            }
        }
    }
}
