//! The judge by table and by property.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::fleet::overview::Code;
use crate::fleet::targets::Span;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// The moment of every test, Unix seconds.
const NOW: i64 = 1_800_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn ago(secs: i64) -> Moment {
    Moment::of_millis((NOW - secs) * 1000)
}

fn drill(result: DrillResult, started: bool, age: i64, secs: f64) -> Option<Drilled> {
    Some(Drilled { at: ago(age), result, started, secs })
}

fn point(age: i64, complete: bool) -> Option<Point> {
    Some(Point { at: ago(age), complete })
}

/// Everything is as it should be.
fn good() -> Facts {
    Facts {
        newest: point(HOUR, true),
        complete: Some(ago(HOUR)),
        patience: Some(SignedDuration::from_hours(26)),
        drill: drill(DrillResult::Proven, true, DAY, 40.0),
        verified: Some((ago(DAY), None)),
        away: Away::Itself,
        plan: Plan::Scheduled,
        ..Facts::default()
    }
}

fn codes(judged: &Judged) -> Vec<Code> {
    judged.reasons.iter().map(|reason| reason.code).collect()
}

fn span(secs: u64) -> Option<Span> {
    Some(Span::of_secs(secs))
}

type Case = (Facts, Wanted, Verdict, Vec<Code>);

/// There is one, it is complete, and it is young enough.
fn backups() -> Vec<Case> {
    let wanted = Wanted::default();
    vec![
        (good(), wanted, Verdict::Proven, vec![]),
        (Facts::default(), wanted, Verdict::Never, vec![Code::Never, Code::NoSchedule]),
        (
            Facts { failure: Some("no space".into()), ..good() },
            wanted,
            Verdict::Failed,
            vec![Code::Failed],
        ),
        (
            Facts { newest: point(27 * HOUR, true), complete: Some(ago(27 * HOUR)), ..good() },
            wanted,
            Verdict::Overdue,
            vec![Code::Overdue],
        ),
        // Without a schedule and a target a week is allowed.
        (
            Facts { patience: None, complete: Some(ago(6 * DAY)), ..good() },
            wanted,
            Verdict::Proven,
            vec![],
        ),
        (
            Facts { patience: None, complete: Some(ago(8 * DAY)), ..good() },
            wanted,
            Verdict::Overdue,
            vec![Code::Overdue],
        ),
        (
            Facts { newest: point(HOUR, false), complete: None, ..good() },
            wanted,
            Verdict::Overdue,
            vec![Code::Overdue, Code::Incomplete],
        ),
        (
            Facts { newest: point(60, false), ..good() },
            wanted,
            Verdict::AtRisk,
            vec![Code::Incomplete],
        ),
        (Facts { silent: Some(ago(DAY)), ..good() }, wanted, Verdict::Overdue, vec![Code::Silent]),
    ]
}

/// Drills and checks.
fn proofs() -> Vec<Case> {
    let wanted = Wanted::default();
    let bad = |text: &str| Some((ago(HOUR), Some(text.to_owned())));
    vec![
        (Facts { drill: None, ..good() }, wanted, Verdict::Safe, vec![Code::NeverDrilled]),
        (
            Facts { drill: drill(DrillResult::Restored, false, DAY, 4.0), ..good() },
            wanted,
            Verdict::Safe,
            vec![Code::DrillDidNotStart],
        ),
        (
            Facts { drill: drill(DrillResult::Failed, true, DAY, 4.0), ..good() },
            wanted,
            Verdict::AtRisk,
            vec![Code::DrillFailed],
        ),
        (
            Facts { drill: drill(DrillResult::Proven, true, 31 * DAY, 4.0), ..good() },
            wanted,
            Verdict::Safe,
            vec![Code::DrillOld],
        ),
        (
            Facts { verified: bad("a chunk is damaged"), ..good() },
            wanted,
            Verdict::AtRisk,
            vec![Code::VerifyFailed],
        ),
    ]
}

/// Where it lies, and how it comes about.
fn grounds() -> Vec<Case> {
    let wanted = Wanted::default();
    let copy = |age| Away::Copy(ago(age), "nodekeep repo mirror there".to_owned());
    vec![
        (Facts { away: Away::Nowhere, ..good() }, wanted, Verdict::AtRisk, vec![Code::NotOffsite]),
        (Facts { away: copy(2 * HOUR), ..good() }, wanted, Verdict::Proven, vec![]),
        (Facts { away: copy(27 * HOUR), ..good() }, wanted, Verdict::AtRisk, vec![Code::CopyOld]),
        // An old copy lacks nothing as long as nothing came since.
        (
            Facts { away: copy(HOUR), newest: point(2 * HOUR, true), ..good() },
            Wanted { rpo: span(9 * 3600), ..wanted },
            Verdict::Proven,
            vec![],
        ),
        (
            Facts { nearly_full: Some("4 %".into()), ..good() },
            wanted,
            Verdict::AtRisk,
            vec![Code::NearlyFull],
        ),
        (Facts { damaged: 1, ..good() }, wanted, Verdict::AtRisk, vec![Code::Damaged]),
        (Facts { plan: Plan::Paused, ..good() }, wanted, Verdict::Safe, vec![Code::Paused]),
        (Facts { plan: Plan::Unknown, ..good() }, wanted, Verdict::Proven, vec![Code::NoSchedule]),
    ]
}

