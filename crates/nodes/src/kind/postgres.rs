//! A PostgreSQL server, copied while it works. `base`: all of it with `pg_basebackup` and the WAL it needs, restored as files. `dump`: one
//! database with `pg_dump`, restored into any newer server.
//!
//! Passwords come from `~/.pgpass`, `PGPASSFILE` or a service file, as PostgreSQL reads them itself: never from arguments.

mod back;
mod connection;
mod label;
mod sandbox;
mod tools;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) use back::{can_take, compare, give_back, way_back};
pub use sandbox::{Sandbox, check_started};

use self::tools::Tool;
use super::{Captured, Graft, Outcome, Request, Verified, With};
use crate::command::Program;
use crate::error::{Error, Result};
use crate::manifest::Note;
use crate::profile::{PostgresMethod, PostgresRule, fill};

/// Captures the server that the rule's connection leads to.
///
/// # Errors
/// If PostgreSQL's own tools are not there, fail, or find fault with what they copied.
pub fn capture(request: &Request<'_>, rule: &PostgresRule) -> Result<Captured> {
    let connection = fill(&rule.connection, request.variables)?;
    connection::refuse_password(&connection, request.path)?;
    match rule.method {
        PostgresMethod::Base => base(request, &connection),
        PostgresMethod::Dump => dump(request, &connection),
    }
}

/// Checks a copy: a folder by the manifest that `pg_basebackup` wrote into it, a dump by its table of contents.
///
/// # Errors
/// If it cannot be read, or a tool cannot be started or hangs.
pub fn verify(path: &Path, rule: &PostgresRule, patience: Duration) -> Result<Verified> {
    match rule.method {
        PostgresMethod::Base => verify_base(path, patience),
        PostgresMethod::Dump => verify_dumps(path, patience),
    }
}

fn base(request: &Request<'_>, connection: &str) -> Result<Captured> {
    let tool = Tool::newest("pg_basebackup", request.path)?;
    let copy = request.staging.join("base");
    let folder = copy.display().to_string();
    // Streamed WAL, so that the copy needs no archive; a checkpoint at once, so that the node is not waited for.
    let mut arguments = vec!["-D", &folder, "-X", "stream", "-c", "fast", "-w", "--no-sync"];
    if !connection.is_empty() {
        arguments.extend(["-d", connection]);
    }
    tool.program(&arguments, request.patience).run()?;
    let checked = verify_base(&copy, request.patience)?;
    if let Some(fault) = checked.checks.iter().find(|check| check.outcome == Outcome::Failed) {
        let reason = format!("the copy is not sound: {}: {}", fault.name, fault.detail);
        return Err(Error::Damaged { path: request.path.to_owned(), reason });
    }
    give_to_owner_of(request.path, &copy)?;
    let mut notes = vec![Note::new("method", format!("copied by {}", tool.version))];
    let skipped = checked.checks.iter().filter(|check| check.outcome == Outcome::Skipped);
    notes.extend(skipped.map(|check| Note::new("not-verified", check.detail.clone())));
    let graft = Graft { at: request.path.to_owned(), with: With::Staged(copy) };
    Ok(Captured { grafts: vec![graft], position: checked.position, notes, ..Captured::default() })
}

fn dump(request: &Request<'_>, connection: &str) -> Result<Captured> {
    let tool = Tool::newest("pg_dump", request.path)?;
    let name = dump_name(connection);
    let file = request.staging.join(&name);
    let shown = file.display().to_string();
    let mut arguments = vec!["-Fc", "-w", "-f", &shown];
    if !connection.is_empty() {
        arguments.extend(["-d", connection]);
    }
    tool.program(&arguments, request.patience).run()?;
    let mut checked = Verified::default();
    verify_dump(&file, request.patience, &mut checked)?;
    let notes = vec![Note::new("method", format!("one database, dumped by {}", tool.version))];
    let graft = Graft { at: request.path.join(name), with: With::Staged(file) };
    Ok(Captured { grafts: vec![graft], position: checked.position, notes, ..Captured::default() })
}

/// The dump's file is named after its database.
fn dump_name(connection: &str) -> String {
    let name = connection::database(connection).unwrap_or_else(|| "database".to_owned());
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    format!("{}.dump", name.chars().map(plain).collect::<String>())
}

fn verify_base(path: &Path, patience: Duration) -> Result<Verified> {
    let mut verified = Verified { position: label::position(path)?, ..Verified::default() };
    let version = tools::version_of(path);
    match Tool::of_version("pg_verifybackup", version) {
        Some(tool) if path.join("backup_manifest").exists() => {
            let done = tool.program(&["-q", &path.display().to_string()], patience).run();
            outcome(&mut verified, "pg_verifybackup", done.map(|_| tool.version))?;
        }
        Some(_) => {
            let detail = "the copy has no backup_manifest";
            verified.check("pg_verifybackup", Outcome::Skipped, detail);
        }
        None => {
            let detail = "pg_verifybackup of the server's version is not on this machine";
            verified.check("pg_verifybackup", Outcome::Skipped, detail);
        }
    }
    Ok(verified)
}

fn verify_dumps(path: &Path, patience: Duration) -> Result<Verified> {
    let mut verified = Verified::default();
    let dumps = dumps_in(path)?;
    if dumps.is_empty() {
        verified.check("pg_restore --list", Outcome::Failed, "there is no dump in the folder");
    }
    for file in dumps {
        verify_dump(&file, patience, &mut verified)?;
    }
    Ok(verified)
}

fn dumps_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(Error::file(folder, "cannot be listed"))?;
    let files = entries.flatten().map(|entry| entry.path());
    let is_dump = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "dump");
    let mut dumps: Vec<_> = files.filter(is_dump).collect();
    dumps.sort();
    Ok(dumps)
}

fn verify_dump(file: &Path, patience: Duration, verified: &mut Verified) -> Result<()> {
    let tool = Tool::newest("pg_restore", file)?;
    let shown = file.display().to_string();
    let listed = tool.program(&["--list", &shown], patience).run();
    let tables = listed.as_ref().map_or(0, |done| {
        let text = String::from_utf8_lossy(&done.stdout);
        text.lines().filter(|line| line.contains(" TABLE DATA ")).count()
    });
    if listed.is_ok() {
        verified.position.count("tables", tables as u64);
    }
    outcome(verified, "pg_restore --list", listed.map(|_| format!("{tables} tables")))?;
    // The list is only the head: a dump that was cut shows itself when all of it is read.
    let read = tool.program(&["-f", "/dev/null", &shown], patience).run();
    outcome(verified, "pg_restore to nowhere", read.map(|_| "all of it can be read".to_owned()))
}

/// A tool that finds fault fails; one that could not look is an error.
fn outcome(verified: &mut Verified, name: &str, result: Result<String>) -> Result<()> {
    match result {
        Ok(detail) => verified.check(name, Outcome::Passed, detail),
        Err(error @ Error::Failed { .. }) => {
            verified.check(name, Outcome::Failed, error.to_string());
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// A server starts only from files of its own user: as root, the copy is given to whom the live folder belongs.
fn give_to_owner_of(live: &Path, copy: &Path) -> Result<()> {
    let Ok(owner) = fs::metadata(live) else { return Ok(()) };
    let is_ours = fs::metadata(copy).is_ok_and(|own| own.uid() == owner.uid());
    if is_ours || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = format!("{}:{}", owner.uid(), owner.gid());
    let words = ["chown", "-R", "-h", &owner, &copy.display().to_string()];
    Program::new(words.map(str::to_owned).to_vec()).run().map(drop)
}
