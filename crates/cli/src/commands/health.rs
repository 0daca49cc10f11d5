//! `nodekeep health`.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use nodekeep_nodes::fence::mark::Origin;
use nodekeep_nodes::health::{self, Seen};
use nodekeep_nodes::hold;
use nodekeep_service::fencing;
use nodekeep_service::holding::site;
use serde_json::json;

use crate::commands::machine_label;
use crate::error::{Error, Result};
use crate::exit;
use crate::nodes;
use crate::render::{self, Table};
use crate::session::App;

/// How long to wait for a node to be well unless another time is given, in seconds.
const PATIENCE_SECS: u64 = 600;

/// Look at a node's health, and record how far what must never run backwards has come
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none; nothing of a repository is needed.

Exit code 1: something is not well.

Examples:
  nodekeep health guts
  nodekeep health guts --wait --patience 3600

Also spelled: status NODE --wait.")]
pub struct Health {
    /// The node
    #[arg(value_name = "NODE")]
    name: String,
    /// Look again until all is well
    #[arg(long, alias = "wait-sync")]
    wait: bool,
    /// How long to wait at most, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = PATIENCE_SECS)]
    patience: u64,
}

impl Health {
    /// As `status NODE` means it.
    pub fn of(name: &str, wait: bool) -> Self {
        Self { name: name.to_owned(), wait, patience: PATIENCE_SECS }
    }

    pub fn run(&self, app: &App) -> Result<()> {
        let state = nodes::state(app);
        let node = state.load(&self.name)?;
        let folder = state.of(&self.name)?;
        let held = hold::status(&site(&folder).folder, &self.name)
            .map_err(nodekeep_service::error::Error::from)?;
        let seen = match self.wait {
            true => health::wait_until_healthy(&node, Duration::from_secs(self.patience)),
            false => health::look(&node),
        };
        let machine = state.machine(&app.settings.host.clone().unwrap_or_else(machine_label))?;
        let marks = fencing::look_live(&node);
        fencing::record(&folder, &machine, Origin::Health, &marks)?;
        app.output.answer(text(&seen))?;
        for one in &held.outstanding {
            app.output.alert(format!("Held since {}: {}", one.since, one.step.about));
        }
        for (rule, why) in marks.unreadable() {
            app.output.alert(format!("The fence cannot read `{rule}`: {why}"));
        }
        app.output.document(&json!({
            "node": self.name,
            "at": Timestamp::now().to_string(),
            "well": seen.iter().all(|one| one.is_well),
            "looks": seen.iter().map(|one| json!({ "name": one.name, "well": one.is_well, "detail": one.detail })).collect::<Vec<_>>(),
            "held": held.outstanding.len(),
            "marks": marks.marks(),
        }))?;
        match seen.iter().all(|one| one.is_well) {
            true => Ok(()),
            false => Err(Error::Exit(exit::Class::Failed.exit_code())),
        }
    }
}

fn text(seen: &[Seen]) -> String {
    if seen.is_empty() {
        return "The profile names no way to look at this node's health.".to_owned();
    }
    let mut table = Table::new(&["look", "", "seen"]);
    for one in seen {
        let word = if one.is_well { "well" } else { "NOT WELL" };
        table.row([one.name.clone(), word.to_owned(), render::path(one.detail.as_bytes())]);
    }
    table.text()
}
