//! `nodekeep completions`.

use clap::Args;
use clap_complete::Shell;

use crate::args::Cli;
use crate::error::{Error, Result};
use crate::session::App;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nodekeep completions bash > ~/.local/share/bash-completion/completions/nodekeep
  nodekeep completions fish > ~/.config/fish/completions/nodekeep.fish
  nodekeep completions zsh > \"${fpath[1]}/_nodekeep\"")]
pub struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub fn run(&self, _: &App) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::grammar(), "nodekeep", &mut script);
        crate::output::raw(&script).map_err(Error::Output)
    }
}
