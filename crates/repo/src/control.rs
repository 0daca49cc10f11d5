//! Control objects of a generation and between generations: session, progress, outcome, deletion, checkpoint, collection
//! (`docs/format.md`, sections 4.3 to 4.8). Encoding, signing and checking; what they mean stands in `view.rs` and `collect.rs`.

use crate::crypto::SigningKey;
use crate::error::Damage;
use crate::frame::{self, Kind};
use crate::id::{MemberId, ObjectHash, PackId, RepoId, SessionId};
use crate::keys::Seal;
use crate::names;
use crate::pack::PackKind;
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
    fn encode(&self, to: &mut Encoder) {
        to.varint(self.generation).raw(&self.writer.0).varint(self.sequence).raw(&self.session.0);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
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

    fn agrees(&self, name: &names::InGeneration) -> bool {
        self.generation == name.generation
            && self.writer == name.member
            && self.session == name.session
    }
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

impl Session {
    /// Signs it into an object.
    pub fn seal(&self, repo: &RepoId, key: &SigningKey) -> Vec<u8> {
        let mut to = Encoder::new();
        self.stamp.encode(&mut to);
        to.varint(self.roster).zint(self.started_ms);
        to.raw(&self.process.host).varint(self.process.pid).varint(self.process.started);
        self.tree.encode(&mut to);
        self.data.encode(&mut to);
        to.no_ext();
        frame::seal(Kind::Session, Some(repo), to.as_bytes(), key)
    }

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
        let verified = frame::open(Kind::Session, Some(repo), object)?;
        let mut from = Decoder::new(verified.body);
        let session = Self::decode(&mut from)?;
        from.end()?;
        check_writer(&session.stamp, name, verified.signer, roster)?;
        Ok(session)
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let session = Self {
            stamp: Stamp::decode(from)?,
            roster: from.varint()?,
            started_ms: from.zint()?,
            process: Process { host: from.array()?, pid: from.varint()?, started: from.varint()? },
            tree: Seal::decode(from)?,
            data: Seal::decode(from)?,
        };
        from.ext()?;
        Ok(session)
    }
}

fn check_writer(
    stamp: &Stamp,
    name: &names::InGeneration,
    signer: crate::crypto::PublicKey,
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

fn check_keeper(
    keeper: &MemberId,
    signer: crate::crypto::PublicKey,
    roster: &Roster,
) -> Result<(), Damage> {
    let known = roster.signer(Role::Keeper, &signer).is_some_and(|m| m.id == *keeper);
    if known { Ok(()) } else { Err(Damage::Signer) }
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

impl Progress {
    /// Signs it into an object.
    pub fn seal(&self, repo: &RepoId, key: &SigningKey) -> Vec<u8> {
        let mut to = Encoder::new();
        self.stamp.encode(&mut to);
        to.varint(self.k);
        to.list(&self.segments, |to, hash| {
            to.raw(&hash.0);
        });
        to.no_ext();
        frame::seal(Kind::Progress, Some(repo), to.as_bytes(), key)
    }

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
        let verified = frame::open(Kind::Progress, Some(repo), object)?;
        let mut from = Decoder::new(verified.body);
        let stamp = Stamp::decode(&mut from)?;
        let k = from.varint()?;
        let segments = from.list(32, ObjectHash::decode)?;
        from.ext()?;
        from.end()?;
        check_writer(&stamp, name, verified.signer, roster)?;
        if name.role == names::Role::Progress(k) {
            Ok(Self { stamp, k, segments })
        } else {
            Err(Damage::Name)
        }
    }
}

/// What a committed session leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its index segments.
    pub segments: Vec<ObjectHash>,
    /// Seal of the tree key.
    pub tree: Seal,
    /// Salt of the snapshot's key.
    pub salt: [u8; 32],
    /// The sealed snapshot.
    pub snapshot: Vec<u8>,
}

/// How a session ended: one object, created if absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Which session.
    pub stamp: Stamp,
    /// Roster pinned by the session.
    pub roster: u64,
    /// What was committed; `None`: fenced.
    pub commit: Option<Commit>,
}

