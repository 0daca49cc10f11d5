//! A JSON document that a node writes anew as a whole. Who reads it in the middle of that gets a part: it is read again until it is whole,
//! and what was read is what is copied.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Captured, Graft, Outcome, Request, Verified, With};
use crate::error::{Error, Result};
use crate::manifest::Note;
use crate::position::Position;
use crate::profile::JsonRule;

/// A larger document is copied as it lies: it is not worth the memory.
const MOST_BYTES: u64 = 16 << 20;
/// How long a document may be half written before it counts as torn.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);
/// How long to wait before it is read again.
const PAUSE: Duration = Duration::from_millis(20);

/// Captures a document.
///
/// # Errors
/// If it cannot be read.
pub fn capture(request: &Request<'_>, rule: &JsonRule) -> Result<Captured> {
    let deadline = Instant::now() + WRITTEN_WITHIN.min(request.patience);
    loop {
        let Some(bytes) = read(request.path)? else {
            return Ok(noted(Captured::default(), "not-looked-at", too_large()));
        };
        let parsed = serde_json::from_slice::<Value>(&bytes);
        let graft = Graft { at: request.path.to_owned(), with: With::Bytes(bytes) };
        let captured = Captured { grafts: vec![graft], ..Captured::default() };
        match parsed {
            Ok(document) => return Ok(Captured { position: count(&document, rule), ..captured }),
            Err(_) if Instant::now() < deadline => thread::sleep(PAUSE),
            Err(error) => {
                let captured = Captured { is_torn: true, ..captured };
                return Ok(noted(captured, "not-json", format!("it is no JSON: {error}")));
            }
        }
    }
}

/// Checks a copy.
///
/// # Errors
/// If it cannot be read.
pub fn verify(path: &Path, rule: &JsonRule) -> Result<Verified> {
    let mut verified = Verified::default();
    let Some(bytes) = read(path)? else {
        verified.check("JSON", Outcome::Skipped, too_large());
        return Ok(verified);
    };
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(document) => {
            verified.check("JSON", Outcome::Passed, format!("{} bytes", bytes.len()));
            verified.position = count(&document, rule);
        }
        Err(error) => verified.check("JSON", Outcome::Failed, error.to_string()),
    }
    Ok(verified)
}

/// All of it; `None` where that is too much.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let file = fs::File::open(path).map_err(Error::file(path, "open"))?;
    let mut bytes = Vec::new();
    let read = file.take(MOST_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(Error::file(path, "read"))?;
    Ok((bytes.len() as u64 <= MOST_BYTES).then_some(bytes))
}

fn too_large() -> String {
    format!("it has more than {} MiB: it is copied as it lies", MOST_BYTES >> 20)
}

fn noted(mut captured: Captured, code: &str, text: String) -> Captured {
    captured.notes.push(Note::new(code, text));
    captured
}

/// What its counters say. One whose place is not there says nothing.
fn count(document: &Value, rule: &JsonRule) -> Position {
    let mut position = Position::default();
    for (name, pointer) in &rule.counts {
        let found = places(document, pointer);
        if !found.is_empty() {
            position.count(name, found.into_iter().map(amount).fold(0, u64::saturating_add));
        }
    }
    position
}

/// What lies at a pointer in which `*` stands for every entry.
fn places<'a>(document: &'a Value, pointer: &str) -> Vec<&'a Value> {
    let mut found = vec![document];
    for step in pointer.split('/').skip(1) {
        found = found.into_iter().flat_map(|value| entries(value, step)).collect();
    }
    found
}

fn entries<'a>(value: &'a Value, step: &str) -> Vec<&'a Value> {
    match (value, step) {
        (Value::Object(fields), "*") => fields.values().collect(),
        (Value::Array(items), "*") => items.iter().collect(),
        (Value::Object(fields), name) => fields.get(name).into_iter().collect(),
        (Value::Array(items), at) => {
            at.parse::<usize>().ok().and_then(|at| items.get(at)).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// A number is itself, a list or an object the number of its entries.
fn amount(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.len() as u64,
        Value::Object(fields) => fields.len() as u64,
        other => other.as_u64().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::profile::Variables;

    fn rule(counts: &[(&str, &str)]) -> JsonRule {
        let counts = counts.iter().map(|(name, at)| ((*name).to_owned(), (*at).to_owned()));
        JsonRule { counts: counts.collect() }
    }

    fn captured(path: &Path, rule: &JsonRule) -> Captured {
        let variables = Variables::new();
        let patience = Duration::from_millis(500);
        capture(&Request::alone(path, path, &variables, patience), rule).unwrap()
    }

    #[test]
    fn numbers_are_added_and_entries_counted() {
        let text = r#"{"places":{"a":{"total":3},"b":{"total":4},"c":{}},"list":[1,2]}"#;
        let document = serde_json::from_str(text).unwrap();
        let rule = rule(&[
            ("votes", "/places/*/total"),
            ("places", "/places"),
            ("second", "/list/1"),
            ("parts", ""),
            ("nothing", "/none/*"),
        ]);
        let expected = [("parts", 2), ("places", 3), ("second", 2), ("votes", 7)];
        let expected = expected.map(|(name, n)| (name.to_owned(), n));
        assert_eq!(count(&document, &rule).counters, BTreeMap::from(expected));
    }

    #[test]
    fn a_document_that_is_being_written_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.json");
        fs::write(&path, "{\"a\":1,").unwrap();
        let rule = rule(&[("users", "")]);
        let late = path.clone();
        let writer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            fs::write(late, "{\"a\":1,\"b\":2}").unwrap();
        });
        let seen = captured(&path, &rule);
        writer.join().unwrap();
        assert_eq!((seen.is_torn, seen.position.counters["users"]), (false, 2));
        assert_eq!(seen.grafts[0].with, With::Bytes(b"{\"a\":1,\"b\":2}".to_vec()));
    }

    #[test]
    fn one_that_stays_half_is_copied_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.json");
        fs::write(&path, "{\"a\":1,").unwrap();
        let seen = captured(&path, &JsonRule::default());
        assert!(seen.is_torn && seen.notes[0].text.contains("no JSON"), "{seen:?}");
        assert!(!verify(&path, &JsonRule::default()).unwrap().is_sound());
    }
}
