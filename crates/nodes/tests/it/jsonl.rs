//! Lines of JSON: cut where they are torn, compared with what they were.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nodekeep_nodes::kind::{Outcome, With, recognise};
use nodekeep_nodes::profile::{JsonlRule, Kind};

use super::support::{Bench, Dice, codes, rounds, verify};
use super::writer::{Writer, acknowledge};

fn kind() -> Kind {
    Kind::Jsonl(JsonlRule { counts: Some("votes".to_owned()) })
}

/// Appends numbered lines, every third in two writes.
pub fn write(place: &Path) {
    let mut file = OpenOptions::new().append(true).create(true).open(place).unwrap();
    let mut dice = Dice::new(7);
    for number in 1.. {
        let line =
            format!("{{\"n\":{number},\"pad\":\"{}\"}}\n", "x".repeat(dice.below(9000) as usize));
        let cut = dice.below(line.len() as u64) as usize;
        let (head, tail) = line.as_bytes().split_at(if number % 3 == 0 { cut } else { 0 });
        file.write_all(head).unwrap();
        if !head.is_empty() {
            thread::sleep(Duration::from_micros(dice.below(3000)));
        }
        file.write_all(tail).unwrap();
        acknowledge(number);
        thread::sleep(Duration::from_micros(dice.below(2000)));
    }
}

#[test]
fn a_file_that_is_appended_to_is_cut_at_whole_lines() {
    let mut bench = Bench::new();
    let path = bench.live("votes.jsonl");
    let writer = Writer::start("jsonl", &path);
    let mut dice = Dice::new(1);
    let mut torn = 0;
    for round in 0..rounds() {
        dice.rest(10);
        let acknowledged = writer.acknowledged();
        let (captured, copy) = bench.copy(&kind(), &path);
        let text = fs::read_to_string(&copy).unwrap();
        let numbers: Vec<u64> = text
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["n"].as_u64().unwrap()
            })
            .collect();
        assert!(text.ends_with('\n') && numbers.iter().copied().eq(1..=numbers.len() as u64));
        assert!(numbers.len() as u64 >= acknowledged, "{} of {acknowledged}", numbers.len());
        assert_eq!(captured.position.counters["votes"], numbers.len() as u64);
        let verified = verify(&kind(), &copy);
        assert!(verified.is_sound(), "round {round}: {:?}", verified.checks);
        assert_eq!((&verified.position, &verified.hashes), (&captured.position, &captured.hashes));
        assert!(!captured.is_torn && !codes(&captured).contains(&"prefix-changed"));
        torn += u64::from(codes(&captured) == ["torn-tail"]);
        bench.sweep();
    }
    let acknowledged = writer.acknowledged();
    _ = writeln!(
        std::io::stderr(),
        "jsonl: {} rounds, {torn} with a torn tail, {acknowledged} writes",
        rounds()
    );
}

#[test]
fn what_became_of_the_last_capture_is_told() {
    // What is there at first, what is there then, the codes of the notes, a part of their text.
    let cases: &[(&str, &str, &[&str], &str)] = &[
        ("{}\n", "{}\n", &[], ""),
        ("{}\n", "{}\n[1]\n", &[], ""),
        ("", "{}\n", &[], ""),
        ("{}", "{}\n{}\n", &[], ""),
        ("{}\n[1]\n", "", &["emptied"], "7 bytes in 2 lines at the last capture, nothing now"),
        (
            "{}\n[1]\n",
            "{}",
            &["no-newline", "shrunk"],
            "7 bytes in 2 lines at the last capture, 2 bytes in 1 lines now",
        ),
        (
            "{}\n[1]\n",
            "{}\n[2]\n[3]\n",
            &["prefix-changed"],
            "but the first 7 bytes are not what they were",
        ),
        ("{}\n[1]\n", "{\"a\":123456}\n", &["prefix-changed"], "13 bytes in 1 lines now"),
        ("{}\n", "{}\n{\"a\":", &["torn-tail"], "5 bytes from byte 3 on are left out"),
        (
            "{}\n",
            "{\"a\":",
            &["torn-tail", "emptied"],
            "3 bytes in 1 lines at the last capture, nothing now",
        ),
    ];
    for &(first, then, expected, text) in cases {
        let mut bench = Bench::new();
        let path = bench.live("chain.jsonl");
        fs::write(&path, first).unwrap();
        bench.capture(&kind(), &path).unwrap();
        fs::write(&path, then).unwrap();
        let captured = bench.capture(&kind(), &path).unwrap();
        assert_eq!(codes(&captured), expected, "{first:?} {then:?}");
        assert!(!captured.is_torn);
        let last = captured.notes.last().map_or("", |note| note.text.as_str());
        assert!(last.contains(text), "{last}");
        bench
            .capture(&kind(), &path)
            .map(|again| assert!(!codes(&again).contains(&"emptied")))
            .unwrap();
    }
}

#[test]
fn a_line_that_is_no_json_is_named_and_kept() {
    let mut bench = Bench::new();
    let path = bench.live("chain.jsonl");
    let content = "{}\n{\"a\":\n{\"b\":1}\n}{\n{}\n{\"c";
    fs::write(&path, content).unwrap();
    let (captured, copy) = bench.copy(&kind(), &path);
    assert!(captured.is_torn);
    assert_eq!(codes(&captured), ["torn-tail", "not-json"]);
    assert!(captured.notes[1].text.starts_with("line 2, at byte 3, is not JSON, and 1 more"));
    assert_eq!(fs::read_to_string(&copy).unwrap(), content[..content.len() - 3]);
    let checks = verify(&kind(), &copy).checks;
    assert_eq!((checks[0].outcome, checks[1].outcome), (Outcome::Passed, Outcome::Failed));
    assert!(!verify(&kind(), &path).is_sound());
    assert_eq!(verify(&kind(), &path).checks[0].outcome, Outcome::Failed);
}

#[test]
fn what_is_no_such_file_is_refused_with_a_reason() {
    let mut bench = Bench::new();
    let refusal = |bench: &mut Bench, name: &str| {
        let path = bench.live(name);
        bench.capture(&kind(), &path).unwrap_err().to_string()
    };
    assert!(refusal(&mut bench, "absent").contains("look at: No such file"));
    fs::create_dir(bench.live("folder")).unwrap();
    assert!(refusal(&mut bench, "folder").ends_with("read: this is not a file"));
    let long = fs::File::create(bench.live("long")).unwrap();
    (&long).write_all(b"{}\n").unwrap();
    long.set_len(65 * 1024 * 1024).unwrap();
    let text = refusal(&mut bench, "long");
    assert!(text.contains("line 2, from byte 3, is longer than 64 MiB"), "{text}");
}

#[test]
fn the_graft_keeps_later_lines_out_and_the_name_is_recognised() {
    let mut bench = Bench::new();
    let path = bench.live("votes.jsonl");
    fs::write(&path, "{}\n").unwrap();
    let captured = bench.capture(&kind(), &path).unwrap();
    assert_eq!(captured.grafts[0].with, With::Prefix(3));
    assert_eq!(recognise(&path), Some(Kind::Jsonl(JsonlRule::default())));
    fs::write(&path, "no json\n").unwrap();
    assert_eq!(recognise(&path), None);
}
