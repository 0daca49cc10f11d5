//! Content keys and their seals: how a session's fresh key reaches whoever may read, and nobody else.

use crate::crypto::{Secret, hkdf};
use crate::error::Damage;
use crate::id::{KeyId, RepoId};
use crate::keys::group::{open_x25519, seal_x25519};
use crate::keys::{GroupPublic, GroupSecrets};
use crate::wire::{Decoder, Encoder, Malformed};

/// What a content key protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// File content.
    Data,
    /// Names, metadata and snapshots.
    Tree,
}

impl Purpose {
    /// The byte in a seal.
    pub fn code(self) -> u8 {
        match self {
            Self::Data => 1,
            Self::Tree => 2,
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        match from.u8()? {
            1 => Ok(Self::Data),
            2 => Ok(Self::Tree),
            _ => Err(from.malformed("unknown purpose of a key")),
        }
    }
}

/// A content key and its commitment.
#[derive(Debug, Clone)]
pub struct ContentKey {
    /// Commitment to the key.
    pub id: KeyId,
    /// The key itself.
    pub secret: Secret,
}

impl ContentKey {
    /// Names a key.
    pub fn new(repo: &RepoId, secret: Secret) -> Self {
        let id = KeyId(hkdf(&secret.0, &repo.0, "nodekeep/v1/key-id").0);
        Self { id, secret }
    }

    /// A fresh key.
    pub fn random(repo: &RepoId) -> Self {
        Self::new(repo, Secret::random())
    }
}

/// A content key, closed to a reader group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// Commitment to the key inside.
    pub key: KeyId,
    /// What the key protects.
    pub purpose: Purpose,
    /// The group that can open it.
    pub group: u64,
    /// An age file.
    pub sealed: Vec<u8>,
}

impl Seal {
    /// Closes `key` to the group.
    pub fn close(key: &ContentKey, purpose: Purpose, group: &GroupPublic) -> Self {
        let sealed = seal_x25519(group.of(purpose), &key.secret.0);
        Self { key: key.id, purpose, group: group.number, sealed }
    }

    /// Opens the seal and checks the commitment.
    ///
    /// # Errors
    /// If the file is damaged, or holds another key than it says; `None` in the result where the group's secret for this purpose is not held.
    pub fn open(
        &self,
        repo: &RepoId,
        groups: &[GroupSecrets],
    ) -> Result<Option<ContentKey>, Damage> {
        let Some(secret) =
            groups.iter().find(|g| g.number == self.group).and_then(|g| g.of(self.purpose))
        else {
            return Ok(None);
        };
        let plain = open_x25519(secret, &self.sealed).ok_or(Damage::Seal)?;
        let bytes: [u8; 32] = plain.as_slice().try_into().map_err(|_| Damage::Seal)?;
        let key = ContentKey::new(repo, Secret(bytes));
        if key.id == self.key { Ok(Some(key)) } else { Err(Damage::KeyMismatch) }
    }

    /// Writes the seal.
    pub fn encode(&self, to: &mut Encoder) {
        to.raw(&self.key.0).u8(self.purpose.code()).varint(self.group).blob(&self.sealed);
    }

    /// Reads a seal.
    ///
    /// # Errors
    /// If the bytes are malformed.
    pub fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            key: KeyId::decode(from)?,
            purpose: Purpose::decode(from)?,
            group: from.varint()?,
            sealed: from.blob()?.to_vec(),
        })
    }

    /// The fewest bytes that a seal takes.
    pub const MIN_LEN: usize = 35;
}
