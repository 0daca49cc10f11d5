//! The command line of Nodekeep. It parses, calls the engine, and says what happened.

mod aliases;
mod args;
mod commands;
mod copies;
mod error;
mod exit;
mod fleet;
mod home;
mod interrupt;
mod mount;
mod nodes;
mod output;
mod portable;
mod progress;
mod prompt;
mod refs;
mod render;
mod secrets;
mod session;
mod settings;
mod target;
mod trial;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches;
use clap::error::ErrorKind;

use crate::args::{Cli, Globals};
use crate::error::{Error, Result};
use crate::home::Home;
use crate::output::Output;
use crate::secrets::Secrets;
use crate::session::App;
use crate::settings::Settings;

/// Backup and restore hold one open folder for each level of a tree: as many as the system lets us.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // With fewer, all but very deep trees still work.
    _ = setrlimit(Resource::Nofile, limit);
}

/// A job of the daemon tells how far it is.
fn tell_progress(app: &App) {
    let job = std::env::var(nodekeep_service::jobs::runner::JOB_VARIABLE).ok();
    if let Some(job) = job.and_then(|id| id.parse().ok()) {
        progress::tell_in(commands::daemon::journal(app).progress(&job));
    }
}

/// A job ends when the runner above it does, also when that is killed.
fn end_with_runner() {
    if std::env::var_os(nodekeep_service::jobs::runner::JOB_VARIABLE).is_some() {
        _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
    }
}

fn main() -> ExitCode {
    raise_open_files();
    end_with_runner();
    let secrets = Secrets::take();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let fallback = Output::new(arguments.iter().any(|argument| argument == "--json"), false, true);
    let cli = match aliases::rewrite(arguments).map(parse) {
        Ok(Ok(cli)) => cli,
        Ok(Err(error)) => return refuse(&error, &fallback),
        Err(error) => return ExitCode::from(exit::report(&error, &fallback)),
    };
    let output = Output::new(cli.globals.json, cli.globals.quiet, cli.globals.no_color);
    let mends_settings = matches!(cli.command, Some(args::Command::Config(_)));
    let done = start(&cli.globals, secrets, mends_settings).and_then(|app| {
        tell_progress(&app);
        nodes::resume(&app);
        commands::run(cli.command, &app)
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(exit::report(&error, &output)),
    }
}

fn parse(arguments: Vec<OsString>) -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&Cli::grammar().try_get_matches_from(arguments)?)
}

/// `mends_settings`: a file of settings that cannot be used must not keep the command from mending it.
fn start(globals: &Globals, secrets: Secrets, mends_settings: bool) -> Result<App> {
    let home = Home::find()?;
    let settings = match Settings::load(globals, &home) {
        Err(_) if mends_settings => Settings { color: true, ..Settings::default() },
        settings => settings?,
    };
    let output = Output::new(globals.json, globals.quiet, !settings.color);
    let config = settings::chosen(globals);
    Ok(App { output, settings, home, secrets, config })
}

/// Help and version are answers; anything else is a usage error in the words of clap.
fn refuse(error: &clap::Error, output: &Output) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            _ = error.print();
            ExitCode::SUCCESS
        }
        _ if output.json => ExitCode::from(exit::report(&Error::Parse(error.to_string()), output)),
        _ => {
            _ = error.print();
            ExitCode::from(exit::Class::Usage.exit_code())
        }
    }
}
