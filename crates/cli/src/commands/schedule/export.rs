//! `nodekeep schedule export`: the same by cron or systemd, for those who want no daemon.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use nodekeep_service::schedule::{Schedule, ScheduleError};
use serde_json::json;

use super::add::zone_here;
use super::book;
use crate::commands::daemon::unit::environment;
use crate::commands::daemon::{options, program};
use crate::error::{Error, Result};
use crate::home;
use crate::render::{counted, shell};
use crate::session::App;

/// Write lines for cron, or units for systemd, that do what the daemon would
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none.

Neither cron nor systemd makes up for missed runs by Nodekeep's rules, tries again, or keeps runs of one node apart by waiting: a run that meets another ends with exit code 11.

Examples:
  nodekeep schedule export --format cron | sudo tee /etc/cron.d/nodekeep
  nodekeep schedule export --format systemd
  nodekeep schedule export --format systemd --output /etc/systemd/system")]
pub struct Export {
    /// For whom
    #[arg(long, value_enum)]
    format: Format,
    /// As which user cron runs it: a column of files in /etc/cron.d
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Write each unit into a file of its own in this folder, such as /etc/systemd/system
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Lines of a crontab
    Cron,
    /// A service and a timer for each schedule
    Systemd,
}

impl Export {
    pub fn run(&self, app: &App) -> Result<()> {
        let mut schedules = book(app).schedules()?;
        schedules.retain(|schedule| !schedule.paused);
        let command = command(app)?;
        if let Format::Cron = self.format {
            if self.output.is_some() {
                return Err(Error::Options("--output goes with --format systemd"));
            }
            let lines = schedules.iter().map(|schedule| self.cron(app, schedule, &command));
            return tell(app, &lines.collect::<Vec<_>>().join("\n"));
        }
        let units = schedules.iter().map(|schedule| units(app, schedule, &command));
        let units: Vec<Unit> = units.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        match &self.output {
            None => {
                let texts = units.iter().map(|unit| format!("# {}\n{}", unit.name, unit.text));
                tell(app, texts.collect::<Vec<_>>().join("\n").trim_end())
            }
            Some(folder) => write(app, folder, &units),
        }
    }

    fn cron(&self, app: &App, schedule: &Schedule, command: &str) -> String {
        // cron gives a `HOME`, and nothing else of this environment.
        let own = app.home.variables().into_iter().filter(|(name, _)| *name != "HOME");
        let own = own.map(|(name, path)| format!("{name}={} ", shell(&path.display().to_string())));
        let command = format!("{}{command}", own.collect::<String>());
        let user = self.user.iter().map(|user| format!("{user} ")).collect::<String>();
        // A `%` ends a line of a crontab.
        let command = command.replace('%', "\\%");
        let zone = match schedule.zone == zone_here() {
            true => String::new(),
            false => {
                format!("# The cron of Debian does not know CRON_TZ.\nCRON_TZ={}\n", schedule.zone)
            }
        };
        format!("{zone}{} {user}{command} schedule run-now {}", schedule.when, schedule.name)
    }
}

fn command(app: &App) -> Result<String> {
    let words = std::iter::once(program()?.display().to_string()).chain(options(app));
    let mut words: Vec<String> = words.map(|word| shell(&word)).collect();
    words.push("--quiet".to_owned());
    Ok(words.join(" "))
}

/// A unit of systemd.
struct Unit {
    name: String,
    text: String,
}

fn tell(app: &App, text: &str) -> Result<()> {
    app.output.answer(text)?;
    app.output.document(&json!({ "text": text }))
}

fn write(app: &App, folder: &Path, units: &[Unit]) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::file(folder, "make"))?;
    for unit in units {
        home::replace_public(&folder.join(&unit.name), &unit.text)?;
    }
    let names: Vec<&str> = units.iter().map(|unit| unit.name.as_str()).collect();
    let timers: Vec<&str> = names.iter().copied().filter(|name| name.ends_with("timer")).collect();
    let count = counted(units.len() as u64, "unit");
    app.output.say(format!("Wrote {count} into {}.", folder.display()))?;
    if !timers.is_empty() {
        let timers = timers.join(" ");
        let line = format!("systemctl daemon-reload && systemctl enable --now {timers}");
        app.output.say(format!("Begin: {line}"))?;
    }
    app.output.document(&json!({ "folder": folder, "units": names }))
}

fn what(schedule: &Schedule) -> String {
    let word = schedule.job.word();
    schedule.node.as_ref().map_or_else(|| word.to_owned(), |node| format!("{word} of {node}"))
}

fn units(app: &App, schedule: &Schedule, command: &str) -> Result<[Unit; 2]> {
    let name = &schedule.name;
    let no_calendar =
        || ScheduleError::NoCalendar { name: name.to_string(), text: schedule.when.to_string() };
    let calendar = schedule.when.calendar().ok_or_else(no_calendar)?;
    let line = |line: &String| format!("OnCalendar={line} {}\n", schedule.zone);
    // systemd reads `%` as a placeholder.
    let command = command.replace('%', "%%");
    let service = [
        format!("[Unit]\nDescription=Nodekeep: {}\n", what(schedule)),
        format!("[Service]\nType=oneshot\n{}", environment(app).trim_end()),
        format!("ExecStart={command} schedule run-now {name}\n"),
    ];
    let timer = [
        format!("[Unit]\nDescription=Nodekeep: when nodekeep-{name}.service runs\n"),
        format!("[Timer]\n{}", calendar.iter().map(line).collect::<String>().trim_end()),
        format!("RandomizedDelaySec={}", schedule.jitter_secs),
        format!("Persistent={}\n", schedule.catch_up),
        "[Install]\nWantedBy=timers.target\n".to_owned(),
    ];
    let unit = |kind: &str, parts: &[String]| Unit {
        name: format!("nodekeep-{name}.{kind}"),
        text: parts.join("\n"),
    };
    Ok([unit("service", &service), unit("timer", &timer)])
}
