//! `nodekeep minima verify`.

use std::path::PathBuf;

use clap::Args;
use nodekeep_nodes::kind::{Check, Outcome, Verified};
use nodekeep_nodes::minima::backup::Section;
use nodekeep_nodes::minima::verify::{self, GIVEN_PHRASE, Keys};
use nodekeep_nodes::minima::wallet::Wallet;
use nodekeep_nodes::minima::{archive, mega};
use serde_json::json;

use super::opening::{self, FileKind, PasswordFrom, PhraseFrom};
use crate::error::{Error, Result};
use crate::exit::Class;
use crate::nodes;
use crate::session::App;

/// Check a node's backup (.bak), raw archive (.raw.dat) or MegaMMR (.megammr) from end to end
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none; the backup's password.

Of a backup: padding, checksum, all six sections to their last byte, every block's work, links and coins, and that phrase, private keys and addresses belong together. With a phrase: whether it makes the keys of this wallet.

Exit code 4: something is damaged. Exit code 5: the password or the phrase is another one.

Examples:
  nodekeep minima verify minima-backup-1700000000000.bak
  nodekeep minima verify node.bak --password-file pw --node-phrase-file words --keys all
  nodekeep minima verify archive.raw.dat")]
pub struct Verify {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    password: PasswordFrom,
    #[command(flatten)]
    phrase: PhraseFrom,
    /// How many public keys to make again from the phrase in the backup, half a second each: a number, or all
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_keys)]
    keys: Keys,
}

impl Verify {
    pub fn run(&self, app: &App) -> Result<()> {
        let kind = FileKind::of(&self.file)?;
        let (verified, is_protected) = match kind {
            FileKind::Backup => self.backup(app)?,
            FileKind::Archive => (self.archive()?, false),
            FileKind::Mega => (self.mega()?, false),
        };
        let line = |check: &Check| nodes::check_text(&check.name, check);
        let lines: Vec<String> = verified.checks.iter().map(line).collect();
        let position = verified.position.text();
        app.output.answer(format!("{}\n{position}", lines.join("\n")))?;
        if matches!(kind, FileKind::Backup) && !is_protected {
            app.output.remark(opening::UNPROTECTED);
        }
        app.output.document(&json!({
            "file": self.file,
            "kind": kind.word(),
            "protected": is_protected,
            "sound": verified.is_sound(),
            "checks": verified.checks,
            "position": verified.position,
            "hashes": verified.hashes,
        }))?;
        judge(&verified)
    }

    fn backup(&self, app: &App) -> Result<(Verified, bool)> {
        let phrase = self.phrase.given(app)?;
        let opened = self.password.open(app, &self.file)?;
        let mut verified = verify::contents(&opened.contents, self.keys);
        if let Some(phrase) = phrase
            && let Ok(wallet) = Wallet::parse(opened.contents.section(Section::Wallet))
        {
            verify::phrase(&wallet, &phrase, &mut verified);
        }
        Ok((verified, opened.is_protected))
    }

    fn archive(&self) -> Result<Verified> {
        let found =
            archive::verify(opening::reader(&self.file)?).map_err(|error| self.wrong(error))?;
        let mut verified = Verified::default();
        let detail = match found.first {
            Some(first) => format!("{} blocks from {first}, each with its coins", found.blocks),
            None => "no block".to_owned(),
        };
        verified.check("blocks", Outcome::Passed, detail);
        verified.position.count("blocks", found.tip.map_or(0, |tip| tip.number));
        verified.hashes.extend(found.tip.map(|tip| ("tip".to_owned(), tip.id.to_string())));
        Ok(verified)
    }

    fn mega(&self) -> Result<Verified> {
        let found =
            mega::verify(opening::reader(&self.file)?).map_err(|error| self.wrong(error))?;
        let mut verified = Verified::default();
        let detail = format!("{} unspent after block {}", found.coins, found.range.block);
        verified.check("coins", Outcome::Passed, detail);
        let detail = format!("{} blocks follow, each with its coins", found.blocks);
        verified.check("blocks", Outcome::Passed, detail);
        verified.position.count("coins", found.coins);
        verified.position.count("blocks", found.tip.map_or(0, |tip| tip.number));
        verified.hashes.extend(found.tip.map(|tip| ("tip".to_owned(), tip.id.to_string())));
        Ok(verified)
    }

    fn wrong(&self, error: nodekeep_nodes::minima::error::Error) -> Error {
        Error::Minima { path: self.file.clone(), error }
    }
}

/// A phrase of somebody else is no damage.
fn judge(verified: &Verified) -> Result<()> {
    let failed = |check: &&Check| check.outcome == Outcome::Failed;
    let mut failures = verified.checks.iter().filter(failed).peekable();
    if failures.peek().is_none() {
        return Ok(());
    }
    let class = match failures.all(|check| check.name == GIVEN_PHRASE) {
        true => Class::WrongKey,
        false => Class::Damaged,
    };
    Err(Error::Exit(class.exit_code()))
}

fn parse_keys(text: &str) -> Result<Keys, String> {
    match text {
        "all" => Ok(Keys::All),
        "1" => Ok(Keys::One),
        number => {
            number.parse().map(Keys::First).map_err(|_| "a number, or `all`, is needed".to_owned())
        }
    }
}
