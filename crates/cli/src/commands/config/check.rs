//! `nodekeep config check`.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::file;
use crate::error::{Error, Result};
use crate::session::App;
use crate::settings::Settings;

/// Say whether the file can be used
#[derive(Debug, Args)]
#[command(
    after_help = "Role: none.\n\nExamples:\n  nodekeep config check\n  nodekeep config check ./new.toml"
)]
pub struct Check {
    /// Another file
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Check {
    pub fn run(&self, app: &App) -> Result<()> {
        let (path, text) = match &self.file {
            Some(path) => {
                (path.clone(), fs::read_to_string(path).map_err(Error::file(path, "read"))?)
            }
            None => (file::path(app), file::text(app)?),
        };
        Settings::check(&path, &text)?;
        app.output.say(format!("{}: all of it can be used.", path.display()))?;
        app.output.document(&json!({ "path": path, "ok": true }))
    }
}
