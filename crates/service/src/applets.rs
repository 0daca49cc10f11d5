//! Applets of an Axon's snapshots: unpacked with their content, given envelopes for others, merged into an instance in use as rows, or
//! written as a backup directory that Axon's own `restore_applets` reads.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nodekeep_nodes::axon::applet::{Applet, select};
use nodekeep_nodes::axon::database::HolderKind;
use nodekeep_nodes::axon::export::{Export, Exported};
use nodekeep_nodes::axon::instance::{Instance, Known, known};
use nodekeep_nodes::axon::key::Recipient;
use nodekeep_nodes::axon::merge::{Merged, Merging};
use nodekeep_nodes::axon::moment::Moment;
use nodekeep_nodes::axon::rekey::{Rekeyed, Rekeying};
use nodekeep_nodes::axon::secret::SecretKey;
use nodekeep_nodes::axon::{database, import};
use nodekeep_nodes::node::Node;
use nodekeep_nodes::profile::{AxonAppletsRule, Component, Kind};
use nodekeep_repo::repository::SnapshotRecord;

use crate::backup::Ground;
use crate::error::{Error, Result};
use crate::fetch::{Sources, Wanted};
use crate::find::{NodeSnapshot, of_node};
use crate::restore::place::Placement;
use crate::staging::Staging;
use crate::state::Alone;

/// How to merge.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// Bring applets that are there to what the snapshot says.
    pub update: bool,
    /// Only rows: content is brought later.
    pub skip_chunks: bool,
    /// Only see what would come of it.
    pub dry_run: bool,
}

/// Applets of a snapshot, in a folder that goes with this.
#[derive(Debug)]
pub struct Unpacked {
    /// With the folders of their content.
    pub applets: Vec<Applet>,
    /// What a person should know.
    pub notes: Vec<String>,
    staging: Staging,
    _alone: Alone,
}

/// The component of a node that holds applets, if it has one.
pub fn component_of(node: &Node) -> Option<(&Component, &AxonAppletsRule)> {
    node.profile.components.iter().find_map(|component| match &component.kind {
        Kind::AxonApplets(rule) => Some((component, rule)),
        _ => None,
    })
}

/// Everybody whom an instance in use would make envelopes for.
///
/// # Errors
/// If its database cannot be read.
pub fn trusted_by(node: &Node) -> Result<Known> {
    let (_, rule) = rule_of(node)?;
    Ok(known(&node.component(&rule.database)?.path)?)
}

/// Gives the applets of an instance in use envelopes, with its own key.
///
/// # Errors
/// If its key cannot be opened, or some content does not open with it: then nothing changed.
pub fn rekey_live(node: &Node, recipients: &[Recipient], prune: bool) -> Result<Rekeyed> {
    let (_, rule) = rule_of(node)?;
    let database = node.component(&rule.database)?.path;
    let secret = SecretKey::from_env_file(&node.component(&rule.environment)?.path)?;
    let instance = Instance::open(&database, &secret)?;
    let rekeying = Rekeying { instance: &instance, recipients, prune };
    Ok(rekeying.database(&database, &HolderKind::APPLETS)?)
}

fn rule_of(node: &Node) -> Result<(&Component, &AxonAppletsRule)> {
    component_of(node).ok_or_else(|| Error::NothingToChoose {
        node: node.name().to_owned(),
        choosers: Vec::new(),
    })
}

