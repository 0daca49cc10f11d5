//! A stand-in for a Minima node, where the real one cannot be: a process that speaks the node's commands as the real one was seen to, keeps
//! a state of its own in a folder, takes backups, and ends, hangs or fails as it is told. It makes no blocks and signs nothing.
//!
//! It is the test program once more, under the name `java`: each that uses it has a test `minima::stand_in`, which calls [`stand_in`]. Its
//! folder holds `port`, `mode` (see [`Mode`]), `1.0/state.bak`, and `asked`
//! with the commands that it got, without their values.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nodekeep_nodes::minima::backup::{self, Contents, LIMIT, Section};
use nodekeep_nodes::minima::chain::Tree;
use nodekeep_nodes::minima::password::Password;
use nodekeep_nodes::minima::wallet::{Wallet, raise};
use nodekeep_nodes::minima::wire::{Reader, hex};

use super::scene::{self, World};

/// Names the folder of the one that is to be it.
const VARIABLE: &str = "NODEKEEP_STAND_IN";
/// The test that is it.
const TEST: &str = "minima::stand_in";
/// As a node in a container names the folder.
pub const INSIDE: &str = "/container";

/// What it does that a healthy node does not.
#[derive(Debug, Clone, Copy)]
pub enum Mode {
    /// Nothing.
    Healthy,
    /// Throws its state away, and says deep in an answer that it failed: a reset or a sync with a bad source.
    FailsMidway,
    /// The same, and it does not start again either.
    FailsForGood,
    /// Answers a restore, leaves the wallet in the clear and stays, without taking part in anything any more.
    Hangs,
}

impl Mode {
    fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::FailsMidway => "fails-midway",
            Self::FailsForGood => "fails-for-good",
            Self::Hangs => "hangs",
        }
    }
}

/// A stand-in in a folder.
#[derive(Debug)]
pub struct StandIn {
    /// Its folder, which is that of the node.
    pub folder: PathBuf,
    child: Option<Child>,
}

