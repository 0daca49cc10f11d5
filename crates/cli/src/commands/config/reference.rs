//! `nodekeep config reference`.

use clap::Args;
use serde_json::json;

use crate::error::Result;
use crate::session::App;
use crate::settings::keys::{self, KEYS};

/// Explain every key
#[derive(Debug, Args)]
#[command(after_help = "Role: none.\n\nExamples:\n  nodekeep config reference | less")]
pub struct Reference {}

impl Reference {
    pub fn run(&self, app: &App) -> Result<()> {
        app.output.answer(keys::reference().trim_end())?;
        let key = |key: &keys::Key| {
            json!({
                "name": key.name,
                "takes": key.form.expected(),
                "environment": key.variable,
                "default": key.default,
                "about": key.about,
                "example": key.example,
            })
        };
        app.output.document(&json!({ "keys": KEYS.iter().map(key).collect::<Vec<_>>() }))
    }
}
