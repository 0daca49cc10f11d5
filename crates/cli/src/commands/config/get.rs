//! `nodekeep config get`.

use clap::Args;
use serde_json::json;

use super::{file, key};
use crate::error::Result;
use crate::session::App;

/// Print what the file says of a key
#[derive(Debug, Args)]
#[command(
    after_help = "Role: none. Nothing is printed where the default holds.\n\nExamples:\n  nodekeep config get repo"
)]
pub struct Get {
    /// The key
    #[arg(value_name = "KEY")]
    name: String,
}

impl Get {
    pub fn run(&self, app: &App) -> Result<()> {
        let key = key(app, &self.name)?;
        let document = file::document(app)?;
        let item = file::item(&document, key.name);
        // A text is printed as it is, so that a script can use it.
        let text = item.map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned));
        if let Some(text) = &text {
            app.output.answer(text.trim())?;
        }
        app.output.document(&json!({ "key": key.name, "value": text, "default": key.default }))
    }
}
