//! A home, a folder of files, and a way to run the binary there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub struct Bed {
    dir: TempDir,
}

/// What a run left.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Bed {
    /// A home without anything, and a folder `data` with a few files.
    pub fn new() -> Self {
        let bed = Self { dir: tempfile::tempdir().unwrap() };
        bed.write("data/a.txt", "alpha\n");
        bed.write("data/sub/b.txt", "beta\n");
        bed
    }

    /// The same, backed up once.
    pub fn backed_up() -> Self {
        let bed = Self::new();
        bed.ok(&["backup", "./data"]);
        bed
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o7777
    }

    /// The recovery words that the first backup wrote.
    pub fn words(&self) -> String {
        self.read("home/recovery-words").trim().to_owned()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nodekeep"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("TZ", "UTC")
            .env("HOME", self.path("nowhere"))
            .env("NODEKEEP_HOME", self.path("home"))
            .env("NODEKEEP_HOST", "box")
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        self.run_with(&[], args)
    }

    pub fn run_with(&self, variables: &[(&str, &str)], args: &[&str]) -> Ran {
        ran(self.command(args).envs(variables.iter().copied()))
    }

    /// Runs as a user whom permissions stop: root becomes nobody, with the bed and the binary given to it.
    pub fn run_unprivileged(&self, args: &[&str]) -> Ran {
        if !rustix::process::geteuid().is_root() {
            return self.run(args);
        }
        let binary = self.path("nodekeep");
        if !binary.exists() {
            // By another process: a copy made in this one would be open for writing in whatever another test starts meanwhile,
            // and the system runs no such file.
            let copied =
                Command::new("cp").arg(env!("CARGO_BIN_EXE_nodekeep")).arg(&binary).status();
            assert!(copied.unwrap().success());
        }
        give(&self.path(""), NOBODY);
        let mut command = Command::new(binary);
        let like = self.command(args);
        let set = like.get_envs().filter_map(|(name, value)| Some((name, value?)));
        command.args(args).current_dir(self.path("")).env_clear().envs(set).stdin(Stdio::null());
        ran(command.uid(NOBODY).gid(NOBODY))
    }

    /// Runs what must succeed; its standard output.
    pub fn ok(&self, args: &[&str]) -> String {
        self.ok_with(&[], args)
    }

    pub fn ok_with(&self, variables: &[(&str, &str)], args: &[&str]) -> String {
        let ran = self.run_with(variables, args);
        assert_eq!(ran.code, 0, "{args:?}\n{}{}", ran.stdout, ran.stderr);
        ran.stdout
    }

    /// Runs what must succeed, with `--json`.
    pub fn json(&self, args: &[&str]) -> Value {
        let text = self.ok(&[args, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}\n{text}"))
    }

    /// The ids of the snapshots, oldest first.
    pub fn ids(&self) -> Vec<String> {
        let listed = self.json(&["snapshot", "list"]);
        let snapshots = listed["snapshots"].as_array().unwrap();
        snapshots.iter().map(|snapshot| snapshot["id"].as_str().unwrap().to_owned()).collect()
    }

    /// A file that this machine keeps for its one repository.
    pub fn kept(&self, name: &str) -> String {
        let folder = fs::read_dir(self.path("home/repos")).unwrap().next().unwrap().unwrap();
        fs::read_to_string(folder.path().join(name)).unwrap()
    }

    /// Every file of the repository whose path holds `part`.
    pub fn objects(&self, part: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(&self.path("home/repository"), &mut found);
        found.retain(|path| path.to_str().unwrap().contains(part));
        found
    }
}

const NOBODY: u32 = 65_534;

fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn give(path: &Path, user: u32) {
    std::os::unix::fs::lchown(path, Some(user), Some(user)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        fs::read_dir(path).unwrap().for_each(|entry| give(&entry.unwrap().path(), user));
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
}

/// A profile with one component, all of the node's folder: what stands before it, and what else there is.
macro_rules! one_folder {
    ($head:literal, $rest:literal) => {
        concat!(
            $head,
            r#"
[[root]]
name = "data"
about = "its folder"

[[component]]
name = "files"
about = "all of it"
path = "{data}"
required = true
"#,
            $rest
        )
    };
}
pub(crate) use one_folder;
