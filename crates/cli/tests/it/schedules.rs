//! Schedules and the daemon, typed: set up, run, killed at any moment, stopped.

use std::fs;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::os::unix::process::CommandExt;

use crate::support::{Bed, one_folder};

/// A node that is held while it is captured, and shows it by a file.
const PROFILE: &str = one_folder!(
    r#"
name = "held"
title = "Held"
about = "Holds while it is captured."
"#,
    r#"
[hold]
method = "maintenance"
enter = "touch '{data}/../held'; sleep 0.1"
exit = "rm -f '{data}/../held'"
"#
);

fn with_node() -> Bed {
    let bed = Bed::backed_up();
    bed.write("held.toml", PROFILE);
    bed.ok(&["node", "add", "n1", "--profile-file", "held.toml", "--path", "./data"]);
    bed
}

/// A schedule that was due before now and is caught up: the daemon begins it at once.
fn due_at_once(bed: &Bed, name: &str) {
    let since = Timestamp::now() - SignedDuration::from_hours(2);
    let text = format!(
        "[[schedule]]\nname = \"{name}\"\nnode = \"n1\"\njob = {{ backup = {{}} }}\nwhen = \"0 * * * *\"\nzone = \"UTC\"\ncatch-up = true\nretries = 6\nretry-after-secs = 1\nsince = \"{since}\"\n"
    );
    bed.write("home/schedules.toml", &text);
}

