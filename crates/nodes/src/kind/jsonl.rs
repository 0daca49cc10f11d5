//! Lines of JSON that a node appends to. A last line that is still being written is cut; what lay there at the last capture must lie there
//! still, and where it does not, the notes say so: such files are reset and rewritten, whatever their owners say.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::lines::{Extent, Line, json, walk};
use super::{Captured, Graft, Outcome, Request, Verified, With};
use crate::error::{Error, Result};
use crate::manifest::{Note, TORN_TAIL};
use crate::profile::JsonlRule;

/// The counter of files whose profile gives lines no other name.
const LINES: &str = "lines";
/// How long to wait before a file that was replaced under the reader is read again.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest first line by which such a file is recognised, in bytes.
const FIRST_LINE: u64 = 256 * 1024;

/// Captures a file: its whole lines.
///
/// # Errors
/// If it cannot be read, has a line of more than 64 MiB, or is replaced faster than it can be read.
pub fn capture(request: &Request<'_>, rule: &JsonlRule) -> Result<Captured> {
    capture_with(request, rule, Faults::default)
}

/// Checks a copy: every line is JSON, none is torn.
///
/// # Errors
/// If it cannot be read or has a line of more than 64 MiB.
pub fn verify(path: &Path, rule: &JsonlRule) -> Result<Verified> {
    verify_with(path, rule, &mut Faults::default())
}

/// Whether a file is lines of JSON by its name and its first line.
pub fn is_one(path: &Path) -> bool {
    let is_named = path.extension().is_some_and(|extension| extension == "jsonl");
    is_named && first_line(path).is_ok_and(|line| json(&line).is_some())
}

fn first_line(path: &Path) -> Result<Vec<u8>> {
    let (file, _) = open(path)?;
    let mut line = Vec::new();
    let mut reader = BufReader::new(file.take(FIRST_LINE));
    reader.read_until(b'\n', &mut line).map_err(Error::file(path, "read"))?;
    Ok(line)
}

/// What looks at lines as they are read.
pub(super) trait Look {
    /// The next line.
    fn line(&mut self, line: Line<'_>);
    /// What was found in them.
    fn report(&self, captured: &mut Captured);
    /// The same of a copy.
    fn judge(&self, verified: &mut Verified);
}

/// Captures with an eye on each line. `begin` gives that eye anew for each try.
pub(super) fn capture_with<L: Look>(
    request: &Request<'_>,
    rule: &JsonlRule,
    begin: impl Fn() -> L,
) -> Result<Captured> {
    let before = request.memory.and_then(|memory| Memory::deserialize(memory).ok());
    let deadline = Instant::now() + request.patience;
    loop {
        let mut look = begin();
        if let Some(extent) = read_still(request.path, before.as_ref(), &mut look)? {
            let mut captured = describe(request.path, &extent, rule);
            captured.notes.extend(before.and_then(|before| before.compare(&extent)));
            look.report(&mut captured);
            return Ok(captured);
        }
        if Instant::now() >= deadline {
            let reason = "the file is replaced or cut again and again while it is read".to_owned();
            let (path, patience) = (request.path.to_owned(), request.patience);
            return Err(Error::Restless { path, patience, reason });
        }
        thread::sleep(PAUSE);
    }
}

/// Verifies with an eye on each line.
pub(super) fn verify_with(path: &Path, rule: &JsonlRule, look: &mut impl Look) -> Result<Verified> {
    let (file, length) = open(path)?;
    let extent = walk(path, &file, length, None, &mut |line| look.line(line))?;
    let mut verified = Verified::default();
    if extent.torn > 0 {
        let detail = format!("{} bytes after the last whole line", extent.torn);
        verified.check("whole lines", Outcome::Failed, detail);
    } else {
        let detail = format!("{} lines, {} bytes", extent.lines, extent.length);
        verified.check("whole lines", Outcome::Passed, detail);
    }
    look.judge(&mut verified);
    verified.position.count(rule.counts.as_deref().unwrap_or(LINES), extent.lines);
    verified.hashes.insert("sha256".to_owned(), extent.sha256);
    Ok(verified)
}

/// Reads what lies there now; `None` if another file lies there afterwards, or a shorter one.
fn read_still(
    path: &Path,
    before: Option<&Memory>,
    look: &mut impl Look,
) -> Result<Option<Extent>> {
    let (file, length) = open(path)?;
    let mark = before.map(|before| before.length);
    let extent = walk(path, &file, length, mark, &mut |line| look.line(line))?;
    let read = file.metadata().map_err(Error::file(path, "look at"))?;
    let there = path.metadata().map_err(Error::file(path, "look at"))?;
    let is_same = (read.dev(), read.ino()) == (there.dev(), there.ino());
    Ok((is_same && there.len() >= length).then_some(extent))
}

fn open(path: &Path) -> Result<(File, u64)> {
    let metadata = path.metadata().map_err(Error::file(path, "look at"))?;
    if !metadata.is_file() {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "this is not a file");
        return Err(Error::file(path.to_owned(), "read")(source));
    }
    let file = File::open(path).map_err(Error::file(path, "open"))?;
    let length = file.metadata().map_err(Error::file(path, "look at"))?.len();
    Ok((file, length))
}

