//! Who wrote what, and whether anything that was seen is gone: signatures, sequences, the chains of rosters and checkpoints, and what
//! this client remembers of earlier looks.
//!
//! Whoever may delete objects can take a snapshot away, and no signature tells. What tells is a number that is missing among a writer's
//! sequences, or a client that saw the snapshot live and finds neither it nor a keeper's record of its deletion.

mod report;
mod seen;

use std::collections::{BTreeMap, BTreeSet};

use crate::control::{Checkpoint, Numbered, Outcome, Session};
use crate::error::{Damage, Result};
use crate::fetch::{self, Opened};
use crate::frame::{self, Kind};
use crate::id::{MemberId, ObjectHash, SessionId};
use crate::listing::Lists;
use crate::names::{self, InGeneration, Role as Part};
use crate::repository::{Pins, Repository};
use crate::roster::{Member, Role, Roster};
use crate::view::View;

pub use report::{Alarm, AuditReport, AuditedDeletion, AuditedSession, AuditedWriter, Standing};
pub use seen::{Seen, SeenSnapshot};

impl Repository {
    /// Audits the repository, and compares it with what this client pinned and saw. What is explained leaves `seen`, what lives enters it.
    ///
    /// # Errors
    /// If the store fails. What is wrong with the repository is in the report.
    pub fn audit(&self, pins: &Pins, seen: &mut Seen) -> Result<AuditReport> {
        let repo = self.refreshed()?;
        let view = repo.view()?;
        let mut audit = Audit { repo: &repo, view: &view, report: AuditReport::default() };
        audit.rosters(pins)?;
        audit.checkpoints(pins)?;
        let sessions = audit.sessions()?;
        audit.writers(&sessions)?;
        audit.sequences(pins, seen);
        audit.snapshots(seen, &sessions);
        audit.deletions();
        Ok(audit.report)
    }
}

type Sessions = BTreeMap<(MemberId, SessionId), AuditedSession>;

struct Audit<'a> {
    repo: &'a Repository,
    view: &'a View,
    report: AuditReport,
}

