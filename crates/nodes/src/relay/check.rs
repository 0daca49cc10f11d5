//! What `maintenance validate` and a check of a restored copy look at.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Folders, nonces};
use crate::error::{Error, Result};
use crate::kind::{Outcome, Verified, chain, jsonl};
use crate::profile::{Kind, builtin};

/// Without these the service does not start, or starts as another one.
const NEEDED: [&str; 3] =
    ["blockchain/chain.jsonl", "users/users.json", "security/signal-keys.json"];
/// The guide names these too; a young service does not have them yet.
const USUAL: [&str; 6] = [
    "blockchain/nonces.jsonl",
    "voting/session-votes.json",
    "security/signal-sessions.json",
    "security/group-signal-sessions.json",
    "users/invites.json",
    "system/config.json",
];
/// Folders that the service expects.
pub(super) const FOLDERS: [&str; 5] = ["blockchain", "users", "voting", "security", "system"];

/// Looks at everything that can be told from the files alone.
///
/// # Errors
/// If `data` cannot be listed. What is wrong below it is in the answer.
pub fn validate(folders: &Folders) -> Result<Verified> {
    let data = &folders.data;
    let files = walk(data)?;
    let mut report = Verified::default();
    places(&mut report, folders);
    documents(&mut report, &files);
    blocks(&mut report, data)?;
    nonces::check(&mut report, data)?;
    votes(&mut report, data);
    permissions(&mut report, data, &files);
    Ok(report)
}

/// Everything below a folder, itself left out, without following links: the folders before what is in them.
///
/// # Errors
/// If a folder cannot be listed.
pub(super) fn walk(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut left = vec![folder.to_path_buf()];
    while let Some(folder) = left.pop() {
        let listed = || Error::file(&folder, "cannot be listed");
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).map_err(listed())? {
            let entry = entry.map_err(listed())?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                left.push(entry.path());
            }
            names.push(entry.path());
        }
        names.sort();
        found.append(&mut names);
    }
    Ok(found)
}

fn places(report: &mut Verified, folders: &Folders) {
    let absent = |names: &[&str]| -> Vec<String> {
        let missing = names.iter().filter(|name| !folders.data.join(name).exists());
        missing.map(|name| (*name).to_owned()).collect()
    };
    let mut missing = absent(&FOLDERS);
    let logs = folders.project.as_ref().map(|project| project.join("logs"));
    missing.extend(logs.filter(|logs| !logs.is_dir()).map(|logs| logs.display().to_string()));
    judge(report, "folders", &missing, "all there", "missing, `maintenance fix` makes them: ");
    judge(report, "needed files", &absent(&NEEDED), "all there", "missing: ");
    let usual = absent(&USUAL);
    let detail = if usual.is_empty() {
        "all there".to_owned()
    } else {
        format!("not there: {}", usual.join(", "))
    };
    report.check("other files of the guide", Outcome::Passed, detail);
}

fn judge(report: &mut Verified, name: &str, wrong: &[String], well: &str, badly: &str) {
    match wrong {
        [] => report.check(name, Outcome::Passed, well),
        wrong => {
            let more = if wrong.len() > 5 {
                format!(" and {} more", wrong.len() - 5)
            } else {
                String::new()
            };
            let first = wrong[..wrong.len().min(5)].join(", ");
            report.check(name, Outcome::Failed, format!("{badly}{first}{more}"));
        }
    }
}

fn documents(report: &mut Verified, files: &[PathBuf]) {
    let documents: Vec<&PathBuf> = files
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "json") && path.is_file())
        .collect();
    let wrong: Vec<String> = documents
        .iter()
        .filter_map(|path| Some(format!("{}: {}", path.display(), unreadable(path)?)))
        .collect();
    judge(report, "JSON files", &wrong, &format!("{} files can be read", documents.len()), "");
}

/// Why a file is no JSON, with line and column.
fn unreadable(path: &Path) -> Option<String> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) => return Some(error.to_string()),
    };
    serde_json::from_slice::<serde::de::IgnoredAny>(&text).err().map(|error| error.to_string())
}

fn blocks(report: &mut Verified, data: &Path) -> Result<()> {
    let relay = builtin::find("relay")?;
    for part in relay.components.iter().flat_map(|component| &component.parts) {
        let path = data.join("blockchain").join(&part.path);
        if !path.is_file() {
            continue;
        }
        let looked = match &part.kind {
            Kind::JsonlChain(rule, chain) => chain::verify(&path, rule, chain)?,
            Kind::Jsonl(rule) => jsonl::verify(&path, rule)?,
            _ => continue,
        };
        report.position.join(&looked.position);
        report.hashes.extend(looked.hashes);
        report.checks.extend(looked.checks.into_iter().map(|mut check| {
            check.name = format!("{}: {}", part.path, check.name);
            check
        }));
    }
    Ok(())
}

/// Each place's total is the sum of its candidates.
fn votes(report: &mut Verified, data: &Path) {
    let path = data.join("voting/session-votes.json");
    let Ok(text) = fs::read(&path) else {
        return report.check("votes", Outcome::Skipped, "there is no voting/session-votes.json");
    };
    let votes: Value = serde_json::from_slice(&text).unwrap_or_default();
    let Some(places) = votes.get("voteCounts").and_then(Value::as_object) else {
        return report.check("votes", Outcome::Skipped, "session-votes.json has no `voteCounts`");
    };
    let wrong: Vec<String> = places
        .iter()
        .filter_map(|(place, counts)| {
            let total = counts.get("totalVotes")?.as_u64()?;
            let of_each = counts.get("candidates")?.as_object()?;
            let sum = of_each.values().filter_map(Value::as_u64).fold(0, u64::saturating_add);
            (sum != total).then(|| format!("{place}: {total} in all, {sum} for its candidates"))
        })
        .collect();
    judge(report, "votes", &wrong, &format!("{} places add up", places.len()), "");
    report.position.count("places with votes", places.len() as u64);
}

/// Nobody but the node's user can look.
fn permissions(report: &mut Verified, data: &Path, files: &[PathBuf]) {
    let open = |path: &&PathBuf| mode(path).is_some_and(|mode| mode & 0o077 != 0);
    let data = data.to_path_buf();
    let wrong: Vec<String> = std::iter::once(&data)
        .chain(files)
        .filter(open)
        .map(|path| format!("{} ({:04o})", path.display(), mode(path).unwrap_or_default()))
        .collect();
    judge(
        report,
        "permissions",
        &wrong,
        "folders 0700, files 0600",
        "open to others, `maintenance fix` closes them: ",
    );
}

/// Permission bits of a file or folder; nothing for what is neither.
pub(super) fn mode(path: &Path) -> Option<u32> {
    let status = fs::symlink_metadata(path).ok()?;
    (status.is_dir() || status.is_file()).then(|| status.permissions().mode() & 0o7777)
}
