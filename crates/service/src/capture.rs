//! From a node to what the engine reads: each component captured by its kind in the declared order, each with its own outcome, so that one
//! that fails costs no other.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nodekeep_nodes::kind::{self, Captured, Graft, Request, With};
use nodekeep_nodes::manifest::{ComponentRecord, Note, Status};
use nodekeep_nodes::node::{Located, Node};
use nodekeep_nodes::profile::{Component, Kind, Variables};

use crate::error::{Error, Result};
use crate::graft::{Exclusion, Part, Seen};
use crate::holding::View;
use crate::staging::Staging;

/// What kinds remember from one capture to the next: by component, or component and part.
pub type Memory = BTreeMap<String, serde_json::Value>;

/// Which components are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Only these; empty: all but those that are captured on request.
    pub only: Vec<String>,
    /// Not these.
    pub skip: Vec<String>,
}

impl Wish {
    fn wants(&self, component: &Component) -> bool {
        let name = &component.name;
        let is_named = self.only.contains(name);
        (is_named || (self.only.is_empty() && !component.on_request)) && !self.skip.contains(name)
    }

    /// # Errors
    /// [`Error::NoComponent`] for a name that the node does not have.
    pub fn check(&self, node: &Node) -> Result<()> {
        let known: Vec<String> =
            node.profile.components.iter().map(|component| component.name.clone()).collect();
        match self.only.iter().chain(&self.skip).find(|name| !known.contains(name)) {
            Some(name) => Err(Error::NoComponent {
                node: node.name().to_owned(),
                component: name.clone(),
                known,
            }),
            None => Ok(()),
        }
    }
}

/// A node, ready to be read.
#[derive(Debug, Default)]
pub struct Scene {
    /// What came of each component; sizes are not in it yet.
    pub records: Vec<ComponentRecord>,
    /// One for each record.
    pub parts: Vec<Arc<Part>>,
    /// What is read in place of what lies there.
    pub grafts: Vec<Graft>,
    /// For the next capture.
    pub memory: Memory,
}

impl Scene {
    /// What is recorded and what is read for it, none within another.
    pub fn roots(&self, view: &View) -> Vec<(PathBuf, PathBuf)> {
        let is_read =
            |record: &&ComponentRecord| matches!(record.status, Status::Captured | Status::Partial);
        let mut paths: Vec<&PathBuf> =
            self.records.iter().filter(is_read).map(|record| &record.path).collect();
        paths.sort();
        paths.dedup();
        let all = paths.clone();
        paths.retain(|path| !all.iter().any(|other| other != path && path.starts_with(other)));
        paths.into_iter().map(|path| (path.clone(), view.reading(path))).collect()
    }

    /// The records with what was read of each.
    pub fn finished(records: &[ComponentRecord], parts: &[Arc<Part>]) -> Vec<ComponentRecord> {
        records.iter().zip(parts).map(|(record, part)| finish(record, &part.seen)).collect()
    }
}

fn finish(record: &ComponentRecord, seen: &Seen) -> ComponentRecord {
    let mut record = record.clone();
    (record.files, record.bytes) = (seen.files(), seen.bytes());
    if seen.unreadable() > 0 {
        let text =
            format!("{} names could not be read: see the snapshot's list", seen.unreadable());
        record.notes.push(Note::new("unreadable", text));
        if record.status == Status::Captured {
            record.status = Status::Partial;
        }
    }
    record
}

/// Captures a node's components.
#[derive(Debug)]
pub struct Capturing<'a> {
    /// Which node.
    pub node: &'a Node,
    /// Which of its components.
    pub wish: &'a Wish,
    /// Where its files are read.
    pub view: &'a View,
    /// What was remembered.
    pub memory: &'a Memory,
    /// Where copies lie.
    pub staging: &'a mut Staging,
}

