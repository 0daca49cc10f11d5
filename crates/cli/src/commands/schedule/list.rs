//! `nodekeep schedule list`.

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::{book, document, machine, moment_text, next_of, past_text, words};
use crate::error::Result;
use crate::render::Table;
use crate::session::App;

/// List schedules with their next and last run
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none.

Examples:
  nodekeep schedule list
  nodekeep schedule list guts --json

Also spelled: backup schedule list.")]
pub struct List {
    /// Only those of this node
    #[arg(value_name = "NODE")]
    node: Option<String>,
}

impl List {
    pub fn run(&self, app: &App) -> Result<()> {
        let book = book(app);
        let mut plans = book.planned(&machine(app)?)?;
        plans.retain(|plan| self.node.is_none() || plan.schedule.node == self.node);
        let history = book.history()?;
        let now = Timestamp::now();
        let mut table = Table::new(&["schedule", "job", "of", "when", "next", "last"]);
        let mut documents = Vec::new();
        for plan in &plans {
            let schedule = &plan.schedule;
            let past = history.get(&schedule.name).cloned().unwrap_or_default();
            let next = next_of(plan, now).map(|next| moment_text(next, &schedule.zone));
            table.row([
                schedule.name.to_string(),
                schedule.job.word().to_owned(),
                schedule.node.clone().unwrap_or_else(|| "repository".to_owned()),
                words(&schedule.when),
                next.unwrap_or_else(|| "paused".to_owned()),
                past_text(&past, &schedule.zone),
            ]);
            documents.push(document(plan, &past));
        }
        match table.is_empty() {
            true => app.output.say(
                "Nothing is scheduled. Back up a node each night: nodekeep schedule add NODE --frequency daily --time 02:00",
            )?,
            false => app.output.answer(table.text())?,
        }
        app.output.document(&json!({ "schedules": documents }))
    }
}
