//! A snapshot beside what lies on the machine, and the latest snapshot that has what is wanted.

use nodekeep_service::capture::Wish;
use nodekeep_service::error::Error;
use nodekeep_service::find::{When, pick};
use nodekeep_service::restore;

use crate::lab::{Machine, lay};

const LEDGER: &str = r#"
name = "ledger"
title = "Ledger"
about = "For tests."
[[root]]
name = "data"
about = "its data"
[[component]]
name = "ledger"
about = "lines"
path = "{data}/ledger.jsonl"
kind = "jsonl"
options = { counts = "blocks" }
[[component]]
name = "wallet"
about = "told by a program"
path = "{data}/wallet.dump"
kind = "command"
[component.options]
dump = "echo coins"
[[component]]
name = "rest"
about = "everything else"
path = "{data}"
exclude = ["{data}/cache", "*.tmp"]
[[fence]]
name = "nonces"
about = "Nonces would be used twice."
kind = "nonce"
component = "ledger"
mark = { lines = { file = "" } }
"#;

#[test]
fn what_moved_since_is_told_and_the_fence_is_asked() {
    let machine = Machine::new();
    let node = machine.node(LEDGER);
    lay(&machine.data(), &[("ledger.jsonl", "{}\n{}\n"), ("x", "x")]);
    machine.back_up(&node);
    lay(&machine.data(), &[("ledger.jsonl", "{}\n{}\n{}\n{}\n{}\n")]);
    let snapshot = machine.snapshots().pop().unwrap();
    let against = machine.ground().against_live(&node, &snapshot, &machine.all()).unwrap();
    assert_eq!(against.steps(), [("blocks".to_owned(), 2, 5)]);
    assert!(against.verdict.to_string().contains("5 -> 2, 3 back"), "{}", against.verdict);
    let wallet = against.components.iter().find(|one| one.component == "wallet").unwrap();
    assert!(wallet.now.is_none() && wallet.notes[0].contains("dump"), "{wallet:?}");
    std::fs::remove_file(machine.data().join("ledger.jsonl")).unwrap();
    let against = machine.ground().against_live(&node, &snapshot, &machine.all()).unwrap();
    let ledger = &against.components[0];
    assert!(ledger.now.is_none() && ledger.notes[0].contains("not there"), "{ledger:?}");
    let left = std::fs::read_dir(&machine.folder).unwrap();
    let left = left
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("nodekeep"));
    assert_eq!(left.count(), 0, "no copy is left");
}

#[test]
fn the_latest_that_has_a_component_is_found() {
    let machine = Machine::new();
    let node = machine.node(LEDGER);
    lay(&machine.data(), &[("ledger.jsonl", "{}\n")]);
    machine.back_up(&node);
    let only = |name: &str| Wish { only: vec![name.to_owned()], ..Wish::default() };
    machine.back_up_some(&node, &only("ledger"));
    machine.back_up_some(&node, &only("wallet"));
    let snapshots = machine.snapshots();
    let latest = When::Latest { back: 0 };
    let found = |wanted: &[&str]| {
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        let found = pick(&snapshots, "n", &latest, &wanted);
        found.map(|snapshot| snapshot.record.id).map_err(|error| error.to_string())
    };
    assert_eq!(found(&[]), Ok(snapshots[0].record.id), "what was sampled is not the latest");
    assert_eq!(found(&["ledger"]), Ok(snapshots[1].record.id));
    assert_eq!(found(&["wallet"]), Ok(snapshots[2].record.id));
    assert_eq!(found(&["wallet", "ledger"]), Ok(snapshots[0].record.id));
    assert!(found(&["nothing"]).unwrap_err().ends_with("with nothing"));
    let wish = restore::Wish { only: vec!["ledger".to_owned()], ..restore::Wish::default() };
    let refused = machine.ground().plan_restore(&node, &snapshots[2], &machine.all(), &wish);
    assert!(matches!(refused, Err(Error::NotHeld { .. })), "{refused:?}");
}

#[test]
fn exclusions_of_a_profile_name_the_nodes_own_folders() {
    let machine = Machine::new();
    let node = machine.node(LEDGER);
    let files =
        [("ledger.jsonl", "{}\n"), ("cache/big", "x"), ("sub/cache/kept", "x"), ("a.tmp", "x")];
    lay(&machine.data(), &files);
    let done = machine.back_up(&node);
    let rest = done.manifest.components.iter().find(|record| record.name == "rest").unwrap();
    assert_eq!(rest.files, 1, "{rest:?}");
}
