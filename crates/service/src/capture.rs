//! From a node to what the engine reads: each component captured by its kind in the declared order, each with its own outcome, so that one
//! that fails costs no other.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nodekeep_nodes::command::Stop;
use nodekeep_nodes::counting::counted;
use nodekeep_nodes::kind::{self, Captured, Choice, Graft, Other, Others, Request, With};
use nodekeep_nodes::manifest::{ComponentRecord, Note, Status};
use nodekeep_nodes::node::{Located, Node};
use nodekeep_nodes::profile::{Component, Kind, Variables, fill};
use nodekeep_nodes::service::Control;
use nodekeep_repo::error::Error as Engine;

use crate::error::{Error, Result};
use crate::graft::{Exclusion, Part, Seen};
use crate::holding::View;
use crate::restore::place::join;
use crate::staging::Staging;
use crate::state::make_folder;

/// What kinds remember from one capture to the next: by component, or component and part.
pub type Memory = BTreeMap<String, serde_json::Value>;

/// How often a component is captured again because another was ahead of its copy.
const ROUNDS: usize = 8;

/// Which components are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Only these; empty: all but those that are captured on request.
    pub only: Vec<String>,
    /// Not these.
    pub skip: Vec<String>,
    /// What of those that can choose.
    pub choice: Choice,
    /// Whether the node is stopped for those that are whole only then; they are wanted too.
    pub cold: bool,
}

impl Wish {
    fn wants(&self, component: &Component) -> bool {
        let name = &component.name;
        let is_named = self.only.contains(name) || (self.cold && component.cold);
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
            None => self.check_cold(node).and_then(|()| self.check_choice(node)),
        }
    }

    fn check_cold(&self, node: &Node) -> Result<()> {
        let is_cold = |component: &Component| component.cold && self.wants(component);
        match self.cold && !node.profile.components.iter().any(is_cold) {
            true => Err(Error::NothingCold { node: node.name().to_owned() }),
            false => Ok(()),
        }
    }

    /// What is chosen by name belongs to a component that can choose.
    fn check_choice(&self, node: &Node) -> Result<()> {
        let can_choose = |component: &&Component| matches!(component.kind, Kind::AxonApplets(_));
        let choosers = node.profile.components.iter().filter(can_choose);
        let choosers: Vec<String> = choosers.map(|component| component.name.clone()).collect();
        if self.choice.select.is_empty() || choosers.iter().any(|name| self.only.contains(name)) {
            return Ok(());
        }
        Err(Error::NothingToChoose { node: node.name().to_owned(), choosers })
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
    /// Where the components lie, for those that come after them.
    pub others: Others,
    /// Folders that do not lie where something is read, by their places.
    folders: BTreeMap<PathBuf, PathBuf>,
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

    /// Whether a component was captured.
    fn captured(&self, name: &str) -> bool {
        let is_in = |status| matches!(status, Status::Captured | Status::Partial);
        self.records.iter().any(|record| record.name == name && is_in(record.status))
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
        let names = counted(seen.unreadable(), "file or folder/files or folders");
        let text = format!("{names} could not be read: `nodekeep snapshot show` names them");
        record.notes.push(Note::new("unreadable", text));
        if record.status == Status::Captured {
            record.status = Status::Partial;
        }
    }
    record
}

/// Captures a node's components.
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
    /// Whether somebody wants us to stop: asked before each component.
    pub stop: Stop<'a>,
}

