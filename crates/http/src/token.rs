//! Tokens: who may ask, and for what. A token is 32 random bytes, so that its plain hash tells nothing; the file holds hashes only.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use nodekeep_repo::crypto::random;
use nodekeep_service::state::{exclusively, replace};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

/// What stands before a token's random part, so that scanners for leaked secrets know it.
const PREFIX: &str = "nkt_";

/// What a token may do; each may do what those before it may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "TokenRole")]
pub enum Role {
    /// See everything, files of snapshots too.
    Read,
    /// Start and stop jobs that change no node: backup, check, drill.
    Operate,
    /// Restore.
    Admin,
}

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Token {
    /// What it is called.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// BLAKE3 of the token, hexadecimal.
    hash: String,
    /// When it was made.
    pub made: Timestamp,
    /// Until when it holds; `None`: until it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// Why a token was not made, removed or read.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The name cannot be one.
    #[error(
        "`{name}` cannot name a token: use 1 to 64 letters, digits, dots, dashes and underscores"
    )]
    Name {
        /// What was given.
        name: String,
    },
    /// The name is taken.
    #[error(
        "there is a token `{name}` already; remove it first: nodekeep daemon token remove {name}"
    )]
    Exists {
        /// Which.
        name: String,
    },
    /// No such token.
    #[error("there is no token `{name}`; see nodekeep daemon token list")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The file.
    #[error("{} cannot be read: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It was not written.
    #[error(transparent)]
    State(#[from] nodekeep_service::error::Error),
}

/// The file of tokens.
#[derive(Debug, Clone)]
pub struct Tokens {
    path: PathBuf,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pages {
    tokens: Vec<Token>,
}

impl Role {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Read, Self::Operate, Self::Admin]
            .into_iter()
            .find(|role| role.word() == text)
            .ok_or(())
    }
}

impl Tokens {
    /// In the folder of state; the file need not exist.
    pub fn new(folder: &std::path::Path) -> Self {
        Self { path: folder.join("tokens.json") }
    }

