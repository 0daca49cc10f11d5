//! `nodekeep schedule show`.

use clap::Args;
use jiff::Timestamp;
use nodekeep_nodes::fence::known::span;
use serde_json::json;

use super::{book, document, machine, moment_text, past_text, role_text, when_text};
use crate::error::Result;
use crate::session::App;

/// How many coming runs are shown.
const SHOWN: usize = 5;

/// Show a schedule and when it comes
#[derive(Debug, Args)]
#[command(after_help = "Role: none.\n\nExamples:\n  nodekeep schedule show guts")]
pub struct Show {
    /// The schedule's name
    #[arg(value_name = "SCHEDULE")]
    name: String,
}

impl Show {
    pub fn run(&self, app: &App) -> Result<()> {
        let book = book(app);
        let schedule = book.schedule(&self.name)?;
        let plan = schedule.plan(&machine(app)?)?;
        let past = book.history()?.get(&schedule.name).cloned().unwrap_or_default();
        let now = Timestamp::now();
        let coming: Vec<Timestamp> =
            plan.rhythm.after(now).map(|slot| plan.start(slot)).take(SHOWN).collect();
        let yes = |flag: bool| if flag { "yes" } else { "no" };
        app.output.answer(format!(
            "{}{}\n  does      nodekeep {}\n  needs     {}\n  when      {}\n  jitter    up to {}\n  missed    made up for: {}\n  retries   {}, the first after {}\n  last      {}",
            schedule.name,
            if schedule.paused { " (paused)" } else { "" },
            schedule.job.arguments(schedule.node.as_deref()).join(" "),
            role_text(schedule.job.role()),
            when_text(&schedule),
            span(schedule.jitter_secs.into()),
            yes(schedule.catch_up),
            schedule.retries,
            span(schedule.retry_after_secs.into()),
            past_text(&past, &schedule.zone),
        ))?;
        if !schedule.paused {
            let lines = coming.iter().map(|next| moment_text(*next, &schedule.zone));
            let lines: Vec<String> = lines.collect();
            app.output.answer(format!("  next      {}", lines.join("\n            ")))?;
        }
        let coming: Vec<String> = coming.iter().map(Timestamp::to_string).collect();
        app.output.document(&json!({ "schedule": document(&plan, &past), "coming": coming }))
    }
}
