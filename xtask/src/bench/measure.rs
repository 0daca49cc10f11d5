//! Measures a command with all its children: wall time, CPU time, peak memory.
//!
//! A process only learns the resources of *all* children it ever waited for, so each command runs under a fresh
//! copy of this program, which is also the reaper of whatever the command leaves behind.

use std::ffi::OsString;
use std::fs;
use std::iter::Sum;
use std::ops::Add;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::prctl;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::sys::wait::wait;

use crate::error::Error;
use crate::place;

/// The hidden task under which a command is measured.
pub const COMMAND: &str = "measure-one";

/// What a command cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Seconds from start to end.
    pub wall_s: f64,
    /// User and system seconds of all its processes.
    pub cpu_s: f64,
    /// Peak resident megabytes of its largest process.
    pub peak_mb: f64,
}

impl Cost {
    /// The cost of doing nothing.
    pub const NONE: Self = Self { wall_s: 0.0, cpu_s: 0.0, peak_mb: 0.0 };
}

impl Add for Cost {
    type Output = Self;

    /// One command after the other.
    fn add(self, other: Self) -> Self {
        Self {
            wall_s: self.wall_s + other.wall_s,
            cpu_s: self.cpu_s + other.cpu_s,
            peak_mb: self.peak_mb.max(other.peak_mb),
        }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::NONE, Self::add)
    }
}

/// A program to run with its arguments, environment and folder.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The program and its arguments.
    pub words: Vec<OsString>,
    /// Variables set on top of the inherited ones.
    pub environment: Vec<(&'static str, OsString)>,
    /// Where it runs; `None` is wherever this program does.
    pub folder: Option<PathBuf>,
}

impl Invocation {
    /// A program and its arguments.
    pub fn new<W: Into<OsString>>(words: impl IntoIterator<Item = W>) -> Self {
        Self {
            words: words.into_iter().map(Into::into).collect(),
            environment: Vec::new(),
            folder: None,
        }
    }

    /// The same, in a folder.
    pub fn within(self, folder: &Path) -> Self {
        Self { folder: Some(folder.to_path_buf()), ..self }
    }
}

/// Runs a command and measures it; its output is added to `log`.
pub fn measure(invocation: &Invocation, log: &Path) -> Result<Cost, Error> {
    let own = std::env::current_exe().map_err(Error::file("/proc/self/exe"))?;
    let report = log.with_extension("cost");
    let mut command = Command::new(own);
    command.arg(COMMAND).arg(&report).args(&invocation.words);
    command.envs(invocation.environment.iter().map(|(name, value)| (name, value)));
    if let Some(folder) = &invocation.folder {
        command.current_dir(folder);
    }
    let output =
        fs::File::options().create(true).append(true).open(log).map_err(Error::file(log))?;
    let errors = output.try_clone().map_err(Error::file(log))?;
    let status = command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .status()
        .map_err(|source| Error::Start { program: place::spelled(&command), source })?;
    if !status.success() {
        let words: Vec<_> = invocation.words.iter().map(|word| word.to_string_lossy()).collect();
        return Err(Error::Failed {
            program: words.join(" "),
            status,
            log: Some(log.to_path_buf()),
        });
    }
    parse(&place::read(&report)?)
        .ok_or(Error::Measurement { tool: COMMAND.to_owned(), reason: "left no report".to_owned() })
}

fn parse(report: &str) -> Option<Cost> {
    let mut numbers = report.split_whitespace().map(str::parse);
    Some(Cost {
        wall_s: numbers.next()?.ok()?,
        cpu_s: numbers.next()?.ok()?,
        peak_mb: numbers.next()?.ok()?,
    })
}

/// The hidden task: REPORT PROGRAM ARGUMENTS; runs the program and writes what it cost.
pub fn run_inner(words: &[OsString]) -> Result<(), Error> {
    let [report, program, arguments @ ..] = words else {
        return Err(Error::Usage(format!("{COMMAND} REPORT PROGRAM [ARGUMENTS]")));
    };
    // What the program leaves behind comes to this process and is waited for, so that its cost counts.
    let system = |source: nix::Error| Error::file("/proc/self")(source.into());
    prctl::set_child_subreaper(true).map_err(system)?;
    let mut command = Command::new(program);
    command.args(arguments);
    let started = Instant::now();
    place::run(&mut command)?;
    let wall_s = started.elapsed().as_secs_f64();
    while wait().is_ok() {}
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(system)?;
    let cpu_s = seconds(usage.user_time()) + seconds(usage.system_time());
    // Linux counts in KiB.
    let peak_mb = usage.max_rss() as f64 * 1024.0 / 1e6;
    let line = format!("{wall_s} {cpu_s} {peak_mb}\n");
    fs::write(report, line).map_err(Error::file(PathBuf::from(report)))
}

fn seconds(time: TimeVal) -> f64 {
    time.num_microseconds() as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(report: &Path, script: &str) -> Vec<OsString> {
        vec![report.into(), "sh".into(), "-c".into(), script.into()]
    }

    #[test]
    fn a_command_is_measured_and_its_failure_is_ours() {
        let folder = tempfile::tempdir().unwrap();
        let report = folder.path().join("cost");
        run_inner(&words(&report, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")).unwrap();
        let cost = parse(&fs::read_to_string(&report).unwrap()).unwrap();
        assert!(cost.wall_s > 0.0 && cost.cpu_s > 0.0 && cost.peak_mb > 0.1, "{cost:?}");
        assert!(run_inner(&words(&report, "exit 3")).is_err());
    }

    #[test]
    fn costs_add_up_but_memory_does_not() {
        let one = parse("1.5 2 30").unwrap();
        let other = parse("1 1 40").unwrap();
        assert_eq!([one, other].into_iter().sum::<Cost>(), parse("2.5 3 40").unwrap());
    }
}
