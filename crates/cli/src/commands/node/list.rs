//! `nodekeep node list`.

use clap::Args;
use serde_json::json;

use super::show;
use crate::error::Result;
use crate::nodes;
use crate::render::Table;
use crate::session::App;

/// List the nodes of this machine
#[derive(Debug, Args)]
#[command(after_help = "Role: none.\n\nExamples:\n  nodekeep node list --json")]
pub struct List {}

impl List {
    pub fn run(&self, app: &App) -> Result<()> {
        let state = nodes::state(app);
        let names = state.names()?;
        let nodes = names.iter().map(|name| state.load(name)).collect::<Result<Vec<_>, _>>()?;
        let mut table = Table::new(&["node", "profile", "folders"]);
        for node in &nodes {
            let paths = &node.registration.paths;
            let folders: Vec<String> =
                paths.iter().map(|(name, path)| format!("{name}={}", path.display())).collect();
            table.row([node.name().to_owned(), node.profile.title.clone(), folders.join(" ")]);
        }
        match table.is_empty() {
            true => {
                app.output.say("No nodes are registered. Look for some: nodekeep node detect")?
            }
            false => app.output.answer(table.text())?,
        }
        let documents = nodes.iter().map(show::document).collect::<Result<Vec<_>>>()?;
        app.output.document(&json!({ "nodes": documents }))
    }
}
