//! `nodekeep snapshot cat`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use nodekeep_repo::error::Error as Engine;
use nodekeep_repo::source::snapshot::RunReader;
use nodekeep_repo::tree::Kind;

use super::ls::entry_at;
use super::reference_help;
use crate::error::{Error, Result};
use crate::render::{self, entry::kind_word};
use crate::session::App;
use crate::target;

/// Print a file of a snapshot
#[derive(Debug, Args)]
#[command(after_help = reference_help!("reader or owner.", "\
The bytes go to standard output as they are; --json and --quiet change nothing about them.

Examples:
  nodekeep snapshot cat latest notes/plan.md
  nodekeep snapshot cat ./notes/plan.md@latest~1 | diff - notes/plan.md"))]
pub struct Cat {
    /// Which snapshot
    snapshot: String,
    /// The file: an absolute path, or one below the snapshot's only root
    path: Option<String>,
    /// Bases of an incremental or differential file, if they do not lie beside it
    #[arg(long, value_name = "FILE")]
    base: Vec<PathBuf>,
}

impl Cat {
    pub fn run(&self, app: &App) -> Result<()> {
        let target = target::open(app, &self.snapshot, &self.base)?;
        target.repository.needs_data()?;
        let reader = target.reader()?;
        let wanted = self
            .path
            .as_ref()
            .map(|path| path.as_bytes().to_vec())
            .or_else(|| target.inside.clone());
        let wanted = wanted.ok_or(Error::Options(
            "say which file of the snapshot: nodekeep snapshot cat ID PATH",
        ))?;
        let (path, entry) = entry_at(&target, &reader, &wanted)?;
        let Kind::File { runs, .. } = &entry.kind else {
            return Err(Error::NotAFile { path: render::path(&path), what: kind_word(&entry) });
        };
        let mut out = io::BufWriter::with_capacity(1 << 20, io::stdout().lock());
        io::copy(&mut RunReader::new(reader.clone(), runs.clone()), &mut out)
            .map_err(copy_error)?;
        out.flush().map_err(Error::Output)
    }
}

/// A failure to read is the engine's; any other is that of standard output.
fn copy_error(error: io::Error) -> Error {
    match error.downcast::<Engine>() {
        Ok(engine) => engine.into(),
        Err(error) => Error::Output(error),
    }
}
