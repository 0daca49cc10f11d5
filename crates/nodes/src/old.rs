//! Backups that a node's own, older tools left, understood by the adapter of its system: what lies where, and what is missing.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::axon;
use crate::error::Result;
use crate::manifest::{Missing, Note};
use crate::node::Node;
use crate::profile::Kind;
use crate::relay;

/// Something of an old backup that is a component's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldPart {
    /// The component.
    pub component: String,
    /// Where it lies in the backup: absolute.
    pub read: PathBuf,
    /// Where it belongs: absolute.
    pub belongs: PathBuf,
    /// What a person should know of it.
    pub notes: Vec<Note>,
    /// What should be in it and is not, or is not right.
    pub missing: Vec<Missing>,
}

/// An old backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OldBackup {
    /// When it was taken, if that is known.
    pub taken_at: Option<Timestamp>,
    /// What is there.
    pub parts: Vec<OldPart>,
    /// Components that such a backup has and this one has not, and why, if that is known.
    pub missing: Vec<(String, Option<String>)>,
    /// Components that no backup of this tool has.
    pub never: Vec<String>,
    /// What a person should know before it is imported, a line each.
    pub report: Vec<String>,
}

/// Reads the folder that an old tool of a node left; `None` if no such tool is known for its profile.
///
/// # Errors
/// If the folder is none, or what is in it breaks the rules.
pub fn read(node: &Node, folder: &Path) -> Result<Option<OldBackup>> {
    let is_applets =
        |component: &&crate::profile::Component| matches!(component.kind, Kind::AxonApplets(_));
    if let Some(component) = node.profile.components.iter().find(is_applets) {
        return of_axon(node, &component.name, folder).map(Some);
    }
    match node.registration.paths.get("data") {
        Some(data) if node.profile.name == "relay" => of_relay(data, folder).map(Some),
        _ => Ok(None),
    }
}

fn of_relay(data: &Path, folder: &Path) -> Result<OldBackup> {
    let found = relay::import::read(folder)?;
    let part = |part: &relay::import::Part| OldPart {
        component: part.component.to_owned(),
        read: folder.join(&part.from),
        belongs: data.join(&part.to),
        notes: Vec::new(),
        missing: Vec::new(),
    };
    Ok(OldBackup {
        taken_at: found.taken_at.as_deref().and_then(|text| text.parse().ok()),
        parts: found.parts.iter().map(part).collect(),
        missing: found
            .missing
            .iter()
            .map(|(name, why)| ((*name).to_owned(), why.clone()))
            .collect(),
        never: Vec::new(),
        report: found.report(),
    })
}

/// Axon's own covers applets and nothing else.
fn of_axon(node: &Node, component: &str, folder: &Path) -> Result<OldBackup> {
    let found = axon::import::read(folder)?;
    let missing = |(of, flaw): &(String, axon::chunks::Flaw)| Missing {
        name: axon::chunks::name(flaw.index),
        of: of.clone(),
        why: flaw.to_string(),
    };
    let mut notes: Vec<Note> = found.notes.iter().map(|note| Note::new("import", note)).collect();
    if !found.faults.is_empty() {
        let text =
            format!("{} of {} chunks are missing or wrong", found.faults.len(), found.chunks);
        notes.push(Note::new("wrong-chunks", text));
    }
    let part = OldPart {
        component: component.to_owned(),
        read: folder.to_owned(),
        belongs: node.component(component)?.path,
        notes,
        missing: found.faults.iter().map(missing).collect(),
    };
    let others = node.profile.components.iter().map(|other| other.name.clone());
    let names: Vec<&str> = found.applets.iter().map(|applet| applet.name.as_str()).collect();
    let mut report = vec![format!("{component}: {} ({})", names.len(), names.join(", "))];
    report.extend(found.notes.iter().cloned());
    Ok(OldBackup {
        taken_at: found.made_at.map(axon::moment::Moment::timestamp),
        parts: vec![part],
        missing: Vec::new(),
        never: others.filter(|name| name != component).collect(),
        report,
    })
}
