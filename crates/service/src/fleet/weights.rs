//! What the repository weighed on past days, as this machine saw it. From that follows how fast it grows with what prunes gave back taken
//! off, which snapshots alone do not tell.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::state::replace;

const FILE: &str = "weights.json";
const DAY_SECS: i64 = 86_400;
/// Days that are looked back to, at most.
const WINDOW: i64 = 30;
/// With less behind it, a prune that comes once a week would be missed, or count for too much.
const LEAST: i64 = 7;

/// A look at the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight {
    /// When, Unix seconds.
    pub at: i64,
    /// Bytes of all its objects.
    pub bytes: u64,
}

/// The file's form.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Page {
    repository: String,
    days: Vec<Weight>,
}

/// Writes down what the repository of this id weighs, once a day.
///
/// # Errors
/// If it cannot be written.
pub fn note(folder: &Path, repository: &str, weight: Weight) -> Result<()> {
    let mut page = read(folder, repository);
    // After the clock was set back, what lies ahead is of no use.
    page.days.retain(|day| (0..=WINDOW * DAY_SECS).contains(&(weight.at - day.at)));
    if page.days.last().is_some_and(|last| weight.at - last.at < DAY_SECS) {
        return Ok(());
    }
    page.days.push(weight);
    let path = folder.join(FILE);
    let text = serde_json::to_vec(&page)
        .map_err(|error| Error::State { path: path.clone(), reason: error.to_string() })?;
    replace(&path, &text)
}

/// What was written down of the repository of this id, oldest first.
pub fn known(folder: &Path, repository: &str) -> Vec<Weight> {
    read(folder, repository).days
}

/// Bytes a day that it grew by in the end, with what prunes gave back taken off; 0 if it shrank. `None` with less than a week behind it.
pub fn net_per_day(known: &[Weight], now: Weight) -> Option<u64> {
    let age = |then: &&Weight| now.at.saturating_sub(then.at);
    let then = known.iter().find(|then| age(then) <= WINDOW * DAY_SECS)?;
    let secs = age(&then);
    let bytes = u128::from(now.bytes.saturating_sub(then.bytes));
    let per_day = (bytes * DAY_SECS as u128).checked_div(u128::try_from(secs).ok()?)?;
    (secs >= LEAST * DAY_SECS).then(|| u64::try_from(per_day).unwrap_or(u64::MAX))
}

/// A file that is damaged or of another repository says nothing: it is begun anew.
fn read(folder: &Path, repository: &str) -> Page {
    let text = std::fs::read(folder.join(FILE)).unwrap_or_default();
    let page: Page = serde_json::from_slice(&text).unwrap_or_default();
    match page.repository == repository {
        true => page,
        false => Page { repository: repository.to_owned(), days: Vec::new() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64, bytes: u64) -> Weight {
        Weight { at: 1_800_000_000 + day * DAY_SECS, bytes }
    }

    #[test]
    fn growth_is_what_is_left_after_prunes() {
        let week = [at(0, 1000), at(1, 2000), at(2, 1500)];
        let cases = [
            (&week[..], at(10, 1100), Some(10)),
            // It shrank.
            (&week[..], at(10, 900), Some(0)),
            // Too short.
            (&week[..], at(6, 9000), None),
            (&[], at(6, 9000), None),
            // Only the last thirty days count.
            (&week[..], at(31, 5000), Some(100)),
            (&week[..], at(99, 5000), None),
            // The clock was set back.
            (&week[..], at(-9, 5000), None),
        ];
        for (known, now, expected) in cases {
            assert_eq!(net_per_day(known, now), expected, "{known:?} {now:?}");
        }
    }

    #[test]
    fn one_look_a_day_is_kept_for_a_month() {
        let folder = tempfile::tempdir().unwrap();
        for hour in 0..24 * 50 {
            let weight = Weight { at: hour * 3600, bytes: 7 };
            note(folder.path(), "one", weight).unwrap();
        }
        let days = known(folder.path(), "one");
        assert_eq!((days.len(), days.last().unwrap().at), (31, 49 * DAY_SECS));
        assert!(known(folder.path(), "other").is_empty());
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(known(folder.path(), "one").is_empty());
    }
}
