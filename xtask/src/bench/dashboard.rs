//! `cargo xtask bench dashboard`: how fast the daemon's pages are, and how much memory it takes, with a fleet behind it.
//!
//! The fleet is made by the program itself: nodes are registered and backed up again and again, each time with a file changed. Then the
//! real daemon is started, and every page is asked for as a browser does, several times, also while what it shows is looked up anew, and once
//! more after nobody has asked for a while. The slowest counts.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::args::Args;
use crate::error::Error;
use crate::place;

/// The word after `bench` that means this.
pub const WORD: &str = "dashboard";

/// What is promised of a page, in milliseconds.
const PAGE_MS: f64 = 200.0;
/// What is promised of the daemon's memory, in MB.
const MEMORY_MB: f64 = 150.0;
/// Files of a node.
const FILES: usize = 20;
/// Each page is asked for so often. The pause between rounds lets what is shown grow old.
const ROUNDS: usize = 5;
const PAUSE: Duration = Duration::from_millis(3500);
/// After so long nothing that was seen is fresh any more.
const IDLE: Duration = Duration::from_secs(70);

const PROFILE: &str = "name = \"plain\"\ntitle = \"Plain\"\nabout = \"Files.\"\n\n[[root]]\nname = \"data\"\nabout = \"its folder\"\n\n[[component]]\nname = \"files\"\nabout = \"all of it\"\npath = \"{data}\"\nrequired = true\n";

#[derive(Debug)]
struct Options {
    nodes: usize,
    snapshots: usize,
    dir: PathBuf,
    binary: Option<PathBuf>,
}

/// A home with a fleet.
struct Fleet {
    binary: PathBuf,
    folder: PathBuf,
}

/// A daemon that serves.
struct Daemon {
    child: Child,
    address: SocketAddr,
    /// The session of a browser.
    cookie: String,
    /// Milliseconds until the very first overview, asked for as soon as it listens.
    first: f64,
}

/// The task.
pub fn run(words: Vec<OsString>) -> Result<(), Error> {
    let options = parse(words)?;
    let binary = match &options.binary {
        Some(binary) => fs::canonicalize(binary).map_err(Error::file(binary))?,
        None => super::build()?,
    };
    let fleet = Fleet::make(&options, binary)?;
    let daemon = fleet.serve()?;
    let mut pages = daemon.pages()?;
    pages.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let (resident, peak) = daemon.memory()?;
    println!("| Page | Slowest of {} |\n|---|---|", ROUNDS + 1);
    for (page, slowest) in &pages {
        println!("| `{page}` | {slowest:.0} ms |");
    }
    println!(
        "\n{} nodes, {} snapshots: memory {resident:.0} MB, {peak:.0} MB at most; the first overview after the start {:.0} ms.",
        options.nodes, options.snapshots, daemon.first
    );
    let slow = pages.first().map_or(0.0, |(_, slowest)| *slowest);
    if slow < PAGE_MS && peak < MEMORY_MB {
        return Ok(());
    }
    let reason =
        format!("promised are pages under {PAGE_MS:.0} ms and memory under {MEMORY_MB:.0} MB");
    Err(Error::Measurement { tool: "nodekeep".to_owned(), reason })
}

fn parse(words: Vec<OsString>) -> Result<Options, Error> {
    let mut args = Args::new(words);
    let options = Options {
        nodes: args.value("--nodes", "a number of nodes")?.unwrap_or(50).max(1),
        snapshots: args.value("--snapshots", "a number of snapshots")?.unwrap_or(1000),
        dir: args.path("--dir")?.unwrap_or_else(|| place::target().join("bench")),
        binary: args.path("--bin")?,
    };
    args.finish()?;
    Ok(options)
}

fn bad(reason: impl Into<String>) -> Error {
    Error::Measurement { tool: "nodekeep".to_owned(), reason: reason.into() }
}