fn daemon(bed: &Bed) -> Child {
    let mut command = bed.command(&["daemon", "run", "--role", "owner"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap()
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

fn stop(bed: &Bed, mut child: Child) {
    // One that has only just been started does not listen yet.
    wait_for("the daemon", || bed.run(&["daemon", "status"]).code == 0);
    kill_process(pid(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success(), "a daemon that is asked to stop ends well");
}

fn json(bed: &Bed, words: &[&str]) -> Value {
    let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
    serde_json::from_str(&bed.run(&words).stdout).unwrap()
}

/// Jobs of a schedule that ended well.
fn done(bed: &Bed, name: &str) -> usize {
    let document = json(bed, &["daemon", "jobs", name, "--last", "1000"]);
    let jobs = document["jobs"].as_array().unwrap();
    jobs.iter().filter(|job| job["ended"]["ending"] == "done").count()
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not come");
        sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_schedule_is_set_up_shown_paused_and_removed() {
    let bed = with_node();
    let added = bed.ok(&[
        "schedule",
        "add",
        "n1",
        "--frequency",
        "daily",
        "--time",
        "02:00",
        "--keep-last",
        "7",
        "--zone",
        "Europe/Berlin",
    ]);
    assert!(added.contains("n1: nodekeep backup n1\n  at 02:00 (Europe/Berlin)"), "{added}");
    assert!(added.contains("n1-prune: nodekeep snapshot prune --node n1 --keep-last 7"), "{added}");
    let list = bed.ok(&["backup", "schedule", "list"]);
    assert!(list.contains("n1-prune  prune   n1"), "{list}");
    bed.ok(&["schedule", "pause", "n1"]);
    assert!(bed.ok(&["schedule", "show", "n1"]).starts_with("n1 (paused)"));
    bed.ok(&["schedule", "resume", "n1"]);
    let cron = bed.ok(&["schedule", "export", "--format", "cron", "--user", "nodekeep"]);
    assert!(cron.contains("CRON_TZ=Europe/Berlin\n0 2 * * * nodekeep "), "{cron}");
    let units = bed.ok(&["schedule", "export", "--format", "systemd"]);
    assert!(units.contains("OnCalendar=*-*-* 02:00:00 Europe/Berlin"), "{units}");
    let again = bed.run(&["schedule", "add", "n1", "--frequency", "hourly"]);
    assert_eq!(again.code, 9, "{}", again.stderr);
    bed.ok(&["schedule", "remove", "n1"]);
    assert_eq!(bed.run(&["schedule", "show", "n1"]).code, 8);
}

#[test]
fn schedules_travel_in_snapshots_and_components_may_have_their_own() {
    let bed = Bed::backed_up();
    let more = "\n[[component]]\nname = \"votes\"\nabout = \"votes\"\npath = \"{data}/sub\"\nschedule = \"hourly\"\n\n[hold]";
    bed.write("held.toml", &PROFILE.replacen("\n[hold]", more, 1));
    bed.ok(&["node", "add", "n1", "--profile-file", "held.toml", "--path", "./data"]);
    let hinted = bed.run(&["schedule", "add", "n1", "--frequency", "daily", "--name", "x"]);
    assert!(hinted.stderr.contains("would back up `votes` hourly"), "{}", hinted.stderr);
    bed.ok(&["schedule", "remove", "x"]);
    bed.ok(&["schedule", "add", "n1", "--frequency", "daily", "--own-schedules"]);
    bed.ok(&["backup", "n1"]);
    bed.ok(&["schedule", "remove", "n1"]);
    bed.ok(&["schedule", "remove", "n1-votes"]);
    bed.ok(&["node", "remove", "n1", "--yes"]);
    let restored = bed.run(&["restore", "n1", "--yes"]);
    assert!(
        restored.stdout.contains("Its schedule n1-votes is set up here too."),
        "{}{}",
        restored.stdout,
        restored.stderr
    );
    assert!(bed.ok(&["schedule", "list"]).contains("n1-votes"));
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_written() {
    let bed = with_node();
    let cases: [(&[&str], i32, &str); 8] = [
        (&["n2", "--frequency", "daily"], 8, "n2"),
        (&["--frequency", "daily"], 2, "which node?"),
        (&["n1", "--frequency", "dayly"], 2, "write hourly, daily, weekly"),
        (&["n1", "--frequency", "daily", "--time", "25:00"], 2, "02:00"),
        (&["n1", "--frequency", "daily", "--zone", "Mars"], 2, "no time zone `Mars`"),
        (&["n1", "--frequency", "daily", "--component", "x"], 2, "x"),
        (&["n1", "--frequency", "daily", "--job", "prune"], 2, "--keep-last 7"),
        (&["n1", "--frequency", "daily", "--job", "scrub"], 2, "leave out the node"),
    ];
    for (words, code, expected) in cases {
        let words: Vec<&str> = ["schedule", "add"].iter().chain(words).copied().collect();
        let ran = bed.run(&words);
        assert!(ran.stderr.contains(expected), "{words:?}: {}", ran.stderr);
        assert!([code, 1].contains(&ran.code), "{words:?}: {}", ran.code);
    }
    assert!(!bed.path("home/schedules.toml").exists());
}

#[test]
fn a_job_that_fails_says_why_and_gives_its_exit_code() {
    let bed = with_node();
    bed.ok(&["schedule", "add", "n1", "--frequency", "daily"]);
    fs::remove_dir_all(bed.path("data")).unwrap();
    let ran = bed.run(&["schedule", "run-now", "n1"]);
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("nodekeep daemon logs"), "{}", ran.stderr);
    let jobs = bed.ok(&["daemon", "jobs", "--failed"]);
    assert!(jobs.contains("FAILED: "), "{jobs}");
    assert!(!bed.path("held").exists());
}

#[test]
fn a_writers_daemon_opens_no_identity_and_leaves_a_keepers_jobs_alone() {
    let bed = with_node();
    bed.ok(&["--as-role", "writer", "backup", "n1"]);
    let read = bed.run(&["--as-role", "writer", "restore", "n1", "--dry-run"]);
    assert_eq!(read.code, 7, "a writer reads nothing: {}{}", read.stdout, read.stderr);
    due_at_once(&bed, "r");
    let text = bed.read("home/schedules.toml");
    let drill = text.replace("\"r\"", "\"d\"").replace("{ backup = {} }", "\"drill\"");
    bed.write("home/schedules.toml", &format!("{drill}{text}"));
    let mut command = bed.command(&["daemon", "run", "--role", "writer"]);
    let writer = command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn();
    wait_for("the backup", || done(&bed, "r") == 1);
    stop(&bed, writer.unwrap());
    assert_eq!(json(&bed, &["daemon", "jobs", "d"])["jobs"].as_array().unwrap().len(), 0);
}

#[test]
fn one_daemon_works_at_a_time_and_stops_in_good_order() {
    let bed = with_node();
    due_at_once(&bed, "first");
    let first = daemon(&bed);
    wait_for("the backup", || done(&bed, "first") == 1);
    let second = bed.run(&["daemon", "run"]);
    assert_eq!(second.code, 11, "{}", second.stderr);
    assert!(bed.ok(&["daemon", "status"]).starts_with("The daemon works. 1 schedule, 0 jobs"));
    stop(&bed, first);
    assert_eq!(bed.run(&["daemon", "status"]).code, 1);
    assert_eq!(done(&bed, "first"), 1);
}

/// Each message that a program was given, a line each.
fn told(bed: &Bed) -> Vec<String> {
    let text = fs::read_to_string(bed.path("told")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn an_overdue_backup_is_told_and_its_end_too() {
    let bed = with_node();
    let line = format!("echo \"$NODEKEEP_TOPIC $NODEKEEP_TITLE\" >> '{}'", bed.text("told"));
    let section =
        format!("[[notify]]\nname = 'own'\nby = 'command'\nrun = ['sh', '-c', {line:?}]\n");
    bed.write("home/config.toml", &section);
    let since = Timestamp::now() - SignedDuration::from_hours(40);
    let text = format!(
        "[[schedule]]\nname = \"n1\"\nnode = \"n1\"\njob = {{ backup = {{}} }}\nwhen = \"0 2 * * *\"\nzone = \"UTC\"\nsince = \"{since}\"\n"
    );
    bed.write("home/schedules.toml", &text);
    let running = daemon(&bed);
    wait_for("the alert", || told(&bed) == ["overdue n1: no backup for 40 h"]);
    assert_eq!(bed.run(&["daemon", "alerts"]).code, 1);
    bed.ok(&["schedule", "run-now", "n1"]);
    wait_for("its end", || told(&bed).len() == 2);
    stop(&bed, running);
    assert_eq!(told(&bed)[1], "recovery n1: no backup for 40 h: over");
    assert_eq!(bed.ok(&["daemon", "alerts"]).trim(), "Nothing is wrong.");
    assert!(bed.ok(&["daemon", "notify-test"]).contains("own: taken"));
    assert_eq!(bed.run(&["daemon", "notify-test", "other"]).code, 8);
}

#[test]
fn a_daemon_that_is_hung_up_on_reads_everything_again_at_once() {
    let bed = with_node();
    let since = Timestamp::now() + SignedDuration::from_hours(1);
    let text = "[[schedule]]\nname = \"n1\"\nnode = \"n1\"\njob = { backup = {} }\nwhen = \"0 2 * * *\"\nzone = \"UTC\"\n";
    bed.write("home/schedules.toml", &format!("{text}since = \"{since}\"\n"));
    let mut command = bed.command(&["daemon", "run"]);
    let log = fs::File::create(bed.path("log")).unwrap();
    let running = command.stdout(Stdio::null()).stderr(log).process_group(0).spawn().unwrap();
    wait_for("the daemon", || bed.run(&["daemon", "status"]).code == 0);
    // It sleeps for twenty seconds now.
    sleep(Duration::from_secs(1));
    due_at_once(&bed, "n1");
    let asked = Instant::now();
    kill_process(pid(&running), Signal::HUP).unwrap();
    wait_for("the backup", || done(&bed, "n1") == 1);
    assert!(asked.elapsed() < Duration::from_secs(15), "it did not wait for its next look");
    assert!(bed.read("log").contains("are read again"), "{}", bed.read("log"));
    stop(&bed, running);
}
