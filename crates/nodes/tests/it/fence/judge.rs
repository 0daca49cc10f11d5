//! For each kind of state: an older snapshot is refused with the exact numbers.

use nodekeep_nodes::fence::judge::{Finding, Step, Verdict, judge};
use nodekeep_nodes::fence::known::{Known, Rate};
use nodekeep_nodes::fence::look::{Look, Seen};
use nodekeep_nodes::fence::mark::{Content, Digest, Field, Mark, Reading, Signed, Value};
use nodekeep_nodes::fence::remedy::Remedy;
use nodekeep_nodes::profile::{FenceKind, FenceRule, MarkSource};
use proptest::prelude::*;

use super::{content, json, mark, minutes, reading, rule, signed_slashing, some_content};

fn uses() -> FenceRule {
    rule("uses", FenceKind::KeyUses, json("/uses"))
}

fn read(marks: Vec<Mark>) -> Look {
    Look([(marks[0].rule.clone(), Seen::Read(marks))].into())
}

fn seen(rule: &FenceRule, seen: Seen) -> Look {
    Look([(rule.name.clone(), seen)].into())
}

fn finding(
    rule: &FenceRule,
    readings: &[Reading],
    snapshot: &Look,
    live: Option<&Look>,
) -> Finding {
    verdict(rule, readings, snapshot, live).rulings.remove(0).finding
}

fn verdict(
    rule: &FenceRule,
    readings: &[Reading],
    snapshot: &Look,
    live: Option<&Look>,
) -> Verdict {
    judge(std::slice::from_ref(rule), &Known::of(readings), snapshot, live, minutes(2000))
}

fn steps(finding: Finding) -> Vec<(String, Step)> {
    match finding {
        Finding::Rewinds(rewinds) => rewinds.into_iter().map(|r| (r.key, r.step)).collect(),
        other => panic!("{other:?}"),
    }
}

fn number(field: Field, from: u64, to: Option<u64>) -> Step {
    Step::Number { field, from, to, by: from - to.unwrap_or(0) }
}

fn slashing() -> MarkSource {
    MarkSource::Slashing { file: Some("slashing.json".to_owned()), export: None, import: None }
}

#[test]
fn each_kind_of_older_state_is_refused_with_exact_numbers() {
    let signed = |height, round, step| Value::Signed(Signed { height, round, step });
    let cases = [
        (
            FenceKind::KeyUses,
            json("/uses"),
            Value::Number(1204),
            Value::Number(1187),
            vec![number(Field::Count, 1204, Some(1187))],
        ),
        (
            FenceKind::Nonce,
            json("/nonces"),
            Value::Number(9),
            Value::Number(8),
            vec![number(Field::Count, 9, Some(8))],
        ),
        (
            FenceKind::ValidatorState,
            json(""),
            signed(105, 0, 3),
            signed(98, 4, 3),
            vec![number(Field::Height, 105, Some(98))],
        ),
        (
            FenceKind::ValidatorState,
            json(""),
            signed(105, 2, 1),
            signed(105, 1, 3),
            vec![number(Field::Round, 2, Some(1))],
        ),
        (
            FenceKind::ValidatorState,
            json(""),
            signed(105, 2, 3),
            signed(105, 2, 2),
            vec![number(Field::Step, 3, Some(2))],
        ),
        (
            FenceKind::SlashingProtection,
            slashing(),
            signed_slashing(290, 291, 9321, None),
            signed_slashing(288, 289, 9321, None),
            vec![number(Field::Source, 290, Some(288)), number(Field::Target, 291, Some(289))],
        ),
        (
            FenceKind::SlashingProtection,
            slashing(),
            signed_slashing(290, 291, 9321, Some("0x1")),
            signed_slashing(290, 291, 9321, Some("0x2")),
            vec![
                Step::Root { field: Field::Target, at: 291 },
                Step::Root { field: Field::Slot, at: 9321 },
            ],
        ),
    ];
    for (kind, source, live, held, expected) in cases {
        let rule = rule("fence", kind, source);
        let live = read(vec![mark(&rule, "k", live)]);
        let snapshot = read(vec![mark(&rule, "k", held)]);
        let expected: Vec<_> = expected.into_iter().map(|step| ("k".to_owned(), step)).collect();
        assert_eq!(steps(finding(&rule, &[], &snapshot, Some(&live))), expected);
        assert_eq!(finding(&rule, &[], &live, Some(&live)), Finding::Clear);
        // What is higher or equal in the snapshot is no rewind: unless the roots differ.
        if !matches!(expected[0].1, Step::Root { .. }) {
            assert_eq!(finding(&rule, &[], &live, Some(&snapshot)), Finding::Clear);
        }
    }
}