impl Fleet {
    /// One that is there already, with as many of each, is used again.
    fn make(options: &Options, binary: PathBuf) -> Result<Self, Error> {
        let name = format!("fleet-{}-{}", options.nodes, options.snapshots);
        fs::create_dir_all(&options.dir).map_err(Error::file(&options.dir))?;
        let folder = fs::canonicalize(&options.dir).map_err(Error::file(&options.dir))?.join(name);
        let fleet = Self { binary, folder };
        if fleet.folder.join("made").exists() {
            return Ok(fleet);
        }
        if fleet.folder.exists() {
            fs::remove_dir_all(&fleet.folder).map_err(Error::file(&fleet.folder))?;
        }
        fs::create_dir_all(&fleet.folder).map_err(Error::file(&fleet.folder))?;
        fleet.fill(options)?;
        fleet.write("made", "")?;
        Ok(fleet)
    }

    fn fill(&self, options: &Options) -> Result<(), Error> {
        self.write("plain.toml", PROFILE)?;
        self.run(&["init"])?;
        for node in 0..options.nodes {
            for file in 0..FILES {
                self.write(&format!("n{node}/f{file}"), &format!("{node} {file}\n").repeat(400))?;
            }
            let profile = self.folder.join("plain.toml").display().to_string();
            let data = format!("data={}", self.folder.join(format!("n{node}")).display());
            let name = format!("node{node:02}");
            self.run(&["node", "add", &name, "--profile-file", &profile, "--path", &data])?;
        }
        for snapshot in 0..options.snapshots {
            let node = snapshot % options.nodes;
            self.write(&format!("n{node}/f0"), &format!("{snapshot}\n").repeat(1000))?;
            self.run(&["backup", &format!("node{node:02}")])?;
            if snapshot % 100 == 99 {
                eprintln!("{} of {} snapshots", snapshot + 1, options.snapshots);
            }
        }
        Ok(())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.folder.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::file(folder))?;
        }
        fs::write(&path, text).map_err(Error::file(&path))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(words).env("NODEKEEP_HOME", self.folder.join("home")).stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Result<Vec<u8>, Error> {
        place::output(self.command(words).stderr(Stdio::null()))
    }

    fn serve(&self) -> Result<Daemon, Error> {
        self.write("home/config.toml", "[http]\nlisten = \"127.0.0.1:0\"\n")?;
        let name = format!("bench{}", std::process::id());
        let made = self.run(&["daemon", "token", "add", &name, "--role", "read", "--json"])?;
        let made: Value = serde_json::from_slice(&made).map_err(|error| bad(error.to_string()))?;
        let token = made["token"].as_str().unwrap_or_default().to_owned();
        let mut command = self.command(&["daemon", "run", "--json"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.map_err(Error::file(&self.binary))?;
        let address = child.stderr.take().and_then(address);
        let address = address.ok_or_else(|| bad("the daemon does not say where it listens"))?;
        let mut daemon = Daemon { child, address, cookie: String::new(), first: 0.0 };
        daemon.sign_in(&token)?;
        daemon.first = daemon.get("/api/v1/overview")?.0;
        daemon.listen();
        // Whoever signs in reads the overview before the rest.
        thread::sleep(PAUSE);
        Ok(daemon)
    }
}

/// Where the daemon listens, as its events say; the rest of them is read away.
fn address(events: impl Read + Send + 'static) -> Option<SocketAddr> {
    let mut lines = BufReader::new(events).lines().map_while(Result::ok);
    let found = lines.find_map(|line| {
        let event: Value = serde_json::from_str(&line).ok()?;
        let address = event["event"]["serving"]["address"].as_str()?;
        address.strip_prefix("http://")?.strip_suffix('/')?.parse().ok()
    });
    thread::spawn(move || lines.for_each(drop));
    found
}

impl Daemon {
    /// Every page with the slowest time of it, in milliseconds.
    fn pages(&self) -> Result<Vec<(String, f64)>, Error> {
        let (_, list) = self.get("/api/v1/snapshots?limit=1000")?;
        let list: Value = serde_json::from_slice(&list).map_err(|error| bad(error.to_string()))?;
        let id = |at: usize| list["items"][at]["id"].as_str().unwrap_or_default().to_owned();
        let (newest, older) = (id(0), list["items"].as_array().map_or(0, Vec::len) - 1);
        let pages = [
            ("/", "/".to_owned()),
            ("overview", "/api/v1/overview".to_owned()),
            ("nodes/{name}", "/api/v1/nodes/node00".to_owned()),
            ("snapshots", "/api/v1/snapshots?limit=1000".to_owned()),
            ("snapshots/{id}", format!("/api/v1/snapshots/{newest}")),
            ("tree", format!("/api/v1/snapshots/{newest}/tree")),
            ("diff", format!("/api/v1/diff?from={}&to={newest}", id(older))),
            ("growth", "/api/v1/growth".to_owned()),
            ("jobs", "/api/v1/jobs".to_owned()),
            ("schedules", "/api/v1/schedules".to_owned()),
            ("certificates", "/api/v1/certificates".to_owned()),
            ("notifications", "/api/v1/notifications".to_owned()),
            ("log", "/api/v1/log".to_owned()),
        ];
        let mut slowest: Vec<(String, f64)> =
            pages.iter().map(|(name, _)| ((*name).to_owned(), 0.0)).collect();
        for round in 0..=ROUNDS {
            for ((_, path), (_, slowest)) in pages.iter().zip(&mut slowest) {
                *slowest = slowest.max(self.get(path)?.0);
            }
            thread::sleep(if round + 1 == ROUNDS { IDLE } else { PAUSE });
        }
        Ok(slowest)
    }

    /// Exchanges the token for a session.
    fn sign_in(&mut self, token: &str) -> Result<(), Error> {
        let body = serde_json::json!({ "token": token }).to_string();
        let more = format!("Content-Type: application/json\r\nContent-Length: {}", body.len());
        let answer = self.ask("POST", "/api/v1/session", &more, &body)?;
        let head = String::from_utf8_lossy(&answer).into_owned();
        let mut cookies = head.lines().filter_map(|line| line.split_once(": "));
        let cookie = cookies.find(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        let (_, cookie) = cookie.ok_or_else(|| bad(format!("it lets nobody in: {head}")))?;
        self.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(())
    }

    /// Listens to what happens, as an open page does.
    fn listen(&self) {
        let (address, cookie) = (self.address, self.cookie.clone());
        thread::spawn(move || {
            let mut stream = TcpStream::connect(address)?;
            write!(
                stream,
                "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n"
            )?;
            // Until the daemon ends.
            io::copy(&mut stream, &mut io::sink())
        });
    }

    /// All of the answer.
    fn ask(&self, method: &str, path: &str, more: &str, body: &str) -> Result<Vec<u8>, Error> {
        let ask = || {
            let mut stream = TcpStream::connect(self.address)?;
            write!(stream, "{method} {path} HTTP/1.0\r\nHost: localhost\r\n{more}\r\n\r\n{body}")?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).map(|_| answer)
        };
        ask().map_err(Error::file(Path::new(path)))
    }

    /// Milliseconds and body.
    fn get(&self, path: &str) -> Result<(f64, Vec<u8>), Error> {
        let began = Instant::now();
        let answer = self.ask("GET", path, &format!("Cookie: {}", self.cookie), "")?;
        let ms = began.elapsed().as_secs_f64() * 1000.0;
        let end = answer.windows(4).position(|part| part == b"\r\n\r\n").unwrap_or(0);
        match answer.starts_with(b"HTTP/1.0 200") {
            true => Ok((ms, answer[end + 4..].to_vec())),
            false => Err(bad(format!("{path}: {}", String::from_utf8_lossy(&answer)))),
        }
    }

    /// Now and at most, in MB.
    fn memory(&self) -> Result<(f64, f64), Error> {
        let path = PathBuf::from(format!("/proc/{}/status", self.child.id()));
        let text = place::read(&path)?;
        let figure = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib * 1024.0 / 1e6)
        };
        figure("VmRSS").zip(figure("VmHWM")).ok_or_else(|| bad("its memory is not known"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It holds nothing that a kill could hurt.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
