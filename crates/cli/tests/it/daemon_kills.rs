//! The daemon killed in each phase of its jobs, those of schedules and those asked for by hand: nothing lost, nothing held, nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use nodekeep_testkit::Rng;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use crate::served::Daemon;
use crate::support::{Bed, one_folder};

/// A node whose capture takes a moment in each phase, and shows which one it is in by files. Two captures at once would meet at `one`.
const PROFILE: &str = one_folder!(
    r#"
name = "phases"
title = "Phases"
about = "Shows in which phase of a capture it is."
"#,
    r#"
[[component]]
name = "dump"
about = "what only a command tells"
path = "{data}/dump"
kind = "command"

[component.options]
dump = "touch SHOWN/capturing; sleep 0.3; rm SHOWN/capturing; echo dumped"

[hold]
method = "maintenance"
enter = "mkdir SHOWN/one || touch SHOWN/twice; touch SHOWN/held SHOWN/entering; sleep 0.3; rm SHOWN/entering"
exit = "touch SHOWN/releasing; sleep 0.3; rm -rf SHOWN/held SHOWN/entering SHOWN/capturing SHOWN/one SHOWN/releasing"
"#
);

/// Snapshots that the prune leaves.
const KEPT: usize = 6;

/// When the daemon is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Enter,
    Capture,
    Release,
    Retention,
    /// A job is in the journal, and perhaps not in the history yet.
    Begun,
    /// A job waits that was asked for by hand.
    Asked,
    Whenever,
}

impl Phase {
    /// So many milliseconds the kill may come later.
    fn lasts(self) -> usize {
        match self {
            Self::Enter | Self::Capture | Self::Release => 250,
            Self::Retention => 400,
            Self::Begun => 20,
            Self::Asked => 500,
            Self::Whenever => 3000,
        }
    }
}

const PHASES: [Phase; 7] = [
    Phase::Enter,
    Phase::Capture,
    Phase::Release,
    Phase::Retention,
    Phase::Begun,
    Phase::Asked,
    Phase::Whenever,
];

fn with_node() -> Bed {
    let bed = Bed::new();
    bed.write("shown/here", "");
    bed.write("phases.toml", &PROFILE.replace("SHOWN", &bed.text("shown")));
    bed.ok(&["init"]);
    bed.ok(&["node", "add", "n1", "--profile-file", "phases.toml", "--path", "./data"]);
    bed.ok(&["backup", "n1"]);
    bed.write("home/config.toml", "[http]\nlisten = \"127.0.0.1:0\"\n");
    bed
}

/// The schedule of a round, due at once: a backup, or a prune.
fn due_at_once(bed: &Bed, name: &str, phase: Phase) {
    let since = Timestamp::now() - SignedDuration::from_hours(2);
    let job = match phase {
        Phase::Retention => format!("{{ prune = {{ keep = {{ last = {KEPT} }} }} }}"),
        _ => "{ backup = {} }".to_owned(),
    };
    bed.write(
        "home/schedules.toml",
        &format!(
            "[[schedule]]\nname = \"{name}\"\nnode = \"n1\"\njob = {job}\nwhen = \"0 * * * *\"\nzone = \"UTC\"\ncatch-up = true\nretries = 9\nretry-after-secs = 1\nsince = \"{since}\"\n"
        ),
    );
}

/// Jobs as the journal has them.
fn jobs(bed: &Bed) -> Vec<Value> {
    let document = bed.json(&["daemon", "jobs", "--last", "1000"]);
    document["jobs"].as_array().unwrap().clone()
}

/// Jobs of a schedule that ended well.
fn done(jobs: &[Value], name: &str) -> usize {
    let of_it = jobs.iter().filter(|job| job["schedule"] == name);
    of_it.filter(|job| job["ended"]["ending"] == "done").count()
}

fn snapshots(bed: &Bed) -> Vec<String> {
    let document = bed.json(&["snapshot", "list"]);
    let list = document["snapshots"].as_array().unwrap();
    list.iter().map(|snapshot| snapshot["id"].as_str().unwrap().to_owned()).collect()
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(180);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not come");
        sleep(Duration::from_millis(100));
    }
}

/// Files of the journal as they lie there: asking the program would take longer than the phase.
fn records(bed: &Bed) -> Vec<Value> {
    let files = fs::read_dir(bed.path("home/jobs")).into_iter().flatten().flatten();
    let texts = files.filter(|file| file.path().extension().is_some_and(|e| e == "json"));
    let texts = texts.filter_map(|file| fs::read(file.path()).ok());
    texts.filter_map(|text| serde_json::from_slice(&text).ok()).collect()
}