impl Capturing<'_> {
    /// Captures them in the declared order.
    ///
    /// # Errors
    /// If a component's path cannot be told, or a pattern of the profile is none, or for a wish to stop. What fails in a component is in its
    /// record.
    pub fn run(mut self) -> Result<Scene> {
        let mut scene = Scene { memory: self.memory.clone(), ..Scene::default() };
        let variables = self.node.variables();
        for located in self.node.components()? {
            if (self.stop)() {
                return Err(Engine::Interrupted.into());
            }
            let wants = self.wish.wants(located.component);
            if located.component.on_request && !wants {
                continue;
            }
            let path = fs::canonicalize(&located.path).unwrap_or_else(|_| located.path.clone());
            let mut record = record_of(&located, path.clone());
            if wants {
                self.component(&located, &mut record, &variables, &mut scene);
            } else {
                skip(&located, &mut record, &scene);
            }
            let live = self.view.reading(&path);
            if live.exists() {
                let copy = staged(&scene.grafts, &path).unwrap_or_else(|| live.clone());
                scene.others.insert(located.component.name.clone(), Other { copy, live });
            }
            if !matches!(record.status, Status::Captured | Status::Partial) {
                scene.grafts.push(Graft { at: path.clone(), with: With::Nothing });
            }
            let exclude = exclusions(&located, &path, &variables)?;
            scene.parts.push(Arc::new(Part { path, exclude, seen: Seen::default() }));
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
        let lies_somewhere = component.kind.lies_somewhere();
        if lies_somewhere && let Err(error) = fs::metadata(self.view.reading(&record.path)) {
            return absent(record, &error);
        }
        if lies_somewhere {
            self.outside(record);
        }
        if component.cold && !self.wish.cold && self.may_run() {
            let text = "the node may have written to it meanwhile, so that its databases can be torn: --cold stops the node for it";
            torn(record, "not-cold", text.to_owned());
        }
        let path = record.path.clone();
        match self.capture_fitting(component, &path, variables, scene) {
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

    /// Captures a component; those that it finds outdated are captured again before it.
    fn capture_fitting(
        &mut self,
        component: &Component,
        path: &Path,
        variables: &Variables,
        scene: &mut Scene,
    ) -> Result<Captured> {
        let (kind, name) = (&component.kind, &component.name);
        let mut captured = self.capture(kind, name, path, variables, scene)?;
        for _ in 0..ROUNDS {
            // What was not asked for stays as it is.
            let mut outdated = captured.outdated.iter().filter(|name| scene.captured(name));
            let Some(other) = outdated.next().cloned() else { break };
            self.once_more(&other, variables, scene)?;
            captured = self.capture(kind, name, path, variables, scene)?;
        }
        Ok(captured)
    }

    /// Whether the node runs, or nobody can tell.
    fn may_run(&self) -> bool {
        let control = Control::of(self.node, Path::new("/dev/null"));
        control.and_then(|control| control.is_running()).unwrap_or(None) != Some(false)
    }

    /// A snapshot of a file system has nothing of what lies on another.
    fn outside(&self, record: &mut ComponentRecord) {
        if self.view.is_outside(&record.path) {
            let text = format!(
                "{} is not on the file system that was frozen: it was read live",
                record.path.display()
            );
            record.notes.push(Note::new("read-live", text));
        }
        for point in self.view.foreign_in(&record.path) {
            let text = format!(
                "{} is a file system of its own, which the frozen one does not show: make it a component of its own",
                point.display()
            );
            torn(record, "not-frozen", text);
        }
    }

    fn once_more(&mut self, name: &str, variables: &Variables, scene: &mut Scene) -> Result<()> {
        let node = self.node;
        let located = node.component(name)?;
        let Some(at) = scene.records.iter().position(|record| record.name == name) else {
            return Ok(());
        };
        let mut record = record_of(&located, scene.records[at].path.clone());
        self.component(&located, &mut record, variables, scene);
        if !matches!(record.status, Status::Captured | Status::Partial) {
            // The copy that is there is older, and better than none.
            return Ok(());
        }
        if let Some(copy) = staged(&scene.grafts, &record.path) {
            scene.others.entry(name.to_owned()).and_modify(|other| other.copy = copy);
        }
        scene.records[at] = record;
        Ok(())
    }

    fn capture(
        &mut self,
        kind: &Kind,
        key: &str,
        live: &Path,
        variables: &Variables,
        scene: &mut Scene,
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
            others: &scene.others,
            choice: &self.wish.choice,
        };
        let mut captured = kind::capture(kind, &request)?;
        for graft in &mut captured.grafts {
            graft.at = back(&graft.at, request.path, live);
        }
        let shown = captured.grafts.iter().filter(|graft| graft.with != With::Nothing);
        let places: Vec<PathBuf> = shown.map(|graft| graft.at.clone()).collect();
        for at in places {
            captured.grafts.extend(self.folders_above(&at, scene)?);
        }
        Ok(captured)
    }

    /// What is read at a place is only found if the folders above it are: those that do not lie there are made, empty, and grafted.
    fn folders_above(&mut self, at: &Path, scene: &mut Scene) -> Result<Option<Graft>> {
        let Some(parent) = at.parent() else { return Ok(None) };
        let is_missing = |folder: &&Path| !self.view.reading(folder).exists();
        let Some(top) = parent.ancestors().take_while(is_missing).last() else { return Ok(None) };
        let made = match scene.folders.get(top) {
            Some(made) => made.clone(),
            None => {
                let made = self.staging.folder_for(top)?.join("folder");
                scene.folders.insert(top.to_owned(), made.clone());
                made
            }
        };
        make_folder(&join(&made, parent.strip_prefix(top).unwrap_or(parent)))?;
        Ok(Some(Graft { at: top.to_owned(), with: With::Staged(made) }))
    }
}

/// Where the copy of a path lies, if it was copied: the last copy counts.
fn staged(grafts: &[Graft], path: &Path) -> Option<PathBuf> {
    grafts.iter().rev().find_map(|graft| match &graft.with {
        With::Staged(copy) | With::StagedForever(copy) if graft.at == path => Some(copy.clone()),
        _ => None,
    })
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
        missing: Vec::new(),
    }
}

/// What the profile leaves out. An absolute path fits itself, if it lies in the component; `real` is where that lies without links.
fn exclusions(located: &Located<'_>, real: &Path, variables: &Variables) -> Result<Vec<Exclusion>> {
    let component = located.component;
    let parse = |pattern: &String| {
        let filled = fill(pattern, variables)?;
        let inner = [real, &located.path].into_iter().find_map(|base| {
            let inner = Path::new(&filled).strip_prefix(base).ok()?;
            Some(format!("/{}", inner.display()))
        });
        Exclusion::parse(&inner.unwrap_or(filled)).map_err(|reason| {
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
    record.missing.extend(captured.missing);
    if captured.is_torn {
        record.status = Status::Partial;
    }
    scene.grafts.extend(captured.grafts);
    if let Some(memory) = captured.memory {
        scene.memory.insert(key.to_owned(), memory);
    }
}

/// What is left out on request is named where the kind can name it.
fn skip(located: &Located<'_>, record: &mut ComponentRecord, scene: &Scene) {
    record.status = Status::Skipped;
    let kind = &located.component.kind;
    // What names it is not in the snapshot either.
    if !kind.others().iter().all(|other| scene.captured(other)) {
        return;
    }
    match kind::left_out(kind, &scene.others) {
        Ok(missing) if missing.is_empty() => {}
        Ok(missing) => {
            let text = format!(
                "{} contents are not in this snapshot; a restore brings them from others that have them",
                missing.len()
            );
            record.notes.push(Note::new("left-out", text));
            record.missing = missing;
        }
        Err(error) => record.notes.push(Note::new("not-named", error.to_string())),
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
