//! Programs that stay: a node that is started must outlive whoever started it, so it gets a session of its own, no input, and a file for
//! what it says.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use super::{Program, STDERR_KEPT, tail};
use crate::error::{Error, Result};

/// Starts a program as the leader of a session of its own, without becoming another process.
const SETSID: &str = "setsid";

/// A program that was started to stay. Dropped, it runs on.
#[derive(Debug)]
pub struct Launched {
    child: Option<Child>,
    log: PathBuf,
    /// Where the log ended before.
    from: u64,
}

impl Program {
    /// Starts it so that it outlives this process and whatever terminal there is. What it writes is added to `log` (0600).
    ///
    /// # Errors
    /// If the log cannot be written or the program not be started.
    pub fn launch(&self, log: &Path) -> Result<Launched> {
        make_folder_of(log)?;
        let fail = Error::file(log, "cannot be written");
        let output = File::options().create(true).append(true).mode(0o600).open(log);
        let output = output.map_err(fail)?;
        let errors = output.try_clone().map_err(Error::file(log, "cannot be written"))?;
        // A log that was there may have been open to others: nodes say what they should not.
        let private = output.set_permissions(std::fs::Permissions::from_mode(0o600));
        private.map_err(Error::file(log, "cannot be made private"))?;
        let from = output.metadata().map_err(Error::file(log, "cannot be read"))?.len();
        let mut command = self.detached();
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let child = command.spawn();
        let child =
            child.map_err(|source| Error::Start { program: self.name().to_owned(), source })?;
        Ok(Launched { child: Some(child), log: log.to_path_buf(), from })
    }

    /// In a session of its own where `setsid` is there; otherwise at least in a process group of its own.
    fn detached(&self) -> Command {
        use std::os::unix::process::CommandExt;
        let has_setsid = Command::new(SETSID)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if has_setsid {
            let mut command = Command::new(SETSID);
            command.args(&self.argv);
            return command;
        }
        let mut command = Command::new(self.name());
        command.args(self.argv.iter().skip(1)).process_group(0);
        command
    }
}

/// The folder for a log may not be there yet; it is private, as the log is.
fn make_folder_of(log: &Path) -> Result<()> {
    let Some(folder) = log.parent() else { return Ok(()) };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(Error::file(folder, "cannot be made"))
}

impl Launched {
    /// Its process id.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.as_mut().map_or(Ok(None), Child::try_wait)
    }

    /// The end of what it wrote since it was started.
    pub fn said(&self) -> String {
        let read = || -> io::Result<String> {
            let mut log = File::open(&self.log)?;
            let end = log.metadata()?.len();
            log.seek(SeekFrom::Start(self.from.max(end.saturating_sub(STDERR_KEPT as u64))))?;
            Ok(tail(log.take(STDERR_KEPT as u64)))
        };
        read().unwrap_or_default()
    }

    /// Where it writes to.
    pub fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        // Somebody must wait for it, or it stays as a zombie for as long as we live.
        if let Some(mut child) = self.child.take()
            && matches!(child.try_wait(), Ok(None))
        {
            thread::spawn(move || child.wait());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn shell(line: &str) -> Program {
        Program::new(["/bin/sh", "-c", line].map(str::to_owned).to_vec())
    }

    fn wait_for(done: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !done() {
            assert!(Instant::now() < deadline, "it never came");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn what_is_launched_leads_a_session_and_outlives_the_handle() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("new/log");
        let launched = shell("echo up; exec sleep 1000").launch(&log).unwrap();
        let pid = launched.id().unwrap();
        wait_for(|| launched.said() == "up");
        drop(launched);
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        assert_eq!(fields[3], pid.to_string(), "its session is its own");
        let group = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(group, rustix::process::Signal::KILL).unwrap();
        // The reaper takes it away.
        wait_for(|| !Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn only_what_was_said_this_time_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        std::fs::write(&log, "before\n").unwrap();
        let mut launched = shell("echo now; exit 3").launch(&log).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let status = loop {
            if let Some(status) = launched.ended().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline);
        };
        assert_eq!((status.code(), launched.said().as_str()), (Some(3), "now"));
        assert_eq!(std::fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