impl StandIn {
    /// Lays its folder out. It does not run yet.
    pub fn lay(folder: &Path, contents: &Contents, password: &str) -> Self {
        fs::create_dir_all(folder.join("1.0/minidapps")).unwrap();
        fs::write(folder.join("1.0/minidapps/app.txt"), b"an app").unwrap();
        fs::write(folder.join("password"), password).unwrap();
        let standin = Self { folder: folder.to_owned(), child: None };
        standin.put(contents);
        standin.set(Mode::Healthy);
        symlink(std::env::current_exe().unwrap(), folder.join("java")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        fs::write(folder.join("port"), port.to_string()).unwrap();
        fs::write(folder.join("start.sh"), standin.script()).unwrap();
        standin
    }

    fn script(&self) -> String {
        let folder = self.folder.display();
        format!(
            "#!/bin/sh\ncd '{folder}' || exit 1\ntest \"$(cat mode)\" = fails-for-good && test -e thrown && exit 7\n{VARIABLE}='{folder}' '{folder}/java' --exact {TEST} >>log 2>&1 </dev/null &\necho $! > pid.new && mv pid.new pid\n"
        )
    }

    /// Starts it as a child.
    pub fn start(&mut self) {
        let child = Command::new(self.folder.join("java"))
            .args(["--exact", TEST])
            .env(VARIABLE, &self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        fs::write(self.folder.join("pid"), child.id().to_string()).unwrap();
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", self.port())).is_err() {
            assert!(Instant::now() < deadline, "the stand-in does not start");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Where it answers.
    pub fn port(&self) -> u16 {
        fs::read_to_string(self.folder.join("port")).unwrap().parse().unwrap()
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        fs::read_to_string(self.folder.join("pid")).unwrap().trim().parse().unwrap()
    }

    /// What it does from now on.
    pub fn set(&self, mode: Mode) {
        fs::write(self.folder.join("mode"), mode.word()).unwrap();
    }

    /// Gives it a state.
    pub fn put(&self, contents: &Contents) {
        put(&self.folder, contents);
    }

    /// Its state.
    pub fn state(&self) -> Contents {
        state(&self.folder)
    }

    /// The uses of its keys.
    pub fn uses(&self) -> Vec<u64> {
        wallet(&self.folder).keys.iter().map(|key| key.uses).collect()
    }

    /// The names of the commands that it got.
    pub fn asked(&self) -> Vec<String> {
        let asked = fs::read_to_string(self.folder.join("asked")).unwrap_or_default();
        asked.lines().map(str::to_owned).collect()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            _ = child.kill();
            _ = child.wait();
        }
        let pid = fs::read_to_string(self.folder.join("pid")).unwrap_or_default();
        let is_ours = fs::read(format!("/proc/{}/environ", pid.trim())).is_ok_and(|environment| {
            let own = format!("{VARIABLE}={}", self.folder.display());
            environment.split(|byte| *byte == 0).any(|one| one == own.as_bytes())
        });
        if is_ours {
            _ = Command::new("kill").args(["-9", pid.trim()]).status();
        }
    }
}

/// The stand-in itself, where it is asked for; then it does not come back. Otherwise tries whether one starts in this test program, answers
/// and knows its password.
///
/// # Panics
/// If it does not.
pub fn stand_in() {
    match std::env::var_os(VARIABLE) {
        Some(folder) => run(Path::new(&folder)),
        None => try_one(),
    }
}

fn try_one() {
    let home = tempfile::tempdir().unwrap();
    let mut one = StandIn::lay(&home.path().join("node"), &scene::contents(), "pass");
    one.start();
    let ask = |authorization: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", one.port())).unwrap();
        let head = format!("POST / HTTP/1.1\nContent-Length: 6\n{authorization}\n\nstatus");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let right = ask("Authorization: Basic bWluaW1hOnBhc3M=\n".trim_end());
    assert!(right.contains(r#""block":"6""#), "{right}");
    assert!(ask("X: y").starts_with("HTTP/1.1 401"));
    assert_eq!(one.asked(), ["status"]);
}

fn run(folder: &Path) {
    let port: u16 = fs::read_to_string(folder.join("port")).unwrap().parse().unwrap();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    loop {
        let Ok((stream, _)) = listener.accept() else { continue };
        match serve(folder, stream) {
            After::GoOn => {}
            After::End => break,
            After::Hang => {
                drop(listener);
                loop {
                    thread::sleep(Duration::from_secs(3600));
                }
            }
        }
    }
}

enum After {
    GoOn,
    End,
    Hang,
}

fn serve(folder: &Path, stream: TcpStream) -> After {
    let Some(line) = request(folder, &stream) else { return After::GoOn };
    let (answer, after) = command(folder, &line);
    _ = (&stream).write_all(
        format!("HTTP/1.1 200 OK\nContent-length: {}\n\n{answer}", answer.len()).as_bytes(),
    );
    after
}

/// The command of a request, by the node's own idea of HTTP: names of headers by their exact case.
fn request(folder: &Path, stream: &TcpStream) -> Option<String> {
    let mut from = BufReader::new(stream);
    let (mut first, mut length, mut authorization) = (String::new(), 0, None);
    from.read_line(&mut first).ok()?;
    loop {
        let mut header = String::new();
        from.read_line(&mut header).ok()?;
        let header = header.trim_end();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("Content-Length: ") {
            length = value.parse().ok()?;
        }
        if let Some(value) = header.strip_prefix("Authorization: Basic ") {
            authorization = Some(value.to_owned());
        }
    }
    let mut body = String::new();
    from.take(length).read_to_string(&mut body).ok()?;
    let password = fs::read_to_string(folder.join("password")).unwrap();
    let wanted = base64(format!("minima:{password}").as_bytes());
    if !password.is_empty() && authorization.as_deref() != Some(&wanted) {
        _ = (&mut &*stream).write_all(b"HTTP/1.1 401 Unauthorized\n\n");
        return None;
    }
    if let Some(path) = first.strip_prefix("GET /") {
        return Some(path.split(' ').next()?.to_owned());
    }
    if body.is_empty() {
        _ = (&mut &*stream).write_all(b"HTTP/1.1 200 OK\n\n[]");
        return None;
    }
    Some(body)
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let sign = LETTERS[(word >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= chunk.len() { char::from(sign) } else { '=' });
        }
    }
    text
}

fn command(folder: &Path, line: &str) -> (String, After) {
    let mut words = line.split(' ');
    let name = words.next().unwrap_or_default();
    let value = |wanted: &str| {
        line.split(' ')
            .find_map(|word| word.strip_prefix(wanted)?.strip_prefix(':'))
            .map(str::to_owned)
    };
    let mut asked =
        fs::OpenOptions::new().create(true).append(true).open(folder.join("asked")).unwrap();
    writeln!(asked, "{name}").unwrap();
    let mode = fs::read_to_string(folder.join("mode")).unwrap();
    let failed = |why: &str| format!(r#"{{"status":false,"error":"{why}"}}"#);
    match name {
        "status" => (status(folder), After::GoOn),
        "keys" => (keys(folder), After::GoOn),
        "coins" => (coins(folder), After::GoOn),
        "backup" => {
            let password = Password::new(value("password").unwrap().into());
            let sealed = backup::seal(&state(folder), &password).unwrap();
            fs::write(outside(folder, &value("file").unwrap()), sealed).unwrap();
            (r#"{"status":true,"backup":{"auto":false}}"#.to_owned(), After::GoOn)
        }
        "restore" | "restoresync" => {
            let Some(file) = value("file") else {
                return (failed("MISSING PARAM: file"), After::GoOn);
            };
            let password = value("password").unwrap();
            let bytes = fs::read(outside(folder, &file)).unwrap();
            let Ok(contents) = backup::open(&bytes, &Password::new(password.clone().into()), LIMIT)
            else {
                // The real node repeats what it was told.
                return (failed(&format!("no backup: {file} {password}")), After::GoOn);
            };
            if mode == Mode::Hangs.word() {
                fs::create_dir_all(folder.join("1.0/restore")).unwrap();
                fs::write(folder.join("1.0/restore/wallet.sql"), contents.section(Section::Wallet))
                    .unwrap();
                put_raised(folder, &contents);
                return (r#"{"status":true,"restore":{}}"#.to_owned(), After::Hang);
            }
            put_raised(folder, &contents);
            (r#"{"status":true,"restore":{}}"#.to_owned(), After::End)
        }
        "reset" | "megammrsync" if mode.starts_with("fails") => {
            throw_away(folder);
            let after = if mode == Mode::FailsForGood.word() { After::End } else { After::GoOn };
            (r#"{"status":true,"response":{"archiveresync":{"status":false,"error":"no such block"}}}"#.to_owned(), after)
        }
        // What it is given has the newest block alone, so that older coins are gone.
        "reset" => {
            let file = fs::read(outside(folder, &value("archivefile").unwrap())).unwrap();
            assert!(file.starts_with(&[0x1f, 0x8b]));
            forget_coins(folder);
            (r#"{"status":true,"response":{}}"#.to_owned(), After::End)
        }
        "megammrsync" => (r#"{"status":true,"response":{}}"#.to_owned(), After::End),
        "quit" => (r#"{"status":true}"#.to_owned(), After::End),
        _ => (failed("no such command"), After::GoOn),
    }
}

/// A path as the node names it, on this machine.
fn outside(folder: &Path, path: &str) -> PathBuf {
    match path.strip_prefix(INSIDE) {
        Some(rest) => folder.join(rest.trim_start_matches('/')),
        None => PathBuf::from(path),
    }
}

fn state(folder: &Path) -> Contents {
    let bytes = fs::read(folder.join("1.0/state.bak")).unwrap();
    backup::open(&bytes, &Password::none(), LIMIT).unwrap()
}

fn put(folder: &Path, contents: &Contents) {
    let new = folder.join("1.0/state.new");
    fs::write(&new, backup::seal(contents, &Password::none()).unwrap()).unwrap();
    fs::rename(new, folder.join("1.0/state.bak")).unwrap();
}

/// A restore raises every counter by 256, blindly.
fn put_raised(folder: &Path, contents: &Contents) {
    let (sql, _) = raise(contents.section(Section::Wallet), |key| key.uses + 256).unwrap();
    put(folder, &contents.with_wallet(&sql));
}

fn throw_away(folder: &Path) {
    fs::write(folder.join("thrown"), b"").unwrap();
    put(folder, &scene::contents_with(&scene::wallet([0, 0])));
}

fn forget_coins(folder: &Path) {
    let world = World::small();
    let old = state(folder);
    let mut sections = Section::ALL.map(|section| old.section(section));
    let (cascade, tree) = (scene::cascade(&world.blocks[..5]), scene::tree(&world.blocks[5..]));
    (sections[1], sections[2]) = (&cascade, &tree);
    put(folder, &Contents::of(sections));
}

fn wallet(folder: &Path) -> Wallet {
    Wallet::parse(state(folder).section(Section::Wallet)).unwrap()
}

fn tree(folder: &Path) -> Tree {
    Tree::read(&mut Reader::new(state(folder).section(Section::ChainTree))).unwrap()
}

fn status(folder: &Path) -> String {
    let tip = tree(folder).tip().unwrap().header.clone();
    format!(
        r#"{{"command":"status","status":true,"response":{{"version":"stand-in","locked":false,"chain":{{"block":"{}","hash":"{}"}}}}}}"#,
        tip.number, tip.id
    )
}

fn keys(folder: &Path) -> String {
    let keys = wallet(folder).keys;
    let one = |key: &nodekeep_nodes::minima::wallet::Key| {
        format!(r#"{{"publickey":"{}","uses":{}}}"#, key.public, key.uses)
    };
    let keys: Vec<String> = keys.iter().map(one).collect();
    format!(r#"{{"status":true,"response":{{"keys":[{}]}}}}"#, keys.join(","))
}

fn coins(folder: &Path) -> String {
    let tree = tree(folder);
    let coins: Vec<String> = tree
        .unspent()
        .iter()
        .map(|coin| format!(r#"{{"coinid":"0x{}"}}"#, hex(&coin.id)))
        .collect();
    format!(r#"{{"status":true,"response":[{}]}}"#, coins.join(","))
}