impl Outcome {
    /// Signs it into an object.
    pub fn seal(&self, repo: &RepoId, key: &SigningKey) -> Vec<u8> {
        let mut to = Encoder::new();
        self.stamp.encode(&mut to);
        to.varint(self.roster);
        match &self.commit {
            None => {
                to.u8(2);
            }
            Some(commit) => {
                to.u8(1).list(&commit.segments, |to, hash| {
                    to.raw(&hash.0);
                });
                commit.tree.encode(&mut to);
                to.raw(&commit.salt).blob(&commit.snapshot);
            }
        }
        to.no_ext();
        frame::seal(Kind::Outcome, Some(repo), to.as_bytes(), key)
    }

    /// Reads and checks an object found under `name`.
    ///
    /// # Errors
    /// If it is damaged, misplaced, or signed by someone who may not.
    pub fn open(
        object: &[u8],
        name: &names::InGeneration,
        repo: &RepoId,
        roster: &Roster,
    ) -> Result<Self, Damage> {
        let (outcome, signer) = Self::read(object, repo)?;
        let keeper = outcome.commit.is_none() && roster.signer(Role::Keeper, &signer).is_some();
        if !keeper {
            check_writer(&outcome.stamp, name, signer, roster)?;
        } else if !outcome.stamp.agrees(name) {
            return Err(Damage::Name);
        }
        Ok(outcome)
    }

    /// Reads and checks an object that a checkpoint carries.
    ///
    /// # Errors
    /// As [`Outcome::open`].
    pub fn open_folded(object: &[u8], repo: &RepoId, roster: &Roster) -> Result<Self, Damage> {
        let (outcome, signer) = Self::read(object, repo)?;
        let Stamp { generation, writer, session, .. } = outcome.stamp;
        let name =
            names::InGeneration { generation, member: writer, session, role: names::Role::Outcome };
        check_writer(&outcome.stamp, &name, signer, roster)?;
        Ok(outcome)
    }

    fn read(object: &[u8], repo: &RepoId) -> Result<(Self, crate::crypto::PublicKey), Damage> {
        let verified = frame::open(Kind::Outcome, Some(repo), object)?;
        let mut from = Decoder::new(verified.body);
        let outcome = Self::decode(&mut from)?;
        from.end()?;
        Ok((outcome, verified.signer))
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let stamp = Stamp::decode(from)?;
        let roster = from.varint()?;
        let commit = match from.u8()? {
            1 => Some(Commit {
                segments: from.list(32, ObjectHash::decode)?,
                tree: Seal::decode(from)?,
                salt: from.array()?,
                snapshot: from.blob()?.to_vec(),
            }),
            2 => None,
            _ => return Err(from.malformed("unknown result")),
        };
        from.ext()?;
        Ok(Self { stamp, roster, commit })
    }
}

/// A snapshot was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// Generation of the record.
    pub generation: u64,
    /// Who deleted.
    pub keeper: MemberId,
    /// Which snapshot.
    pub snapshot: SessionId,
    /// Hash of its outcome object.
    pub outcome: ObjectHash,
    /// Unix seconds.
    pub when: i64,
}

impl Deletion {
    /// Signs it into an object.
    pub fn seal(&self, repo: &RepoId, key: &SigningKey) -> Vec<u8> {
        let mut to = Encoder::new();
        to.varint(self.generation).raw(&self.keeper.0).raw(&self.snapshot.0).raw(&self.outcome.0);
        to.zint(self.when).no_ext();
        frame::seal(Kind::Deletion, Some(repo), to.as_bytes(), key)
    }

