//! Numbers in JSON and in text. A value that is no whole number is an error, never a zero.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::fence::mark::{Signed, Value};

/// Numbers at a pointer: one number, an object of numbers by key, or, if wanted, the height, round and step of a validator.
pub(super) fn at(
    document: &Json,
    pointer: &str,
    is_validator: bool,
) -> Result<Vec<(String, Value)>, String> {
    let found =
        document.pointer(pointer).ok_or_else(|| format!("there is nothing at `{pointer}`"))?;
    let Json::Object(members) = found else {
        let number = whole(found).ok_or_else(|| {
            format!("`{pointer}` is neither a whole number nor an object of them")
        })?;
        return Ok(vec![(String::new(), Value::Number(number))]);
    };
    let member = |name: &str| {
        members
            .get(name)
            .and_then(whole)
            .ok_or_else(|| format!("`{pointer}/{name}` is no whole number"))
    };
    if is_validator && members.contains_key("height") {
        let signed =
            Signed { height: member("height")?, round: member("round")?, step: member("step")? };
        return Ok(vec![(String::new(), Value::Signed(signed))]);
    }
    members.keys().map(|key| Ok((key.clone(), Value::Number(member(key)?)))).collect()
}

/// Lines of a key, white space and a number; or a number alone. The highest for each key.
pub(super) fn of_text(text: &[u8]) -> Result<Vec<(String, Value)>, String> {
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    let mut highest = BTreeMap::new();
    for (line, words) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let words = words.trim();
        let (key, number) = words.rsplit_once(char::is_whitespace).unwrap_or(("", words));
        let number = digits(number)
            .ok_or_else(|| format!("line {line} does not end with a whole number"))?;
        raise(&mut highest, key.trim_end().to_owned(), number);
    }
    Ok(marks(highest))
}

/// A whole number from 0, also as text of digits.
pub(in crate::fence) fn whole(value: &Json) -> Option<u64> {
    match value {
        Json::Number(number) => number.as_u64(),
        Json::String(text) => digits(text),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

pub(super) fn digits(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

pub(super) fn raise(highest: &mut BTreeMap<String, u64>, key: String, number: u64) {
    let known = highest.entry(key).or_insert(number);
    *known = number.max(*known);
}

pub(super) fn marks(highest: BTreeMap<String, u64>) -> Vec<(String, Value)> {
    highest.into_iter().map(|(key, number)| (key, Value::Number(number))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_whole_number_is_an_error() {
        for bad in [
            "-1",
            "1.5",
            "1e3",
            "null",
            "true",
            "\"\"",
            "\"+1\"",
            "\" 1\"",
            "[1]",
            "18446744073709551616",
            "\"18446744073709551616\"",
        ] {
            assert_eq!(whole(&serde_json::from_str(bad).unwrap()), None, "{bad}");
        }
        for (good, number) in [("0", 0), ("\"007\"", 7), ("18446744073709551615", u64::MAX)] {
            assert_eq!(whole(&serde_json::from_str(good).unwrap()), Some(number), "{good}");
        }
    }

    #[test]
    fn text_gives_the_highest_for_each_key() {
        let marks = of_text(b"0xa 5\n\n0xb\t7 \n0xa 3\nthe old key 9\n").unwrap();
        let numbers: Vec<_> =
            marks.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        let number = Value::Number;
        assert_eq!(numbers, [("0xa", number(5)), ("0xb", number(7)), ("the old key", number(9))]);
        assert_eq!(of_text(b"12\n").unwrap(), [(String::new(), Value::Number(12))]);
        assert_eq!(
            of_text(b"a 1\nb none\n").unwrap_err(),
            "line 2 does not end with a whole number"
        );
    }
}
