//! Whether rules about old snapshots are kept to: pure, from the schedules that prune, what became of them, and what is still there.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use nodekeep_repo::retention::{Dated, Decision, decide};

use super::overview::Retention;
use crate::notify::condition::{has_failed, patience};
use crate::schedule::Planned;
use crate::schedule::decide::Past;
use crate::schedule::job::{Job, Keep};

/// A schedule that prunes, and what became of it.
#[derive(Debug)]
pub struct Pruning<'a> {
    /// The schedule.
    pub plan: &'a Planned,
    /// Its rules.
    pub keep: &'a Keep,
    /// Its past.
    pub past: Past,
    /// The longest pause between two of its moments.
    pub pause: SignedDuration,
}

impl<'a> Pruning<'a> {
    /// Of a schedule that prunes a node, or everything.
    pub fn of(plan: &'a Planned, past: Past, pause: SignedDuration, node: &str) -> Option<Self> {
        let Job::Prune { keep } = &plan.schedule.job else {
            return None;
        };
        let is_its = plan.schedule.node.as_deref().is_none_or(|name| name == node);
        (is_its && !plan.schedule.paused).then_some(Self { plan, keep, past, pause })
    }
}

/// Whether the rules of a node are kept to: the worst of several; `None` without a rule.
pub fn judge(prunings: &[Pruning<'_>], snapshots: &[Dated], now: Timestamp) -> Option<Retention> {
    let told = prunings.iter().map(|pruning| one(pruning, snapshots, now));
    told.min_by_key(|retention| retention.met)
}

fn one(pruning: &Pruning<'_>, snapshots: &[Dated], now: Timestamp) -> Retention {
    let Pruning { plan, keep, past, pause } = pruning;
    let name = plan.schedule.name.as_str();
    let unmet = |text: String| Retention { met: false, text };
    if has_failed(plan, past) {
        return unmet(format!("Old snapshots were not deleted: the last run of {name} failed."));
    }
    let last = past.done.unwrap_or(plan.schedule.since);
    if now.duration_since(last) > patience(plan, *pause) {
        return unmet(format!("Old snapshots were not deleted: {name} is late."));
    }
    match past.done.map_or(0, |done| surplus(keep, snapshots, done, plan.rhythm.zone())) {
        0 => Retention { met: true, text: format!("{}; {name} keeps to it.", rules(keep)) },
        left => unmet(format!("{left} snapshots are left that {name} should have deleted.")),
    }
}

/// Snapshots that a prune at a moment should have removed and that are there.
fn surplus(keep: &Keep, snapshots: &[Dated], at: Timestamp, zone: &TimeZone) -> usize {
    let before: Vec<Dated> =
        snapshots.iter().filter(|dated| dated.at < at.as_second()).cloned().collect();
    let decisions = decide(&before, &keep.policy(), at.as_second(), zone);
    decisions.iter().filter(|(_, decision)| *decision == Decision::Remove).count()
}

/// "Keeps the last 7, 4 weekly".
fn rules(keep: &Keep) -> String {
    let said = [
        (keep.last, "newest"),
        (keep.hourly, "hourly"),
        (keep.daily, "daily"),
        (keep.weekly, "weekly"),
        (keep.monthly, "monthly"),
        (keep.yearly, "yearly"),
    ];
    let words: Vec<String> =
        said.into_iter().filter_map(|(count, word)| Some(format!("{} {word}", count?))).collect();
    format!("Keeps {}", words.join(", "))
}
