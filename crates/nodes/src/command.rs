//! Programs that a profile names: run without a shell unless a shell line is what was written, never longer than their patience, with all
//! that they started ended when they are.

mod launch;

use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::profile::{Line, Variables, fill};
pub use launch::Launched;

/// How much of standard error is kept, in bytes: the end says why.
const STDERR_KEPT: usize = 4 * 1024;
/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// How long a program may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// A program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Name or path, then arguments: never empty.
    pub argv: Vec<String>,
    /// How long it may run.
    pub patience: Duration,
    /// Where it runs; this process's folder if absent.
    pub folder: Option<PathBuf>,
    /// Environment besides this process's own: names and values. Secrets belong here, or into a file, not into `argv`.
    pub environment: Vec<(String, String)>,
}

/// Whether somebody wants us to stop: asked now and then while a program runs.
pub type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// Nobody wants that.
pub fn never() -> bool {
    false
}

/// What a program wrote and how it ended well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// Standard output: all of it.
    pub stdout: Vec<u8>,
    /// The end of standard error.
    pub stderr: String,
}

impl Program {
    /// A program with a patience of ten minutes.
    pub fn new(argv: Vec<String>) -> Self {
        let patience = Duration::from_secs(600);
        Self { argv, patience, folder: None, environment: Vec::new() }
    }

    /// What a line of a profile means with these values.
    ///
    /// # Errors
    /// [`Error::Variable`] for a placeholder without a value, [`Error::Start`] for a line without a program.
    pub fn of(line: &Line, variables: &Variables) -> Result<Self> {
        let argv: Vec<String> =
            line.argv.iter().map(|word| fill(word, variables)).collect::<Result<_>>()?;
        if argv.first().is_none_or(String::is_empty) {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "the line names no program");
            return Err(Error::Start { program: String::new(), source });
        }
        Ok(Self { patience: line.patience, ..Self::new(argv) })
    }

    /// The line to type into a shell for the same: for plans and for what a person has to do by hand.
    pub fn spelled(&self) -> String {
        let folder = self
            .folder
            .iter()
            .map(|folder| format!("cd {} &&", quoted(&folder.display().to_string())));
        // A line that was written for the shell reads best as it was written.
        match self.argv.as_slice() {
            [shell, option, line] if shell == "/bin/sh" && option == "-c" => {
                folder.chain([line.clone()]).collect::<Vec<_>>().join(" ")
            }
            words => {
                folder.chain(words.iter().map(|word| quoted(word))).collect::<Vec<_>>().join(" ")
            }
        }
    }

    /// How it is named in messages: without its arguments, which may hold what a log must not.
    pub fn name(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// Runs it to its end and keeps what it wrote.
    ///
    /// # Errors
    /// If it cannot be started, fails, or takes longer than its patience.
    pub fn run(&self) -> Result<Done> {
        self.run_unless(&never)
    }

    /// The same; a wish to stop ends it as the end of its patience does.
    ///
    /// # Errors
    /// As [`Program::run`], and [`Error::Stopped`].
    pub fn run_unless(&self, stop: Stop<'_>) -> Result<Done> {
        let mut stdout = Vec::new();
        let stderr = self.run_out(&mut stdout, stop)?;
        Ok(Done { stdout, stderr })
    }

    /// Runs it to its end; its standard output goes to `to` as it comes. Returns the end of standard error.
    ///
    /// # Errors
    /// As [`Program::run`], or if `to` cannot be written: then the program is ended.
    pub fn run_into(&self, to: &mut (impl Write + Send)) -> Result<String> {
        self.run_out(to, &never)
    }

    fn run_out(&self, to: &mut (impl Write + Send), stop: Stop<'_>) -> Result<String> {
        let mut running = Running::start(self, Stdio::null())?;
        let stdout = running.child.stdout.take();
        let (copied, status) = thread::scope(|scope| {
            let copy =
                scope.spawn(move || stdout.map_or(Ok(0), |mut from| io::copy(&mut from, to)));
            let end = running.end_within(self.patience, || copy.is_finished(), stop);
            (copy.join(), end)
        });
        let stderr = running.stderr();
        match (status?, copied) {
            (End::Itself(status), Ok(Ok(_))) if status.success() => Ok(stderr),
            (End::Itself(_), Ok(Err(source))) => {
                Err(Error::Start { program: self.name().to_owned(), source })
            }
            (end, _) => Err(self.ended(end, stderr)),
        }
    }

    /// Runs it to its end with `input` on its standard input; what it writes to standard output is dropped.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn feed(&self, input: &mut (impl Read + Send)) -> Result<String> {
        let mut running = Running::start(self, Stdio::piped())?;
        let stdin = running.child.stdin.take();
        let stdout = running.child.stdout.take();
        let status = thread::scope(|scope| {
            // A program that ends before it read everything closes the pipe: its exit status says whether that was an error.
            scope.spawn(move || stdin.map(|mut to| io::copy(input, &mut to)));
            scope.spawn(move || stdout.map(|mut from| io::copy(&mut from, &mut io::sink())));
            running.end_within(self.patience, || false, &never)
        });
        let stderr = running.stderr();
        match status? {
            End::Itself(status) if status.success() => Ok(stderr),
            end => Err(self.ended(end, stderr)),
        }
    }

    /// Why it did not end well.
    fn ended(&self, end: End, stderr: String) -> Error {
        let program = self.name().to_owned();
        match end {
            End::Itself(status) => self.failed(status, stderr),
            End::Hung => Error::Hung { program, patience: self.patience },
            End::Stopped => Error::Stopped { program },
        }
    }

    fn failed(&self, status: ExitStatus, stderr: String) -> Error {
        let status = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "no status".to_owned(),
        };
        Error::Failed { program: self.name().to_owned(), status, stderr }
    }
}

