//! Who can open an envelope: the owner, age and SSH identities, a passphrase. And the lock on a file of our own.

use std::io::{Read, Write};
use std::str::FromStr;

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::SecretString;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::keys::group::{age_recipient_key, open_with, seal_to, seal_x25519};

/// Someone an envelope can be for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reader {
    /// An age X25519 recipient, `age1…`.
    Age(String),
    /// An SSH public key, `ssh-ed25519 …` or `ssh-rsa …`.
    Ssh(String),
    /// A passphrase; only in portable files.
    Passphrase(Zeroizing<String>),
}

/// Why a text names no reader.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReaderError {
    /// Neither an age recipient nor an SSH public key.
    #[error(
        "`{0}` is neither an age recipient (age1…) nor an SSH public key (ssh-ed25519 …, ssh-rsa …)"
    )]
    Unknown(String),
    /// An SSH key of a kind that cannot be sealed to.
    #[error(
        "the SSH key `{0}` cannot be sealed to: only ssh-ed25519, and ssh-rsa of 2048 bits or more, can"
    )]
    UnsupportedSsh(String),
    /// An identity file could not be understood.
    #[error(
        "the identity is neither an age identity (AGE-SECRET-KEY-1…) nor an SSH private key, or it needs a passphrase that was not given"
    )]
    Identity,
}

impl Reader {
    /// Reads a recipient's text.
    ///
    /// # Errors
    /// If it names none, or one that cannot be sealed to.
    pub fn parse(text: &str) -> Result<Self, ReaderError> {
        let text = text.trim();
        if text.starts_with("age1") {
            return match age::x25519::Recipient::from_str(text) {
                Ok(_) => Ok(Self::Age(text.to_owned())),
                Err(_) => Err(ReaderError::Unknown(text.to_owned())),
            };
        }
        if !text.starts_with("ssh-") {
            return Err(ReaderError::Unknown(text.to_owned()));
        }
        let key: String = text.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        match age::ssh::Recipient::from_str(&key) {
            Ok(_) => Ok(Self::Ssh(key)),
            Err(_) => Err(ReaderError::UnsupportedSsh(key)),
        }
    }

    /// The key as the roster lists it.
    pub fn key_text(&self) -> &str {
        match self {
            Self::Age(text) | Self::Ssh(text) => text,
            Self::Passphrase(_) => "scrypt",
        }
    }

    /// Seals bytes to this reader.
    pub fn seal(&self, plain: &[u8]) -> Vec<u8> {
        match self {
            Self::Age(text) => seal_x25519(&age_recipient_key(text), plain),
            Self::Ssh(text) => {
                seal_to(&age::ssh::Recipient::from_str(text).expect("parsed before"), plain)
            }
            Self::Passphrase(phrase) => seal_to(&scrypt_recipient(phrase), plain),
        }
    }
}

fn secret(phrase: &str) -> SecretString {
    SecretString::from(phrase.to_owned())
}

/// scrypt's log2(N) for what we lock: about a second and 256 MiB.
const WORK_FACTOR: u8 = 18;
/// The most work that a file may ask of us: 1 GiB, some seconds.
const MAX_WORK_FACTOR: u8 = 20;

fn scrypt_recipient(phrase: &str) -> age::scrypt::Recipient {
    let mut recipient = age::scrypt::Recipient::new(secret(phrase));
    recipient.set_work_factor(WORK_FACTOR);
    recipient
}

fn scrypt_identity(phrase: &str) -> age::scrypt::Identity {
    let mut identity = age::scrypt::Identity::new(secret(phrase));
    identity.set_max_work_factor(MAX_WORK_FACTOR);
    identity
}

/// Identities to try on envelopes.
#[derive(Default)]
pub struct Identities {
    list: Vec<(String, Box<dyn age::Identity + Send + Sync>)>,
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identities({})", self.list.len())
    }
}

impl Identities {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds the passphrase of a portable file.
    pub fn add_passphrase(&mut self, phrase: &str) {
        self.list.push(("scrypt".to_owned(), Box::new(scrypt_identity(phrase))));
    }

