//! Backing up a node: held, captured, read, let go; the snapshot says how each of it went.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use jiff::Timestamp;
use nodekeep_nodes::fence::mark::Origin;
use nodekeep_nodes::kind::{self, Graft, Others, Reading, With};
use nodekeep_nodes::manifest::{ComponentRecord, Machine, Manifest, Note, Status, VERSION};
use nodekeep_nodes::node::Node;
use nodekeep_nodes::profile::{HoldMethod, Kind};
use nodekeep_nodes::system;
use nodekeep_repo::backup::{BackupOptions, BackupReport};
use nodekeep_repo::monitor::Monitor;
use nodekeep_repo::repository::Repository;

use crate::capture::{Capturing, Memory, Scene, Wish};
use crate::error::{Error, Result};
use crate::fencing;
use crate::find::{self, MANIFEST, TAG};
use crate::fleet::local;
use crate::graft::{Attach, NodeSource, Part};
use crate::holding::Holding;
use crate::staging::Staging;
use crate::state::{NodeState, State};

/// Where kinds remember from one capture to the next.
const MEMORY: &str = "memory.json";

/// What every use-case of a node works with.
#[derive(Clone)]
pub struct Ground<'a> {
    /// Where snapshots are.
    pub repository: &'a Repository,
    /// What this machine keeps of nodes.
    pub state: &'a State,
    /// Where copies lie if they cannot lie beside what is copied.
    pub scratch: PathBuf,
    /// This machine's name.
    pub host: String,
    /// Program and version to record.
    pub program: String,
    /// Hears of progress.
    pub monitor: &'a dyn Monitor,
}

/// What came of a backup.
#[derive(Debug)]
pub struct NodeBackup {
    /// The engine's report.
    pub report: BackupReport,
    /// What the snapshot says of the node.
    pub manifest: Manifest,
}

impl NodeBackup {
    /// Whether everything that was asked for is in it, and the node was held and let go as planned.
    pub fn is_whole(&self) -> bool {
        self.report.errors.is_empty()
            && self.manifest.hold_notes.iter().all(|note| !is_failure(note))
            && !self.manifest.components.iter().any(is_bad)
    }
}

/// Whether a component was asked for and did not come out whole.
fn is_bad(record: &ComponentRecord) -> bool {
    matches!(record.status, Status::Failed | Status::Partial)
}

/// Whether a note on the hold says that something went wrong.
pub fn is_failure(note: &Note) -> bool {
    !matches!(note.code.as_str(), "not-running" | "manual-maintenance")
}

impl Ground<'_> {
    /// Backs up a node into a new snapshot. What fails in one component costs no other; it is in the manifest.
    ///
    /// # Errors
    /// If another process works on the node, a component is unknown, nothing at all could be captured, or the engine fails.
    pub fn backup(&self, node: &Node, wish: &Wish, options: &BackupOptions) -> Result<NodeBackup> {
        wish.check(node)?;
        let state = self.state.of(node.name())?;
        let _alone = state.alone(node.name())?;
        let machine = self.state.machine(&self.host)?;
        let mut staging = Staging::begin(&state, node.name(), self.scratch.clone())?;
        let begun = Timestamp::now();
        let captured_at = begun.to_string();
        let memory: Memory = state.read_json(MEMORY)?.unwrap_or_default();
        let before = fencing::look_live(node);
        fencing::record(&state, &machine, Origin::Backup, &before)?;
        let carried = fencing::carried(&state, &before)?;
        // What only the running node gives is taken before it is stopped.
        let stop = || self.monitor.interrupted();
        let mut holding = match (options.dry_run, wish.cold) {
            // To count, no node is held.
            (true, _) => Holding::nothing(),
            (false, true) => Holding::awaited(node, &stop)?,
            (false, false) => Holding::enter(node, &state, &stop)?,
        };
        let view = holding.view();
        let capturing = Capturing {
            node,
            wish,
            view: &view,
            memory: &memory,
            staging: &mut staging,
            stop: &stop,
        };
        let since = SystemTime::now();
        let mut scene = capturing.run()?;
        warn(node, &mut scene.records);
        let roots = scene.roots(&view);
        if roots.is_empty() {
            return Err(nothing(node, &scene));
        }
        let mut draft = draft(node, machine, captured_at);
        if wish.cold && !options.dry_run {
            holding.stop(node, &state, &stop)?;
            draft.hold = HoldMethod::Stop;
        }
        let back = LookBack::of(node, &scene, since);
        let teller = Teller::of(draft, scene.records, scene.parts.clone(), Some(holding));
        let teller = Arc::new(Teller { back: Some(back), ..teller });
        let source = NodeSource::new(roots, scene.grafts, scene.parts, teller.attach());
        let mut options = self.options(node, options)?;
        options.attachments.extend(carried);
        let report = self.repository.backup(&source, &options, self.monitor)?;
        let manifest = teller.tell();
        drop(source);
        fencing::record(&state, &manifest.machine, Origin::Backup, &fencing::look_live(node))?;
        keep(&state, &scene.memory, &report)?;
        let backup = NodeBackup { report, manifest };
        local::note_backup(&state, &backup, begun)?;
        Ok(backup)
    }

    pub(crate) fn options(&self, node: &Node, options: &BackupOptions) -> Result<BackupOptions> {
        let mut options = options.clone();
        options.tags.push((TAG.to_owned(), node.name().to_owned()));
        options.attachments.extend(find::configuration(node)?);
        options.attachments.extend(self.state.book().carried(node.name())?);
        options.attachments.extend(local::carried(&self.state.of(node.name())?)?);
        Ok(options)
    }
}

