//! A machine as the program sees it: a home, a folder to back up, credentials of the store.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nodekeep_testkit::{Abilities, Rng, Size, Tree, random};
use serde_json::Value;

use super::leash::leashed;
use super::s3::S3;
use crate::error::Error;
use crate::place;

/// One machine with the program on it.
#[derive(Debug, Clone)]
pub struct Machine {
    folder: PathBuf,
    name: String,
    binary: PathBuf,
    repo: String,
    store: S3,
    credential: Option<PathBuf>,
}

/// What a run of the program left.
#[derive(Debug)]
pub struct Ran {
    /// What was asked for.
    pub words: String,
    /// The exit code; -1 if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Ran {
    /// Fails unless the exit code is 0.
    pub fn ok(self) -> Result<Self, Error> {
        if self.code == 0 {
            return Ok(self);
        }
        Err(Error::Broken(self.told()))
    }

    /// Everything about it, for a message.
    pub fn told(&self) -> String {
        let Self { words, code, stdout, stderr, took } = self;
        let seconds = took.as_secs_f64();
        format!("nodekeep {words}: exit code {code} after {seconds:.1} s\n{stdout}{stderr}")
    }

    /// The document that `--json` printed.
    pub fn json(&self) -> Result<Value, Error> {
        serde_json::from_str(&self.stdout)
            .map_err(|error| Error::Broken(format!("{}\nno JSON: {error}", self.told())))
    }
}

impl Machine {
    /// A machine with an empty home in `parent`, whose repository is at `repo` in the store.
    pub fn new(
        parent: &Path,
        name: &str,
        binary: &Path,
        repo: &str,
        store: &S3,
    ) -> Result<Self, Error> {
        let folder = parent.join(name);
        let data = folder.join("data");
        fs::create_dir_all(&data).map_err(Error::file(&data))?;
        Ok(Self {
            folder,
            name: name.to_owned(),
            binary: binary.to_path_buf(),
            repo: repo.to_owned(),
            store: store.clone(),
            credential: None,
        })
    }

    /// The same machine, its network leading through a proxy.
    pub fn through(&self, server: SocketAddr) -> Self {
        let store = S3 { server, ..self.store.clone() };
        Self { store, ..self.clone() }
    }

    /// The same machine as another user of the store.
    pub fn as_user(&self, store: &S3) -> Self {
        Self { store: store.clone(), ..self.clone() }
    }

    /// The same machine, writing with this credential.
    pub fn with_credential(&self, file: PathBuf) -> Self {
        Self { credential: Some(file), ..self.clone() }
    }

    /// A path in the machine's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What is backed up.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The name that its snapshots bear.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Fills the folder that is backed up with a random tree.
    pub fn grow(&self, rng: &mut Rng, size: Size) -> Result<Tree, Error> {
        let data = self.data();
        let can = Abilities::probe(&data).map_err(Error::file(&data))?;
        random(rng, can, size).write(&data).map_err(Error::file(&data))?;
        self.tree()
    }

    /// Adds a file that neither compresses nor repeats.
    pub fn add_file(&self, rng: &mut Rng, name: &str, megabytes: usize) -> Result<(), Error> {
        let file = self.data().join(name);
        fs::write(&file, rng.bytes(megabytes << 20, false)).map_err(Error::file(&file))
    }

    /// What the folder holds now.
    pub fn tree(&self) -> Result<Tree, Error> {
        read_tree(&self.data())
    }

    /// The program with its arguments, ready to start.
    pub fn command(&self, words: &[&str]) -> Result<Command, Error> {
        let mut command = leashed(&self.binary)?;
        command.args(words).current_dir(&self.folder).env_clear();
        let home = self.folder.join("home");
        for (name, value) in [("NODEKEEP_HOME", &home), ("HOME", &self.folder)] {
            command.env(name, value);
        }
        command.env("NODEKEEP_HOST", &self.name).env("NODEKEEP_REPO", &self.repo);
        if let Some(credential) = &self.credential {
            command.env("NODEKEEP_CREDENTIAL_FILE", credential);
        }
        let S3 { server, region, keys } = &self.store;
        command.env("AWS_ENDPOINT_URL", format!("http://{server}")).env("AWS_REGION", region);
        command.env("AWS_ACCESS_KEY_ID", &keys.access);
        command.env("AWS_SECRET_ACCESS_KEY", &keys.secret);
        command.env("PATH", "/usr/bin:/bin").env("TZ", "UTC").stdin(Stdio::null());
        Ok(command)
    }