impl Audit<'_> {
    fn alarm(&mut self, code: &'static str, message: String) {
        let (snapshot, writer, sequence) = (None, None, None);
        self.report.alarms.push(Alarm { code, message, snapshot, writer, sequence });
    }

    fn name_of(&self, writer: &MemberId) -> String {
        let member = self.repo.roster().member(writer);
        let label = member.and_then(|m| m.label(&self.repo.id(), self.repo.domain()));
        label.filter(|label| !label.is_empty()).unwrap_or_else(|| writer.hex()[..8].to_owned())
    }

    fn get<T>(
        &self,
        name: &str,
        open: impl Fn(&[u8]) -> std::result::Result<T, Damage>,
    ) -> Result<Option<Opened<T>>> {
        Ok(fetch::if_there(fetch::opened(self.repo.store(), name, open))?)
    }

    /// Rosters are never deleted: each must be there, signed by the root, and follow the one before.
    fn rosters(&mut self, pins: &Pins) -> Result<()> {
        let newest = self.repo.roster().number;
        self.report.roster = newest;
        let mut before = Some(ObjectHash::NONE);
        for number in 1..=newest {
            let name = names::roster(number);
            let open = |object: &[u8]| {
                Roster::open(object, &self.repo.id(), self.repo.config().root, number)
            };
            let Some((object, roster)) = self.get(&name, open)? else {
                self.alarm(
                    "roster-missing",
                    format!("{name} is missing: rosters are never deleted"),
                );
                before = None;
                continue;
            };
            let hash = ObjectHash::of(&object);
            match roster {
                Ok(roster) if before.is_some_and(|before| before != roster.previous) => {
                    self.alarm(
                        "roster-chain",
                        format!("{name} does not follow the roster before it"),
                    );
                }
                Ok(_) => self.report.verified += 1,
                Err(damage) => self.alarm("invalid", format!("{name}: {damage}")),
            }
            if number == pins.roster && pins.roster_hash.is_some_and(|pinned| pinned != hash) {
                let what = format!("{name} is another one than this machine has seen");
                self.alarm("roster-replaced", what);
            }
            before = Some(hash);
        }
        if newest < pins.roster {
            let seen = pins.roster;
            let what = format!("the newest roster is {newest}, and this machine has seen {seen}");
            self.alarm("roster-rolled-back", what);
        }
        Ok(())
    }

    /// The newest checkpoint names the one before it, and neither may be older or other than what was seen.
    fn checkpoints(&mut self, pins: &Pins) -> Result<()> {
        let lists = Lists::of(self.repo.store())?;
        let numbers = lists.numbers(names::CHECKPOINTS, names::checkpoint)?;
        let newest = numbers.last().copied().unwrap_or(0);
        self.report.checkpoint = newest;
        if newest < pins.checkpoint {
            let seen = pins.checkpoint;
            let what =
                format!("the newest checkpoint is {newest}, and this machine has seen {seen}");
            self.alarm("checkpoint-rolled-back", what);
        }
        let mut before: Option<(u64, ObjectHash)> =
            pins.checkpoint_hash.map(|hash| (pins.checkpoint, hash));
        for number in numbers {
            let name = names::checkpoint(number);
            let open = |object: &[u8]| {
                Checkpoint::open(object, number, &self.repo.id(), self.repo.roster())
            };
            let Some((object, checkpoint)) = self.get(&name, open)? else {
                continue;
            };
            let hash = ObjectHash::of(&object);
            match checkpoint {
                Err(damage) => self.alarm("invalid", format!("{name}: {damage}")),
                Ok(checkpoint) => {
                    self.report.verified += 1;
                    self.chain(&name, &checkpoint, hash, before, pins);
                }
            }
            before = Some((number, hash));
        }
        Ok(())
    }

    fn chain(
        &mut self,
        name: &str,
        checkpoint: &Checkpoint,
        hash: ObjectHash,
        before: Option<(u64, ObjectHash)>,
        pins: &Pins,
    ) {
        let pinned = pins.checkpoint_hash.filter(|_| pins.checkpoint == checkpoint.number);
        if pinned.is_some_and(|pinned| pinned != hash) {
            let what = format!("{name} is another one than this machine has seen");
            self.alarm("checkpoint-replaced", what);
        }
        let before = before.filter(|(number, _)| number + 1 == checkpoint.number);
        if before.is_some_and(|(_, before)| before != checkpoint.previous) {
            let what = format!(
                "{name} does not follow the checkpoint before it: a repair made it, or the store was rolled back and written to again"
            );
            self.alarm("checkpoint-chain", what);
        }
    }

    /// Every session of which an object is left, or that a checkpoint carries.
    fn sessions(&mut self) -> Result<Sessions> {
        let mut sessions = Sessions::new();
        for object in Lists::of(self.repo.store())?.names("g/")? {
            let Some(name) = names::parse_in_generation(&object) else {
                self.alarm("invalid", format!("{object}: {}", Damage::Name));
                continue;
            };
            let kind = match name.role {
                Part::Session => Kind::Session,
                Part::Outcome => Kind::Outcome,
                Part::Progress(_) => Kind::Progress,
                Part::Deleted => Kind::Deletion,
            };
            let id = self.repo.id();
            let open = |bytes: &[u8]| frame::open(kind, Some(&id), bytes).map(drop);
            match (name.role, self.get(&object, open)?) {
                (_, None) => (),
                (Part::Session, Some((bytes, _))) => {
                    self.session(&object, &name, &bytes, &mut sessions);
                }
                (Part::Outcome, Some((bytes, _))) => {
                    self.outcome(&object, &name, &bytes, &mut sessions);
                }
                (Part::Progress(_) | Part::Deleted, Some((_, signed))) => {
                    self.note(&object, signed);
                }
            }
        }
        for live in &self.view.live {
            let entry = entry(&mut sessions, live.stamp.writer, live.stamp.session);
            entry.sequence = live.stamp.sequence;
            entry.generation = live.stamp.generation;
            entry.standing = Standing::Live;
        }
        for bad in &self.view.problems {
            let what = format!("{}: {}", bad.object, bad.damage);
            if !self.report.alarms.iter().any(|alarm| alarm.message == what) {
                self.alarm("invalid", what);
            }
        }
        Ok(sessions)
    }

    /// Signature only: who may sign is what the view looks at.
    fn note(&mut self, object: &str, signed: std::result::Result<(), Damage>) {
        match signed {
            Ok(()) => self.report.verified += 1,
            Err(damage) => self.alarm("invalid", format!("{object}: {damage}")),
        }
    }

    fn session(
        &mut self,
        object: &str,
        name: &InGeneration,
        bytes: &[u8],
        sessions: &mut Sessions,
    ) {
        let entry = entry(sessions, name.member, name.session);
        entry.generation = name.generation;
        match Session::open(bytes, name, &self.repo.id(), self.repo.roster()) {
            Ok(session) => {
                entry.sequence = session.stamp.sequence;
                entry.started_ms = Some(session.started_ms);
                self.report.verified += 1;
            }
            Err(damage) => self.alarm("invalid", format!("{object}: {damage}")),
        }
        // What began in the ending generation may still commit.
        if name.generation + 1 < self.view.generation && entry_is_open(sessions, name) {
            self::entry(sessions, name.member, name.session).standing = Standing::NeverCommitted;
        }
    }

    fn outcome(
        &mut self,
        object: &str,
        name: &InGeneration,
        bytes: &[u8],
        sessions: &mut Sessions,
    ) {
        let entry = entry(sessions, name.member, name.session);
        entry.generation = name.generation;
        let outcome = match Outcome::open(bytes, name, &self.repo.id(), self.repo.roster()) {
            Ok(outcome) => outcome,
            Err(damage) => {
                entry.standing = Standing::Invalid;
                return self.alarm("invalid", format!("{object}: {damage}"));
            }
        };
        self.report.verified += 1;
        entry.sequence = entry.sequence.max(outcome.stamp.sequence);
        let deleted = |id| self.view.deletions.iter().any(|(record, _)| record.snapshot == id);
        entry.standing = match outcome.commit {
            Some(_) if deleted(name.session) => Standing::Deleted,
            Some(_) if name.generation < self.view.generation => Standing::TooLate,
            Some(_) => Standing::Invalid,
            None if self.is_keepers(bytes) => Standing::FencedByKeeper,
            None => Standing::GivenUp,
        };
    }

    fn is_keepers(&self, outcome: &[u8]) -> bool {
        let verified = frame::open(Kind::Outcome, Some(&self.repo.id()), outcome);
        verified.is_ok_and(|v| self.repo.roster().signer(Role::Keeper, &v.signer).is_some())
    }

    fn writers(&mut self, sessions: &Sessions) -> Result<()> {
        let packs = self.packs_by_writer()?;
        let roster = self.repo.roster();
        let members = roster.members.iter().filter(|m| m.role == Role::Writer).map(|m| m.id);
        let mut ids: BTreeSet<MemberId> = members.collect();
        ids.extend(packs.iter().flat_map(|packs| packs.keys()));
        ids.extend(sessions.keys().map(|(writer, _)| writer));
        for id in ids {
            let writer = self.writer(id, roster.member(&id), sessions, packs.as_ref());
            if writer.role.is_none() {
                let what = format!("{} lies in the store, and is nobody of the roster", id.hex());
                self.alarm("unknown-writer", what);
            }
            self.report.writers.push(writer);
        }
        Ok(())
    }

    fn writer(
        &self,
        id: MemberId,
        member: Option<&Member>,
        sessions: &Sessions,
        packs: Option<&BTreeMap<MemberId, (u64, u64)>>,
    ) -> AuditedWriter {
        let mut own: Vec<AuditedSession> =
            sessions.iter().filter(|((writer, _), _)| *writer == id).map(|(_, s)| *s).collect();
        own.sort_by_key(|session| (session.sequence, session.generation, session.id));
        AuditedWriter {
            id,
            label: member.and_then(|m| m.label(&self.repo.id(), self.repo.domain())),
            role: member.map(|member| member.role),
            removed_from: member.and_then(|member| member.revoked),
            head: self.view.heads.get(&id).copied().unwrap_or(0),
            settled: self.settled(&id),
            snapshots: own.iter().filter(|s| s.standing == Standing::Live).count() as u64,
            packs: packs.map(|packs| packs.get(&id).copied().unwrap_or_default()),
            sessions: own,
        }
    }

    fn settled(&self, writer: &MemberId) -> u64 {
        let heads = self.view.checkpoint.as_ref().map_or(&[][..], |c| c.heads.as_slice());
        heads.iter().find(|(id, _)| id == writer).map_or(0, |(_, head)| *head)
    }

    fn packs_by_writer(&self) -> Result<Option<BTreeMap<MemberId, (u64, u64)>>> {
        if !self.repo.store().can_list() {
            return Ok(None);
        }
        let mut packs: BTreeMap<MemberId, (u64, u64)> = BTreeMap::new();
        for object in self.repo.store().list(names::WRITERS)? {
            if let Some((writer, _, _)) = names::parse_pack(&object.name) {
                let sum = packs.entry(writer).or_default();
                *sum = (sum.0 + 1, sum.1 + object.size);
            }
        }
        Ok(Some(packs))
    }

    /// Numbers that are missing since the checkpoint, that were used twice, or that have fallen.
    fn sequences(&mut self, pins: &Pins, seen: &Seen) {
        for writer in self.report.writers.clone() {
            let name = self.name_of(&writer.id);
            let used: BTreeSet<u64> = writer.sessions.iter().map(|s| s.sequence).collect();
            for (from, to) in gaps(&used, writer.settled, writer.head) {
                if !seen.accepted.contains(&(writer.id, to)) {
                    self.gap(&writer.id, &name, from, to);
                }
            }
            let pinned = pins.heads.get(&writer.id).copied().unwrap_or(0);
            if writer.head < pinned && !used.contains(&pinned) {
                let what = format!(
                    "{name} has written up to sequence {}, and this machine has seen {pinned}",
                    writer.head
                );
                self.alarm("head-rolled-back", what);
                self.of_writer(&writer.id, None);
            }
            self.note_doubles(&writer, &name);
        }
    }

    fn gap(&mut self, writer: &MemberId, name: &str, from: u64, to: u64) {
        let which = if from == to {
            format!("session {to} of {name} has")
        } else {
            format!("sessions {from} to {to} of {name} have")
        };
        let what = format!(
            "{which} left no object, though later ones have: someone removed them, or the writer did, for want of space to end it"
        );
        self.alarm("gap", what);
        self.of_writer(writer, Some(to));
    }

    /// Names the writer in the alarm that was raised last.
    fn of_writer(&mut self, writer: &MemberId, sequence: Option<u64>) {
        if let Some(alarm) = self.report.alarms.last_mut() {
            (alarm.writer, alarm.sequence) = (Some(*writer), sequence);
        }
    }

    fn note_doubles(&mut self, writer: &AuditedWriter, name: &str) {
        let counted = |s: &&AuditedSession| {
            s.sequence > 0 && s.generation == self.view.generation && s.standing == Standing::Live
        };
        let mut seen = BTreeSet::new();
        let mut doubles: Vec<u64> = Vec::new();
        let mut newest: Option<(u64, i64)> = None;
        for session in writer.sessions.iter().filter(counted) {
            if !seen.insert(session.sequence) {
                doubles.push(session.sequence);
            }
            let Some(started) = session.started_ms else { continue };
            if newest
                .is_some_and(|(sequence, before)| sequence < session.sequence && before > started)
            {
                self.report.notes.push(format!(
                    "session {} of {name} says that it began before the one with the number below it: its clock was set back, or its credential is in use elsewhere",
                    session.sequence
                ));
            }
            newest = Some((session.sequence, started));
        }
        for sequence in doubles {
            self.report.notes.push(format!(
                "{name} used sequence {sequence} more than once: two of its backups ran at the same time, or its credential is in use elsewhere"
            ));
        }
    }

    /// What was seen live and is gone.
    fn snapshots(&mut self, seen: &mut Seen, sessions: &Sessions) {
        for id in seen.observe(self.view) {
            let Some(lost) = seen.snapshots.get(&id).copied() else { continue };
            let left = sessions.get(&(lost.writer, id)).map(|session| session.standing);
            let name = self.name_of(&lost.writer);
            if left == Some(Standing::TooLate) {
                seen.snapshots.remove(&id);
                self.report.notes.push(format!(
                    "snapshot {} of {name} was committed when its generation had just been closed; its backup began again",
                    id.short()
                ));
                continue;
            }
            let count = match lost.sequence {
                0 => String::new(),
                sequence => format!(" (sequence {sequence})"),
            };
            self.report.alarms.push(Alarm {
                code: "snapshot-removed",
                message: format!(
                    "snapshot {} of {name}{count} was live when this machine saw it, and is gone without a record of its deletion",
                    id.short(),
                ),
                snapshot: Some(id),
                writer: Some(lost.writer),
                sequence: Some(lost.sequence),
            });
        }
    }

    fn deletions(&mut self) {
        let record = |(record, _): &(crate::control::Deletion, Vec<u8>)| AuditedDeletion {
            snapshot: record.snapshot,
            keeper: record.keeper,
            when: record.when,
        };
        self.report.deletions = self.view.deletions.iter().map(record).collect();
        self.report.deletions.sort_by_key(|d| (std::cmp::Reverse(d.when), d.snapshot));
        self.report.verified += self.view.deletions.len() as u64;
    }
}

