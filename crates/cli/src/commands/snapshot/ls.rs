//! `nodekeep snapshot ls`.

use std::path::PathBuf;

use clap::Args;
use nodekeep_repo::error::Error as Engine;
use nodekeep_repo::reader::ChunkReader;
use nodekeep_repo::tree::{Entry, Kind};
use serde_json::{Value, json};

use super::reference_help;
use crate::error::Result;
use crate::render::{Table, entry};
use crate::session::App;
use crate::target::{self, Target};

/// List files in a snapshot
#[derive(Debug, Args)]
#[command(after_help = reference_help!("reader, collector or owner.", "\
Examples:
  nodekeep snapshot ls latest
  nodekeep snapshot ls -l 4f2a91c0 /home/me/notes
  nodekeep snapshot ls -R ./notes@2026-11-19"))]
pub struct Ls {
    /// Which snapshot
    snapshot: String,
    /// A folder or file in it: an absolute path, or one below its only root
    path: Option<String>,
    /// Mode, owner, size and time as well
    #[arg(short, long)]
    long: bool,
    /// Folders below as well
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Bases of an incremental or differential file, if they do not lie beside it
    #[arg(long, value_name = "FILE")]
    base: Vec<PathBuf>,
}

impl Ls {
    pub fn run(&self, app: &App) -> Result<()> {
        let target = target::open(app, &self.snapshot, &self.base)?;
        let reader = target.reader()?;
        let mut found = Found::new(self, app.output.json);
        for (path, entry) in starts(&target, &reader, self.path.as_deref())? {
            found.list(&reader, app, &target, path, entry)?;
        }
        found.finish(app, &target)
    }
}

/// Where to begin: the named path, or every root.
fn starts(
    target: &Target,
    reader: &ChunkReader,
    path: Option<&str>,
) -> Result<Vec<(Vec<u8>, Entry)>> {
    let wanted = path.map(|path| path.as_bytes().to_vec()).or_else(|| target.inside.clone());
    match wanted {
        Some(path) => Ok(vec![entry_at(target, reader, &path)?]),
        None => Ok(target
            .record
            .snapshot
            .roots
            .iter()
            .map(|root| (root.path.clone(), root.entry.clone()))
            .collect()),
    }
}

/// The entry at a path of the snapshot, with its absolute path.
///
/// # Errors
/// [`Engine::NoPath`] if there is none.
pub fn entry_at(target: &Target, reader: &ChunkReader, path: &[u8]) -> Result<(Vec<u8>, Entry)> {
    let snapshot = &target.record.snapshot;
    let path = path.strip_prefix(b"./").unwrap_or(path);
    let path = match path.strip_suffix(b"/") {
        Some(without) if !without.is_empty() => without,
        _ => path,
    };
    let missing =
        || Engine::NoPath { path: crate::render::path(path), snapshot: target.record.id.short() };
    let entry = reader.find(snapshot, path)?.ok_or_else(missing)?;
    let full = match (path.starts_with(b"/"), snapshot.roots.as_slice()) {
        (false, [root]) => join(&root.path, path),
        _ => path.to_vec(),
    };
    Ok((full, entry))
}

/// A name below a folder.
pub fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let base = folder.strip_suffix(b"/").unwrap_or(folder);
    [base, b"/", name].concat()
}

/// What was listed, kept only as far as the form needs it.
struct Found<'a> {
    args: &'a Ls,
    json: bool,
    table: Table,
    values: Vec<Value>,
}

impl<'a> Found<'a> {
    fn new(args: &'a Ls, json: bool) -> Self {
        Self {
            args,
            json,
            table: Table::new(&["mode", "user", "group", ">size", "time", "name"]),
            values: Vec::new(),
        }
    }

    fn list(
        &mut self,
        reader: &ChunkReader,
        app: &App,
        target: &Target,
        path: Vec<u8>,
        entry: Entry,
    ) -> Result<()> {
        let Kind::Directory { tree, .. } = &entry.kind else {
            return self.add(app, target, &path, &entry);
        };
        for below in reader.entries(tree)? {
            let at = join(&path, &below.name);
            self.add(app, target, &at, &below)?;
            if self.args.recursive && below.is_dir() {
                self.list(reader, app, target, at, below)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, app: &App, target: &Target, path: &[u8], entry: &Entry) -> Result<()> {
        let snapshot = &target.record.snapshot;
        if self.json {
            self.values.push(entry::json(snapshot, path, entry));
        } else if self.args.long {
            self.table.row(entry::long(snapshot, path, entry));
        } else {
            return app.output.answer(entry::name(path, entry));
        }
        Ok(())
    }

    fn finish(self, app: &App, target: &Target) -> Result<()> {
        if !self.table.is_empty() {
            app.output.answer(self.table.text())?;
        }
        app.output.document(&json!({ "snapshot": target.record.id.hex(), "entries": self.values }))
    }
}
