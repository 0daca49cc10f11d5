//! `nodekeep health`.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use nodekeep_nodes::fence::look::Look;
use nodekeep_nodes::fence::mark::Origin;
use nodekeep_nodes::health::{self, Seen};
use nodekeep_nodes::hold;
use nodekeep_nodes::node::Node;
use nodekeep_service::fencing;
use nodekeep_service::fleet::local;
use nodekeep_service::holding::site;
use serde_json::{Value, json};

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
    /// As `status NODE --wait` means it.
    pub fn waiting(name: &str) -> Self {
        Self { name: name.to_owned(), wait: true, patience: PATIENCE_SECS }
    }

    pub fn run(&self, app: &App) -> Result<()> {
        let patience = self.wait.then(|| Duration::from_secs(self.patience));
        let seen = Examined::of(app, &self.name, patience)?;
        seen.tell(app)?;
        app.output.document(&seen.document())?;
        seen.conclude()
    }
}

/// Waits; says what for, as it may take long.
fn awaited(app: &App, node: &Node, patience: Duration) -> Vec<Seen> {
    let first = health::look(node);
    let ill: Vec<&str> =
        first.iter().filter(|seen| !seen.is_well).map(|seen| seen.name.as_str()).collect();
    if ill.is_empty() {
        return first;
    }
    app.output.remark(format!(
        "Not well yet: {}. Looking again for at most {}.",
        ill.join(", "),
        render::duration(patience)
    ));
    health::wait_until_healthy(node, patience)
}

/// What a look at a node found.
pub struct Examined {
    name: String,
    at: Timestamp,
    seen: Vec<Seen>,
    held: hold::Standing,
    marks: Look,
}

impl Examined {
    /// Looks at a registered node, and records what was seen and how far its marks have come.
    ///
    /// # Errors
    /// If it is not registered, or what was seen cannot be written down.
    pub fn of(app: &App, name: &str, patience: Option<Duration>) -> Result<Self> {
        let state = nodes::state(app);
        let node = state.load(name)?;
        let folder = state.of(name)?;
        let held = hold::status(&site(&folder).folder, name)
            .map_err(nodekeep_service::error::Error::from)?;
        let seen = match patience {
            Some(patience) => awaited(app, &node, patience),
            None => health::look(&node),
        };
        let at = Timestamp::now();
        local::note_look(&folder, &seen, at)?;
        let machine = state.machine(&app.settings.host.clone().unwrap_or_else(machine_label))?;
        let marks = fencing::look_live(&node);
        fencing::record(&folder, &machine, Origin::Health, &marks)?;
        Ok(Self { name: name.to_owned(), at, seen, held, marks })
    }

    /// For people.
    ///
    /// # Errors
    /// If the output is gone.
    pub fn tell(&self, app: &App) -> Result<()> {
        app.output.answer(text(&self.seen))?;
        for one in &self.held.outstanding {
            app.output.alert(format!("Held since {}: {}", one.since, one.step.about));
        }
        for (rule, why) in self.marks.unreadable() {
            app.output.alert(format!("The fence cannot read `{rule}`: {why}"));
        }
        Ok(())
    }

    /// For machines.
    pub fn document(&self) -> Value {
        let look =
            |one: &Seen| json!({ "name": one.name, "well": one.is_well, "detail": one.detail });
        json!({
            "node": self.name,
            "at": self.at.to_string(),
            "well": self.is_well(),
            "looks": self.seen.iter().map(look).collect::<Vec<_>>(),
            "held": self.held.outstanding.len(),
            "marks": self.marks.marks(),
        })
    }

    fn is_well(&self) -> bool {
        self.seen.iter().all(|one| one.is_well)
    }

    /// The exit code.
    ///
    /// # Errors
    /// [`Error::Exit`] if something is not well.
    pub fn conclude(&self) -> Result<()> {
        match self.is_well() {
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
