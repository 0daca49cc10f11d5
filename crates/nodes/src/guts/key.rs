//! The node's identity, told from its key without showing the key.
//!
//! The node does not use its key as an Ed25519 key. It takes the first eight bytes as a number, seeds ChaCha20 with it and lets that make the
//! key (`PrivateKey::from_seed` of commonware-cryptography 0.0.63, meant for tests). So two keys that begin alike are one validator, and
//! sixty-four bits are all that protects it.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use ring::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

/// The public key, in hexadecimal, by which other validators know the node. `None`: this is no key that the node would take.
pub fn public_key(key: &str) -> Option<String> {
    let bytes = bytes(key)?;
    let (first, _) = bytes.split_first_chunk::<8>()?;
    let mut made = Zeroizing::new([0; 32]);
    ChaCha20Rng::seed_from_u64(u64::from_le_bytes(*first)).fill_bytes(&mut *made);
    let pair = Ed25519KeyPair::from_seed_unchecked(&*made).ok()?;
    Some(pair.public_key().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The only word of 64 hexadecimal digits in a key file. Upstream has no program that writes one, so nothing else is assumed of its form.
pub fn in_file(text: &str) -> Option<&str> {
    let mut words = text.split_whitespace().filter(|word| bytes(word).is_some());
    words.next().filter(|_| words.next().is_none())
}

/// Thirty-two bytes from hexadecimal digits, with or without `0x`.
fn bytes(key: &str) -> Option<Zeroizing<[u8; 32]>> {
    let digits = key.trim();
    let digits = digits.strip_prefix("0x").unwrap_or(digits).as_bytes();
    let mut bytes = Zeroizing::new([0; 32]);
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by commonware-cryptography 0.0.63 itself.
    #[test]
    fn public_keys_are_those_of_the_library_that_the_node_uses() {
        let cases = [
            (
                "00000000000000000",
                "edd0f6de342a1e6a7236d6244f23d83eedfcecd059a386c85055701498e77033",
            ),
            (
                "01000000000000000",
                "478b8e507e0bb2b18c0f9e0824769e8562d10df9abe2e774896f82b4b4405266",
            ),
            (
                "02000000000000000",
                "5925ba86e2189444a6c3b437b25d2ef35daecd1abf82c5fb36060f9fc0af428c",
            ),
            (
                "00010203040506070",
                "38d2ed683ce18dbc720e3ec19b4ca1e2186a8ee405b0e0b9b9d5053b4a4d47b9",
            ),
        ];
        for (begin, expected) in cases {
            let key = format!("{begin:0<64}");
            assert_eq!(public_key(&key).as_deref(), Some(expected));
            assert_eq!(public_key(&format!("0x{key}")).as_deref(), Some(expected));
        }
    }

    #[test]
    fn keys_that_begin_alike_are_one_validator() {
        let key = |end: &str| format!("0011223344556677{end:0>48}");
        assert_eq!(public_key(&key("1")), public_key(&key("2")));
    }
}
