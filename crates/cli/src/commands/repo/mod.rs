//! `nodekeep repo`: the repository itself.

mod info;
mod repair;

use clap::Subcommand;

use crate::error::Result;
use crate::session::App;

/// The repository itself
#[derive(Debug, Subcommand)]
#[command(after_help = "Also here: repo check is `nodekeep check`.")]
pub enum Repo {
    Info(info::Info),
    Repair(repair::Repair),
}

impl Repo {
    pub fn run(&self, app: &App) -> Result<()> {
        match self {
            Self::Info(args) => args.run(app),
            Self::Repair(args) => args.run(app),
        }
    }
}