/// What is asked for.
fn targets() -> Vec<Case> {
    let strict = Wanted { rpo: span(1800), rto: span(30), drill: span(3600), verify: span(3600) };
    vec![
        (
            good(),
            strict,
            Verdict::Overdue,
            vec![Code::Overdue, Code::RtoMissed, Code::DrillOld, Code::VerifyOld],
        ),
        (
            Facts { drill: None, verified: None, ..good() },
            Wanted { rpo: None, ..strict },
            Verdict::AtRisk,
            vec![Code::NeverDrilled, Code::VerifyOld],
        ),
    ]
}

#[test]
fn every_fact_has_its_verdict() {
    let cases = [backups(), proofs(), grounds(), targets()].concat();
    for (facts, wanted, verdict, mut expected) in cases {
        let judged = judge("guts", &facts, &wanted, now());
        assert_eq!(judged.verdict, verdict, "{facts:?}");
        let mut found = codes(&judged);
        assert!(found.len() < 2 || judged.reasons[0].code != Code::NoSchedule, "the gravest first");
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{facts:?}");
    }
}

#[test]
fn targets_are_told_beside_what_is() {
    let wanted = Wanted { rpo: span(1800), rto: span(60), ..Wanted::default() };
    let judged = judge("guts", &good(), &wanted, now());
    assert_eq!(judged.rpo, Target { target: Some(1800.0), actual: Some(3600.0), met: Some(false) });
    assert_eq!(judged.rto, Target { target: Some(60.0), actual: Some(40.0), met: Some(true) });
    let judged = judge("guts", &Facts::default(), &Wanted::default(), now());
    assert_eq!((judged.rpo, judged.rto), (Target::default(), Target::default()));
}

#[test]
fn a_snapshot_of_a_clock_that_is_ahead_is_young() {
    let facts = Facts { complete: Some(ago(-9 * DAY)), ..good() };
    let judged = judge("guts", &facts, &Wanted::default(), now());
    assert_eq!((judged.verdict, judged.rpo.actual), (Verdict::Proven, Some(0.0)));
}

fn result() -> impl Strategy<Value = DrillResult> {
    prop_oneof![Just(DrillResult::Proven), Just(DrillResult::Restored), Just(DrillResult::Failed)]
}

prop_compose! {
    fn any_drill()(result in result(), started in any::<bool>(), age in 0..90 * DAY, secs in 0.0..5000.0_f64) -> Drilled {
        Drilled { at: ago(age), result, started, secs }
    }
}

fn any_away() -> impl Strategy<Value = Away> {
    prop_oneof![
        Just(Away::Nowhere),
        (0..9 * DAY).prop_map(|age| Away::Copy(ago(age), "nodekeep repo mirror x".to_owned())),
        Just(Away::Itself)
    ]
}

fn any_plan() -> impl Strategy<Value = Plan> {
    prop_oneof![Just(Plan::Unknown), Just(Plan::Scheduled), Just(Plan::Paused)]
}

prop_compose! {
    fn any_facts()(
        newest in proptest::option::of((0..20 * DAY, any::<bool>())),
        older in proptest::option::of(0..20 * DAY),
        patience in proptest::option::of(0..200_i64),
        failure in proptest::option::of(Just("no space".to_owned())),
        drill in proptest::option::of(any_drill()),
        verified in proptest::option::of((0..60 * DAY, proptest::option::of(Just("damaged".to_owned())))),
        (away, plan) in (any_away(), any_plan()),
        silent in proptest::option::of(0..9 * DAY),
        (full, damaged) in (proptest::option::of(Just("4 %".to_owned())), 0..3_u64),
        met in proptest::option::of(any::<bool>()),
        well in proptest::option::of(any::<bool>()),
    ) -> Facts {
        let complete = match newest {
            Some((age, true)) => Some(ago(age)),
            Some((age, false)) => older.map(|more| ago(age + more)),
            None => None,
        };
        Facts {
            newest: newest.map(|(age, complete)| Point { at: ago(age), complete }),
            complete,
            patience: patience.map(SignedDuration::from_hours),
            failure,
            drill,
            verified: verified.map(|(age, wrong)| (ago(age), wrong)),
            away,
            silent: silent.map(ago),
            nearly_full: full,
            damaged,
            retention: met.map(|met| Retention { met, text: "rules".to_owned() }),
            health: well.map(|ok| Health { at: ago(1), ok, text: "looked".to_owned() }),
            plan,
        }
    }
}

