//! What a snapshot of a node holds, and what it says.

use std::fs;

use nodekeep_nodes::manifest::Status;
use nodekeep_service::capture::Wish;

use crate::lab::{Machine, lay, read};

const PARTS: &str = r#"
name = "parts"
title = "Parts"
about = "For tests."
[[root]]
name = "data"
about = "its data"
[[component]]
name = "ledger"
about = "lines"
path = "{data}/ledger"
required = true
[[component.part]]
path = "chain.jsonl"
kind = "jsonl"
options = { counts = "blocks" }
required = true
[[component]]
name = "database"
about = "a database"
path = "{data}/app.sqlite"
kind = "sqlite"
options = { counts = { users = "SELECT count(*) FROM users" } }
required = true
[[component]]
name = "media"
about = "what people sent"
path = "{data}/media"
[[component]]
name = "rest"
about = "everything else"
path = "{data}"
exclude = ["*.tmp", "cache/"]
"#;

fn database(machine: &Machine, users: u32) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(machine.data().join("app.sqlite")).unwrap();
    database.pragma_update(None, "journal_mode", "wal").unwrap();
    database.execute_batch("CREATE TABLE IF NOT EXISTS users (name TEXT)").unwrap();
    for user in 0..users {
        database.execute("INSERT INTO users VALUES (?1)", [format!("user {user}")]).unwrap();
    }
    database
}

fn scene() -> Machine {
    let machine = Machine::new();
    lay(
        &machine.data(),
        &[
            ("ledger/chain.jsonl", "{\"a\":1}\n{\"a\":2}\n{\"a\":"),
            ("notes.txt", "notes"),
            ("junk.tmp", "junk"),
        ],
    );
    machine
}

#[test]
fn each_component_is_captured_by_its_kind_and_told_in_its_terms() {
    let machine = scene();
    let held = database(&machine, 3);
    let done = machine.back_up(&machine.node(PARTS));
    assert!(done.is_whole(), "{:#?}", done.manifest);
    let told: Vec<(String, Status, u64)> = done
        .manifest
        .components
        .iter()
        .map(|record| (record.name.clone(), record.status, record.files))
        .collect();
    let expected = [
        ("ledger", Status::Captured, 1),
        ("database", Status::Captured, 1),
        ("media", Status::Absent, 0),
        ("rest", Status::Captured, 1),
    ];
    assert_eq!(told, expected.map(|(name, status, files)| (name.to_owned(), status, files)));
    let counters = |at: usize| done.manifest.components[at].position.counters.clone();
    assert_eq!(counters(0)["blocks"], 2);
    assert_eq!(counters(1)["users"], 3);
    assert_eq!(done.manifest.components[0].notes[0].code, "torn-tail");
    drop(held);
}

#[test]
fn what_comes_back_is_what_was_captured_not_what_lay_there() {
    let machine = scene();
    let held = database(&machine, 5);
    machine.back_up(&machine.node(PARTS));
    let snapshot = machine.snapshots().pop().unwrap();
    let elsewhere = machine.folder.join("elsewhere");
    let moved = machine.node(PARTS).moved([("data".to_owned(), elsewhere.clone())].into());
    let ground = machine.ground();
    let placements =
        nodekeep_service::restore::place::placements(&snapshot, &moved, |_| true).unwrap();
    nodekeep_service::restore::place::bring_all(&ground, &snapshot, &placements).unwrap();
    assert_eq!(read(elsewhere.join("ledger/chain.jsonl")), "{\"a\":1}\n{\"a\":2}\n");
    assert_eq!(read(elsewhere.join("notes.txt")), "notes");
    assert!(!elsewhere.join("junk.tmp").exists() && !elsewhere.join("app.sqlite-wal").exists());
    let copy = rusqlite::Connection::open(elsewhere.join("app.sqlite")).unwrap();
    let users: u32 = copy.query_row("SELECT count(*) FROM users", [], |row| row.get(0)).unwrap();
    assert_eq!(users, 5);
    drop(held);
}

#[test]
fn one_component_that_fails_costs_no_other() {
    let machine = scene();
    fs::write(machine.data().join("app.sqlite"), "this is no database at all, but long enough")
        .unwrap();
    let done = machine.back_up(&machine.node(PARTS));
    assert!(!done.is_whole());
    let missing: Vec<&str> = done.manifest.missing().map(|record| record.name.as_str()).collect();
    assert_eq!(missing, ["database"]);
    let record = &done.manifest.components[1];
    assert!(record.notes[0].text.contains("app.sqlite"), "{record:?}");
    let ledger = &done.manifest.components[0];
    assert_eq!((ledger.status, ledger.files), (Status::Captured, 1));
    // What could not be captured is not in the snapshot as files that look whole.
    assert!(!machine.snapshots()[0].holds("database"));
}