/// Whether a phase is under way.
fn is_in(bed: &Bed, phase: Phase, round: &str) -> bool {
    let shown = |name: &str| bed.path("shown").join(name).exists();
    let is_open = |record: &Value| record["schedule"] == round && record["ended"].is_null();
    match phase {
        Phase::Enter => shown("entering"),
        Phase::Capture => shown("capturing"),
        Phase::Release => shown("releasing"),
        Phase::Retention => {
            let written = |record: &Value| {
                let log = format!("home/jobs/{}.out", record["id"].as_str().unwrap());
                bed.path(&log).exists()
            };
            records(bed).iter().any(|record| is_open(record) && written(record))
        }
        Phase::Begun => records(bed).iter().any(is_open),
        Phase::Asked => records(bed).iter().any(|record| record["waits"] == true),
        Phase::Whenever => true,
    }
}

/// Waits for the phase, and says whether it came.
fn meet(bed: &Bed, phase: Phase, round: &str) -> bool {
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        if is_in(bed, phase, round) {
            return true;
        }
        sleep(Duration::from_millis(2));
    }
    false
}

/// Alone, as by the system's hunger for memory; or with all its jobs, as by a machine that goes down.
fn kill(mut victim: Daemon, with_jobs: bool) {
    let pid = Pid::from_raw(i32::try_from(victim.child.id()).unwrap()).unwrap();
    match with_jobs {
        false => victim.child.kill().unwrap(),
        true => kill_process_group(pid, Signal::KILL).unwrap(),
    }
    victim.child.wait().unwrap();
}

/// What a round leaves behind, looked at with no daemon at work.
fn look(bed: &Bed, name: &str, asked: &BTreeSet<String>, before: &[String]) -> Vec<String> {
    let all = jobs(bed);
    assert_eq!(done(&all, name), 1, "{name}: the same moment was done twice");
    assert!(all.iter().all(|job| !job["ended"].is_null()), "{name}: a job has no end: {all:#?}");
    let by_hand: Vec<&Value> = all.iter().filter(|job| job["by"].is_string()).collect();
    let ids: BTreeSet<String> =
        by_hand.iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((&ids, by_hand.len()), (asked, asked.len()), "{name}: what was asked for by hand");
    for mark in ["held", "one", "entering"] {
        assert!(!bed.path("shown").join(mark).exists(), "{name}: the node is still held: {mark}");
    }
    assert!(!bed.path("shown/twice").exists(), "{name}: two captures ran at once");
    let now = snapshots(bed);
    let newest = &before[before.len().saturating_sub(KEPT - 2)..];
    assert!(newest.iter().all(|id| now.contains(id)), "{name}: a snapshot is gone");
    now
}

/// Each phase is met and survived; `NODEKEEP_DAEMON_ROUNDS=100` for the proof, the first four phases in between other tests.
#[test]
fn a_daemon_that_is_killed_in_any_phase_loses_nothing_holds_nothing_and_does_nothing_twice() {
    let rounds = std::env::var("NODEKEEP_DAEMON_ROUNDS");
    let rounds: usize = rounds.map_or(4, |text| text.parse().unwrap());
    let bed = with_node();
    let mut rng = Rng::new(7);
    let mut known = snapshots(&bed);
    let mut hit: BTreeMap<(Phase, bool), usize> = BTreeMap::new();
    let mut asked = BTreeSet::new();
    for round in 0..rounds {
        let (name, phase) = (format!("r{round}"), PHASES[round % PHASES.len()]);
        let with_jobs = (round / PHASES.len()) % 2 == 1 || (rounds < 14 && round % 2 == 1);
        let victim = Daemon::start(&bed, "owner");
        let deed = ["backup", "verify"][rng.below(2)];
        let plan = victim.plan(json!({ "action": deed, "node": "n1" }));
        due_at_once(&bed, &name, phase);
        // The daemon looks at once, begins what is due, and what was asked for by hand waits for it.
        asked.insert(victim.confirm(&plan));
        let met = meet(&bed, phase, &name);
        sleep(Duration::from_millis(rng.below(phase.lasts()) as u64));
        kill(victim, with_jobs);
        *hit.entry((phase, with_jobs)).or_default() += usize::from(met);
        let next = Daemon::start(&bed, "owner");
        wait_for("the run after the kill", || done(&records(&bed), &name) == 1);
        wait_for("what was asked for", || records(&bed).iter().all(|job| !job["ended"].is_null()));
        next.stop();
        known = look(&bed, &name, &asked, &known);
    }
    for phase in PHASES.iter().take(rounds) {
        let times: usize = hit.iter().filter(|((met, _), _)| met == phase).map(|(_, n)| n).sum();
        assert!(times > 0, "{phase:?} was never met: {hit:?}");
    }
    println!("{rounds} rounds; killed in (phase, with its jobs): {hit:?}");
    bed.ok(&["check", "--data"]);
}
