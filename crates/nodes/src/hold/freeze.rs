//! Freezing: SIGSTOP for a process and all that descend from it, or the freezer of a cgroup (version 2).
//!
//! A frozen node answers nobody, so a small shell of its own watches over it: it continues the node when the patience ends, and at once
//! when this process dies, however it dies. It knows of our death by a pipe that the system closes for us.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use super::error::HoldError;
use crate::command::quoted;
use crate::error::Error;
use crate::process::Process;

/// How long processes may take to stop: one that waits for a disk stops after it.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// How often they are looked at.
const LOOK: Duration = Duration::from_millis(1);
/// How often the tree is looked at for children that were born meanwhile.
const ROUNDS: usize = 100;

/// What is frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The process whose id stands in this file, and all that descend from it.
    Tree(PathBuf),
    /// All processes of this cgroup.
    Cgroup(PathBuf),
}

/// Something that is frozen. Dropped, it is continued by its guards.
#[derive(Debug)]
pub(super) struct Frozen {
    target: Target,
    processes: Vec<Process>,
    /// Held for what they do when they are dropped.
    _guards: Vec<Guard>,
}

/// The shell that continues a node whatever happens to us.
#[derive(Debug)]
struct Guard {
    child: Child,
}

impl Target {
    /// What a profile names: a folder is a cgroup, a file holds a process id.
    pub(super) fn of(path: PathBuf) -> Self {
        if path.is_dir() || path.starts_with("/sys/fs/cgroup") {
            Self::Cgroup(path)
        } else {
            Self::Tree(path)
        }
    }

    pub(super) fn freeze_line(&self) -> String {
        match self {
            Self::Tree(file) => format!("kill -STOP $(cat {}) and its children", shown(file)),
            Self::Cgroup(folder) => format!("echo 1 > {}", shown(&switch(folder))),
        }
    }

    pub(super) fn thaw_line(&self, processes: &[Process]) -> String {
        match self {
            Self::Tree(file) if processes.is_empty() => {
                format!("kill -CONT $(cat {}) and its children", shown(file))
            }
            Self::Tree(_) => format!("kill -CONT {}", ids(processes).join(" ")),
            Self::Cgroup(folder) => format!("echo 0 > {}", shown(&switch(folder))),
        }
    }
}

impl Frozen {
    /// Whether nobody continued it meanwhile.
    pub(super) fn is_intact(&self) -> bool {
        match &self.target {
            Target::Tree(_) => self.processes.iter().all(|one| one.is_stopped() || !one.is_alive()),
            Target::Cgroup(folder) => is_frozen(folder),
        }
    }
}

/// Freezes, and returns when all of it stands still. `record` learns of every process before it is stopped.
pub(super) fn freeze(
    target: &Target,
    patience: Duration,
    record: &mut dyn FnMut(&[Process]) -> Result<(), HoldError>,
) -> Result<Frozen, HoldError> {
    match target {
        Target::Tree(file) => freeze_tree(file, patience, record),
        Target::Cgroup(folder) => freeze_cgroup(folder, patience),
    }
}

fn freeze_tree(
    file: &Path,
    patience: Duration,
    record: &mut dyn FnMut(&[Process]) -> Result<(), HoldError>,
) -> Result<Frozen, HoldError> {
    let root = Process::of_file(file)?;
    let root = root.ok_or_else(|| HoldError::NotRunning { path: file.to_path_buf() })?;
    let target = Target::Tree(file.to_path_buf());
    let mut frozen = Frozen { target, processes: Vec::new(), _guards: Vec::new() };
    for _ in 0..ROUNDS {
        let new = unstopped(&root, &frozen.processes, file)?;
        if new.is_empty() {
            return Ok(frozen);
        }
        record(&new)?;
        frozen._guards.push(Guard::of_processes(&new, patience)?);
        frozen.processes.extend(&new);
        stop(&new)?;
    }
    Err(HoldError::Stubborn { what: format!("the children of process {}", root.pid), patience })
}

/// Those of the tree that are not ours yet. What somebody else has stopped stays theirs: we would wake it when we are done.
fn unstopped(root: &Process, ours: &[Process], file: &Path) -> Result<Vec<Process>, HoldError> {
    let mut tree = root.tree();
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    if tree.iter().any(|process| process.pid == own) {
        return Err(HoldError::Ourselves { path: file.to_path_buf() });
    }
    tree.retain(|process| !ours.contains(process) && !process.is_stopped() && process.is_alive());
    Ok(tree)
}

fn stop(processes: &[Process]) -> Result<(), HoldError> {
    for process in processes {
        let denied = Error::file(format!("/proc/{}", process.pid), "cannot be stopped");
        process.signal(Signal::STOP).map_err(denied)?;
    }
    for process in processes {
        let what = || format!("process {}", process.pid);
        wait_until(|| process.is_stopped() || !process.is_alive(), what)?;
    }
    Ok(())
}

