//! A journal says what was recorded or that it cannot: never anything else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::OnceLock;
use std::thread;

use nodekeep_nodes::error::Error;
use nodekeep_nodes::fence::journal::{Decision, Entry, Journal};
use nodekeep_nodes::fence::mark::Value;
use nodekeep_nodes::profile::FenceKind;
use proptest::prelude::*;

use super::{json, machine, mark, minutes, reading, rule};

fn entry(number: u64) -> Entry {
    let rule = rule("uses", FenceKind::KeyUses, json("/uses"));
    let at = minutes(u32::try_from(number).unwrap());
    Entry::Reading(reading(at, vec![mark(&rule, "0xk1", Value::Number(number))]))
}

fn filled(folder: &Path, lines: u64) -> (Journal, Vec<Entry>) {
    let journal = Journal::new(&folder.join("fence"));
    let entries: Vec<Entry> = (0..lines).map(entry).collect();
    for entry in &entries {
        journal.append(entry).unwrap();
    }
    (journal, entries)
}

#[test]
fn what_was_appended_is_read_back_and_private() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, mut entries) = filled(folder.path(), 3);
    let decision = Entry::Decision(Decision {
        at: minutes(9),
        machine: machine("a"),
        rule: "uses".to_owned(),
        choice: "accept-rollback".to_owned(),
        reason: "a \"test\"\nnet".to_owned(),
        said: vec!["5 -> 3".to_owned()],
    });
    journal.append(&decision).unwrap();
    entries.push(decision);
    let history = journal.load().unwrap();
    assert_eq!((history.entries, history.torn_bytes, history.damage), (entries, 0, None));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("fence")), 0o700);
    for file in fs::read_dir(folder.path().join("fence")).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}

#[test]
fn nothing_recorded_is_no_error_and_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::new(&folder.path().join("fence"));
    assert!(journal.load().unwrap().entries.is_empty());
    assert!(!folder.path().join("fence").exists());
}

#[test]
fn a_torn_last_line_is_cut_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, mut entries) = filled(folder.path(), 2);
    let mut bytes = fs::read(journal.path()).unwrap();
    bytes.extend_from_slice(b"{\"sum\":\"00ff");
    fs::write(journal.path(), &bytes).unwrap();
    let history = journal.load().unwrap();
    assert_eq!((history.entries.len(), history.torn_bytes, history.damage), (2, 12, None));
    journal.append(&entry(7)).unwrap();
    entries.push(entry(7));
    let history = journal.load().unwrap();
    assert_eq!((history.entries, history.torn_bytes, history.damage), (entries, 0, None));
}

#[test]
fn a_crash_between_line_and_head_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = filled(folder.path(), 2);
    let head = folder.path().join("fence/marks.head");
    let old = fs::read(&head).unwrap();
    journal.append(&entry(2)).unwrap();
    fs::write(&head, old).unwrap();
    let history = journal.load().unwrap();
    assert_eq!((history.entries.len(), history.damage), (3, None));
    journal.append(&entry(3)).unwrap();
    assert_eq!(journal.load().unwrap().entries, (0..4).map(entry).collect::<Vec<_>>());
}

#[test]
fn missing_lines_are_noticed_and_the_journal_can_be_mended() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, entries) = filled(folder.path(), 4);
    let text = fs::read_to_string(journal.path()).unwrap();
    let cut: String = text.lines().take(2).map(|line| format!("{line}\n")).collect();
    fs::write(journal.path(), &cut).unwrap();
    let damage = journal.load().unwrap().damage.unwrap();
    assert_eq!((damage.line, damage.reason.as_str()), (3, "2 lines are missing at the end"));
    let error = journal.append(&entry(9)).unwrap_err();
    assert!(matches!(&error, Error::Damaged { .. }), "{error}");
    let kept = journal.mend().unwrap().unwrap();
    assert_eq!(fs::read_to_string(kept).unwrap(), cut);
    journal.append(&entry(9)).unwrap();
    let history = journal.load().unwrap();
    assert_eq!(history.entries[..2], entries[..2]);
    assert_eq!((history.entries.len(), history.damage), (3, None));
    assert_eq!(journal.mend().unwrap(), None);
}

