//! The signed frame around every control object (`docs/format.md`, section 4).

use crate::crypto::{PublicKey, SigningKey};
use crate::error::Damage;
use crate::id::RepoId;
use crate::wire::{Decoder, Encoder};

const MAGIC: &[u8; 4] = b"NKO1";
const CONTEXT: &[u8] = b"nodekeep/v1/sign\0";

/// What a control object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Genesis configuration.
    Config = 1,
    /// Roster.
    Roster = 2,
    /// Session.
    Session = 3,
    /// Progress of a session.
    Progress = 4,
    /// Outcome of a session.
    Outcome = 5,
    /// Deletion record.
    Deletion = 6,
    /// Checkpoint.
    Checkpoint = 7,
    /// Doomed list of a collection.
    Doomed = 8,
    /// Outcome of a collection.
    CollectionOutcome = 9,
    /// Record of a scrub.
    Scrub = 10,
    /// Index segment.
    Segment = 16,
}

/// A frame whose signature holds: body and signer.
#[derive(Debug, Clone, Copy)]
pub struct Verified<'a> {
    /// The body.
    pub body: &'a [u8],
    /// Who signed.
    pub signer: PublicKey,
}

fn message(kind: Kind, repo: Option<&RepoId>, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(CONTEXT.len() + 33 + body.len());
    message.extend_from_slice(CONTEXT);
    message.push(kind as u8);
    message.extend_from_slice(&repo.map_or([0; 32], |id| id.0));
    message.extend_from_slice(body);
    message
}

/// Signs and frames a body. `repo` is absent only for the configuration, whose hash makes the id.
pub fn seal(kind: Kind, repo: Option<&RepoId>, body: &[u8], key: &SigningKey) -> Vec<u8> {
    let signature = key.sign(&message(kind, repo, body));
    let mut to = Encoder::new();
    to.raw(MAGIC).u8(kind as u8).blob(body).raw(&key.public().0).raw(&signature);
    to.into_bytes()
}

/// Checks frame and signature. Who may sign is the caller's to decide.
///
/// # Errors
/// If the bytes are no frame of this kind, or the signature does not match.
pub fn open<'a>(
    kind: Kind,
    repo: Option<&RepoId>,
    bytes: &'a [u8],
) -> Result<Verified<'a>, Damage> {
    let mut from = Decoder::new(bytes);
    let magic = from.array::<4>()?;
    if magic != *MAGIC {
        let newer = magic[..3] == MAGIC[..3] && magic[3].is_ascii_digit() && magic[3] > MAGIC[3];
        return Err(if newer { Damage::NewerFormat } else { Damage::WrongKind });
    }
    if from.u8()? != kind as u8 {
        return Err(Damage::WrongKind);
    }
    let body = from.blob()?;
    let signer = PublicKey(from.array()?);
    let signature = from.raw(64)?;
    from.end()?;
    if signer.verifies(&message(kind, repo, body), signature) {
        Ok(Verified { body, signer })
    } else {
        Err(Damage::Signature)
    }
}
