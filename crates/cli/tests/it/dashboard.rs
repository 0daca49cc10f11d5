//! The dashboard's API beside the real daemon: tokens, plans, jobs by hand, live progress, what happens when the daemon is killed.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::served::Daemon;
use crate::support::{Bed, one_folder};

/// A node that is held for as long as a test wants: while there is a file `keep`, each hold waits for a file `go` and takes it away.
const PROFILE: &str = one_folder!(
    r#"
name = "slow"
title = "Slow"
about = "Held as a test has it."
"#,
    r#"
[hold]
method = "maintenance"
enter = "while test -e FOLDER/keep && ! rm FOLDER/go 2>/dev/null; do sleep 0.05; done"
exit = "touch FOLDER/released"
"#
);

fn with_node() -> Bed {
    let bed = Bed::new();
    bed.write("slow.toml", &PROFILE.replace("FOLDER", &bed.text("")));
    bed.ok(&["init"]);
    bed.ok(&["node", "add", "n1", "--profile-file", "slow.toml", "--path", "./data"]);
    bed.write("home/config.toml", "[http]\nlisten = \"127.0.0.1:0\"\n");
    bed
}

#[test]
fn a_backup_is_planned_started_watched_and_listed() {
    let bed = with_node();
    bed.write("keep", "");
    let daemon = Daemon::start(&bed, "owner");
    let mut events = TcpStream::connect(daemon.address).unwrap();
    events.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(
        events,
        "GET /api/v1/events HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        daemon.token
    )
    .unwrap();
    let mut lines = BufReader::new(events).lines();
    assert!(lines.any(|line| line.unwrap() == ": here"), "the stream is open");
    sleep(Duration::from_millis(600));
    let id = daemon.start_job(json!({ "action": "backup", "node": "n1" }));
    let mut states = Vec::new();
    let mut event = String::new();
    for line in lines {
        let line = line.unwrap();
        match line.split_once(": ") {
            Some(("event", name)) => event = name.to_owned(),
            Some(("data", data)) if event == "job" => {
                let job: Value = serde_json::from_str(data).unwrap();
                assert_eq!((&job["id"], &job["by"]), (&json!(id), &json!("me0")));
                if job["state"] == "running" && !states.iter().any(|state| state == "running") {
                    bed.write("go", "");
                }
                states.push(job["state"].as_str().unwrap().to_owned());
            }
            // Pages are told to ask again at other moments too.
            Some(("data", _)) if event == "overview" && states.ends_with(&["done".into()]) => break,
            _ => {}
        }
    }
    states.dedup();
    assert!(states.ends_with(&["running".into(), "done".into()]), "{states:?}");
    let (_, list) = daemon.get("/snapshots?node=n1");
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list:#}");
    let (_, overview) = daemon.get("/overview");
    assert_eq!(overview["nodes"][0]["snapshots"], 1, "{overview:#}");
    let (_, log) = daemon.get("/log");
    assert!(log["items"].as_array().unwrap().iter().any(|line| line["job"] == id), "{log:#}");
    daemon.stop();
}

#[test]
fn jobs_of_one_node_wait_for_each_other_and_can_be_stopped() {
    let bed = with_node();
    bed.write("keep", "");
    let daemon = Daemon::start(&bed, "owner");
    let first = daemon.start_job(json!({ "action": "backup", "node": "n1" }));
    let second = daemon.start_job(json!({ "action": "backup", "node": "n1" }));
    let third = daemon.start_job(json!({ "action": "health", "node": "n1" }));
    daemon.wait(&first, &["running"]);
    assert_eq!(daemon.get(&format!("/jobs/{second}")).1["state"], "waiting");
    let (_, stopped) = daemon.post(&format!("/jobs/{third}/stop"), &json!({}));
    assert_eq!((&stopped["state"], stopped["message"].is_string()), (&json!("failed"), true));
    bed.write("go", "");
    daemon.wait(&first, &["done"]);
    daemon.wait(&second, &["running"]);
    std::fs::remove_file(bed.path("released")).unwrap();
    // Its hold is being entered, and will not be: nobody writes the file that it waits for.
    daemon.post(&format!("/jobs/{second}/stop"), &json!({}));
    let ended = daemon.wait(&second, &["done", "failed"]);
    assert_eq!(ended["state"], "failed", "{ended:#}");
    assert!(bed.path("released").exists(), "what was entered is left");
    daemon.stop();
}

