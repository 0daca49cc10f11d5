//! A repository with the home of the program that uses it, in a scratch folder that goes when it is done with.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::super::corpus;
use super::super::measure::{Cost, Invocation, measure};
use crate::error::Error;
use crate::place;

/// Where beds are made, and of what.
#[derive(Debug)]
pub struct Ground {
    /// Holds everything.
    dir: PathBuf,
    nodekeep: PathBuf,
}

impl Ground {
    /// A folder to work in, and the program to measure.
    pub fn new(dir: PathBuf, nodekeep: PathBuf) -> Result<Self, Error> {
        let ground = Self { dir: dir.join("scale"), nodekeep };
        fs::create_dir_all(&ground.dir).map_err(Error::file(&ground.dir))?;
        Ok(ground)
    }

    /// A scratch folder of this name, empty.
    pub fn scratch(&self, name: &str) -> Result<Scratch, Error> {
        let path = self.dir.join(name);
        if path.exists() {
            fs::remove_dir_all(&path).map_err(Error::file(&path))?;
        }
        fs::create_dir_all(&path).map_err(Error::file(&path))?;
        Ok(Scratch { path })
    }

    /// A bed of this name, without a repository.
    pub fn bed(&self, name: &str) -> Result<Bed, Error> {
        let scratch = self.scratch(name)?;
        let log = self.dir.join(format!("{name}.log"));
        if log.exists() {
            fs::remove_file(&log).map_err(Error::file(&log))?;
        }
        Ok(Bed { nodekeep: self.nodekeep.clone(), scratch, log })
    }
}

/// A folder that is removed at the end, whatever the end is.
#[derive(Debug)]
pub struct Scratch {
    /// The folder.
    pub path: PathBuf,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("{} could not be removed: {error}", self.path.display());
        }
    }
}

/// A repository and the program's home.
#[derive(Debug)]
pub struct Bed {
    nodekeep: PathBuf,
    scratch: Scratch,
    log: PathBuf,
}

impl Bed {
    /// The folder of it all.
    pub fn folder(&self) -> &Path {
        &self.scratch.path
    }

    /// The repository.
    pub fn repository(&self) -> PathBuf {
        self.folder().join("repository")
    }

    /// Where the recovery words lie.
    fn words(&self) -> PathBuf {
        self.folder().join("words")
    }

    /// Makes a repository.
    pub fn init(&self) -> Result<(), Error> {
        self.run(&with(&["init", "--words-out"].map(OsStr::new), &self.words())).map(drop)
    }

    /// Opens a repository that something else made, with the words that it left.
    pub fn open(&self) -> Result<(), Error> {
        self.run(&["init", "--from-words"]).map(drop)
    }

    /// Runs nodekeep on the repository, and says what it cost.
    pub fn run<W: AsRef<OsStr>>(&self, words: &[W]) -> Result<Cost, Error> {
        place::run(&mut Command::new("sync"))?;
        let own = std::iter::once(self.nodekeep.clone().into_os_string());
        let words = words.iter().map(|word| word.as_ref().to_owned());
        let repo = [OsString::from("--repo"), self.repository().into()];
        let mut invocation = Invocation::new(own.chain(words).chain(repo));
        invocation.environment = self.environment();
        measure(&invocation, &self.log)
    }

    fn environment(&self) -> Vec<(&'static str, OsString)> {
        let home = self.folder().join("home").into();
        let mut environment = vec![("NODEKEEP_HOME", home)];
        if self.words().exists() {
            environment.push(("NODEKEEP_WORDS_FILE", self.words().into()));
        }
        environment
    }

    /// Runs a step and tells the terminal; `row` is what grows.
    pub fn step<W: AsRef<OsStr>>(
        &self,
        row: u64,
        title: &'static str,
        words: &[W],
    ) -> Result<(&'static str, Cost), Error> {
        let cost = self.run(words)?;
        eprintln!("{row:>9} {title:<24} {:>7.2} s {:>6.0} MB", cost.wall_s, cost.peak_mb);
        Ok((title, cost))
    }