#[test]
fn older_content_is_told_by_its_generations() {
    for kind in [FenceKind::Ratchet, FenceKind::Channel, FenceKind::ValidatorState] {
        let rule = rule("ratchets", kind, content());
        let of = |text: &str| read(vec![mark(&rule, "", some_content(text))]);
        let at = |minute, text: &str| reading(minutes(minute), of(text).marks());
        let readings = [at(1, "one"), at(2, "two"), at(3, "two"), at(4, "three")];
        let found = steps(finding(&rule, &readings, &of("two"), Some(&of("three"))));
        let [(_, Step::Content { from: Some(from), to: Some(to) })] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!((from.number, to.number, to.at), (3, 2, minutes(3)));
        assert_eq!(finding(&rule, &readings, &of("three"), Some(&of("three"))), Finding::Clear);
        let found = steps(finding(&rule, &readings, &of("three"), Some(&of("four"))));
        assert!(matches!(found[0].1, Step::Content { from: None, to: Some(to) } if to.number == 3));
    }
}

#[test]
fn nothing_in_the_snapshot_is_a_rewind_only_where_it_does_harm() {
    let nothing = || Value::Content(Content { digest: Digest::of(b""), files: 0 });
    for (kind, is_clear) in
        [(FenceKind::Ratchet, true), (FenceKind::Channel, true), (FenceKind::ValidatorState, false)]
    {
        let rule = rule("fence", kind, content());
        let live = read(vec![mark(&rule, "", some_content("now"))]);
        for snapshot in
            [read(vec![mark(&rule, "", nothing())]), seen(&rule, Seen::Absent("no file".into()))]
        {
            for live in [Some(&live), None] {
                let readings = [reading(minutes(1), vec![mark(&rule, "", some_content("now"))])];
                let found = finding(&rule, &readings, &snapshot, live);
                assert_eq!(found == Finding::Clear, is_clear, "{kind:?} {found:?}");
            }
        }
    }
    let rule = uses();
    let live = read(vec![mark(&rule, "a", Value::Number(5)), mark(&rule, "b", Value::Number(2))]);
    let snapshot = read(vec![mark(&rule, "a", Value::Number(5))]);
    let found = steps(finding(&rule, &[], &snapshot, Some(&live)));
    assert_eq!(found, [("b".to_owned(), number(Field::Count, 2, None))]);
}

#[test]
fn without_the_live_node_the_margin_is_rate_by_time_with_a_floor() {
    let rule = uses();
    let at = |minute, uses| reading(minutes(minute), vec![mark(&rule, "k", Value::Number(uses))]);
    let snapshot = read(vec![mark(&rule, "k", Value::Number(100))]);
    // 50 in 500 minutes is the fastest; 1000 minutes have passed since minute 1000.
    let readings = [at(0, 100), at(500, 150), at(1000, 160)];
    let Finding::Unknown(doubt) = finding(&rule, &readings, &snapshot, None) else { panic!() };
    assert_eq!((doubt.last_record, doubt.elapsed_secs), (Some(minutes(1000)), 60_000));
    assert_eq!(doubt.rewinds[0].step, number(Field::Count, 160, Some(100)));
    let gap = &doubt.gaps[0];
    assert_eq!(gap.rate, Some(Rate { growth: 50, secs: 30_000 }));
    assert_eq!((gap.highest, gap.margin, gap.advance_to), (160, 100, 260));
    // Slow growth: the floor.
    let Finding::Unknown(doubt) = finding(&rule, &[at(0, 100), at(1990, 101)], &snapshot, None)
    else {
        panic!()
    };
    assert_eq!((doubt.gaps[0].margin, doubt.gaps[0].advance_to), (10, 111));
    // Rounded up.
    let Finding::Unknown(doubt) = finding(&rule, &[at(0, 0), at(900, 101)], &snapshot, None) else {
        panic!()
    };
    assert_eq!(doubt.gaps[0].margin, 124);
    // Never recorded: the snapshot and the floor.
    let Finding::Unknown(doubt) = finding(&rule, &[], &snapshot, None) else { panic!() };
    assert_eq!((doubt.last_record, doubt.gaps[0].advance_to), (None, 110));
}

