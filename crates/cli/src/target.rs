//! A named snapshot with the repository that holds it: the one in use, or a portable file.

use std::path::PathBuf;
use std::sync::Arc;

use nodekeep_repo::reader::ChunkReader;
use nodekeep_repo::repository::{Repository, SnapshotRecord};
use nodekeep_service::find as nodes;

use crate::error::Result;
use crate::portable;
use crate::refs::{self, Reference};
use crate::session::{App, Need};

/// A snapshot and where it lies.
#[derive(Debug)]
pub struct Target {
    pub repository: Repository,
    pub record: SnapshotRecord,
    /// The part that was named, if a path below a root was.
    pub inside: Option<Vec<u8>>,
}

impl Target {
    /// Reads chunks and trees of the repository.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn reader(&self) -> Result<ChunkReader> {
        reader(&self.repository)
    }
}

/// Reads chunks and trees of a repository.
///
/// # Errors
/// If the index cannot be read.
pub fn reader(repository: &Repository) -> Result<ChunkReader> {
    let (index, mut problems) = repository.index_as_it_is()?;
    match problems.pop() {
        Some(problem) => Err(problem.into()),
        None => Ok(repository.lasting_reader(Arc::new(index))),
    }
}

/// Finds the snapshot that `text` names.
///
/// # Errors
/// If nothing or several match, or no key at hand reads it.
pub fn open(app: &App, text: &str, bases: &[PathBuf]) -> Result<Target> {
    open_with(app, text, bases, &[])
}

/// Finds the snapshot that `text` names; of a node, one that has these components.
///
/// # Errors
/// As [`open`].
pub fn open_with(app: &App, text: &str, bases: &[PathBuf], wanted: &[String]) -> Result<Target> {
    let mut reference = refs::parse(text)?;
    if let Reference::Node { components, .. } = &mut reference {
        components.extend_from_slice(wanted);
    }
    let Reference::File(path) = &reference else {
        return find(app.open(Need::Read)?.repository, &reference);
    };
    let repository = portable::open(app, path, bases)?;
    let record = nodekeep_repo::portable::newest(&repository)?;
    Ok(Target { repository, record, inside: None })
}

/// Finds a snapshot in an open repository.
///
/// # Errors
/// If nothing or several match.
pub fn find(repository: Repository, reference: &Reference) -> Result<Target> {
    let (mut records, mut problems) = repository.snapshots_in(&repository.view()?)?;
    records.retain(|record| !nodes::is_record(record));
    match refs::find(reference, &records, repository.store().location()) {
        Ok(found) => Ok(Target { repository, record: found.record, inside: found.inside }),
        // What was meant may be among those that are damaged.
        Err(error) => Err(problems.pop().map_or(error, |(_, damage)| damage.into())),
    }
}

/// Every snapshot with files, oldest first: not the records of nodes.
///
/// # Errors
/// If the repository cannot be read, or a snapshot is damaged.
pub fn snapshots(repository: &Repository) -> Result<Vec<SnapshotRecord>> {
    let mut records = repository.snapshots()?;
    records.retain(|record| !nodes::is_record(record));
    Ok(records)
}
