//! What a backup holds as JSON: the owner's settings and known peers. Each is a text with its length before it.
//!
//! Settings hold secrets of Maxima and, if the wallet is locked, the sealed phrase. Nothing of that is copied: only whether it is there.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::wire::{DATA_LIMIT, Reader, Result, WireError};

/// What a node writes where no phrase is locked.
const NOTHING: &str = "\"0x00\"";

/// What is told of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether they hold the phrase, sealed with a password.
    pub has_locked_phrase: bool,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    encrypted_seed: Option<&'a RawValue>,
}

/// Reads the settings.
///
/// # Errors
/// If they are no JSON object, or something follows.
pub fn read(section: &[u8]) -> Result<Settings> {
    let raw: Raw<'_> = parse(section, "the settings")?;
    let sealed = raw.encrypted_seed.map(RawValue::get);
    Ok(Settings { has_locked_phrase: sealed.is_some_and(|sealed| sealed != NOTHING) })
}

/// Reads the peers, of which nothing is told.
///
/// # Errors
/// If they are no JSON, or something follows.
pub fn check_peers(section: &[u8]) -> Result<()> {
    parse::<IgnoredAny>(section, "the peers").map(drop)
}

fn parse<'a, T: Deserialize<'a>>(section: &'a [u8], what: &'static str) -> Result<T> {
    let mut reader = Reader::new(section);
    let length = reader.length(what, DATA_LIMIT)?;
    reader.skip(length, what)?;
    reader.end()?;
    let text = &section[section.len() - length as usize..];
    let at = section.len() as u64;
    serde_json::from_slice(text).map_err(|_| WireError::Invalid { what, at, why: "no JSON" })
}

#[cfg(test)]
mod tests {
    use super::super::wire::Write;
    use super::*;

    fn section(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.data(text.as_bytes());
        bytes
    }

    #[test]
    fn a_locked_phrase_is_seen() {
        let locked = |text: &str| read(&section(text)).unwrap().has_locked_phrase;
        assert!(!locked("{}"));
        assert!(!locked(r#"{"a":[1,{"b":null}],"encrypted_seed":"0x00"}"#));
        assert!(locked(r#"{"encrypted_seed":"0x0000000812","b":2}"#));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "[", "{} {}", "{\"encrypted_seed\":}", "\u{1}"] {
            assert!(read(&section(text)).is_err(), "{text:?}");
            assert!(check_peers(&section(text)).is_err(), "{text:?}");
        }
        let mut surplus = section("{}");
        surplus.push(0);
        assert!(check_peers(&surplus).is_err());
        assert!(check_peers(&section("{}")).is_ok());
    }
}
