//! Which schedules are due: a function of the schedules, what became of them before, and the moment. It reads no clock and no file, so
//! that tests drive it through years.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Name, Planned, Subject};

/// A clock that went back by more than this was set right: what lies in its future is not waited for.
const CLOCK_SET: SignedDuration = SignedDuration::from_hours(1);
/// Moments that are counted as missed, at most; more are said to be as many.
const COUNTED: usize = 1000;

/// What became of schedules, by their names.
pub type History = BTreeMap<Name, Past>;

/// What became of one schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Past {
    /// The newest moment that was decided on: run, or skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Timestamp>,
    /// The newest run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Run {
    /// For which moment.
    pub slot: Timestamp,
    /// The how manieth try: from 1.
    pub attempt: u32,
    /// When it ended, and how; `None` while it runs.
    pub ended: Option<(Timestamp, Ending)>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// As asked.
    Done,
    /// Failed, and another try may help: a store that does not answer, a node that is busy.
    Retry,
    /// Failed, and would again.
    Failed,
}

/// The moment, and what is going on in it.
#[derive(Debug, Clone)]
pub struct Now<'a> {
    /// The moment.
    pub time: Timestamp,
    /// Since when somebody has been there to decide, without a break and without the clock being set: what came before it was missed.
    pub awake_since: Timestamp,
    /// What jobs work on.
    pub busy: &'a BTreeSet<Subject>,
    /// How many more jobs may begin.
    pub room: usize,
}

/// What to do now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// To be begun, in this order.
    pub due: Vec<Due>,
    /// Missed moments that are not caught up.
    pub skipped: Vec<Skip>,
    /// When to ask again, at the latest; `None`: when something changes.
    pub wake: Option<Timestamp>,
}

/// A run to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Of which schedule.
    pub schedule: Name,
    /// For which moment.
    pub slot: Timestamp,
    /// The how manieth try: from 1.
    pub attempt: u32,
    /// Earlier moments that this run stands for, because nothing was done at them.
    pub missed: usize,
}

/// A moment that nothing is done for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    /// Of which schedule.
    pub schedule: Name,
    /// The newest moment that is skipped.
    pub slot: Timestamp,
    /// How many, with it.
    pub count: usize,
}

/// What is to be done about one schedule.
enum Turn {
    Run(Due),
    Skip(Skip),
    Wait(Option<Timestamp>),
}

/// Decides.
pub fn decide(planned: &[Planned], history: &History, now: &Now<'_>) -> Decision {
    let mut decision = Decision::default();
    let mut ready: Vec<(&Planned, Due)> = Vec::new();
    for plan in planned.iter().filter(|plan| !plan.schedule.paused) {
        let past = history.get(&plan.schedule.name).cloned().unwrap_or_default();
        match turn(plan, &past, now) {
            Turn::Run(due) => ready.push((plan, due)),
            Turn::Skip(skip) => {
                decision.wake = sooner(decision.wake, plan.next_start(skip.slot, now.time));
                decision.skipped.push(skip);
            }
            Turn::Wait(until) => decision.wake = sooner(decision.wake, until),
        }
    }
    ready.sort_by_key(|(plan, due)| (plan.schedule.job.rank(), due.slot, due.schedule.clone()));
    let mut busy = now.busy.clone();
    for (plan, due) in ready {
        if decision.due.len() < now.room && busy.insert(plan.schedule.subject()) {
            decision.wake = sooner(decision.wake, plan.next_start(due.slot, now.time));
            decision.due.push(due);
        }
    }
    decision
}

fn turn(plan: &Planned, past: &Past, now: &Now<'_>) -> Turn {
    if past.run.as_ref().is_some_and(|run| run.ended.is_none()) {
        return Turn::Wait(None);
    }
    let cursor = cursor(plan, past, now);
    match plan.last_started(now.time).filter(|slot| *slot > cursor) {
        Some(slot) => fresh(plan, slot, cursor, now),
        None => again(plan, past, cursor, now),
    }
}

/// Up to where everything was decided.
fn cursor(plan: &Planned, past: &Past, now: &Now<'_>) -> Timestamp {
    let decided = past.decided.unwrap_or(plan.schedule.since).max(plan.schedule.since);
    if decided.duration_since(now.time) > CLOCK_SET {
        now.awake_since.min(now.time)
    } else {
        decided
    }
}

/// A moment has come that nothing was decided on.
fn fresh(plan: &Planned, slot: Timestamp, cursor: Timestamp, now: &Now<'_>) -> Turn {
    let schedule = plan.schedule.name.clone();
    let count = plan.rhythm.count(cursor, slot, COUNTED);
    if plan.start(slot) < now.awake_since && !plan.schedule.catch_up {
        return Turn::Skip(Skip { schedule, slot, count });
    }
    Turn::Run(Due { schedule, slot, attempt: 1, missed: count.saturating_sub(1) })
}

/// Nothing new: a failed run may be tried again.
fn again(plan: &Planned, past: &Past, cursor: Timestamp, now: &Now<'_>) -> Turn {
    let next = plan.next_start(cursor, now.time);
    let Some(Run { slot, attempt, ended: Some((ended, Ending::Retry)) }) = past.run else {
        return Turn::Wait(next);
    };
    if attempt > plan.schedule.retries {
        return Turn::Wait(next);
    }
    // After the clock was set back the end of a run lies ahead, and is not waited for.
    let ended = ended.min(now.time);
    let at = ended.saturating_add(pause(plan, attempt)).unwrap_or(Timestamp::MAX);
    if at > now.time {
        return Turn::Wait(sooner(next, Some(at)));
    }
    let schedule = plan.schedule.name.clone();
    Turn::Run(Due { schedule, slot, attempt: attempt + 1, missed: 0 })
}

/// How long after the end of a failed try the next begins.
fn pause(plan: &Planned, attempt: u32) -> SignedDuration {
    let first = SignedDuration::from_secs(i64::from(plan.schedule.retry_after_secs));
    first.saturating_mul(3_i32.saturating_pow(attempt.saturating_sub(1)))
}

fn sooner(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