    /// All of them, by name.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn all(&self) -> Result<Vec<Token>, TokenError> {
        let bad = |reason: String| TokenError::File { path: self.path.clone(), reason };
        match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(bad(error.to_string())),
            // Who writes to it lets himself in.
            Ok(_) if self.is_open().map_err(|error| bad(error.to_string()))? => {
                Err(bad("others may write to it, and let themselves in: chmod 600, and look at nodekeep daemon token list".to_owned()))
            }
            Ok(bytes) => {
                let pages: Pages =
                    serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
                Ok(pages.tokens)
            }
        }
    }

    /// Makes one. Returns its text, which is kept nowhere.
    ///
    /// # Errors
    /// If the name cannot be, is taken, or the file cannot be written.
    pub fn add(
        &self,
        name: &str,
        role: Role,
        expires: Option<Timestamp>,
    ) -> Result<Zeroizing<String>, TokenError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !(1..=64).contains(&name.len()) || !name.chars().all(fits) || name == "schedule" {
            return Err(TokenError::Name { name: name.to_owned() });
        }
        self.alone(|| self.add_alone(name, role, expires))
    }

    fn add_alone(
        &self,
        name: &str,
        role: Role,
        expires: Option<Timestamp>,
    ) -> Result<Zeroizing<String>, TokenError> {
        let mut tokens = self.all()?;
        if tokens.iter().any(|token| token.name == name) {
            return Err(TokenError::Exists { name: name.to_owned() });
        }
        let secret = Zeroizing::new(random::<32>());
        let text = Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(*secret)));
        let (name, made) = (name.to_owned(), Timestamp::now());
        tokens.push(Token { name, role, hash: hash(&text), made, expires });
        tokens.sort_by(|a, b| a.name.cmp(&b.name));
        self.write(tokens)?;
        Ok(text)
    }

    /// Removes one: at once nobody gets in by it.
    ///
    /// # Errors
    /// [`TokenError::Unknown`], or why the file could not be written.
    pub fn remove(&self, name: &str) -> Result<(), TokenError> {
        self.alone(|| {
            let mut tokens = self.all()?;
            let before = tokens.len();
            tokens.retain(|token| token.name != name);
            if tokens.len() == before {
                return Err(TokenError::Unknown { name: name.to_owned() });
            }
            self.write(tokens)
        })
    }

    /// Two commands do not overwrite each other's change.
    fn alone<T>(&self, work: impl FnOnce() -> Result<T, TokenError>) -> Result<T, TokenError> {
        exclusively(&self.path.with_extension("lock"), work)
    }

    /// Whose token this is, if it holds now. All are compared, each in constant time.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn holder(&self, text: &str, now: Timestamp) -> Result<Option<Token>, TokenError> {
        let wanted = blake3::hash(text.as_bytes());
        let mut found = None;
        for token in self.all()? {
            // Hashes of this type are compared in constant time.
            let same = blake3::Hash::from_hex(&token.hash).is_ok_and(|hash| hash == wanted);
            if same && token.holds(now) {
                found = Some(token);
            }
        }
        Ok(found)
    }

    /// The token of this name, if it holds now and is still the one that hashes so.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn still(&self, known: &Token, now: Timestamp) -> Result<bool, TokenError> {
        Ok(self.all()?.iter().any(|token| token == known && token.holds(now)))
    }

    fn is_open(&self) -> io::Result<bool> {
        Ok(self.path.metadata()?.permissions().mode() & 0o022 != 0)
    }

    fn write(&self, tokens: Vec<Token>) -> Result<(), TokenError> {
        let text = serde_json::to_vec_pretty(&Pages { tokens }).map_err(|error| {
            TokenError::File { path: self.path.clone(), reason: error.to_string() }
        })?;
        Ok(replace(&self.path, &text)?)
    }
}

impl Token {
    fn holds(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn a_token_opens_until_it_expires_or_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(folder.path());
        let now = Timestamp::now();
        let later = now + jiff::SignedDuration::from_hours(1);
        let text = tokens.add("ops", Role::Operate, Some(later)).unwrap();
        let held = tokens.holder(&text, now).unwrap().unwrap();
        assert_eq!((held.name.as_str(), held.role), ("ops", Role::Operate));
        assert!(tokens.holder(&text, later).unwrap().is_none());
        assert!(tokens.holder("nkt_wrong", now).unwrap().is_none());
        assert!(matches!(tokens.add("ops", Role::Read, None), Err(TokenError::Exists { .. })));
        assert!(matches!(tokens.add("a b", Role::Read, None), Err(TokenError::Name { .. })));
        assert!(tokens.still(&held, now).unwrap());
        tokens.remove("ops").unwrap();
        assert!(!tokens.still(&held, now).unwrap());
        assert!(tokens.holder(&text, now).unwrap().is_none());
    }

    #[test]
    fn tokens_that_are_made_at_once_all_stay() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(folder.path());
        std::thread::scope(|scope| {
            for at in 0..8 {
                let tokens = &tokens;
                scope.spawn(move || tokens.add(&format!("t{at}"), Role::Read, None).unwrap());
            }
        });
        assert_eq!(tokens.all().unwrap().len(), 8);
    }

    #[test]
    fn the_file_is_private_and_does_not_hold_the_token() {
        let folder = tempfile::tempdir().unwrap();
        let text = Tokens::new(folder.path()).add("ops", Role::Read, None).unwrap();
        let path = folder.path().join("tokens.json");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let written = fs::read_to_string(&path).unwrap();
        assert!(!written.contains(text.trim_start_matches(PREFIX)));
        fs::set_permissions(&path, Permissions::from_mode(0o620)).unwrap();
        let refused = Tokens::new(folder.path()).holder(&text, Timestamp::now()).unwrap_err();
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
    }
}
