//! Whether every node is safe, asked and measured: states and their exit codes, targets, metrics in a file and pushed.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::documents::assert_documented;
use crate::support::{Bed, Ran, one_folder};

/// A node that can be looked at, and that a drill starts.
pub const PROFILE: &str = one_folder!(
    r#"
name = "counter"
title = "Counter"
about = "A file that grows."
"#,
    r#"
[[health]]
name = "file"
command = "test -f '{data}/a.txt'"

[[verify]]
name = "starts"
command = "test -f '{data}/a.txt'"
starts-node = true
"#
);

/// The node `n1`, not backed up yet.
pub fn with_node() -> Bed {
    let bed = Bed::new();
    bed.ok(&["init"]);
    bed.write("counter.toml", PROFILE);
    bed.ok(&["node", "add", "n1", "--profile-file", "counter.toml", "--path", "./data"]);
    bed
}

fn document(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", ran.stdout, ran.stderr))
}

fn codes(node: &Value) -> Vec<&str> {
    let reasons = node["reasons"].as_array().unwrap();
    reasons.iter().map(|reason| reason["code"].as_str().unwrap()).collect()
}

#[test]
fn a_node_goes_from_never_to_proven_and_the_exit_code_says_so() {
    let bed = with_node();
    let never = bed.run(&["status", "--all"]);
    assert_eq!(never.code, 14, "{}{}", never.stdout, never.stderr);
    assert!(never.stdout.contains("NEVER") && never.stdout.contains("nodekeep backup n1"));
    bed.ok(&["backup", "n1"]);
    let near = bed.run(&["status", "--all", "--json"]);
    assert_eq!(near.code, 13, "{}", near.stderr);
    let overview = document(&near);
    assert_documented(&overview, "status --all");
    let node = &overview["nodes"][0];
    assert_eq!(node["verdict"], "at-risk");
    assert_eq!(codes(node), ["not-offsite", "never-drilled", "no-schedule"]);
    assert_eq!(
        (&node["here"], &node["host"], &node["snapshots"]),
        (&true.into(), &"box".into(), &1.into())
    );
    assert!(overview["repository"]["capacity"]["free"].as_u64().unwrap() > 0);
    assert_eq!(overview["machines"][0]["nodes"][0], "n1");
    bed.ok(&["drill", "n1"]);
    bed.ok(&["health", "n1"]);
    let drilled = document(&bed.run(&["status", "n1", "--json"]));
    assert_documented(&drilled, "status n1");
    let backups = &drilled["backups"];
    assert_eq!(
        (&backups["drill"]["started"], &backups["health"]["ok"]),
        (&true.into(), &true.into())
    );
    assert_eq!(backups["components"][0]["name"], "files");
    // What this machine wrote down of a copy on another host makes it safe, and the drill proves it.
    let copies = fs::read_dir(bed.path("home/repos")).unwrap().next().unwrap().unwrap().path();
    let finished = jiff::Timestamp::now().as_second() + 5;
    let copy = format!(
        r#"[{{"kind":"mirror","location":"s3://b/p","distance":"other-host","repository":"00","finished":{finished},"checkpoint":1,"snapshots":1}}]"#
    );
    fs::write(copies.join("copies.json"), copy).unwrap();
    let proven = bed.ok(&["status", "--all"]);
    assert!(proven.contains("proven") && proven.contains("mirror at s3://b/p"), "{proven}");
    assert!(bed.ok(&["status", "n1"]).contains("state         proven"));
}

#[test]
fn targets_are_of_the_configuration() {
    let bed = with_node();
    bed.ok(&["backup", "n1"]);
    bed.write("home/config.toml", "[targets]\nrpo = '1h'\n[nodes.n1]\nrpo = '1s'\n");
    thread::sleep(Duration::from_millis(2100));
    let ran = bed.run(&["status", "n1"]);
    assert_eq!(ran.code, 14, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("the target is 1 s: MISSED"), "{}", ran.stdout);
    bed.write("home/config.toml", "[nodes.n1]\nrpq = '1s'\n");
    let refused = bed.run(&["status", "n1"]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("rpq"), "{}", refused.stderr);
}

#[test]
fn a_writer_tells_what_it_did_itself() {
    let bed = with_node();
    bed.ok(&["--as-role", "writer", "backup", "n1"]);
    let ran = bed.run(&["--as-role", "writer", "status", "--all", "--json"]);
    let overview = document(&ran);
    assert_eq!(overview["role"], "writer");
    assert_eq!(overview["repository"]["snapshots"], Value::Null);
    let newest = &overview["nodes"][0]["newest"];
    assert_eq!((&newest["complete"], &newest["bytes"]), (&true.into(), &11.into()));
    assert_eq!(ran.code, 13);
}

