//! The fleet as one machine sees it: nodes of several machines in one repository, schedules that travel in snapshots, silence.

use jiff::{SignedDuration, Timestamp};
use nodekeep_nodes::node::{Node, Registration};
use nodekeep_nodes::profile;
use nodekeep_service::copies::{CopyRecord, Distance};
use nodekeep_service::fleet::gather::{Place, Sources, Stored};
use nodekeep_service::fleet::overview::{Code, Overview, Role, Verdict};
use nodekeep_service::fleet::targets::Targets;
use nodekeep_service::schedule::Schedule;
use nodekeep_service::schedule::job::{Job, Keep};

use crate::lab::{Machine, lay};

const PROFILE: &str = r#"
name = "plain"
title = "Plain"
about = "Files."
[[root]]
name = "data"
about = "its folder"
[[component]]
name = "files"
about = "all of it"
path = "{data}"
required = true
[[verify]]
name = "starts"
command = "true"
starts-node = true
"#;

fn node(machine: &Machine, name: &str) -> Node {
    let data = machine.folder.join(name);
    lay(&data, &[("a.txt", "alpha\n")]);
    let profile = profile::parse(PROFILE, "test").unwrap();
    let registration = Registration {
        name: name.to_owned(),
        profile: profile.name.clone(),
        paths: [("data".to_owned(), data)].into(),
        ..Registration::default()
    };
    let node = Node::new(registration, profile).unwrap();
    machine.state.add(&node).unwrap();
    node
}

fn schedule(name: &str, node: Option<&str>, job: Job) -> Schedule {
    Schedule {
        name: name.parse().unwrap(),
        node: node.map(str::to_owned),
        job,
        when: "0 2 * * *".parse().unwrap(),
        zone: "UTC".to_owned(),
        jitter_secs: 0,
        catch_up: true,
        retries: 0,
        retry_after_secs: 60,
        paused: false,
        since: Timestamp::now(),
    }
}

fn place(distance: Distance, copies: Vec<CopyRecord>) -> Place {
    Place {
        distance,
        folder: None,
        capacity: Some(1 << 30),
        copies,
        lost: 0,
        words_confirmed: true,
    }
}

fn sources(machine: &Machine, place: Place) -> Sources<'_> {
    Sources {
        repository: &machine.repository,
        state: &machine.state,
        host: "first".to_owned(),
        version: "0".to_owned(),
        place,
        targets: Targets::default(),
    }
}

fn verdict(overview: &Overview, name: &str) -> Verdict {
    overview.nodes.iter().find(|node| node.name == name).unwrap().verdict
}

#[test]
fn nodes_of_all_machines_are_seen_and_a_silent_one_is_missed() {
    let first = Machine::new();
    let second = first.second();
    let (here, there) = (node(&first, "here"), node(&second, "there"));
    let daily = |name: &str| schedule(name, Some(name), Job::Backup { components: Vec::new() });
    first.state.book().add(&[daily("here")]).unwrap();
    second.state.book().add(&[daily("there")]).unwrap();
    first.back_up(&here);
    second.back_up(&there);
    let drilled = first.snapshots_of("here").pop().unwrap();
    first.ground().drill(&drilled, &first.folder.join("sandbox"), false).unwrap();

    let sources = sources(&first, place(Distance::OtherHost, Vec::new()));
    let now = Timestamp::now();
    let overview = sources.overview(now).unwrap();
    assert_eq!(overview.role, Role::Owner);
    assert_eq!(verdict(&overview, "here"), Verdict::Proven);
    assert_eq!(verdict(&overview, "there"), Verdict::Safe);
    let [one, other] = overview.nodes.as_slice() else { panic!("{:?}", overview.nodes) };
    assert_eq!((one.here, one.host.as_deref()), (true, Some("first")));
    assert_eq!((other.here, other.host.as_deref()), (false, Some("second")));
    assert!(other.next.is_some(), "its schedule came in its snapshot");
    assert_eq!(overview.machines.len(), 2);
    assert!(overview.repository.days_until_full.is_none());

    // The first goes on; of the second nothing comes for three days.
    let later = now + SignedDuration::from_hours(72);
    let stored = Stored::read(&first.repository).unwrap();
    let overview = sources.overview_of(&stored, later).unwrap();
    assert_eq!(verdict(&overview, "there"), Verdict::Overdue);
    let codes: Vec<Code> = overview.nodes[1].reasons.iter().map(|reason| reason.code).collect();
    assert!(codes.contains(&Code::Silent) && codes.contains(&Code::Overdue), "{codes:?}");
    assert!(overview.machines.iter().all(|machine| machine.silent));
    let detail = sources.node_of(&stored, "there", later).unwrap().unwrap();
    assert_eq!(detail.components[0].name, "files");
    assert!(sources.node_of(&stored, "nobody", later).unwrap().is_none());
}

#[test]
fn a_copy_that_is_old_and_a_prune_that_is_late_are_risks() {
    let first = Machine::new();
    let here = node(&first, "here");
    let keep = Keep { last: Some(1), ..Keep::default() };
    let backup = schedule("here", Some("here"), Job::Backup { components: Vec::new() });
    first.state.book().add(&[backup, schedule("prune", None, Job::Prune { keep })]).unwrap();
    first.back_up(&here);
    let now = Timestamp::now();
    let copy = |hours: i64| CopyRecord {
        kind: "mirror".to_owned(),
        location: "s3://b/p".to_owned(),
        distance: Distance::OtherHost,
        repository: "00".to_owned(),
        finished: (now - SignedDuration::from_hours(hours)).as_second(),
        checkpoint: 1,
        snapshots: 1,
    };
    let at = |copies: Vec<CopyRecord>, now: Timestamp| {
        let overview = sources(&first, place(Distance::SameDisk, copies)).overview(now).unwrap();
        let codes: Vec<Code> = overview.nodes[0].reasons.iter().map(|r| r.code).collect();
        (overview.nodes[0].verdict, codes)
    };
    assert_eq!(at(vec![], now), (Verdict::AtRisk, vec![Code::NotOffsite, Code::NeverDrilled]));
    assert_eq!(at(vec![copy(-1)], now), (Verdict::Safe, vec![Code::NeverDrilled]));
    assert_eq!(at(vec![copy(1)], now).0, Verdict::Safe, "a copy may lag by a schedule's pause");
    assert_eq!(at(vec![copy(30)], now), (Verdict::AtRisk, vec![Code::CopyOld, Code::NeverDrilled]));
    let late = now + SignedDuration::from_hours(50);
    let (verdict, codes) = at(vec![copy(-1)], late);
    assert_eq!(verdict, Verdict::Overdue);
    assert!(codes.contains(&Code::RetentionNotMet), "{codes:?}");
}
