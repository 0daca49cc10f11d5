//! A collection: what it may delete, and how it ended.

use super::statement::{Numbered, Statement};
use crate::frame::Kind;
use crate::id::{MemberId, PackId};
use crate::names;
use crate::pack::PackKind;
use crate::wire::{Decoder, Encoder, Malformed};

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

impl Statement for Doomed {
    const KIND: Kind = Kind::Doomed;

    fn encode(&self, to: &mut Encoder) {
        to.varint(self.number).raw(&self.keeper.0).varint(self.generation).raw(&self.nonce);
        to.list(&self.packs, |to, pack| pack.encode(to));
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            number: from.varint()?,
            keeper: MemberId::decode(from)?,
            generation: from.varint()?,
            nonce: from.array()?,
            packs: from.list(49, PackRef::decode)?,
        })
    }
}

impl Numbered for Doomed {
    fn number(&self) -> u64 {
        self.number
    }

    fn keeper(&self) -> &MemberId {
        &self.keeper
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

impl Statement for CollectionOutcome {
    const KIND: Kind = Kind::CollectionOutcome;

    fn encode(&self, to: &mut Encoder) {
        to.varint(self.number).raw(&self.keeper.0);
        to.u8(if self.condemned.is_some() { 1 } else { 2 }).raw(&self.nonce);
        to.list(self.condemned.as_deref().unwrap_or(&[]), |to, pack| pack.encode(to));
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let number = from.varint()?;
        let keeper = MemberId::decode(from)?;
        let result = from.u8()?;
        let nonce = from.array()?;
        let packs = from.list(49, PackRef::decode)?;
        let condemned = match result {
            1 => Some(packs),
            2 => None,
            _ => return Err(from.malformed("unknown result")),
        };
        Ok(Self { number, keeper, nonce, condemned })
    }
}

impl Numbered for CollectionOutcome {
    fn number(&self) -> u64 {
        self.number
    }

    fn keeper(&self) -> &MemberId {
        &self.keeper
    }
}