#[test]
fn a_live_state_that_cannot_tell_is_no_live_state() {
    let rule = uses();
    let readings = [reading(minutes(1000), vec![mark(&rule, "k", Value::Number(160))])];
    let snapshot = read(vec![mark(&rule, "k", Value::Number(160))]);
    let cases = [
        (Some(Look::default()), "the live state was not looked at"),
        (
            Some(seen(&rule, Seen::Absent("/srv/wallet.json".into()))),
            "the live state is gone: /srv/wallet.json",
        ),
        (Some(seen(&rule, Seen::Unreadable("torn".into()))), "the live state cannot be read: torn"),
        (
            Some(read(vec![mark(&rule, "k", Value::Number(3))])),
            "the live state is behind what was recorded, so it is not the one that was in use last",
        ),
        (
            Some(seen(&rule, Seen::Read(vec![]))),
            "the live state is behind what was recorded, so it is not the one that was in use last",
        ),
        (None, "the live node is gone"),
    ];
    for (live, reason) in cases {
        let Finding::Unknown(doubt) = finding(&rule, &readings, &snapshot, live.as_ref()) else {
            panic!("{reason}")
        };
        assert_eq!(doubt.reason, reason);
        assert_eq!(doubt.gaps[0].advance_to, 170);
    }
    // A state that began anew and was recorded does not make the record young.
    let again =
        [readings[0].clone(), reading(minutes(1999), vec![mark(&rule, "k", Value::Number(3))])];
    let Finding::Unknown(doubt) = finding(&rule, &again, &snapshot, None) else { panic!() };
    assert_eq!(doubt.elapsed_secs, 60_000);
}

#[test]
fn a_snapshot_that_cannot_be_read_is_refused() {
    let rule = uses();
    let live = read(vec![mark(&rule, "k", Value::Number(3))]);
    let torn = seen(&rule, Seen::Unreadable("not JSON".into()));
    assert_eq!(finding(&rule, &[], &torn, Some(&live)), Finding::Unreadable("not JSON".into()));
    assert!(matches!(finding(&rule, &[], &Look::default(), Some(&live)), Finding::Unreadable(_)));
    assert!(matches!(
        finding(&rule, &[], &torn, None),
        Finding::Unknown(_) | Finding::Unreadable(_)
    ));
}

#[test]
fn targets_of_a_dead_validator_are_above_everything_it_may_have_signed() {
    let dead = rule("votes", FenceKind::ValidatorState, json(""));
    let snapshot =
        read(vec![mark(&dead, "", Value::Signed(Signed { height: 100, round: 1, step: 3 }))]);
    let ruling = verdict(&dead, &[], &snapshot, None).rulings.remove(0);
    assert_eq!(ruling.targets[0].value, Value::Signed(Signed { height: 111, round: 0, step: 0 }));
    let dead = rule("slashing", FenceKind::SlashingProtection, slashing());
    let snapshot = read(vec![mark(&dead, "0xv", signed_slashing(10, 11, 300, Some("0x1")))]);
    let ruling = verdict(&dead, &[], &snapshot, None).rulings.remove(0);
    assert_eq!(ruling.targets[0].value, signed_slashing(20, 21, 310, None));
}

#[test]
fn offers_are_those_that_work() {
    let slashing_value = signed_slashing(1, 2, 3, None);
    let signed = Value::Signed(Signed { height: 9, round: 0, step: 1 });
    let jsonl = MarkSource::Jsonl { file: "n.jsonl".into(), key: None, value: "nonce".into() };
    let cases = [
        (
            FenceKind::KeyUses,
            json("/u"),
            Value::Number(9),
            vec![Remedy::Advance],
            vec![Remedy::Advance, Remedy::Without],
        ),
        (FenceKind::Nonce, jsonl, Value::Number(9), vec![], vec![Remedy::Without]),
        (
            FenceKind::SlashingProtection,
            slashing(),
            slashing_value,
            vec![Remedy::Import],
            vec![Remedy::Import, Remedy::Without],
        ),
        (
            FenceKind::ValidatorState,
            json(""),
            signed,
            vec![Remedy::Advance],
            vec![Remedy::Advance, Remedy::Without],
        ),
        (FenceKind::ValidatorState, content(), some_content("new"), vec![], vec![Remedy::Without]),
        (
            FenceKind::Ratchet,
            content(),
            some_content("new"),
            vec![Remedy::Drop],
            vec![Remedy::Drop, Remedy::Without],
        ),
        (
            FenceKind::Channel,
            content(),
            some_content("new"),
            vec![Remedy::Without],
            vec![Remedy::Without],
        ),
    ];
    for (kind, source, value, gone, here) in cases {
        let rule = rule("fence", kind, source);
        let live = read(vec![mark(&rule, "", value.clone())]);
        let snapshot = match value {
            Value::Content(_) => read(vec![mark(&rule, "", some_content("old"))]),
            _ => seen(&rule, Seen::Absent("nothing".into())),
        };
        let readings = [reading(minutes(1), live.marks())];
        for (live, expected) in [(None, gone), (Some(&live), here)] {
            let ruling = verdict(&rule, &readings, &snapshot, live).rulings.remove(0);
            assert!(!ruling.is_clear());
            let remedies: Vec<_> = ruling.offers.iter().filter_map(|offer| offer.remedy).collect();
            assert_eq!(remedies, expected, "{kind:?} live {}", live.is_some());
            assert_eq!(ruling.offers.last().unwrap().option, "--accept-rollback REASON");
        }
    }
}

