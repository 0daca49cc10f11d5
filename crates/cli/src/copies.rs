//! Where else a repository lies, as far as this machine knows: what `repo mirror` and `repo copy` wrote down when they succeeded.
//! It is what `status` shows, and never what anything is decided by.

use std::fs;
use std::path::PathBuf;

pub use nodekeep_service::copies::{CopyRecord, Distance, is_offsite};
use serde_json::{Value, json};

use crate::error::Result;
use crate::home::{self, Keys};

fn path(keys: &Keys) -> PathBuf {
    keys.folder().join("copies.json")
}

/// What is written down for a repository, oldest first. A file that cannot be read counts as empty: it decides nothing.
pub fn known(keys: &Keys) -> Vec<CopyRecord> {
    let text = fs::read_to_string(path(keys)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Writes down that a copy succeeded, in place of what was known of the same place.
///
/// # Errors
/// If it cannot be written.
pub fn record_copy(keys: &Keys, record: CopyRecord) -> Result<()> {
    let mut records = known(keys);
    records.retain(|other| other.location != record.location || other.kind != record.kind);
    records.push(record);
    let text = serde_json::to_string_pretty(&records).unwrap_or_default();
    home::replace(&path(keys), &format!("{text}\n"))
}

/// What is still missing for a loss of this machine to lose nothing; empty if nothing is. `newest_ms` is when the newest snapshot began,
/// Unix milliseconds.
pub fn still_missing(
    location: &str,
    own: Distance,
    copies: &[CopyRecord],
    newest_ms: Option<i64>,
) -> Option<String> {
    if own.is_offsite() {
        return None;
    }
    let away = copies.iter().filter(|copy| copy.distance.is_offsite());
    let Some(copy) = away.max_by_key(|copy| copy.finished) else {
        return Some(format!(
            "Not offsite yet: {location} is {}. Copy it: nodekeep repo mirror s3://BUCKET/PREFIX",
            own.words()
        ));
    };
    let behind = newest_ms.is_some_and(|newest| newest / 1000 > copy.finished);
    behind.then(|| {
        format!(
            "Newer than the copy at {place}: bring it up to date: nodekeep repo {kind} {quoted}",
            place = copy.location,
            kind = copy.kind,
            quoted = crate::render::shell(&copy.location)
        )
    })
}

/// The copies as JSON.
pub fn document(copies: &[CopyRecord]) -> Value {
    let one = |copy: &CopyRecord| {
        json!({
            "kind": copy.kind,
            "location": copy.location,
            "distance": copy.distance,
            "repository": copy.repository,
            "finished": crate::render::json::time(copy.finished * 1000),
            "checkpoint": copy.checkpoint,
            "snapshots": copy.snapshots,
        })
    };
    copies.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::Home;

    #[test]
    fn the_newest_record_of_a_place_counts() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Home::at(folder.path()).keys(&nodekeep_repo::id::RepoId([1; 32]));
        assert!(known(&keys).is_empty());
        let record = |location: &str, checkpoint| CopyRecord {
            kind: "mirror".to_owned(),
            location: location.to_owned(),
            distance: Distance::OtherHost,
            repository: "00".to_owned(),
            finished: 1,
            checkpoint,
            snapshots: 1,
        };
        for (location, checkpoint) in [("s3://a", 1), ("s3://b", 1), ("s3://a", 2)] {
            record_copy(&keys, record(location, checkpoint)).unwrap();
        }
        assert_eq!(known(&keys), [record("s3://b", 1), record("s3://a", 2)]);
    }

    #[test]
    fn only_another_host_is_offsite() {
        let copy = |distance, finished| CopyRecord {
            kind: "mirror".to_owned(),
            location: "there".to_owned(),
            distance,
            repository: "00".to_owned(),
            finished,
            checkpoint: 0,
            snapshots: 1,
        };
        let far = [copy(Distance::OtherHost, 100)];
        let near = [copy(Distance::OtherDisk, 100), copy(Distance::ThisMachine, 100)];
        let cases: [(Distance, &[CopyRecord], bool, Option<&str>); 6] = [
            (Distance::SameDisk, &[], false, Some("on the same disk")),
            (Distance::OtherDisk, &[], false, Some("on another disk")),
            (Distance::ThisMachine, &near, false, Some("served by this machine")),
            (Distance::OtherHost, &[], true, None),
            (Distance::SameDisk, &far, true, None),
            (Distance::SameDisk, &near, false, Some("repo mirror")),
        ];
        for (own, copies, offsite, missing) in cases {
            assert_eq!(is_offsite(own, copies), offsite, "{own:?} {copies:?}");
            let line = still_missing("here", own, copies, Some(100_000));
            match missing {
                None => assert_eq!(line, None),
                Some(part) => assert!(line.as_ref().is_some_and(|l| l.contains(part)), "{line:?}"),
            }
        }
        let behind = still_missing("here", Distance::SameDisk, &far, Some(101_000)).unwrap();
        assert!(behind.contains("nodekeep repo mirror there"), "{behind}");
    }
}
