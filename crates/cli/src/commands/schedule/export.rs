//! `nodekeep schedule export`: the same by cron or systemd, for those who want no daemon.

use clap::{Args, ValueEnum};
use nodekeep_service::schedule::{Schedule, ScheduleError};
use serde_json::json;

use super::add::zone_here;
use super::book;
use crate::commands::daemon::{options, program};
use crate::error::Result;
use crate::render::shell;
use crate::session::App;

/// Write lines for cron, or units for systemd, that do what the daemon would
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none.

Neither cron nor systemd makes up for missed runs by Nodekeep's rules, tries again, or keeps runs of one node apart by waiting: a run that meets another ends with exit code 11.

Examples:
  nodekeep schedule export --format cron | sudo tee /etc/cron.d/nodekeep
  nodekeep schedule export --format systemd")]
pub struct Export {
    /// For whom
    #[arg(long, value_enum)]
    format: Format,
    /// As which user cron runs it: a column of files in /etc/cron.d
    #[arg(long, value_name = "USER")]
    user: Option<String>,
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
        let parts: Vec<String> = schedules
            .iter()
            .map(|schedule| match self.format {
                Format::Cron => Ok(self.cron(schedule, &command)),
                Format::Systemd => systemd(schedule, &command),
            })
            .collect::<Result<_>>()?;
        app.output.answer(parts.join("\n"))?;
        app.output.document(&json!({ "text": parts.join("\n") }))
    }

    fn cron(&self, schedule: &Schedule, command: &str) -> String {
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

fn systemd(schedule: &Schedule, command: &str) -> Result<String> {
    let name = &schedule.name;
    let no_calendar =
        || ScheduleError::NoCalendar { name: name.to_string(), text: schedule.when.to_string() };
    let calendar = schedule.when.calendar().ok_or_else(no_calendar)?;
    let line = |line: &String| format!("OnCalendar={line} {}\n", schedule.zone);
    // systemd reads `%` as a placeholder.
    let command = command.replace('%', "%%");
    let service = [
        format!("# nodekeep-{name}.service"),
        format!("[Unit]\nDescription=Nodekeep: {}\n", schedule.job.word()),
        format!("[Service]\nType=oneshot\nExecStart={command} schedule run-now {name}\n"),
    ];
    let timer = [
        format!("# nodekeep-{name}.timer"),
        format!("[Unit]\nDescription=Nodekeep: when nodekeep-{name}.service runs\n"),
        format!("[Timer]\n{}", calendar.iter().map(line).collect::<String>().trim_end()),
        format!("RandomizedDelaySec={}", schedule.jitter_secs),
        format!("Persistent={}\n", schedule.catch_up),
        "[Install]\nWantedBy=timers.target\n".to_owned(),
    ];
    Ok([service.as_slice(), timer.as_slice()].concat().join("\n"))
}
