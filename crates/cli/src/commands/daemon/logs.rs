//! `nodekeep daemon logs`.

use std::fs;
use std::io;

use clap::Args;
use nodekeep_service::jobs::JobId;
use serde_json::{Value, json};

use super::journal;
use crate::error::{Error, Result};
use crate::render;
use crate::session::App;

/// Print what a job wrote
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none. Without a job, the newest one. What the daemon itself writes is in the journal of systemd: journalctl --user -u nodekeep

Examples:
  nodekeep daemon logs
  nodekeep daemon logs 06920a1c0f3b2")]
pub struct Logs {
    /// The job
    #[arg(value_name = "JOB", value_parser = parse_id)]
    job: Option<JobId>,
}

fn parse_id(text: &str) -> Result<JobId, String> {
    text.parse().map_err(|()| "a job's id is 18 hexadecimal digits".to_owned())
}

impl Logs {
    pub fn run(&self, app: &App) -> Result<()> {
        let journal = journal(app);
        let record = match &self.job {
            Some(id) => Some(journal.read(id)?),
            None => journal.all()?.pop(),
        };
        let Some(record) = record else {
            app.output.say("There were no jobs yet.")?;
            return app.output.document(&json!({ "job": null }));
        };
        let log = text(&journal.log(&record.id))?;
        let out = text(&journal.out(&record.id))?;
        app.output.remark(format!("Job {}: nodekeep {}", record.id, record.arguments.join(" ")));
        for text in [&log, &out] {
            if !text.trim().is_empty() {
                app.output.answer(lines(text))?;
            }
        }
        let result: Value = serde_json::from_str(&out).unwrap_or(Value::Null);
        app.output.document(&json!({ "job": record, "log": log, "result": result }))
    }
}

/// Without what would steer the terminal.
fn lines(text: &str) -> String {
    text.trim_end().lines().map(|line| render::path(line.as_bytes())).collect::<Vec<_>>().join("\n")
}

fn text(path: &std::path::Path) -> Result<String> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        result => {
            let bytes = result.map_err(Error::file(path, "read"))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
    }
}
