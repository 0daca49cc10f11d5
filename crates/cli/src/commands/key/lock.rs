//! `nodekeep key lock` and `unlock`: a passphrase on the identity of this machine.

use clap::Args;
use nodekeep_repo::keys::lock_text;
use nodekeep_repo::repository::Repository;
use serde_json::json;

use crate::error::{Error, Result};
use crate::home::{self, Keys};
use crate::session::{App, Identity, identity_text, read_identity};

/// Lock the identity on this machine with a passphrase
#[derive(Debug, Args)]
#[command(after_help = "\
Role: owner. Backups need no passphrase: they use the writer credential. The recovery words stay the same. The passphrase comes from the terminal, or from NODEKEEP_NEW_PASSPHRASE[_FILE].

Example:
  nodekeep key lock

Also spelled: vault passwordlock.")]
pub struct Lock {}

/// Remove the passphrase from the identity on this machine
#[derive(Debug, Args)]
#[command(after_help = "\
Role: owner. The passphrase comes from the terminal, or from NODEKEEP_PASSPHRASE[_FILE].

Example:
  nodekeep key unlock

Also spelled: vault passwordunlock.")]
pub struct Unlock {}

impl Lock {
    pub fn run(&self, app: &App) -> Result<()> {
        let keys = local_keys(app)?;
        let (entropy, id) = match read_identity(&keys.identity())? {
            Some(Identity::Open(entropy, id)) => (entropy, id),
            Some(Identity::Locked(_)) => return Err(Error::AlreadyLocked),
            None => return Err(Error::NoIdentity),
        };
        let passphrase = app.secrets.new_passphrase("for the identity on this machine")?;
        home::replace(&keys.identity(), &lock_text(&identity_text(&entropy, &id), &passphrase))?;
        app.output.say(
            "The identity is locked. Backups go on without the passphrase; reading asks for it.",
        )?;
        app.output.document(&json!({ "locked": true }))
    }
}

impl Unlock {
    pub fn run(&self, app: &App) -> Result<()> {
        let keys = local_keys(app)?;
        let text = match read_identity(&keys.identity())? {
            Some(Identity::Locked(text)) => text,
            Some(Identity::Open(..)) => return Err(Error::NotLocked),
            None => return Err(Error::NoIdentity),
        };
        let (entropy, id) = app.unlock(&keys.identity(), &text)?;
        home::replace(&keys.identity(), &identity_text(&entropy, &id))?;
        app.output.say(
            "The identity is not locked any more: whoever can read its file can read your backups.",
        )?;
        app.output.document(&json!({ "locked": false }))
    }
}

fn local_keys(app: &App) -> Result<Keys> {
    let config = Repository::config_of(&app.store()?)?;
    Ok(app.home.keys(&config.id))
}
