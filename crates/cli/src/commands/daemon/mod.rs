//! `nodekeep daemon`: does what is scheduled.

mod alerts;
mod jobs;
mod logs;
mod notify_test;
mod run;
mod run_job;
mod status;
mod token;
pub mod unit;
mod web;

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use nodekeep_service::jobs::journal::Journal;
use nodekeep_service::jobs::runner::Launch;
use nodekeep_service::notify::desk::Desk;
use nodekeep_service::schedule::job::Role;

use super::schedule;
use crate::error::{Error, Result};
use crate::session::App;

/// Do what is scheduled: one process for all nodes of this machine
#[derive(Debug, Subcommand)]
#[command(after_help = "\
The daemon begins each job as a process of its own and keeps everything it knows in files: it may be stopped, killed or updated at any moment.")]
pub enum Command {
    Run(run::Run),
    Status(status::Status),
    Jobs(jobs::Jobs),
    Logs(logs::Logs),
    Alerts(alerts::Alerts),
    NotifyTest(notify_test::NotifyTest),
    Unit(unit::Unit),
    Install(unit::Install),
    Uninstall(unit::Uninstall),
    #[command(subcommand)]
    Token(token::Token),
    RunJob(run_job::RunJob),
}

impl Command {
    pub fn run(&self, app: &App) -> Result<()> {
        match self {
            Self::Run(args) => args.run(app),
            Self::Status(args) => args.run(app),
            Self::Jobs(args) => args.run(app),
            Self::Logs(args) => args.run(app),
            Self::Alerts(args) => args.run(app),
            Self::NotifyTest(args) => args.run(app),
            Self::Unit(args) => args.run(app),
            Self::Install(args) => args.run(app),
            Self::Uninstall(args) => args.run(app),
            Self::Token(args) => args.run(app),
            Self::RunJob(args) => args.run(app),
        }
    }
}

/// What a daemon may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// Back up, and look at health
    Writer,
    /// Read, check, drill and copy too
    Keeper,
    /// Prune too
    Owner,
}

impl RoleArg {
    fn role(self) -> Role {
        match self {
            Self::Writer => Role::Writer,
            Self::Keeper => Role::Keeper,
            Self::Owner => Role::Owner,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Keeper => "keeper",
            Self::Owner => "owner",
        }
    }
}

/// This machine's name.
pub fn host(app: &App) -> String {
    app.settings.host.clone().unwrap_or_else(super::machine_label)
}

/// Where people are told from.
pub fn desk(app: &App) -> Result<Desk> {
    Ok(Desk::new(app.home.data(), schedule::machine(app)?, host(app)))
}

/// The jobs of this machine.
pub fn journal(app: &App) -> Journal {
    Journal::new(app.home.data().join("jobs"))
}

/// This program's own file.
///
/// # Errors
/// If the system does not tell.
pub fn program() -> Result<PathBuf> {
    std::env::current_exe().map_err(Error::file(Path::new("/proc/self/exe"), "read"))
}

/// How jobs are started: this program, and the repository and keys that were named here.
///
/// # Errors
/// As [`program`].
pub fn launch(app: &App) -> Result<Launch> {
    Ok(Launch { program: program()?, options: options(app) })
}

/// The global options that a program started later needs to do the same. The rest is in the configuration file and the environment.
pub fn options(app: &App) -> Vec<String> {
    let settings = &app.settings;
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let config = app.config.as_ref().map(|path| std::path::absolute(path).unwrap_or(path.clone()));
    let named = [
        ("--config", path(&config)),
        ("--repo", settings.repo.clone()),
        ("--identity", path(&settings.identity)),
        ("--credential", path(&settings.credential)),
    ];
    let given = named.into_iter().filter_map(|(option, value)| Some((option, value?)));
    given.flat_map(|(option, value)| [option.to_owned(), value]).collect()
}
