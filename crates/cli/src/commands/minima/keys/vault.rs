//! `nodekeep minima keys show|wipe|restore|lock|unlock NODE`: the keys of a running node, through its own commands, with the dangerous
//! steps made safe.

use std::io::IsTerminal as _;

use clap::Args;
use nodekeep_nodes::kind::minima::fetch_state;
use nodekeep_nodes::minima::backup::Section;
use nodekeep_nodes::minima::keys::Seed;
use nodekeep_nodes::minima::password::Password;
use nodekeep_nodes::minima::phrase::Phrase;
use nodekeep_nodes::minima::wallet::Wallet;
use nodekeep_service::minima::Revival;
use serde_json::json;

use super::super::opening::{PasswordFrom, PhraseFrom};
use crate::error::{Error, Result};
use crate::nodes;
use crate::progress::Progress;
use crate::prompt;
use crate::session::{App, Need};

/// A registered node.
#[derive(Debug, Args)]
pub struct OfNode {
    /// The node
    #[arg(value_name = "NODE")]
    node: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Show the 24 words of a running node
#[derive(Debug, Args)]
#[command(after_help = "\
They are shown on the terminal only, never in JSON. Whoever has them has the coins. Write them on paper.")]
pub struct Show {
    #[command(flatten)]
    of: OfNode,
}

/// Remove the private keys of a running node; public keys and coins stay to be watched
#[derive(Debug, Args)]
pub struct Wipe {
    #[command(flatten)]
    of: OfNode,
}

/// Make the private keys of a running node anew from its 24 words
#[derive(Debug, Args)]
#[command(after_help = "\
The node itself takes any words and overwrites its keys with those that they make. Here the words are first held against the wallet's public keys: others are refused, and the node hears nothing of them.")]
pub struct Restore {
    #[command(flatten)]
    of: OfNode,
    #[command(flatten)]
    phrase: PhraseFrom,
}

/// Seal the keys of a running node with a password
#[derive(Debug, Args)]
pub struct Lock {
    #[command(flatten)]
    of: OfNode,
    #[command(flatten)]
    password: PasswordFrom,
}

/// Open the keys of a running node with their password
#[derive(Debug, Args)]
pub struct Unlock {
    #[command(flatten)]
    of: OfNode,
    #[command(flatten)]
    password: PasswordFrom,
}

impl OfNode {
    /// Runs something on the node. `changes`: what it does, which is asked for, and before which the node's state is backed up.
    fn run(
        &self,
        app: &App,
        changes: Option<(&'static str, &str)>,
        work: impl FnOnce(&Revival<'_>) -> Result<()>,
    ) -> Result<()> {
        let state = nodes::state(app);
        let node = state.load(&self.node)?;
        let need = if changes.is_some() { Need::Write } else { Need::Read };
        let opened = app.open(need)?;
        let progress = Progress::start(&app.output, "Backing up");
        let ground = nodes::ground(app, &state, &opened.repository, &progress)?;
        let revival = Revival::of(&ground, &node)?;
        if let Some((what, details)) = changes {
            prompt::confirm(&app.output, self.yes, what, details)?;
            let kept = revival.keep(&Default::default())?;
            let id = kept.report.snapshot.map_or(String::new(), |id| id.short());
            app.output.say(format!("What it has now is in snapshot {id}."))?;
        }
        progress.close();
        work(&revival)
    }
}

impl Show {
    pub fn run(&self, app: &App) -> Result<()> {
        if !app.output.json && !std::io::stdout().is_terminal() {
            return Err(Error::NodePhraseNeedsTerminal);
        }
        self.of.run(app, None, |revival| {
            let vault = revival.link().rpc.vault().map_err(nodekeep_nodes::error::Error::from)?;
            let is_locked = vault.is_none();
            match (vault, app.output.json) {
                (Some(_), true) => {}
                (Some(vault), false) => {
                    app.output.answer(prompt::words_grid(&vault.phrase).as_str())?;
                }
                (None, _) => app.output.say("Its keys are locked or wiped: it has no words.")?,
            }
            app.output.document(&json!({ "node": self.of.node, "locked": is_locked }))
        })
    }
}

impl Wipe {
    pub fn run(&self, app: &App) -> Result<()> {
        let details = "This removes the node's private keys and its words. Without the words on paper its coins are lost";
        self.of.run(app, Some(("removing a node's keys", details)), |revival| {
            let rpc = &revival.link().rpc;
            let failed = nodekeep_nodes::error::Error::from;
            let Some(vault) = rpc.vault().map_err(failed)? else {
                return app.output.say("There is nothing to remove: they are locked or wiped.");
            };
            rpc.wipe_keys(&vault).map_err(failed)?;
            app.output.say(format!(
                "The private keys are removed. To bring them back: nodekeep minima keys restore {}",
                self.of.node
            ))?;
            app.output.document(&json!({ "node": self.of.node, "wiped": true }))
        })
    }
}

impl Restore {
    pub fn run(&self, app: &App) -> Result<()> {
        let phrase = self.phrase.needed(app)?;
        let details = "This makes the node's private keys anew from these words";
        self.of.run(app, Some(("restoring a node's keys", details)), |revival| {
            belongs(revival, &phrase)?;
            let done = revival.link().rpc.restore_keys(&phrase);
            done.map_err(nodekeep_nodes::error::Error::from)?;
            app.output.say(
                "The private keys are there again: they are those of the wallet's public keys.",
            )?;
            app.output.document(&json!({ "node": self.of.node, "restored": true }))
        })
    }
}

/// Whether the words made the wallet's keys.
fn belongs(revival: &Revival<'_>, phrase: &Phrase) -> Result<()> {
    let fetched = fetch_state(revival.link())?;
    let wallet = Wallet::parse(fetched.contents.section(Section::Wallet))
        .map_err(|error| Error::Minima { path: "wallet".into(), error })?;
    match wallet.is_of(&Seed::of(phrase)) {
        Some(true) => Ok(()),
        Some(false) | None => Err(Error::ForeignPhrase),
    }
}

impl Lock {
    pub fn run(&self, app: &App) -> Result<()> {
        let password = self.password.chosen(app)?;
        self.of.seal(app, &password, true)
    }
}

impl Unlock {
    pub fn run(&self, app: &App) -> Result<()> {
        let password = self.password.known(app, &self.of.node)?;
        self.of.seal(app, &password, false)
    }
}

impl OfNode {
    fn seal(&self, app: &App, password: &Password, locks: bool) -> Result<()> {
        let (what, details) = match locks {
            true => (
                "locking a node's keys",
                "The node cannot spend until they are unlocked; without the password only the words help",
            ),
            false => ("unlocking a node's keys", "The node can spend again"),
        };
        self.run(app, Some((what, details)), |revival| {
            let rpc = &revival.link().rpc;
            let done = if locks { rpc.lock_keys(password) } else { rpc.unlock_keys(password) };
            done.map_err(nodekeep_nodes::error::Error::from)?;
            app.output.say(if locks {
                "The keys are locked."
            } else {
                "The keys are unlocked."
            })?;
            app.output.document(&json!({ "node": self.node, "locked": locks }))
        })
    }
}
