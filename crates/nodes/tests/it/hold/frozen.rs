//! Freezing real processes: all of a tree, for a bounded time, continued whatever happens to us.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nodekeep_nodes::hold::{HoldError, resume};

use crate::scene::{Process, Scene, wait_for};

const SCENE: &str = "NODEKEEP_TEST_FROZEN_SCENE";

const FREEZE: &str = "[hold]\nmethod = \"freeze\"\nprocess = \"{data}/pid\"\n";

/// A process with a child that writes without pause; both stop writing when frozen.
fn writer(scene: &Scene) -> Process {
    let folder = scene.folder.display();
    let line = format!(
        "(trap 'exit 0' TERM; while :; do echo >> {folder}/child; sleep 0.01; done) & child=$!; trap 'kill $child; exit' TERM; while :; do echo >> {folder}/parent; sleep 0.01; done"
    );
    let process = Process::shell(&line);
    fs::write(scene.path("pid"), format!("{}\n", process.id())).unwrap();
    wait_for("both write", || length(scene, "child") > 0 && length(scene, "parent") > 0);
    process
}

fn length(scene: &Scene, name: &str) -> u64 {
    fs::metadata(scene.path(name)).map_or(0, |metadata| metadata.len())
}

fn written(scene: &Scene) -> [u64; 2] {
    ["child", "parent"].map(|name| length(scene, name))
}

fn must_go_on(scene: &Scene) {
    let before = written(scene);
    wait_for("both write again", || {
        written(scene).iter().zip(before).all(|(now, before)| *now > before)
    });
}

/// Children of a killed shell live on: end them by their group's files.
fn end(scene: &Scene, mut writer: Process) {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", writer.id()));
    writer.kill();
    for child in children.unwrap_or_default().split_whitespace() {
        _ = Command::new("kill").args(["-9", child]).stderr(Stdio::null()).status();
    }
    fs::remove_file(scene.path("pid")).unwrap();
}

#[test]
fn a_tree_stands_still_while_it_is_held() {
    let scene = Scene::new();
    let writer = writer(&scene);
    let held = scene.hold(&scene.node(FREEZE)).unwrap();
    let before = written(&scene);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(written(&scene), before);
    assert!(held.is_held());
    let ended = held.release().unwrap();
    assert!(ended.was_held && ended.notes.is_empty());
    must_go_on(&scene);
    end(&scene, writer);
}

#[test]
fn a_capture_that_takes_too_long_is_told_that_the_node_went_on() {
    let scene = Scene::new();
    let writer = writer(&scene);
    let mut node = scene.node(FREEZE);
    node.profile.hold.patience = Duration::from_millis(50);
    let held = scene.hold(&node).unwrap();
    must_go_on(&scene);
    assert!(!held.is_held());
    let ended = held.release().unwrap();
    assert_eq!((ended.was_held, ended.notes[0].code.as_str()), (false, "hold-expired"));
    end(&scene, writer);
}

#[test]
fn a_node_that_somebody_continues_was_not_held() {
    let scene = Scene::new();
    let writer = writer(&scene);
    let held = scene.hold(&scene.node(FREEZE)).unwrap();
    let continued = Command::new("kill").args(["-CONT", &writer.id().to_string()]).status();
    assert!(continued.unwrap().success());
    wait_for("it is seen", || !held.is_held());
    let ended = held.release().unwrap();
    assert_eq!((ended.was_held, ended.notes[0].code.as_str()), (false, "hold-broken"));
    must_go_on(&scene);
    end(&scene, writer);
}

#[test]
fn a_node_goes_on_when_its_holder_is_killed() {
    if let Some(folder) = env::var_os(SCENE) {
        let scene = Scene::at(folder.as_ref());
        let _held = scene.hold(&scene.node(FREEZE)).unwrap();
        fs::write(scene.path("held"), "").unwrap();
        thread::sleep(Duration::from_secs(1000));
    }
    let scene = Scene::new();
    let writer = writer(&scene);
    let mut holder = Process::start(
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "hold::frozen::a_node_goes_on_when_its_holder_is_killed"])
            .env(SCENE, &scene.folder)
            .stdout(Stdio::null()),
    );
    wait_for("the hold", || scene.path("held").exists());
    let before = written(&scene);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(written(&scene), before, "it is frozen");
    holder.kill();
    // Nobody of ours is there but the guard.
    must_go_on(&scene);
    let resumed = resume(&scene.site().folder, scene.now()).unwrap();
    assert_eq!(resumed[0].released.len(), 1);
    must_go_on(&scene);
    end(&scene, writer);
}

#[test]
fn nodekeep_does_not_freeze_itself() {
    let scene = Scene::new();
    fs::write(scene.path("pid"), std::process::id().to_string()).unwrap();
    let error = scene.hold(&scene.node(FREEZE)).unwrap_err();
    assert!(error.to_string().contains("would freeze with it"), "{error}");
}

#[test]
fn what_does_not_run_cannot_be_frozen() {
    let scene = Scene::new();
    let mut gone = Process::shell("true");
    gone.kill();
    for (content, expected) in
        [(gone.id().to_string(), "does not run"), ("x".into(), "no process id")]
    {
        fs::write(scene.path("pid"), content).unwrap();
        let error = scene.hold(&scene.node(FREEZE)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    fs::remove_file(scene.path("pid")).unwrap();
    assert!(matches!(scene.hold(&scene.node(FREEZE)), Err(HoldError::Enter { .. })));
}

/// A cgroup of this test's own where the machine lets us make one; otherwise its files alone, which look as if it froze at once.
fn cgroup(scene: &Scene) -> PathBuf {
    let name = format!("nodekeep-test-{}", std::process::id());
    let roots =
        ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(|root| PathBuf::from(root).join(&name));
    for folder in roots {
        if fs::create_dir(&folder).is_ok() {
            if folder.join("cgroup.freeze").exists() {
                return folder;
            }
            _ = fs::remove_dir(&folder);
        }
    }
    let folder = scene.path("cgroup");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("cgroup.freeze"), "0").unwrap();
    fs::write(folder.join("cgroup.procs"), "").unwrap();
    fs::write(folder.join("cgroup.events"), "populated 1\nfrozen 1\n").unwrap();
    folder
}

#[test]
fn a_cgroup_is_frozen_and_continued() {
    let scene = Scene::new();
    let folder = cgroup(&scene);
    let is_real = folder.starts_with("/sys");
    let sleeper = Process::shell("exec sleep 1000");
    if is_real {
        fs::write(folder.join("cgroup.procs"), sleeper.id().to_string()).unwrap();
    }
    let rules = format!("[hold]\nmethod = \"freeze\"\nprocess = \"{}\"\n", folder.display());
    let switch = || fs::read_to_string(folder.join("cgroup.freeze")).unwrap().trim().to_owned();
    let held = scene.hold(&scene.node(&rules)).unwrap();
    assert_eq!(switch(), "1");
    assert!(held.is_held());
    held.release().unwrap();
    assert_eq!(switch(), "0");
    drop(sleeper);
    if is_real {
        wait_for("the cgroup is empty", || fs::remove_dir(&folder).is_ok());
    }
}
