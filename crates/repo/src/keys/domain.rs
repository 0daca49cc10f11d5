//! The domain secret and the keys that a set of writers share to deduplicate together. It reads no content.

use crate::crypto::{Secret, hkdf, hkdf_into, keyed};
use crate::id::{ChunkId, DomainId};
use crate::pack::PackKind;

/// Keys of one domain.
#[derive(Clone)]
pub struct DomainKeys {
    /// Which domain.
    pub id: DomainId,
    /// The secret that all follows from.
    pub secret: Secret,
    data: Secret,
    tree: Secret,
    file: Secret,
    names: Secret,
    /// Seals index segments and pack tables.
    pub index: Secret,
    /// Seals labels in the roster.
    pub labels: Secret,
}

impl std::fmt::Debug for DomainKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DomainKeys({})", self.id)
    }
}

impl DomainKeys {
    /// Derives the keys.
    pub fn new(id: DomainId, secret: Secret) -> Self {
        let derive = |what: &str| hkdf(&secret.0, b"", &format!("nodekeep/v1/domain/{what}"));
        Self {
            id,
            data: derive("id/data"),
            tree: derive("id/tree"),
            file: derive("file-hash"),
            names: derive("names"),
            index: derive("index"),
            labels: derive("labels"),
            secret,
        }
    }

    /// The key of chunk ids of a kind.
    pub fn id_key(&self, kind: PackKind) -> &Secret {
        match kind {
            PackKind::Data => &self.data,
            PackKind::Tree => &self.tree,
        }
    }

    /// The id of a chunk.
    pub fn chunk_id(&self, kind: PackKind, plain: &[u8]) -> ChunkId {
        ChunkId(keyed(self.id_key(kind), plain))
    }

    /// A hasher for a whole file's data.
    pub fn file_hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.file.0)
    }

    /// The key behind whole-file hashes.
    pub fn file_key(&self) -> &Secret {
        &self.file
    }

    /// The key behind boundaries at names.
    pub fn name_key(&self) -> &Secret {
        &self.names
    }

    /// A stable pseudo-random number for a name: group and split boundaries.
    pub fn name_mark(&self, name: &[u8]) -> u32 {
        let hash = keyed(&self.names, name);
        u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]])
    }

    /// The gear table of the chunker.
    pub fn chunking(&self) -> Chunking {
        let mut bytes = [0; 2048];
        hkdf_into(&self.secret.0, b"", "nodekeep/v1/domain/gear", &mut bytes);
        let mut gear = Box::new([0u64; 256]);
        for (slot, eight) in gear.iter_mut().zip(bytes.chunks_exact(8)) {
            let mut word = [0; 8];
            word.copy_from_slice(eight);
            *slot = u64::from_le_bytes(word);
        }
        Chunking { gear }
    }
}

/// The keyed table that decides where files are cut.
#[derive(Clone)]
pub struct Chunking {
    /// One word for each byte value.
    pub gear: Box<[u64; 256]>,
}

impl std::fmt::Debug for Chunking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chunking(…)")
    }
}
