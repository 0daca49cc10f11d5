//! `nodekeep minima`: a Minima node's own files and keys, without the node.

mod decrypt;
mod encrypt;
mod fetch_archive;
mod keys;
pub mod opening;
mod serve;
mod show;
mod verify;

use clap::Subcommand;

use crate::error::Result;
use crate::session::App;

/// Look into a Minima node's own backups and archives, check them, make them
#[derive(Debug, Subcommand)]
#[command(after_help = "\
These work on files that a node made itself, with its own password, and need no node and no repository. docs/from-minima.md tells which command takes the place of which of Minima's.")]
pub enum Minima {
    Verify(verify::Verify),
    Show(show::Show),
    Decrypt(decrypt::Decrypt),
    Encrypt(encrypt::Encrypt),
    #[command(subcommand)]
    Keys(keys::Keys),
    Serve(serve::Serve),
    FetchArchive(fetch_archive::FetchArchive),
}

impl Minima {
    pub fn run(&self, app: &App) -> Result<()> {
        match self {
            Self::Verify(args) => args.run(app),
            Self::Show(args) => args.run(app),
            Self::Decrypt(args) => args.run(app),
            Self::Encrypt(args) => args.run(app),
            Self::Keys(command) => command.run(app),
            Self::Serve(args) => args.run(app),
            Self::FetchArchive(args) => args.run(app),
        }
    }
}