    /// Runs the program to its end.
    pub fn run(&self, words: &[&str]) -> Result<Ran, Error> {
        self.run_with(&[], words)
    }

    /// The same with more variables.
    pub fn run_with(&self, variables: &[(&str, &str)], words: &[&str]) -> Result<Ran, Error> {
        let mut command = self.command(words)?;
        command.envs(variables.iter().copied());
        let started = Instant::now();
        let output = command
            .output()
            .map_err(|source| Error::Start { program: place::spelled(&command), source })?;
        Ok(ran(words, &output, started.elapsed()))
    }

    /// Starts the program, its output thrown away.
    pub fn spawn(&self, words: &[&str]) -> Result<Child, Error> {
        let mut command = self.command(words)?;
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map_err(|source| Error::Start { program: place::spelled(&command), source })
    }

    /// Starts the program, its output kept for [`Machine::finish`].
    pub fn begin(&self, words: &[&str]) -> Result<Running, Error> {
        let mut command = self.command(words)?;
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let child = command
            .spawn()
            .map_err(|source| Error::Start { program: place::spelled(&command), source })?;
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Ok(Running { child, words, started })
    }

    /// Backs the folder up; the snapshot's id.
    pub fn backup(&self) -> Result<String, Error> {
        let data = self.data();
        let ran = self.run(&["backup", &data.to_string_lossy(), "--json"])?.ok()?;
        snapshot_of(&ran)
    }

    /// The ids of all snapshots, oldest first, and what each says of itself.
    pub fn snapshots(&self) -> Result<Vec<Value>, Error> {
        let list = self.run(&["snapshot", "list", "--json"])?.ok()?.json()?;
        let problems = list["problems"].as_array().is_some_and(|problems| !problems.is_empty());
        if problems {
            return Err(Error::Broken(format!("snapshot list: {}", list["problems"])));
        }
        Ok(list["snapshots"].as_array().cloned().unwrap_or_default())
    }

    /// The ids of all snapshots, oldest first.
    pub fn ids(&self) -> Result<Vec<String>, Error> {
        Ok(self.snapshots()?.iter().filter_map(|snapshot| text_of(&snapshot["id"])).collect())
    }

    /// Restores a snapshot to a new folder and compares everything with what it must be.
    pub fn must_restore(&self, id: &str, wanted: &Tree) -> Result<Ran, Error> {
        let target = self.path(&format!("restored-{id}"));
        let words = ["restore", id, "--target", &target.to_string_lossy(), "--quiet"];
        let ran = self.run(&words)?.ok()?;
        self.compare(id, &target, wanted)?;
        Ok(ran)
    }

    /// Compares what was restored, and removes it.
    pub fn compare(&self, id: &str, target: &Path, wanted: &Tree) -> Result<(), Error> {
        let differences = wanted.differences(&read_tree(target)?);
        if !differences.is_empty() {
            let lines = differences.join("\n");
            return Err(Error::Broken(format!("snapshot {id} came back changed:\n{lines}")));
        }
        fs::remove_dir_all(target).map_err(Error::file(target))
    }

    /// `check`, which must find nothing.
    pub fn must_check(&self, words: &[&str]) -> Result<Value, Error> {
        let words = [&["check", "--json"], words].concat();
        let ran = self.run(&words)?.ok()?;
        let said = ran.json()?;
        if said["ok"] == true {
            return Ok(said);
        }
        Err(Error::Broken(ran.told()))
    }
}

/// A run that has not ended.
#[derive(Debug)]
pub struct Running {
    child: Child,
    words: Vec<String>,
    started: Instant,
}

impl Running {
    /// Whether it has not ended.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    pub fn finish(self) -> Result<Ran, Error> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let output = self.child.wait_with_output().map_err(Error::file("nodekeep"))?;
        Ok(ran(&words, &output, self.started.elapsed()))
    }
}

fn ran(words: &[&str], output: &Output, took: Duration) -> Ran {
    Ran {
        words: words.join(" "),
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        took,
    }
}

/// The id of the snapshot that a `backup --json` made.
pub fn snapshot_of(ran: &Ran) -> Result<String, Error> {
    text_of(&ran.json()?["snapshot"]).ok_or_else(|| Error::Broken(ran.told()))
}

/// A JSON text as text.
pub fn text_of(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn read_tree(folder: &Path) -> Result<Tree, Error> {
    Tree::read(folder).map_err(Error::file(folder))
}