    /// Fails unless the repository has so many snapshots: a step that does nothing is fast.
    pub fn expect_snapshots(&self, expected: u64) -> Result<(), Error> {
        let mut command = Command::new(&self.nodekeep);
        command.args(["snapshot", "list", "--json", "--repo"]).arg(self.repository());
        command.envs(self.environment());
        let listed = place::output(&mut command)?;
        let listed = String::from_utf8_lossy(&listed).matches("\"incomplete\"").count() as u64;
        if listed == expected {
            return Ok(());
        }
        Err(wrong(format!("{listed} snapshots instead of {expected}")))
    }

    /// Restores one file, fails unless it is as it was, and says what it cost.
    pub fn restore_one(
        &self,
        row: u64,
        (snapshot, path): (&str, &str),
        expected: &[u8],
    ) -> Result<(&'static str, Cost), Error> {
        let target = self.target();
        let words = ["restore", snapshot, path, "--target"].map(OsStr::new);
        let step = self.step(row, "restore one file", &with(&words, &target))?;
        let restored = first_file(&target)?;
        fs::remove_dir_all(&target).map_err(Error::file(&target))?;
        if restored == expected { Ok(step) } else { Err(wrong(format!("{path} has other bytes"))) }
    }

    /// Restores the newest snapshot, fails unless it has as many files and bytes as `original`, and says what it cost.
    pub fn restore_all(&self, row: u64, original: &Path) -> Result<(&'static str, Cost), Error> {
        let target = self.target();
        let words = ["restore", "latest", "--target"].map(OsStr::new);
        let step = self.step(row, "restore all", &with(&words, &target))?;
        let (restored, expected) =
            (corpus::measure_folder(&target)?, corpus::measure_folder(original)?);
        fs::remove_dir_all(&target).map_err(Error::file(&target))?;
        if restored == expected {
            Ok(step)
        } else {
            Err(wrong(format!("{restored:?} were restored of {expected:?}")))
        }
    }

    fn target(&self) -> PathBuf {
        self.folder().join("restored")
    }

    /// Megabytes of the repository.
    pub fn repository_mb(&self) -> Result<f64, Error> {
        Ok(corpus::measure_folder(&self.repository())?.bytes as f64 / 1e6)
    }

    /// A copy with a home of its own, so that what is done to it leaves this one as it is.
    pub fn fork(&self) -> Result<Self, Error> {
        let path = self.folder().with_extension("fork");
        if path.exists() {
            fs::remove_dir_all(&path).map_err(Error::file(&path))?;
        }
        place::run(Command::new("cp").arg("-a").arg(self.folder()).arg(&path))?;
        Ok(Self {
            nodekeep: self.nodekeep.clone(),
            scratch: Scratch { path },
            log: self.log.clone(),
        })
    }
}

/// What makes all figures worthless.
pub fn wrong(reason: String) -> Error {
    Error::Measurement { tool: "nodekeep".to_owned(), reason }
}

fn with<'a>(words: &[&'a OsStr], path: &'a Path) -> Vec<&'a OsStr> {
    [words, &[path.as_os_str()]].concat()
}

/// The only file below a folder.
fn first_file(folder: &Path) -> Result<Vec<u8>, Error> {
    let mut path = folder.to_path_buf();
    while path.is_dir() {
        let entry = fs::read_dir(&path).map_err(Error::file(&path))?.next();
        let entry =
            entry.ok_or_else(|| wrong(format!("nothing was restored to {}", folder.display())))?;
        path = entry.map_err(Error::file(&path))?.path();
    }
    fs::read(&path).map_err(Error::file(&path))
}

/// Lets timestamps grow old enough to be trusted.
pub fn settle() {
    thread::sleep(Duration::from_millis(50));
}
