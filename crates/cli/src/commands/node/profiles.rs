//! `nodekeep node profiles`.

use clap::Args;
use nodekeep_nodes::profile::builtin;
use serde_json::json;

use crate::error::Result;
use crate::output;
use crate::render::Table;
use crate::session::App;

/// List the kinds of node, or print one as a start for your own
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none. docs/profiles.md explains every key of a profile.

Examples:
  nodekeep node profiles
  nodekeep node profiles relay > my-node.toml")]
pub struct Profiles {
    /// Print this one
    name: Option<String>,
}

impl Profiles {
    pub fn run(&self, app: &App) -> Result<()> {
        match &self.name {
            Some(name) => self.print(app, name),
            None => list(app),
        }
    }

    fn print(&self, app: &App, name: &str) -> Result<()> {
        let profile = builtin::find(name)?;
        if !app.output.json {
            let printed = output::raw(profile.source.as_bytes());
            return printed.map_err(crate::error::Error::Output);
        }
        app.output.document(&json!({ "name": profile.name, "text": profile.source }))
    }
}

fn list(app: &App) -> Result<()> {
    let profiles = builtin::all()?;
    let mut table = Table::new(&["profile", "what it is", "tested against"]);
    for profile in &profiles {
        table.row([
            profile.name.clone(),
            profile.title.clone(),
            profile.tested.clone().unwrap_or_else(|| "untested".to_owned()),
        ]);
    }
    app.output.answer(table.text())?;
    let document = profiles.iter().map(|profile| {
        json!({ "name": profile.name, "title": profile.title, "about": profile.about, "tested": profile.tested })
    });
    app.output.document(&json!({ "profiles": document.collect::<Vec<_>>() }))
}
