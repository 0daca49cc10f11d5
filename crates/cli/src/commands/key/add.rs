//! `nodekeep key add`: let someone read, or let a machine write.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use nodekeep_repo::roster::{Role, Trust};
use serde_json::json;

use crate::commands::init::read_readers;
use crate::error::{Error, Result};
use crate::home;
use crate::render::{self, shell};
use crate::session::{App, Need, Opened};

/// Let someone read, or let a machine write
#[derive(Debug, Args)]
#[command(
    before_help = "A reader opens every snapshot, old and new, with a key of its own. A writer adds snapshots and reads nothing. Either way a few small objects are written; no backed-up data is touched."
)]
#[command(after_help = "\
Role: owner.

Examples:
  nodekeep key add age1… --label \"standby node\"
  nodekeep key add \"ssh-ed25519 AAAA…\" --role collector
  nodekeep key add @team.keys
  nodekeep key add --writer web-1 --out web-1.writer

Also spelled: recipient add.")]
pub struct Add {
    /// An age or SSH public key, or @FILE with one on each line
    #[arg(value_name = "KEY", required_unless_present = "writer", conflicts_with = "writer")]
    keys: Vec<String>,
    /// What it may do: readers open everything, collectors see names only, enough to prune
    #[arg(long, value_enum, default_value_t = Kind::Reader)]
    role: Kind,
    /// A name for the list of members
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Make a writer credential with this label
    #[arg(long, value_name = "NAME", requires = "out")]
    writer: Option<String>,
    /// Where to write the credential; the file must not exist
    #[arg(long, value_name = "FILE", requires = "writer")]
    out: Option<PathBuf>,
    /// The writer stores anew what other writers stored already, so that a faulty one cannot harm it
    #[arg(long, requires = "writer")]
    trust_own_only: bool,
}

/// Roles that a key can be added with.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Reader,
    Collector,
}

impl Add {
    pub fn run(&self, app: &App) -> Result<()> {
        match (&self.writer, &self.out) {
            (Some(name), Some(out)) => self.add_writer(app, name, out),
            _ => self.add_readers(app),
        }
    }

    fn add_readers(&self, app: &App) -> Result<()> {
        let readers = read_readers(&self.keys)?;
        let mut opened = app.open(Need::Own)?;
        let role = match self.role {
            Kind::Reader => Role::Reader,
            Kind::Collector => Role::Collector,
        };
        let mut added = Vec::new();
        for (reader, comment) in &readers {
            let label = self.label.as_ref().unwrap_or(comment);
            let id = opened.repository.add_reader(reader, label, role)?;
            let name = if label.is_empty() {
                String::new()
            } else {
                format!(" ({})", render::path(label.as_bytes()))
            };
            app.output.say(format!("Added {} {}{name}.", role.word(), render::short(&id.hex())))?;
            added.push(json!({ "id": id.hex(), "role": role.word(), "label": label }));
        }
        opened.pin()?;
        app.output.document(&json!({ "added": added, "roster": opened.repository.roster().number }))
    }

    fn add_writer(&self, app: &App, name: &str, out: &Path) -> Result<()> {
        if out.symlink_metadata().is_ok() {
            return Err(Error::FileExists { path: out.to_owned() });
        }
        let mut opened = app.open(Need::Own)?;
        let trust = if self.trust_own_only { Trust::Own } else { Trust::All };
        let credential = opened.repository.enroll_writer(name, trust)?;
        home::write_new(out, credential.to_text())?;
        opened.pin()?;
        app.output.say(writer_text(&opened, name, out))?;
        app.output.document(&json!({
            "added": [{ "role": "writer", "label": name, "credential": out }],
            "roster": opened.repository.roster().number,
        }))
    }
}

fn writer_text(opened: &Opened, name: &str, out: &Path) -> String {
    let file = shell(&out.display().to_string());
    format!(
        "Added writer {}. Its credential is in {}; whoever holds it can add backups and read none.\n\
         Take the file to the machine, then there: nodekeep backup PATH --credential {file} --repo {}",
        render::path(name.as_bytes()),
        out.display(),
        shell(opened.location()),
    )
}
