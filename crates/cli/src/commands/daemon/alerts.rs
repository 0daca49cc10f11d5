//! `nodekeep daemon alerts`.

use clap::Args;
use serde_json::json;

use super::desk;
use crate::error::{Error, Result};
use crate::exit;
use crate::render::{self, Table, time};
use crate::session::App;

/// List what is wrong, and messages that nobody has taken yet
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none.

Exit code 1: something is wrong.

Examples:
  nodekeep daemon alerts")]
pub struct Alerts {}

impl Alerts {
    pub fn run(&self, app: &App) -> Result<()> {
        let desk = desk(app)?;
        let alerts = desk.alerts()?;
        let waiting = desk.outbox().waiting()?;
        let mut table = Table::new(&["topic", "since", "what"]);
        for alert in alerts.values() {
            table.row([
                alert.topic.to_string(),
                time::date_time(alert.since.as_millisecond()),
                render::path(alert.title.as_bytes()),
            ]);
        }
        match table.is_empty() {
            true => app.output.say("Nothing is wrong.")?,
            false => app.output.answer(table.text())?,
        }
        for one in &waiting {
            let refused = one.refused.clone().unwrap_or_else(|| "not tried yet".to_owned());
            let text = format!("{}: {} ({refused})", one.channel, one.message.title);
            app.output.answer(format!("waits  {}", render::path(text.as_bytes())))?;
        }
        app.output.document(&json!({ "alerts": alerts, "waiting": waiting }))?;
        match alerts.is_empty() {
            true => Ok(()),
            false => Err(Error::Exit(exit::Class::Failed.exit_code())),
        }
    }
}
