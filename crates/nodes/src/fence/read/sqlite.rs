//! Marks of a SQLite database: a query that only reads gives keys and numbers.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};

use super::State;
use super::numbers::{digits, marks, raise};
use crate::fence::mark::Value;

/// How long a writer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// More rows than this are no marks.
const MOST_ROWS: usize = 1_000_000;

/// What the query gives: a key and a number, or a number alone. No row, or no value, is no mark.
pub(super) fn query(
    path: &Path,
    query: &str,
    state: State,
) -> Result<Vec<(String, Value)>, String> {
    let connection = open(path, state).map_err(|error| error.to_string())?;
    let mut statement = connection.prepare(query).map_err(|error| error.to_string())?;
    let columns = statement.column_count();
    if !statement.readonly() || !(1..=2).contains(&columns) {
        return Err("the query must only read, and give a key and a number".to_owned());
    }
    let mut rows = statement.query([]).map_err(|error| error.to_string())?;
    let mut highest = BTreeMap::new();
    while let Some(row) = rows.next().map_err(|error| error.to_string())? {
        let key = if columns == 2 { key(row)? } else { String::new() };
        if let Some(number) = number(row, columns - 1)? {
            raise(&mut highest, key, number);
        }
        if highest.len() > MOST_ROWS {
            return Err(format!("the query gives more than {MOST_ROWS} keys"));
        }
    }
    Ok(marks(highest))
}

/// A copy without a log is opened so that nothing is written beside it.
fn open(path: &Path, state: State) -> rusqlite::Result<Connection> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let is_still = state == State::Copy && !Path::new(&log).exists();
    let suffix = if is_still { "?immutable=1" } else { "" };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(format!("file:{}{suffix}", escaped(path)), flags)?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

/// As a URI: everything but plain characters as its number.
fn escaped(path: &Path) -> String {
    let escape = |byte: &u8| match byte {
        b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
            char::from(*byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    path.as_os_str().as_bytes().iter().map(escape).collect()
}

fn key(row: &Row<'_>) -> Result<String, String> {
    match row.get_ref(0).map_err(|error| error.to_string())? {
        ValueRef::Text(text) => Ok(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Integer(number) => Ok(number.to_string()),
        ValueRef::Blob(bytes) => Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        ValueRef::Null | ValueRef::Real(_) => {
            Err("a key is neither text, number nor blob".to_owned())
        }
    }
}

fn number(row: &Row<'_>, column: usize) -> Result<Option<u64>, String> {
    let bad = || "a mark is no whole number".to_owned();
    match row.get_ref(column).map_err(|error| error.to_string())? {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(number) => u64::try_from(number).map(Some).map_err(|_| bad()),
        ValueRef::Text(text) => {
            std::str::from_utf8(text).ok().and_then(digits).map(Some).ok_or_else(bad)
        }
        ValueRef::Real(_) | ValueRef::Blob(_) => Err(bad()),
    }
}
