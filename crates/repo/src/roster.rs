//! The roster: the owner-signed, numbered list of who reads, writes and collects.

use crate::crypto::{Gcm, PublicKey, SigningKey, random};
use crate::error::Damage;
use crate::frame::{self, Kind};
use crate::id::{MemberId, ObjectHash, RepoId};
use crate::keys::{DomainKeys, GroupPublic};
use crate::wire::{Decoder, Encoder, Malformed};

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads names and content.
    Reader,
    /// Reads names only: enough to collect.
    Collector,
    /// Writes snapshots, reads nothing.
    Writer,
    /// Signs deletions, checkpoints and collections.
    Keeper,
}

impl Role {
    fn code(self) -> u8 {
        match self {
            Self::Reader => 1,
            Self::Collector => 2,
            Self::Writer => 3,
            Self::Keeper => 4,
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(match from.u8()? {
            1 => Self::Reader,
            2 => Self::Collector,
            3 => Self::Writer,
            4 => Self::Keeper,
            _ => return Err(from.malformed("unknown role")),
        })
    }

    /// The word for people and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Collector => "collector",
            Self::Writer => "writer",
            Self::Keeper => "keeper",
        }
    }
}

/// Whose chunks a writer reuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Its own only.
    Own,
    /// Those of every writer and keeper in the roster.
    All,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Derived from role and key.
    pub id: MemberId,
    /// What it may do.
    pub role: Role,
    /// Recipient text, or a 32-byte signing key.
    pub key: Vec<u8>,
    /// Envelopes by group.
    pub envelopes: Vec<(u64, ObjectHash)>,
    /// For writers.
    pub trust: Trust,
    /// Statements from this sequence on are invalid.
    pub revoked: Option<u64>,
    /// Sealed label.
    pub label: Vec<u8>,
}

impl Member {
    /// A member's id.
    pub fn id_of(role: Role, key: &[u8]) -> MemberId {
        let mut to = Encoder::new();
        to.u8(role.code()).blob(key);
        let mut id = [0; 16];
        id.copy_from_slice(&blake3::hash(to.as_bytes()).as_bytes()[..16]);
        MemberId(id)
    }

    /// A new member with a label.
    pub fn new(role: Role, key: Vec<u8>, label: &str, repo: &RepoId, domain: &DomainKeys) -> Self {
        let id = Self::id_of(role, &key);
        let label = seal_label(label, repo, &id, domain);
        Self { id, role, key, envelopes: Vec::new(), trust: Trust::All, revoked: None, label }
    }

    /// The label, if it opens with this domain.
    pub fn label(&self, repo: &RepoId, domain: &DomainKeys) -> Option<String> {
        let nonce: [u8; 12] = self.label.get(..12)?.try_into().ok()?;
        let mut text = self.label[12..].to_vec();
        let key = crate::crypto::hkdf(&domain.labels.0, &nonce, "");
        let plain = Gcm::new(&key).open(0, &label_aad(repo, &self.id), &mut text).ok()?;
        String::from_utf8(plain.to_vec()).ok()
    }

    /// The recipient text of a reader or collector.
    pub fn key_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.key).ok()
    }

    /// The signing key of a writer or keeper.
    pub fn public(&self) -> Option<PublicKey> {
        Some(PublicKey(self.key.as_slice().try_into().ok()?))
    }

    /// Whether statements with this sequence count.
    pub fn valid_at(&self, sequence: u64) -> bool {
        self.revoked.is_none_or(|from| sequence < from)
    }

    fn encode(&self, to: &mut Encoder) {
        to.raw(&self.id.0).u8(self.role.code()).blob(&self.key);
        to.list(&self.envelopes, |to, (group, hash)| {
            to.varint(*group).raw(&hash.0);
        });
        to.u8(u8::from(self.trust == Trust::All));
        to.opt(self.revoked, |to, from| {
            to.varint(from);
        });
        to.blob(&self.label);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let id = MemberId::decode(from)?;
        let role = Role::decode(from)?;
        let key = from.blob()?.to_vec();
        if Self::id_of(role, &key) != id {
            return Err(from.malformed("a member's id does not follow from its key"));
        }
        let envelopes = from.list(33, |from| Ok((from.varint()?, ObjectHash::decode(from)?)))?;
        let trust = match from.u8()? {
            0 => Trust::Own,
            1 => Trust::All,
            _ => return Err(from.malformed("unknown trust")),
        };
        let revoked = from.opt(|from| from.varint())?;
        let label = from.blob()?.to_vec();
        Ok(Self { id, role, key, envelopes, trust, revoked, label })
    }
}

