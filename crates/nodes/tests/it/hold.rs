//! Holds against real processes: whatever happens, the node is let go, and who asked is told.

mod broken;
mod frozen;
mod snapshots;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use nodekeep_nodes::hold::{
    HoldError, Mounts, Plan, enter_maintenance, exit_maintenance, forget, resume, status,
};

use crate::scene::{Scene, wait_for};

const MAINTENANCE: &str = r#"
[hold]
method = "maintenance"
enter = "echo enter >> {data}/log"
exit = "echo exit >> {data}/log"
"#;

#[test]
fn a_node_is_held_and_released() {
    let scene = Scene::new();
    let held = scene.hold(&scene.node(MAINTENANCE)).unwrap();
    assert!(held.is_held());
    assert_eq!(scene.log(), ["enter"]);
    let ended = held.release().unwrap();
    assert_eq!(
        (scene.log(), ended.was_held, ended.notes),
        (vec!["enter".into(), "exit".into()], true, vec![])
    );
    assert_eq!(resume(&scene.site().folder, scene.now()).unwrap(), []);
}

#[test]
fn every_way_out_releases() {
    let scene = Scene::new();
    let node = scene.node(MAINTENANCE);
    drop(scene.hold(&node).unwrap());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _held = scene.hold(&node).unwrap();
        std::panic::panic_any("on purpose");
    }));
    assert!(panicked.is_err());
    assert_eq!(scene.log(), ["enter", "exit", "enter", "exit"]);
    assert!(status(&scene.site().folder, "n").unwrap().outstanding.is_empty());
}

#[test]
fn nothing_is_done_where_nothing_is_held() {
    let scene = Scene::new();
    let held = scene.hold(&scene.node("")).unwrap();
    assert!(held.is_held() && held.mapping().is_none());
    assert!(held.release().unwrap().was_held);
}

#[test]
fn a_node_is_let_go_when_its_patience_ends() {
    let scene = Scene::new();
    let mut node = scene.node(MAINTENANCE);
    node.profile.hold.patience = Duration::from_millis(100);
    let held = scene.hold(&node).unwrap();
    wait_for("the exit", || scene.log() == ["enter", "exit"]);
    assert!(!held.is_held());
    let ended = held.release().unwrap();
    assert!(!ended.was_held);
    assert_eq!(ended.notes[0].code, "hold-expired");
    assert_eq!(scene.log(), ["enter", "exit"], "it is not released twice");
}

#[test]
fn nobody_holds_a_node_that_is_held() {
    let scene = Scene::new();
    let node = scene.node(MAINTENANCE);
    let held = scene.hold(&node).unwrap();
    assert!(matches!(scene.hold(&node), Err(HoldError::Busy { .. })));
    assert!(status(&scene.site().folder, "n").unwrap().is_busy);
    // A start of another Nodekeep leaves it alone.
    assert_eq!(resume(&scene.site().folder, scene.now()).unwrap(), []);
    assert_eq!(scene.log(), ["enter"]);
    held.release().unwrap();
    scene.hold(&node).unwrap().release().unwrap();
}

#[test]
fn maintenance_by_hand_stays_until_it_is_ended_by_hand() {
    let scene = Scene::new();
    let node = scene.node(MAINTENANCE);
    let folder = scene.site().folder;
    assert_eq!(enter_maintenance(&node, &scene.site()).unwrap(), None);
    let again = enter_maintenance(&node, &scene.site()).unwrap().unwrap();
    assert!(again.text.contains("2026-11-21T14:00:00"), "{}", again.text);
    assert_eq!(resume(&folder, scene.now()).unwrap(), []);
    let standing = status(&folder, "n").unwrap();
    assert!(standing.outstanding[0].is_manual && !standing.is_busy);
    // A backup meanwhile neither enters nor leaves it.
    let ended = scene.hold(&node).unwrap().release().unwrap();
    assert_eq!(ended.notes[0].code, "manual-maintenance");
    assert_eq!(scene.log(), ["enter"]);
    let released = exit_maintenance(&folder, "n", scene.now()).unwrap();
    assert_eq!(released, ["enter the node's maintenance mode"]);
    assert_eq!(scene.log(), ["enter", "exit"]);
    assert!(exit_maintenance(&folder, "n", scene.now()).unwrap().is_empty());
}

#[test]
fn a_profile_without_commands_says_what_it_needs() {
    let scene = Scene::new();
    let error = enter_maintenance(&scene.node(""), &scene.site()).unwrap_err().to_string();
    assert!(error.contains("profile `trial`") && error.contains("hold.enter"), "{error}");
    let stop = Plan::of(&scene.node("hold.method = \"stop\""), &scene.site(), &Mounts::default());
    assert!(stop.unwrap_err().to_string().contains("service.stop"));
}

#[test]
fn the_plan_says_what_will_be_typed() {
    let scene = Scene::new();
    let plan = Plan::of(&scene.node(MAINTENANCE), &scene.site(), &Mounts::default()).unwrap();
    let data = scene.folder.display();
    let expected = format!(
        "n: held for at most 120 s\n 1. enter the node's maintenance mode\n    echo enter >> {data}/log\n    afterwards: echo exit >> {data}/log"
    );
    assert_eq!(plan.to_string(), expected);
    assert!(!scene.path("holds").exists(), "a plan does nothing");
}

#[test]
fn what_a_person_released_is_struck_out() {
    let scene = Scene::new();
    let node = scene.node(MAINTENANCE);
    let folder = scene.site().folder;
    enter_maintenance(&node, &scene.site()).unwrap();
    assert_eq!(forget(&folder, "n", scene.now()).unwrap().len(), 1);
    assert!(status(&folder, "n").unwrap().outstanding.is_empty());
    assert_eq!(scene.log(), ["enter"]);
}

#[test]
fn a_torn_last_line_of_the_journal_was_never_acted_upon() {
    let scene = Scene::new();
    let node = scene.node(MAINTENANCE);
    enter_maintenance(&node, &scene.site()).unwrap();
    let path = scene.site().folder.join("n.journal");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{whole}{{\"event\":\"rel")).unwrap();
    assert_eq!(status(&scene.site().folder, "n").unwrap().outstanding.len(), 1);
    assert_eq!(exit_maintenance(&scene.site().folder, "n", scene.now()).unwrap().len(), 1);
    fs::write(&path, "not ours\n").unwrap();
    let error = scene.hold(&node).unwrap_err().to_string();
    assert!(error.contains("n.journal: line 1"), "{error}");
}
