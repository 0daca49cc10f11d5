//! `nodekeep metrics show`.

use clap::Args;
use serde_json::json;

use super::page;
use crate::error::Result;
use crate::session::App;

/// Print the metrics as Prometheus reads them
#[derive(Debug, Args)]
#[command(after_help = "\
Role: any. A writer tells of its own nodes only.

Examples:
  nodekeep metrics show
  nodekeep metrics show | promtool check metrics")]
pub struct Show {}

impl Show {
    pub fn run(&self, app: &App) -> Result<()> {
        let page = page(app)?;
        app.output.answer(page.trim_end())?;
        app.output.document(&json!({ "text": page }))
    }
}
