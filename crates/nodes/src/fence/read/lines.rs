//! Marks of logs: the highest number over lines of JSON, or how many lines there are. A torn last line is what a live log has.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};

use serde_json::Value as Json;

use super::numbers::{marks, raise, whole};
use crate::fence::mark::Value;

/// The longest line that is read, in bytes.
const LONGEST: u64 = 16 << 20;

/// The highest number of a field for each key. Lines without the field are of something else, unless all are.
pub(super) fn highest(
    from: impl Read,
    key: Option<&str>,
    value: &str,
) -> Result<Vec<(String, Value)>, String> {
    let mut from = BufReader::new(from);
    let mut highest = BTreeMap::new();
    let mut line = Vec::new();
    let mut number = 0_u64;
    loop {
        line.clear();
        let read = from.by_ref().take(LONGEST).read_until(b'\n', &mut line);
        if read.map_err(|error| error.to_string())? == 0 {
            break;
        }
        number += 1;
        let is_torn = line.last() != Some(&b'\n');
        if is_torn && line.len() as u64 == LONGEST {
            return Err(format!("line {number} is longer than {LONGEST} bytes"));
        }
        match serde_json::from_slice(&line) {
            Ok(record) => one(&record, key, value, &mut highest)
                .map_err(|why| format!("line {number}: {why}"))?,
            Err(_) if is_torn || line.trim_ascii().is_empty() => {}
            Err(error) => return Err(format!("line {number}: {error}")),
        }
    }
    if highest.is_empty() && number > 1 {
        return Err(format!("no line has the field `{value}`"));
    }
    Ok(marks(highest))
}

fn one(
    record: &Json,
    key: Option<&str>,
    value: &str,
    highest: &mut BTreeMap<String, u64>,
) -> Result<(), String> {
    let Some(found) = field(record, value) else { return Ok(()) };
    let number = whole(found).ok_or_else(|| format!("`{value}` is no whole number"))?;
    let key = match key.map(|key| (key, field(record, key))) {
        None => String::new(),
        Some((_, Some(Json::String(text)))) => text.clone(),
        Some((_, Some(number @ Json::Number(_)))) => number.to_string(),
        Some((key, _)) => return Err(format!("`{key}` is neither text nor a number")),
    };
    raise(highest, key, number);
    Ok(())
}

/// A field by its name, or by a JSON pointer.
fn field<'a>(record: &'a Json, name: &str) -> Option<&'a Json> {
    if name.starts_with('/') { record.pointer(name) } else { record.get(name) }
}

/// How many whole lines there are.
pub(super) fn count(mut from: impl Read) -> Result<u64, String> {
    let mut buffer = vec![0; 64 * 1024];
    let mut count = 0;
    loop {
        let read = from.read(&mut buffer).map_err(|error| error.to_string())?;
        if read == 0 {
            return Ok(count);
        }
        count += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str, key: Option<&str>) -> Result<Vec<(String, u64)>, String> {
        let marks = highest(text.as_bytes(), key, "nonce")?;
        let number = |(key, value): (String, Value)| (key, value.numbers()[0].1.unwrap());
        Ok(marks.into_iter().map(number).collect())
    }

    #[test]
    fn the_highest_counts_and_a_torn_tail_is_tolerated() {
        let text = "{\"user\":\"ann\",\"nonce\":5}\n{\"user\":\"bob\",\"nonce\":\"9\"}\n{\"kind\":\"note\"}\n\n{\"user\":\"ann\",\"nonce\":4}\n{\"user\":\"ann\",\"no";
        assert_eq!(
            numbers(text, Some("user")).unwrap(),
            [("ann".to_owned(), 5), ("bob".to_owned(), 9)]
        );
        assert_eq!(numbers(text, None).unwrap(), [(String::new(), 9)]);
        assert_eq!(numbers("", Some("user")).unwrap(), []);
        // A last line that only lacks its end was written: its number counts.
        assert_eq!(numbers("{\"nonce\":7}", None).unwrap(), [(String::new(), 7)]);
    }

    #[test]
    fn what_is_not_understood_is_an_error_with_its_line() {
        let cases = [
            ("{\"nonce\":1}\n{\"non\n{\"nonce\":3}\n", None, "line 2: "),
            ("{\"nonce\":1}\n{\"nonce\":-3}\n", None, "line 2: `nonce` is no whole number"),
            ("{\"nonce\":1}\n", Some("user"), "line 1: `user` is neither text nor a number"),
            ("{\"n\":1}\n{\"n\":2}\n", None, "no line has the field `nonce`"),
        ];
        for (text, key, message) in cases {
            let error = numbers(text, key).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn only_whole_lines_are_counted() {
        assert_eq!(count("a\nb\nc".as_bytes()), Ok(2));
    }
}
