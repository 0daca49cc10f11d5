//! From a phrase to the keys of a wallet.
//!
//! A key is a tree of 64 one-time keys whose root is the public key; each of them signs the root of another such tree, three levels deep.
//! A one-time key (Winternitz, eight bits at a time) is 34 chains of 256 hashes, so a public key costs half a million of them: about
//! half a second. Nothing here signs: Nodekeep only tells whose keys these are.

use std::num::NonZeroUsize;
use std::thread;

use sha3::{Digest, Sha3_256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::phrase::Phrase;
use super::wire::{Hash, Write};

/// How many one-time keys a tree has.
pub const LEAVES: usize = 64;

/// How many trees deep a key is.
pub const LEVELS: u64 = 3;

/// How often a key can sign.
pub const MAX_USES: u64 = (LEAVES as u64).pow(LEVELS as u32);

/// How many keys a node makes at its first start.
pub const DEFAULT_KEYS: u32 = 64;

/// Thirty-two bytes for the message and two for its checksum.
const CHAINS: usize = 34;

/// Every value of a byte.
const CHAIN_LENGTH: usize = 256;

/// The secret from which all keys of a wallet come. Erased when it is dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Seed([u8; 32]);

/// The secret of one key. Erased when it is dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PrivateKey([u8; 32]);

impl Seed {
    /// Of a phrase.
    pub fn of(phrase: &Phrase) -> Self {
        Self(Sha3_256::digest(phrase.reveal()).into())
    }

    /// As a wallet keeps it.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The private key that a node makes as its `index`th, counted from 0.
    pub fn private_key(&self, index: u32) -> PrivateKey {
        self.modified(&modifier(index))
    }

    /// The private key for a modifier as the wallet keeps it beside each key.
    pub fn modified(&self, modifier: &[u8]) -> PrivateKey {
        let mut hash = Sha3_256::new();
        hash.data(&self.0).data(modifier);
        PrivateKey(hash.finalize().into())
    }
}

/// A number as Minima makes data of it: as few bytes as hold it, big-endian.
pub fn modifier(index: u32) -> Vec<u8> {
    let bytes = index.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count().min(3);
    bytes[zeros..].to_vec()
}

impl PrivateKey {
    /// As a wallet keeps it.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The public key: half a million hashes, on every processor.
    pub fn public_key(&self) -> Hash {
        let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let mut leaves = [Hash([0; 32]); LEAVES];
        let part = LEAVES.div_ceil(workers);
        thread::scope(|scope| {
            for (worker, leaves) in leaves.chunks_mut(part).enumerate() {
                scope.spawn(move || self.fill(worker * part, leaves));
            }
        });
        root(leaves.to_vec())
    }

    fn fill(&self, first: usize, leaves: &mut [Hash]) {
        for (index, leaf) in leaves.iter_mut().enumerate() {
            *leaf = self.leaf(first + index);
        }
    }

    /// The public half of a one-time key, as the tree holds it.
    fn leaf(&self, index: usize) -> Hash {
        let mut hash = Sha3_256::new();
        hash.whole(index as u64).data(&self.0);
        let seed = Zeroizing::new(hash.finalize().into());
        tree_leaf(&one_time_public(seed).0)
    }
}

macro_rules! hide {
    ($($secret:ident),*) => {$(
        impl std::fmt::Debug for $secret {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($secret), "(…)"))
            }
        }
    )*};
}
hide!(Seed, PrivateKey);

fn one_time_public(mut seed: Zeroizing<[u8; 32]>) -> Hash {
    let mut ends = Sha3_256::new();
    for _ in 0..CHAINS {
        let mut link = Zeroizing::new(<[u8; 32]>::from(Sha3_256::digest(seed.as_slice())));
        advance(&mut seed, &link);
        for _ in 1..CHAIN_LENGTH {
            *link = Sha3_256::digest(link.as_slice()).into();
        }
        ends.update(link.as_slice());
    }
    Hash(ends.finalize().into())
}

/// Adds the drawn bytes and one, the least significant byte first.
fn advance(seed: &mut [u8; 32], drawn: &[u8; 32]) {
    let mut carry = 1_u16;
    for (byte, drawn) in seed.iter_mut().zip(drawn) {
        carry += u16::from(*byte) + u16::from(*drawn);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
}

/// What a Merkle tree of Minima holds at its edge for data without a value.
pub(super) fn tree_leaf(data: &[u8]) -> Hash {
    let mut hash = Sha3_256::new();
    hash.whole(0).data(data).whole(0);
    Hash(hash.finalize().into())
}

fn root(mut row: Vec<Hash>) -> Hash {
    while row.len() > 1 {
        row = row.as_chunks::<2>().0.iter().map(|[left, right]| parent(left, right)).collect();
    }
    row[0]
}

fn parent(left: &Hash, right: &Hash) -> Hash {
    let mut hash = Sha3_256::new();
    hash.whole(1).data(&left.0).data(&right.0).whole(0);
    Hash(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modifiers_are_as_short_as_they_can_be() {
        assert_eq!(modifier(0), [0]);
        assert_eq!(modifier(63), [63]);
        assert_eq!(modifier(256), [1, 0]);
        assert_eq!(modifier(u32::MAX), [255; 4]);
    }

    #[test]
    fn the_next_seed_carries_and_wraps() {
        let mut seed = [0xff; 32];
        advance(&mut seed, &[0; 32]);
        assert_eq!(seed, [0; 32]);
        let mut drawn = [0; 32];
        drawn[0] = 0xff;
        advance(&mut seed, &drawn);
        assert_eq!(seed[..3], [0, 1, 0]);
    }

    #[test]
    fn keys_are_those_of_a_real_node() {
        let phrase = Phrase::clean(&("abandon ".repeat(23) + "art")).unwrap();
        let seed = Seed::of(&phrase);
        let known = "0x11C448D227FA5FBB431C4322EED8F67C590A62903FDCAC892F7F31A2908D40EE";
        assert_eq!(Hash(seed.0), Hash::parse(known).unwrap());
        for (index, public) in [
            "0x40810A5CC01770DA72E99FECE93156F2DCD73281ED708BD34FB7B74BAD49222E",
            "0xC36288C477E6E3B3D5DE845A95F0C9B088F219D2E5938C5F5195FC663D4016F2",
            "0x1B862EEBD6D329862DDAA031F28D4EAF14EE7519508C23F6828801EDB59B030D",
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(seed.private_key(index as u32).public_key().to_string(), public);
        }
    }

    #[test]
    fn secrets_do_not_show() {
        let seed = Seed::from_bytes([1; 32]);
        assert_eq!(format!("{seed:?} {:?}", seed.private_key(0)), "Seed(…) PrivateKey(…)");
    }
}
