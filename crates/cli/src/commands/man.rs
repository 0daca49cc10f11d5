//! `nodekeep man`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use serde_json::json;

use crate::args::Cli;
use crate::error::{Error, Result};
use crate::session::App;

/// Write the manual pages
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nodekeep man --out ~/.local/share/man/man1
  nodekeep man snapshot prune | man -l -")]
pub struct Man {
    /// Write every page into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    out: Option<PathBuf>,
    /// Print the page of this command
    command: Vec<String>,
}

impl Man {
    pub fn run(&self, app: &App) -> Result<()> {
        let mut root = Cli::grammar();
        root.build();
        match &self.out {
            Some(folder) => write_all(app, &root, folder),
            None => print(&root, &self.command),
        }
    }
}

fn print(root: &Command, words: &[String]) -> Result<()> {
    let mut command = root;
    for word in words {
        command = command.find_subcommand(word).ok_or_else(|| Error::BadArgument {
            value: word.clone(),
            expected: "there is no such command",
        })?;
    }
    crate::output::raw(&page(command)?).map_err(Error::Output)
}

fn write_all(app: &App, root: &Command, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::file(folder, "make"))?;
    let mut files = Vec::new();
    write_tree(root, folder, &mut files)?;
    app.output.say(format!("Wrote {} manual pages to {}.", files.len(), folder.display()))?;
    app.output.document(&json!({ "files": files }))
}

fn write_tree(command: &Command, folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let path = folder.join(format!("{}.1", page_name(command)));
    fs::write(&path, page(command)?).map_err(Error::file(&path, "write"))?;
    files.push(path);
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    shown.into_iter().try_for_each(|sub| write_tree(sub, folder, files))
}

fn page_name(command: &Command) -> String {
    command.get_bin_name().unwrap_or(command.get_name()).replace(' ', "-")
}

fn page(command: &Command) -> Result<Vec<u8>> {
    let name: &'static str = Box::leak(page_name(command).into_boxed_str());
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone().name(name)).render(&mut text).map_err(Error::Output)?;
    Ok(text)
}