    /// Reads and checks an object; `name` is absent for one that a checkpoint carries.
    ///
    /// # Errors
    /// If it is damaged, misplaced, or not a keeper's.
    pub fn open(
        object: &[u8],
        name: Option<&names::InGeneration>,
        repo: &RepoId,
        roster: &Roster,
    ) -> Result<Self, Damage> {
        let verified = frame::open(Kind::Deletion, Some(repo), object)?;
        let mut from = Decoder::new(verified.body);
        let deletion = Self {
            generation: from.varint()?,
            keeper: MemberId::decode(&mut from)?,
            snapshot: SessionId::decode(&mut from)?,
            outcome: ObjectHash::decode(&mut from)?,
            when: from.zint()?,
        };
        from.ext()?;
        from.end()?;
        check_keeper(&deletion.keeper, verified.signer, roster)?;
        let fits = |n: &names::InGeneration| {
            n.generation == deletion.generation
                && n.member == deletion.keeper
                && n.session == deletion.snapshot
        };
        if name.is_none_or(fits) { Ok(deletion) } else { Err(Damage::Name) }
    }
}

/// A checkpoint: the state that a new generation starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// From 1; also the number of the generation it opens.
    pub number: u64,
    /// Hash of the checkpoint before.
    pub previous: ObjectHash,
    /// Unix seconds.
    pub when: i64,
    /// Who wrote it.
    pub keeper: MemberId,
    /// Outcome objects of the live snapshots, verbatim.
    pub outcomes: Vec<Vec<u8>>,
    /// Deletion records, verbatim.
    pub deletions: Vec<Vec<u8>>,
    /// The whole index.
    pub segments: Vec<(MemberId, ObjectHash)>,
    /// Collections up to this number are over.
    pub collections: u64,
    /// Highest sequence seen of each writer.
    pub heads: Vec<(MemberId, u64)>,
}

impl Checkpoint {
    /// Signs it into an object.
    pub fn seal(&self, repo: &RepoId, key: &SigningKey) -> Vec<u8> {
        let mut to = Encoder::new();
        to.varint(self.number).raw(&self.previous.0).zint(self.when).raw(&self.keeper.0);
        let verbatim = |to: &mut Encoder, object: &Vec<u8>| {
            to.blob(object);
        };
        to.list(&self.outcomes, verbatim).list(&self.deletions, verbatim);
        to.list(&self.segments, |to, (writer, hash)| {
            to.raw(&writer.0).raw(&hash.0);
        });
        to.varint(self.collections);
        to.list(&self.heads, |to, (writer, sequence)| {
            to.raw(&writer.0).varint(*sequence);
        });
        to.no_ext();
        frame::seal(Kind::Checkpoint, Some(repo), to.as_bytes(), key)
    }

    /// Reads and checks an object.
    ///
    /// # Errors
    /// If it is damaged, misnumbered, or not a keeper's.
    pub fn open(
        object: &[u8],
        number: u64,
        repo: &RepoId,
        roster: &Roster,
    ) -> Result<Self, Damage> {
        let verified = frame::open(Kind::Checkpoint, Some(repo), object)?;
        let mut from = Decoder::new(verified.body);
        let checkpoint = Self::decode(&mut from)?;
        from.end()?;
        check_keeper(&checkpoint.keeper, verified.signer, roster)?;
        if checkpoint.number == number { Ok(checkpoint) } else { Err(Damage::Name) }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let checkpoint = Self {
            number: from.varint()?,
            previous: ObjectHash::decode(from)?,
            when: from.zint()?,
            keeper: MemberId::decode(from)?,
            outcomes: from.list(1, |from| Ok(from.blob()?.to_vec()))?,
            deletions: from.list(1, |from| Ok(from.blob()?.to_vec()))?,
            segments: from
                .list(48, |from| Ok((MemberId::decode(from)?, ObjectHash::decode(from)?)))?,
            collections: from.varint()?,
            heads: from.list(17, |from| Ok((MemberId::decode(from)?, from.varint()?)))?,
        };
        from.ext()?;
        Ok(checkpoint)
    }
}

/// A pack as lists name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackRef {
    /// Whose prefix it lies under.
    pub writer: MemberId,
    /// Data or tree.
    pub kind: PackKind,
    /// Which.
    pub id: PackId,
}

