//! `nodekeep config show`.

use clap::Args;
use serde_json::{Map, Value, json};

use super::file;
use crate::error::Result;
use crate::render::Table;
use crate::session::App;
use crate::settings::keys::KEYS;

/// Show every key: what holds, and why
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none. Options of this very command line are not shown.

Examples:
  nodekeep config show
  nodekeep config show --json")]
pub struct Show {}

impl Show {
    pub fn run(&self, app: &App) -> Result<()> {
        let document = file::document(app)?;
        let mut table = Table::new(&["key", "value", "from"]);
        let mut fields = Map::new();
        for key in &KEYS {
            let variable = key.variable.and_then(|name| Some((name, std::env::var(name).ok()?)));
            let variable = variable.filter(|(_, value)| !value.is_empty());
            let written =
                file::item(&document, key.name).map(|item| item.to_string().trim().to_owned());
            let (value, from) = match (variable, written) {
                (Some((name, value)), _) => (value, name),
                (None, Some(value)) => (value, "file"),
                (None, None) => (key.default.to_owned(), "default"),
            };
            table.row([key.name.to_owned(), value.clone(), from.to_owned()]);
            fields.insert(key.name.to_owned(), json!({ "value": value, "from": from }));
        }
        app.output.answer(table.text())?;
        let path = file::path(app);
        app.output.remark(format!("\nThe file: {}", path.display()));
        app.output.document(&json!({ "path": path, "keys": Value::Object(fields) }))
    }
}
