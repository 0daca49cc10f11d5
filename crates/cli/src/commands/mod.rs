//! One file for each command: its arguments, its help, and what it does.

mod applets;
pub mod backup;
pub mod check;
pub mod completions;
pub mod config;
pub mod daemon;
pub mod drill;
pub mod guard;
pub mod health;
pub mod init;
mod keep;
pub mod key;
pub mod maintenance;
pub mod man;
pub mod metrics;
pub mod minima;
pub mod node;
pub mod overview;
pub mod repo;
pub mod restore;
pub mod runbook;
pub mod schedule;
pub mod snapshot;
pub mod status;
mod worst_day;

pub use init::machine_label;

use crate::args::Command;
use crate::error::Result;
use crate::session::App;

/// Runs a command; none: looks around.
///
/// # Errors
/// Whatever stopped it.
pub fn run(command: Option<Command>, app: &App) -> Result<()> {
    match command {
        None => overview::run(app),
        Some(Command::Init(args)) => args.run(app),
        Some(Command::Backup(args)) => args.run(app),
        Some(Command::Restore(args)) => args.run(app),
        Some(Command::Check(args)) => args.run(app),
        Some(Command::Status(args)) => args.run(app),
        Some(Command::Node(command)) => command.run(app),
        Some(Command::Health(args)) => args.run(app),
        Some(Command::Drill(args)) => args.run(app),
        Some(Command::Guard(args)) => args.run(app),
        Some(Command::Deploy(args)) => args.run(app),
        Some(Command::Maintenance(command)) => command.run(app),
        Some(Command::Runbook(args)) => args.run(app),
        Some(Command::Schedule(command)) => command.run(app),
        Some(Command::Daemon(command)) => command.run(app),
        Some(Command::Metrics(command)) => command.run(app),
        Some(Command::Config(command)) => command.run(app),
        Some(Command::Snapshot(command)) => command.run(app),
        Some(Command::Key(command)) => command.run(app),
        Some(Command::Repo(command)) => command.run(app),
        Some(Command::Minima(command)) => command.run(app),
        Some(Command::Completions(args)) => args.run(app),
        Some(Command::Man(args)) => args.run(app),
    }
}
