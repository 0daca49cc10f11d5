//! `nodekeep node remove`.

use clap::Args;
use serde_json::json;

use crate::error::Result;
use crate::nodes;
use crate::prompt;
use crate::session::App;

/// Forget a node; its data and its snapshots stay
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none. What this machine recorded of it (marks of the fence, journals) is set aside, not deleted.

Examples:
  nodekeep node remove guts --yes")]
pub struct Remove {
    /// The node
    #[arg(value_name = "NODE")]
    name: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Remove {
    pub fn run(&self, app: &App) -> Result<()> {
        let state = nodes::state(app);
        state.load(&self.name)?;
        let what = format!("This forgets the node {}; nothing of its data is touched", self.name);
        prompt::confirm(&app.output, self.yes, "forgetting a node", &what)?;
        let aside = state.remove(&self.name)?;
        app.output.say(format!("Forgot {}. Its records lie in {}", self.name, aside.display()))?;
        app.output.document(&json!({ "removed": self.name, "records": aside }))
    }
}
