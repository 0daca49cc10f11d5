//! `nodekeep metrics textfile`.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::page;
use crate::error::{Error, Result};
use crate::session::App;

/// Anybody may read it: node_exporter runs as another user, and nothing in it is secret.
const MODE: u32 = 0o644;

/// Write the metrics into a file for node_exporter's textfile collector
#[derive(Debug, Args)]
#[command(after_help = "\
Role: any.

The file appears whole or not at all; its name must end in .prom. It may be read by everybody.

Examples:
  nodekeep metrics textfile /var/lib/prometheus/node-exporter/nodekeep.prom")]
pub struct Textfile {
    /// The file
    #[arg(value_name = "FILE.prom")]
    file: PathBuf,
}

impl Textfile {
    pub fn run(&self, app: &App) -> Result<()> {
        // node_exporter reads no other, and would say nothing about it.
        if self.file.extension().is_none_or(|extension| extension != "prom") {
            return Err(Error::Options("node_exporter reads files that end in .prom only"));
        }
        let page = page(app)?;
        write(&self.file, page.as_bytes()).map_err(Error::file(&self.file, "write"))?;
        app.output.say(format!("Wrote {}", self.file.display()))?;
        app.output.document(&json!({ "file": self.file, "size": page.len() }))
    }
}

/// In place of what was there, at once. The collector skips names that do not end in .prom.
fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = File::create(&beside).and_then(|mut to| {
        to.write_all(bytes)?;
        to.set_permissions(fs::Permissions::from_mode(MODE))?;
        to.sync_all()?;
        fs::rename(&beside, file)
    });
    if written.is_err() {
        // Nothing half-written stays beside it.
        _ = fs::remove_file(&beside);
    }
    written
}
