//! The lines of the journal and its head: how they are written, and what makes them true.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Damage, Entry, History};
use crate::fence::mark::{Digest, VERSION};

/// The longest line that is read, in bytes.
const LONGEST_LINE: usize = 16 << 20;

const BEFORE_SUM: &str = "{\"sum\":\"";
const BEFORE_ENTRY: &str = "\",\"entry\":";

/// What was acknowledged: how many lines, in how many bytes, and the sum of the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub(super) version: u32,
    pub(super) lines: u64,
    pub(super) bytes: u64,
    pub(super) sum: Digest,
}

/// A history with where it ends.
pub(super) struct Scanned {
    pub(super) history: History,
    /// Of the whole and true lines.
    pub(super) end: Head,
    /// Whether the lines were, at one moment, what the head says.
    agrees: bool,
}

/// A line for an entry's text, and its sum.
pub(super) fn line(before: Digest, entry: &str) -> (String, Digest) {
    let sum = next(before, entry);
    (format!("{BEFORE_SUM}{sum}{BEFORE_ENTRY}{entry}}}\n"), sum)
}

/// Reads lines up to the first that is not true. A last one without its line end is torn.
pub(super) fn scan(bytes: &[u8], head: Option<&Head>) -> Scanned {
    let end = Head { version: VERSION, lines: 0, bytes: 0, sum: Digest::of(b"") };
    let mut scanned = Scanned { history: History::default(), agrees: head == Some(&end), end };
    let mut rest = bytes;
    while let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
        let lines = scanned.end.lines + 1;
        match read(&rest[..length], scanned.end.sum) {
            Ok((entry, sum)) => {
                let bytes = scanned.end.bytes + length as u64 + 1;
                scanned.history.entries.push(entry);
                scanned.end = Head { lines, bytes, sum, ..scanned.end };
                scanned.agrees |= head == Some(&scanned.end);
            }
            Err(reason) => {
                scanned.history.damage = Some(Damage { line: lines, reason });
                return scanned;
            }
        }
        rest = &rest[length + 1..];
    }
    scanned.history.torn_bytes = rest.len() as u64;
    scanned
}

impl Scanned {
    /// Why acknowledged lines may not be there. The head may be behind: a crash between the two.
    pub(super) fn missing(&self, head: Option<&Head>) -> Option<String> {
        match head {
            None if self.end.lines > 1 => Some(
                "the head of the journal is missing, so lines may be missing at its end".to_owned(),
            ),
            Some(head) if head.lines > self.end.lines => {
                Some(format!("{} lines are missing at the end", head.lines - self.end.lines))
            }
            Some(_) if !self.agrees => Some("the head belongs to another journal".to_owned()),
            None | Some(_) => None,
        }
    }
}

/// The sum of a line from that of the line before.
fn next(before: Digest, entry: &str) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(before.to_string());
    hasher.update(entry);
    Digest::finish(hasher)
}

fn read(line: &[u8], before: Digest) -> Result<(Entry, Digest), String> {
    if line.len() > LONGEST_LINE {
        return Err(format!("longer than {LONGEST_LINE} bytes"));
    }
    let text = std::str::from_utf8(line).map_err(|error| error.to_string())?;
    let parts = text.strip_prefix(BEFORE_SUM).and_then(|text| text.strip_suffix('}'));
    let parts = parts.and_then(|text| text.split_once(BEFORE_ENTRY));
    let (said, entry) = parts.ok_or("is not a line of this journal")?;
    let sum = next(before, entry);
    if sum.to_string() != said {
        return Err("was changed, or does not follow the line before it".to_owned());
    }
    let entry: Entry = serde_json::from_str(entry).map_err(|error| error.to_string())?;
    match &entry {
        Entry::Reading(reading) if reading.version > VERSION => {
            Err("written by a newer Nodekeep: update this one".to_owned())
        }
        Entry::Reading(_) | Entry::Decision(_) | Entry::Retirement(_) => Ok((entry, sum)),
    }
}
