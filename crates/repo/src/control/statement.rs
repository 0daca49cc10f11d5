//! What all signed statements have in common: a body of its own encoding, extensions, and a frame with the signature.

use crate::crypto::{PublicKey, SigningKey};
use crate::error::Damage;
use crate::frame::{self, Kind};
use crate::id::{MemberId, RepoId};
use crate::roster::{Role, Roster};
use crate::wire::{Decoder, Encoder, Malformed};

/// A statement that is signed into an object of its own.
pub trait Statement: Sized {
    /// What the frame calls it.
    const KIND: Kind;

    /// Writes its body, without extensions.
    fn encode(&self, to: &mut Encoder);

    /// Reads what [`encode`](Self::encode) writes.
    ///
    /// # Errors
    /// If it makes no sense.
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed>;

    /// Signs it into an object.
    fn seal(&self, repo: &RepoId, key: &SigningKey) -> Vec<u8> {
        let mut to = Encoder::new();
        self.encode(&mut to);
        to.no_ext();
        frame::seal(Self::KIND, Some(repo), to.as_bytes(), key)
    }
}

/// A statement of a keeper that has its number in its name.
pub trait Numbered: Statement {
    /// Its number.
    fn number(&self) -> u64;

    /// Who made it.
    fn keeper(&self) -> &MemberId;

    /// Reads and checks an object.
    ///
    /// # Errors
    /// If it is damaged, misnumbered, or not a keeper's.
    fn open(object: &[u8], number: u64, repo: &RepoId, roster: &Roster) -> Result<Self, Damage> {
        let (statement, signer) = open::<Self>(object, repo)?;
        check_keeper(statement.keeper(), signer, roster)?;
        if statement.number() == number { Ok(statement) } else { Err(Damage::Name) }
    }
}

/// Reads an object and says who signed it: whether the signer may, the caller looks.
pub(super) fn open<S: Statement>(object: &[u8], repo: &RepoId) -> Result<(S, PublicKey), Damage> {
    let verified = frame::open(S::KIND, Some(repo), object)?;
    let mut from = Decoder::new(verified.body);
    let statement = S::decode(&mut from)?;
    from.ext()?;
    from.end()?;
    Ok((statement, verified.signer))
}

pub(super) fn check_keeper(
    keeper: &MemberId,
    signer: PublicKey,
    roster: &Roster,
) -> Result<(), Damage> {
    let known = roster.signer(Role::Keeper, &signer).is_some_and(|m| m.id == *keeper);
    if known { Ok(()) } else { Err(Damage::Signer) }
}
