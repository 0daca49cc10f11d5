//! `nodekeep schedule run-now`: also what lines of cron and units of systemd run.

use clap::Args;
use jiff::Timestamp;
use nodekeep_service::jobs::{Record, runner};
use nodekeep_service::schedule::decide::{Due, Ending};
use serde_json::json;

use super::book;
use crate::commands::daemon::{desk, journal, launch};
use crate::error::{Error, Result};
use crate::interrupt;
use crate::session::App;

/// Run a schedule's job now, and wait for it
#[derive(Debug, Args)]
#[command(after_help = "\
Role: that of the job.

The exit code is that of the job's command; `nodekeep daemon logs JOB` shows what it wrote.

Examples:
  nodekeep schedule run-now guts")]
pub struct RunNow {
    /// The schedule's name
    #[arg(value_name = "SCHEDULE")]
    name: String,
}

/// Without a daemon this is where people are told.
fn tell(app: &App, record: &Record) -> Result<()> {
    if nodekeep_service::daemon::is_running(app.home.data())? {
        return Ok(());
    }
    let (desk, channels) = (desk(app)?, &app.settings.notify);
    desk.ended(channels, record)?;
    desk.look(channels, None, Timestamp::now())?;
    for (channel, reason) in desk.send(channels)?.lost {
        app.output.alert(format!("{channel} was not told: {reason}"));
    }
    Ok(())
}

impl RunNow {
    pub fn run(&self, app: &App) -> Result<()> {
        interrupt::watch();
        let (book, journal) = (book(app), journal(app));
        let schedule = book.schedule(&self.name)?;
        journal.bury(&book, journal.open()?)?;
        let now = Timestamp::now();
        let due = Due { schedule: schedule.name.clone(), slot: now, attempt: 1, missed: 0 };
        let record = journal.begin(&book, &schedule, &due)?;
        let record = runner::run(&journal, &book, &record.id, &launch(app)?, interrupt::asked)?;
        crate::nodes::resume(app);
        tell(app, &record)?;
        let Some(ended) = &record.ended else {
            return Err(Error::Exit(1));
        };
        let took = crate::render::time::duration(
            ended.at.duration_since(record.begun).try_into().unwrap_or_default(),
        );
        match ended.ending {
            Ending::Done => app.output.say(format!("{}: done in {took}.", self.name))?,
            _ => app.output.alert(format!(
                "{}: {}. What it wrote: nodekeep daemon logs {}",
                self.name,
                ended.message.as_deref().unwrap_or("failed"),
                record.id
            )),
        }
        app.output.document(&json!({ "job": record }))?;
        match ended.code {
            Some(0) => Ok(()),
            code => Err(Error::Exit(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))),
        }
    }
}
