//! The small process above a job: it starts the program, waits for it, and writes down how it ended.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::journal::Journal;
use super::{Ended, JobId, Record};
use crate::error::{Error, Result};
use crate::schedule::book::Book;
use crate::schedule::decide::Ending;

/// How often the program and the wish to stop are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How much of what a program wrote is read to say why it failed, in bytes.
const SAID: u64 = 64 * 1024;
/// Set for the program, so that it ends when its runner does: the job's id.
pub const JOB_VARIABLE: &str = "NODEKEEP_JOB";

/// How the program is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Options before those of the job: which repository, which keys.
    pub options: Vec<String>,
}

/// Runs a job of the journal to its end. `stop` is asked now and then: then the program is asked to end, and is waited for.
///
/// # Errors
/// If another runner has it, or the journal cannot be written.
pub fn run(
    journal: &Journal,
    book: &Book,
    id: &JobId,
    launch: &Launch,
    stop: impl Fn() -> bool,
) -> Result<Record> {
    let _held = journal.hold(id)?;
    let record = journal.read(id)?;
    if record.ended.is_some() {
        return Ok(record);
    }
    let status = match start(journal, &record, launch) {
        Ok(child) => wait(child, || stop() || journal.is_to_stop(id)),
        Err(error) => Err(error),
    };
    let ended = match status {
        Ok(status) => told(status, &journal.out(id), &journal.log(id)),
        Err(error) => Ended {
            at: Timestamp::now(),
            code: None,
            ending: Ending::Retry,
            message: Some(error.to_string()),
        },
    };
    journal.end(book, id, ended)
}

fn start(journal: &Journal, record: &Record, launch: &Launch) -> Result<Child> {
    let mut command = Command::new(&launch.program);
    command
        .args(&launch.options)
        .arg("--json")
        .args(&record.arguments)
        .env(JOB_VARIABLE, record.id.to_string())
        .stdin(Stdio::null())
        .stdout(private(&journal.out(&record.id))?)
        .stderr(private(&journal.log(&record.id))?);
    command.spawn().map_err(Error::file(&launch.program, "cannot be started"))
}

fn private(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(true).write(true).mode(0o600).open(path);
    file.map_err(Error::file(path, "cannot be opened"))
}

fn wait(mut child: Child, stop: impl Fn() -> bool) -> Result<ExitStatus> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let lost = Error::file("job", "cannot be waited for");
    let mut was_asked = false;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) => {}
            Err(error) => return Err(lost(error)),
        }
        if stop() && !was_asked {
            was_asked = true;
            if let Some(pid) = pid {
                // It may have ended in between.
                _ = kill_process(pid, Signal::TERM);
            }
        }
        thread::sleep(LOOK);
    }
}

/// What an exit status and the program's words mean.
fn told(status: ExitStatus, out: &Path, log: &Path) -> Ended {
    let error = error_of(out);
    let ending = match status.code() {
        Some(0) => Ending::Done,
        None => Ending::Retry,
        Some(code) => ending_of(code, error.as_ref()),
    };
    let said = || match status.signal() {
        Some(signal) => format!("signal {signal} ended it"),
        None => last_line(log).unwrap_or_else(|| "it said nothing".to_owned()),
    };
    let message = match ending {
        Ending::Done => None,
        _ => Some(error.as_ref().and_then(message_of).unwrap_or_else(said)),
    };
    Ended { at: Timestamp::now(), code: status.code(), ending, message }
}

/// A store that does not answer (10), a node that is busy (11), an interruption: another try may help (`docs/exit-codes.md`).
fn ending_of(code: i32, error: Option<&Value>) -> Ending {
    let says_retry = error.is_some_and(|error| error["retryable"] == Value::Bool(true));
    if says_retry || matches!(code, 10 | 11 | 130 | 143) { Ending::Retry } else { Ending::Failed }
}

fn error_of(out: &Path) -> Option<Value> {
    let document: Value = serde_json::from_slice(&fs::read(out).ok()?).ok()?;
    document.get("error").cloned()
}

fn message_of(error: &Value) -> Option<String> {
    error["message"].as_str().map(str::to_owned)
}

fn last_line(log: &Path) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(SAID))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
}