fn freeze_cgroup(folder: &Path, patience: Duration) -> Result<Frozen, HoldError> {
    if holds_ourselves(folder)? {
        return Err(HoldError::Ourselves { path: folder.to_path_buf() });
    }
    let guard = Guard::of_cgroup(folder, patience)?;
    let target = Target::Cgroup(folder.to_path_buf());
    let frozen = Frozen { target, processes: Vec::new(), _guards: vec![guard] };
    turn(folder, "1")?;
    wait_until(|| is_frozen(folder), || format!("cgroup {}", folder.display()))?;
    Ok(frozen)
}

/// Continues what was frozen; what is gone needs nothing.
pub(super) fn thaw(target: &Target, processes: &[Process]) -> Result<(), HoldError> {
    match target {
        Target::Tree(_) => {
            // The youngest first, so that a parent does not see its children stand still.
            for process in processes.iter().rev() {
                let denied = Error::file(format!("/proc/{}", process.pid), "cannot be continued");
                process.signal(Signal::CONT).map_err(denied)?;
            }
            Ok(())
        }
        Target::Cgroup(folder) if !folder.exists() => Ok(()),
        Target::Cgroup(folder) => turn(folder, "0"),
    }
}

fn turn(folder: &Path, to: &str) -> Result<(), HoldError> {
    let switch = switch(folder);
    fs::write(&switch, to).map_err(Error::file(&switch, "cannot be written"))?;
    Ok(())
}

fn switch(folder: &Path) -> PathBuf {
    folder.join("cgroup.freeze")
}

fn is_frozen(folder: &Path) -> bool {
    let events = fs::read_to_string(folder.join("cgroup.events"));
    events.is_ok_and(|events| events.lines().any(|line| line == "frozen 1"))
}

fn holds_ourselves(folder: &Path) -> Result<bool, HoldError> {
    let list = folder.join("cgroup.procs");
    let own = std::process::id().to_string();
    let ids = fs::read_to_string(&list).map_err(Error::file(&list, "cannot be read"))?;
    if ids.lines().any(|id| id == own) {
        return Ok(true);
    }
    let entries = fs::read_dir(folder).map_err(Error::file(folder, "cannot be listed"))?;
    for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
        if holds_ourselves(&entry.path())? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn wait_until(done: impl Fn() -> bool, what: impl Fn() -> String) -> Result<(), HoldError> {
    let deadline = Instant::now() + STOP_WITHIN;
    while !done() {
        if Instant::now() >= deadline {
            return Err(HoldError::Stubborn { what: what(), patience: STOP_WITHIN });
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

fn ids(processes: &[Process]) -> Vec<String> {
    processes.iter().map(|process| process.pid.to_string()).collect()
}

fn shown(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// Continues what its arguments name when the seconds are over or the input ends, and then ends itself with its timer.
const CONTINUE: &str = r#"seconds=$1; shift
(sleep "$seconds"; kill -CONT "$@") 2>/dev/null &
read -r _
kill -CONT "$@" 2>/dev/null
kill -KILL 0"#;

/// The same for a cgroup.
const UNFREEZE: &str = r#"seconds=$1; shift
(sleep "$seconds"; echo 0 > "$1") 2>/dev/null &
read -r _
echo 0 > "$1"
kill -KILL 0"#;

impl Guard {
    fn of_processes(processes: &[Process], patience: Duration) -> Result<Self, HoldError> {
        Self::start(CONTINUE, patience, &ids(processes))
    }

    fn of_cgroup(folder: &Path, patience: Duration) -> Result<Self, HoldError> {
        Self::start(UNFREEZE, patience, &[switch(folder).display().to_string()])
    }

    fn start(script: &str, patience: Duration, what: &[String]) -> Result<Self, HoldError> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "nodekeep-guard"]).arg((patience.as_secs() + 1).to_string());
        command.args(what).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // In a group of its own, so that Ctrl-C, which ends us, does not end it.
        let child = command.process_group(0).spawn();
        let failed = |source| Error::Start { program: "/bin/sh".to_owned(), source };
        Ok(Self { child: child.map_err(failed)? })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // With its input gone it continues what it guards, and then ends itself.
        drop(self.child.stdin.take());
        let deadline = Instant::now() + STOP_WITHIN;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(LOOK);
        }
        // Gone already, as a rule; its timer must not wake what another hold freezes later.
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let (Some(group), Ok(None)) = (group, self.child.try_wait()) {
            _ = kill_process_group(group, Signal::KILL);
        }
        _ = self.child.wait();
    }
}
