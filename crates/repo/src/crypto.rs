//! The primitives that the format names, and nothing else: HKDF-SHA256, AES-256-GCM, Ed25519, keyed BLAKE3, random bytes.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Length of a GCM tag in bytes.
pub const TAG_LEN: usize = 16;

/// A 32-byte secret; wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret(pub [u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// A fresh random secret.
    pub fn random() -> Self {
        Self(random())
    }
}

/// Fresh random bytes from the operating system.
///
/// # Panics
/// If the operating system has no randomness to give: nothing safe could follow.
pub fn random<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    #[cfg(feature = "simulate")]
    if crate::simulate::fill(&mut out) {
        return out;
    }
    SystemRandom::new().fill(&mut out).expect("the operating system gives random bytes");
    out
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-SHA256 into `out` (at most 8,160 bytes).
pub fn hkdf_into(ikm: &[u8], salt: &[u8], info: &str, out: &mut [u8]) {
    let key = Salt::new(HKDF_SHA256, salt).extract(ikm);
    let info = [info.as_bytes()];
    let okm =
        key.expand(&info, Length(out.len())).expect("output lengths are constants below the limit");
    okm.fill(out).expect("the length is the one asked for");
}

/// HKDF-SHA256 to a 32-byte secret.
pub fn hkdf(ikm: &[u8], salt: &[u8], info: &str) -> Secret {
    let mut out = Secret([0; 32]);
    hkdf_into(ikm, salt, info, &mut out.0);
    out
}

/// Keyed BLAKE3.
pub fn keyed(key: &Secret, bytes: &[u8]) -> [u8; 32] {
    *blake3::keyed_hash(&key.0, bytes).as_bytes()
}

/// The ciphertext is not what was sealed: damaged, swapped, or another key's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAuthentic;

/// An AES-256-GCM key, ready to use.
pub struct Gcm(LessSafeKey);

impl std::fmt::Debug for Gcm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gcm(…)")
    }
}

impl Gcm {
    /// Prepares a key.
    pub fn new(key: &Secret) -> Self {
        let unbound = UnboundKey::new(&AES_256_GCM, &key.0).expect("the key has 32 bytes");
        Self(LessSafeKey::new(unbound))
    }

    fn nonce(counter: u64) -> Nonce {
        let mut bytes = [0; 12];
        bytes[4..].copy_from_slice(&counter.to_be_bytes());
        Nonce::assume_unique_for_key(bytes)
    }

    /// Encrypts `bytes[from..]` in place and appends the tag.
    ///
    /// # Panics
    /// If `from` lies beyond the end, or the text exceeds GCM's 64 GiB.
    pub fn seal_tail(&self, counter: u64, aad: &[u8], bytes: &mut Vec<u8>, from: usize) {
        let tag = self
            .0
            .seal_in_place_separate_tag(Self::nonce(counter), Aad::from(aad), &mut bytes[from..])
            .expect("texts are far below GCM's limit");
        bytes.extend_from_slice(tag.as_ref());
    }

    /// Encrypts `plain`; ciphertext then tag.
    pub fn seal(&self, counter: u64, aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(plain.len() + TAG_LEN);
        out.extend_from_slice(plain);
        self.seal_tail(counter, aad, &mut out, 0);
        out
    }

    /// Decrypts in place; the plaintext is the returned part of `bytes`.
    ///
    /// # Errors
    /// If the tag does not match.
    pub fn open<'a>(
        &self,
        counter: u64,
        aad: &[u8],
        bytes: &'a mut [u8],
    ) -> Result<&'a mut [u8], NotAuthentic> {
        self.0.open_in_place(Self::nonce(counter), Aad::from(aad), bytes).map_err(|_| NotAuthentic)
    }
}

/// An Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Whether `signature` is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}

/// An Ed25519 key pair from its 32-byte seed.
#[derive(Clone, Debug)]
pub struct SigningKey {
    seed: Secret,
    public: PublicKey,
}

impl SigningKey {
    /// From a seed.
    pub fn from_seed(seed: Secret) -> Self {
        let pair = Self::pair(&seed);
        let mut public = [0; 32];
        public.copy_from_slice(pair.public_key().as_ref());
        Self { seed, public: PublicKey(public) }
    }

    fn pair(seed: &Secret) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&seed.0).expect("the seed has 32 bytes")
    }

    /// A fresh key.
    pub fn random() -> Self {
        Self::from_seed(Secret::random())
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The seed, for writing a credential.
    pub fn seed(&self) -> &Secret {
        &self.seed
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut out = [0; 64];
        out.copy_from_slice(Self::pair(&self.seed).sign(message).as_ref());
        out
    }
}
