//! Reader groups: two X25519 pairs whose secrets lie in one envelope for each reader.

use std::io::{Read, Write};
use std::str::FromStr;

use bech32::{Bech32, Hrp};
use zeroize::Zeroizing;

use crate::crypto::Secret;
use crate::error::Damage;
use crate::id::{DomainId, RepoId};
use crate::keys::Purpose;
use crate::wire::{Decoder, Encoder, Malformed};

const ENVELOPE_MAGIC: &[u8; 4] = b"NKE1";

/// The public halves of a group, as the roster lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPublic {
    /// Generation of the group, from 1.
    pub number: u64,
    /// X25519 public key for names and metadata.
    pub tree: [u8; 32],
    /// X25519 public key for content.
    pub data: [u8; 32],
}

impl GroupPublic {
    /// The key for a purpose.
    pub fn of(&self, purpose: Purpose) -> &[u8; 32] {
        match purpose {
            Purpose::Data => &self.data,
            Purpose::Tree => &self.tree,
        }
    }
}

/// The secret halves that a reader holds.
#[derive(Debug, Clone)]
pub struct GroupSecrets {
    /// Generation of the group.
    pub number: u64,
    /// Opens names and metadata.
    pub tree: Secret,
    /// Opens content; a collector lacks it.
    pub data: Option<Secret>,
}

impl GroupSecrets {
    /// Fresh secrets.
    pub fn random(number: u64) -> Self {
        Self { number, tree: Secret::random(), data: Some(Secret::random()) }
    }

    /// The secret for a purpose, if held.
    pub fn of(&self, purpose: Purpose) -> Option<&Secret> {
        match purpose {
            Purpose::Data => self.data.as_ref(),
            Purpose::Tree => Some(&self.tree),
        }
    }

    /// The public halves; `None` if the data secret is not held.
    pub fn public(&self) -> Option<GroupPublic> {
        let data = x25519_public(self.data.as_ref()?);
        Some(GroupPublic { number: self.number, tree: x25519_public(&self.tree), data })
    }
}

/// What an envelope carries to its reader.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The repository it belongs to.
    pub repo: RepoId,
    /// The domain.
    pub domain: DomainId,
    /// The domain's secret.
    pub domain_secret: Secret,
    /// The group's secrets.
    pub group: GroupSecrets,
}

impl Envelope {
    /// The plaintext that is sealed to a reader.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut to = Encoder::new();
        to.raw(ENVELOPE_MAGIC).raw(&self.repo.0).varint(self.group.number);
        to.raw(&self.domain.0).raw(&self.domain_secret.0).raw(&self.group.tree.0);
        to.opt(self.group.data.as_ref(), |to, data| {
            to.raw(&data.0);
        });
        to.no_ext();
        Zeroizing::new(to.into_bytes())
    }

    /// Reads the plaintext of an envelope.
    ///
    /// # Errors
    /// If it is malformed, or belongs to another repository.
    pub fn decode(bytes: &[u8], repo: &RepoId) -> Result<Self, Damage> {
        let mut from = Decoder::new(bytes);
        let envelope = Self::read(&mut from)?;
        from.end()?;
        if envelope.repo == *repo { Ok(envelope) } else { Err(Damage::OtherRepository) }
    }

    fn read(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        if from.array::<4>()? != *ENVELOPE_MAGIC {
            return Err(from.malformed("not an envelope"));
        }
        let repo = RepoId::decode(from)?;
        let number = from.varint()?;
        let domain = DomainId::decode(from)?;
        let domain_secret = Secret(from.array()?);
        let tree = Secret(from.array()?);
        let data = from.opt(|from| Ok(Secret(from.array()?)))?;
        from.ext()?;
        Ok(Self { repo, domain, domain_secret, group: GroupSecrets { number, tree, data } })
    }
}

fn bech32_text(hrp: &str, bytes: &[u8]) -> String {
    let hrp = Hrp::parse(hrp).expect("the prefix is a constant");
    bech32::encode::<Bech32>(hrp, bytes).expect("32 bytes fit")
}

/// An age secret key as age writes it.
pub(crate) fn age_secret_text(secret: &Secret) -> Zeroizing<String> {
    Zeroizing::new(bech32_text("age-secret-key-", &secret.0).to_uppercase())
}

/// An age recipient as age writes it.
pub(crate) fn age_recipient_text(public: &[u8; 32]) -> String {
    bech32_text("age", public)
}

/// The public key in an age recipient that was parsed before.
pub(crate) fn age_recipient_key(text: &str) -> [u8; 32] {
    let (_, bytes) = bech32::decode(text).expect("age recipients are bech32");
    bytes.try_into().expect("an X25519 key has 32 bytes")
}

fn age_identity(secret: &Secret) -> age::x25519::Identity {
    age::x25519::Identity::from_str(&age_secret_text(secret))
        .expect("our own encoding is an age identity")
}

/// The public key of an X25519 scalar.
pub fn x25519_public(secret: &Secret) -> [u8; 32] {
    let text = age_identity(secret).to_public().to_string();
    age_recipient_key(&text)
}

/// Seals bytes to an X25519 public key, as an age file.
pub(crate) fn seal_x25519(public: &[u8; 32], plain: &[u8]) -> Vec<u8> {
    #[cfg(feature = "simulate")]
    if crate::simulate::is_on() {
        return crate::simulate::age::seal(public, plain);
    }
    let recipient = age::x25519::Recipient::from_str(&age_recipient_text(public))
        .expect("our own encoding is an age recipient");
    seal_to(&recipient, plain)
}

/// Seals bytes to one age recipient of any kind.
pub(crate) fn seal_to(recipient: &dyn age::Recipient, plain: &[u8]) -> Vec<u8> {
    let encryptor = age::Encryptor::with_recipients(std::iter::once(recipient))
        .expect("one recipient was given");
    let mut out = Vec::new();
    let mut writer = encryptor.wrap_output(&mut out).expect("writing to memory succeeds");
    writer.write_all(plain).expect("writing to memory succeeds");
    writer.finish().expect("writing to memory succeeds");
    out
}

/// Opens an age file with an X25519 secret; `None` if it is not for it, or damaged.
pub(crate) fn open_x25519(secret: &Secret, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    open_with(&age_identity(secret), sealed)
}

/// Opens an age file with an identity; `None` if it is not for it, or damaged.
pub(crate) fn open_with(identity: &dyn age::Identity, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let decryptor = age::Decryptor::new_buffered(sealed).ok()?;
    let mut reader = decryptor.decrypt(std::iter::once(identity)).ok()?;
    let mut plain = Zeroizing::new(Vec::new());
    reader.read_to_end(&mut plain).ok()?;
    Some(plain)
}
