//! What a copy of a database says of itself: whether it is sound, and how far it has come. It is opened as a file that nobody changes, so
//! that nothing appears beside it.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{Captured, Verified, side};
use crate::error::{Error, Result};
use crate::kind::Outcome;
use crate::manifest::Note;
use crate::position::Position;
use crate::profile::SqliteRule;

/// How many faults are named.
const NAMED: usize = 3;

/// Says what a capture must know of its copy.
pub(super) fn report(copy: &Path, rule: &SqliteRule, captured: &mut Captured) -> Result<()> {
    let connection = open(copy)?;
    match integrity(&connection) {
        Soundness::Sound => {}
        Soundness::Broken(text) => {
            captured.is_torn = true;
            let text = format!("the database itself is damaged, and is captured as it is: {text}");
            captured.notes.push(Note::new("integrity", text));
        }
        Soundness::Unknown(text) => captured.notes.push(Note::new("unchecked", text)),
    }
    if let Ok(rows @ 1..) = strays(&connection) {
        captured.notes.push(Note::new("foreign-keys", stray_text(rows)));
    }
    for (name, count) in counts(&connection, rule) {
        match count {
            Ok(number) => captured.position.count(name, number),
            Err(reason) => {
                captured.notes.push(Note::new("not-counted", format!("{name}: {reason}")));
            }
        }
    }
    Ok(())
}

/// Checks a copy that nobody uses.
pub(super) fn judge(path: &Path, rule: &SqliteRule) -> Result<Verified> {
    let connection = open(path)?;
    let mut verified = Verified::default();
    let (outcome, detail) = match integrity(&connection) {
        Soundness::Sound => (Outcome::Passed, pages(&connection)),
        Soundness::Broken(text) => (Outcome::Failed, text),
        Soundness::Unknown(text) => (Outcome::Skipped, text),
    };
    verified.check("integrity_check", outcome, detail);
    // Not a failure: the node may never have asked SQLite to keep them.
    match strays(&connection) {
        Ok(0) => verified.check("foreign keys", Outcome::Passed, "every row"),
        Ok(rows) => verified.check("foreign keys", Outcome::Skipped, stray_text(rows)),
        Err(error) => verified.check("foreign keys", Outcome::Skipped, error.to_string()),
    }
    let mut position = Position::default();
    for (name, count) in counts(&connection, rule) {
        match count {
            Ok(number) => position.count(name, number),
            Err(reason) => verified.check(&format!("count {name}"), Outcome::Failed, reason),
        }
    }
    verified.position = position;
    Ok(verified)
}

/// What `integrity_check` says.
enum Soundness {
    Sound,
    Broken(String),
    /// It needs something that is not here: a collation, an extension.
    Unknown(String),
}

fn integrity(connection: &Connection) -> Soundness {
    match messages(connection, "PRAGMA integrity_check") {
        Ok(messages) if messages == ["ok"] => Soundness::Sound,
        Ok(messages) => Soundness::Broken(messages.join("; ")),
        Err(error) if is_damage(&error) => Soundness::Broken(error.to_string()),
        Err(error) => quick(connection, &error),
    }
}

/// Without a look into indices, which may need what only the owner's program has.
fn quick(connection: &Connection, why: &rusqlite::Error) -> Soundness {
    match messages(connection, "PRAGMA quick_check") {
        Ok(messages) if messages == ["ok"] => Soundness::Unknown(format!(
            "integrity_check could not run ({why}); quick_check says ok"
        )),
        Ok(messages) => Soundness::Broken(messages.join("; ")),
        Err(error) if is_damage(&error) => Soundness::Broken(error.to_string()),
        Err(error) => Soundness::Unknown(format!("integrity_check could not run: {error}")),
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn messages(connection: &Connection, pragma: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(&format!("{pragma}({NAMED})"))?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Rows that refer to rows that are not there.
fn strays(connection: &Connection) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    let mut number = 0;
    while rows.next()?.is_some() {
        number += 1;
    }
    Ok(number)
}

fn stray_text(rows: u64) -> String {
    format!("rows that refer to rows that are not there, as in the database itself: {rows}")
}

fn counts<'a>(
    connection: &Connection,
    rule: &'a SqliteRule,
) -> Vec<(&'a str, Result<u64, String>)> {
    let count = |query: &str| connection.query_row(query, [], |row| row.get::<_, i64>(0));
    let number = |query: &str| {
        let number = count(query).map_err(|error| error.to_string())?;
        u64::try_from(number).map_err(|_| format!("the query gives {number}, which counts nothing"))
    };
    rule.counts.iter().map(|(name, query)| (name.as_str(), number(query))).collect()
}

fn pages(connection: &Connection) -> String {
    let pragma = |name: &str| {
        connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)).unwrap_or(0)
    };
    format!("ok, {} pages of {} bytes", pragma("page_count"), pragma("page_size"))
}

fn open(path: &Path) -> Result<Connection> {
    let is_alone = ["-wal", "-journal"].iter().all(|suffix| !side(path, suffix).exists());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = if is_alone {
        Connection::open_with_flags(unchanging(path), flags | OpenFlags::SQLITE_OPEN_URI)
    } else {
        Connection::open_with_flags(path, flags)
    };
    opened.map_err(|error| Error::Damaged { path: path.to_owned(), reason: error.to_string() })
}

/// A path as a URI that tells SQLite that nobody changes the file.
fn unchanging(path: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt;
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            _ = write!(uri, "%{byte:02x}");
        }
    }
    uri + "?immutable=1"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_can_be_opened() {
        for name in ["plain.db", "what? #1 100%.db", "ünï.db", "a&b=c;d"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            let made = Connection::open(&path).unwrap();
            made.execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES (1), (2)").unwrap();
            drop(made);
            let counts = [("rows".to_owned(), "SELECT count(*) FROM t".to_owned())].into();
            let verified = judge(&path, &SqliteRule { counts }).unwrap();
            assert!(verified.is_sound(), "{name}: {:?}", verified.checks);
            assert_eq!(verified.position.counters.get("rows"), Some(&2));
        }
    }
}
