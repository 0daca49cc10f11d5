//! `nodekeep snapshot`: look into snapshots, compare, delete and export them.

mod cat;
mod delete;
mod diff;
mod export;
mod find;
mod import;
mod list;
mod ls;
mod mount;
mod prune;
mod show;

use clap::Subcommand;

use crate::error::Result;
use crate::session::App;

pub use list::{document as snapshot_document, group, paths_text};
pub use prune::parse_span;
pub use show::unreadable;

/// How to name a snapshot, for the help of every command that takes one.
macro_rules! reference_help {
    ($role:literal, $rest:literal) => {
        concat!(
            "Role: ",
            $role,
            "\n\nName a snapshot by the start of its id (4f2a), `latest`, NODE or NODE@WHEN (guts@latest~1), PATH@WHEN (./notes@latest~1, ",
            "/srv/x@2026-11-19, /srv/x@2026-11-19T08:00), or the name of a portable file (x.nkb).\n\n",
            $rest
        )
    };
}
pub(crate) use reference_help;

/// Look into snapshots, compare, delete and export them
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Also spelled: backup list|show|diff|delete|prune|export.")]
pub enum Snapshot {
    List(list::List),
    Show(show::Show),
    Ls(ls::Ls),
    Find(find::Find),
    Cat(cat::Cat),
    Diff(diff::Diff),
    Delete(delete::Delete),
    Prune(prune::Prune),
    Export(export::Export),
    Import(import::Import),
    Decrypt(export::Decrypt),
    Mount(mount::Mount),
}

impl Snapshot {
    pub fn run(&self, app: &App) -> Result<()> {
        match self {
            Self::List(args) => args.run(app),
            Self::Show(args) => args.run(app),
            Self::Ls(args) => args.run(app),
            Self::Find(args) => args.run(app),
            Self::Cat(args) => args.run(app),
            Self::Diff(args) => args.run(app),
            Self::Delete(args) => args.run(app),
            Self::Export(args) => args.run(app),
            Self::Import(args) => args.run(app),
            Self::Decrypt(args) => args.run(app),
            Self::Prune(args) => args.run(app),
            Self::Mount(args) => args.run(app),
        }
    }
}
