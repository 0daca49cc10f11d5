//! How each tool is asked to do each step.
//!
//! All tools encrypt (but `tar | zstd`), all compress with zstd at their default or usual level, and all keep
//! their caches in the bench folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::corpus::Contents;
use super::measure::Invocation;
use super::rounds::Step;
use crate::error::Error;
use crate::place;

/// Where peers lie besides `PATH`.
const PEER_FOLDERS: [&str; 2] = ["/opt/peers/bin", "/opt/peers/borg/bin"];

/// Given to every tool that wants a password; the repositories are thrown away.
const PASSWORD: &str = "bench";

type Words = Vec<OsString>;

/// Words of a command line from strings and paths.
macro_rules! words {
    ($($word:expr),* $(,)?) => { vec![$(OsString::from(&$word)),*] };
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nodekeep,
    TarZstd,
    Bupstash,
    Restic,
    Borg,
    Rustic,
}

/// A tool that is installed.
#[derive(Debug)]
pub struct Tool {
    kind: Kind,
    program: PathBuf,
}

/// Where a tool works in one run.
#[derive(Debug)]
pub struct Bed {
    /// What is backed up.
    pub corpus: PathBuf,
    /// What the corpus holds before the small change.
    pub base: Contents,
    /// Holds the repository, caches and keys.
    pub folder: PathBuf,
    /// The last step that made a snapshot.
    pub newest: Step,
}

impl Bed {
    /// The tool's repository.
    pub fn repository(&self) -> PathBuf {
        self.folder.join("repository")
    }

    /// Where it restores to.
    pub fn target(&self) -> PathBuf {
        self.folder.join("restored")
    }

    fn cache(&self) -> PathBuf {
        self.folder.join("cache")
    }

    fn key(&self) -> PathBuf {
        self.folder.join("key")
    }

    fn archive(&self) -> PathBuf {
        self.repository().join("corpus.tar.zst")
    }
}

/// Each peer's name on the command line, its program, and what it is.
const PEERS: [(&str, &str, Kind); 5] = [
    ("tar", "zstd", Kind::TarZstd),
    ("bupstash", "bupstash", Kind::Bupstash),
    ("restic", "restic", Kind::Restic),
    ("borg", "borg", Kind::Borg),
    ("rustic", "rustic", Kind::Rustic),
];

/// The peers that are installed and wanted. A wanted peer that is missing is an error.
pub fn find_peers(wanted: Option<&[String]>) -> Result<Vec<Tool>, Error> {
    let Some(wanted) = wanted else {
        return Ok(PEERS.into_iter().filter_map(installed).collect());
    };
    let mut tools = Vec::new();
    for name in wanted.iter().filter(|name| *name != "none") {
        let peer = PEERS.into_iter().find(|(peer, ..)| peer == name).ok_or(Error::Value {
            option: "--peers".to_owned(),
            value: name.clone(),
            expected: "tar, bupstash, restic, borg, rustic or none",
        })?;
        tools.push(installed(peer).ok_or(Error::Missing {
            program: peer.1,
            hint: "install it or leave it out of --peers",
        })?);
    }
    Ok(tools)
}

fn installed((name, program, kind): (&str, &str, Kind)) -> Option<Tool> {
    let program = place::find_program(program, &PEER_FOLDERS);
    if program.is_none() {
        eprintln!("{name} is not installed");
    }
    program.map(|program| Tool { kind, program })
}

/// nodekeep first, then its peers.
pub fn with_nodekeep(nodekeep: &Path, peers: Vec<Tool>) -> Vec<Tool> {
    let own = Tool { kind: Kind::Nodekeep, program: nodekeep.to_path_buf() };
    std::iter::once(own).chain(peers).collect()
}

