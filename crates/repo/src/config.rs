//! The genesis configuration. Its hash is the repository's id, so whoever knows the id knows the root key.

use crate::crypto::{PublicKey, SigningKey, random};
use crate::error::Damage;
use crate::frame::{self, Kind};
use crate::id::{DomainId, RepoId};
use crate::wire::{Decoder, Encoder, Malformed};

/// The newest format that this program reads and writes.
pub const FORMAT: u64 = 1;

/// What never changes in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The repository's id.
    pub id: RepoId,
    /// When it was made, Unix seconds, advisory.
    pub created: i64,
    /// Who signs rosters.
    pub root: PublicKey,
    /// The domain.
    pub domain: DomainId,
    /// Packs are closed when they reach this size, in bytes.
    pub pack_size: u64,
    /// The store does not create if absent: whoever deletes, repairs or changes members must be alone.
    pub alone: bool,
}

/// The extension that says so; its value is empty. Odd: a client that does not know it must not touch the repository.
const ALONE: u64 = 1;

/// Bounds for the pack size, in bytes.
const PACK_SIZES: std::ops::RangeInclusive<u64> = 64 * 1024..=256 * 1024 * 1024;

impl Config {
    /// Makes a configuration; its object's bytes come with it. A pack size beyond the bounds becomes the nearest within.
    pub fn create(
        root: &SigningKey,
        domain: DomainId,
        pack_size: u64,
        created: i64,
    ) -> (Self, Vec<u8>) {
        Self::create_on(root, domain, pack_size, created, false)
    }

    /// The same; `alone` for a store that does not create if absent.
    pub fn create_on(
        root: &SigningKey,
        domain: DomainId,
        pack_size: u64,
        created: i64,
        alone: bool,
    ) -> (Self, Vec<u8>) {
        let pack_size = pack_size.clamp(*PACK_SIZES.start(), *PACK_SIZES.end());
        let mut to = Encoder::new();
        to.varint(FORMAT).zint(created).raw(&random::<32>()).raw(&root.public().0);
        to.raw(&domain.0).varint(pack_size);
        if alone {
            to.varint(1).varint(ALONE).blob(&[]);
        } else {
            to.no_ext();
        }
        let object = frame::seal(Kind::Config, None, to.as_bytes(), root);
        let id = RepoId(*blake3::hash(&object).as_bytes());
        (Self { id, created, root: root.public(), domain, pack_size, alone }, object)
    }

    /// Reads the object.
    ///
    /// # Errors
    /// If it is damaged, not signed by the root it names, or of a newer format.
    pub fn open(object: &[u8]) -> Result<Self, Damage> {
        let verified = frame::open(Kind::Config, None, object)?;
        let mut from = Decoder::new(verified.body);
        match from.varint()? {
            FORMAT => (),
            newer if newer > FORMAT => return Err(Damage::NewerFormat),
            _ => return Err(from.malformed("no format has this number").into()),
        }
        let id = RepoId(*blake3::hash(object).as_bytes());
        let config = Self::read(&mut from, id)?;
        from.end()?;
        if config.root != verified.signer {
            return Err(Damage::Signer);
        }
        Ok(config)
    }

    fn read(from: &mut Decoder<'_>, id: RepoId) -> Result<Self, Malformed> {
        let created = from.zint()?;
        from.raw(32)?;
        let root = PublicKey(from.array()?);
        let domain = DomainId::decode(from)?;
        let pack_size = from.varint()?;
        if !PACK_SIZES.contains(&pack_size) {
            return Err(from.malformed("pack size out of bounds"));
        }
        let alone = match from.ext_knowing(&[ALONE])?.as_slice() {
            [] => false,
            [(_, [])] => true,
            _ => return Err(from.malformed("an extension has a value where none belongs")),
        };
        Ok(Self { id, created, root, domain, pack_size, alone })
    }
}
