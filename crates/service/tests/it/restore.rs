//! A node put back in place: whole or not at all, and never backwards unasked.

use nodekeep_nodes::fence::remedy::Remedy;
use nodekeep_service::error::Error;
use nodekeep_service::restore::Wish;

use crate::lab::{Machine, lay, read};

const FENCED: &str = r#"
name = "fenced"
title = "Fenced"
about = "For tests."
[[root]]
name = "data"
about = "its data"
[[component]]
name = "keys"
about = "one-time keys"
path = "{data}/keys"
[[component]]
name = "rest"
about = "everything else"
path = "{data}"
[service]
stop = "echo stop >> {data}/../log"
start = "echo start >> {data}/../log"
[[fence]]
name = "uses"
about = "A one-time key would sign twice."
kind = "key-uses"
component = "keys"
margin-floor = 1000
mark = { json = { file = "uses.json", pointer = "/uses" } }
"#;

fn scene() -> Machine {
    let machine = Machine::new();
    lay(&machine.data(), &[("keys/uses.json", r#"{"uses":{"k1":4,"k2":9}}"#), ("state", "old")]);
    machine.back_up(&machine.node(FENCED));
    lay(&machine.data(), &[("keys/uses.json", r#"{"uses":{"k1":7,"k2":9}}"#), ("state", "new")]);
    machine
}

fn restore(machine: &Machine, wish: &Wish) -> Result<nodekeep_service::restore::Restored, Error> {
    let node = machine.node(FENCED);
    let snapshot = machine.snapshots().swap_remove(0);
    machine.ground().restore_node(&node, &snapshot, &machine.all(), wish)
}

fn with(remedy: Remedy) -> Wish {
    Wish { remedies: vec![("uses".to_owned(), remedy)], ..Wish::default() }
}

#[test]
fn a_rewind_is_refused_with_its_numbers_and_nothing_is_touched() {
    let machine = scene();
    let refused = restore(&machine, &Wish::default()).unwrap_err();
    assert!(matches!(refused, Error::Rewinds { .. }));
    let text = refused.to_string();
    assert!(
        text.contains("k1") && text.contains("7 -> 4") && text.contains("sign twice"),
        "{text}"
    );
    assert_eq!(read(machine.data().join("state")), "new");
    assert_eq!(read(machine.folder.join("log")), "entity not found", "it was not even stopped");
}

#[test]
fn advancing_restores_the_rest_and_raises_the_counters() {
    let machine = scene();
    let restored = restore(&machine, &with(Remedy::Advance)).unwrap();
    assert_eq!(read(machine.data().join("state")), "old");
    let uses: serde_json::Value =
        serde_json::from_str(&read(machine.data().join("keys/uses.json"))).unwrap();
    assert!(uses["uses"]["k1"].as_u64().unwrap() >= 7 && uses["uses"]["k2"].as_u64().unwrap() >= 9);
    assert_eq!(read(machine.folder.join("log")), "stop\nstart\n");
    assert_eq!(read(restored.aside[0].join("state")), "new", "what was there is kept");
    assert!(restored.started && restored.problems.is_empty(), "{restored:?}");
}

#[test]
fn without_leaves_the_live_component_where_it_lies() {
    let machine = scene();
    restore(&machine, &with(Remedy::Without)).unwrap();
    assert_eq!(read(machine.data().join("state")), "old");
    assert_eq!(read(machine.data().join("keys/uses.json")), r#"{"uses":{"k1":7,"k2":9}}"#);
}

#[test]
fn an_accepted_rollback_is_recorded_with_its_reason() {
    let machine = scene();
    let wish = Wish { accept_rollback: Some("a drill".to_owned()), ..Wish::default() };
    restore(&machine, &wish).unwrap();
    assert_eq!(read(machine.data().join("keys/uses.json")), r#"{"uses":{"k1":4,"k2":9}}"#);
    let folder = machine.state.of("n").unwrap().folder().join("fence");
    let journal: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| read(entry.unwrap().path())).collect();
    assert!(journal.concat().contains("a drill"));
}

#[test]
fn marks_survive_the_loss_of_the_disk_and_a_margin_is_added() {
    let machine = scene();
    machine.back_up(&machine.node(FENCED));
    std::fs::remove_dir_all(machine.data()).unwrap();
    std::fs::remove_dir_all(machine.folder.join("state/nodes")).unwrap();
    let text = restore(&machine, &Wish::default()).unwrap_err().to_string();
    assert!(text.contains("1007"), "the highest known and the floor of the margin: {text}");
    restore(&machine, &with(Remedy::Advance)).unwrap();
    let uses: serde_json::Value =
        serde_json::from_str(&read(machine.data().join("keys/uses.json"))).unwrap();
    assert!(uses["uses"]["k1"].as_u64().unwrap() >= 1007, "{uses}");
}

#[test]
fn a_damaged_journal_stops_no_backup_and_is_kept() {
    let machine = scene();
    machine.back_up(&machine.node(FENCED));
    let folder = machine.state.of("n").unwrap().folder().join("fence");
    let files = || -> Vec<_> {
        let entries = std::fs::read_dir(&folder).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| read(path).contains("k1"))
            .collect()
    };
    let [journal] = files().try_into().unwrap();
    let text = read(&journal).replace("\"k1\"", "\"k9\"");
    std::fs::write(&journal, text).unwrap();
    lay(&machine.data(), &[("keys/uses.json", r#"{"uses":{"k1":8,"k2":9}}"#)]);
    assert!(machine.back_up(&machine.node(FENCED)).is_whole());
    assert!(read(&journal).contains("k1"), "it goes on");
    assert!(std::fs::read_dir(&folder).unwrap().count() > 2, "what was damaged is kept");
}

#[test]
fn a_second_machine_waits_until_the_first_is_retired() {
    let machine = scene();
    let second = machine.second();
    let node = second.node(FENCED);
    let restore = || {
        let snapshot = second.snapshots().swap_remove(0);
        second.ground().restore_node(&node, &snapshot, &second.all(), &with(Remedy::Advance))
    };
    let refused = restore().unwrap_err();
    assert!(matches!(&refused, Error::Held { claim, .. } if claim.contains("first")), "{refused}");
    let first = machine.state.machine("first").unwrap();
    second.ground().retire("n", &first, None, "it burnt".to_owned()).unwrap();
    restore().unwrap();
    assert_eq!(read(second.data().join("state")), "old");
}

#[test]
fn a_copy_that_is_not_sound_is_not_put_in_place() {
    let machine = Machine::new();
    let profile = FENCED.replace(
        "path = \"{data}/keys\"\n",
        "path = \"{data}/keys\"\n[[component.part]]\npath = \"log.jsonl\"\nkind = \"jsonl\"\n",
    );
    lay(
        &machine.data(),
        &[("keys/uses.json", "{\"uses\":{}}"), ("keys/log.jsonl", "{}\nnonsense\n{}\n")],
    );
    let node = machine.node(&profile);
    assert!(!machine.back_up(&node).is_whole());
    lay(&machine.data(), &[("keys/log.jsonl", "{}\n")]);
    let snapshot = machine.snapshots().swap_remove(0);
    let refused = machine.ground().restore_node(&node, &snapshot, &machine.all(), &Wish::default());
    assert!(matches!(refused, Err(Error::Unsound { .. })), "{refused:?}");
    assert_eq!(read(machine.data().join("keys/log.jsonl")), "{}\n");
}

#[test]
fn the_same_snapshot_again_keeps_what_was_put_aside_before() {
    let machine = scene();
    let first = restore(&machine, &with(Remedy::Advance)).unwrap();
    let again = Wish { accept_rollback: Some("again".to_owned()), ..Wish::default() };
    let second = restore(&machine, &again).unwrap();
    assert_eq!(read(first.aside[0].join("state")), "new", "the only copy of the live state");
    assert_eq!(read(second.aside[0].join("state")), "old");
    assert_ne!(first.aside, second.aside);
    assert_eq!(second.remedies, ["`uses` runs backwards, as accepted: again"]);
}

#[test]
fn what_a_restore_put_aside_is_no_part_of_the_node() {
    let machine = scene();
    let only = Wish { only: vec!["keys".to_owned()], ..with(Remedy::Advance) };
    let restored = restore(&machine, &only).unwrap();
    assert!(restored.aside[0].starts_with(machine.data()), "{:?}", restored.aside);
    machine.back_up(&machine.node(FENCED));
    let rest = machine.snapshots().pop().unwrap().manifest.components.pop().unwrap();
    assert_eq!((rest.name.as_str(), rest.files), ("rest", 1), "old keys are not captured with it");
}