prop_compose! {
    fn any_wanted()(
        rpo in proptest::option::of(1..900_000_u64),
        rto in proptest::option::of(1..5000_u64),
        drill in proptest::option::of(1..9_000_000_u64),
        verify in proptest::option::of(1..9_000_000_u64),
    ) -> Wanted {
        let span = |secs: Option<u64>| secs.map(Span::of_secs);
        Wanted { rpo: span(rpo), rto: span(rto), drill: span(drill), verify: span(verify) }
    }
}

/// Each makes one thing worse, or leaves it as bad as it was.
fn worse(facts: &Facts, which: usize) -> Facts {
    let older = |at: Moment| Moment::of_millis((at.second() - 5 * DAY) * 1000);
    let mut worse = facts.clone();
    match which {
        0 => (worse.newest, worse.complete) = (None, None),
        1 => worse.complete = None,
        2 => worse.complete = worse.complete.map(older),
        3 => worse.newest = worse.newest.map(|newest| Point { complete: false, ..newest }),
        4 => worse.failure = Some("no space".to_owned()),
        5 => {
            worse.drill = worse.drill.map(|drill| Drilled { result: DrillResult::Failed, ..drill });
        }
        6 => worse.drill = worse.drill.map(|drill| Drilled { at: older(drill.at), ..drill }),
        7 => worse.drill = worse.drill.map(|drill| Drilled { secs: drill.secs * 9.0, ..drill }),
        8 => {
            worse.drill = worse.drill.map(|drill| match drill.result {
                DrillResult::Failed => drill,
                _ => Drilled { result: DrillResult::Restored, started: false, ..drill },
            });
        }
        9 => worse.verified = worse.verified.map(|(at, _)| (at, Some("damaged".to_owned()))),
        10 => worse.verified = worse.verified.map(|(at, wrong)| (older(at), wrong)),
        11 => worse.away = Away::Nowhere,
        12 => worse.silent = Some(ago(9 * DAY)),
        13 => worse.nearly_full = Some("4 %".to_owned()),
        14 => worse.damaged += 1,
        15 => worse.retention = Some(Retention { met: false, text: "late".to_owned() }),
        16 => worse.health = Some(Health { at: ago(1), ok: false, text: "down".to_owned() }),
        _ => {
            worse.plan = match worse.plan {
                Plan::Unknown => Plan::Unknown,
                _ => Plan::Paused,
            };
        }
    }
    worse
}

proptest! {
    #[test]
    fn nothing_is_proven_that_was_not_started(facts in any_facts(), wanted in any_wanted()) {
        let judged = judge("n", &facts, &wanted, now());
        if judged.verdict == Verdict::Proven {
            let drill = facts.drill.unwrap();
            prop_assert!(drill.started && drill.result == DrillResult::Proven);
            prop_assert!(wanted.rto.is_none_or(|target| drill.secs <= target.secs() as f64));
            prop_assert!(facts.away != Away::Nowhere);
        }
    }

    #[test]
    fn a_worse_fact_never_gives_a_better_verdict(facts in any_facts(), wanted in any_wanted(), which in 0..18_usize) {
        let before = judge("n", &facts, &wanted, now()).verdict;
        let after = judge("n", &worse(&facts, which), &wanted, now()).verdict;
        prop_assert!(after <= before, "{which}: {before:?} became {after:?}");
    }

    #[test]
    fn a_stricter_target_never_gives_a_better_verdict(facts in any_facts(), wanted in any_wanted(), which in 0..4_usize) {
        let half = |span: Option<Span>| span.map(|span| Span::of_secs((span.secs() / 2).max(1)));
        let stricter = match which {
            0 => Wanted { rpo: half(wanted.rpo), ..wanted },
            1 => Wanted { rto: half(wanted.rto), ..wanted },
            2 => Wanted { drill: half(wanted.drill), ..wanted },
            _ => Wanted { verify: half(wanted.verify), ..wanted },
        };
        let before = judge("n", &facts, &wanted, now()).verdict;
        prop_assert!(judge("n", &facts, &stricter, now()).verdict <= before);
    }

    #[test]
    fn what_is_not_well_says_why(facts in any_facts(), wanted in any_wanted()) {
        let judged = judge("n", &facts, &wanted, now());
        prop_assert!(judged.verdict >= Verdict::Proven || !judged.reasons.is_empty());
        prop_assert!(judged.reasons.iter().all(|reason| !reason.text.is_empty()));
    }
}
