//! `nodekeep key wipe` and `restore`: the identity leaves this machine, and comes back with the words.

use clap::Args;
use nodekeep_repo::repository::Repository;
use serde_json::json;

use crate::commands::init::{ensure_writer, keep_identity};
use crate::error::{Error, Result};
use crate::home;
use crate::prompt;
use crate::session::App;

/// Remove the identity from this machine; backups go on
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none. The writer credential stays, so backups go on; nothing can be read here until the words bring the identity back. Refused while the recovery words are not confirmed, unless --yes is given.

Example:
  nodekeep key wipe

Also spelled: vault wipekeys.")]
pub struct Wipe {
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Bring the identity back with the recovery words
#[derive(Debug, Args)]
#[command(after_help = "\
Role: the recovery words, from the terminal or from NODEKEEP_WORDS[_FILE].

Examples:
  nodekeep key restore
  nodekeep key restore --passphrase

Also spelled: vault restorekeys.")]
pub struct Restore {
    /// Lock it with a passphrase
    #[arg(long)]
    passphrase: bool,
    /// Replace an identity that is here, such as one whose passphrase is forgotten
    #[arg(long)]
    force: bool,
}

impl Wipe {
    pub fn run(&self, app: &App) -> Result<()> {
        let config = Repository::config_of(&app.store()?)?;
        let keys = app.home.keys(&config.id);
        if !keys.identity().exists() {
            return Err(Error::NoIdentity);
        }
        if keys.words_pending().is_some() && !self.yes {
            return Err(Error::WordsUnconfirmed);
        }
        prompt::confirm(
            &app.output,
            self.yes,
            "wiping the identity",
            "The identity will be removed from this machine; only the words bring it back",
        )?;
        home::remove(&keys.identity())?;
        app.output.say("The identity is removed from this machine. Backups go on.\nBring it back: nodekeep key restore")?;
        app.output.document(&json!({ "identity": null, "writes": keys.writer().exists() }))
    }
}

impl Restore {
    pub fn run(&self, app: &App) -> Result<()> {
        let config = Repository::config_of(&app.store()?)?;
        let keys = app.home.keys(&config.id);
        if keys.identity().exists() && !self.force {
            return Err(Error::FileExists { path: keys.identity() });
        }
        let entropy = app.entropy(&app.secrets.words()?, &config)?;
        let passphrase = match self.passphrase {
            true => Some(app.secrets.new_passphrase("for the identity on this machine")?),
            false => None,
        };
        let mut opened = app.open_as_owner(&entropy)?;
        keep_identity(&opened.keys, &entropy, &opened.repository, passphrase.as_ref())?;
        let enrolled = ensure_writer(&mut opened)?;
        opened.pin()?;
        app.output.say("The identity is back on this machine.")?;
        app.output
            .document(&json!({ "identity": opened.keys.identity(), "writer_enrolled": enrolled }))
    }
}
