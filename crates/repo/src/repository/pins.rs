//! What a client saw before, so that nobody can show it something older.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::id::{MemberId, ObjectHash};
use crate::roster::Roster;

/// The highest state that a client saw; older state is refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pins {
    /// Number of the roster.
    pub roster: u64,
    /// Hash of its object.
    pub roster_hash: Option<ObjectHash>,
    /// Number of the checkpoint.
    pub checkpoint: u64,
    /// Hash of its object; older clients wrote none.
    pub checkpoint_hash: Option<ObjectHash>,
    /// The highest sequence of each writer.
    pub heads: BTreeMap<MemberId, u64>,
}

impl Pins {
    /// The file's text.
    pub fn to_text(&self) -> String {
        let hash = |hash: Option<ObjectHash>| hash.unwrap_or(ObjectHash::NONE);
        let mut text = format!(
            "roster = {} {}\ncheckpoint = {} {}\n",
            self.roster,
            hash(self.roster_hash),
            self.checkpoint,
            hash(self.checkpoint_hash)
        );
        for (writer, head) in &self.heads {
            text.push_str(&format!("head = {writer} {head}\n"));
        }
        text
    }

    /// Reads the file's text; what is unreadable counts as nothing pinned.
    pub fn from_text(text: &str) -> Self {
        let mut pins = Self::default();
        for line in text.lines() {
            let Some((key, value)) = line.split_once(" = ") else {
                continue;
            };
            let (first, second) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
            let hash = || ObjectHash::parse(second).filter(|hash| *hash != ObjectHash::NONE);
            let number = || first.parse().unwrap_or(0);
            match key {
                "roster" => (pins.roster, pins.roster_hash) = (number(), hash()),
                "checkpoint" => (pins.checkpoint, pins.checkpoint_hash) = (number(), hash()),
                "head" => pins.heads.extend(MemberId::parse(first).zip(second.parse().ok())),
                _ => (),
            }
        }
        pins
    }

    /// Takes over what is higher in `other`: pins rise and never fall.
    pub fn raise(&mut self, other: &Self) {
        if other.roster > self.roster {
            (self.roster, self.roster_hash) = (other.roster, other.roster_hash);
        }
        if other.checkpoint > self.checkpoint {
            (self.checkpoint, self.checkpoint_hash) = (other.checkpoint, other.checkpoint_hash);
        } else if other.checkpoint == self.checkpoint {
            self.checkpoint_hash = self.checkpoint_hash.or(other.checkpoint_hash);
        }
        self.raise_heads(other.heads.iter().map(|(writer, head)| (*writer, *head)));
    }

    /// The same for heads alone.
    pub fn raise_heads(&mut self, heads: impl IntoIterator<Item = (MemberId, u64)>) {
        for (writer, head) in heads {
            let pinned = self.heads.entry(writer).or_default();
            *pinned = (*pinned).max(head);
        }
    }
}

pub(super) fn check_pins(roster: &Roster, hash: ObjectHash, pins: Option<&Pins>) -> Result<()> {
    let Some(pins) = pins else { return Ok(()) };
    let changed =
        pins.roster == roster.number && pins.roster_hash.is_some_and(|pinned| pinned != hash);
    if roster.number < pins.roster || changed {
        return Err(Error::RolledBack { found: roster.number, pinned: pins.roster });
    }
    Ok(())
}
