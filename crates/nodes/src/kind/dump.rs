//! Kind `command`: what a program writes to standard output is what is kept. For state that only its own program can copy: a wallet, a
//! database behind a network, a device.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::back::{GiveBack, Returned, WayBack};
use super::{Captured, Graft, Outcome, Request, Verified, With};
use crate::command::Program;
use crate::error::{Error, Result};
use crate::manifest::Note;
use crate::profile::{CommandRule, Line, Variables};

/// The dump's name in the staging folder.
const NAME: &str = "dump";

/// Runs the dump into a file of the staging folder, which is read at the component's path.
///
/// # Errors
/// If the program cannot be started, fails, or takes longer than its patience: then there is no dump at all.
pub fn capture(request: &Request<'_>, rule: &CommandRule) -> Result<Captured> {
    let program = program(&rule.dump, request.variables, request.patience)?;
    let staged = request.staging.join(NAME);
    let file = File::options().write(true).create_new(true).mode(0o600).open(&staged);
    let file = file.map_err(Error::file(&staged, "cannot be made"))?;
    let mut hashing = Hashing { file, hash: Sha256::new(), bytes: 0 };
    if let Err(error) = program.run_into(&mut hashing) {
        // Half a dump looks like one: nobody may find it.
        _ = fs::remove_file(&staged);
        return Err(error);
    }
    let mut captured = Captured::default();
    if hashing.bytes == 0 {
        captured.is_torn = true;
        let text = format!("`{}` succeeded and wrote nothing", program.name());
        captured.notes.push(Note::new("empty-dump", text));
    }
    captured.hashes.insert("sha256".to_owned(), hex(&hashing.hash.finalize()));
    captured.grafts.push(Graft { at: request.path.to_owned(), with: With::Staged(staged) });
    Ok(captured)
}

/// Runs the profile's check on a dump.
///
/// # Errors
/// If the file cannot be read, or the check cannot be started or hangs.
pub fn verify(
    path: &Path,
    rule: &CommandRule,
    variables: &Variables,
    patience: Duration,
) -> Result<Verified> {
    let mut verified = Verified::default();
    let bytes = fs::metadata(path).map_err(Error::file(path, "cannot be read"))?.len();
    let is_there = if bytes > 0 { Outcome::Passed } else { Outcome::Failed };
    verified.check("size", is_there, format!("{bytes} bytes"));
    let Some(check) = &rule.check else {
        verified.check("check", Outcome::Skipped, "the profile has no `check` for it");
        return Ok(verified);
    };
    let mut variables = variables.clone();
    variables.insert("file".to_owned(), path.display().to_string());
    match program(check, &variables, patience)?.run() {
        Ok(done) => verified.check("check", Outcome::Passed, said(&done.stdout)),
        Err(error @ Error::Failed { .. }) => {
            verified.check("check", Outcome::Failed, error.to_string());
        }
        Err(error) => return Err(error),
    }
    Ok(verified)
}

/// When a dump goes back: without a `restore`, it is a file like any other.
pub(super) fn way_back(rule: &CommandRule) -> WayBack {
    match &rule.restore {
        Some(_) => WayBack::through(rule.restore_while),
        None => WayBack::Files,
    }
}

/// Whether the line can be filled, and the dump be read.
pub(super) fn can_take(back: &GiveBack<'_>, rule: &CommandRule) -> Result<()> {
    restore_program(back, rule)?;
    File::open(back.copy).map(drop).map_err(Error::file(back.copy, "cannot be read"))
}

/// Feeds a dump to the profile's `restore`.
///
/// # Errors
/// If there is no such line, the file cannot be read, or the program fails.
pub fn give_back(back: &GiveBack<'_>, rule: &CommandRule) -> Result<Returned> {
    let program = restore_program(back, rule)?;
    let mut file = File::open(back.copy).map_err(Error::file(back.copy, "cannot be read"))?;
    program.feed(&mut file)?;
    Ok(Returned::said(format!("`{}` took it", program.name())))
}

fn restore_program(back: &GiveBack<'_>, rule: &CommandRule) -> Result<Program> {
    let restore = rule.restore.as_ref().ok_or_else(|| Error::Unsupported {
        path: back.copy.to_owned(),
        reason: "the profile has no `restore` for it: give the file to the node's own program"
            .to_owned(),
    })?;
    program(restore, back.variables, back.patience)
}

fn program(line: &Line, variables: &Variables, patience: Duration) -> Result<Program> {
    let program = Program::of(line, variables)?;
    Ok(Program { patience: program.patience.min(patience), ..program })
}

struct Hashing {
    file: File,
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn said(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    text.lines().next().unwrap_or("it succeeded").trim().to_owned()
}
