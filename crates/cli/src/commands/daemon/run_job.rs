//! `nodekeep daemon run-job`: the small process above each job.

use clap::Args;
use nodekeep_service::jobs::JobId;
use nodekeep_service::jobs::runner;

use super::{RoleArg, journal, launch};
use crate::commands::schedule::book;
use crate::error::{Error, Result};
use crate::interrupt;
use crate::nodes;
use crate::session::App;

/// Run one job of the journal to its end
#[derive(Debug, Args)]
#[command(hide = true)]
pub struct RunJob {
    /// The job
    #[arg(value_name = "JOB", value_parser = parse_id)]
    id: JobId,
    /// What it may do
    #[arg(long, value_enum)]
    role: RoleArg,
}

impl RunJob {
    pub fn run(&self, app: &App) -> Result<()> {
        interrupt::watch();
        let mut launch = launch(app)?;
        launch.options.extend(["--as-role".to_owned(), self.role.word().to_owned()]);
        let record = runner::run(&journal(app), &book(app), &self.id, &launch, interrupt::asked)?;
        // A program that was killed may have left a node held.
        nodes::resume(app);
        match record.ended.and_then(|ended| ended.code) {
            Some(0) => Ok(()),
            code => Err(Error::Exit(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))),
        }
    }
}

fn parse_id(text: &str) -> Result<JobId, String> {
    text.parse().map_err(|()| "a job's id is 18 hexadecimal digits".to_owned())
}
