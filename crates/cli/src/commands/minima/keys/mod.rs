//! `nodekeep minima keys`: the keys of a Minima wallet.

mod derive;

use clap::Subcommand;

use crate::error::Result;
use crate::session::App;

/// The keys of a Minima wallet
#[derive(Debug, Subcommand)]
pub enum Keys {
    Derive(derive::Derive),
}

impl Keys {
    pub fn run(&self, app: &App) -> Result<()> {
        match self {
            Self::Derive(args) => args.run(app),
        }
    }
}
