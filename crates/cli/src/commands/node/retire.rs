//! `nodekeep node retire`.

use clap::Args;
use nodekeep_nodes::fence::retire::Claim;
use serde_json::json;

use crate::error::Result;
use crate::nodes;
use crate::progress::Progress;
use crate::prompt;
use crate::session::{App, Need};

/// Say that this machine, or a dead one, runs the node no more, so that another may take its identity
#[derive(Debug, Args)]
#[command(after_help = "\
Role: writer; with --from-repo also a reader.

Two machines with one identity sign twice, use one-time keys twice, and run one ratchet twice. A restore on a second machine is refused until the first is retired.

Examples:
  nodekeep node retire guts
  nodekeep node retire guts --from-repo --yes --answer \"burnt down on the 3rd\"")]
pub struct Retire {
    /// The node
    #[arg(value_name = "NODE")]
    name: String,
    /// Retire the machine that holds it by the repository: a dead one
    #[arg(long)]
    from_repo: bool,
    /// Why it is certainly off
    #[arg(long, value_name = "TEXT", value_parser = crate::prompt::said)]
    answer: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Retire {
    pub fn run(&self, app: &App) -> Result<()> {
        let need = if self.from_repo { Need::Read } else { Need::Write };
        let opened = app.open(need)?;
        let state = nodes::state(app);
        let progress = Progress::start(&app.output, "Retiring");
        let ground = nodes::ground(app, &state, &opened.repository, &progress)?;
        progress.close();
        let (machine, last_seen) = match self.from_repo {
            false => (state.machine(&ground.host)?, None),
            true => match ground.holder(&self.name, &opened.repository.snapshots()?)? {
                Claim::HeldBy { machine, last_seen, .. } => (machine, Some(last_seen)),
                free => {
                    app.output.say(format!("There is nothing to retire: {free}."))?;
                    return app.output.document(&json!({ "node": self.name, "retired": null }));
                }
            },
        };
        let what = format!(
            "This says that {} ({}) runs the node {} no more. Is that machine certainly off, or the node stopped there for good?",
            machine.host, machine.id, self.name
        );
        prompt::confirm(&app.output, self.yes, "retiring a node", &what)?;
        let answer = self.answer.clone().unwrap_or_else(|| "yes, it is certainly off".to_owned());
        let retirement = ground.retire(&self.name, &machine, last_seen, answer)?;
        app.output.say(format!("Retired {} on {}.", self.name, machine.host))?;
        app.output.document(&json!({ "node": self.name, "retired": retirement.machine, "at": retirement.at, "answer": retirement.answer }))
    }
}