#[test]
fn the_text_says_what_why_and_what_to_type() {
    let rule = FenceRule {
        about: "One-time keys that are used twice give the key away.".into(),
        ..uses()
    };
    let at =
        |minute, uses| reading(minutes(minute), vec![mark(&rule, "0x4081", Value::Number(uses))]);
    let snapshot = read(vec![mark(&rule, "0x4081", Value::Number(1187))]);
    let live = read(vec![mark(&rule, "0x4081", Value::Number(1204))]);
    assert_eq!(
        verdict(&rule, &[], &snapshot, Some(&live)).to_string(),
        "\
uses (state): this would run backwards
    0x4081: 1204 -> 1187, 17 back
  Why it is refused: One-time keys that are used twice give the key away.
  What can be done:
    --remedy uses=advance
        raises the restored copy to at least the highest marks that are known, margin included
    --remedy uses=without
        restores everything else and leaves this component as it lies there
    --accept-rollback REASON
        restores it as it is, backwards; the reason is recorded
"
    );
    let text = verdict(&rule, &[at(0, 1187), at(1440, 1204)], &snapshot, None).to_string();
    assert!(text.starts_with(
        "\
uses (state): the live node is gone
  last recorded at 2026-11-02T00:00:00Z on host-a, 9 h 20 min ago; what happened since is unknown
  compared with the record, this would run backwards
    0x4081: 1204 -> 1187, 17 back
    0x4081: highest known 1204, margin 10 (floor 10, fastest recorded 17 in 1 d, 9 h 20 min ago), so at least 1214
"
    ), "{text}");
}

fn marks() -> impl Strategy<Value = Vec<(u8, u64)>> {
    prop::collection::vec((0..3_u8, prop_oneof![0..5_u64, Just(u64::MAX)]), 0..6)
}

proptest! {
    #[test]
    fn what_is_lower_than_anything_known_is_never_clear(snapshot in marks(), live in prop::option::of(marks()), recorded in prop::collection::vec(marks(), 0..4)) {
        let rule = uses();
        let of = |marks: &[(u8, u64)]| -> Vec<Mark> {
            marks.iter().map(|(key, uses)| mark(&rule, &key.to_string(), Value::Number(*uses))).collect()
        };
        let readings: Vec<Reading> = (0..).zip(&recorded).map(|(minute, marks)| reading(minutes(minute), of(marks))).collect();
        let live_look = live.as_ref().map(|live| seen(&rule, Seen::Read(of(live))));
        let snapshot_look = seen(&rule, Seen::Read(of(&snapshot)));
        let found = finding(&rule, &readings, &snapshot_look, live_look.as_ref());
        let highest = |marks: &[(u8, u64)], key: u8| marks.iter().filter(|(of, _)| *of == key).map(|(_, uses)| *uses).max();
        let lower = (0..3).any(|key| {
            let held = highest(&snapshot, key);
            recorded.iter().chain(&live).any(|marks| highest(marks, key) > held)
        });
        prop_assert_eq!(found == Finding::Clear, !lower && (live.is_some() && !matches!(found, Finding::Unknown(_)) || (snapshot.is_empty() && recorded.iter().all(Vec::is_empty))), "{:?}", found);
        prop_assert!(!(lower && found == Finding::Clear));
    }
}
