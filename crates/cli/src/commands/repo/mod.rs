//! `nodekeep repo`: the repository itself.

mod audit;
mod copy;
mod info;
mod mirror;
mod repair;
pub(super) mod scrub;
mod sessions;
mod stop_session;

use clap::Subcommand;

use crate::error::Result;
use crate::session::App;

/// The repository itself
#[derive(Debug, Subcommand)]
#[command(after_help = "Also here: repo check is `nodekeep check`.")]
pub enum Repo {
    Info(info::Info),
    Copy(copy::Copy),
    Repair(repair::Repair),
    Scrub(scrub::Scrub),
    Audit(audit::Audit),
    Mirror(mirror::Mirror),
    Sessions(sessions::Sessions),
    StopSession(stop_session::StopSession),
}

impl Repo {
    pub fn run(&self, app: &App) -> Result<()> {
        match self {
            Self::Info(args) => args.run(app),
            Self::Copy(args) => args.run(app),
            Self::Repair(args) => args.run(app),
            Self::Scrub(args) => args.run(app),
            Self::Audit(args) => args.run(app),
            Self::Mirror(args) => args.run(app),
            Self::Sessions(args) => args.run(app),
            Self::StopSession(args) => args.run(app),
        }
    }
}
