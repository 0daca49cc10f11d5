//! Commands that fail, hang or are killed, processes that die, services that do not start.

use std::env;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nodekeep_nodes::hold::{HoldError, exit_maintenance, resume, status};

use crate::scene::{Process, Scene, wait_for};

/// The folder of a scene in which this test program is to play the process that will be killed.
const SCENE: &str = "NODEKEEP_TEST_SCENE";

fn maintenance(enter: &str, exit: &str) -> String {
    format!(
        "[hold]\nmethod = \"maintenance\"\nenter = {{ run = \"{enter}\", patience-secs = 1 }}\nexit = \"{exit}\"\n"
    )
}

#[test]
fn an_entering_that_goes_wrong_is_undone_and_told() {
    let cases = [
        ("echo why >&2; exit 3", "failed with exit code 3: why"),
        ("sleep 1000", "did not end within 1 s"),
        ("kill -9 $$", "failed with signal 9"),
    ];
    for (enter, expected) in cases {
        let scene = Scene::new();
        let node = scene.node(&maintenance(enter, "echo exit >> {data}/log"));
        let error = scene.hold(&node).unwrap_err().to_string();
        assert!(error.starts_with("enter the node's maintenance mode: "), "{error}");
        assert!(error.contains(expected), "{error}");
        assert_eq!(scene.log(), ["exit"], "{enter}");
        assert!(status(&scene.site().folder, "n").unwrap().outstanding.is_empty());
    }
}

#[test]
fn a_release_that_fails_is_tried_again_and_says_what_to_type() {
    let scene = Scene::new();
    let node = scene.node(&maintenance("true", "test -e {data}/well || (echo no >&2; exit 1)"));
    let line = format!("test -e {0}/well || (echo no >&2; exit 1)", scene.folder.display());
    let error = scene.hold(&node).unwrap().release().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("exit code 1: no") && text.contains(&line), "{text}");
    let resumed = resume(&scene.site().folder, scene.now()).unwrap();
    assert_eq!(resumed[0].unreleased[0].by_hand, line);
    // A node that could not be released is not held again.
    assert!(matches!(scene.hold(&node), Err(HoldError::Release { .. })));
    let standing = status(&scene.site().folder, "n").unwrap();
    assert!(standing.outstanding[0].failure.as_ref().unwrap().contains("no"));
    fs::write(scene.path("well"), "").unwrap();
    let resumed = resume(&scene.site().folder, scene.now()).unwrap();
    assert_eq!(resumed[0].released, ["enter the node's maintenance mode"]);
    assert_eq!(resume(&scene.site().folder, scene.now()).unwrap(), []);
}

#[test]
fn what_a_killed_process_held_is_released_at_the_next_start() {
    let rules = maintenance("echo enter >> {data}/log", "echo exit >> {data}/log");
    if let Some(folder) = env::var_os(SCENE) {
        let scene = Scene::at(folder.as_ref());
        let _held = scene.hold(&scene.node(&rules)).unwrap();
        fs::write(scene.path("held"), "").unwrap();
        thread::sleep(Duration::from_secs(1000));
    }
    let scene = Scene::new();
    let mut other = Process::start(
        Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "hold::broken::what_a_killed_process_held_is_released_at_the_next_start",
            ])
            .env(SCENE, &scene.folder)
            .stdout(Stdio::null()),
    );
    wait_for("the hold", || scene.path("held").exists());
    assert_eq!(resume(&scene.site().folder, scene.now()).unwrap(), [], "it is alive");
    other.kill();
    assert_eq!(scene.log(), ["enter"]);
    let standing = status(&scene.site().folder, "n").unwrap();
    assert!(!standing.is_busy && !standing.outstanding[0].is_manual);
    let resumed = resume(&scene.site().folder, scene.now()).unwrap();
    assert_eq!(resumed[0].released, ["enter the node's maintenance mode"]);
    assert_eq!(scene.log(), ["enter", "exit"]);
    assert_eq!(resume(&scene.site().folder, scene.now()).unwrap(), []);
}

/// A service that is a shell with its id in a file.
const SERVICE: &str = r#"
[hold]
method = "stop"
[service]
stop = "kill $(cat {data}/pid); echo stop >> {data}/log"
start = "echo start >> {data}/log; echo $$ > {data}/pid; exec sleep 1000"
running = "test -e {data}/pid && kill -0 $(cat {data}/pid)"
"#;

fn end_service(scene: &Scene) {
    let pid = fs::read_to_string(scene.path("pid")).unwrap();
    let killed = Command::new("kill").arg(pid.trim()).status().unwrap();
    assert!(killed.success(), "the service runs after the hold");
}

#[test]
fn a_service_is_stopped_and_started_again_if_it_ran() {
    let scene = Scene::new();
    let node = scene.node(SERVICE);
    let ended = scene.hold(&node).unwrap().release().unwrap();
    assert_eq!(ended.notes[0].code, "not-running");
    assert!(scene.log().is_empty(), "what did not run is left so");

    let log = scene.site().log("n");
    let control = nodekeep_nodes::service::Control::of(&node, &log).unwrap();
    control.start().unwrap();
    let first = fs::read_to_string(scene.path("pid")).unwrap();
    let held = scene.hold(&node).unwrap();
    assert_eq!(control.is_running().unwrap(), Some(false));
    held.release().unwrap();
    assert_eq!(control.is_running().unwrap(), Some(true));
    assert_eq!(scene.log(), ["start", "stop", "start"]);
    assert_ne!(fs::read_to_string(scene.path("pid")).unwrap(), first);
    end_service(&scene);
}

#[test]
fn a_service_that_does_not_start_again_is_reported_with_what_it_said() {
    let scene = Scene::new();
    let rules = SERVICE.replace(
        "echo start >>",
        "test -e {data}/once && echo no port >&2 && exit 9; touch {data}/once; echo start >>",
    );
    let node = scene.node(&rules);
    let control = nodekeep_nodes::service::Control::of(&node, &scene.site().log("n")).unwrap();
    control.start().unwrap();
    let error = scene.hold(&node).unwrap().release().unwrap_err().to_string();
    assert!(error.contains("did not start: exit status: 9; it said: no port"), "{error}");
    assert!(error.contains("to release it, type: "), "{error}");
    fs::remove_file(scene.path("once")).unwrap();
    // Whoever runs `maintenance exit` has it started as well.
    exit_maintenance(&scene.site().folder, "n", scene.now()).unwrap();
    assert_eq!(control.is_running().unwrap(), Some(true));
    end_service(&scene);
}
