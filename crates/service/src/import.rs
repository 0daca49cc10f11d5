//! Backups that a node's old tools left, as snapshots of the node: each folder is read where it lies, and recorded where it belongs.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use nodekeep_nodes::kind::{Graft, Others, With};
use nodekeep_nodes::manifest::{ComponentRecord, Note, Status};
use nodekeep_nodes::node::Node;
use nodekeep_nodes::old::{OldBackup, OldPart};
use nodekeep_repo::backup::BackupOptions;

use crate::backup::{Ground, NodeBackup, Teller, draft};
use crate::capture::record_of;
use crate::error::{Error, Result};
use crate::graft::{NodeSource, Part, Seen};
use crate::restore::verify_component;

impl Ground<'_> {
    /// Brings an old backup into the repository as a snapshot of the node, with its own time. Nothing of it is verified: that is the
    /// drill's.
    ///
    /// # Errors
    /// If there is nothing in it, or the engine fails.
    pub fn import(
        &self,
        node: &Node,
        old: &OldBackup,
        options: &BackupOptions,
    ) -> Result<NodeBackup> {
        if old.parts.is_empty() {
            let reason = "the backup holds none of its components".to_owned();
            return Err(Error::Nothing { node: node.name().to_owned(), reason });
        }
        let taken_at = old.taken_at.unwrap_or_else(Timestamp::now);
        let machine = self.state.machine(&self.host)?;
        let (records, parts) = told(node, old)?;
        let (roots, grafts) = laid(&old.parts);
        let teller =
            Teller::of(draft(node, machine, taken_at.to_string()), records, parts.clone(), None);
        let teller = Arc::new(teller);
        let source = NodeSource::new(roots, grafts, parts, teller.attach());
        let mut options = self.options(node, options)?;
        let ms = taken_at.as_millisecond();
        options.times = old.taken_at.map(|_| (ms, ms));
        let report = self.repository.backup(&source, &options, self.monitor)?;
        Ok(NodeBackup { report, manifest: teller.tell() })
    }
}

/// Roots as `(recorded, read)`, none within another: what lies within another and was read elsewhere is grafted.
fn laid(parts: &[OldPart]) -> (Vec<(PathBuf, PathBuf)>, Vec<Graft>) {
    let mut sorted: Vec<&OldPart> = parts.iter().collect();
    sorted.sort_by(|a, b| a.belongs.cmp(&b.belongs));
    let (mut roots, mut grafts) = (Vec::<(PathBuf, PathBuf)>::new(), Vec::new());
    for part in sorted {
        let outer = roots.iter().find(|(recorded, _)| part.belongs.starts_with(recorded));
        match outer {
            None => roots.push((part.belongs.clone(), part.read.clone())),
            Some((recorded, read)) => {
                let inner = part.belongs.strip_prefix(recorded).map(|inner| read.join(inner));
                if inner.is_ok_and(|inner| inner != part.read) {
                    grafts.push(Graft {
                        at: part.belongs.clone(),
                        with: With::Staged(part.read.clone()),
                    });
                }
            }
        }
    }
    (roots, grafts)
}

fn told(node: &Node, old: &OldBackup) -> Result<(Vec<ComponentRecord>, Vec<Arc<Part>>)> {
    let (mut records, mut parts) = (Vec::new(), Vec::new());
    for located in node.components()? {
        let name = &located.component.name;
        let path = located.path.clone();
        let mut record = record_of(&located, path.clone());
        let is_there = old.parts.iter().any(|part| part.component == *name);
        if old.never.contains(name) {
            record.status = Status::Skipped;
        } else if !is_there && located.component.on_request {
            continue;
        } else if !is_there {
            record.status = if record.required { Status::Failed } else { Status::Absent };
            let why = old.missing.iter().find(|(missing, _)| missing == name);
            let why = why.and_then(|(_, why)| why.clone());
            let text = why.unwrap_or_else(|| "it is not in the old backup".to_owned());
            record.notes.push(Note::new("not-in-backup", text));
        }
        for part in old.parts.iter().filter(|part| part.component == *name) {
            record.notes.extend(part.notes.iter().cloned());
            record.missing.extend(part.missing.iter().cloned());
            if part.belongs == path {
                // What it holds is told; whether it is sound is the drill's.
                record.position =
                    verify_component(node, &located, &part.read, &Others::new()).position;
            }
        }
        if !record.missing.is_empty() {
            record.status = Status::Partial;
        }
        records.push(record);
        parts.push(Arc::new(Part { path, exclude: Vec::new(), seen: Seen::default() }));
    }
    Ok((records, parts))
}
