//! Lines of JSON, read once from front to back with the memory of one line: where whole lines end, what they hash to, which are none.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// The longest line that is read, in bytes.
pub(super) const LONGEST_LINE: u64 = 64 * 1024 * 1024;

/// One line that is not blank.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    /// Its number, from one, blank lines counted.
    pub number: u64,
    /// Where it begins, in bytes from the start.
    pub at: u64,
    /// Its text without the newline, if it is JSON in UTF-8.
    pub json: Option<&'a str>,
}

/// What a file of lines came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Bytes of whole lines.
    pub length: u64,
    /// Whole lines that are not blank.
    pub lines: u64,
    /// SHA-256 of the whole lines, in hexadecimal.
    pub sha256: String,
    /// The same of the first bytes, as many as were asked for; `None` if there are not so many.
    pub sha256_at_mark: Option<String>,
    /// Bytes after the last whole line.
    pub torn: u64,
    /// Whether the last line is whole JSON without a newline.
    pub is_open: bool,
}

/// Reads the first `length` bytes; each line goes to `visit`. `mark` is a length whose hash is wanted too.
pub(super) fn walk(
    path: &Path,
    file: &File,
    length: u64,
    mark: Option<u64>,
    visit: &mut dyn FnMut(Line<'_>),
) -> Result<Extent> {
    let mut reader = BufReader::with_capacity(256 * 1024, file.take(length));
    let mut hash = Hash::new(mark);
    let mut extent = Extent::default();
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        let room = LONGEST_LINE.saturating_add(1);
        let read = reader.by_ref().take(room).read_until(b'\n', &mut bytes);
        let read = read.map_err(Error::file(path, "read"))? as u64;
        if read > LONGEST_LINE {
            return Err(too_long(path, number, hash.at));
        }
        let is_ended = bytes.last() == Some(&b'\n');
        let json = json(bytes.strip_suffix(b"\n").unwrap_or(&bytes));
        if !is_ended && !json.is_some_and(delimits_itself) {
            extent.torn = read;
            break;
        }
        if !bytes.trim_ascii().is_empty() {
            extent.lines += 1;
            visit(Line { number, at: hash.at, json });
        }
        extent.is_open = !is_ended;
        hash.add(&bytes);
    }
    extent.length = hash.at;
    (extent.sha256, extent.sha256_at_mark) = hash.finish();
    Ok(extent)
}

/// The text, if it is JSON.
pub(super) fn json(line: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(line).ok()?;
    serde_json::from_str::<IgnoredAny>(text).ok().map(|_| text)
}

/// Whether no further byte could make it another value, as `12` becomes `123`.
fn delimits_itself(json: &str) -> bool {
    json.trim_end().ends_with(['}', ']', '"'])
}

fn too_long(path: &Path, number: u64, at: u64) -> Error {
    let limit = LONGEST_LINE / (1024 * 1024);
    let reason = format!(
        "line {number}, from byte {at}, is longer than {limit} MiB: this is no file of JSON lines, back it up as kind `files`"
    );
    Error::Unsupported { path: path.to_owned(), reason }
}

/// A running hash that also tells what it was at a mark.
struct Hash {
    at: u64,
    state: Sha256,
    mark: Option<u64>,
    marked: Option<String>,
}

impl Hash {
    fn new(mark: Option<u64>) -> Self {
        let mut hash = Self { at: 0, state: Sha256::new(), mark, marked: None };
        hash.look();
        hash
    }

    fn add(&mut self, bytes: &[u8]) {
        let until_mark = self.mark.and_then(|mark| mark.checked_sub(self.at)).unwrap_or(0);
        let split = usize::try_from(until_mark).map_or(0, |split| split.min(bytes.len()));
        for part in [&bytes[..split], &bytes[split..]] {
            self.state.update(part);
            self.at += part.len() as u64;
            self.look();
        }
    }

    fn look(&mut self) {
        if self.mark == Some(self.at) && self.marked.is_none() {
            self.marked = Some(hex(&self.state.clone().finalize()));
        }
    }

    fn finish(self) -> (String, Option<String>) {
        (hex(&self.state.finalize()), self.marked)
    }
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(content: &[u8], mark: Option<u64>) -> (Extent, Vec<(u64, u64, bool)>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        std::fs::write(&path, content).unwrap();
        let mut seen = Vec::new();
        let file = File::open(&path).unwrap();
        let extent = walk(&path, &file, content.len() as u64, mark, &mut |line| {
            seen.push((line.number, line.at, line.json.is_some()));
        });
        (extent.unwrap(), seen)
    }

    fn sha256(bytes: &[u8]) -> String {
        hex(&Sha256::digest(bytes))
    }

    #[test]
    fn whole_lines_end_where_they_end() {
        // Content, length, lines, torn, open.
        let cases: &[(&[u8], u64, u64, u64, bool)] = &[
            (b"", 0, 0, 0, false),
            (b"{}\n", 3, 1, 0, false),
            (b"{}\r\n\n  \n[1]\n", 12, 2, 0, false),
            (b"{}\n{\"a\":", 3, 1, 5, false),
            (b"{}\n{\"a\":1}", 10, 2, 0, true),
            (b"{}\n12", 3, 1, 2, false),
            (b"{}\n\0\0\0\0", 3, 1, 4, false),
            (b"{}\n\xff\xfe", 3, 1, 2, false),
            (b"{\"a\"", 0, 0, 4, false),
            (b"{}\n   ", 3, 1, 3, false),
        ];
        for &(content, length, lines, torn, is_open) in cases {
            let (extent, _) = extent(content, None);
            let found = (extent.length, extent.lines, extent.torn, extent.is_open);
            assert_eq!(found, (length, lines, torn, is_open), "{content:?}");
            assert_eq!(extent.sha256, sha256(&content[..usize::try_from(length).unwrap()]));
        }
    }

    #[test]
    fn lines_that_are_no_json_are_told() {
        let (_, seen) = extent(b"{}\n{\"a\n\n{\"b\":\xff}\n3\n", None);
        assert_eq!(seen, [(1, 0, true), (2, 3, false), (4, 8, false), (5, 16, true)]);
    }

    #[test]
    fn the_hash_at_a_mark_is_that_of_the_first_bytes() {
        let content = b"{\"a\":1}\n{\"b\":2}\n";
        for mark in 0..=content.len() {
            let (extent, _) = extent(content, Some(mark as u64));
            assert_eq!(extent.sha256_at_mark, Some(sha256(&content[..mark])), "{mark}");
        }
        assert_eq!(extent(content, Some(17)).0.sha256_at_mark, None);
    }
}
