//! Nothing outlives a task: its programs die with it, and its folder goes, whatever ended it.
//!
//! Both are small programs of their own (this one, by another name), because only they are still there when the
//! task was killed: a *leash* asks the system to kill it with its parent and becomes the program; a *janitor* waits
//! until its input closes, which no death of the task can prevent, and removes a folder.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::signal::Signal;

use crate::error::Error;
use crate::place;

/// The hidden task that becomes a program which dies with its parent.
pub const LEASH: &str = "leash";

/// The hidden task that removes a folder when its input ends.
pub const JANITOR: &str = "janitor";

/// A command on a leash: it is killed when the thread that starts it ends.
pub fn leashed(program: impl AsRef<OsStr>) -> Result<Command, Error> {
    let own = std::env::current_exe().map_err(Error::file("/proc/self/exe"))?;
    let mut command = Command::new(own);
    command.arg(LEASH).arg(program);
    Ok(command)
}

/// The hidden task: PROGRAM ARGUMENTS.
pub fn run_leash(words: &[OsString]) -> Result<(), Error> {
    let [program, arguments @ ..] = words else {
        return Err(Error::Usage(format!("{LEASH} PROGRAM [ARGUMENTS]")));
    };
    prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(|errno| Error::file("/proc/self")(errno.into()))?;
    let source = Command::new(program).args(arguments).exec();
    Err(Error::Start { program: program.to_string_lossy().into_owned(), source })
}

/// The hidden task: FOLDER.
pub fn run_janitor(words: &[OsString]) -> Result<(), Error> {
    let [folder] = words else {
        return Err(Error::Usage(format!("{JANITOR} FOLDER")));
    };
    io::stdin().read_to_end(&mut Vec::new()).map_err(Error::file("/dev/stdin"))?;
    remove(Path::new(folder))
}

/// Programs that are being killed may still write a file or two behind us.
fn remove(folder: &Path) -> Result<(), Error> {
    let mut tries = 50;
    loop {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Ok(()) => return Ok(()),
            Err(_) if tries > 0 => tries -= 1,
            Err(error) => return Err(Error::file(folder)(error)),
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// A folder for the time of a task.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    janitor: Child,
}

impl Scratch {
    /// A new folder with a short path, because sockets in it have names of at most 107 bytes.
    pub fn new(name: &str) -> Result<Self, Error> {
        let parent = std::env::temp_dir();
        let folder = tempfile::Builder::new()
            .prefix(&format!("nk-{name}-"))
            .tempdir_in(&parent)
            .map_err(Error::file(parent))?;
        let own = std::env::current_exe().map_err(Error::file("/proc/self/exe"))?;
        let mut command = Command::new(own);
        // In a group of its own, so that Ctrl-C does not end it too.
        command.arg(JANITOR).arg(folder.path()).stdin(Stdio::piped()).process_group(0);
        let janitor = command
            .spawn()
            .map_err(|source| Error::Start { program: place::spelled(&command), source })?;
        Ok(Self { path: folder.keep(), janitor })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        if let Err(error) = self.janitor.wait() {
            eprintln!("xtask: {}: {error}", self.path.display());
        }
    }
}

/// A program that serves until it is dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts what [`leashed`] made, its output added to `log`.
    pub fn start(mut command: Command, log: &Path) -> Result<Self, Error> {
        let output = File::options().create(true).append(true).open(log);
        let output = output.map_err(Error::file(log))?;
        let errors = output.try_clone().map_err(Error::file(log))?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        let child = command
            .spawn()
            .map_err(|source| Error::Start { program: place::spelled(&command), source })?;
        Ok(Self { child })
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // `kill -9`; a program that is gone already cannot be killed, and that is as well.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_janitor_removes_what_is_there() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("folder");
        fs::create_dir_all(folder.join("deep")).unwrap();
        remove(&folder).unwrap();
        assert!(!folder.exists());
        remove(&folder).unwrap();
    }

    #[test]
    fn a_daemon_ends_when_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sleep");
        command.arg("1000");
        let mut daemon = Daemon::start(command, &folder.path().join("log")).unwrap();
        assert!(daemon.is_alive());
        let process = PathBuf::from(format!("/proc/{}", daemon.child.id()));
        assert!(process.exists());
        drop(daemon);
        assert!(!process.exists());
    }
}
