//! `cargo xtask test-metrics`: the metrics, rules and dashboard of the program, in the hands of Prometheus' own tools and of a real
//! Prometheus that scrapes them.

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::args::Args;
use crate::cluster::free_ports;
use crate::cluster::leash::{Daemon, Scratch, leashed};
use crate::error::Error;
use crate::place;

/// A node that a drill starts, so that all of it is told.
const PROFILE: &str = r#"
name = "counter"
title = "Counter"
about = "A file that grows."

[[root]]
name = "data"
about = "its folder"

[[component]]
name = "files"
about = "all of it"
path = "{data}"
required = true

[[health]]
name = "file"
command = "test -f '{data}/count'"

[[verify]]
name = "starts"
command = "test -f '{data}/count'"
starts-node = true
"#;
/// The tests of the rules.
const RULE_TESTS: &str = "testdata/metrics/rules-test.yml";
/// How long a Prometheus may take to have scraped.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs all of it.
pub fn run(words: Vec<OsString>) -> Result<(), Error> {
    let mut args = Args::new(words);
    let bin = args.path("--bin")?;
    args.finish()?;
    let (promtool, prometheus) = (program("promtool")?, program("prometheus")?);
    let scratch = Scratch::new("prom")?;
    let lab = Lab::new(scratch.path(), place::nodekeep(bin)?)?;
    let page = lab.output(&["metrics", "show"])?;
    told(
        "promtool check metrics",
        feed(Command::new(&promtool).args(["check", "metrics"]), &page),
    )?;
    let rules = lab.folder.join("nodekeep.rules.yml");
    write(&rules, &lab.output(&["metrics", "rules"])?)?;
    told(
        "promtool check rules",
        place::run(Command::new(&promtool).args(["check", "rules"]).arg(&rules)),
    )?;
    let tests = lab.folder.join("rules-test.yml");
    fs::copy(place::root().join(RULE_TESTS), &tests).map_err(Error::file(&tests))?;
    told(
        "promtool test rules",
        place::run(Command::new(&promtool).args(["test", "rules"]).arg(&tests)),
    )?;
    told("a Prometheus scrapes it", scraped(&lab, &prometheus, page))
}

fn told(what: &str, done: Result<(), Error>) -> Result<(), Error> {
    done.inspect(|()| println!("{what}: ok"))
}

fn program(name: &'static str) -> Result<PathBuf, Error> {
    place::find_program(name, &[]).ok_or_else(|| Error::Unfit {
        reason: format!("{name} is not on this machine, so that nothing was tried"),
        hint: "install Prometheus: apt-get install prometheus",
    })
}

/// A home with a node that was backed up, drilled and looked at.
struct Lab {
    folder: PathBuf,
    bin: PathBuf,
}

impl Lab {
    fn new(folder: &Path, bin: PathBuf) -> Result<Self, Error> {
        let lab = Self { folder: folder.to_owned(), bin };
        fs::create_dir(lab.folder.join("data")).map_err(Error::file(folder))?;
        write(&lab.folder.join("data/count"), b"1\n")?;
        write(&lab.folder.join("counter.toml"), PROFILE.as_bytes())?;
        let add =
            ["node", "add", "c\"ounter", "--profile-file", "counter.toml", "--path", "./data"];
        // A name that would break a line of metrics cannot be one.
        if lab.command(&add).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
            return Err(Error::Broken("a node may be called c\"ounter".to_owned()));
        }
        let words: [&[&str]; 7] = [
            &["node", "add", "counter", "--profile-file", "counter.toml", "--path", "./data"],
            &["config", "set", "verify-backups", "true"],
            &["schedule", "add", "counter", "--frequency", "daily", "--keep-last", "7"],
            &["backup", "counter"],
            &["drill", "counter"],
            &["health", "counter"],
            &["repo", "scrub", "--share", "all"],
        ];
        for words in words {
            place::output(&mut lab.command(words))?;
        }
        Ok(lab)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.bin);
        command
            .args(words)
            .current_dir(&self.folder)
            .env("NODEKEEP_HOME", self.folder.join("home"));
        command.env("NODEKEEP_HOST", "box").stdin(Stdio::null());
        command
    }

    fn output(&self, words: &[&str]) -> Result<Vec<u8>, Error> {
        place::output(&mut self.command(words))
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(Error::file(path))
}

/// Runs a program on an input.
fn feed(command: &mut Command, input: &[u8]) -> Result<(), Error> {
    let program = place::spelled(command);
    let failed = |source| Error::Start { program: program.clone(), source };
    let mut child = command.stdin(Stdio::piped()).spawn().map_err(failed)?;
    if let Some(mut to) = child.stdin.take() {
        to.write_all(input).map_err(failed)?;
    }
    let status = child.wait().map_err(failed)?;
    if status.success() { Ok(()) } else { Err(Error::Failed { program, status, log: None }) }
}

/// Serves a page to everybody who asks, until the task ends.
fn serve(page: Vec<u8>) -> Result<u16, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::file("a port"))?;
    let port = listener.local_addr().map_err(Error::file("a port"))?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever does not wait for the answer asks again.
            _ = answer(stream, &page);
        }
    });
    Ok(port)
}

fn answer(mut stream: TcpStream, page: &[u8]) -> std::io::Result<()> {
    let mut request = [0; 4096];
    _ = stream.read(&mut request)?;
    let length = page.len();
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(page)
}

/// A real Prometheus, with the rules, that scrapes the page.
fn scraped(lab: &Lab, prometheus: &Path, page: Vec<u8>) -> Result<(), Error> {
    let port = serve(page)?;
    let [own] = free_ports::<1>()?;
    let config = lab.folder.join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [nodekeep.rules.yml]\nscrape_configs:\n  - job_name: nodekeep\n    static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
    );
    write(&config, text.as_bytes())?;
    let mut command = leashed(prometheus)?;
    command.current_dir(&lab.folder).args([
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", lab.folder.join("tsdb").display()),
        format!("--web.listen-address=127.0.0.1:{own}"),
    ]);
    let _server = Daemon::start(command, &lab.folder.join("prometheus.log"))?;
    awaited(own, "nodekeep_node_state{node=\"counter\",state=\"at-risk\"}", 1.0)?;
    awaited(own, "time() - nodekeep_backup_last_success_timestamp_seconds < bool 3600", 1.0)?;
    awaited(own, "nodekeep_drill_started_node", 1.0)?;
    awaited(own, "nodekeep_verification_success", 1.0)?;
    awaited(own, "count(ALERTS{alertname=\"NodekeepNotOffsite\"})", 1.0)?;
    awaited(own, "scrape_samples_scraped > bool 50", 1.0)
}

fn awaited(port: u16, expr: &str, expected: f64) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = value(port, expr);
        if found == Some(expected) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::Broken(format!("{expr} is {found:?} and not {expected}")));
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// The first value of an expression; `None` while there is none, or no Prometheus answers yet.
fn value(port: u16, expr: &str) -> Option<f64> {
    let query: String = expr.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    write!(stream, "GET /api/v1/query?query={query} HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let document: Value = serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()?;
    document["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}