#[test]
fn what_waits_survives_a_daemon_that_is_killed() {
    let bed = with_node();
    bed.write("keep", "");
    let mut daemon = Daemon::start(&bed, "owner");
    let first = daemon.start_job(json!({ "action": "backup", "node": "n1" }));
    let second = daemon.start_job(json!({ "action": "backup", "node": "n1" }));
    daemon.wait(&first, &["running"]);
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    let daemon = Daemon::start(&bed, "owner");
    std::fs::remove_file(bed.path("keep")).unwrap();
    daemon.wait(&first, &["done", "failed", "lost"]);
    let ended = daemon.wait(&second, &["done"]);
    assert_eq!((&ended["by"], &ended["schedule"]), (&json!("me0"), &Value::Null));
    daemon.stop();
}

#[test]
fn a_restore_shows_its_plan_and_the_fences_word_and_needs_the_nodes_name() {
    let bed = with_node();
    bed.ok(&["backup", "n1"]);
    let daemon = Daemon::start(&bed, "owner");
    let (status, plan) = daemon.post("/plans", &json!({ "action": "restore", "node": "n1" }));
    assert_eq!((status, &plan["confirm"]), (200, &json!("n1")), "{plan:#}");
    assert!(plan["fence"]["verdict"].is_string() && !plan["lines"].as_array().unwrap().is_empty());
    let sent = json!({ "plan": plan["plan"], "confirm": "n2" });
    assert_eq!(daemon.post("/jobs", &sent).1["error"]["code"], "needs-confirmation");
    let to = bed.text("elsewhere");
    let id = daemon.start_job(json!({ "action": "restore", "node": "n1", "to": to }));
    let job = daemon.wait(&id, &["done", "failed"]);
    assert_eq!(job["state"], "done", "{job:#}");
    assert_eq!(bed.read("elsewhere/a.txt"), "alpha\n");
    let (_, again) =
        daemon.post("/plans", &json!({ "action": "restore", "node": "n1", "to": "relative" }));
    assert_eq!(again["error"]["code"], "usage");
    daemon.stop();
}

#[test]
fn a_port_that_is_taken_keeps_no_job_from_its_time() {
    let bed = with_node();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    bed.write("home/config.toml", &format!("[http]\nlisten = \"{address}\"\n"));
    let mut child = bed
        .command(&["daemon", "run", "--json"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let said = lines.find_map(|line| {
        let event: Value = serde_json::from_str(&line.unwrap()).ok()?;
        event["event"]["trouble"]["message"].as_str().map(str::to_owned)
    });
    assert!(said.unwrap().contains(&address.to_string()));
    let until = Instant::now() + Duration::from_secs(20);
    while bed.run(&["daemon", "status"]).code != 0 {
        assert!(Instant::now() < until, "the daemon works");
        sleep(Duration::from_millis(50));
    }
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_writers_daemon_opens_no_identity() {
    let bed = with_node();
    let daemon = Daemon::start(&bed, "writer");
    let (status, refused) = daemon.get("/snapshots");
    assert_eq!((status, &refused["error"]["code"]), (403, &json!("role")), "{refused:#}");
    let id = daemon.start_job(json!({ "action": "backup", "node": "n1" }));
    assert_eq!(daemon.wait(&id, &["done", "failed"])["state"], "done");
    assert!(daemon.events.try_iter().all(|event| event["event"]["trouble"].is_null()));
    daemon.stop();
}

#[test]
fn tokens_are_shown_once_and_listed_without_what_opens() {
    let bed = with_node();
    let token = bed.ok(&["daemon", "token", "add", "phone", "--role", "read", "--expires", "90d"]);
    let token = token.trim();
    assert!(token.starts_with("nkt_"), "{token}");
    let listed = bed.ok(&["daemon", "token", "list", "--json"]);
    assert!(listed.contains("phone") && !listed.contains(token), "{listed}");
    assert_eq!(bed.mode("home/tokens.json"), 0o600);
    assert_eq!(bed.run(&["daemon", "token", "add", "phone", "--role", "read"]).code, 9);
    bed.ok(&["daemon", "token", "remove", "phone"]);
    assert_eq!(bed.run(&["daemon", "token", "remove", "phone"]).code, 8);
}
