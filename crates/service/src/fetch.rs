//! Content of an Axon that a database names and that does not lie beside it, brought from whichever snapshot of the node has it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use nodekeep_nodes::axon::chunks;
use nodekeep_nodes::axon::manifest::ContentManifest;
use nodekeep_repo::reader::ChunkReader;
use nodekeep_repo::repository::SnapshotRecord;
use nodekeep_repo::restore::{RestoreOptions, Target};
use nodekeep_repo::tree::Kind;

use crate::backup::Ground;
use crate::error::{Error, Result};
use crate::find::{NodeSnapshot, of_node};
use crate::restore::place::{Placement, inside};
use crate::state::make_folder;

/// Content that should lie somewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Whose it is, in words.
    pub of: String,
    /// What it consists of.
    pub manifest: ContentManifest,
}

impl Wanted {
    fn name(&self) -> String {
        self.manifest.content_hash.to_string()
    }

    /// Whether all of it lies in a folder of contents.
    pub fn is_whole(&self, folder: &Path) -> bool {
        chunks::examine(&folder.join(self.name()), &self.manifest).0.is_empty()
    }
}

/// Where content is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// Looked into first.
    pub near: &'a NodeSnapshot,
    /// Every snapshot of the repository: those of the node are looked into, the newest first.
    pub all: &'a [SnapshotRecord],
    /// The component that holds the content.
    pub component: &'a str,
}

impl Ground<'_> {
    /// Brings every right chunk of what is wanted into `into`; what is not whole there afterwards is returned. `scratch` is used on the way.
    ///
    /// # Errors
    /// If the repository cannot be read, or a file cannot be written. What one snapshot cannot give is looked for in the next.
    pub fn fetch(
        &self,
        sources: Sources<'_>,
        mut wanted: Vec<Wanted>,
        into: &Path,
        scratch: &Path,
    ) -> Result<Vec<Wanted>> {
        wanted.retain(|wanted| !wanted.is_whole(into));
        if wanted.is_empty() {
            return Ok(wanted);
        }
        let reader = self.reader()?;
        for snapshot in order(sources) {
            self.fetch_from(&reader, &snapshot, sources.component, &wanted, (into, scratch))?;
            wanted.retain(|wanted| !wanted.is_whole(into));
            if wanted.is_empty() {
                break;
            }
        }
        Ok(wanted)
    }

    fn fetch_from(
        &self,
        reader: &ChunkReader,
        snapshot: &NodeSnapshot,
        component: &str,
        wanted: &[Wanted],
        (into, scratch): (&Path, &Path),
    ) -> Result<()> {
        let record = snapshot.manifest.components.iter().find(|record| record.name == component);
        let Some(record) = record else { return Ok(()) };
        let there = folders(reader, snapshot, &record.path)?;
        let here: Vec<&Wanted> = wanted.iter().filter(|w| there.contains(&w.name())).collect();
        if here.is_empty() {
            return Ok(());
        }
        let stage = scratch.join("fetched");
        let path = |wanted: &&Wanted| record.path.join(wanted.name());
        let mut options = RestoreOptions::new(Target::Into(stage.clone()));
        options.subpaths = here.iter().map(|w| path(w).as_os_str().as_bytes().to_vec()).collect();
        options.force = true;
        // Whatever could not be read is not right when it is looked at.
        self.repository.restore(&snapshot.record, &options, self.monitor)?;
        for wanted in here {
            let placement =
                Placement { recorded: path(&wanted), target: into.to_owned(), components: vec![] };
            take(wanted, &stage.join(inside(snapshot, &placement)), into)?;
        }
        fs::remove_dir_all(&stage).map_err(Error::file(&stage, "cannot be removed"))
    }

    fn reader(&self) -> Result<ChunkReader> {
        let (index, mut problems) = self.repository.index_as_it_is()?;
        match problems.pop() {
            Some(problem) => Err(problem.into()),
            None => Ok(self.repository.lasting_reader(Arc::new(index))),
        }
    }
}

/// The nearest first, then the node's others, the newest first.
fn order(sources: Sources<'_>) -> Vec<NodeSnapshot> {
    let near = sources.near;
    let (others, _) = of_node(sources.all, &near.manifest.node);
    let others = others.into_iter().rev().filter(|other| other.record.id != near.record.id);
    let holds = |snapshot: &NodeSnapshot| snapshot.holds(sources.component);
    std::iter::once(near.clone()).chain(others).filter(holds).collect()
}

/// Names in a folder of a snapshot.
fn folders(reader: &ChunkReader, snapshot: &NodeSnapshot, path: &Path) -> Result<BTreeSet<String>> {
    let found = reader.find(&snapshot.record.snapshot, path.as_os_str().as_bytes())?;
    let Some(Kind::Directory { tree, .. }) = found.map(|entry| entry.kind) else {
        return Ok(BTreeSet::new());
    };
    let entries = reader.entries(&tree)?;
    let name = |name: &[u8]| OsStr::from_bytes(name).to_string_lossy().into_owned();
    Ok(entries.iter().map(|entry| name(&entry.name)).collect())
}

/// Copies the chunks that are right and are not there yet.
fn take(wanted: &Wanted, from: &Path, into: &Path) -> Result<()> {
    let to = into.join(wanted.name());
    for index in 0..wanted.manifest.chunk_hashes.len() {
        if chunks::read(&to, &wanted.manifest, index).is_ok() {
            continue;
        }
        if let Ok(bytes) = chunks::read(from, &wanted.manifest, index) {
            make_folder(&to)?;
            crate::state::replace(&to.join(chunks::name(index)), &bytes)?;
        }
    }
    Ok(())
}
