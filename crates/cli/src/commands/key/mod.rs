//! `nodekeep key`: recovery words, passphrase, and who may read and write.

mod add;
mod list;
mod lock;
mod remove;
mod wipe;
mod words;

use clap::Subcommand;

pub use list::document as roster_document;

use crate::error::Result;
use crate::session::App;

/// Recovery words, passphrase, and who may read and write
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Also spelled: vault seed|passwordlock|passwordunlock|wipekeys|restorekeys, recipient add|list|remove, rekey.")]
pub enum Key {
    Words(words::Words),
    Lock(lock::Lock),
    Unlock(lock::Unlock),
    Wipe(wipe::Wipe),
    Restore(wipe::Restore),
    List(list::List),
    Add(add::Add),
    Remove(remove::Remove),
    Rotate(remove::Rotate),
}

impl Key {
    pub fn run(&self, app: &App) -> Result<()> {
        match self {
            Self::Words(args) => args.run(app),
            Self::Lock(args) => args.run(app),
            Self::Unlock(args) => args.run(app),
            Self::Wipe(args) => args.run(app),
            Self::Restore(args) => args.run(app),
            Self::List(args) => args.run(app),
            Self::Add(args) => args.run(app),
            Self::Remove(args) => args.run(app),
            Self::Rotate(args) => args.run(app),
        }
    }
}