impl Ground<'_> {
    /// Unpacks the chosen applets of a snapshot; content that it lacks comes from the node's other snapshots.
    ///
    /// # Errors
    /// If the snapshot holds no applets, or not these; if another process works on the node.
    pub fn unpack_applets(
        &self,
        (snapshot, all): (&NodeSnapshot, &[SnapshotRecord]),
        chosen: &[String],
        skip_chunks: bool,
    ) -> Result<Unpacked> {
        let node = snapshot.node()?;
        let (component, rule) = rule_of(&node)?;
        let state = self.state.of(node.name())?;
        let alone = state.alone(node.name())?;
        let mut staging = Staging::begin(&state, node.name(), self.scratch.clone())?;
        let folder = staging.folder_for(&self.scratch)?;
        let mut notes = Vec::new();
        let applets = if snapshot.holds(&component.name) {
            let copy = self.bring_component(snapshot, &component.name, &folder)?;
            let backup = import::read(&copy)?;
            notes.extend(backup.notes);
            select(backup.applets, chosen)?
        } else {
            let copy = self.bring_component(snapshot, &rule.database, &folder)?;
            let chunks = folder.join("chunks");
            let applets = select(database::applets(&copy, &chunks)?, chosen)?;
            if !skip_chunks {
                let sources = Sources { near: snapshot, all, component: &rule.chunks };
                self.fetch(sources, wanted(&applets), &chunks, &folder)?;
            }
            applets
        };
        Ok(Unpacked { applets, notes, staging, _alone: alone })
    }

    /// Gives everything unpacked envelopes, with the key of the instance that it came from: it lies in its snapshots.
    ///
    /// # Errors
    /// [`Error::NoInstanceKey`] if no snapshot holds the key; if some content does not open with it. Then nothing changed.
    pub fn rekey_applets(
        &self,
        (snapshot, all): (&NodeSnapshot, &[SnapshotRecord]),
        unpacked: &mut Unpacked,
        recipients: &[Recipient],
        prune: bool,
    ) -> Result<Rekeyed> {
        let node = snapshot.node()?;
        let (_, rule) = rule_of(&node)?;
        let instance = self.instance(rule, (snapshot, all), &mut unpacked.staging)?;
        let rekeying = Rekeying { instance: &instance, recipients, prune };
        Ok(rekeying.applets(&mut unpacked.applets)?)
    }

    /// Merges what was unpacked into the database that a node uses, while it runs.
    ///
    /// # Errors
    /// If its instance could not open what it would get, or the database cannot be written: then nothing changed.
    pub fn merge_applets(&self, node: &Node, unpacked: &Unpacked, how: How) -> Result<Merged> {
        let (_, rule) = rule_of(node)?;
        let merging = Merging {
            database: &node.component(&rule.database)?.path,
            chunks: &node.component(&rule.chunks)?.path,
            update: how.update,
            skip_chunks: how.skip_chunks,
            accept_sealed: false,
            dry_run: how.dry_run,
        };
        Ok(merging.run(&unpacked.applets)?)
    }

    /// The key of the instance: of this snapshot, or of another of the node.
    fn instance(
        &self,
        rule: &AxonAppletsRule,
        (snapshot, all): (&NodeSnapshot, &[SnapshotRecord]),
        staging: &mut Staging,
    ) -> Result<Instance> {
        let name = &snapshot.manifest.node;
        let others = of_node(all, name).0.into_iter().rev();
        let has_key = |s: &NodeSnapshot| s.holds(&rule.database) && s.holds(&rule.environment);
        let mut last = Error::NoInstanceKey { node: name.clone() };
        for candidate in std::iter::once(snapshot.clone()).chain(others).filter(has_key) {
            let folder = staging.folder_for(&self.scratch)?;
            match self.instance_of(rule, &candidate, &folder) {
                Ok(instance) => return Ok(instance),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn instance_of(
        &self,
        rule: &AxonAppletsRule,
        snapshot: &NodeSnapshot,
        folder: &Path,
    ) -> Result<Instance> {
        let database = self.bring_component(snapshot, &rule.database, folder)?;
        let environment = self.bring_component(snapshot, &rule.environment, folder)?;
        let secret = SecretKey::from_env_file(&environment)?;
        Ok(Instance::open(&database, &secret)?)
    }

    /// A component of a snapshot, in a folder under its own name.
    fn bring_component(
        &self,
        snapshot: &NodeSnapshot,
        name: &str,
        folder: &Path,
    ) -> Result<PathBuf> {
        let record = snapshot.manifest.components.iter().find(|record| record.name == name);
        let record = record.filter(|_| snapshot.holds(name)).ok_or_else(|| Error::NotHeld {
            snapshot: snapshot.record.id.short(),
            component: name.to_owned(),
        })?;
        let to = folder.join(format!("component-{name}"));
        let placement = Placement {
            recorded: record.path.clone(),
            target: to.clone(),
            components: vec![name.to_owned()],
        };
        self.bring(snapshot, &placement, &to)?;
        Ok(to)
    }
}

fn wanted(applets: &[Applet]) -> Vec<Wanted> {
    let contents = applets.iter().flat_map(Applet::contents);
    contents.map(|(of, content)| Wanted { of, manifest: content.manifest.clone() }).collect()
}

impl Unpacked {
    /// Writes it as a backup directory of Axon's own into a folder; it is called after the moment of its snapshot.
    ///
    /// # Errors
    /// If it is there already, or cannot be written.
    pub fn export(
        &self,
        snapshot: &NodeSnapshot,
        into: &Path,
        skip_chunks: bool,
    ) -> Result<Exported> {
        let captured = snapshot.manifest.captured_at.parse().unwrap_or_else(|_| Timestamp::now());
        let at = Moment::at(captured);
        Ok(Export { applets: &self.applets, into, at, skip_chunks }.write()?)
    }
}
