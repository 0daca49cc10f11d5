//! Who an instance is: its private key, kept in the database under `SECRET_KEY`, and the instances that it trusts.

use std::path::Path;

use rsa::RsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use rusqlite::Connection;

use super::database;
use super::error::{Error, Result};
use super::fernet;
use super::key::{Fingerprint, Recipient};
use super::secret::SecretKey;

/// An instance that can open envelopes. Its key is wiped from memory when it is dropped.
pub struct Instance {
    key: RsaPrivateKey,
    recipient: Recipient,
}

impl Instance {
    /// From a database and the key that its `.env` holds.
    ///
    /// # Errors
    /// [`Error::Instance`] if there is not exactly one local instance with a private key, or it does not open with this `SECRET_KEY`.
    pub fn open(path: &Path, secret: &SecretKey) -> Result<Self> {
        let bad =
            |reason: &str| Error::Instance { path: path.to_owned(), reason: reason.to_owned() };
        let token = private_token(&database::open(path)?, path)?;
        let pem = fernet::open(&token, secret.bytes());
        let pem = pem.ok_or_else(|| {
            bad("the instance's private key does not open with this SECRET_KEY; take the .env that belongs to this database")
        })?;
        let text =
            std::str::from_utf8(&pem).map_err(|_| bad("the instance's private key is no text"))?;
        // What the parser would say could hold parts of the key.
        let key = RsaPrivateKey::from_pkcs8_pem(text)
            .map_err(|_| bad("the instance's private key is no PKCS#8 PEM"))?;
        Self::of_key(key)
    }

    /// From a private key in PKCS#8 PEM, kept elsewhere.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn from_pem(text: &str) -> Result<Self> {
        let bad = |_| Error::Key {
            owner: "this instance".to_owned(),
            reason: "it is no RSA key in PKCS#8 PEM".to_owned(),
        };
        Self::of_key(RsaPrivateKey::from_pkcs8_pem(text).map_err(bad)?)
    }

    fn of_key(key: RsaPrivateKey) -> Result<Self> {
        let name = "this instance".to_owned();
        let public = key.to_public_key();
        let fingerprint = Fingerprint::of(&public, &name)?;
        Ok(Self { key, recipient: Recipient { name, fingerprint, key: public } })
    }

    /// Names its envelopes.
    pub fn fingerprint(&self) -> Fingerprint {
        self.recipient.fingerprint
    }

    /// Itself, to make envelopes for.
    pub fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    pub(super) fn key(&self) -> &RsaPrivateKey {
        &self.key
    }
}

/// The instances that a database knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// The instance itself, if it has a public key.
    pub local: Option<Recipient>,
    /// Peers that it trusts.
    pub trusted: Vec<Recipient>,
    /// Those whose key cannot be used: name and reason.
    pub unusable: Vec<(String, String)>,
}

impl Known {
    /// Everybody whom this database's owner would make envelopes for.
    pub fn recipients(&self) -> Vec<Recipient> {
        self.local.iter().chain(&self.trusted).cloned().collect()
    }
}

/// Whom a database knows: nothing secret is read.
///
/// # Errors
/// If the database cannot be read.
pub fn known(path: &Path) -> Result<Known> {
    let connection = database::open(path)?;
    let mut known = Known::default();
    let sql =
        "SELECT id, web_ui_onion_url, pubkey, is_trusted_peer, encrypted_private_key IS NOT NULL
               FROM core_trustedinstance WHERE pubkey IS NOT NULL AND pubkey <> '' ORDER BY id";
    let failed = || Error::database(path, "reading the trusted instances");
    let mut statement = connection.prepare(sql).map_err(failed())?;
    let mut rows = statement.query([]).map_err(failed())?;
    while let Some(row) = rows.next().map_err(failed())? {
        let read = || -> rusqlite::Result<(i64, Option<String>, String, bool, bool)> {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        };
        let (id, url, pubkey, is_peer, has_private) = read().map_err(failed())?;
        let url = url.filter(|url| !url.is_empty());
        let name = url.unwrap_or_else(|| format!("instance {id}"));
        match Recipient::from_pem(&name, &pubkey) {
            Ok(recipient) if is_peer => known.trusted.push(recipient),
            Ok(recipient) if has_private => known.local = Some(recipient),
            // Neither trusted nor itself: trust was taken back.
            Ok(_) => {}
            Err(error) => known.unusable.push((name, error.to_string())),
        }
    }
    Ok(known)
}

/// The token of the one local instance.
fn private_token(connection: &Connection, path: &Path) -> Result<String> {
    let sql = "SELECT encrypted_private_key FROM core_trustedinstance
               WHERE encrypted_private_key IS NOT NULL AND encrypted_private_key <> '' AND NOT is_trusted_peer";
    let failed = || Error::database(path, "reading the instance's key");
    let mut statement = connection.prepare(sql).map_err(failed())?;
    let tokens = statement.query_map([], |row| row.get::<_, String>(0)).map_err(failed())?;
    let tokens = tokens.collect::<Result<Vec<_>, _>>().map_err(failed())?;
    match <[String; 1]>::try_from(tokens) {
        Ok([token]) => Ok(token),
        Err(tokens) => {
            let reason = if tokens.is_empty() {
                "it holds no local instance with a private key; was its server ever started?"
                    .to_owned()
            } else {
                format!(
                    "it holds {} local instances with private keys; Axon works with exactly one",
                    tokens.len()
                )
            };
            Err(Error::Instance { path: path.to_owned(), reason })
        }
    }
}
