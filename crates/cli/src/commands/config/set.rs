//! `nodekeep config set` and `unset`.

use clap::Args;
use serde_json::json;

use super::{file, key};
use crate::error::{Error, Result};
use crate::session::App;

/// Write a key into the file; the rest of it stays as it is
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none.

Examples:
  nodekeep config set repo s3://my-backups/nodes
  nodekeep config set exclude '*.tmp' node_modules
  nodekeep config set one-file-system true
  nodekeep config set http.listen off")]
pub struct Set {
    /// The key
    #[arg(value_name = "KEY")]
    name: String,
    /// What it shall be; several values make a list
    #[arg(value_name = "VALUE", required = true)]
    values: Vec<String>,
}

/// Take a key out of the file, so that its default holds
#[derive(Debug, Args)]
#[command(after_help = "Role: none.\n\nExamples:\n  nodekeep config unset limit-upload")]
pub struct Unset {
    /// The key
    #[arg(value_name = "KEY")]
    name: String,
}

impl Set {
    pub fn run(&self, app: &App) -> Result<()> {
        let key = key(app, &self.name)?;
        let bad = || Error::BadSetting {
            origin: "config set".to_owned(),
            key: key.name.to_owned(),
            expected: key.form.expected(),
        };
        let value = key.form.read(&self.values).ok_or_else(bad)?;
        let mut document = file::document(app)?;
        let written: toml_edit::Value = value.to_string().parse().map_err(|_| bad())?;
        file::set(&mut document, key.name, written);
        file::write(app, &document.to_string())?;
        app.output.say(format!("{} = {value}", key.name))?;
        app.output.document(&json!({ "key": key.name, "value": value.to_string() }))
    }
}

impl Unset {
    pub fn run(&self, app: &App) -> Result<()> {
        let key = key(app, &self.name)?;
        let mut document = file::document(app)?;
        let was_there = file::unset(&mut document, key.name);
        if was_there {
            file::write(app, &document.to_string())?;
        }
        app.output.say(format!("{}: the default holds: {}", key.name, key.default))?;
        app.output.document(&json!({ "key": key.name, "removed": was_there }))
    }
}
