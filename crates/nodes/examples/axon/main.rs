//! The real Axon: captured while its server is written to, started again from the copy; exported to its own `restore_applets`, re-keyed
//! for another instance, merged into a third. `cargo xtask test-axon` runs it with the folder of Axon's sources and a Python that can run
//! them, and the program itself as the third word, to type the story too; it ends with a panic where something promised does not hold.
#![allow(clippy::print_stderr, reason = "the figures of a run that somebody watches")]

mod typed;

use std::env;
use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nodekeep_nodes::axon::export::Export;
use nodekeep_nodes::axon::instance::{Instance, known};
use nodekeep_nodes::axon::merge::Merging;
use nodekeep_nodes::axon::moment::Moment;
use nodekeep_nodes::axon::rekey::Rekeying;
use nodekeep_nodes::axon::secret::SecretKey;
use nodekeep_nodes::axon::verify::{Request, Verification, caches, verify};
use nodekeep_nodes::axon::{Layout, database, import};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What of Axon's sources is needed.
const SOURCES: [&str; 9] = [
    "accounts",
    "applets",
    "axon_project",
    "core",
    "federation",
    "handlers",
    "manage.py",
    "messaging",
    "templates",
];
/// Django's development server takes itself for the reloaded one, so that Axon starts its services.
const AS_RELOADED: (&str, &str) = ("RUN_MAIN", "true");

/// An instance of the real Axon.
struct Real {
    folder: PathBuf,
    python: PathBuf,
}

impl Real {
    /// Its sources and an empty database.
    fn new(root: &Path, name: &str) -> Self {
        let real = Self::sources(root, name);
        for folder in ["data", "media"] {
            fs::create_dir_all(real.folder.join(folder)).unwrap();
        }
        let secret = format!("SECRET_KEY='{name}#x0$k!(zz)%7w_9=abcdefghij0123456789'\n");
        fs::write(real.layout().environment, secret).unwrap();
        real.manage(&["migrate"]);
        real
    }

    fn sources(root: &Path, name: &str) -> Self {
        let mut words = env::args_os().skip(1).map(PathBuf::from);
        let upstream =
            words.next().expect("cargo xtask test-axon gives the folder of Axon's sources");
        let python = words.next().unwrap_or_else(|| "python3".into());
        let folder = root.join(name);
        fs::create_dir(&folder).unwrap();
        for source in SOURCES {
            run(Command::new("cp").arg("-r").arg(upstream.join(source)).arg(&folder));
        }
        for made in ["logs", "frontend/build/static"] {
            fs::create_dir_all(folder.join(made)).unwrap();
        }
        Self { folder, python }
    }

    fn layout(&self) -> Layout {
        Layout::of(&self.folder)
    }

    fn manage(&self, words: &[&str]) -> String {
        let done = run(self.command().arg("manage.py").args(words));
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// Runs one of our scripts in it and reads the JSON of its last line.
    fn script(&self, name: &str, input: &Value) -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/axon").join(name);
        let mut child = self
            .command()
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
        last_line(&checked(child.wait_with_output().unwrap(), name))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.python);
        command.current_dir(&self.folder).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    fn serve(&self) -> Server<'_> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let log = fs::File::create(self.folder.join("server.log")).unwrap();
        let child = self
            .command()
            .args(["manage.py", "runserver", "--noreload", &address])
            .env(AS_RELOADED.0, AS_RELOADED.1)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Server { real: self, child, address };
        let deadline = Instant::now() + Duration::from_secs(90);
        while TcpStream::connect(&server.address).is_err() {
            assert!(
                Instant::now() < deadline,
                "{}",
                fs::read_to_string(self.folder.join("server.log")).unwrap()
            );
            thread::sleep(Duration::from_millis(200));
        }
        server
    }
}

struct Server<'a> {
    real: &'a Real,
    child: Child,
    address: String,
}

impl Server<'_> {
    fn visit(&self, words: &[&str]) -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/axon/visit.py");
        let url = format!("http://{}", self.address);
        last_line(&run(Command::new(&self.real.python).arg(path).arg(url).args(words)))
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn run(command: &mut Command) -> Output {
    let what = format!("{command:?}");
    checked(command.output().unwrap(), &what)
}

fn checked(output: Output, what: &str) -> Output {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {said}");
    output
}

