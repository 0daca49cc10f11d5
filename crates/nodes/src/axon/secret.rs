//! `SECRET_KEY` from an instance's `.env`: its first 32 bytes open the instance's private key.

use std::fs;
use std::path::Path;

use zeroize::Zeroizing;

use super::error::{Error, Result};

/// No `.env` is larger.
const MOST_BYTES: u64 = 1 << 20;

/// The first 32 bytes of an instance's `SECRET_KEY`.
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl SecretKey {
    /// From the file, read as python-dotenv does: quotes, comments, `export`; the last line of a name wins.
    ///
    /// # Errors
    /// [`Error::Secret`] if there is no `SECRET_KEY`, or one that Axon itself could not use; never with its content.
    pub fn from_env_file(path: &Path) -> Result<Self> {
        let size = fs::metadata(path).map_err(Error::file(path, "cannot be read"))?.len();
        let bad = |reason| Error::Secret { path: path.to_owned(), reason };
        if size > MOST_BYTES {
            return Err(bad("this is too large for an environment file"));
        }
        let text =
            Zeroizing::new(fs::read_to_string(path).map_err(Error::file(path, "cannot be read"))?);
        Self::from_env_text(&text).map_err(bad)
    }

    /// From the text of such a file.
    ///
    /// # Errors
    /// What is wrong, without the content.
    pub fn from_env_text(text: &str) -> Result<Self, &'static str> {
        let mut lines = text.lines().filter_map(|line| value_of(line, "SECRET_KEY"));
        let value = lines.next_back().ok_or("there is no SECRET_KEY in it")??;
        if value.split_once("${").is_some_and(|(_, rest)| rest.contains('}')) {
            return Err("its SECRET_KEY refers to another variable; write the value itself");
        }
        let first = value.as_bytes().first_chunk::<32>();
        let first = first.ok_or("its SECRET_KEY is shorter than 32 bytes: Axon cannot use it")?;
        Ok(Self(Zeroizing::new(*first)))
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The value that a line gives to a name.
fn value_of(line: &str, name: &str) -> Option<Result<Zeroizing<String>, &'static str>> {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    let bare = line.strip_prefix(name).or_else(|| line.strip_prefix(&format!("'{name}'")))?;
    let value = bare.trim_start().strip_prefix('=')?.trim_start();
    Some(match value.chars().next() {
        Some(quote @ ('\'' | '"')) => {
            quoted(&value[1..], quote).ok_or("the quotes of its SECRET_KEY do not end on one line")
        }
        _ => Ok(unquoted(value)),
    })
}

/// Up to white space and `#`.
fn unquoted(value: &str) -> Zeroizing<String> {
    let comment = value
        .match_indices('#')
        .map(|(at, _)| at)
        .find(|at| value[..*at].ends_with(char::is_whitespace));
    Zeroizing::new(value[..comment.unwrap_or(value.len())].trim_end().to_owned())
}

/// Up to the closing quote, with what stands behind a backslash.
fn quoted(value: &str, quote: char) -> Option<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(value.len()));
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => escaped(characters.next()?, quote, &mut text),
            end if end == quote => return Some(text),
            plain => text.push(plain),
        }
    }
    None
}

fn escaped(character: char, quote: char, text: &mut String) {
    match (character, quote) {
        ('\\' | '\'', _) | ('"', '"') => text.push(character),
        ('n', '"') => text.push('\n'),
        ('r', '"') => text.push('\r'),
        ('t', '"') => text.push('\t'),
        _ => text.extend(['\\', character]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "a!x0#k$q1&(zz)%7w_9=abcdefghij0123-and-more";

    #[test]
    fn every_way_to_write_it_is_read() {
        let lines = [
            format!("SECRET_KEY={KEY}"),
            format!("# c\nSECRET_KEY = {KEY}  # comment\nOTHER=1"),
            format!("export SECRET_KEY='{KEY}'"),
            format!("SECRET_KEY=\"{KEY}\" # comment"),
            format!("SECRET_KEY=old-old-old-old-old-old-old-old-old\nSECRET_KEY={KEY}\n"),
            format!("SECRET_KEY={KEY}\r\nX=1"),
        ];
        for line in lines {
            let key = SecretKey::from_env_text(&line).ok().unwrap();
            assert_eq!(key.bytes().as_slice(), &KEY.as_bytes()[..32], "{line}");
        }
        let quotes = r#"SECRET_KEY="\"\\\n56789012345678901234567890123""#;
        let key = SecretKey::from_env_text(quotes).ok().unwrap();
        assert_eq!(
            key.bytes().as_slice(),
            b"\"\\\n56789012345678901234567890123".first_chunk::<32>().unwrap_or(key.bytes())
        );
    }

    #[test]
    fn what_cannot_be_used_is_refused_without_its_content() {
        let cases = [
            ("", "no SECRET_KEY"),
            ("NOT_SECRET_KEY=x", "no SECRET_KEY"),
            ("SECRET_KEY", "no SECRET_KEY"),
            ("SECRET_KEY=tooshort-geheim", "shorter than 32"),
            ("SECRET_KEY='geheim", "quotes"),
            ("SECRET_KEY=geheim-geheim-geheim-geheim-${X}", "refers to another"),
        ];
        for (text, expected) in cases {
            let error = SecretKey::from_env_text(text).err().unwrap();
            assert!(error.contains(expected) && !error.contains("geheim"), "{text}: {error}");
        }
    }
}