impl Tool {
    /// Its name in the tables.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Nodekeep => "nodekeep",
            Kind::TarZstd => "tar, zstd -1 -T2",
            Kind::Bupstash => "bupstash",
            Kind::Restic => "restic",
            Kind::Borg => "borg",
            Kind::Rustic => "rustic",
        }
    }

    /// Its name without spaces, for folders.
    pub fn file_name(&self) -> &'static str {
        self.name().split(',').next().unwrap_or_default()
    }

    /// What it says of its version.
    pub fn version(&self) -> Result<String, Error> {
        let argument = if self.kind == Kind::Restic { "version" } else { "--version" };
        let mut command = Command::new(&self.program);
        let output = place::output(command.arg(argument))?;
        let text = String::from_utf8_lossy(&output);
        let line = text.lines().next().unwrap_or_default().trim_matches(['*', ' ']);
        let words: Vec<_> = line.split(' ').take_while(|word| *word != "compiled").collect();
        let line = words.join(" ");
        Ok(match line.chars().next() {
            Some(first) if first.is_ascii_digit() => format!("{} {line}", self.name()),
            _ => line,
        })
    }

    /// Variables for each of its commands.
    pub fn environment(&self, bed: &Bed) -> Vec<(&'static str, OsString)> {
        let cache = || bed.cache().into_os_string();
        match self.kind {
            Kind::Nodekeep => vec![("NODEKEEP_HOME", bed.folder.join("home").into())],
            Kind::TarZstd => Vec::new(),
            Kind::Bupstash => vec![("XDG_CACHE_HOME", cache())],
            Kind::Restic => {
                vec![("RESTIC_PASSWORD", PASSWORD.into()), ("RESTIC_CACHE_DIR", cache())]
            }
            Kind::Borg => vec![("BORG_PASSPHRASE", PASSWORD.into()), ("BORG_BASE_DIR", cache())],
            Kind::Rustic => {
                vec![("RUSTIC_PASSWORD", PASSWORD.into()), ("RUSTIC_CACHE_DIR", cache())]
            }
        }
    }

    /// Whether it makes a snapshot in this step.
    pub fn has(&self, step: Step) -> bool {
        step == Step::First || self.kind != Kind::TarZstd
    }

    /// What makes a fresh repository; not measured.
    pub fn prepare(&self, bed: &Bed) -> Vec<Invocation> {
        let repository = bed.repository();
        let call = |words: Words| self.call(words);
        match self.kind {
            Kind::Nodekeep => {
                let words = bed.folder.join("words");
                vec![call(words!["init", "--repo", repository, "--words-out", words])]
            }
            Kind::TarZstd => vec![Invocation::new(words!["mkdir", repository])],
            Kind::Bupstash => vec![
                call(words!["init", "-r", repository]),
                call(words!["new-key", "-o", bed.key()]),
            ],
            Kind::Restic => vec![call(words!["-q", "-r", repository, "init"])],
            Kind::Borg => vec![call(words!["init", "-e", "repokey-blake2", repository])],
            Kind::Rustic => vec![call(words!["-r", repository, "--no-progress", "init"])],
        }
    }

    /// What does a step; `None` where the tool has nothing like it.
    pub fn step(&self, step: Step, bed: &Bed) -> Option<Vec<Invocation>> {
        match self.kind {
            Kind::Nodekeep => Some(self.nodekeep(step, bed)),
            Kind::TarZstd => self.tar_zstd(step, bed),
            Kind::Bupstash => self.bupstash(step, bed),
            Kind::Restic => Some(self.restic(step, bed)),
            Kind::Borg => Some(self.borg(step, bed)),
            Kind::Rustic => Some(self.rustic(step, bed)),
        }
    }

    fn call(&self, words: Words) -> Invocation {
        let program = self.program.clone().into_os_string();
        Invocation::new(std::iter::once(program).chain(words))
    }

    fn nodekeep(&self, step: Step, bed: &Bed) -> Vec<Invocation> {
        let repository = bed.repository();
        let words = match step {
            Step::First | Step::Unchanged | Step::Change => {
                words!["backup", bed.corpus, "--repo", repository]
            }
            Step::Restore => {
                words!["restore", "latest", "--target", bed.target(), "--repo", repository]
            }
            Step::Check => words!["check", "--repo", repository],
            Step::Data => words!["check", "--data", "--repo", repository],
            Step::Prune => words!["snapshot", "prune", "--keep-last", "1", "--repo", repository],
        };
        vec![self.call(words)]
    }

    /// The pipelines run in a shell that fails if any part does.
    fn tar_zstd(&self, step: Step, bed: &Bed) -> Option<Vec<Invocation>> {
        let (script, folder) = match step {
            Step::First => {
                ("tar -C \"$2\" -cf - . | \"$0\" -q -1 -T2 -o \"$1\"", bed.corpus.clone())
            }
            Step::Restore => ("\"$0\" -q -d -c \"$1\" | tar -C \"$2\" -xpf -", bed.target()),
            Step::Data => ("\"$0\" -q -t \"$1\"", bed.target()),
            Step::Unchanged | Step::Change | Step::Check | Step::Prune => return None,
        };
        let words =
            words!["bash", "-o", "pipefail", "-c", script, self.program, bed.archive(), folder];
        Some(vec![Invocation::new(words)])
    }

    /// It has no check. Its incremental puts use the send log.
    fn bupstash(&self, step: Step, bed: &Bed) -> Option<Vec<Invocation>> {
        let (repository, key) = (bed.repository(), bed.key());
        let query = format!("name={}", bed.newest.name());
        Some(match step {
            Step::First | Step::Unchanged | Step::Change => {
                let log = bed.folder.join("send-log");
                let options = words!["put", "-q", "-k", key, "-r", repository, "--send-log", log];
                let name = format!("name={}", step.name());
                vec![self.call([options, words![name, bed.corpus]].concat())]
            }
            Step::Restore => {
                let options = words!["restore", "-q", "-k", key, "-r", repository, "--ownership"];
                vec![self.call([options, words!["--into", bed.target(), query]].concat())]
            }
            Step::Prune => {
                let options = words!["rm", "-q", "-k", key, "-r", repository, "--allow-many"];
                let query = words!["name=first", "or", "name=unchanged"];
                vec![
                    self.call([options, query].concat()),
                    self.call(words!["gc", "-q", "-r", repository]),
                ]
            }
            Step::Check | Step::Data => return None,
        })
    }

    fn restic(&self, step: Step, bed: &Bed) -> Vec<Invocation> {
        let words = match step {
            Step::First | Step::Unchanged | Step::Change => words!["backup", bed.corpus],
            Step::Restore => words!["restore", "latest", "--target", bed.target()],
            Step::Check => words!["check"],
            Step::Data => words!["check", "--read-data"],
            Step::Prune => words!["forget", "--keep-last", "1", "--prune"],
        };
        vec![self.call([words!["-q", "-r", bed.repository()], words].concat())]
    }

    fn borg(&self, step: Step, bed: &Bed) -> Vec<Invocation> {
        let repository = bed.repository();
        let archive = |step: Step| format!("{}::{}", repository.display(), step.name());
        match step {
            Step::First | Step::Unchanged | Step::Change => {
                vec![self.call(words!["create", "-C", "zstd,3", archive(step), bed.corpus])]
            }
            Step::Restore => {
                let extract = self.call(words!["extract", archive(bed.newest)]);
                vec![extract.within(&bed.target())]
            }
            Step::Check => vec![self.call(words!["check", repository])],
            Step::Data => vec![self.call(words!["check", "--verify-data", repository])],
            Step::Prune => vec![
                self.call(words!["prune", "--keep-last", "1", repository]),
                self.call(words!["compact", repository]),
            ],
        }
    }

    fn rustic(&self, step: Step, bed: &Bed) -> Vec<Invocation> {
        let words = match step {
            Step::First | Step::Unchanged | Step::Change => words!["backup", bed.corpus],
            Step::Restore => words!["restore", "latest", bed.target()],
            Step::Check => words!["check"],
            Step::Data => words!["check", "--read-data"],
            Step::Prune => words!["forget", "--keep-last", "1", "--prune", "--instant-delete"],
        };
        vec![self.call([words!["-r", bed.repository(), "--no-progress"], words].concat())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_peers_are_refused_and_none_is_nobody() {
        assert!(find_peers(Some(&["none".to_owned()])).unwrap().is_empty());
        let unknown = find_peers(Some(&["cp".to_owned()]));
        assert!(matches!(unknown, Err(Error::Value { .. })));
    }

    #[test]
    fn only_tar_lacks_steps_and_bupstash_checks() {
        let bed = Bed {
            corpus: "/corpus".into(),
            base: Contents::default(),
            folder: "/bed".into(),
            newest: Step::First,
        };
        for (name, program, kind) in PEERS {
            let tool = Tool { kind, program: program.into() };
            let missing: Vec<_> =
                Step::ALL.into_iter().filter(|step| tool.step(*step, &bed).is_none()).collect();
            let expected: &[Step] = match name {
                "tar" => &[Step::Unchanged, Step::Change, Step::Check, Step::Prune],
                "bupstash" => &[Step::Check, Step::Data],
                _ => &[],
            };
            assert_eq!(missing, expected, "{name}");
        }
    }
}
