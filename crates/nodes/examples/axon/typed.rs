//! The same story as a user types it, with the real program: registered, backed up while the server is written to, restored into a fresh
//! folder and served; exported to Axon's own command, taken over from it, merged into a running instance.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Real, Server, another, checked, opened};

/// The program, with a home of its own.
struct Keeper {
    binary: PathBuf,
    home: PathBuf,
}

impl Keeper {
    fn run(&self, words: &[&str]) -> Output {
        eprintln!("\n$ nodekeep {}", words.join(" "));
        let mut command = Command::new(&self.binary);
        let done = command.args(words).env("NODEKEEP_HOME", &self.home).output().unwrap();
        eprint!(
            "{}{}",
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        );
        done
    }

    fn ok(&self, words: &[&str]) -> Output {
        checked(self.run(words), &words.join(" "))
    }

    fn json(&self, words: &[&str]) -> Value {
        let done = self.ok(&[words, &["--json"]].concat());
        serde_json::from_slice(&done.stdout).unwrap()
    }
}

/// Everything, in the order of the guide.
pub fn story(root: &Path, binary: PathBuf, live: &Real, server: Server<'_>, dodger: &str) {
    let keeper = Keeper { binary, home: root.join("home") };
    let instance = format!("instance={}", live.folder.display());
    keeper.ok(&["node", "add", "board", "--profile", "axon", "--path", &instance]);
    backed_up_under_load(&keeper, live, &server, dodger);
    keeper.ok(&["check", "board", "--component", "applets"]);
    keeper.ok(&["drill", "board"]);
    keeper.ok(&["backup", "board", "--select", "Tea/Time ü"]);
    keeper.ok(&["backup", "board", "--skip-chunks"]);
    drop(server);
    restored(&keeper, root, dodger);
    exported(&keeper, root, live);
    taken_over(&keeper, root, live);
}

/// A user saves without a pause meanwhile. A backup that could not keep up says so, and the next one does.
fn backed_up_under_load(keeper: &Keeper, live: &Real, server: &Server<'_>, dodger: &str) {
    let stop = live.folder.join("typed-stop");
    thread::scope(|scope| {
        let words = ["hammer", "bob", dodger, stop.to_str().unwrap()];
        let writer = scope.spawn(move || server.visit(&words));
        thread::sleep(Duration::from_secs(2));
        let codes: Vec<_> =
            (0..5).map(|_| keeper.run(&["backup", "board"]).status.code()).collect();
        std::fs::write(&stop, "").unwrap();
        eprintln!("{} saves meanwhile, exit codes {codes:?}", writer.join().unwrap());
        assert!(codes.iter().all(|code| matches!(code, Some(0 | 3))), "{codes:?}");
        assert!(codes.contains(&Some(0)), "no backup of five is whole: {codes:?}");
    });
    // The last whole one stays the newest, so that what follows is about a backup under load.
    let all = keeper.json(&["snapshot", "list"]);
    for snapshot in all["snapshots"].as_array().unwrap().iter().rev() {
        let id = snapshot["id"].as_str().unwrap();
        let shown = keeper.json(&["snapshot", "show", id]);
        let components = shown["manifest"]["components"].as_array();
        let is_whole = components.is_some_and(|all| all.iter().all(|c| c["status"] != "partial"));
        if is_whole {
            break;
        }
        keeper.ok(&["snapshot", "delete", id, "--yes"]);
    }
}

/// A fresh folder: the server starts on it, a user logs in with the old password and reads what was saved.
fn restored(keeper: &Keeper, root: &Path, dodger: &str) {
    let back = Real::sources(root, "typed-back");
    let instance = format!("instance={}", back.folder.display());
    keeper.ok(&["restore", "board", "--path", &instance, "--yes"]);
    let server = back.serve();
    assert_eq!(server.visit(&["load", "alice", dodger]), json!({"text": "alice was here"}));
    drop(server);
    let seen = back.script("look.py", &Value::Null);
    eprintln!("{seen}");
    assert_eq!(opened(&seen, "applets"), (3, 3), "{seen}");
    let (whole, all) = opened(&seen, "data");
    assert_eq!(whole, all, "{seen}");
    back.manage(&["migrate", "--check"]);
}

/// A directory that the unmodified `restore_applets` of an instance reads that the board never heard of.
fn exported(keeper: &Keeper, root: &Path, live: &Real) {
    let other = another(root, "typed-other", &live.folder);
    let key = root.join("typed-other.json");
    let server = other.serve();
    let url = format!("http://{}/api/identity/public_key/", server.address);
    let script = "import sys, urllib.request as u; open(sys.argv[2], 'wb').write(u.build_opener(u.ProxyHandler({})).open(sys.argv[1]).read())";
    super::run(Command::new(&other.python).args(["-c", script, &url]).arg(&key));
    drop(server);
    let usb = root.join("usb").display().to_string();
    let words = ["snapshot", "export", "--format", "axon", "board", &usb, "--rekey", "--recipient"];
    let done = keeper.json(&[&words[..], &[key.to_str().unwrap()]].concat());
    let said = other.manage(&["restore_applets", done["folder"].as_str().unwrap()]);
    eprintln!("{said}");
    let seen = other.script("look.py", &Value::Null);
    eprintln!("{seen}");
    assert_eq!(opened(&seen, "applets"), (3, 3), "{seen}");
    assert_eq!((&seen["scores"], &seen["breaches"]), (&json!(1), &json!(0)));
}

/// What Axon's own command leaves becomes a snapshot; and applets go into a running instance as rows.
fn taken_over(keeper: &Keeper, root: &Path, live: &Real) {
    let into = live.folder.join("typed-torn");
    let mut backup = live.command();
    let done =
        backup.args(["manage.py", "backup_applets", "--output"]).arg(&into).output().unwrap();
    eprintln!("{}", String::from_utf8_lossy(&done.stderr).lines().last().unwrap_or_default());
    let folder = std::fs::read_dir(&into).unwrap().next().unwrap().unwrap().path();
    let folder = folder.display().to_string();
    let imported = keeper.json(&["snapshot", "import", &folder, "--node", "board"]);
    let id = imported["snapshot"].as_str().unwrap();

    // Those that upstream carries along, made when the command still worked.
    let upstream = std::env::args_os().nth(1).map(PathBuf::from).unwrap().join("applet_backups");
    for folder in upstream.read_dir().into_iter().flatten() {
        let folder = folder.unwrap().path().display().to_string();
        keeper.ok(&["snapshot", "import", &folder, "--node", "board"]);
    }

    let third = another(root, "typed-third", &live.folder);
    let server = third.serve();
    let instance = format!("instance={}", third.folder.display());
    let rows = ["--component", "applets", "--path", &instance, "--yes"];
    let refused = keeper.run(&[&["restore", "board"][..], &rows].concat());
    assert_eq!(refused.status.code(), Some(5));
    keeper.ok(&[&["restore", id, "--rekey"][..], &rows].concat());
    keeper.ok(&[&["restore", "board", "--rekey"][..], &rows].concat());
    drop(server);
    let seen = third.script("look.py", &Value::Null);
    eprintln!("{seen}");
    assert_eq!(opened(&seen, "applets"), (3, 3), "{seen}");
    assert_eq!(seen["breaches"], json!(0));
    third.manage(&["check"]);
}