/// The numbers after `settled`, up to `head`, that nobody used: from, to. However large a number someone signs, it is one gap.
fn gaps(used: &BTreeSet<u64>, settled: u64, head: u64) -> Vec<(u64, u64)> {
    let mut gaps = Vec::new();
    let mut before = settled;
    for sequence in used.iter().copied().filter(|n| *n > settled && *n <= head).chain([head]) {
        if sequence.saturating_sub(before) > 1 {
            let last = if used.contains(&sequence) { sequence - 1 } else { sequence };
            gaps.push((before + 1, last));
        }
        before = before.max(sequence);
    }
    gaps
}

fn entry(sessions: &mut Sessions, writer: MemberId, id: SessionId) -> &mut AuditedSession {
    sessions.entry((writer, id)).or_insert(AuditedSession {
        id,
        sequence: 0,
        generation: 0,
        started_ms: None,
        standing: Standing::Open,
    })
}

fn entry_is_open(sessions: &Sessions, name: &InGeneration) -> bool {
    let found = sessions.get(&(name.member, name.session));
    found.is_some_and(|session| session.standing == Standing::Open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_the_numbers_that_nobody_used() {
        type Case = (&'static [u64], u64, u64, &'static [(u64, u64)]);
        let cases: [Case; 7] = [
            (&[], 0, 0, &[]),
            (&[1, 2, 3], 0, 3, &[]),
            (&[1, 3], 0, 3, &[(2, 2)]),
            (&[4, 8], 1, 8, &[(2, 3), (5, 7)]),
            (&[1, 2], 5, 5, &[]),
            (&[7, u64::MAX], 6, u64::MAX, &[(8, u64::MAX - 1)]),
            (&[1], 0, 4, &[(2, 4)]),
        ];
        for (used, settled, head, expected) in cases {
            let used = used.iter().copied().collect();
            assert_eq!(gaps(&used, settled, head), expected, "{used:?} {settled} {head}");
        }
    }
}
