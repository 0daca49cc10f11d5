//! `nodekeep node`: the nodes of this machine.

mod add;
mod detect;
mod identity;
mod list;
mod profiles;
mod remove;
mod retire;
mod show;

use clap::Subcommand;

use crate::error::Result;
use crate::session::App;

/// Register nodes: what they own, and where it lies
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A node is a name for a system that runs here: `nodekeep backup NAME` then copies it consistently while it runs, and `nodekeep restore NAME` brings it back.")]
pub enum Node {
    Detect(detect::Detect),
    Add(add::Add),
    List(list::List),
    Show(show::Show),
    Remove(remove::Remove),
    Profiles(profiles::Profiles),
    Identity(identity::Identity),
    Retire(retire::Retire),
}

impl Node {
    pub fn run(&self, app: &App) -> Result<()> {
        match self {
            Self::Detect(args) => args.run(app),
            Self::Add(args) => args.run(app),
            Self::List(args) => args.run(app),
            Self::Show(args) => args.run(app),
            Self::Remove(args) => args.run(app),
            Self::Profiles(args) => args.run(app),
            Self::Identity(args) => args.run(app),
            Self::Retire(args) => args.run(app),
        }
    }
}