fn label_aad(repo: &RepoId, member: &MemberId) -> Vec<u8> {
    [repo.0.as_slice(), &member.0].concat()
}

fn seal_label(text: &str, repo: &RepoId, member: &MemberId, domain: &DomainKeys) -> Vec<u8> {
    let nonce: [u8; 12] = random();
    let key = crate::crypto::hkdf(&domain.labels.0, &nonce, "");
    let sealed = Gcm::new(&key).seal(0, &label_aad(repo, member), text.as_bytes());
    [nonce.as_slice(), &sealed].concat()
}

/// A roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    /// From 1, rising by one.
    pub number: u64,
    /// Hash of the roster before.
    pub previous: ObjectHash,
    /// Unix seconds, advisory.
    pub created: i64,
    /// Reader groups, ascending.
    pub groups: Vec<GroupPublic>,
    /// Members.
    pub members: Vec<Member>,
}

impl Roster {
    /// Signs the roster into an object.
    pub fn seal(&self, repo: &RepoId, root: &SigningKey) -> Vec<u8> {
        let mut to = Encoder::new();
        to.varint(self.number).raw(&self.previous.0).zint(self.created);
        to.list(&self.groups, |to, group| {
            to.varint(group.number).raw(&group.tree).raw(&group.data);
        });
        to.list(&self.members, |to, member| member.encode(to));
        to.no_ext();
        frame::seal(Kind::Roster, Some(repo), to.as_bytes(), root)
    }

    /// Reads an object: signed by `root`, and of the number that its name says.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn open(
        object: &[u8],
        repo: &RepoId,
        root: PublicKey,
        number: u64,
    ) -> Result<Self, Damage> {
        let verified = frame::open(Kind::Roster, Some(repo), object)?;
        if verified.signer != root {
            return Err(Damage::Signer);
        }
        let mut from = Decoder::new(verified.body);
        let roster = Self::decode(&mut from)?;
        from.end()?;
        if roster.number != number {
            return Err(Damage::Name);
        }
        Ok(roster)
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let number = from.varint()?;
        let previous = ObjectHash::decode(from)?;
        let created = from.zint()?;
        let groups = from.list(65, |from| {
            Ok(GroupPublic { number: from.varint()?, tree: from.array()?, data: from.array()? })
        })?;
        let members = from.list(22, Member::decode)?;
        from.ext()?;
        if groups.is_empty() || !groups.is_sorted_by(|a, b| a.number < b.number) {
            return Err(from.malformed("reader groups missing or out of order"));
        }
        Ok(Self { number, previous, created, groups, members })
    }

    /// The group that new sessions seal to.
    ///
    /// # Panics
    /// Never: a roster without groups does not decode.
    pub fn current_group(&self) -> &GroupPublic {
        self.groups.last().expect("a roster has at least one group")
    }

    /// A member by id.
    pub fn member(&self, id: &MemberId) -> Option<&Member> {
        self.members.iter().find(|m| m.id == *id)
    }

    /// The member of a role with a signing key.
    pub fn signer(&self, role: Role, key: &PublicKey) -> Option<&Member> {
        self.members.iter().find(|m| m.role == role && m.key == key.0)
    }

    /// Members who get envelopes of new groups.
    pub fn active_readers(&self) -> impl Iterator<Item = &Member> {
        self.members
            .iter()
            .filter(|m| matches!(m.role, Role::Reader | Role::Collector) && m.revoked.is_none())
    }
}
