//! `nodekeep snapshot mount`.

use crate::target::snapshots;
use std::path::PathBuf;

use clap::Args;
use nodekeep_repo::repository::SnapshotRecord;
use serde_json::json;

use super::reference_help;
use crate::error::{Error, Result};
use crate::mount::{self, Branch};
use crate::render::time;
use crate::session::{App, Need};
use crate::target;

/// Mount snapshots as a read-only folder, until Ctrl-C
#[derive(Debug, Args)]
#[command(after_help = reference_help!("reader or owner.", "\
Only what is looked at is read. `all` shows every snapshot as a folder named by its time and id. Unmount with Ctrl-C, or from elsewhere with: fusermount3 -u DIR

Examples:
  nodekeep snapshot mount latest /mnt/x
  nodekeep snapshot mount all /mnt/x"))]
pub struct Mount {
    /// Which snapshot, or all
    snapshot: String,
    /// An empty folder
    dir: PathBuf,
    /// Bases of an incremental or differential file, if they do not lie beside it
    #[arg(long, value_name = "FILE")]
    base: Vec<PathBuf>,
}

impl Mount {
    pub fn run(&self, app: &App) -> Result<()> {
        let (repository, top) = match self.snapshot.as_str() {
            "all" => {
                let repository = app.open(Need::Read)?.repository;
                let records = snapshots(&repository)?;
                let folders = records.iter().map(|record| (folder_name(record), content(record)));
                (repository, Branch::Folder(folders.collect()))
            }
            text => {
                let target = target::open(app, text, &self.base)?;
                (target.repository, content(&target.record))
            }
        };
        repository.needs_data()?;
        let reader = target::reader(&repository)?;
        let ready = || {
            app.output.remark(format!("Mounted on {}. Ctrl-C unmounts.", self.dir.display()));
            // Whoever reads this waits for it; that the mount goes on does not depend on it.
            _ = app.output.document(&json!({ "mounted": self.dir }));
        };
        let failed = |source| Error::Mount { path: self.dir.clone(), source };
        mount::serve(reader, top, &self.dir, ready).map_err(failed)?;
        app.output.say(format!("Unmounted {}.", self.dir.display()))
    }
}

/// `2026-11-20T21-04-09-4f2a91c0`: sorts by time, and no shell minds it.
fn folder_name(record: &SnapshotRecord) -> Vec<u8> {
    let started = time::for_names(record.snapshot.started_ms);
    format!("{started}-{}", record.id.short()).into_bytes()
}

/// What a snapshot shows: the content of a single folder directly, otherwise the roots below their absolute paths.
fn content(record: &SnapshotRecord) -> Branch {
    match record.snapshot.roots.as_slice() {
        [root] if root.entry.is_dir() => Branch::Entry(Box::new(root.entry.clone())),
        [root] => Branch::Folder(vec![(
            root.entry.name.clone(),
            Branch::Entry(Box::new(root.entry.clone())),
        )]),
        roots => {
            let mut top = Vec::new();
            for root in roots {
                let parts: Vec<&[u8]> =
                    root.path.split(|b| *b == b'/').filter(|part| !part.is_empty()).collect();
                insert(&mut top, &parts, Branch::Entry(Box::new(root.entry.clone())));
            }
            Branch::Folder(top)
        }
    }
}

fn insert(folder: &mut Vec<(Vec<u8>, Branch)>, parts: &[&[u8]], branch: Branch) {
    let Some((first, rest)) = parts.split_first() else {
        return;
    };
    if rest.is_empty() {
        folder.push((first.to_vec(), branch));
        return;
    }
    let at = folder.iter().position(|(name, _)| name == first).unwrap_or_else(|| {
        folder.push((first.to_vec(), Branch::Folder(Vec::new())));
        folder.len() - 1
    });
    // A root below another root is in that one already.
    if let (_, Branch::Folder(below)) = &mut folder[at] {
        insert(below, rest, branch);
    }
}
