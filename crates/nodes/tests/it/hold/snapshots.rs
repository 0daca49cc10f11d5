//! Snapshots of volumes, with tools that only write down what they are called with: the order is what counts here.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nodekeep_nodes::hold::{Mounts, Plan, enter, resume};

use crate::scene::Scene;

/// A tool that writes its name and arguments down; `then` is what else it does.
fn tool(scene: &Scene, name: &str, then: &str) {
    let folder = scene.path("tools");
    fs::create_dir_all(&folder).unwrap();
    let log = scene.path("log");
    let text = format!("#!/bin/sh\necho {name} \"$@\" >> {}\n{then}\n", log.display());
    fs::write(folder.join(name), text).unwrap();
    fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o700)).unwrap();
}

/// Tools with a memory of whether there is a snapshot.
fn tools(scene: &Scene, mount: &str) {
    let flag = scene.path("snapshot");
    let flag = flag.display();
    let name = "nodekeep-n-20261121T140000Z";
    tool(scene, "lvcreate", &format!("touch {flag}"));
    tool(scene, "lvremove", &format!("rm {flag}"));
    tool(scene, "lvs", &format!("test -e {flag} && echo '  {name}  '; exit 0"));
    tool(scene, "mount", mount);
    tool(scene, "umount", "");
    let line = format!(
        "case $1 in snapshot) touch {flag};; destroy) rm {flag};; list) test -e {flag} && echo tank/guts@{name}; exit 0;; esac"
    );
    tool(scene, "zfs", &line);
}

fn mounts(scene: &Scene) -> Mounts {
    let data = scene.folder.display();
    Mounts::parse(&format!(
        "1 0 254:0 / {data} rw - ext4 /dev/mapper/vg0-guts rw\n2 0 0:9 / {data} rw - zfs tank/guts rw\n"
    ))
}

const LVM: &str = r#"
[hold]
method = "lvm"
volume = "vg0/guts"
size = "1G"
enter = "echo enter >> {data}/log"
exit = "echo exit >> {data}/log"
"#;

/// Without the looks at what is there.
fn done(scene: &Scene) -> Vec<String> {
    let is_look = |line: &String| line.starts_with("lvs") || line.starts_with("zfs list");
    scene.log().into_iter().filter(|line| !is_look(line)).collect()
}

#[test]
fn maintenance_lasts_only_until_the_snapshot_stands() {
    let scene = Scene::new();
    tools(&scene, "");
    let plan = Plan::of(&scene.node(LVM), &scene.site(), &mounts(&scene)).unwrap();
    let held = enter(&plan, scene.journal().unwrap()).unwrap();
    let point = scene.path("holds/mounts/nodekeep-n-20261121T140000Z");
    let expected = [
        "enter".to_owned(),
        "lvcreate -s -n nodekeep-n-20261121T140000Z -L 1G vg0/guts".to_owned(),
        "exit".to_owned(),
        format!("mount -o ro /dev/vg0/nodekeep-n-20261121T140000Z {}", point.display()),
    ];
    assert_eq!(done(&scene), expected);
    let inside = held.mapping().unwrap().snapshot_of(&scene.path("tools")).unwrap();
    assert_eq!(inside, point.join("tools"));
    held.release().unwrap();
    // Nothing was really mounted, so nothing is unmounted.
    assert_eq!(done(&scene)[4..], ["lvremove -f vg0/nodekeep-n-20261121T140000Z"]);
    assert!(!point.exists());
}

#[test]
fn a_mount_that_fails_leaves_no_snapshot() {
    let scene = Scene::new();
    tools(&scene, "echo wrong fs type >&2; exit 32");
    let plan = Plan::of(&scene.node(LVM), &scene.site(), &mounts(&scene)).unwrap();
    let error = enter(&plan, scene.journal().unwrap()).unwrap_err().to_string();
    assert!(error.contains("mount it read-only") && error.contains("wrong fs type"), "{error}");
    assert!(!scene.path("snapshot").exists());
    assert_eq!(resume(&scene.site().folder, scene.now()).unwrap(), []);
}

#[test]
fn a_dataset_is_snapshotted_and_its_snapshot_destroyed() {
    let scene = Scene::new();
    tools(&scene, "");
    let node = scene.node("[hold]\nmethod = \"zfs\"\nvolume = \"tank/guts\"\n");
    let plan = Plan::of(&node, &scene.site(), &mounts(&scene)).unwrap();
    let held = enter(&plan, scene.journal().unwrap()).unwrap();
    assert!(scene.path("snapshot").exists());
    held.release().unwrap();
    let name = "tank/guts@nodekeep-n-20261121T140000Z";
    assert_eq!(done(&scene), [format!("zfs snapshot {name}"), format!("zfs destroy {name}")]);
}
