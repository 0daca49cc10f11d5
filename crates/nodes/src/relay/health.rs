//! The guide's four health checks of backups: completeness, integrity, storage space, retention.

use std::path::Path;

use crate::error::{Error, Result};
use crate::kind::{Check, Outcome, Verified};
use crate::manifest::Manifest;

/// What the caller knows of a node's backups.
#[derive(Debug, Clone, Copy, Default)]
pub struct Backups<'a> {
    /// What the latest snapshot says of itself.
    pub latest: Option<&'a Manifest>,
    /// Whether the last check of the repository found everything whole; `None`: never checked.
    pub is_whole: Option<bool>,
    /// Free space where backups go, in bytes; `None`: not known, as with a bucket.
    pub free: Option<u64>,
    /// Snapshots of the node.
    pub snapshots: u64,
    /// How many are to be kept; `None`: all.
    pub keep_last: Option<u64>,
}

/// The four checks, in the order of the guide.
pub fn checks(backups: &Backups<'_>) -> Vec<Check> {
    let mut report = Verified::default();
    completeness(&mut report, backups);
    match backups.is_whole {
        Some(true) => report.check(
            "backup integrity",
            Outcome::Passed,
            "the last check found everything whole",
        ),
        Some(false) => report.check(
            "backup integrity",
            Outcome::Failed,
            "the last check found damage: `nodekeep check` says what, `repo repair` helps",
        ),
        None => report.check(
            "backup integrity",
            Outcome::Skipped,
            "never checked: run `nodekeep check`",
        ),
    }
    space(&mut report, backups);
    retention(&mut report, backups);
    report.checks
}

fn completeness(report: &mut Verified, backups: &Backups<'_>) {
    let name = "backup completeness";
    let Some(latest) = backups.latest else {
        return report.check(name, Outcome::Failed, "there is no backup yet");
    };
    let missing: Vec<&str> = latest.missing().map(|component| component.name.as_str()).collect();
    if missing.is_empty() {
        report.check(
            name,
            Outcome::Passed,
            format!("{}: everything needed is there", latest.captured_at),
        );
    } else {
        report.check(
            name,
            Outcome::Failed,
            format!("{}: without {}", latest.captured_at, missing.join(", ")),
        );
    }
}

/// A backup may need as much as the node has, when everything is new: that much must be free.
fn space(report: &mut Verified, backups: &Backups<'_>) {
    let size = backups.latest.map_or(0, |latest| latest.components.iter().map(|c| c.bytes).sum());
    match backups.free {
        None => report.check("storage space", Outcome::Skipped, "the store does not tell"),
        Some(free) => {
            let outcome = if free >= size { Outcome::Passed } else { Outcome::Failed };
            report.check(
                "storage space",
                outcome,
                format!("{free} bytes free, the node has {size}"),
            );
        }
    }
}

fn retention(report: &mut Verified, backups: &Backups<'_>) {
    let have = backups.snapshots;
    match backups.keep_last {
        None => report.check(
            "retention",
            Outcome::Skipped,
            format!("{have} snapshots, none is ever removed: set `keep-last = 7`"),
        ),
        Some(keep) if have > keep => report.check(
            "retention",
            Outcome::Failed,
            format!("{have} snapshots, {keep} are to be kept: run `nodekeep snapshot prune`"),
        ),
        Some(keep) => report.check(
            "retention",
            Outcome::Passed,
            format!("{have} snapshots, the last {keep} are kept"),
        ),
    }
}

/// Free space for this user on the file system of a path, in bytes.
///
/// # Errors
/// If the path cannot be looked at.
pub fn free_space(path: &Path) -> Result<u64> {
    let status = rustix::fs::statvfs(path)
        .map_err(|error| Error::file(path, "its file system cannot be looked at")(error.into()))?;
    Ok(status.f_bavail.saturating_mul(status.f_frsize))
}