#[test]
fn a_node_that_is_not_well_says_so_with_and_without_a_repository() {
    let bed = with_node();
    bed.ok(&["backup", "n1"]);
    fs::rename(bed.path("data/a.txt"), bed.path("data/gone")).unwrap();
    let ran = bed.run(&["status", "n1"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("NOT WELL"), "{}", ran.stdout);
    let apart = bed.run(&["status", "n1", "--repo", "./nowhere"]);
    assert_eq!(apart.code, 1, "{}", apart.stderr);
    assert!(apart.stderr.contains("Nothing is known of its backups"), "{}", apart.stderr);
    assert_eq!(bed.run(&["status", "other"]).code, 8);
}

#[test]
fn each_backup_is_verified_if_asked_for() {
    let bed = with_node();
    bed.ok(&["config", "set", "verify-backups", "true"]);
    let told = bed.ok(&["backup", "n1"]);
    assert!(told.contains("Verified: all chunks of 2 files are there and sizes add up"), "{told}");
    let backups = document(&bed.run(&["status", "n1", "--json"]))["backups"].clone();
    assert_eq!(backups["verified"]["ok"], true);
    let json = bed.json(&["backup", "n1"]);
    assert_eq!(json["verified"], true);
    let writer = bed.run(&["--as-role", "writer", "backup", "n1"]);
    assert!(writer.stderr.contains("Not verified"), "{}", writer.stderr);
}

#[test]
fn metrics_are_shown_and_written_whole() {
    let bed = with_node();
    bed.ok(&["backup", "n1"]);
    let page = bed.ok(&["metrics", "show"]);
    assert!(page.contains("nodekeep_node_state{node=\"n1\",state=\"at-risk\"} 1\n"), "{page}");
    assert!(page.contains("# TYPE nodekeep_backup_last_success_timestamp_seconds gauge\n"));
    bed.ok(&["metrics", "textfile", "nodekeep.prom"]);
    assert_eq!(bed.mode("nodekeep.prom"), 0o644);
    assert!(bed.read("nodekeep.prom").contains("nodekeep_backup_complete{node=\"n1\"} 1\n"));
    let refused = bed.run(&["metrics", "textfile", "nodekeep.txt"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    let nowhere = bed.run(&["metrics", "textfile", "no/such/x.prom"]);
    assert_eq!(nowhere.code, 1, "{}", nowhere.stderr);
    let left = fs::read_dir(bed.path("")).unwrap().flatten();
    assert_eq!(left.filter(|e| e.file_name().to_string_lossy().contains(".prom")).count(), 1);
    assert!(bed.ok(&["metrics", "rules"]).contains("alert: NodekeepBackupOverdue"));
    let dashboard: Value = serde_json::from_str(&bed.ok(&["metrics", "dashboard"])).unwrap();
    assert_eq!(dashboard["title"], "Nodekeep");
}

/// A Pushgateway that takes one request and answers with this status; what it was sent.
fn gateway(status: &'static str) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let taken = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = String::new();
        let mut part = [0; 4096];
        while !is_whole(&text) {
            let read = stream.read(&mut part).unwrap();
            text.push_str(std::str::from_utf8(&part[..read]).unwrap());
        }
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nno\n").unwrap();
        text
    });
    (url, taken)
}

fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    body.len() >= length.unwrap().parse::<usize>().unwrap()
}

#[test]
fn metrics_are_pushed_with_credentials_of_the_configuration_only() {
    let bed = with_node();
    bed.ok(&["backup", "n1"]);
    let (url, taken) = gateway("200 OK");
    bed.write("password", "secret word\n");
    let text = format!(
        "[metrics]\npush = '{url}'\nuser = 'me'\npassword-file = '{}'\n",
        bed.text("password")
    );
    bed.write("home/config.toml", &text);
    bed.ok(&["metrics", "push"]);
    let sent = taken.join().unwrap();
    assert!(sent.starts_with("PUT /metrics/job/nodekeep/instance/box HTTP/1.1\r\n"), "{sent}");
    assert!(sent.to_lowercase().contains("authorization: basic bwu6c2vjcmv0ihdvcmq="), "{sent}");
    assert!(sent.contains("\nnodekeep_backup_complete{node=\"n1\"} 1\n"), "{sent}");
    let (url, taken) = gateway("400 Bad Request");
    let refused = bed.run(&["metrics", "push", &url]);
    assert_eq!(refused.code, 10, "{}", refused.stderr);
    assert!(refused.stderr.contains("400 Bad Request no"), "{}", refused.stderr);
    taken.join().unwrap();
    let told = bed.run(&["metrics", "push", "http://me:secret@127.0.0.1:1"]);
    assert_eq!(told.code, 2);
    assert!(!told.stderr.contains("secret"), "{}", told.stderr);
    bed.write("home/config.toml", "");
    assert!(bed.run(&["metrics", "push"]).stderr.contains("no Pushgateway is named"));
}
