//! What a program takes: given back before the start or through the running node, and kept until it was taken.

use nodekeep_service::error::Error;
use nodekeep_service::restore::giving::resume;
use nodekeep_service::restore::{Restored, Wish};

use crate::lab::{Machine, lay, read};

/// A node whose wallet is only told by a program, beside its files. `WHEN` is filled in.
const WALLET: &str = r#"
name = "wallet"
title = "Wallet"
about = "For tests."
[[root]]
name = "data"
about = "its data"
[[component]]
name = "wallet"
about = "told by the node alone"
path = "{data}/wallet.dump"
kind = "command"
required = true
[component.options]
dump = "cat {data}/../vault"
restore = "echo restore >> {data}/../log; test -e {data}/../refuses && exit 5; cat > {data}/../vault"
restore-while = "WHEN"
[[component]]
name = "files"
about = "everything else"
path = "{data}"
[service]
stop = "echo stop >> {data}/../log; rm -f {data}/../up"
start = "echo start >> {data}/../log; touch {data}/../up"
running = "test -e {data}/../up"
"#;

fn scene(when: &str) -> (Machine, String) {
    let machine = Machine::new();
    let profile = WALLET.replace("WHEN", when);
    lay(&machine.folder, &[("data/state", "old"), ("vault", "old coins"), ("up", "")]);
    assert!(machine.back_up(&machine.node(&profile)).is_whole());
    lay(&machine.folder, &[("data/state", "new"), ("vault", "new coins")]);
    (machine, profile)
}

fn restore(machine: &Machine, profile: &str, wish: &Wish) -> Result<Restored, Error> {
    let snapshot = machine.snapshots().swap_remove(0);
    machine.ground().restore_node(&machine.node(profile), &snapshot, &machine.all(), wish)
}

/// Copies that lie beside the node's data.
fn copies(machine: &Machine) -> Vec<String> {
    let entries = std::fs::read_dir(machine.data()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(".nodekeep-")).collect()
}

#[test]
fn a_dump_is_taken_when_the_profile_says() {
    for (when, log) in
        [("stopped", "stop\nrestore\nstart\n"), ("running", "stop\nstart\nrestore\n")]
    {
        let (machine, profile) = scene(when);
        let restored = restore(&machine, &profile, &Wish::default()).unwrap();
        assert!(restored.problems.is_empty(), "{restored:?}");
        assert_eq!(restored.given, [("wallet".to_owned(), vec!["`/bin/sh` took it".to_owned()])]);
        assert_eq!(read(machine.folder.join("log")), log);
        assert_eq!(read(machine.folder.join("vault")), "old coins");
        assert_eq!(read(machine.data().join("state")), "old");
        assert_eq!(read(machine.data().join("wallet.dump")), "entity not found", "it is no file");
        assert!(copies(&machine).is_empty(), "{:?}", copies(&machine));
        assert!(resume(&machine.state.of("n").unwrap()).unwrap().is_empty());
    }
}

#[test]
fn what_only_the_running_node_takes_does_not_stop_it() {
    let (machine, profile) = scene("running");
    let wish = Wish { only: vec!["wallet".to_owned()], ..Wish::default() };
    restore(&machine, &profile, &wish).unwrap();
    assert_eq!(read(machine.folder.join("log")), "restore\n");
    assert_eq!(read(machine.folder.join("vault")), "old coins");
    assert_eq!(read(machine.data().join("state")), "new");
}

#[test]
fn what_is_refused_is_kept_and_can_be_given_again() {
    for (when, log) in [("stopped", "stop\nrestore\n"), ("running", "stop\nstart\nrestore\n")] {
        let (machine, profile) = scene(when);
        lay(&machine.folder, &[("refuses", "")]);
        let restored = restore(&machine, &profile, &Wish::default()).unwrap();
        assert_eq!(read(machine.folder.join("log")), log, "a node without its wallet stays down");
        let told = &restored.problems[0];
        assert!(told.contains("exit code 5") && told.contains("--component wallet"), "{told}");
        let state = machine.state.of("n").unwrap();
        let [waiting] = resume(&state).unwrap().try_into().unwrap();
        assert_eq!(read(&waiting.copy), "old coins");
        assert!(told.contains(&waiting.copy.display().to_string()), "{told}");
        assert_eq!(read(machine.folder.join("vault")), "new coins");
        std::fs::remove_file(machine.folder.join("refuses")).unwrap();
        let wish = Wish { only: vec!["wallet".to_owned()], ..Wish::default() };
        assert!(restore(&machine, &profile, &wish).unwrap().problems.is_empty());
        assert_eq!(read(machine.folder.join("vault")), "old coins");
        assert!(machine.folder.join("up").exists());
        assert!(resume(&state).unwrap().is_empty() && copies(&machine).is_empty());
    }
}

#[test]
fn the_running_node_cannot_take_what_it_is_not_there_for() {
    let (machine, profile) = scene("running");
    let wish = Wish { leave_stopped: true, ..Wish::default() };
    let refused = restore(&machine, &profile, &wish);
    assert!(matches!(refused, Err(Error::NeedsRunning { .. })), "{refused:?}");
    assert_eq!(read(machine.folder.join("log")), "entity not found");
}

#[test]
fn what_was_not_taken_is_told_at_the_next_start() {
    let (machine, profile) = scene("stopped");
    lay(&machine.folder, &[("refuses", "")]);
    restore(&machine, &profile, &Wish::default()).unwrap();
    machine.state.add(&machine.node(&profile)).unwrap();
    let said = nodekeep_service::resume::resume(&machine.state);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("`wallet`") && said[0].contains("nodekeep restore n@"), "{said:?}");
}
