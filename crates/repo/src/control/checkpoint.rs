//! What a new generation starts from, and what was deleted.

use super::statement::{self, Numbered, Statement, check_keeper};
use crate::error::Damage;
use crate::frame::Kind;
use crate::id::{MemberId, ObjectHash, RepoId, SessionId};
use crate::names;
use crate::roster::Roster;
use crate::wire::{Decoder, Encoder, Malformed};

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

impl Statement for Deletion {
    const KIND: Kind = Kind::Deletion;

    fn encode(&self, to: &mut Encoder) {
        to.varint(self.generation).raw(&self.keeper.0).raw(&self.snapshot.0).raw(&self.outcome.0);
        to.zint(self.when);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            generation: from.varint()?,
            keeper: MemberId::decode(from)?,
            snapshot: SessionId::decode(from)?,
            outcome: ObjectHash::decode(from)?,
            when: from.zint()?,
        })
    }
}

impl Deletion {
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
        let (deletion, signer) = statement::open::<Self>(object, repo)?;
        check_keeper(&deletion.keeper, signer, roster)?;
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

impl Statement for Checkpoint {
    const KIND: Kind = Kind::Checkpoint;

    fn encode(&self, to: &mut Encoder) {
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
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
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
        })
    }
}

impl Numbered for Checkpoint {
    fn number(&self) -> u64 {
        self.number
    }

    fn keeper(&self) -> &MemberId {
        &self.keeper
    }
}
