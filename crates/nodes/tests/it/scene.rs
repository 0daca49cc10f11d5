//! A node on a stage: a folder, a profile with its rules, and what its commands wrote down.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nodekeep_nodes::hold::{Held, HoldError, Journal, Mounts, Plan, Site, enter};
use nodekeep_nodes::node::{Node, Registration};
use nodekeep_nodes::profile;

/// A folder with a node in it.
pub struct Scene {
    _temporary: Option<tempfile::TempDir>,
    pub folder: PathBuf,
}

impl Scene {
    pub fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().to_path_buf();
        Self { _temporary: Some(temporary), folder }
    }

    /// The same scene in another process.
    pub fn at(folder: &Path) -> Self {
        Self { _temporary: None, folder: folder.to_path_buf() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A node `n` whose profile has these rules; `{data}` is the scene's folder.
    pub fn node(&self, rules: &str) -> Node {
        let text = format!(
            r#"
            name = "trial"
            title = "Trial"
            about = "For tests."
            {rules}
            [[root]]
            name = "data"
            about = "All of it"
            [[component]]
            name = "all"
            about = "All of it"
            path = "{{data}}"
            "#
        );
        let profile = profile::parse(&text, "trial").unwrap();
        let paths = [("data".to_owned(), self.folder.clone())].into();
        let (name, profile_name) = ("n".to_owned(), "trial".to_owned());
        let registration =
            Registration { name, profile: profile_name, paths, ..Default::default() };
        Node::new(registration, profile).unwrap()
    }

    pub fn site(&self) -> Site {
        let now = "2026-11-21T14:00:00Z".parse().unwrap();
        Site { folder: self.path("holds"), tools: vec![self.path("tools")], now }
    }

    pub fn now(&self) -> Timestamp {
        self.site().now
    }

    pub fn journal(&self) -> Result<Journal, HoldError> {
        Journal::open(&self.site().folder, "n", self.now())
    }

    pub fn hold(&self, node: &Node) -> Result<Held, HoldError> {
        let plan = Plan::of(node, &self.site(), &Mounts::default())?;
        enter(&plan, self.journal()?)
    }

    /// What the commands wrote down, in order.
    pub fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// A program that is ended with the test.
pub struct Process(Child);

impl Process {
    pub fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    pub fn shell(line: &str) -> Self {
        Self::start(Command::new("/bin/sh").args(["-c", line]).stdout(Stdio::null()))
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

pub fn wait_for(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "it never came: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