    /// Adds every identity in the text of an age identity file, or an SSH private key.
    /// `passphrase` opens an encrypted SSH key.
    ///
    /// # Errors
    /// If there is none in it.
    pub fn add_text(&mut self, text: &str, passphrase: Option<&str>) -> Result<(), ReaderError> {
        if text.contains("AGE-SECRET-KEY-1") {
            return self.add_age(text);
        }
        let identity = age::ssh::Identity::from_buffer(text.as_bytes(), None)
            .map_err(|_| ReaderError::Identity)?;
        let identity = unlock_ssh(identity, passphrase)?;
        let key =
            age::ssh::Recipient::try_from(identity.clone()).map_err(|_| ReaderError::Identity)?;
        self.list.push((key.to_string(), Box::new(identity)));
        Ok(())
    }

    fn add_age(&mut self, text: &str) -> Result<(), ReaderError> {
        for line in text.lines().map(str::trim).filter(|l| l.starts_with("AGE-SECRET-KEY-1")) {
            let identity =
                age::x25519::Identity::from_str(line).map_err(|_| ReaderError::Identity)?;
            self.list.push((identity.to_public().to_string(), Box::new(identity)));
        }
        Ok(())
    }

    /// Whether an identity here is the one of the roster key `key`.
    pub fn knows(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    fn find(&self, key: &str) -> Option<&(dyn age::Identity + Send + Sync)> {
        let same =
            |mine: &str| mine == key || (mine.starts_with("ssh-") && key.starts_with(mine.trim()));
        self.list.iter().find(|(mine, _)| same(mine)).map(|(_, identity)| identity.as_ref())
    }

    /// Opens an envelope that is for the roster key `key`; `None` if no identity here is.
    /// The inner `None` is an identity that fits and a file that does not open: damage, or a wrong passphrase.
    pub fn open(&self, key: &str, sealed: &[u8]) -> Option<Option<Zeroizing<Vec<u8>>>> {
        Some(open_with(self.find(key)?, sealed))
    }
}

fn unlock_ssh(
    identity: age::ssh::Identity,
    passphrase: Option<&str>,
) -> Result<age::ssh::Identity, ReaderError> {
    match identity {
        age::ssh::Identity::Encrypted(key) => {
            let phrase = passphrase.ok_or(ReaderError::Identity)?;
            let open = key.decrypt(secret(phrase)).map_err(|_| ReaderError::Identity)?;
            Ok(age::ssh::Identity::Unencrypted(open))
        }
        age::ssh::Identity::Unencrypted(_) => Ok(identity),
        age::ssh::Identity::Unsupported(_) => Err(ReaderError::Identity),
    }
}

/// Locks a text with a passphrase: an armored age file.
pub fn lock_text(text: &str, passphrase: &str) -> String {
    let recipient = scrypt_recipient(passphrase);
    let encryptor =
        age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
            .expect("one recipient was given");
    let mut out = Vec::new();
    let armor = ArmoredWriter::wrap_output(&mut out, Format::AsciiArmor)
        .expect("writing to memory succeeds");
    let mut writer = encryptor.wrap_output(armor).expect("writing to memory succeeds");
    writer.write_all(text.as_bytes()).expect("writing to memory succeeds");
    let armor = writer.finish().expect("writing to memory succeeds");
    armor.finish().expect("writing to memory succeeds");
    String::from_utf8(out).expect("armor is ASCII")
}

/// Opens what [`lock_text`] locked; `None` for a wrong passphrase or a damaged file.
pub fn unlock_text(locked: &str, passphrase: &str) -> Option<Zeroizing<String>> {
    let decryptor = age::Decryptor::new_buffered(ArmoredReader::new(locked.as_bytes())).ok()?;
    let identity = scrypt_identity(passphrase);
    let mut reader = decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)).ok()?;
    let mut text = Zeroizing::new(String::new());
    reader.read_to_string(&mut text).ok()?;
    Some(text)
}
