//! The signed result of a drill. What is signed is the text as it stands, so that anyone can check it with Ed25519 and nothing else.

use nodekeep_nodes::kind::{Check, Outcome};
use nodekeep_nodes::manifest::Machine;
use nodekeep_repo::crypto::{PublicKey, SigningKey};
use nodekeep_repo::id::{from_hex, to_hex};
use nodekeep_repo::roster::Roster;
use serde::{Deserialize, Serialize};

/// Version of a certificate's JSON.
pub const VERSION: u32 = 1;
/// Stands before the text that is signed, so that no signature of anything else serves.
const DOMAIN: &[u8] = b"nodekeep drill certificate 1\n";

/// What a drill found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// [`VERSION`].
    pub version: u32,
    /// The node.
    pub node: String,
    /// Its profile.
    pub profile: String,
    /// Id of the snapshot that was restored.
    pub snapshot: String,
    /// When that was captured: RFC 3339.
    pub captured_at: String,
    /// When the drill began: RFC 3339.
    pub at: String,
    /// Where.
    pub machine: Machine,
    /// The sandbox: a folder, in which nothing else ran.
    pub sandbox: String,
    /// From the first byte to the last check, in seconds.
    pub recovery_secs: f64,
    /// Bytes restored.
    pub bytes: u64,
    /// Everything that was looked at, and what was skipped and why.
    pub steps: Vec<Check>,
    /// Whether the node itself was started on the copy.
    pub started_node: bool,
    /// How it came out.
    pub result: DrillResult,
    /// Id of the repository.
    pub repository: String,
    /// Id of the signing member in the roster.
    pub signer: String,
}

/// How a drill came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrillResult {
    /// The node was started on the copy, and everything that was looked at is as it should be.
    Proven,
    /// Everything that was looked at is as it should be; the node was not started.
    Restored,
    /// Something is not as it should be.
    Failed,
}

impl DrillResult {
    /// From what was looked at.
    pub fn of(steps: &[Check], started_node: bool) -> Self {
        let failed = steps.iter().any(|step| step.outcome == Outcome::Failed);
        match (failed, started_node) {
            (true, _) => Self::Failed,
            (false, true) => Self::Proven,
            (false, false) => Self::Restored,
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Proven => "proven restorable: the node was started on the copy",
            Self::Restored => "restored and checked; the node was not started, so this is no proof that it runs",
            Self::Failed => "FAILED",
        }
    }
}

/// A certificate with its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The text that is signed: a [`Certificate`] as JSON.
    pub certificate: String,
    /// Ed25519 public key, hexadecimal.
    pub key: String,
    /// Ed25519 signature of `nodekeep drill certificate 1`, a line feed, and the text, hexadecimal.
    pub signature: String,
}

/// Why a certificate is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// Not hexadecimal, or of the wrong length, or not a certificate.
    #[error("it is no certificate: {0}")]
    Malformed(String),
    /// The signature does not match the text.
    #[error("its signature does not match: the text was changed, or another key signed it")]
    Signature,
    /// The key is nobody's in the repository.
    #[error("the key that signed it belongs to no member of this repository")]
    Stranger,
    /// It was made for another repository.
    #[error("it was made for another repository ({0})")]
    OtherRepository(String),
}

impl Signed {
    /// Signs a certificate.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn sign(certificate: &Certificate, key: &SigningKey) -> Result<Self, serde_json::Error> {
        let text = serde_json::to_string_pretty(certificate)?;
        Ok(Self {
            key: to_hex(&key.public().0),
            signature: to_hex(&key.sign(&message(&text))),
            certificate: text,
        })
    }

    /// The certificate, if its key signed it. Whose key that is, is another question.
    ///
    /// # Errors
    /// [`Distrust::Malformed`], [`Distrust::Signature`].
    pub fn open(&self) -> Result<Certificate, Distrust> {
        let malformed = |what: &str| Distrust::Malformed(what.to_owned());
        let key: [u8; 32] = from_hex(&self.key).ok_or_else(|| malformed("its key"))?;
        let signature: [u8; 64] =
            from_hex(&self.signature).ok_or_else(|| malformed("its signature"))?;
        if !PublicKey(key).verifies(&message(&self.certificate), &signature) {
            return Err(Distrust::Signature);
        }
        serde_json::from_str(&self.certificate)
            .map_err(|error| Distrust::Malformed(error.to_string()))
    }

    /// The certificate, if a member of this repository signed it for this repository.
    ///
    /// # Errors
    /// Any [`Distrust`].
    pub fn open_for(&self, roster: &Roster, repository: &str) -> Result<Certificate, Distrust> {
        let certificate = self.open()?;
        if !roster.members.iter().any(|member| to_hex(&member.key) == self.key) {
            return Err(Distrust::Stranger);
        }
        if certificate.repository != repository {
            return Err(Distrust::OtherRepository(certificate.repository));
        }
        Ok(certificate)
    }
}

fn message(text: &str) -> Vec<u8> {
    [DOMAIN, text.as_bytes()].concat()
}
