//! Backups that Relay's own tools have left, in any of their three layouts, mapped to the components of the profile.
//!
//! The manifest beside them is a hint at most: its paths are those of the machine that wrote it, and are never used.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::COMPONENTS;
use crate::error::{Error, Result};

/// The largest manifest that is read, in bytes.
const LARGEST_MANIFEST: u64 = 16 << 20;
/// Its name.
const MANIFEST: &str = "backup-manifest.json";

/// Which tool has written a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// As the guide shows it: the names of `data/` itself.
    Guide,
    /// `scripts/backup-data.mjs`: `blockchain-data/`, `voting-data/` and so on.
    Script,
    /// `maintenance:backup`: `data/` and `logs/` as they were.
    Whole,
}

/// Something of a backup that is a component's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The component, as the profile names it.
    pub component: &'static str,
    /// Where it lies in the backup.
    pub from: PathBuf,
    /// Where it belongs, relative to `data/`.
    pub to: PathBuf,
}

/// A backup of the old tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldBackup {
    /// Which tool has written it.
    pub layout: Layout,
    /// When, as RFC 3339, if the folder's name or the manifest tells.
    pub taken_at: Option<String>,
    /// What is there.
    pub parts: Vec<Part>,
    /// Components that are not there, and why, if the manifest tells.
    pub missing: BTreeMap<&'static str, Option<String>>,
    /// What lies there and belongs to no component.
    pub left_out: Vec<PathBuf>,
}

#[derive(Default, Deserialize)]
struct OldManifest {
    timestamp: Option<String>,
    #[serde(default)]
    results: Vec<OldResult>,
}

#[derive(Deserialize)]
struct OldResult {
    name: String,
    status: String,
    error: Option<String>,
}

/// Reads what lies in a backup's folder.
///
/// # Errors
/// If it cannot be listed, or looks like no backup of Relay.
pub fn read(folder: &Path) -> Result<OldBackup> {
    let names = list(folder)?;
    let layout = layout(&names).ok_or_else(|| Error::Unsupported {
        path: folder.to_owned(),
        reason: "this is no backup of Relay: there is neither blockchain/ nor blockchain-data/ nor data/blockchain/".to_owned(),
    })?;
    let root = if layout == Layout::Whole { folder.join("data") } else { folder.to_owned() };
    let manifest = manifest(folder);
    let mut backup = OldBackup {
        layout,
        taken_at: taken_at(folder, &manifest),
        parts: Vec::new(),
        missing: BTreeMap::new(),
        left_out: Vec::new(),
    };
    for (name, path) in list(&root)? {
        backup.place(&name, path);
    }
    if layout == Layout::Whole {
        let beside = names.into_iter().filter(|(name, _)| name != "data" && name != MANIFEST);
        backup.left_out.extend(beside.map(|(_, path)| path));
    }
    backup.name_missing(&manifest);
    Ok(backup)
}

/// Real files and folders by name, and links that are to be named.
fn list(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let unlisted = || Error::file(folder, "cannot be listed");
    let mut names = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(unlisted())? {
        let entry = entry.map_err(unlisted())?;
        names.insert(entry.file_name().to_string_lossy().into_owned(), entry.path());
    }
    Ok(names)
}

fn layout(names: &BTreeMap<String, PathBuf>) -> Option<Layout> {
    let has = |name: &str| names.get(name).is_some_and(|path| is_real_folder(path));
    let old = COMPONENTS.iter().filter_map(|names| names.old);
    if old.into_iter().any(has) {
        Some(Layout::Script)
    } else if has("blockchain") || (has("users") && has("security")) {
        Some(Layout::Guide)
    } else if names
        .get("data")
        .is_some_and(|data| is_real_folder(data) && data.join("blockchain").is_dir())
    {
        Some(Layout::Whole)
    } else {
        None
    }
}

fn is_real_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|status| status.is_dir())
}

impl OldBackup {
    fn place(&mut self, name: &str, from: PathBuf) {
        let is_link = from.symlink_metadata().is_ok_and(|status| status.is_symlink());
        let known = COMPONENTS.iter().find(|names| match self.layout {
            Layout::Script => names.old == Some(name),
            Layout::Guide | Layout::Whole => names.path == name,
        });
        match known {
            _ if name == MANIFEST => {}
            _ if is_link => self.left_out.push(from),
            Some(names) => {
                self.parts.push(Part { component: names.component, from, to: names.path.into() });
            }
            None if self.layout == Layout::Script => self.left_out.push(from),
            None => self.parts.push(Part { component: "extra", from, to: name.into() }),
        }
    }

    fn name_missing(&mut self, manifest: &OldManifest) {
        for names in &COMPONENTS {
            if self.parts.iter().any(|part| part.component == names.component) {
                continue;
            }
            let result = manifest.results.iter().find(|result| {
                Some(result.name.as_str()) == names.old || result.name == names.path
            });
            let failed = result.filter(|result| result.status != "success");
            let why = failed.and_then(|result| result.error.as_deref()).map(printable);
            self.missing.insert(names.component, why);
        }
    }

    /// What a person should know before it is imported, a line each.
    pub fn report(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .parts
            .iter()
            .map(|part| {
                format!("{}: {} -> data/{}", part.component, part.from.display(), part.to.display())
            })
            .collect();
        for (component, why) in &self.missing {
            lines.push(match why {
                Some(why) => format!("{component}: not in this backup: {why}"),
                None => format!("{component}: not in this backup"),
            });
        }
        lines.extend(self.left_out.iter().map(|path| format!("left out: {}", path.display())));
        lines
    }
}

/// What the manifest says; nothing if there is none that can be read.
fn manifest(folder: &Path) -> OldManifest {
    let path = folder.join(MANIFEST);
    let is_small =
        path.symlink_metadata().is_ok_and(|s| s.is_file() && s.len() <= LARGEST_MANIFEST);
    let text = if is_small { fs::read(&path).ok() } else { None };
    text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// The folder's name tells it (`backup-2025-09-18T16-08-34-266Z`), and the manifest.
fn taken_at(folder: &Path, manifest: &OldManifest) -> Option<String> {
    let name = folder.file_name().and_then(|name| name.to_str());
    let named = name.and_then(|name| name.strip_prefix("backup-")).and_then(written_out);
    let told = manifest.timestamp.clone().into_iter().chain(named);
    told.into_iter()
        .find_map(|text| text.parse::<jiff::Timestamp>().ok())
        .map(|time| time.to_string())
}

fn written_out(name: &str) -> Option<String> {
    let (day, time) = name.split_once('T')?;
    match time.strip_suffix('Z')?.split('-').collect::<Vec<_>>()[..] {
        [hours, minutes, seconds, millis] => {
            Some(format!("{day}T{hours}:{minutes}:{seconds}.{millis}Z"))
        }
        _ => None,
    }
}

/// A text of unknown origin, fit for a terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}
