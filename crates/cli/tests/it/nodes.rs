//! The stories of nodes, typed: Relay from registration to the worst day.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Bed, one_folder};

/// A Relay with a chain of one block, and keys.
fn relay(bed: &Bed) {
    for folder in ["blockchain", "voting", "security", "users", "system"] {
        fs::create_dir_all(bed.path("relay/data").join(folder)).unwrap();
    }
    // The hash is the SHA-256 of the line without it.
    let block = r#"{"index":0,"timestamp":1,"transactions":[],"previousHash":"0","nonce":1,"hash":"8d0991d9663876cfe24de308915da64d852a2f66365fb443acd2bba2c38348c0"}"#;
    let chain = bed.path("relay/data/blockchain/chain.jsonl");
    fs::write(chain, format!("{block}\n")).unwrap();
    let files = [
        ("blockchain/nonces.jsonl", "{\"nonce\":\"a\",\"timestamp\":1}\n"),
        ("voting/session-votes.json", "{}"),
        ("security/signal-keys.json", "{}"),
        ("security/signal-sessions.json", "{\"n\":1}"),
        ("security/group-signal-sessions.json", "{}"),
        ("users/users.json", "{}"),
        ("users/invites.json", "{}"),
        ("system/config.json", "{}"),
    ];
    for (name, text) in files {
        bed.write(&format!("relay/data/{name}"), text);
    }
}

fn registered() -> Bed {
    let bed = Bed::new();
    relay(&bed);
    let found = bed.ok(&["node", "detect", "./relay"]);
    assert!(found.contains("nodekeep node add relay --profile relay"), "{found}");
    bed.ok(&["node", "add", "relay1", "--profile", "relay", "--path", "./relay/data"]);
    bed
}

#[test]
fn a_ratchet_never_runs_backwards_unasked() {
    let bed = registered();
    bed.ok(&["backup", "relay1"]);
    bed.write("relay/data/security/signal-sessions.json", "{\"n\":2}");
    bed.ok(&["backup", "relay1"]);
    let refused = bed.run(&["restore", "relay1@latest~1", "--yes"]);
    assert_eq!(refused.code, 12, "{}", refused.stderr);
    assert!(refused.stderr.contains("--remedy signal-sessions=drop"), "{}", refused.stderr);
    let sessions = bed.path("relay/data/security/signal-sessions.json");
    assert_eq!(fs::read_to_string(&sessions).unwrap(), "{\"n\":2}");
}

/// A machine that gave a node up and backs it up again has started it by mistake, or takes it back: either way it is said.
#[test]
fn a_backup_says_that_the_node_was_retired_here() {
    let bed = registered();
    assert!(!bed.run(&["backup", "relay1"]).stderr.contains("Careful"));
    bed.ok(&["node", "retire", "relay1", "--yes", "--answer", "moved to the new server"]);
    let told = bed.run(&["backup", "relay1"]);
    assert_eq!(told.code, 0, "{}", told.stderr);
    assert!(told.stderr.contains("this machine was retired at"), "{}", told.stderr);
    assert!(told.stderr.contains("moved to the new server"), "{}", told.stderr);
}

#[test]
fn names_that_are_taken_or_none_are_refused() {
    let bed = registered();
    let again = bed.run(&["node", "add", "relay1", "--profile", "directory", "--path", "./relay"]);
    assert_eq!(again.code, 9, "{}", again.stderr);
    let unknown = bed.run(&["backup", "relay2"]);
    assert_eq!(unknown.code, 8);
    assert!(
        unknown.stderr.contains("relay1"),
        "those that are there are named: {}",
        unknown.stderr
    );
    let component = bed.run(&["backup", "relay1", "--component", "consensus"]);
    assert_eq!(component.code, 2, "{}", component.stderr);
}