impl PackRef {
    /// Its name in the store.
    pub fn name(&self) -> String {
        names::pack(&self.writer, self.kind, &self.id)
    }

    fn encode(&self, to: &mut Encoder) {
        to.raw(&self.writer.0).u8(self.kind.code()).raw(&self.id.0);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            writer: MemberId::decode(from)?,
            kind: PackKind::decode(from)?,
            id: PackId::decode(from)?,
        })
    }
}

/// Packs that a collection may delete: writers keep off them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doomed {
    /// Number of the collection.
    pub number: u64,
    /// Who collects.
    pub keeper: MemberId,
    /// Generation in which it began.
    pub generation: u64,
    /// Makes the object its maker's.
    pub nonce: [u8; 32],
    /// The packs.
    pub packs: Vec<PackRef>,
}

impl Doomed {
    /// Signs it into an object.
    pub fn seal(&self, repo: &RepoId, key: &SigningKey) -> Vec<u8> {
        let mut to = Encoder::new();
        to.varint(self.number).raw(&self.keeper.0).varint(self.generation).raw(&self.nonce);
        to.list(&self.packs, |to, pack| pack.encode(to)).no_ext();
        frame::seal(Kind::Doomed, Some(repo), to.as_bytes(), key)
    }

    /// Reads and checks an object.
    ///
    /// # Errors
    /// If it is damaged, misnumbered, or not a keeper's.
    pub fn open(
        object: &[u8],
        number: u64,
        repo: &RepoId,
        roster: &Roster,
    ) -> Result<Self, Damage> {
        let verified = frame::open(Kind::Doomed, Some(repo), object)?;
        let mut from = Decoder::new(verified.body);
        let doomed = Self {
            number: from.varint()?,
            keeper: MemberId::decode(&mut from)?,
            generation: from.varint()?,
            nonce: from.array()?,
            packs: from.list(49, PackRef::decode)?,
        };
        from.ext()?;
        from.end()?;
        check_keeper(&doomed.keeper, verified.signer, roster)?;
        if doomed.number == number { Ok(doomed) } else { Err(Damage::Name) }
    }
}

/// How a collection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionOutcome {
    /// Number of the collection.
    pub number: u64,
    /// Who decided.
    pub keeper: MemberId,
    /// Makes the object its maker's.
    pub nonce: [u8; 32],
    /// Condemned packs; `None`: abandoned.
    pub condemned: Option<Vec<PackRef>>,
}

impl CollectionOutcome {
    /// Signs it into an object.
    pub fn seal(&self, repo: &RepoId, key: &SigningKey) -> Vec<u8> {
        let mut to = Encoder::new();
        to.varint(self.number).raw(&self.keeper.0);
        to.u8(if self.condemned.is_some() { 1 } else { 2 }).raw(&self.nonce);
        to.list(self.condemned.as_deref().unwrap_or(&[]), |to, pack| pack.encode(to)).no_ext();
        frame::seal(Kind::CollectionOutcome, Some(repo), to.as_bytes(), key)
    }

    /// Reads and checks an object.
    ///
    /// # Errors
    /// If it is damaged, misnumbered, or not a keeper's.
    pub fn open(
        object: &[u8],
        number: u64,
        repo: &RepoId,
        roster: &Roster,
    ) -> Result<Self, Damage> {
        let verified = frame::open(Kind::CollectionOutcome, Some(repo), object)?;
        let mut from = Decoder::new(verified.body);
        let outcome = Self::decode(&mut from)?;
        from.end()?;
        check_keeper(&outcome.keeper, verified.signer, roster)?;
        if outcome.number == number { Ok(outcome) } else { Err(Damage::Name) }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let number = from.varint()?;
        let keeper = MemberId::decode(from)?;
        let result = from.u8()?;
        let nonce = from.array()?;
        let packs = from.list(49, PackRef::decode)?;
        from.ext()?;
        let condemned = match result {
            1 => Some(packs),
            2 => None,
            _ => return Err(from.malformed("unknown result")),
        };
        Ok(Self { number, keeper, nonce, condemned })
    }
}
