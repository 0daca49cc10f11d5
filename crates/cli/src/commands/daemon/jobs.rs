//! `nodekeep daemon jobs`.

use clap::Args;
use nodekeep_service::jobs::Record;
use nodekeep_service::schedule::decide::Ending;
use serde_json::json;

use super::journal;
use crate::error::Result;
use crate::render::{self, Table, time};
use crate::session::App;

/// List jobs: what ran, what runs, how it ended
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none.

Examples:
  nodekeep daemon jobs
  nodekeep daemon jobs --failed --json")]
pub struct Jobs {
    /// Only those of this schedule
    #[arg(value_name = "SCHEDULE")]
    schedule: Option<String>,
    /// Only those that did not end well
    #[arg(long)]
    failed: bool,
    /// The newest so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    last: usize,
}

impl Jobs {
    pub fn run(&self, app: &App) -> Result<()> {
        let mut records = journal(app).all()?;
        records.retain(|record| self.wants(record));
        let surplus = records.len().saturating_sub(self.last);
        records.drain(..surplus);
        let mut table = Table::new(&["job", "schedule", "what", "began", ">took", "ended"]);
        for record in &records {
            table.row([
                record.id.to_string(),
                record.title(),
                record.word.clone(),
                time::date_time(record.begun.as_millisecond()),
                took(record),
                render::path(ended(record).as_bytes()),
            ]);
        }
        match table.is_empty() {
            true => app.output.say("No such jobs.")?,
            false => app.output.answer(table.text())?,
        }
        app.output.document(&json!({ "jobs": records }))
    }

    fn wants(&self, record: &Record) -> bool {
        let of_schedule = self.schedule.as_ref().is_none_or(|name| {
            record.schedule.as_ref().is_some_and(|known| known.as_str() == name)
        });
        let went_well = record.ended.as_ref().is_none_or(|ended| ended.ending == Ending::Done);
        of_schedule && !(self.failed && went_well)
    }
}

fn took(record: &Record) -> String {
    let span = record.ended.as_ref().map(|ended| ended.at.duration_since(record.begun));
    span.map_or_else(String::new, |span| time::duration(span.try_into().unwrap_or_default()))
}

fn ended(record: &Record) -> String {
    match &record.ended {
        None if record.waits => "waiting".to_owned(),
        None => "running".to_owned(),
        Some(ended) => match (ended.ending, &ended.message) {
            (Ending::Done, _) => "ok".to_owned(),
            (_, Some(message)) => format!("FAILED: {message}"),
            (_, None) => "FAILED".to_owned(),
        },
    }
}