impl Capturing<'_> {
    /// Captures them in the declared order.
    ///
    /// # Errors
    /// If a component's path cannot be told, or a pattern of the profile is none. What fails in a component is in its record.
    pub fn run(mut self) -> Result<Scene> {
        let mut scene = Scene { memory: self.memory.clone(), ..Scene::default() };
        let variables = self.node.variables();
        for located in self.node.components()? {
            let wants = self.wish.wants(located.component);
            if located.component.on_request && !wants {
                continue;
            }
            let path = fs::canonicalize(&located.path).unwrap_or_else(|_| located.path.clone());
            let mut record = record_of(&located, path.clone());
            if wants {
                self.component(&located, &mut record, &variables, &mut scene);
            } else {
                record.status = Status::Skipped;
            }
            if !matches!(record.status, Status::Captured | Status::Partial) {
                scene.grafts.push(Graft { at: path.clone(), with: With::Nothing });
            }
            scene.parts.push(Arc::new(Part {
                path,
                exclude: exclusions(&located)?,
                seen: Seen::default(),
            }));
            scene.records.push(record);
        }
        let staged = self.staging.folders().iter();
        scene.grafts.extend(staged.map(|at| Graft { at: at.clone(), with: With::Nothing }));
        Ok(scene)
    }

    fn component(
        &mut self,
        located: &Located<'_>,
        record: &mut ComponentRecord,
        variables: &Variables,
        scene: &mut Scene,
    ) {
        let component = located.component;
        if component.kind.lies_somewhere()
            && let Err(error) = fs::metadata(self.view.reading(&record.path))
        {
            return absent(record, &error);
        }
        let path = record.path.clone();
        match self.capture(&component.kind, &component.name, &path, variables, scene) {
            Ok(captured) => take(record, captured, scene, &component.name),
            Err(error) => return fail(record, error.to_string()),
        }
        for part in &component.parts {
            let key = format!("{}/{}", component.name, part.path);
            let at = record.path.join(&part.path);
            if !self.view.reading(&at).exists() {
                if part.required {
                    torn(record, "missing", format!("{} is missing", at.display()));
                }
                continue;
            }
            match self.capture(&part.kind, &key, &at, variables, scene) {
                Ok(captured) => take(record, captured, scene, &key),
                Err(error) => {
                    // Half of it is worse than none: it is left out, and the component says so.
                    scene.grafts.push(Graft { at, with: With::Nothing });
                    torn(record, "failed", error.to_string());
                }
            }
        }
    }

    fn capture(
        &mut self,
        kind: &Kind,
        key: &str,
        live: &Path,
        variables: &Variables,
        scene: &Scene,
    ) -> Result<Captured> {
        if *kind == Kind::Files {
            return Ok(Captured::default());
        }
        let staging = self.staging.folder_for(live)?;
        let request = Request {
            path: &self.view.reading(live),
            staging: &staging,
            memory: scene.memory.get(key),
            variables,
            patience: self.node.profile.hold.patience,
        };
        let mut captured = kind::capture(kind, &request)?;
        for graft in &mut captured.grafts {
            graft.at = back(&graft.at, request.path, live);
        }
        Ok(captured)
    }
}

/// From a path in or beside what was read to the one in or beside what lies there.
fn back(at: &Path, read: &Path, live: &Path) -> PathBuf {
    let within = |read: &Path, live: &Path| Some(live.join(at.strip_prefix(read).ok()?));
    within(read, live)
        .or_else(|| within(read.parent()?, live.parent()?))
        .unwrap_or_else(|| at.to_owned())
}

/// A component's record before anything came of it.
pub(crate) fn record_of(located: &Located<'_>, path: PathBuf) -> ComponentRecord {
    let component = located.component;
    ComponentRecord {
        name: component.name.clone(),
        about: component.about.clone(),
        path,
        kind: component.kind.word().to_owned(),
        status: Status::Captured,
        required: component.required,
        priority: component.priority,
        files: 0,
        bytes: 0,
        position: Default::default(),
        hashes: BTreeMap::new(),
        notes: Vec::new(),
    }
}

fn exclusions(located: &Located<'_>) -> Result<Vec<Exclusion>> {
    let component = located.component;
    let parse = |pattern: &String| {
        Exclusion::parse(pattern).map_err(|reason| {
            Error::Node(nodekeep_nodes::error::Error::Profile {
                origin: format!("component `{}`", component.name),
                reason: format!("exclude `{pattern}`: {reason}"),
            })
        })
    };
    component.exclude.iter().map(parse).collect()
}

/// What came of a kind, into the record and the scene.
fn take(record: &mut ComponentRecord, captured: Captured, scene: &mut Scene, key: &str) {
    record.position.join(&captured.position);
    record.hashes.extend(captured.hashes);
    record.notes.extend(captured.notes);
    if captured.is_torn {
        record.status = Status::Partial;
    }
    scene.grafts.extend(captured.grafts);
    if let Some(memory) = captured.memory {
        scene.memory.insert(key.to_owned(), memory);
    }
}

fn torn(record: &mut ComponentRecord, code: &str, text: String) {
    record.status = Status::Partial;
    record.notes.push(Note::new(code, text));
}

fn fail(record: &mut ComponentRecord, text: String) {
    record.status = Status::Failed;
    record.notes.push(Note::new("failed", text));
}

/// What is not there is a failure only where the node needs it; what cannot be looked at always is.
fn absent(record: &mut ComponentRecord, error: &io::Error) {
    match (error.kind(), record.required) {
        (io::ErrorKind::NotFound, false) => record.status = Status::Absent,
        (io::ErrorKind::NotFound, true) => {
            fail(record, format!("{} does not exist (ENOENT)", record.path.display()));
        }
        _ => fail(record, format!("{}: {error}", record.path.display())),
    }
}
