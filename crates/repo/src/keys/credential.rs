//! The writer credential: what a node needs to back up, and not enough to read anything back.

use thiserror::Error;
use zeroize::Zeroizing;

use crate::crypto::{Secret, SigningKey};
use crate::id::{DomainId, RepoId, from_hex, to_hex};
use crate::keys::DomainKeys;

const FIRST_LINE: &str = "NODEKEEP-WRITER-1";

/// A writer's secrets.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The repository it writes to.
    pub repo: RepoId,
    /// Where that repository lies, as it was when the credential was made.
    pub location: String,
    /// Signs sessions and outcomes.
    pub signing: SigningKey,
    /// Domain keys.
    pub domain: DomainKeys,
}

/// Why a credential file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CredentialError {
    /// The first line is not ours.
    #[error("not a writer credential (its first line is not {FIRST_LINE})")]
    NotACredential,
    /// A line is missing or unreadable.
    #[error("the line `{0} = …` is missing or unreadable")]
    Field(&'static str),
}

impl Credential {
    /// The file's text.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!(
            "{FIRST_LINE}\nrepository = {}\nlocation = {}\nseed = {}\ndomain = {}\nsecret = {}\n",
            self.repo,
            self.location,
            *Zeroizing::new(to_hex(&self.signing.seed().0)),
            self.domain.id,
            *Zeroizing::new(to_hex(&self.domain.secret.0)),
        ))
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// Names the line that is wrong; never its content.
    pub fn from_text(text: &str) -> Result<Self, CredentialError> {
        let mut lines = text.lines();
        if lines.next() != Some(FIRST_LINE) {
            return Err(CredentialError::NotACredential);
        }
        let field = |name: &'static str| field(text, name).ok_or(CredentialError::Field(name));
        let hex32 =
            |name| field(name).and_then(|v| from_hex(v).ok_or(CredentialError::Field(name)));
        let domain = DomainId::parse(field("domain")?).ok_or(CredentialError::Field("domain"))?;
        Ok(Self {
            repo: RepoId(hex32("repository")?),
            location: field("location")?.to_owned(),
            signing: SigningKey::from_seed(Secret(hex32("seed")?)),
            domain: DomainKeys::new(domain, Secret(hex32("secret")?)),
        })
    }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, v)| v.trim())
}
