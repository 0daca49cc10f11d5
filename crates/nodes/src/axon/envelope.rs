//! Envelopes: a content's AES key under somebody's RSA key (OAEP with SHA-256). To give content to one more is to add an envelope; chunks stay.

use std::path::Path;

use aes::Aes256;
use aes::cipher::{BlockDecryptMut, KeyIvInit};
use rsa::Oaep;
use rsa::rand_core::OsRng;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::chunks;
use super::digest::Digest;
use super::error::{Error, Result};
use super::instance::Instance;
use super::key::Recipient;
use super::manifest::ContentManifest;

/// AES block, in bytes.
const BLOCK: usize = 16;

/// The key of one content.
pub struct ContentKey(Zeroizing<[u8; 32]>);

/// Opens the envelope that a manifest has for an instance; `None` if it has none.
///
/// # Errors
/// [`Error::Content`] if the envelope does not open or holds no AES-256 key.
pub fn open(
    manifest: &ContentManifest,
    instance: &Instance,
    holder: &str,
) -> Result<Option<ContentKey>> {
    let Some(envelope) = manifest.envelope(instance.fingerprint()) else { return Ok(None) };
    let padding = Oaep::new::<Sha256>();
    let opened = instance.key().decrypt_blinded(&mut OsRng, padding, &envelope).map(Zeroizing::new);
    let key = opened.ok().and_then(|bytes| bytes.as_slice().try_into().ok());
    let key = key.ok_or_else(|| Error::Content {
        holder: holder.to_owned(),
        reason: format!("its envelope for the instance {} does not open", instance.fingerprint()),
    })?;
    Ok(Some(ContentKey(Zeroizing::new(key))))
}

/// Adds an envelope for somebody.
///
/// # Errors
/// [`Error::Key`] if the recipient's key is too short for it.
pub fn seal(manifest: &mut ContentManifest, key: &ContentKey, recipient: &Recipient) -> Result<()> {
    let padding = Oaep::new::<Sha256>();
    let sealed = recipient.key.encrypt(&mut OsRng, padding, key.0.as_slice());
    let sealed = sealed
        .map_err(|error| Error::Key { owner: recipient.name.clone(), reason: error.to_string() })?;
    manifest.add_envelope(recipient.fingerprint, &sealed);
    Ok(())
}

/// Decrypts a content and throws it away: whether what comes out is what its hash says.
///
/// # Errors
/// [`Error::Content`] names the first chunk that is wrong, or says that the key is not this content's.
pub fn check(
    manifest: &ContentManifest,
    key: &ContentKey,
    folder: &Path,
    holder: &str,
) -> Result<()> {
    let bad = |reason: String| Error::Content { holder: holder.to_owned(), reason };
    let mut decryption = Decryption::new(manifest, key);
    for index in 0..manifest.chunk_hashes.len() {
        let chunk = chunks::read(folder, manifest, index).map_err(|flaw| bad(flaw.to_string()))?;
        decryption.feed(&chunk);
    }
    match decryption.finish() {
        Some(digest) if digest == manifest.content_hash => Ok(()),
        _ => Err(bad("it does not decrypt to the content that its hash names".to_owned())),
    }
}

/// AES-256-CBC with PKCS#7 over the whole stream, hashed as it comes out.
struct Decryption {
    cipher: cbc::Decryptor<Aes256>,
    hasher: Sha256,
    /// What was not decrypted yet: at least the last block, whose padding is cut.
    held: Zeroizing<Vec<u8>>,
}

impl Decryption {
    fn new(manifest: &ContentManifest, key: &ContentKey) -> Self {
        let cipher = cbc::Decryptor::new((&*key.0).into(), (&manifest.iv).into());
        Self { cipher, hasher: Sha256::new(), held: Zeroizing::new(Vec::new()) }
    }

    fn feed(&mut self, ciphertext: &[u8]) {
        self.held.extend_from_slice(ciphertext);
        let whole = self.held.len().saturating_sub(1) / BLOCK * BLOCK;
        self.decrypt(whole);
        self.hasher.update(&self.held[..whole]);
        self.held.drain(..whole);
    }

    fn finish(mut self) -> Option<Digest> {
        if self.held.len() != BLOCK {
            return None;
        }
        self.decrypt(BLOCK);
        let padding = *self.held.last()?;
        let length = BLOCK.checked_sub(padding.into()).filter(|_| padding > 0)?;
        if self.held[length..].iter().any(|byte| *byte != padding) {
            return None;
        }
        self.hasher.update(&self.held[..length]);
        Some(Digest::finish(self.hasher))
    }

    fn decrypt(&mut self, length: usize) {
        for block in self.held[..length].chunks_exact_mut(BLOCK) {
            self.cipher.decrypt_block_mut(block.into());
        }
    }
}
