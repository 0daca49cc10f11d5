//! `nodekeep config edit`.

use std::env;
use std::fs;
use std::process::Command;

use clap::Args;
use serde_json::json;

use super::file;
use crate::error::{Error, Result};
use crate::home;
use crate::session::App;

/// Open a copy of the file in your editor; it takes its place only if it can be used
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none. The editor is $VISUAL, $EDITOR or vi.

Examples:
  nodekeep config edit")]
pub struct Edit {}

impl Edit {
    pub fn run(&self, app: &App) -> Result<()> {
        let path = file::path(app);
        let draft = path.with_extension("toml.draft");
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::file(folder, "make"))?;
        }
        // What was refused the last time is where one goes on.
        if !draft.exists() {
            home::replace(&draft, &file::text(app)?)?;
        }
        open_editor(&draft)?;
        let text = fs::read_to_string(&draft).map_err(Error::file(&draft, "read"))?;
        if let Err(error) = file::write(app, &text) {
            app.output.alert(format!(
                "Nothing was changed. Your text is in {}; run this again to go on with it.",
                draft.display()
            ));
            return Err(error);
        }
        fs::remove_file(&draft).map_err(Error::file(&draft, "remove"))?;
        app.output.say(format!("Wrote {}.", path.display()))?;
        app.output.document(&json!({ "path": path }))
    }
}

/// By the shell, as the words of an editor may hold options.
fn open_editor(draft: &std::path::Path) -> Result<()> {
    let named = |name: &str| env::var(name).ok().filter(|value| !value.trim().is_empty());
    let editor = named("VISUAL").or_else(|| named("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    let line = format!("{editor} \"$1\"");
    let status = Command::new("sh").args(["-c", &line, "editor"]).arg(draft).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Error::Editor { editor }),
        Err(source) => Err(Error::file(draft, "open in an editor")(source)),
    }
}
