//! Writes an age file for one X25519 recipient from the thread's seed: the crate `age` draws on the operating system and nothing else.
//! What is written is opened by the real code.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use x25519_dalek::{PublicKey, StaticSecret};

use crate::crypto::{Secret, hkdf, random};

/// Plaintext of a chunk; longer files are none of ours.
const CHUNK: usize = 64 * 1024;
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Seals `plain` (at most 64 KiB) to a public key.
pub(crate) fn seal(public: &[u8; 32], plain: &[u8]) -> Vec<u8> {
    assert!(plain.len() <= CHUNK, "only small objects are sealed");
    let file_key: [u8; 16] = random();
    let header = header(public, &file_key);
    let mac_key = hkdf(&file_key, &[], "header");
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &mac_key.0), header.as_bytes());
    let mut out = format!("{header} {}\n", base64(mac.as_ref())).into_bytes();
    let nonce: [u8; 16] = random();
    out.extend_from_slice(&nonce);
    let mut last = [0; 12];
    last[11] = 1;
    out.extend(encrypt(&hkdf(&file_key, &nonce, "payload"), last, plain));
    out
}

/// All before the space and the MAC.
fn header(public: &[u8; 32], file_key: &[u8; 16]) -> String {
    let ephemeral = StaticSecret::from(random::<32>());
    let share = PublicKey::from(&ephemeral).to_bytes();
    let shared = ephemeral.diffie_hellman(&PublicKey::from(*public)).to_bytes();
    let salt = [share, *public].concat();
    let wrapped = encrypt(&hkdf(&shared, &salt, "age-encryption.org/v1/X25519"), [0; 12], file_key);
    format!("age-encryption.org/v1\n-> X25519 {}\n{}\n---", base64(&share), base64(&wrapped))
}

fn encrypt(key: &Secret, nonce: [u8; 12], plain: &[u8]) -> Vec<u8> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, &key.0).expect("the key has 32 bytes");
    let mut out = plain.to_vec();
    LessSafeKey::new(key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut out)
        .expect("the text is short");
    out
}

/// Base64 without padding.
fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for part in bytes.chunks(3) {
        let mut word = [0; 4];
        word[1..=part.len()].copy_from_slice(part);
        let word = u32::from_be_bytes(word);
        for at in 0..=part.len() {
            out.push(char::from(DIGITS[(word >> (18 - 6 * at)) as usize & 63]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::id::RepoId;
    use crate::keys::{ContentKey, GroupSecrets, Purpose, Seal};
    use crate::simulate::Context;

    #[test]
    fn the_real_code_opens_what_a_seed_sealed_and_the_seed_repeats() {
        let repo = RepoId([3; 32]);
        let sealed = |seed| {
            let _entry = Context { seed, now_ms: 0, bug: None }.enter();
            let group = GroupSecrets::random(1);
            let key = ContentKey::random(&repo);
            let seal = Seal::close(&key, Purpose::Tree, &group.public().unwrap());
            let opened = seal.open(&repo, &[group]).unwrap().unwrap();
            assert_eq!(opened.secret, key.secret);
            format!("{seal:?}")
        };
        assert_eq!(sealed(1), sealed(1));
        assert_ne!(sealed(1), sealed(2));
    }
}
