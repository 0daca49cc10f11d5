//! A session while it runs: its stamp, how it began, and what it has completed.

use super::statement::{self, Statement};
use crate::crypto::PublicKey;
use crate::error::Damage;
use crate::frame::Kind;
use crate::id::{MemberId, ObjectHash, RepoId, SessionId};
use crate::keys::Seal;
use crate::names;
use crate::roster::{Role, Roster};
use crate::wire::{Decoder, Encoder, Malformed};

/// What every statement of a session says first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Generation it belongs to.
    pub generation: u64,
    /// Whose session.
    pub writer: MemberId,
    /// The writer's count.
    pub sequence: u64,
    /// Which session.
    pub session: SessionId,
}

impl Stamp {
    pub(super) fn encode(&self, to: &mut Encoder) {
        to.varint(self.generation).raw(&self.writer.0).varint(self.sequence).raw(&self.session.0);
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            generation: from.varint()?,
            writer: MemberId::decode(from)?,
            sequence: from.varint()?,
            session: SessionId::decode(from)?,
        })
    }

    /// Name of the session object.
    pub fn session_name(&self) -> String {
        names::session(self.generation, &self.writer, &self.session)
    }

    /// Name of the outcome.
    pub fn outcome_name(&self) -> String {
        names::outcome(self.generation, &self.writer, &self.session)
    }

    pub(super) fn agrees(&self, name: &names::InGeneration) -> bool {
        self.generation == name.generation
            && self.writer == name.member
            && self.session == name.session
    }
}

/// Whether `signer` may say this, and it stands where it belongs.
pub(super) fn check_writer(
    stamp: &Stamp,
    name: &names::InGeneration,
    signer: PublicKey,
    roster: &Roster,
) -> Result<(), Damage> {
    if !stamp.agrees(name) {
        return Err(Damage::Name);
    }
    let writes = |role| {
        roster
            .signer(role, &signer)
            .is_some_and(|m| m.id == stamp.writer && m.valid_at(stamp.sequence))
    };
    if writes(Role::Writer) || writes(Role::Keeper) { Ok(()) } else { Err(Damage::Signer) }
}

/// The process behind a session, so that its own host can tell when it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Stands for host and boot; tells nothing to others.
    pub host: [u8; 32],
    /// Process id.
    pub pid: u64,
    /// Start of the process in the system's ticks, against reuse of ids.
    pub started: u64,
}

/// A session begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Which.
    pub stamp: Stamp,
    /// Roster in force.
    pub roster: u64,
    /// Unix milliseconds, advisory.
    pub started_ms: i64,
    /// The process.
    pub process: Process,
    /// Key of trees and snapshot.
    pub tree: Seal,
    /// Key of content.
    pub data: Seal,
}

impl Statement for Session {
    const KIND: Kind = Kind::Session;

    fn encode(&self, to: &mut Encoder) {
        self.stamp.encode(to);
        to.varint(self.roster).zint(self.started_ms);
        to.raw(&self.process.host).varint(self.process.pid).varint(self.process.started);
        self.tree.encode(to);
        self.data.encode(to);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            stamp: Stamp::decode(from)?,
            roster: from.varint()?,
            started_ms: from.zint()?,
            process: Process { host: from.array()?, pid: from.varint()?, started: from.varint()? },
            tree: Seal::decode(from)?,
            data: Seal::decode(from)?,
        })
    }
}

impl Session {
    /// Reads and checks an object.
    ///
    /// # Errors
    /// If it is damaged, misplaced, or not its writer's.
    pub fn open(
        object: &[u8],
        name: &names::InGeneration,
        repo: &RepoId,
        roster: &Roster,
    ) -> Result<Self, Damage> {
        let (session, signer) = statement::open::<Self>(object, repo)?;
        check_writer(&session.stamp, name, signer, roster)?;
        Ok(session)
    }
}

/// Segments that a running session has completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Which session.
    pub stamp: Stamp,
    /// Number, from 0.
    pub k: u64,
    /// The segments.
    pub segments: Vec<ObjectHash>,
}

impl Statement for Progress {
    const KIND: Kind = Kind::Progress;

    fn encode(&self, to: &mut Encoder) {
        self.stamp.encode(to);
        to.varint(self.k);
        to.list(&self.segments, |to, hash| {
            to.raw(&hash.0);
        });
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            stamp: Stamp::decode(from)?,
            k: from.varint()?,
            segments: from.list(32, ObjectHash::decode)?,
        })
    }
}

impl Progress {
    /// Reads and checks an object.
    ///
    /// # Errors
    /// If it is damaged, misplaced, or not its writer's.
    pub fn open(
        object: &[u8],
        name: &names::InGeneration,
        repo: &RepoId,
        roster: &Roster,
    ) -> Result<Self, Damage> {
        let (progress, signer) = statement::open::<Self>(object, repo)?;
        check_writer(&progress.stamp, name, signer, roster)?;
        let fits = name.role == names::Role::Progress(progress.k);
        if fits { Ok(progress) } else { Err(Damage::Name) }
    }
}
