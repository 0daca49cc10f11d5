//! `nodekeep schedule`: what is done when.

mod add;
mod export;
mod list;
mod run_now;
mod set;
mod show;

use clap::Subcommand;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use nodekeep_service::schedule::book::Book;
use nodekeep_service::schedule::decide::{Ending, Past};
use nodekeep_service::schedule::job::Role;
use nodekeep_service::schedule::rhythm::Pattern;
use nodekeep_service::schedule::{Planned, Schedule};
use serde_json::{Value, json};

use crate::error::Result;
use crate::nodes;
use crate::session::App;

/// Set up what is done when: backups, checks, drills, clean-ups
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Schedules are kept on this machine. The daemon does what is due: `nodekeep daemon install`. Without a daemon, `nodekeep schedule export --format cron` or `--format systemd` writes lines that do the same.")]
pub enum Command {
    Add(Box<add::Add>),
    List(list::List),
    Show(show::Show),
    Pause(set::Pause),
    Resume(set::Resume),
    Remove(set::Remove),
    RunNow(run_now::RunNow),
    Export(export::Export),
}

impl Command {
    pub fn run(&self, app: &App) -> Result<()> {
        match self {
            Self::Add(args) => args.run(app),
            Self::List(args) => args.run(app),
            Self::Show(args) => args.run(app),
            Self::Pause(args) => args.run(app),
            Self::Resume(args) => args.run(app),
            Self::Remove(args) => args.run(app),
            Self::RunNow(args) => args.run(app),
            Self::Export(args) => args.run(app),
        }
    }
}

/// The schedules of this machine.
pub fn book(app: &App) -> Book {
    Book::new(app.home.data().to_owned())
}

/// What tells this machine from others.
pub fn machine(app: &App) -> Result<String> {
    let host = app.settings.host.clone().unwrap_or_else(super::machine_label);
    Ok(nodes::state(app).machine(&host)?.id)
}

/// `daily at 02:00`, as a person says it.
pub fn when_text(schedule: &Schedule) -> String {
    format!("{} ({})", words(&schedule.when), schedule.zone)
}

/// A pattern in words, for the middle of a line.
fn words(when: &Pattern) -> String {
    let text = when.describe();
    let mut letters = text.trim_end_matches('.').chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// In the schedule's own zone: `Mon 2026-11-23 02:00`.
fn moment_text(stamp: Timestamp, zone: &str) -> String {
    let zone = TimeZone::get(zone).unwrap_or_else(|_| TimeZone::system());
    stamp.to_zoned(zone).strftime("%a %Y-%m-%d %H:%M").to_string()
}

fn role_text(role: Role) -> &'static str {
    match role {
        Role::Writer => "writer",
        Role::Keeper => "keeper",
        Role::Owner => "owner",
    }
}

/// How the newest run ended, in a word or two.
fn past_text(past: &Past, zone: &str) -> String {
    let Some(run) = &past.run else {
        return "never".to_owned();
    };
    match run.ended {
        None => "running".to_owned(),
        Some((at, ending)) => {
            let word = match ending {
                Ending::Done => "ok",
                Ending::Retry => "failed, tried again",
                Ending::Failed => "FAILED",
            };
            format!("{word} {}", moment_text(at, zone))
        }
    }
}

/// When it runs next, of a machine that is on; `None` while it is paused.
fn next_of(plan: &Planned, now: Timestamp) -> Option<Timestamp> {
    if plan.schedule.paused { None } else { plan.next_start(plan.schedule.since, now) }
}

fn document(plan: &Planned, past: &Past) -> Value {
    let schedule = &plan.schedule;
    json!({
        "name": schedule.name,
        "node": schedule.node,
        "job": schedule.job.word(),
        "role": role_text(schedule.job.role()),
        "command": schedule.job.arguments(schedule.node.as_deref()),
        "when": schedule.when.to_string(),
        "zone": schedule.zone,
        "jitter_secs": schedule.jitter_secs,
        "catch_up": schedule.catch_up,
        "retries": schedule.retries,
        "retry_after_secs": schedule.retry_after_secs,
        "paused": schedule.paused,
        "next": next_of(plan, Timestamp::now()).map(|stamp| stamp.to_string()),
        "last": past.run,
    })
}
