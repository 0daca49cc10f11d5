//! A wallet of one-time keys: it is raised by itself, and only by what is known of its own keys.

use std::time::Duration;

use nodekeep_nodes::fence::judge::{Finding, Ruling, Step, judge};
use nodekeep_nodes::fence::known::Known;
use nodekeep_nodes::fence::look::{Look, Seen};
use nodekeep_nodes::fence::mark::{Mark, Value};
use nodekeep_nodes::profile::{FenceKind, FenceRule, MarkSource, MinimaPart, MinimaRule};

use super::{mark, minutes, reading, rule};

fn uses() -> FenceRule {
    let node = MinimaRule {
        take: MinimaPart::State,
        rpc: "http://127.0.0.1:9005".to_owned(),
        password_file: String::new(),
        data: String::new(),
        exchange: "/exchange".to_owned(),
        inside: String::new(),
        ends_within: Duration::from_secs(60),
    };
    rule("uses", FenceKind::KeyUses, MarkSource::Minima(node))
}

fn keys(keys: &[(&str, u64)]) -> Vec<Mark> {
    keys.iter().map(|(key, uses)| mark(&self::uses(), key, Value::Number(*uses))).collect()
}

fn look(marks: Vec<Mark>) -> Look {
    Look([("uses".to_owned(), Seen::Read(marks))].into())
}

/// Recorded a minute before, in the snapshot, in the running node.
fn ruling(recorded: &[(&str, u64)], held: &[(&str, u64)], live: &[(&str, u64)]) -> Ruling {
    let readings = match recorded {
        [] => Vec::new(),
        recorded => vec![reading(minutes(1), keys(recorded))],
    };
    let (rule, known) = (uses(), Known::of(&readings));
    let (held, live) = (look(keys(held)), look(keys(live)));
    judge(&[rule], &known, &held, Some(&live), minutes(2)).rulings.remove(0)
}

fn targets(ruling: &Ruling) -> Vec<(&str, u64)> {
    let number = |mark: &Mark| match mark.value {
        Value::Number(number) => number,
        _ => panic!("a number"),
    };
    let mut targets: Vec<_> =
        ruling.targets.iter().map(|mark| (mark.key.as_str(), number(mark))).collect();
    targets.sort_unstable();
    targets
}

#[test]
fn the_keys_of_a_stranger_say_nothing_of_the_lost_ones() {
    let ruling = ruling(&[("a", 5), ("b", 0)], &[("a", 3), ("b", 0)], &[("y", 9), ("z", 0)]);
    let Finding::Unknown(doubt) = &ruling.finding else { panic!("{:?}", ruling.finding) };
    assert!(doubt.reason.contains("another wallet"), "{}", doubt.reason);
    let rewinds: Vec<&str> = doubt.rewinds.iter().map(|rewind| rewind.key.as_str()).collect();
    assert_eq!(rewinds, ["a"]);
    assert_eq!(targets(&ruling), [("a", 15), ("b", 10)]);
    assert!(ruling.raises_itself);
    let text = ruling.to_string();
    assert!(!text.contains("nothing in the snapshot") && !text.contains("y:"), "{text}");
}

#[test]
fn a_stranger_whose_keys_never_signed_is_one_too() {
    let ruling = ruling(&[("a", 0)], &[("a", 0)], &[("z", 0)]);
    assert!(matches!(ruling.finding, Finding::Unknown(_)), "{:?}", ruling.finding);
    assert_eq!(targets(&ruling), [("a", 10)]);
}

#[test]
fn a_newer_key_that_never_signed_does_no_harm() {
    let ruling = ruling(&[("a", 5)], &[("a", 5)], &[("a", 5), ("b", 0)]);
    assert!(ruling.is_clear(), "{ruling}");
}

#[test]
fn a_newer_key_that_signed_is_told() {
    let ruling = ruling(&[("a", 5)], &[("a", 5)], &[("a", 5), ("b", 2)]);
    let Finding::Rewinds(rewinds) = &ruling.finding else { panic!("{:?}", ruling.finding) };
    assert_eq!(rewinds.len(), 1);
    assert!(matches!(rewinds[0].step, Step::Number { from: 2, to: None, by: 2, .. }));
}

#[test]
fn what_is_raised_by_itself_is_not_called_refused() {
    let text = ruling(&[("a", 5)], &[("a", 3)], &[("a", 7)]).to_string();
    for part in
        ["a: 7 -> 3, 4 back", "Done by itself", "Otherwise: it would do harm", "--accept-rollback"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("refused") && !text.contains("uses=advance"), "{text}");
}

#[test]
fn a_wallet_that_is_behind_its_own_record_is_raised_with_a_margin() {
    let ruling = ruling(&[("a", 5)], &[("a", 3)], &[("a", 4)]);
    assert!(matches!(ruling.finding, Finding::Unknown(_)));
    assert_eq!(targets(&ruling), [("a", 15)]);
}
