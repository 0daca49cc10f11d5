//! `nodekeep minima decrypt`.

use std::path::{Path, PathBuf};

use clap::Args;
use nodekeep_nodes::minima::backup::{Contents, Section};
use serde_json::json;

use super::opening::{self, PasswordFrom};
use crate::error::{Error, Result};
use crate::home;
use crate::session::App;

/// Write what is in a node's backup without its password
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none; the backup's password.

What is written holds the node's phrase and private keys in the clear. Only you can read it (0600); remove it when it has served. Nothing is overwritten.

`nodekeep minima encrypt` makes a backup of it again, which a node restores.

Examples:
  nodekeep minima decrypt node.bak --output ./plain/     # six files in a folder
  nodekeep minima decrypt node.bak --output node.plain   # one file")]
pub struct Decrypt {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where to write: a folder (with a slash at its end, or one that exists) for six files, else one file
    #[arg(long, value_name = "FILE|DIR/")]
    output: PathBuf,
    #[command(flatten)]
    password: PasswordFrom,
}

impl Decrypt {
    pub fn run(&self, app: &App) -> Result<()> {
        let is_folder =
            self.output.is_dir() || self.output.as_os_str().as_encoded_bytes().ends_with(b"/");
        let targets = targets(&self.output, is_folder);
        if let Some((taken, _)) = targets.iter().find(|(path, _)| path.symlink_metadata().is_ok()) {
            return Err(Error::FileExists { path: taken.clone() });
        }
        let opened = self.password.open(app, &self.file)?;
        for (path, section) in &targets {
            home::write_new(path, content(&opened.contents, *section))?;
        }
        let place = self.output.display();
        app.output.say(format!("Written to {place}, which only you can read."))?;
        app.output
            .remark("It holds the node's secrets in the clear: remove it when it has served.");
        opening::warn(&app.output, &opened);
        let files: Vec<&PathBuf> = targets.iter().map(|(path, _)| path).collect();
        app.output.document(&json!({
            "file": self.file, "files": files, "protected": opened.is_protected,
        }))
    }
}

/// What goes where; no section: all of them in one file.
fn targets(output: &Path, is_folder: bool) -> Vec<(PathBuf, Option<Section>)> {
    if !is_folder {
        return vec![(output.to_owned(), None)];
    }
    let file = |section: Section| (output.join(section.file_name()), Some(section));
    Section::ALL.map(file).to_vec()
}

fn content(contents: &Contents, section: Option<Section>) -> &[u8] {
    section.map_or(contents.plaintext(), |section| contents.section(section))
}