fn last_line(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// In the profile's order: the database by SQLite's backup, then files.
fn capture(live: &Real, to: &Path) {
    let (from, into) = (live.layout(), Layout::of(to));
    fs::create_dir_all(into.database.parent().unwrap()).unwrap();
    let source = rusqlite::Connection::open(&from.database).unwrap();
    source.backup("main", &into.database, None).unwrap();
    for part in ["data/bitsync_chunks", "data/user_data", "media", ".env"] {
        run(Command::new("cp").arg("-a").arg(live.folder.join(part)).arg(to.join(part)));
    }
}

/// A user saves without a pause while the instance is captured, until what was captured fits together.
fn capture_under_load(live: &Real, server: &Server<'_>, dodger: &str, to: &Path) {
    let stop = live.folder.join("stop");
    thread::scope(|scope| {
        let words = ["hammer", "bob", dodger, stop.to_str().unwrap()];
        let writer = scope.spawn(move || server.visit(&words));
        thread::sleep(Duration::from_secs(3));
        let mut captures = 0;
        let is_whole = loop {
            captures += 1;
            let copy = to.with_file_name(format!("capture-{captures}"));
            capture(live, &copy);
            let seen = check(&copy);
            eprintln!(
                "capture {captures}: {} contents, {} chunks, {} bytes, faults {:?}",
                seen.contents, seen.chunks, seen.bytes, seen.faults
            );
            if seen.is_sound() || captures == 20 {
                fs::rename(copy, to).unwrap();
                break seen.is_sound();
            }
        };
        thread::sleep(Duration::from_secs(1));
        fs::write(&stop, "").unwrap();
        eprintln!("{} saves meanwhile", writer.join().unwrap());
        assert!(is_whole, "no capture of {captures} fits together");
    });
}

fn check(copy: &Path) -> Verification {
    let layout = Layout::of(copy);
    let request = Request {
        database: &layout.database,
        live: None,
        chunks: &layout.chunks,
        looks: 0,
        pause: Duration::ZERO,
        since: None,
    };
    verify(&request).unwrap()
}

fn opened(seen: &Value, what: &str) -> (usize, usize) {
    let all = seen[what].as_object().unwrap();
    (all.values().filter(|opens| opens.as_bool() == Some(true)).count(), all.len())
}

fn main() {
    let root = TempDir::new().unwrap();
    let live = Real::new(root.path(), "live");
    let copy = root.path().join("copy");
    let server = live.serve();
    for user in ["alice", "bob"] {
        server.visit(&["register", user]);
    }
    let dodger = live.script("furnish.py", &Value::Null)["dodger"].as_str().unwrap().to_owned();
    server.visit(&["save", "alice", &dodger, "alice was here"]);
    capture_under_load(&live, &server, &dodger, &copy);
    match env::args_os().nth(3) {
        Some(binary) => typed::story(root.path(), binary.into(), &live, server, &dodger),
        None => drop(server),
    }
    restored_and_served(root.path(), &copy, &dodger);
    torn(&live);
    exported(root.path(), &copy);
    merged(root.path(), &copy);
}

/// A fresh folder with the copy: the server starts, users log in, and read what they saved.
fn restored_and_served(root: &Path, copy: &Path, dodger: &str) {
    let layout = Layout::of(copy);
    eprintln!("manifests beside chunks: {:?}", caches(&layout.chunks).unwrap());
    let secret = SecretKey::from_env_file(&layout.environment).unwrap();
    assert_eq!(
        Instance::open(&layout.database, &secret).unwrap().fingerprint(),
        known(&layout.database).unwrap().local.unwrap().fingerprint
    );

    let back = Real::sources(root, "back");
    run(Command::new("cp").arg("-a").arg(copy.join(".")).arg(&back.folder));
    let server = back.serve();
    assert_eq!(server.visit(&["load", "alice", dodger]), json!({"text": "alice was here"}));
    drop(server);
    let seen = back.script("look.py", &Value::Null);
    assert_eq!(opened(&seen, "applets"), (3, 3), "{seen}");
}

/// Axon's own backup stops at the first applet; what it leaves is read.
fn torn(live: &Real) {
    let into = live.folder.join("torn");
    let done = live
        .command()
        .args(["manage.py", "backup_applets", "--output"])
        .arg(&into)
        .output()
        .unwrap();
    assert!(!done.status.success(), "backup_applets works now: docs/from-axon.md has to say so");
    let folder = fs::read_dir(&into).unwrap().next().unwrap().unwrap().path();
    let backup = import::read(&folder).unwrap();
    assert!(backup.is_torn);
    assert_eq!(backup.applets.len(), 1);
}

/// Another instance, with the same users under other numbers, and nothing else.
fn another(root: &Path, name: &str, copy: &Path) -> Real {
    let real = Real::new(root, name);
    drop(real.serve());
    let people = rusqlite::Connection::open(Layout::of(copy).database).unwrap();
    let mut rows =
        people.prepare("SELECT username, pubkey FROM core_user ORDER BY id DESC").unwrap();
    let people = rows.query_map([], |row| {
        Ok((format!("{}-{name}", row.get::<_, String>(0)?), row.get::<_, String>(1)?))
    });
    let people: Vec<_> = people.unwrap().map(Result::unwrap).collect();
    real.script("people.py", &json!(people));
    real
}

/// Exported, re-keyed offline, restored by the unmodified command of an instance that the source never heard of.
fn exported(root: &Path, copy: &Path) {
    let other = another(root, "other", copy);
    let layout = Layout::of(copy);
    let applets = database::applets(&layout.database, &layout.chunks).unwrap();
    let at = Moment::from_stamp("20260102_030405").unwrap();
    let done = Export { applets: &applets, into: root, at, skip_chunks: false }.write().unwrap();
    eprintln!(
        "exported: {} applets, {} chunks, {} saves; {:#?}",
        done.applets, done.chunks, done.data, done.notes
    );
    let secret = SecretKey::from_env_file(&layout.environment).unwrap();
    let instance = Instance::open(&layout.database, &secret).unwrap();
    let recipients = known(&other.layout().database).unwrap().recipients();
    let rekeying = Rekeying { instance: &instance, recipients: &recipients, prune: true };
    eprintln!("re-keyed: {:?}", rekeying.backup(&done.folder).unwrap());
    let said = other.manage(&["restore_applets", &done.folder.display().to_string()]);
    eprintln!("{said}");
    let seen = other.script("look.py", &Value::Null);
    eprintln!("{seen}");
    assert_eq!(opened(&seen, "applets"), (3, 3), "{seen}");
    assert_eq!(seen["data"]["Pipe Dodger/alice-other"], json!(true), "{seen}");
    assert_eq!(seen["owners"]["Pipe_Dodger"], json!("alice-other"));
    assert_eq!((&seen["scores"], &seen["breaches"]), (&json!(1), &json!(0)));
}

/// Merged into the database of a third instance while its server runs.
fn merged(root: &Path, copy: &Path) {
    let third = another(root, "third", copy);
    let server = third.serve();
    let layout = Layout::of(copy);
    let mut applets = database::applets(&layout.database, &layout.chunks).unwrap();
    let secret = SecretKey::from_env_file(&layout.environment).unwrap();
    let instance = Instance::open(&layout.database, &secret).unwrap();
    let here = third.layout();
    let merging = Merging {
        database: &here.database,
        chunks: &here.chunks,
        update: false,
        skip_chunks: false,
        accept_sealed: false,
        dry_run: false,
    };
    let refused = merging.run(&applets).unwrap_err().to_string();
    assert!(refused.starts_with("no envelope for the instance"), "{refused}");
    let recipients = known(&here.database).unwrap().recipients();
    Rekeying { instance: &instance, recipients: &recipients, prune: false }
        .applets(&mut applets)
        .unwrap();
    let done = merging.run(&applets).unwrap();
    eprintln!("merged: {done:#?}");
    drop(server);
    let seen = third.script("look.py", &Value::Null);
    eprintln!("{seen}");
    assert_eq!(opened(&seen, "applets"), (3, 3), "{seen}");
    assert_eq!(seen["data"]["Pipe Dodger/alice-third"], json!(true), "{seen}");
    assert_eq!(
        (&seen["scores"], &seen["rooms"], &seen["breaches"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert_eq!(
        seen["users"],
        json!([["alice-third", false], ["bob-third", false]]),
        "nobody came along"
    );
    third.manage(&["check"]);
}