/// What only its system knows of a node stands with the component that it is about.
fn warn(node: &Node, records: &mut [ComponentRecord]) {
    for (component, note) in system::warnings(node) {
        if let Some(record) = records.iter_mut().find(|record| record.name == component) {
            record.notes.push(note);
        }
    }
}

/// A dry run remembers nothing.
fn keep(state: &NodeState, memory: &Memory, report: &BackupReport) -> Result<()> {
    match report.snapshot {
        Some(_) => state.write_json(MEMORY, memory),
        None => Ok(()),
    }
}

/// A manifest that knows no component yet.
pub(crate) fn draft(node: &Node, machine: Machine, captured_at: String) -> Manifest {
    Manifest {
        version: VERSION,
        node: node.name().to_owned(),
        profile: node.profile.name.clone(),
        captured_at,
        machine,
        hold: node.profile.hold.method,
        hold_notes: Vec::new(),
        components: Vec::new(),
    }
}

fn nothing(node: &Node, scene: &Scene) -> Error {
    let mut notes = scene.records.iter().flat_map(|record| &record.notes);
    let reason = notes
        .next()
        .map_or_else(|| "none of its components is there".to_owned(), |note| note.text.clone());
    Error::Nothing { node: node.name().to_owned(), reason }
}

/// Tells the manifest once everything was read; before that it lets the node go, so that it can tell how that went.
pub(crate) struct Teller {
    draft: Manifest,
    records: Vec<ComponentRecord>,
    parts: Vec<Arc<Part>>,
    holding: Mutex<Option<Holding>>,
    told: Mutex<Vec<Note>>,
    back: Option<LookBack>,
}

/// What was read while nothing held it still, to be looked at once more.
pub(crate) struct LookBack {
    kinds: Vec<(String, Kind)>,
    others: Others,
    since: SystemTime,
    staged: Vec<PathBuf>,
    seen: Mutex<Vec<(String, kind::Captured)>>,
}

impl LookBack {
    fn of(node: &Node, scene: &Scene, since: SystemTime) -> Self {
        let components = node.profile.components.iter();
        let kinds = components.map(|c| (c.name.clone(), c.kind.clone())).collect();
        let is_copy =
            |graft: &&Graft| matches!(graft.with, With::Staged(_) | With::StagedForever(_));
        let staged = scene.grafts.iter().filter(is_copy).map(|graft| graft.at.clone()).collect();
        let others = scene.others.clone();
        Self { kinds, others, since, staged, seen: Mutex::default() }
    }

    /// Looks at every captured component; what cannot be looked at is a note too.
    fn look(&self, records: &[ComponentRecord]) {
        let is_read =
            |name: &str| records.iter().any(|r| r.name == name && r.status != Status::Skipped);
        let look = |(name, kind): &(String, Kind)| {
            let live = &self.others.get(name).filter(|_| is_read(name))?.live;
            let reading = Reading { since: self.since, staged: &self.staged };
            let seen = kind::look_back(kind, live, &self.others, &reading);
            let seen = seen.unwrap_or_else(|error| kind::Captured {
                notes: vec![Note::new("not-looked-at", error.to_string())],
                is_torn: true,
                ..Default::default()
            });
            Some((name.clone(), seen))
        };
        let all = self.kinds.iter().filter_map(look).collect();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = all;
    }

    fn tell(&self, records: &mut [ComponentRecord]) {
        for (name, seen) in self.seen.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let found = records.iter_mut().filter(|record| record.name == *name);
            // What was missing when it was captured has not gone while it was read.
            for record in found.filter(|record| !is_known(record, seen)) {
                record.notes.extend(seen.notes.iter().cloned());
                record.missing.extend(seen.missing.iter().cloned());
                if seen.is_torn && record.status == Status::Captured {
                    record.status = Status::Partial;
                }
            }
        }
    }
}

/// Whether a record says already all that a second look found missing.
fn is_known(record: &ComponentRecord, seen: &kind::Captured) -> bool {
    let mut missing = seen.missing.iter();
    !seen.missing.is_empty() && missing.all(|missing| record.missing.contains(missing))
}

impl Teller {
    /// Of a draft, and records with what is seen of each. `holding` is what is let go before anything is told.
    pub(crate) fn of(
        draft: Manifest,
        records: Vec<ComponentRecord>,
        parts: Vec<Arc<Part>>,
        holding: Option<Holding>,
    ) -> Self {
        let (holding, told) = (Mutex::new(holding), Mutex::default());
        Self { draft, records, parts, holding, told, back: None }
    }

    /// What the engine asks once it has read everything.
    pub(crate) fn attach(self: &Arc<Self>) -> Attach {
        let teller = self.clone();
        Box::new(move || {
            // Before the node is let go: a snapshot of the file system goes with the hold.
            if let Some(back) = &teller.back {
                back.look(&teller.records);
            }
            let manifest = serde_json::to_vec_pretty(&teller.tell()).unwrap_or_default();
            vec![(MANIFEST.to_owned(), manifest)]
        })
    }

    pub(crate) fn tell(&self) -> Manifest {
        let holding = self.holding.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut components = Scene::finished(&self.records, &self.parts);
        if let Some(back) = &self.back {
            back.tell(&mut components);
        }
        if let Some(holding) = holding {
            told.extend(holding.release(!components.iter().any(is_bad)));
        }
        Manifest { hold_notes: told.clone(), components, ..self.draft.clone() }
    }
}
