//! Values of the JSON documents (`docs/json.md`).

use nodekeep_repo::id::to_hex;
use nodekeep_repo::snapshot::Counts;
use serde_json::{Value, json};

use super::time::rfc3339;

/// A path: a string if it is UTF-8, otherwise `{"bytes": "<hexadecimal>"}`.
pub fn path(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => json!({ "bytes": to_hex(bytes) }),
    }
}

/// A time: RFC 3339 in UTC, from Unix milliseconds.
pub fn time(ms: i64) -> Value {
    rfc3339(ms).map_or(Value::Null, Value::from)
}

/// What a backup counted.
pub fn counts(counts: &Counts) -> Value {
    json!({
        "files": counts.files,
        "directories": counts.dirs,
        "bytes": counts.bytes,
        "bytes_read": counts.bytes_read,
        "chunks_added": counts.chunks_added,
        "bytes_added": counts.bytes_added,
    })
}

/// Paths and why they could not be read.
pub fn unreadable(errors: &[(Vec<u8>, String)]) -> Value {
    errors.iter().map(|(at, why)| json!({ "path": path(at), "message": why })).collect()
}

/// Tags as an object; of several values of one name the last counts.
pub fn tags(tags: &[(String, String)]) -> Value {
    Value::Object(
        tags.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect(),
    )
}
