//! What is asked of a running node, and its answers in our terms.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::password::Password;
use super::phrase::Phrase;
use super::rpc::{Call, Result, Rpc, RpcError};
use super::wire::Hash;

/// For a question that changes nothing.
const SHORT: Duration = Duration::from_secs(120);
/// For work on all of the node's state: a node with a large chain takes its time.
pub const LONG: Duration = Duration::from_secs(1800);
/// Between two looks at a node that is awaited.
const PAUSE: Duration = Duration::from_secs(1);
/// What a node says while its keys are being made.
const NO_KEYS_YET: &str = "wait for ALL your keys";

/// A key of the node's wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveKey {
    /// Its public half.
    pub public: Hash,
    /// How often it has signed.
    pub uses: u64,
}

/// How a node stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its version.
    pub version: String,
    /// Its newest block.
    pub block: u64,
    /// That block's id.
    pub hash: String,
    /// Whether its keys are locked or wiped.
    pub is_locked: bool,
}

impl Rpc {
    /// How it stands.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub fn standing(&self) -> Result<Standing> {
        self.standing_within(SHORT)
    }

    /// The same, with less patience.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub fn standing_within(&self, patience: Duration) -> Result<Standing> {
        let answer = self.call(&Call::new("status"), patience)?;
        let text = |pointer: &str| match answer.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let block = text("/response/chain/block");
        Ok(Standing {
            version: text("/response/version"),
            block: block.parse().map_err(|_| self.odd("status", "it names no block"))?,
            hash: text("/response/chain/hash"),
            is_locked: answer.pointer("/response/locked") == Some(&Value::Bool(true)),
        })
    }

    /// Every key of its wallet.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub fn keys(&self) -> Result<Vec<LiveKey>> {
        let answer = self.call(&Call::new("keys"), SHORT)?;
        let keys = answer.pointer("/response/keys").and_then(Value::as_array);
        let key = |value: &Value| {
            let public = value.get("publickey").and_then(Value::as_str).and_then(Hash::parse)?;
            Some(LiveKey { public, uses: value.get("uses").and_then(Value::as_u64)? })
        };
        let keys = keys.and_then(|keys| keys.iter().map(key).collect());
        keys.ok_or_else(|| self.odd("keys", "it lists keys in a way that is not known"))
    }

    /// Ids of the unspent coins that are its own.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub fn coins(&self) -> Result<Vec<String>> {
        let answer = self.call(&Call::new("coins").with("relevant", "true")?, SHORT)?;
        let coins = answer.get("response").and_then(Value::as_array);
        let id = |coin: &Value| coin.get("coinid").and_then(Value::as_str).map(str::to_owned);
        let coins = coins.and_then(|coins| coins.iter().map(id).collect());
        coins.ok_or_else(|| self.odd("coins", "it lists coins in a way that is not known"))
    }

    /// Writes a backup of its own, sealed with the password; whether it also writes some by itself.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub fn back_up(&self, file: &str, password: &Password) -> Result<bool> {
        let call =
            Call::new("backup").with("file", file)?.with_secret("password", password.reveal())?;
        let answer = self.call(&call, LONG)?;
        Ok(answer.pointer("/backup/auto") == Some(&Value::Bool(true)))
    }

    /// Takes a backup in place of its state, and ends.
    ///
    /// # Errors
    /// See [`RpcError`]; an answer that got lost can mean that it was taken.
    pub fn take_back(&self, file: &str, password: &Password) -> Result<()> {
        let call =
            Call::new("restore").with("file", file)?.with_secret("password", password.reveal())?;
        self.call(&call, LONG).map(drop)
    }

    /// Exports every block of its archive, oldest first.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub fn export_archive(&self, file: &str) -> Result<()> {
        let call = Call::new("archive").with("action", "exportraw")?.with("file", file)?;
        self.call(&call, LONG).map(drop)
    }

    /// Exports its MegaMMR: all unspent coins there are.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub fn export_mega(&self, file: &str) -> Result<()> {
        let call = Call::new("megammr").with("action", "export")?.with("file", file)?;
        self.call(&call, LONG).map(drop)
    }

    /// Waits until all keys of a new node are made; before that it neither backs up nor restores.
    ///
    /// # Errors
    /// See [`RpcError`]; what the node said last, if the patience ends.
    pub fn wait_for_keys(&self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            // Refused in any case, as it names no file; but first for keys that are not there.
            match self.call(&Call::new("restore"), SHORT) {
                Err(RpcError::Failed { command, reason }) if reason.contains(NO_KEYS_YET) => {
                    if Instant::now() >= deadline {
                        return Err(RpcError::Failed { command, reason });
                    }
                    thread::sleep(PAUSE);
                }
                Ok(_) | Err(RpcError::Failed { .. }) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes a backup and then blocks from a peer, and ends. The node asks nobody if the backup's chain is younger than two days.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub fn take_back_and_sync(&self, file: &str, password: &Password, host: &str) -> Result<()> {
        let call = Call::new("restoresync")
            .with("file", file)?
            .with_secret("password", password.reveal())?
            .with("host", host)?;
        self.call(&call, LONG).map(drop)
    }

    /// Begins anew from an archive, with its own keys or with those of a phrase, and ends.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub fn reset(&self, file: &str, keys: Option<&NewKeys<'_>>) -> Result<()> {
        let action = if keys.is_some() { "seedsync" } else { "chainsync" };
        let call = Call::new("reset").with("action", action)?.with("archivefile", file)?;
        self.call(&NewKeys::add(keys, call)?, LONG).map(drop)
    }

    /// Takes the chain and its coins from a node with all coins, with its own keys or with those of a phrase, and ends.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub fn sync_coins(&self, host: &str, keys: Option<&NewKeys<'_>>) -> Result<()> {
        let call = Call::new("megammrsync").with("action", "resync")?.with("host", host)?;
        self.call(&NewKeys::add(keys, call)?, LONG).map(drop)
    }

    /// Its phrase; `None` if its keys are locked or wiped.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub fn vault(&self) -> Result<Option<Vault>> {
        let answer = self.call(&Call::new("vault"), SHORT)?;
        let text = |pointer: &str| {
            let text = answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            zeroize::Zeroizing::new(text.to_owned())
        };
        if answer.pointer("/response/locked") == Some(&Value::Bool(true)) {
            return Ok(None);
        }
        Ok(Some(Vault { phrase: text("/response/phrase"), seed: text("/response/seed") }))
    }

    /// Removes its private keys and the phrase.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub fn wipe_keys(&self, vault: &Vault) -> Result<()> {
        let call = Call::new("vault").with("action", "wipekeys")?;
        self.call(&call.with_secret("seed", &vault.seed)?, LONG).map(drop)
    }

    /// Makes its private keys anew from a phrase, whichever that is.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub fn restore_keys(&self, phrase: &Phrase) -> Result<()> {
        let call = Call::new("vault").with("action", "restorekeys")?;
        self.call(&call.with_phrase("phrase", phrase.reveal())?, LONG).map(drop)
    }

    /// Seals its keys with a password.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub fn lock_keys(&self, password: &Password) -> Result<()> {
        self.vault_password("passwordlock", password)
    }

    /// Opens what a password sealed.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub fn unlock_keys(&self, password: &Password) -> Result<()> {
        self.vault_password("passwordunlock", password)
    }

    fn vault_password(&self, action: &str, password: &Password) -> Result<()> {
        let call = Call::new("vault").with("action", action)?;
        self.call(&call.with_secret("password", password.reveal())?, LONG).map(drop)
    }

    fn odd(&self, command: &str, why: &str) -> RpcError {
        RpcError::Strange {
            command: command.to_owned(),
            address: self.address().to_owned(),
            why: why.to_owned(),
        }
    }
}

/// Keys that a node makes from a phrase.
#[derive(Debug, Clone, Copy)]
pub struct NewKeys<'a> {
    /// The phrase.
    pub phrase: &'a Phrase,
    /// How many; the node's own number if absent.
    pub keys: Option<u32>,
    /// Where the counter of each begins.
    pub uses: u64,
}

impl NewKeys<'_> {
    fn add(keys: Option<&Self>, call: Call) -> Result<Call> {
        let Some(keys) = keys else { return Ok(call) };
        let call = call.with_phrase("phrase", keys.phrase.reveal())?;
        let call = call.with("keyuses", &keys.uses.to_string())?;
        match keys.keys {
            Some(number) => call.with("keys", &number.to_string()),
            None => Ok(call),
        }
    }
}

/// The secrets of a wallet as the node shows them.
pub struct Vault {
    /// Its words.
    pub phrase: zeroize::Zeroizing<String>,
    /// What its keys come from, as the node spells it.
    pub seed: zeroize::Zeroizing<String>,
}

/// Without them.
impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault(…)")
    }
}