#[test]
fn a_node_that_was_forgotten_is_none() {
    let bed = registered();
    bed.ok(&["node", "remove", "relay1", "--yes"]);
    let ran = bed.run(&["node", "list"]);
    assert!(
        ran.stderr.is_empty() && !ran.stdout.contains("removed-"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    let unknown = bed.run(&["backup", "relay1"]);
    assert!(!unknown.stderr.contains("removed-"), "{}", unknown.stderr);
}

#[test]
fn what_is_mistyped_at_registration_is_told() {
    let bed = registered();
    let add = |set: &str, path: &str| {
        bed.run(&["node", "add", "r2", "--profile", "relay", "--set", set, "--path", path])
    };
    let refused = add("servise=relay", "./relay/data");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("`servise`") && refused.stderr.contains("service"));
    let told = add("service=relay", "./relay/dta");
    assert!(
        told.stderr.contains("is not there") && told.stderr.contains("relay/dta"),
        "{}",
        told.stderr
    );
}

#[test]
fn a_rollback_is_accepted_for_a_reason() {
    let bed = registered();
    bed.ok(&["backup", "relay1"]);
    bed.write("relay/data/security/signal-sessions.json", "{\"n\":2}");
    bed.ok(&["backup", "relay1"]);
    let restore = |more: &[&str]| {
        bed.run(&[&["restore", "relay1@latest~1", "--yes", "--leave-stopped"], more].concat())
    };
    let refused = restore(&["--accept-rollback", " "]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    let dry = restore(&["--accept-rollback", "a test", "--dry-run"]);
    assert!(dry.stdout.contains("because: a test"), "{}", dry.stdout);
    assert!(!dry.stdout.contains("What can be done"), "{}", dry.stdout);
}

#[test]
fn hooks_after_a_backup_are_told_how_it_went() {
    let bed = Bed::new();
    bed.write("data/a", "one");
    bed.write(
        "mine.toml",
        "name = \"mine\"\ntitle = \"Mine\"\nabout = \"For tests.\"\n\
         [[root]]\nname = \"data\"\nabout = \"its data\"\n\
         [[component]]\nname = \"all\"\nabout = \"all\"\npath = \"{data}\"\n\
         [[component]]\nname = \"db\"\nabout = \"rows\"\npath = \"{data}/../db\"\nkind = \"sqlite\"\nrequired = true\n\
         [hooks]\nafter-backup = [\"echo $NODEKEEP_STATUS >> {data}/../log\"]\n",
    );
    bed.ok(&["node", "add", "n", "--profile", "./mine.toml", "--path", "./data"]);
    assert_eq!(bed.run(&["backup", "n"]).code, 3, "its database is not there");
    rusqlite::Connection::open(bed.path("db"))
        .unwrap()
        .execute_batch("CREATE TABLE t (n)")
        .unwrap();
    bed.ok(&["backup", "n"]);
    assert_eq!(bed.read("log"), "incomplete\ncomplete\n");
}

#[test]
fn a_directory_comes_back_on_a_bare_machine() {
    let bed = Bed::new();
    bed.write("notes/a.txt", "one");
    bed.ok(&["node", "add", "notes", "--profile", "directory", "--path", "./notes"]);
    bed.ok(&["backup", "notes"]);
    let shown = bed.ok(&["snapshot", "show", "notes"]);
    assert!(shown.contains("node      notes (directory)"), "{shown}");
    fs::remove_dir_all(bed.path("notes")).unwrap();
    fs::remove_dir_all(bed.path("home/nodes")).unwrap();
    let restored = bed.ok(&["restore", "notes", "--yes"]);
    assert!(restored.contains("Restored the node notes"), "{restored}");
    assert_eq!(fs::read_to_string(bed.path("notes/a.txt")).unwrap(), "one");
    assert!(bed.ok(&["node", "list"]).contains("notes"));
    let drilled = bed.ok(&["drill", "notes"]);
    assert!(drilled.contains("the node was not started"), "{drilled}");
    assert!(bed.ok(&["drill", "list"]).contains("notes"));
    // Records are neither listed nor pruned as snapshots.
    assert_eq!(bed.ok(&["snapshot", "list"]).lines().count(), 2);
}

#[test]
fn a_database_is_recognised_and_copied_as_one() {
    let bed = Bed::new();
    let path = bed.path("app.sqlite");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.pragma_update(None, "journal_mode", "wal").unwrap();
    database.execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (41)").unwrap();
    let told = bed.ok(&["backup", "./app.sqlite"]);
    assert!(told.contains("as sqlite"), "{told}");
    bed.ok(&["restore", "./app.sqlite@latest", "--target", "./out"]);
    assert!(!bed.path("out/app.sqlite-wal").exists());
    let copy = rusqlite::Connection::open(bed.path("out/app.sqlite")).unwrap();
    let n: u32 = copy.query_row("SELECT n FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(n, 41, "what was in the write-ahead log only");
    let refused = bed.run(&["backup", "./relay", "--kind", "rocksdb"]);
    assert_eq!(refused.code, 8, "{}", refused.stderr);
}

#[test]
fn linked_lines_are_recognised_or_described() {
    let bed = Bed::new();
    relay(&bed);
    let chain = "relay/data/blockchain/chain.jsonl";
    let whole = bed.read(chain);
    bed.write(chain, &format!("{whole}{{\"index\":1,"));
    let torn = bed.run(&["backup", &format!("./{chain}")]);
    assert_eq!(torn.code, 0, "{}{}", torn.stdout, torn.stderr);
    assert!(torn.stdout.contains("the last line was not whole"), "{}", torn.stdout);
    assert!(torn.stdout.contains("as jsonl-chain"), "{}", torn.stdout);
    let shown = bed.ok(&["snapshot", "show", &format!("./{chain}@latest")]);
    assert!(shown.contains("jsonl-chain"), "{shown}");
    assert!(shown.contains("1 block") && shown.contains("the last line was not whole"), "{shown}");
    bed.ok(&["restore", &format!("./{chain}@latest"), "--target", "./out"]);
    assert_eq!(bed.read("out/chain.jsonl"), whole, "to its last whole line");

    bed.write("own.jsonl", "{\"me\":\"x\",\"before\":\"\"}\n");
    let unknown = bed.run(&["backup", "./own.jsonl", "--kind", "jsonl-chain"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("--chain"), "{}", unknown.stderr);
    let rule = "hash = \"me\", previous = \"before\", function = \"sha256\", over = [\"before\"]";
    let told = bed.run(&["backup", "./own.jsonl", "--kind", "jsonl-chain", "--chain", rule]);
    assert!(told.stdout.contains("as jsonl-chain"), "{}{}", told.stdout, told.stderr);
    let bad = bed.run(&["backup", "./own.jsonl", "--kind", "jsonl-chain", "--chain", "hsah = 1"]);
    assert_eq!(bad.code, 2, "{}", bad.stderr);
}

#[test]
fn data_elsewhere_is_checked_by_the_nodes_rules() {
    let bed = registered();
    bed.ok(&["backup", "relay1"]);
    bed.ok(&["restore", "relay1", "--target", "./out"]);
    bed.ok(&["check", "relay1", "--data-dir", "./out", "--full"]);
    bed.write("out/blockchain/nonces.jsonl", "{\"nonce\":\n{}\n");
    let found = bed.run(&["check", "relay1", "--data-dir", "./out"]);
    assert_eq!(found.code, 4);
    assert!(found.stdout.contains("nonces.jsonl"), "{}", found.stdout);
}

#[test]
fn a_restore_that_a_crash_interrupted_is_finished_at_the_next_start() {
    let bed = Bed::new();
    bed.write("notes/a.txt", "live");
    bed.write(".staged/a.txt", "restored");
    bed.ok(&["node", "add", "notes", "--profile", "directory", "--path", "./notes"]);
    let rename = |from: &str, to: &str, seen_by: &str| serde_json::json!({ "from": bed.path(from), "to": bed.path(to), "seen_by": seen_by });
    let journal = serde_json::json!({
        "snapshot": "4f2a91c0",
        "renames": [rename("notes", "before", "arrived"), rename(".staged", "notes", "left")],
        "aside": [bed.path("before")],
    });
    bed.write("home/nodes/notes/restore.json", &journal.to_string());
    let said = bed.run(&["node", "list"]);
    assert!(said.stderr.contains("was put in place"), "{}", said.stderr);
    assert_eq!(bed.read("notes/a.txt"), "restored");
    assert_eq!(bed.read("before/a.txt"), "live");
    assert!(!bed.path("home/nodes/notes/restore.json").exists());
}

#[test]
fn a_backup_of_the_old_tool_becomes_a_snapshot_of_the_node() {
    let bed = registered();
    let old = "backups/backup-2025-09-18T16-08-34-266Z";
    for (name, text) in [
        ("blockchain-data/chain.jsonl", ""),
        ("blockchain-data/nonces.jsonl", "{\"nonce\":\"old\",\"timestamp\":1}\n"),
        ("voting-data/session-votes.json", "{}"),
        ("security-data/signal-keys.json", "{}"),
        ("user-data/users.json", "{\"old\":true}"),
        ("system-config/config.json", "{}"),
    ] {
        bed.write(&format!("{old}/{name}"), text);
    }
    bed.ok(&["backup", "relay1"]);
    let imported = bed.run(&["snapshot", "import", old, "--node", "relay1"]);
    assert!(imported.stdout.contains("captured 2025-09-18 "), "{}", imported.stdout);
    assert!(imported.stdout.contains("0 blocks, 1 nonce\n"), "{}", imported.stdout);
    assert!(imported.stdout.contains("sender-keys"), "what is missing is named");
    let id = bed.ids().into_iter().next().unwrap();
    bed.ok(&["restore", &id, "--target", "./out"]);
    let users =
        bed.path("out").join(bed.path("relay/data/users/users.json").strip_prefix("/").unwrap());
    assert_eq!(fs::read_to_string(users).unwrap(), "{\"old\":true}");
    let refused = bed.run(&["snapshot", "import", old]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
}

/// A node whose hold is never entered by itself, with a hook after its backup.
const NEVER_HELD: &str = one_folder!(
    r#"
name = "never"
title = "Never held"
about = "Waits forever to be held."
"#,
    r#"
[hold]
method = "maintenance"
enter = "touch HERE/entering; while true; do sleep 0.05; done"
exit = "touch HERE/released"

[hooks]
after-backup = ["touch HERE/after"]
"#
);

#[test]
fn a_wish_to_stop_is_heard_while_a_hold_is_entered() {
    let bed = Bed::new();
    bed.write("never.toml", &NEVER_HELD.replace("HERE", &bed.text("")));
    bed.ok(&["init"]);
    bed.ok(&["node", "add", "n1", "--profile-file", "never.toml", "--path", "./data"]);
    // To count what would be read, the node is not held.
    let counted = bed.ok(&["backup", "n1", "--dry-run"]);
    assert!(counted.contains("2 new, 0 changed") && counted.contains("to read"), "{counted}");
    assert!(!bed.path("entering").exists());
    let mut child = bed.command(&["backup", "n1"]).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while !bed.path("entering").exists() {
        assert!(Instant::now() < until, "the hold is not entered");
        sleep(Duration::from_millis(20));
    }
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(bed.path("released").exists() && bed.path("after").exists(), "it was not let go");
    assert_eq!(bed.json(&["snapshot", "list"])["snapshots"].as_array().unwrap().len(), 0);
    let status = bed.ok(&["maintenance", "status", "n1"]);
    assert!(!status.contains("since"), "{status}");
}
