//! How much room is left, and for how long. Pure but for [`of_folder`].

use std::path::Path;

use rustix::fs::statvfs;

use super::overview::Capacity;

/// Growth is looked at over so many days.
const WINDOW_DAYS: f64 = 30.0;
const DAY_SECS: f64 = 86_400.0;
/// Below so much of the whole it is nearly full.
const LEAST_SHARE: f64 = 0.05;
/// It is nearly full if it will be within so many days.
const LEAST_DAYS: f64 = 14.0;

/// A snapshot's share of the growth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// When, Unix seconds.
    pub at: i64,
    /// Bytes that the repository grew by.
    pub bytes: u64,
}

/// Room in the file system of a folder, or of the nearest one above it that exists.
pub fn of_folder(folder: &Path) -> Option<Capacity> {
    let existing = folder.ancestors().find(|path| path.exists())?;
    let figures = statvfs(existing).ok()?;
    let size = |blocks: u64| blocks.checked_mul(figures.f_frsize);
    Some(Capacity { total: size(figures.f_blocks)?, free: size(figures.f_bavail)? })
}

/// Room by what a person set for the repository: what is used is known.
pub fn of_setting(total: u64, used: u64) -> Capacity {
    Capacity { total, free: total.saturating_sub(used) }
}

/// The narrower of two.
pub fn narrower(one: Option<Capacity>, other: Option<Capacity>) -> Option<Capacity> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if one.free <= other.free { one } else { other }),
        (one, other) => one.or(other),
    }
}

/// Bytes that are added in a day, by the snapshots of the last 30 days: `None` with less than a day between the first and now. The first
/// snapshot of all is no growth. What a prune gives back is not taken off: [`super::weights`] knows that after a week.
pub fn growth_per_day(added: &[Added], now: i64) -> Option<u64> {
    let first = added.iter().map(|one| one.at).min()?;
    let window = (WINDOW_DAYS * DAY_SECS) as i64;
    let from = first.max(now.saturating_sub(window));
    let days = now.saturating_sub(from) as f64 / DAY_SECS;
    let grows = added.iter().filter(|one| one.at > from && one.at <= now);
    let bytes = grows.fold(0_u64, |sum, one| sum.saturating_add(one.bytes));
    (days >= 1.0).then_some((bytes as f64 / days) as u64)
}

/// At a growth in bytes a day, so many days are left; `None` if nothing grows or a figure is not known.
pub fn days_until_full(capacity: Option<Capacity>, growth_per_day: Option<u64>) -> Option<f64> {
    let growth = growth_per_day.filter(|growth| *growth > 0)?;
    Some(capacity?.free as f64 / growth as f64)
}

/// Why it is nearly full, in words; `None` if it is not.
pub fn nearly_full(capacity: Option<Capacity>, days: Option<f64>) -> Option<String> {
    let Capacity { total, free } = capacity?;
    let share = if total == 0 { 0.0 } else { free as f64 / total as f64 };
    match days.filter(|days| *days < LEAST_DAYS) {
        Some(days) => Some(format!("at its present growth it is full in {} days", days as u64)),
        None if share < LEAST_SHARE => Some(format!("{:.1} % of it is free", share * 100.0)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 86_400;

    fn added(points: &[(i64, u64)]) -> Vec<Added> {
        points.iter().map(|(day, bytes)| Added { at: day * DAY, bytes: *bytes }).collect()
    }

    #[test]
    fn growth_is_what_came_after_the_first() {
        /// What was added on which days, today, and the growth.
        type Case<'a> = (&'a [(i64, u64)], i64, Option<u64>);
        let cases: [Case<'_>; 6] = [
            (&[], 10, None),
            (&[(0, 1000)], 0, None),
            (&[(0, 1000)], 10, Some(0)),
            (&[(0, 1000), (1, 10), (2, 30)], 2, Some(20)),
            // Only the last thirty days count.
            (&[(0, 1000), (1, 900_000), (41, 60)], 60, Some(2)),
            // What lies ahead, by a clock that was wrong, does not.
            (&[(0, 1000), (99, 500)], 10, Some(0)),
        ];
        for (points, now, expected) in cases {
            assert_eq!(growth_per_day(&added(points), now * DAY), expected, "{points:?}");
        }
    }

    #[test]
    fn nearly_full_is_by_share_or_by_days() {
        let of = |free| Some(Capacity { total: 1000, free });
        let cases = [
            (None, Some(1.0), None),
            (of(500), None, None),
            (of(500), Some(20.0), None),
            (of(500), Some(13.9), Some("full in 13 days")),
            (of(49), None, Some("4.9 % of it is free")),
            (Some(Capacity { total: 0, free: 0 }), None, Some("0.0 %")),
        ];
        for (capacity, days, expected) in cases {
            let told = nearly_full(capacity, days);
            match expected {
                None => assert_eq!(told, None),
                Some(part) => assert!(told.as_ref().is_some_and(|t| t.contains(part)), "{told:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn more_growth_never_gives_more_days(free in 0_u64..1 << 50, one in 1_u64..1 << 40, more in 0_u64..1 << 40) {
            let capacity = Some(Capacity { total: 1 << 50, free });
            let days = |growth| days_until_full(capacity, Some(growth)).unwrap();
            prop_assert!(days(one + more) <= days(one));
        }

        #[test]
        fn no_input_breaks_it(points in proptest::collection::vec((any::<i64>(), any::<u64>()), 0..20), now in any::<i64>()) {
            let added: Vec<Added> = points.iter().map(|(at, bytes)| Added { at: *at, bytes: *bytes }).collect();
            let growth = growth_per_day(&added, now);
            _ = days_until_full(Some(Capacity { total: 9, free: 3 }), growth);
        }
    }
}
