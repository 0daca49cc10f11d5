//! `nodekeep node identity`.

use clap::Args;
use nodekeep_nodes::identity::{Found, identities};
use serde_json::json;

use crate::error::Result;
use crate::nodes;
use crate::render::Table;
use crate::session::App;

/// Show the fingerprints of what makes a node this node; never a secret
#[derive(Debug, Args)]
#[command(after_help = "Role: none.\n\nExamples:\n  nodekeep node identity guts")]
pub struct Identity {
    /// The node
    #[arg(value_name = "NODE")]
    name: String,
}

impl Identity {
    pub fn run(&self, app: &App) -> Result<()> {
        let node = nodes::state(app).load(&self.name)?;
        let found = identities(&node)?;
        let mut table = Table::new(&["component", "what", "fingerprint"]);
        for identity in &found {
            let (what, value) = told(&identity.found);
            table.row([identity.component.clone(), what.to_owned(), value.to_owned()]);
        }
        match table.is_empty() {
            true => app.output.say("The profile names no identity of this node.")?,
            false => app.output.answer(table.text())?,
        }
        let document = found.iter().map(|identity| {
            let (what, value) = told(&identity.found);
            json!({ "component": identity.component, "path": identity.path, "what": what, "value": value })
        });
        app.output
            .document(&json!({ "node": self.name, "identities": document.collect::<Vec<_>>() }))
    }
}

fn told(found: &Found) -> (&str, &str) {
    match found {
        Found::Public { name, value } => (name, value),
        Found::Fingerprint(value) => ("fingerprint of its content", value),
        Found::Absent => ("not there", ""),
    }
}
