//! `nodekeep node detect`.

use std::env;
use std::path::PathBuf;

use clap::Args;
use nodekeep_nodes::detect::{Detection, Guess, Look};
use nodekeep_nodes::profile::builtin;
use serde_json::{Value, json};

use crate::error::Result;
use crate::render::{self, shell};
use crate::session::App;

/// Look for nodes in a folder, or in the usual places
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none. Nothing is registered; each finding is shown with the command that registers it.

Examples:
  nodekeep node detect
  nodekeep node detect /srv")]
pub struct Detect {
    /// Where to look, three folders deep; without it, where the known programs keep their data
    folder: Option<PathBuf>,
}

impl Detect {
    pub fn run(&self, app: &App) -> Result<()> {
        let profiles = builtin::all()?;
        let home = env::var_os("HOME").map(PathBuf::from);
        let look = Look { home: home.as_deref(), ..Look::new(&profiles) };
        let found = match &self.folder {
            Some(folder) => look.at(folder)?,
            None => look.usual(),
        };
        app.output.answer(text(&found))?;
        for (path, why) in &found.unreadable {
            app.output.alert(format!("Could not be looked at: {}: {why}", path.display()));
        }
        app.output.document(&json!({
            "found": found.guesses.iter().map(document).collect::<Vec<_>>(),
            "unreadable": found.unreadable,
            "cut_short": found.is_cut_short,
        }))
    }
}

fn text(found: &Detection) -> String {
    let mut lines: Vec<String> = found.guesses.iter().map(guess_text).collect();
    if lines.is_empty() {
        lines.push(
            "No node of a known kind was found. Any folder is a node of the kind `directory`:\n  nodekeep node add NAME --profile directory --path data=DIR"
                .to_owned(),
        );
    }
    if found.is_cut_short {
        lines.push("There was more than could be looked at: name a folder nearer to it.".to_owned());
    }
    lines.join("\n\n")
}

fn guess_text(guess: &Guess) -> String {
    let paths: Vec<String> =
        guess.paths.iter().map(|(name, path)| format!("{name}={}", path.display())).collect();
    let mut options: Vec<String> = paths.iter().map(|path| format!(" --path {}", shell(path))).collect();
    options.extend(guess.missing.iter().map(|name| format!(" --path {name}=DIR")));
    render::fields(&[
        (&guess.profile, paths.join(" ")),
        ("because", guess.why.join(", ")),
        ("register it", format!("nodekeep node add {0} --profile {0}{1}", guess.profile, options.concat())),
    ])
}

fn document(guess: &Guess) -> Value {
    json!({
        "profile": guess.profile,
        "paths": guess.paths,
        "missing": guess.missing,
        "because": guess.why,
    })
}
