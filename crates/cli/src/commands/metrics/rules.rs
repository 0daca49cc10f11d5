//! `nodekeep metrics rules`.

use clap::Args;
use nodekeep_service::metrics::rules;
use serde_json::json;

use crate::error::Result;
use crate::session::App;

/// Print alert rules for Prometheus, each with the command that helps
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none.

Examples:
  nodekeep metrics rules > /etc/prometheus/nodekeep.rules.yml
  promtool check rules /etc/prometheus/nodekeep.rules.yml")]
pub struct Rules {}

impl Rules {
    pub fn run(&self, app: &App) -> Result<()> {
        let file = rules::file();
        app.output.answer(file.trim_end())?;
        app.output.document(&json!({ "text": file }))
    }
}
