//! How a session ended.

use super::session::{Stamp, check_writer};
use super::statement::{self, Statement};
use crate::error::Damage;
use crate::frame::Kind;
use crate::id::{ObjectHash, RepoId};
use crate::keys::Seal;
use crate::names;
use crate::roster::{Role, Roster};
use crate::wire::{Decoder, Encoder, Malformed};

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

impl Statement for Outcome {
    const KIND: Kind = Kind::Outcome;

    fn encode(&self, to: &mut Encoder) {
        self.stamp.encode(to);
        to.varint(self.roster);
        let Some(commit) = &self.commit else {
            to.u8(2);
            return;
        };
        to.u8(1).list(&commit.segments, |to, hash| {
            to.raw(&hash.0);
        });
        commit.tree.encode(to);
        to.raw(&commit.salt).blob(&commit.snapshot);
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
        Ok(Self { stamp, roster, commit })
    }
}

impl Outcome {
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
        let (outcome, signer) = statement::open::<Self>(object, repo)?;
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
        let (outcome, signer) = statement::open::<Self>(object, repo)?;
        let Stamp { generation, writer, session, .. } = outcome.stamp;
        let name =
            names::InGeneration { generation, member: writer, session, role: names::Role::Outcome };
        check_writer(&outcome.stamp, &name, signer, roster)?;
        Ok(outcome)
    }
}
