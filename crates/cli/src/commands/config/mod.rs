//! `nodekeep config`: the configuration file.

mod check;
mod edit;
mod file;
mod get;
mod path;
mod reference;
mod set;
mod show;

use clap::Subcommand;

use crate::error::{Error, Result};
use crate::session::App;
use crate::settings::keys::{self, Key};
use crate::settings::nearest;

/// See and change the configuration
#[derive(Debug, Subcommand)]
#[command(after_help = "\
One file of TOML; `nodekeep config reference` explains every key. An option beats the environment, the environment beats the file.")]
pub enum Command {
    Show(show::Show),
    Get(get::Get),
    Set(set::Set),
    Unset(set::Unset),
    Check(check::Check),
    Path(path::Path),
    Edit(edit::Edit),
    Reference(reference::Reference),
}

impl Command {
    pub fn run(&self, app: &App) -> Result<()> {
        match self {
            Self::Show(args) => args.run(app),
            Self::Get(args) => args.run(app),
            Self::Set(args) => args.run(app),
            Self::Unset(args) => args.run(app),
            Self::Check(args) => args.run(app),
            Self::Path(args) => args.run(app),
            Self::Edit(args) => args.run(app),
            Self::Reference(args) => args.run(app),
        }
    }
}

/// The key of this name, or what may have been meant.
fn key(app: &App, name: &str) -> Result<&'static Key> {
    keys::find(name).ok_or_else(|| Error::UnknownKey {
        path: file::path(app),
        key: name.to_owned(),
        suggestion: nearest(name, &keys::names()),
    })
}
