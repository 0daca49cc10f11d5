//! `nodekeep schedule pause`, `resume` and `remove`.

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::{book, machine, moment_text, next_of};
use crate::error::Result;
use crate::session::App;

/// Begin nothing of a schedule until it is resumed
#[derive(Debug, Args)]
#[command(after_help = "Role: none.\n\nExamples:\n  nodekeep schedule pause guts")]
pub struct Pause {
    /// The schedule's name
    #[arg(value_name = "SCHEDULE")]
    name: String,
}

/// Let a paused schedule go on; what came in the pause is not made up for
#[derive(Debug, Args)]
#[command(after_help = "Role: none.\n\nExamples:\n  nodekeep schedule resume guts")]
pub struct Resume {
    /// The schedule's name
    #[arg(value_name = "SCHEDULE")]
    name: String,
}

/// Remove a schedule; snapshots stay
#[derive(Debug, Args)]
#[command(after_help = "Role: none.\n\nExamples:\n  nodekeep schedule remove guts")]
pub struct Remove {
    /// The schedule's name
    #[arg(value_name = "SCHEDULE")]
    name: String,
}

impl Pause {
    pub fn run(&self, app: &App) -> Result<()> {
        book(app).pause(&self.name, true, Timestamp::now())?;
        app.output.say(format!("{} is paused.", self.name))?;
        app.output.document(&json!({ "name": self.name, "paused": true }))
    }
}

impl Resume {
    pub fn run(&self, app: &App) -> Result<()> {
        let now = Timestamp::now();
        let schedule = book(app).pause(&self.name, false, now)?;
        let next = next_of(&schedule.plan(&machine(app)?)?, now);
        let text = next.map(|next| moment_text(next, &schedule.zone));
        let text = text.unwrap_or_else(|| "never".to_owned());
        app.output.say(format!("{} goes on. Next: {text}", self.name))?;
        let next = next.map(|next| next.to_string());
        app.output.document(&json!({ "name": self.name, "paused": false, "next": next }))
    }
}

impl Remove {
    pub fn run(&self, app: &App) -> Result<()> {
        book(app).remove(&self.name)?;
        app.output.say(format!("{} is removed.", self.name))?;
        app.output.document(&json!({ "name": self.name, "removed": true }))
    }
}