/// How a program came to its end.
enum End {
    /// By itself.
    Itself(ExitStatus),
    /// It was ended when its patience was over.
    Hung,
    /// It was ended because somebody wanted us to stop.
    Stopped,
}

/// A started program in a process group of its own; dropped, it is ended.
struct Running {
    child: Child,
    stderr: Option<JoinHandle<String>>,
    group: Option<Pid>,
    has_ended: bool,
}

impl Running {
    fn start(program: &Program, stdin: Stdio) -> Result<Self> {
        let fail = |source| Error::Start { program: program.name().to_owned(), source };
        let (name, arguments) =
            program.argv.split_first().ok_or_else(|| fail(io::ErrorKind::InvalidInput.into()))?;
        let mut command = Command::new(name);
        command.args(arguments).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.envs(program.environment.iter().map(|(name, value)| (name, value)));
        command.process_group(0);
        if let Some(folder) = &program.folder {
            command.current_dir(folder);
        }
        let mut child = command.spawn().map_err(fail)?;
        let stderr = child.stderr.take().map(|from| thread::spawn(move || tail(from)));
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(Self { child, stderr, group, has_ended: false })
    }

    /// How it ended. `is_done` says that nothing is read any more, so that only the end is awaited.
    fn end_within(
        &mut self,
        patience: Duration,
        is_done: impl Fn() -> bool,
        stop: Stop<'_>,
    ) -> Result<End> {
        let deadline = Instant::now() + patience;
        let lost = |source| Error::Start { program: "waiting".to_owned(), source };
        loop {
            if let Some(status) = self.child.try_wait().map_err(lost)? {
                // What it left behind would keep the pipes open.
                self.signal(Signal::KILL);
                self.has_ended = true;
                return Ok(End::Itself(status));
            }
            let is_hung = Instant::now() >= deadline;
            if is_hung || stop() {
                self.end();
                return Ok(if is_hung { End::Hung } else { End::Stopped });
            }
            thread::sleep(if is_done() { LOOK / 5 } else { LOOK });
        }
    }

    /// Asks it to end, and kills what does not.
    fn end(&mut self) {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(LOOK);
        }
        self.signal(Signal::KILL);
        _ = self.child.wait();
        self.has_ended = true;
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            _ = kill_process_group(group, signal);
        }
    }

    fn stderr(&mut self) -> String {
        self.stderr.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended {
            self.end();
        }
    }
}

/// A word for a POSIX shell.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// The last bytes of a stream as text.
fn tail(mut from: impl Read) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 {
            break;
        }
        kept.extend_from_slice(&buffer[..read]);
        let surplus = kept.len().saturating_sub(STDERR_KEPT);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str) -> Program {
        Program::new(["/bin/sh", "-c", line].map(str::to_owned).to_vec())
    }

    #[test]
    fn output_and_failure_are_told() {
        let done = shell("echo out; echo why >&2").run().unwrap();
        assert_eq!((done.stdout.as_slice(), done.stderr.as_str()), (b"out\n".as_slice(), "why"));
        let error = shell("echo reason >&2; exit 7").run().unwrap_err().to_string();
        assert_eq!(error, "`/bin/sh` failed with exit code 7: reason");
    }

    #[test]
    fn what_hangs_is_ended_with_its_children() {
        let mut program = shell("sleep 1000 & echo $!; wait");
        program.patience = Duration::from_millis(200);
        let mut stdout = Vec::new();
        let error = program.run_into(&mut stdout).unwrap_err();
        assert!(matches!(error, Error::Hung { .. }), "{error}");
        let pid = String::from_utf8(stdout).unwrap();
        let pid = pid.trim().parse().unwrap();
        // A signal takes its time.
        let deadline = Instant::now() + Duration::from_secs(20);
        while crate::process::Process::find(pid).is_some() {
            assert!(Instant::now() < deadline, "it lives");
        }
    }

    #[test]
    fn input_is_fed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fed");
        let program = shell(&format!("cat > '{}'", path.display()));
        program.feed(&mut b"dump".as_slice()).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"dump");
    }

    #[test]
    fn a_program_is_spelled_as_one_would_type_it() {
        let words = |words: &[&str]| Program::new(words.iter().map(|w| (*w).to_owned()).collect());
        assert_eq!(words(&["kill", "-CONT", "12"]).spelled(), "kill -CONT 12");
        assert_eq!(words(&["echo", "it's", ""]).spelled(), r"echo 'it'\''s' ''");
        assert_eq!(shell("cd /srv && ./stop").spelled(), "cd /srv && ./stop");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let program = Program::new(vec!["/no/such/program".to_owned()]);
        let error = program.run().unwrap_err().to_string();
        assert!(error.starts_with("`/no/such/program` cannot be started"), "{error}");
    }
}
