//! Names of things: every id is a newtype, printed in lower-case hexadecimal.

use crate::error::Damage;
use crate::wire::{Decoder, Malformed};

/// Lower-case hexadecimal of `bytes`.
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]])
        .map(char::from)
        .collect()
}

/// Bytes of a hexadecimal text of exactly `2 * N` lower-case digits.
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(out)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// Reads the hexadecimal form.
            pub fn parse(text: &str) -> Option<Self> {
                from_hex(text).map(Self)
            }

            /// The hexadecimal form.
            pub fn hex(&self) -> String {
                to_hex(&self.0)
            }

            /// Takes the raw bytes from a decoder.
            pub fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
                Ok(Self(from.array()?))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.hex())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({})", stringify!($name), &self.hex()[..8])
            }
        }
    };
}

id!(/// A repository: the hash of its configuration object.
    RepoId, 32);
id!(/// A chunk: keyed hash of its plaintext.
    ChunkId, 32);
id!(/// A pack: hash of its bytes.
    PackId, 32);
id!(/// An object by the plain hash of its bytes.
    ObjectHash, 32);
id!(/// A content key's commitment.
    KeyId, 32);
id!(/// A member of the roster.
    MemberId, 16);
id!(/// One writer's run, and the snapshot it commits.
    SessionId, 16);
id!(/// A set of writers that deduplicate together.
    DomainId, 16);

/// A snapshot is named by the session that committed it.
pub type SnapshotId = SessionId;

impl ObjectHash {
    /// Hash of an object's bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Whether these are the bytes that it names.
    ///
    /// # Errors
    /// [`Damage::Hash`] if they are not.
    pub fn check(&self, bytes: &[u8]) -> Result<(), Damage> {
        if Self::of(bytes) == *self { Ok(()) } else { Err(Damage::Hash) }
    }

    /// What stands where there is no predecessor.
    pub const NONE: Self = Self([0; 32]);
}

impl PackId {
    /// Hash of a pack's bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Whether these are the bytes that it names.
    ///
    /// # Errors
    /// [`Damage::Hash`] if they are not.
    pub fn check(&self, bytes: &[u8]) -> Result<(), Damage> {
        if Self::of(bytes) == *self { Ok(()) } else { Err(Damage::Hash) }
    }
}

impl SessionId {
    /// The first eight digits, as shown to people.
    pub fn short(&self) -> String {
        to_hex(&self.0[..4])
    }
}
