//! `nodekeep minima keys`: the keys of a Minima wallet.

mod derive;
mod vault;

use clap::Subcommand;

use crate::error::Result;
use crate::session::App;

/// The keys of a Minima wallet
#[derive(Debug, Subcommand)]
pub enum Keys {
    Derive(derive::Derive),
    Show(vault::Show),
    Wipe(vault::Wipe),
    Restore(vault::Restore),
    Lock(vault::Lock),
    Unlock(vault::Unlock),
}

impl Keys {
    pub fn run(&self, app: &App) -> Result<()> {
        match self {
            Self::Derive(args) => args.run(app),
            Self::Show(args) => args.run(app),
            Self::Wipe(args) => args.run(app),
            Self::Restore(args) => args.run(app),
            Self::Lock(args) => args.run(app),
            Self::Unlock(args) => args.run(app),
        }
    }
}
