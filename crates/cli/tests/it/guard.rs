//! A command between a verified backup and a look at the node: kept, rolled back, refused by the fence, killed.

use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fleet::{PROFILE, with_node};
use crate::support::Bed;

/// Runs a shell line under guard.
fn guard(bed: &Bed, how: &str, line: &str) -> crate::support::Ran {
    bed.run(&["guard", "n1", "--patience", "2", "--on-failure", how, "--", "sh", "-c", line])
}

#[test]
fn a_command_that_succeeds_leaves_a_verified_backup_behind() {
    let bed = with_node();
    let ran = guard(&bed, "rollback", "echo out; echo err >&2; echo two >> data/a.txt");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.stdout, "out\n", "its output is passed through");
    assert!(ran.stderr.contains("Backed up and verified") && ran.stderr.contains("err\n"));
    assert_eq!(bed.read("data/a.txt"), "alpha\ntwo\n");
    let show = bed.json(&["snapshot", "show", "n1@latest"]);
    assert_eq!(show["tags"]["guard"], "before");
    let json = bed.run(&["guard", "n1", "--json", "--", "sh", "-c", "echo noise"]);
    let document: Value = serde_json::from_str(&json.stdout).unwrap();
    crate::documents::assert_documented(&document, "guard");
    assert_eq!((&document["code"], &document["well"]), (&0.into(), &true.into()));
}

#[test]
fn a_command_that_fails_is_rolled_back_or_kept_and_its_own_code_comes_through() {
    let bed = with_node();
    let breaks = "echo broken > data/a.txt; echo new > data/new.txt; exit 7";
    let ran = guard(&bed, "rollback", breaks);
    assert_eq!(ran.code, 7, "{}", ran.stderr);
    assert!(ran.stderr.contains("Rolled back to snapshot"), "{}", ran.stderr);
    assert_eq!(bed.read("data/a.txt"), "alpha\n");
    assert!(!bed.path("data/new.txt").exists());
    let kept = guard(&bed, "keep", breaks);
    assert_eq!(kept.code, 7);
    assert!(kept.stderr.contains("To roll back: nodekeep restore n1@"), "{}", kept.stderr);
    assert_eq!(bed.read("data/a.txt"), "broken\n");
    // Without a terminal nobody can be asked.
    assert!(guard(&bed, "ask", "exit 5").stderr.contains("left as it is"));
    assert_eq!(guard(&bed, "keep", "kill -9 $$").code, 137);
    let missing = bed.run(&["guard", "n1", "--", "/no/such/program"]);
    assert_eq!(missing.code, 1, "{}", missing.stderr);
    assert!(!bed.run(&["node", "list"]).stderr.contains("cut off"), "nothing was run");
}

#[test]
fn a_node_that_is_not_well_afterwards_is_rolled_back() {
    let bed = with_node();
    let ran = guard(&bed, "rollback", "mv data/a.txt data/moved");
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("n1 is not well: file"), "{}", ran.stderr);
    assert_eq!(bed.read("data/a.txt"), "alpha\n");
}

#[test]
fn a_rollback_that_would_rewind_is_refused_and_nothing_is_changed() {
    let bed = with_node();
    let fenced = format!(
        "{PROFILE}\n[[fence]]\nname = \"sent\"\nabout = \"A number would be used twice.\"\nkind = \"nonce\"\ncomponent = \"files\"\nmark = {{ lines = {{ file = \"sent.log\" }} }}\n"
    );
    bed.write("fenced.toml", &fenced);
    bed.write("data/sent.log", "1\n");
    bed.ok(&["node", "remove", "n1", "--yes"]);
    bed.ok(&["node", "add", "n1", "--profile-file", "fenced.toml", "--path", "./data"]);
    let ran = guard(&bed, "rollback", "echo 2 >> data/sent.log; exit 7");
    assert_eq!(ran.code, 12, "{}", ran.stderr);
    assert_eq!(bed.read("data/sent.log"), "1\n2\n");
    assert!(ran.stderr.contains("2 -> 1, 1 back"), "{}", ran.stderr);
    // It ended in good order: nothing is left to answer.
    assert!(!bed.run(&["node", "list"]).stderr.contains("cut off"));
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not come");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn one_that_is_killed_is_told_at_the_next_start_until_it_is_answered() {
    let bed = with_node();
    let line = "echo half > data/a.txt; touch begun; exec sleep 5";
    let words = ["guard", "n1", "--on-failure", "keep", "--", "sh", "-c", line];
    let mut command = bed.command(&words);
    let mut victim = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the command", || bed.path("begun").exists());
    assert!(!bed.run(&["node", "list"]).stderr.contains("cut off"), "it goes on");
    let busy = bed.run(&["guard", "n1", "--", "true"]);
    assert_eq!(busy.code, 11, "{}", busy.stderr);
    victim.kill().unwrap();
    victim.wait().unwrap();
    for _ in 0..2 {
        let told = bed.run(&["node", "list"]).stderr;
        assert!(told.contains("while its command ran"), "{told}");
    }
    let again = bed.run(&["guard", "n1", "--", "true"]);
    assert_eq!(again.code, 9, "{}", again.stderr);
    assert!(again.stderr.contains("nodekeep guard n1 --forget"), "{}", again.stderr);
    // A restore is an answer.
    bed.ok(&["restore", "n1", "--yes"]);
    assert_eq!(bed.read("data/a.txt"), "alpha\n");
    assert!(!bed.run(&["node", "list"]).stderr.contains("cut off"));
    bed.ok(&["guard", "n1", "--", "true"]);
}

#[test]
fn a_backup_that_is_not_whole_keeps_the_command_from_running() {
    let bed = with_node();
    fs::remove_dir_all(bed.path("data")).unwrap();
    let ran = guard(&bed, "keep", "touch ran");
    assert_ne!(ran.code, 0);
    assert!(!bed.path("ran").exists());
    bed.write("data/a.txt", "alpha\n");
    assert!(bed.run(&["node", "list"]).stderr.contains("nothing was changed"));
    assert_eq!(guard(&bed, "keep", "touch ran").code, 0);
}

#[test]
fn a_deploy_command_is_guarded_where_the_configuration_says_so() {
    let bed = with_node();
    let none = bed.run(&["deploy", "n1"]);
    assert_eq!(none.code, 8, "{}", none.stderr);
    bed.ok(&["node", "remove", "n1", "--yes"]);
    let line = "echo deployed >> data/a.txt; exit $(cat code)";
    let add = ["node", "add", "n1", "--profile-file", "counter.toml", "--path", "./data"];
    bed.ok(&[&add[..], &["--deploy", line]].concat());
    bed.write("code", "0");
    bed.ok(&["deploy", "n1"]);
    assert_eq!(bed.ids().len(), 0, "nobody asked for a backup");
    bed.ok(&["config", "set", "pre-deployment-backup", "true"]);
    bed.write("code", "3");
    let ran = bed.run(&["deploy", "n1", "--on-failure", "rollback"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert_eq!(bed.read("data/a.txt"), "alpha\ndeployed\n", "as before the second");
    assert_eq!(bed.ids().len(), 1);
}
