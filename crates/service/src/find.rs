//! Snapshots of nodes among all snapshots, and what they carry besides files: the manifest, and the node's own configuration, so that a
//! bare machine needs nothing else.

use std::path::Path;

use nodekeep_nodes::manifest::{Manifest, Status, VERSION};
use nodekeep_nodes::node::{Node, Registration};
use nodekeep_nodes::profile;
use nodekeep_repo::repository::SnapshotRecord;

use crate::error::{Error, Result};
use crate::state::{parse_registration, registration_text};

/// Name of the attachment with the manifest.
pub const MANIFEST: &str = "nodekeep.node/manifest.json";
/// Name of the attachment with the registration.
pub const REGISTRATION: &str = "nodekeep.node/node.toml";
/// Name of the attachment with the profile's text.
pub const PROFILE: &str = "nodekeep.node/profile.toml";
/// Attachments of records: snapshots without files, in which a machine tells something of a node.
pub const RECORD: &str = "nodekeep.record/";
/// Name of the tag with the node's name.
pub const TAG: &str = "node";

/// A snapshot of a node.
#[derive(Debug, Clone)]
pub struct NodeSnapshot {
    /// As the engine knows it.
    pub record: SnapshotRecord,
    /// What it says of the node.
    pub manifest: Manifest,
}

/// Which snapshot of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// The newest, or so many before it.
    Latest {
        /// How many before it.
        back: usize,
    },
    /// The newest that began before this moment, Unix milliseconds.
    Before(i64),
    /// The start of an id.
    Id(String),
}

/// An attachment's bytes.
pub fn attachment<'a>(record: &'a SnapshotRecord, name: &str) -> Option<&'a [u8]> {
    let mut attachments = record.snapshot.attachments.iter();
    attachments.find(|(known, _)| known == name).map(|(_, bytes)| bytes.as_slice())
}

/// Whether it holds no files and only tells something: neither listed nor restored as a snapshot.
pub fn is_record(record: &SnapshotRecord) -> bool {
    let tells = |(name, _): &(String, Vec<u8>)| name.starts_with(RECORD);
    record.snapshot.roots.is_empty() && record.snapshot.attachments.iter().any(tells)
}

/// The node's name, if it is a snapshot of one.
pub fn node_of(record: &SnapshotRecord) -> Option<&str> {
    attachment(record, MANIFEST)?;
    let mut tags = record.snapshot.tags.iter();
    tags.find(|(name, _)| name == TAG).map(|(_, value)| value.as_str())
}

impl NodeSnapshot {
    /// Reads what a snapshot says of a node; `None` if it is of none.
    ///
    /// # Errors
    /// [`Error::NotANode`] if its manifest cannot be read.
    pub fn of(record: &SnapshotRecord) -> Option<Result<Self>> {
        let bytes = attachment(record, MANIFEST)?;
        Some(read_manifest(record, bytes).map(|manifest| Self { record: record.clone(), manifest }))
    }

    /// The node as it was registered when this was made.
    ///
    /// # Errors
    /// [`Error::NotANode`] if the registration or the profile is missing or cannot be read.
    pub fn node(&self) -> Result<Node> {
        let registration = self.registration()?;
        let text = self.text(PROFILE)?;
        let profile =
            profile::parse(text, &format!("profile of snapshot {}", self.record.id.short()))?;
        Ok(Node::new(registration, profile)?)
    }

    fn registration(&self) -> Result<Registration> {
        parse_registration(self.text(REGISTRATION)?, Path::new(REGISTRATION))
            .map_err(|error| self.bad(error.to_string()))
    }

    fn text(&self, name: &str) -> Result<&str> {
        let bytes = attachment(&self.record, name);
        bytes
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .ok_or_else(|| self.bad(format!("`{name}` is missing")))
    }

    fn bad(&self, reason: String) -> Error {
        Error::NotANode { snapshot: self.record.id.short(), reason }
    }

    /// Whether it holds a component.
    pub fn holds(&self, component: &str) -> bool {
        let is_held = |status| matches!(status, Status::Captured | Status::Partial);
        let mut components = self.manifest.components.iter();
        components.any(|record| record.name == component && is_held(record.status))
    }

    /// Whether a component can be had from it: it holds it, or all that it is made of.
    pub fn serves(&self, component: &str) -> bool {
        let is_made_of = |node: &Node| {
            let mut components = node.profile.components.iter();
            let found = components.find(|c| c.name == component && c.on_request)?;
            Some(found.kind.others().iter().all(|other| self.holds(other)))
        };
        self.holds(component) || self.node().ok().and_then(|node| is_made_of(&node)) == Some(true)
    }

    /// Whether nothing was left out on request: what `latest` means.
    pub fn is_whole(&self) -> bool {
        self.manifest.count(Status::Skipped) == 0
    }
}

fn read_manifest(record: &SnapshotRecord, bytes: &[u8]) -> Result<Manifest> {
    let bad = |reason: String| Error::NotANode { snapshot: record.id.short(), reason };
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|error| bad(format!("its manifest: {error}")))?;
    if manifest.version > VERSION {
        return Err(bad(format!(
            "its manifest has version {}, and this Nodekeep reads up to {VERSION}",
            manifest.version
        )));
    }
    Ok(manifest)
}

/// What makes a snapshot one of a node, besides the manifest.
///
/// # Errors
/// If the registration cannot be written as text.
pub fn configuration(node: &Node) -> Result<Vec<(String, Vec<u8>)>> {
    let registration = registration_text(&node.registration)?;
    Ok(vec![
        (REGISTRATION.to_owned(), registration.into_bytes()),
        (PROFILE.to_owned(), node.profile.source.clone().into_bytes()),
    ])
}

/// The snapshots of a node, oldest first; damaged manifests are passed over and counted.
pub fn of_node(records: &[SnapshotRecord], name: &str) -> (Vec<NodeSnapshot>, usize) {
    let of_it = records.iter().filter(|record| node_of(record) == Some(name));
    let (sound, bad): (Vec<_>, Vec<_>) =
        of_it.filter_map(NodeSnapshot::of).partition(Result::is_ok);
    (sound.into_iter().flatten().collect(), bad.len())
}

/// The snapshot of a node that is meant. Those in which components were left out count only if `components` are wanted and in them.
///
/// # Errors
/// [`Error::NoSnapshot`] says what there is none of.
pub fn pick<'a>(
    snapshots: &'a [NodeSnapshot],
    node: &str,
    when: &When,
    components: &[String],
) -> Result<&'a NodeSnapshot> {
    let serves = |snapshot: &&NodeSnapshot| match components {
        [] => snapshot.is_whole(),
        wanted => wanted.iter().all(|component| snapshot.serves(component)),
    };
    let mut serving = snapshots.iter().rev().filter(serves);
    let of = match components {
        [] => String::new(),
        wanted => format!(" with {}", wanted.join(" and ")),
    };
    let none = |when: String| Error::NoSnapshot { node: node.to_owned(), when: of.clone() + &when };
    match when {
        When::Latest { back } => serving.nth(*back).ok_or_else(|| match back {
            0 => none(String::new()),
            _ => none(" that far back".to_owned()),
        }),
        When::Before(end) => serving
            .find(|snapshot| snapshot.record.snapshot.started_ms < *end)
            .ok_or_else(|| none(" from then or before".to_owned())),
        When::Id(prefix) => {
            let mut named = snapshots.iter().filter(|s| s.record.id.hex().starts_with(prefix));
            named.next().ok_or_else(|| none(format!(" with the id {prefix}…")))
        }
    }
}
