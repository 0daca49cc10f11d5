//! A SQLite database in use: copied by SQLite's own backup API in one step, from a connection that only reads, into the staging folder.
//!
//! One step, because a backup of many steps begins anew at every write of another process and never ends. The copy has the pages of the
//! database in their order: two copies of one state are the same bytes, and a copy differs from the database's file, once its log was
//! written back, in the header on its first page alone (measured in `tests/it/sqlite.rs`). So copies deduplicate against each other.
//!
//! Nothing is written into the database, and nothing is left beside it. Where SQLite could not read without doing so (the owner died and
//! left a journal, or nobody has a WAL database open) the files are copied while they do not change, and the copy is brought in order.

mod inspect;
mod quiet;

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{Captured, Graft, Request, Verified, With};
use crate::error::{Error, Result};
use crate::profile::SqliteRule;

/// What a database begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Where the header says that the database is in WAL mode.
const WAL_MODE: std::ops::Range<usize> = 18..20;
/// What lies beside a database while it is used.
const SIDES: [&str; 3] = ["-wal", "-shm", "-journal"];
/// The longest that SQLite waits for a lock before it is asked again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Captures a database: its state at one moment.
///
/// # Errors
/// If it is none or is encrypted, stays locked or changes for longer than the patience, or the copy finds no room.
pub fn capture(request: &Request<'_>, rule: &SqliteRule) -> Result<Captured> {
    let header = header(request.path)?;
    // SQLite keeps its logs beside the file that a link points to.
    let path = request.path.canonicalize().map_err(Error::file(request.path, "look at"))?;
    let copy = request.staging.join("database.sqlite");
    copy_consistently(&path, &copy, &header, request.patience)?;
    let mut captured = Captured::default();
    inspect::report(&copy, rule, &mut captured)?;
    captured.grafts = grafts(request.path, &path, &copy);
    Ok(captured)
}

/// Checks a copy: `integrity_check`, foreign keys, and the counts of the rule.
///
/// # Errors
/// If it cannot be opened as a database.
pub fn verify(path: &Path, rule: &SqliteRule) -> Result<Verified> {
    header(path)?;
    inspect::judge(path, rule)
}

/// Whether a file is a SQLite database: by what it begins with.
pub fn is_one(path: &Path) -> bool {
    path.is_file() && header(path).is_ok_and(|header| !header.is_empty())
}

/// The first 100 bytes; none for the database without tables that an empty file is.
fn header(path: &Path) -> Result<Vec<u8>> {
    let metadata = path.metadata().map_err(Error::file(path, "look at"))?;
    if !metadata.is_file() {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "this is not a file");
        return Err(Error::file(path.to_owned(), "read")(source));
    }
    let mut header = Vec::new();
    let file = File::open(path).map_err(Error::file(path, "open"))?;
    file.take(100).read_to_end(&mut header).map_err(Error::file(path, "read"))?;
    if header.is_empty() || header.starts_with(MAGIC) {
        return Ok(header);
    }
    let looks_random = metadata.len() % 512 == 0 && !header.iter().take(16).all(u8::is_ascii);
    let reason = if looks_random {
        "this is no SQLite database that can be read: it is encrypted (SQLCipher) or damaged. Back it up as kind `command` with its own dump, or as `files` under a hold"
    } else {
        "this is not a SQLite database: it does not begin like one"
    };
    Err(Error::Unsupported { path: path.to_owned(), reason: reason.to_owned() })
}

fn copy_consistently(path: &Path, copy: &Path, header: &[u8], patience: Duration) -> Result<()> {
    let is_wal = header.get(WAL_MODE) == Some(&[2, 2]);
    if is_wal && !side(path, "-shm").exists() {
        return quiet::copy(path, copy, patience);
    }
    match copy_live(path, copy, patience) {
        Err(Refusal::NeedsWriting) => quiet::copy(path, copy, patience),
        Err(Refusal::Other(error)) => Err(error),
        Ok(()) => Ok(()),
    }
}

/// Why SQLite did not copy a database.
enum Refusal {
    /// It would have to roll back, recover or create something first.
    NeedsWriting,
    /// Anything else.
    Other(Error),
}

fn copy_live(path: &Path, copy: &Path, patience: Duration) -> Result<(), Refusal> {
    let deadline = Instant::now() + patience;
    let failed = |error| refusal(path, copy, patience, error);
    let source = open_to_read(path, patience).map_err(failed)?;
    let mut target = create(copy).map_err(Refusal::Other).and_then(|()| {
        let target = Connection::open(copy).map_err(failed)?;
        // Nobody else sees it before it is whole, and a copy that is interrupted is thrown away.
        target.execute_batch("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF").map_err(failed)?;
        Ok(target)
    })?;
    let backup = Backup::new(&source, &mut target).map_err(failed)?;
    loop {
        match backup.step(-1).map_err(failed)? {
            StepResult::Done => return Ok(()),
            _ if Instant::now() >= deadline => {
                return Err(Refusal::Other(locked(path, patience)));
            }
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// A connection that cannot write, and does not write the log back when it is the last one to leave.
fn open_to_read(path: &Path, patience: Duration) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(path, flags)?;
    source.busy_timeout(patience.min(LONGEST_WAIT))?;
    source.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    source.query_row("PRAGMA schema_version", [], |_| Ok(()))?;
    Ok(source)
}

/// An empty file that only its owner reads.
fn create(path: &Path) -> Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.map(drop).map_err(Error::file(path, "create"))
}

fn refusal(path: &Path, copy: &Path, patience: Duration, error: rusqlite::Error) -> Refusal {
    match error.sqlite_error_code() {
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) => Refusal::NeedsWriting,
        _ => Refusal::Other(failure(path, copy, patience, error)),
    }
}

fn failure(path: &Path, copy: &Path, patience: Duration, error: rusqlite::Error) -> Error {
    let source = |kind| io::Error::new(kind, error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => locked(path, patience),
        Some(ErrorCode::DiskFull) => {
            let source = source(io::ErrorKind::StorageFull);
            Error::file(copy.to_owned(), "copy the database")(source)
        }
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            let source = source(io::ErrorKind::Other);
            Error::file(path.to_owned(), "copy the database")(source)
        }
        _ => Error::Damaged { path: path.to_owned(), reason: error.to_string() },
    }
}

fn locked(path: &Path, patience: Duration) -> Error {
    let reason = "another process kept the database locked".to_owned();
    Error::Restless { path: path.to_owned(), patience, reason }
}

fn side(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The copy in place of the database, and of a link to it, and nothing in place of its logs.
fn grafts(named: &Path, path: &Path, copy: &Path) -> Vec<Graft> {
    let graft = |at: &Path, with| Graft { at: at.to_owned(), with };
    let mut grafts = vec![graft(path, With::Staged(copy.to_owned()))];
    if named != path {
        grafts.push(graft(named, With::Staged(copy.to_owned())));
    }
    grafts.extend(SIDES.iter().map(|suffix| graft(&side(path, suffix), With::Nothing)));
    grafts
}