fn describe(path: &Path, extent: &Extent, rule: &JsonlRule) -> Captured {
    let mut captured = Captured::default();
    // Also where nothing is torn: what is appended from now on is not what the position says.
    captured.grafts.push(Graft { at: path.to_owned(), with: With::Prefix(extent.length) });
    captured.position.count(rule.counts.as_deref().unwrap_or(LINES), extent.lines);
    captured.hashes.insert("sha256".to_owned(), extent.sha256.clone());
    captured.memory = serde_json::to_value(Memory::of(extent)).ok();
    if extent.torn > 0 {
        let text = format!(
            "the last line was not whole: {} bytes from byte {} on are left out",
            extent.torn, extent.length
        );
        captured.notes.push(Note::new(TORN_TAIL, text));
    }
    if extent.is_open {
        let text = "the last line is whole JSON, but no newline follows it: it is kept as it is";
        captured.notes.push(Note::new("no-newline", text));
    }
    captured
}

/// What is remembered of a capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    /// Bytes captured.
    length: u64,
    /// Lines captured.
    lines: u64,
    /// SHA-256 of them, in hexadecimal.
    sha256: String,
}

impl Memory {
    fn of(extent: &Extent) -> Self {
        Self { length: extent.length, lines: extent.lines, sha256: extent.sha256.clone() }
    }

    /// What became of what was captured then.
    fn compare(&self, now: &Extent) -> Option<Note> {
        let (length, lines) = (self.length, self.lines);
        let was = format!("{length} bytes in {lines} lines at the last capture");
        let is = format!("{} bytes in {} lines now", now.length, now.lines);
        if now.length == 0 && length > 0 {
            return Some(Note::new("emptied", format!("{was}, nothing now")));
        }
        if now.length < length {
            return Some(Note::new("shrunk", format!("{was}, {is}")));
        }
        let found = now.sha256_at_mark.as_deref().unwrap_or_default();
        (found != self.sha256).then(|| {
            let text = format!(
                "{was}, {is}, but the first {length} bytes are not what they were: sha256 {}, now {found}",
                self.sha256
            );
            Note::new("prefix-changed", text)
        })
    }
}

/// Lines that are no JSON.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    number: u64,
    first: Option<(u64, u64)>,
}

impl Faults {
    fn text(&self) -> Option<String> {
        let (line, at) = self.first?;
        let others = match self.number.saturating_sub(1) {
            0 => String::new(),
            others => format!(", and {others} more"),
        };
        Some(format!("line {line}, at byte {at}, is not JSON{others}"))
    }
}

impl Look for Faults {
    fn line(&mut self, line: Line<'_>) {
        if line.json.is_none() {
            self.number += 1;
            self.first.get_or_insert((line.number, line.at));
        }
    }

    fn report(&self, captured: &mut Captured) {
        if let Some(text) = self.text() {
            captured.is_torn = true;
            captured.notes.push(Note::new("not-json", text + ": captured as it is"));
        }
    }

    fn judge(&self, verified: &mut Verified) {
        match self.text() {
            Some(text) => verified.check("JSON", Outcome::Failed, text),
            None => verified.check("JSON", Outcome::Passed, "every line"),
        }
    }
}
