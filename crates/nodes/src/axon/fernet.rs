//! Fernet tokens (version 0x80): how an instance keeps its private key under the first 32 bytes of `SECRET_KEY`. Only opening is needed here.

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockDecryptMut, KeyIvInit};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Version byte, time, initialisation vector.
const HEAD: usize = 1 + 8 + 16;
/// HMAC-SHA-256.
const TAG: usize = 32;

/// What a token says; `None` if it is none, or is not under this key. Its time is not looked at: such keys never expire.
pub fn open(token: &str, key: &[u8; 32]) -> Option<Zeroizing<Vec<u8>>> {
    let token = URL_SAFE.decode(token.trim()).ok()?;
    let (signed, tag) = token.split_at_checked(token.len().checked_sub(TAG)?)?;
    let (head, sealed) = signed.split_at_checked(HEAD)?;
    let (signing, encryption) = key.split_at(16);
    let mut mac = Hmac::<Sha256>::new_from_slice(signing).ok()?;
    mac.update(signed);
    mac.verify_slice(tag).ok()?;
    if head[0] != 0x80 {
        return None;
    }
    let cipher = cbc::Decryptor::<Aes128>::new_from_slices(encryption, &head[9..]).ok()?;
    cipher.decrypt_padded_vec_mut::<Pkcs7>(sealed).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the Fernet specification.
    #[test]
    fn the_published_token_opens() {
        let token = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";
        let key = URL_SAFE.decode("cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=").unwrap();
        let key: [u8; 32] = key.try_into().unwrap();
        assert_eq!(open(token, &key).unwrap().as_slice(), b"hello");
        let mut other = key;
        other[0] ^= 1;
        assert_eq!(open(token, &other), None);
        for at in [0, 20, 60, token.len() - 4] {
            let mut torn = token.to_owned();
            torn.replace_range(at..=at, "A");
            assert!(torn == token || open(&torn, &key).is_none(), "{at}");
        }
        for short in ["", "gAAA", "not base64!"] {
            assert_eq!(open(short, &key), None);
        }
    }
}
