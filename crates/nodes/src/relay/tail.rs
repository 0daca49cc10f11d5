//! The end of a file of lines: whole, without its line end, or torn.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::{Error, Result};

/// The longest last line that is looked at, in bytes.
const LONGEST: u64 = 256 << 20;

/// How a file of lines ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With a whole line, or it is empty.
    Whole,
    /// With a whole line that only lacks its line end.
    Open,
    /// With something that is no line of JSON, from this byte on.
    Torn(u64),
}

/// How a file ends, and its size in bytes.
///
/// # Errors
/// If it cannot be read, or its last line is longer than any that can be meant.
pub(super) fn end(path: &Path) -> Result<(End, u64)> {
    let unreadable = || Error::file(path, "cannot be read");
    let mut file = File::open(path).map_err(unreadable())?;
    let size = file.metadata().map_err(unreadable())?.len();
    let (start, last) = last_line(&mut file, size, path)?;
    let has_end = last.ends_with(b"\n");
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&last).is_ok();
    let is_blank = last.iter().all(u8::is_ascii_whitespace);
    Ok(match (is_blank || is_json, has_end || last.is_empty()) {
        (true, true) => (End::Whole, size),
        (true, false) => (End::Open, size),
        (false, _) => (End::Torn(start), size),
    })
}

/// The last line with its end, and where it begins.
fn last_line(file: &mut File, size: u64, path: &Path) -> Result<(u64, Vec<u8>)> {
    let unreadable = || Error::file(path, "cannot be read");
    let mut reach = 64 << 10;
    loop {
        let from = size.saturating_sub(reach);
        file.seek(SeekFrom::Start(from)).map_err(unreadable())?;
        let mut read = Vec::new();
        file.take(size - from).read_to_end(&mut read).map_err(unreadable())?;
        let before_end = read.len().saturating_sub(1);
        let line_end = read[..before_end].iter().rposition(|byte| *byte == b'\n');
        match line_end {
            Some(at) => return Ok((from + at as u64 + 1, read.split_off(at + 1))),
            None if from == 0 => return Ok((0, read)),
            None if reach >= LONGEST => {
                let reason = format!(
                    "its last line is longer than {LONGEST} bytes: this is no file of lines"
                );
                return Err(Error::Damaged { path: path.to_owned(), reason });
            }
            None => reach *= 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let long = format!("{{\"a\":1}}\n\"{}\"\n", "x".repeat(200_000));
        let cases: [(&str, End); 9] = [
            ("", End::Whole),
            ("{}\n", End::Whole),
            ("{}\n{}\n", End::Whole),
            ("{}\n\n", End::Whole),
            ("{}\n{\"a\":1}", End::Open),
            ("{}\n{\"a\":", End::Torn(3)),
            ("{\"a\":", End::Torn(0)),
            ("{}\n{\"a\":\u{0}\u{0}\n", End::Torn(3)),
            (&long, End::Whole),
        ];
        for (text, expected) in cases {
            std::fs::write(&path, text).unwrap();
            assert_eq!(end(&path).unwrap(), (expected, text.len() as u64), "{:.30}", text);
        }
    }
}
