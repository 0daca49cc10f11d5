//! Public keys of instances and users, and the fingerprints that name their envelopes.

use std::fmt;

use md5::{Digest as _, Md5};
use rsa::RsaPublicKey;
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::pkcs8::{DecodePublicKey, EncodePublicKey, LineEnding};

use super::digest::{decode, write_hex};
use super::error::{Error, Result};

/// What Axon calls the checksum of a key: MD5 of its SPKI PEM without white space around it. It names an envelope and proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// Of a key.
    ///
    /// # Errors
    /// If the key cannot be written as PEM.
    pub fn of(key: &RsaPublicKey, owner: &str) -> Result<Self> {
        Ok(Self(Md5::digest(pem(key, owner)?.as_bytes()).into()))
    }

    /// From 32 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        decode(text).map(Self)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

/// Somebody an envelope can be made for.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipient {
    /// An onion address, a user's name or a file: for messages.
    pub name: String,
    /// Of the key.
    pub fingerprint: Fingerprint,
    pub(super) key: RsaPublicKey,
}

impl Recipient {
    /// From a public key in PEM, SPKI or PKCS#1.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn from_pem(name: &str, text: &str) -> Result<Self> {
        let key = parse(text).map_err(|reason| Error::Key { owner: name.to_owned(), reason })?;
        let fingerprint = Fingerprint::of(&key, name)?;
        Ok(Self { name: name.to_owned(), fingerprint, key })
    }
}

/// One spelling of a public key: what two keys are compared by. What is no RSA key stays as it is, without white space around it.
pub fn normalised(text: &str) -> String {
    parse(text).ok().and_then(|key| pem(&key, "").ok()).unwrap_or_else(|| text.trim().to_owned())
}

fn pem(key: &RsaPublicKey, owner: &str) -> Result<String> {
    match key.to_public_key_pem(LineEnding::LF) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => Err(Error::Key { owner: owner.to_owned(), reason: error.to_string() }),
    }
}

fn parse(text: &str) -> Result<RsaPublicKey, String> {
    let text = text.trim();
    if text.starts_with("-----BEGIN RSA PUBLIC KEY-----") {
        return RsaPublicKey::from_pkcs1_pem(text).map_err(|error| error.to_string());
    }
    RsaPublicKey::from_public_key_pem(text).map_err(|error| error.to_string())
}
