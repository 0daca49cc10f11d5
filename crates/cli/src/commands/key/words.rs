//! `nodekeep key words`: show the recovery words, or confirm that they are on paper.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;
use nodekeep_repo::keys::Entropy;
use nodekeep_repo::repository::Repository;
use serde_json::json;

use crate::error::{Error, Result};
use crate::home::{self, Keys};
use crate::prompt;
use crate::secrets::can_ask;
use crate::session::{App, Identity, read_identity};

/// Show the recovery words, or confirm that you have them
#[derive(Debug, Args)]
#[command(after_help = "\
Role: owner. The words never appear in JSON or logs, and on standard output only if it is a terminal.

Without a terminal, --confirm compares NODEKEEP_WORDS or the file in NODEKEEP_WORDS_FILE.

Examples:
  nodekeep key words
  nodekeep key words --words-out /media/usb/words.txt
  nodekeep key words --confirm

Also spelled: vault seed.")]
pub struct Words {
    /// Type two of the words; then the reminder stops and the file they waited in is removed
    #[arg(long, conflicts_with = "words_out")]
    confirm: bool,
    /// Write them to this file, which must not exist
    #[arg(long, value_name = "FILE")]
    words_out: Option<PathBuf>,
}

impl Words {
    pub fn run(&self, app: &App) -> Result<()> {
        let is_shown = !self.confirm && self.words_out.is_none();
        if is_shown && (app.output.json || !std::io::stdout().is_terminal()) {
            return Err(Error::WordsNeedTerminal);
        }
        let store = app.store()?;
        let config = Repository::config_of(&store)?;
        let keys = app.home.keys(&config.id);
        let entropy = local_identity(app, &keys)?;
        match &self.words_out {
            Some(path) => write(app, &entropy, path),
            None if self.confirm => confirm(app, &entropy, &keys),
            None => show(app, &entropy),
        }
    }
}

/// The owner's identity on this machine, unlocked.
///
/// # Errors
/// [`Error::NoIdentity`], or why it does not open.
pub fn local_identity(app: &App, keys: &Keys) -> Result<Entropy> {
    match read_identity(&keys.identity())? {
        Some(Identity::Open(entropy, _)) => Ok(entropy),
        Some(Identity::Locked(text)) => Ok(app.unlock(&keys.identity(), &text)?.0),
        None => Err(Error::NoIdentity),
    }
}

fn show(app: &App, entropy: &Entropy) -> Result<()> {
    app.output.answer(&*prompt::words_grid(&entropy.words()))?;
    app.output
        .remark("\nWrite them on paper, in order, then confirm them: nodekeep key words --confirm");
    Ok(())
}

fn write(app: &App, entropy: &Entropy, path: &Path) -> Result<()> {
    home::write_new(path, format!("{}\n", *entropy.words()))?;
    app.output
        .say(format!("The recovery words are in {}, which only you can read.", path.display()))?;
    app.output.document(&json!({ "words_file": path, "confirmed": false }))
}

fn confirm(app: &App, entropy: &Entropy, keys: &Keys) -> Result<()> {
    match app.secrets.given_words()? {
        Some(given) => same(&given, entropy)?,
        None if can_ask() => prompt::ask_two_words(&app.output, &entropy.words())?,
        None => {
            return Err(Error::NeedSecret {
                what: "the recovery words",
                variable: "NODEKEEP_WORDS",
            });
        }
    }
    let removed = settle(app, keys)?;
    app.output.document(&json!({ "confirmed": true, "removed_file": removed }))
}

fn same(given: &str, entropy: &Entropy) -> Result<()> {
    let root = entropy.owner().root.public();
    let read = Entropy::from_words(given).map_err(|error| {
        let likely = Entropy::repair(given, root);
        Error::Words { error, likely }
    })?;
    if read.owner().root.public() == root { Ok(()) } else { Err(Error::OtherWords) }
}

/// Ends the reminder. A file in our own folder goes; one that the user named is the user's to keep or destroy.
fn settle(app: &App, keys: &Keys) -> Result<Option<PathBuf>> {
    let pending = keys.words_pending();
    let file = pending.flatten().filter(|path| path.exists());
    let ours = file.as_ref().filter(|path| path.starts_with(app.home.data())).cloned();
    if let Some(path) = &ours {
        home::remove(path)?;
    }
    home::remove(&keys.unconfirmed())?;
    app.output.say("The recovery words are confirmed.")?;
    match (&ours, &file) {
        (Some(path), _) => app.output.say(format!("Removed {}.", path.display()))?,
        (None, Some(path)) => app.output.say(format!(
            "A copy is still in {}. Keep it away from this machine, or destroy it.",
            path.display()
        ))?,
        (None, None) => {}
    }
    Ok(ours)
}
