//! What a client has seen live, from one look to the next.

use std::collections::{BTreeMap, BTreeSet};

use crate::control::Stamp;
use crate::id::{MemberId, ObjectHash, SessionId, SnapshotId};
use crate::view::{Live, View};

/// A snapshot that was live when a client looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenSnapshot {
    /// Hash of its outcome object.
    pub outcome: ObjectHash,
    /// Who wrote it.
    pub writer: MemberId,
    /// The writer's count; 0 if it is not known yet.
    pub sequence: u64,
    /// The generation that it was committed in.
    pub generation: u64,
}

/// The snapshots that a client has seen live, and what its user has accepted as gone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// By id. One leaves when a record of its deletion is seen, or its loss is accepted.
    pub snapshots: BTreeMap<SnapshotId, SeenSnapshot>,
    /// Missing sequences that are no longer worth an alarm.
    pub accepted: BTreeSet<(MemberId, u64)>,
}

impl Seen {
    /// The file's text.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (id, seen) in &self.snapshots {
            let SeenSnapshot { outcome, writer, sequence, generation } = seen;
            text.push_str(&format!("snapshot = {id} {outcome} {writer} {sequence} {generation}\n"));
        }
        for (writer, sequence) in &self.accepted {
            text.push_str(&format!("accepted = {writer} {sequence}\n"));
        }
        text
    }

    /// Reads the file's text; what is unreadable counts as never seen.
    pub fn from_text(text: &str) -> Self {
        let mut seen = Self::default();
        for line in text.lines() {
            match line.split_once(" = ") {
                Some(("snapshot", value)) => seen.snapshots.extend(read_snapshot(value)),
                Some(("accepted", value)) => seen.accepted.extend(read_accepted(value)),
                _ => (),
            }
        }
        seen
    }

    /// Takes in a snapshot that was just committed, without another look at the store. The next look fills in what is not known yet.
    pub fn committed(&mut self, id: SnapshotId, writer: MemberId) {
        let unknown =
            SeenSnapshot { outcome: ObjectHash::NONE, writer, sequence: 0, generation: 0 };
        self.snapshots.entry(id).or_insert(unknown);
    }

    /// Takes in what lives in a view; returns what lived before and is neither there nor recorded as deleted.
    pub fn observe(&mut self, view: &View) -> Vec<SnapshotId> {
        let live: BTreeMap<SnapshotId, SeenSnapshot> = view.live.iter().map(seen_of).collect();
        let deleted: BTreeSet<SnapshotId> =
            view.deletions.iter().map(|(record, _)| record.snapshot).collect();
        self.snapshots.retain(|id, _| !deleted.contains(id));
        let is_lost = |id: &&SnapshotId| !live.contains_key(id);
        let lost = self.snapshots.keys().filter(is_lost).copied().collect();
        self.snapshots.extend(live);
        lost
    }
}

fn seen_of(live: &Live) -> (SnapshotId, SeenSnapshot) {
    let Stamp { generation, writer, sequence, session } = live.stamp;
    (session, SeenSnapshot { outcome: live.hash, writer, sequence, generation })
}

fn read_snapshot(value: &str) -> Option<(SnapshotId, SeenSnapshot)> {
    let mut parts = value.split(' ');
    let id = SessionId::parse(parts.next()?)?;
    let outcome = ObjectHash::parse(parts.next()?)?;
    let writer = MemberId::parse(parts.next()?)?;
    let sequence = parts.next()?.parse().ok()?;
    let generation = parts.next()?.parse().ok()?;
    Some((id, SeenSnapshot { outcome, writer, sequence, generation }))
}

fn read_accepted(value: &str) -> Option<(MemberId, u64)> {
    let (writer, sequence) = value.split_once(' ')?;
    Some((MemberId::parse(writer)?, sequence.parse().ok()?))
}
