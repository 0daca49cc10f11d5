//! `nodekeep metrics dashboard`.

use clap::Args;
use nodekeep_service::metrics::dashboard;

use crate::error::{Error, Result};
use crate::session::App;

/// Print a dashboard for Grafana
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none.

Examples:
  nodekeep metrics dashboard > nodekeep-dashboard.json")]
pub struct Dashboard {}

impl Dashboard {
    pub fn run(&self, app: &App) -> Result<()> {
        let document = dashboard::document();
        let text = serde_json::to_string_pretty(&document);
        app.output.answer(text.map_err(|error| Error::Output(error.into()))?)?;
        app.output.document(&document)
    }
}
