//! `nodekeep config path`.

use clap::Args;
use serde_json::json;

use super::file;
use crate::error::Result;
use crate::session::App;

/// Print where the file is, or would be
#[derive(Debug, Args)]
#[command(after_help = "Role: none.\n\nExamples:\n  cat \"$(nodekeep config path)\"")]
pub struct Path {}

impl Path {
    pub fn run(&self, app: &App) -> Result<()> {
        let path = file::path(app);
        app.output.answer(path.display())?;
        app.output.document(&json!({ "path": path, "exists": path.exists() }))
    }
}