#[test]
fn components_can_be_chosen_and_the_snapshot_says_so() {
    let machine = scene();
    let held = database(&machine, 1);
    let node = machine.node(PARTS);
    machine.back_up(&node);
    let wish = Wish { only: vec!["ledger".to_owned()], ..Wish::default() };
    let done = machine.back_up_some(&node, &wish);
    assert_eq!(done.manifest.count(Status::Skipped), 3);
    let snapshots = machine.snapshots();
    assert!(snapshots[0].is_whole() && !snapshots[1].is_whole());
    let unknown = Wish { only: vec!["leger".to_owned()], ..Wish::default() };
    let refused = machine.ground().backup(&node, &unknown, &Default::default());
    assert!(refused.unwrap_err().to_string().contains("no component `leger`"));
    drop(held);
}

/// What `sha256sum` says of a file.
fn sha256sum(path: &std::path::Path) -> String {
    let output = std::process::Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

#[test]
fn the_bytes_of_lines_that_are_stored_are_those_of_the_hash_that_is_told() {
    let contents = [
        "{\"a\":1}\n{\"a\":2}\n",
        "{\"a\":1}\n{\"a\":2}\n{\"a\":",
        "{\"a\":1}\n{\"a\":2}",
        "{\"a\":1}\r\n\n\n{\"a\":2}\r\n{\"b",
        "{\"a\":1}\n12",
        "{\"torn",
        "",
    ];
    for content in contents {
        let machine = scene();
        let held = database(&machine, 1);
        lay(&machine.data(), &[("ledger/chain.jsonl", content)]);
        let done = machine.back_up(&machine.node(PARTS));
        // What is appended after the capture is not in it.
        lay(&machine.data(), &[("ledger/chain.jsonl", &format!("{content}{{}}\n"))]);
        let snapshot = machine.snapshots().pop().unwrap();
        let elsewhere = machine.folder.join("elsewhere");
        let moved = machine.node(PARTS).moved([("data".to_owned(), elsewhere.clone())].into());
        let placements =
            nodekeep_service::restore::place::placements(&snapshot, &moved, |_| true).unwrap();
        nodekeep_service::restore::place::bring_all(&machine.ground(), &snapshot, &placements)
            .unwrap();
        let hashes = &done.manifest.components[0].hashes;
        let stored = elsewhere.join("ledger/chain.jsonl");
        assert_eq!(hashes["sha256"], sha256sum(&stored), "{content:?}: {}", read(&stored));
        assert!(content.starts_with(&read(&stored)), "{content:?}");
        drop(held);
    }
}

#[test]
fn nothing_is_left_behind_beside_the_data() {
    let machine = scene();
    let held = database(&machine, 1);
    machine.back_up(&machine.node(PARTS));
    let left: Vec<String> = fs::read_dir(&machine.folder)
        .unwrap()
        .chain(fs::read_dir(machine.data()).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("nodekeep"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    drop(held);
}

#[test]
fn a_hook_that_fails_hangs_or_is_killed_marks_the_snapshot_and_the_node_is_let_go() {
    let cases = [
        ("echo out of order >&2; exit 3", "out of order"),
        ("sleep 1000", "did not end within 1 s"),
        ("kill -9 $$", "signal 9"),
    ];
    let hold = "[hold]\nmethod = \"maintenance\"\nenter = \"echo enter >> {data}/../log\"\nexit = \"echo exit >> {data}/../log\"\n";
    for moment in ["before-backup", "after-backup"] {
        for (line, said) in cases {
            let machine = scene();
            let held = database(&machine, 1);
            let hooks = format!("{moment} = [{{ run = \"{line}\", patience-secs = 1 }}]");
            let profile = format!("{PARTS}\n{hold}[hooks]\n{hooks}\n");
            let done = machine.back_up(&machine.node(&profile));
            assert!(!done.is_whole(), "{moment}: {line}");
            let [note] = done.manifest.hold_notes.as_slice() else { panic!("{:?}", done.manifest) };
            assert_eq!(note.code, "hook-failed");
            assert!(note.text.contains(moment) && note.text.contains(said), "{}", note.text);
            assert_eq!(read(machine.folder.join("log")), "enter\nexit\n", "{moment}: {line}");
            let snapshot = machine.snapshots().pop().unwrap();
            assert_eq!(
                snapshot.manifest.hold_notes, done.manifest.hold_notes,
                "the snapshot says so"
            );
            drop(held);
        }
    }
}

#[test]
fn a_hold_that_hangs_or_is_killed_costs_no_backup_and_is_told() {
    for (line, said) in [("sleep 1000", "did not end within 1 s"), ("kill -9 $$", "signal 9")] {
        let machine = scene();
        let held = database(&machine, 1);
        let profile = format!(
            "{PARTS}\n[hold]\nmethod = \"maintenance\"\nenter = {{ run = \"{line}\", patience-secs = 1 }}\nexit = \"echo exit >> {{data}}/../log\"\n"
        );
        let done = machine.back_up(&machine.node(&profile));
        assert!(!done.is_whole());
        let note = &done.manifest.hold_notes[0];
        assert!(note.code == "hold-failed" && note.text.contains(said), "{note:?}");
        assert_eq!(read(machine.folder.join("log")), "exit\n", "who knows how far it came");
        assert_eq!(done.manifest.missing().count(), 0, "all of it is there");
        drop(held);
    }
}
