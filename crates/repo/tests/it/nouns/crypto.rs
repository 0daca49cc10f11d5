//! The primitives against published vectors, and what they promise beyond them.

use nodekeep_repo::crypto::{
    Gcm, NotAuthentic, PublicKey, Secret, SigningKey, TAG_LEN, hkdf, hkdf_into, keyed, random,
};
use nodekeep_repo::id::{RepoId, SessionId, from_hex, to_hex};
use proptest::prelude::*;

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks_exact(2);
    pairs.map(|p| from_hex::<1>(std::str::from_utf8(p).unwrap()).unwrap()[0]).collect()
}

#[test]
fn hkdf_gives_the_published_output() {
    // RFC 5869, test case 3: no salt, no info, 42 bytes.
    let mut out = [0; 42];
    hkdf_into(&[0x0b; 22], b"", "", &mut out);
    let expected =
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8";
    assert_eq!(to_hex(&out), expected);
    assert_eq!(hkdf(&[0x0b; 22], b"", "").0[..], out[..32], "the 32-byte form is its beginning");
}

#[test]
fn gcm_gives_the_published_output() {
    // The GCM specification's test cases 13 and 14 for AES-256: zero key and nonce.
    let gcm = Gcm::new(&Secret([0; 32]));
    assert_eq!(to_hex(&gcm.seal(0, b"", b"")), "530f8afbc74536b9a963b4f1c4cb738b");
    let sealed = "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919";
    assert_eq!(to_hex(&gcm.seal(0, b"", &[0; 16])), sealed);
}

#[test]
fn ed25519_gives_the_published_output() {
    // RFC 8032, 7.1, test 1.
    let seed =
        from_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
    let key = SigningKey::from_seed(Secret(seed));
    assert_eq!(
        to_hex(&key.public().0),
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    );
    let signature = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
    assert_eq!(key.sign(b"").to_vec(), bytes(signature));
    assert!(key.public().verifies(b"", &bytes(signature)));
    assert!(!key.public().verifies(b"x", &bytes(signature)));
    assert!(!PublicKey([0; 32]).verifies(b"", &[0; 64]), "a key of small order signs nothing");
}

#[test]
fn keyed_hashes_depend_on_the_key() {
    assert_eq!(keyed(&Secret([1; 32]), b"x"), *blake3::keyed_hash(&[1; 32], b"x").as_bytes());
    assert_ne!(keyed(&Secret([1; 32]), b"x"), keyed(&Secret([2; 32]), b"x"));
    assert_ne!(random::<32>(), random::<32>());
}

#[test]
fn secrets_do_not_print() {
    let key = SigningKey::from_seed(Secret([0xab; 32]));
    let printed = format!("{:?} {key:?} {:?}", Secret([0xab; 32]), Gcm::new(&Secret([0xab; 32])));
    assert!(!printed.contains("171") && !printed.contains("abab"), "{printed}");
}

#[test]
fn hexadecimal_is_strict() {
    let id = SessionId(*b"0123456789abcdef");
    assert_eq!(SessionId::parse(&id.hex()), Some(id));
    assert_eq!(id.short(), "30313233");
    let digits = id.hex();
    for bad in [
        digits.to_uppercase().replace('3', "A"),
        digits[1..].to_owned(),
        format!("{digits}0"),
        digits.replace('3', "g"),
    ] {
        assert_eq!(SessionId::parse(&bad), None, "{bad}");
    }
    assert_eq!(RepoId::parse(&"é".repeat(32)), None);
}

proptest! {
    #[test]
    fn ciphertext_opens_only_whole_and_in_its_place(plain: Vec<u8>, counter: u64, at: prop::sample::Index) {
        let gcm = Gcm::new(&Secret([1; 32]));
        let sealed = gcm.seal(counter, b"aad", &plain);
        prop_assert_eq!(sealed.len(), plain.len() + TAG_LEN);
        let mut whole = sealed.clone();
        prop_assert_eq!(gcm.open(counter, b"aad", &mut whole).unwrap(), &plain[..]);
        let mut flipped = sealed.clone();
        flipped[at.index(sealed.len())] ^= 1;
        prop_assert_eq!(gcm.open(counter, b"aad", &mut flipped).unwrap_err(), NotAuthentic);
        prop_assert!(gcm.open(counter.wrapping_add(1), b"aad", &mut sealed.clone()).is_err());
        prop_assert!(gcm.open(counter, b"other", &mut sealed.clone()).is_err());
        prop_assert!(gcm.open(counter, b"aad", &mut sealed[1..].to_vec()).is_err());
        prop_assert!(Gcm::new(&Secret([2; 32])).open(counter, b"aad", &mut sealed.clone()).is_err());
    }

    #[test]
    fn a_tail_is_sealed_as_the_whole(head: Vec<u8>, tail: Vec<u8>, counter: u64) {
        let gcm = Gcm::new(&Secret([1; 32]));
        let mut both = [head.clone(), tail.clone()].concat();
        gcm.seal_tail(counter, b"a", &mut both, head.len());
        prop_assert_eq!(&both[..head.len()], &head[..]);
        prop_assert_eq!(&both[head.len()..], &gcm.seal(counter, b"a", &tail)[..]);
    }
}
