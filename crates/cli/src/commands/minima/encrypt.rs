//! `nodekeep minima encrypt`.

use std::path::PathBuf;

use clap::Args;
use nodekeep_nodes::kind::Outcome;
use nodekeep_nodes::minima::backup::{self, Contents, Section};
use nodekeep_nodes::minima::error::Error as Minima;
use nodekeep_nodes::minima::password::Password;
use nodekeep_nodes::minima::verify::{self, Keys};
use serde_json::json;
use zeroize::Zeroizing;

use super::opening::{self, PasswordFrom};
use crate::error::{Error, Result};
use crate::home;
use crate::session::App;

/// Make a backup that a node restores of what `decrypt` wrote
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none; the backup's password.

Everything is checked first: of damaged parts no backup is made, because a node writes them over its own before it sees that they are damaged. The password is one that can be typed to a node: no spaces, quotes, semicolons or letters that are not ASCII.

Examples:
  nodekeep minima encrypt ./plain/ --output node.bak
  nodekeep minima encrypt node.plain --output node.bak --password-file pw")]
pub struct Encrypt {
    /// The folder with six files, or the one file, that `decrypt` wrote
    #[arg(value_name = "DIR|FILE")]
    source: PathBuf,
    /// The backup to write, which must not exist
    #[arg(long, value_name = "FILE.bak")]
    output: PathBuf,
    #[command(flatten)]
    password: PasswordFrom,
    /// Without a password: whoever gets the file has the node's keys
    #[arg(long, conflicts_with = "password_file")]
    no_password: bool,
}

impl Encrypt {
    pub fn run(&self, app: &App) -> Result<()> {
        if self.output.symlink_metadata().is_ok() {
            return Err(Error::FileExists { path: self.output.clone() });
        }
        let contents = self.contents()?;
        let verified = verify::contents(&contents, Keys::One);
        let failed = verified.checks.iter().find(|check| check.outcome == Outcome::Failed);
        if let Some(check) = failed {
            let reason = format!("{}: {}", check.name, check.detail);
            return Err(self.wrong(Minima::Damaged { reason }));
        }
        let password = match self.no_password {
            true => Password::none(),
            false => self.password.chosen(app)?,
        };
        let sealed = backup::seal(&contents, &password).map_err(|error| self.wrong(error))?;
        home::write_new(&self.output, &sealed)?;
        app.output.say(format!("Wrote {}.", self.output.display()))?;
        if password.is_none() {
            app.output.remark(opening::UNPROTECTED);
        }
        app.output.document(&json!({
            "file": self.output, "size": sealed.len(), "protected": !password.is_none(),
        }))
    }

    fn contents(&self) -> Result<Contents> {
        if !self.source.is_dir() {
            let plain = Zeroizing::new(opening::read(&self.source)?);
            return Contents::from_plaintext(plain).map_err(|error| self.wrong(error));
        }
        let read = |section: Section| {
            opening::read(&self.source.join(section.file_name())).map(Zeroizing::new)
        };
        let sections: Vec<_> = Section::ALL.into_iter().map(read).collect::<Result<_>>()?;
        Ok(Contents::of(std::array::from_fn(|index| sections[index].as_slice())))
    }

    fn wrong(&self, error: Minima) -> Error {
        Error::Minima { path: self.source.clone(), error }
    }
}