#[test]
fn a_lost_head_or_journal_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = filled(folder.path(), 3);
    let head = folder.path().join("fence/marks.head");
    let bytes = fs::read(&head).unwrap();
    for bad in [None, Some(b"{}".as_slice()), Some(b"\xff")] {
        bad.map_or_else(|| fs::remove_file(&head), |bad| fs::write(&head, bad)).unwrap();
        let history = journal.load().unwrap();
        assert!(history.damage.is_some() && history.entries.len() == 3);
    }
    fs::write(&head, bytes).unwrap();
    fs::remove_file(journal.path()).unwrap();
    assert_eq!(journal.load().unwrap().damage.unwrap().reason, "3 lines are missing at the end");
}

#[test]
fn appenders_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fence");
    thread::scope(|scope| {
        for worker in 0..4 {
            let journal = Journal::new(&path);
            scope.spawn(move || {
                (0..10).for_each(|n| journal.append(&entry(worker * 10 + n)).unwrap())
            });
        }
    });
    let history = Journal::new(&path).load().unwrap();
    assert_eq!((history.entries.len(), history.damage), (40, None));
    assert!((0..40).all(|number| history.entries.contains(&entry(number))));
}

#[test]
fn a_clock_that_went_back_does_not_reorder_and_the_repository_joins() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::new(folder.path());
    for number in [5, 2] {
        journal.append(&entry(number)).unwrap();
    }
    let history = journal.load().unwrap();
    let times: Vec<_> = history.readings().iter().map(|reading| reading.at).collect();
    assert_eq!(times, [minutes(5), minutes(5)]);
    let [Entry::Reading(known), Entry::Reading(new)] = [entry(2), entry(8)] else { unreachable!() };
    assert_eq!(history.merge(&[known, new.clone()]).len(), 3);
    assert!(history.lacks(&new));
}

#[test]
fn a_reading_that_says_nothing_new_is_not_needed_for_an_hour() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, entries) = filled(folder.path(), 1);
    let Entry::Reading(first) = &entries[0] else { unreachable!() };
    let history = journal.load().unwrap();
    for (minute, is_needed) in [(1, false), (59, false), (60, true)] {
        assert_eq!(history.lacks(&reading(minutes(minute), first.marks.clone())), is_needed);
    }
}

/// Lines and head of a journal of five entries.
fn sample() -> (Vec<u8>, Vec<u8>) {
    static SAMPLE: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    let make = || {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = filled(folder.path(), 5);
        let head = fs::read(folder.path().join("fence/marks.head")).unwrap();
        (fs::read(journal.path()).unwrap(), head)
    };
    SAMPLE.get_or_init(make).clone()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_flip_or_a_cut_anywhere_leaves_a_true_prefix(place in 0.0..1.0_f64, bit in 0..8_u8, is_cut: bool) {
        let (mut bytes, head) = sample();
        let entries: Vec<Entry> = (0..5).map(entry).collect();
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(folder.path());
        fs::write(folder.path().join("marks.head"), head).unwrap();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a small file")]
        let at = (place * bytes.len() as f64) as usize;
        if is_cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        fs::write(journal.path(), &bytes).unwrap();
        let history = journal.load().unwrap();
        prop_assert!(history.damage.is_some());
        prop_assert!(history.entries.len() < entries.len());
        prop_assert_eq!(&history.entries[..], &entries[..history.entries.len()]);
        // Whatever was said before stays true after mending.
        journal.mend().unwrap();
        let mended = journal.load().unwrap();
        prop_assert_eq!(mended.entries, history.entries);
        prop_assert_eq!(mended.damage, None);
    }
}
