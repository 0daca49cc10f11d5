//! A database that nobody has open: its file and its log are copied as they are, which is consistent if neither changed meanwhile; then the
//! copy takes its log in. So the log of an owner that died counts, and its folder stays as it is.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::Connection;

use super::{SIDES, create, failure, side};
use crate::error::{Error, Result};

/// How long ago a file's last change must be before its times can show another: clocks of file systems are coarse.
const SETTLED: Duration = Duration::from_millis(50);

/// What tells that a file changed: device, inode, size, and the times of the last change of content and of the file.
type Mark = (u64, u64, u64, (i64, i64), (i64, i64));

/// Copies a database while it does not change.
pub(super) fn copy(path: &Path, copy: &Path, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    while !try_copy(path, copy)? {
        if Instant::now() >= deadline {
            let reason = "it was written to all the time, by a process that keeps it from being read: stop that one, or use a hold".to_owned();
            return Err(Error::Restless { path: path.to_owned(), patience, reason });
        }
        thread::sleep(SETTLED);
    }
    let settled = settle(copy).map_err(|error| failure(path, copy, patience, error));
    remove_sides(copy)?;
    settled
}

fn try_copy(path: &Path, copy: &Path) -> Result<bool> {
    let before = marks(path)?;
    if !before.iter().flatten().all(is_settled) {
        return Ok(false);
    }
    remove_sides(copy)?;
    for suffix in ["", "-wal", "-journal"] {
        copy_content(&side(path, suffix), &side(copy, suffix))?;
    }
    Ok(marks(path)? == before)
}

/// Copies a file if it is there: one that comes or goes meanwhile shows in the marks.
fn copy_content(from: &Path, to: &Path) -> Result<()> {
    let mut source = match fs::File::open(from) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(Error::file(from, "open"))?,
    };
    create(to)?;
    let mut options = fs::OpenOptions::new();
    let mut target = options.write(true).open(to).map_err(Error::file(to, "open"))?;
    std::io::copy(&mut source, &mut target).map_err(Error::file(to, "copy the database into"))?;
    Ok(())
}

fn marks(path: &Path) -> Result<Vec<Option<Mark>>> {
    let mark = |suffix: &str| {
        let path = side(path, suffix);
        match path.metadata() {
            Ok(file) => Ok(Some((
                file.dev(),
                file.ino(),
                file.len(),
                (file.mtime(), file.mtime_nsec()),
                (file.ctime(), file.ctime_nsec()),
            ))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::file(path, "look at")(error)),
        }
    };
    ["", "-wal", "-journal"].into_iter().map(mark).collect()
}

fn is_settled(mark: &Mark) -> bool {
    let (seconds, nanoseconds) = mark.4;
    let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(seconds), u32::try_from(nanoseconds))
    else {
        return true;
    };
    let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
    // A time in the future says nothing of now: the marks before and after still do.
    changed.elapsed().map_or(true, |age| age >= SETTLED)
}

/// Takes the log in: rolls back what was not committed, or writes back what was.
fn settle(copy: &Path) -> rusqlite::Result<()> {
    let connection = Connection::open(copy)?;
    connection.query_row("PRAGMA schema_version", [], |_| Ok(()))?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn remove_sides(copy: &Path) -> Result<()> {
    for suffix in SIDES {
        let side = side(copy, suffix);
        match fs::remove_file(&side) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::file(side, "remove")(error));
            }
            _ => {}
        }
    }
    Ok(())
}
