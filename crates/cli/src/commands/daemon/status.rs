//! `nodekeep daemon status`.

use clap::Args;
use jiff::Timestamp;
use nodekeep_service::daemon;
use nodekeep_service::schedule::decide::Ending;
use serde_json::json;

use super::journal;
use crate::commands::schedule;
use crate::error::{Error, Result};
use crate::exit;
use crate::render::{counted, time};
use crate::session::App;

/// Say whether the daemon works, and what comes next
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none.

Exit code 1: schedules are set up, and no daemon runs.

Examples:
  nodekeep daemon status")]
pub struct Status {}

impl Status {
    pub fn run(&self, app: &App) -> Result<()> {
        let is_running = daemon::is_running(app.home.data())?;
        let book = schedule::book(app);
        let plans = book.planned(&schedule::machine(app)?)?;
        let now = Timestamp::now();
        let coming = plans.iter().filter(|plan| !plan.schedule.paused);
        let next = coming.filter_map(|plan| {
            let start = plan.next_start(plan.schedule.since, now)?;
            Some((start, plan.schedule.name.to_string()))
        });
        let next = next.min();
        let records = journal(app).all()?;
        let open = records.iter().filter(|record| record.ended.is_none()).count();
        let is_bad = |past: &&nodekeep_service::schedule::decide::Past| {
            let ended = past.run.as_ref().and_then(|run| run.ended);
            ended.is_some_and(|(_, ending)| ending != Ending::Done)
        };
        let history = book.history()?;
        let failing = history.values().filter(is_bad).count();
        app.output.answer(format!(
            "The daemon {}. {}, {} running, {} of the schedules failed the last time.",
            if is_running { "works" } else { "does not run" },
            counted(plans.len() as u64, "schedule"),
            counted(open as u64, "job"),
            failing
        ))?;
        if let Some((start, name)) = &next {
            app.output
                .answer(format!("Next: {name} at {}", time::date_time(start.as_millisecond())))?;
        }
        app.output.document(&json!({
            "running": is_running,
            "schedules": plans.len(),
            "jobs": open,
            "failing": failing,
            "next": next.map(|(start, name)| json!({ "schedule": name, "at": start.to_string() })),
        }))?;
        match is_running || plans.is_empty() {
            true => Ok(()),
            false => Err(Error::Exit(exit::Class::Failed.exit_code())),
        }
    }
}
