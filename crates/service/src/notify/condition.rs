//! What is wrong, told from schedules and what became of them.

use jiff::{SignedDuration, Timestamp};

use super::Topic;
use super::alerts::Condition;
use crate::schedule::Planned;
use crate::schedule::decide::{Ending, History, Past};
use crate::schedule::job::Job;

/// A backup may be late by this share of the time between two, and by at least ten minutes, before it is called overdue: 26 hours after
/// the last of a daily one.
const LATE_SHARE: i32 = 12;
const LATE_LEAST: SignedDuration = SignedDuration::from_mins(10);

/// What schedules show to be wrong.
pub fn of_schedules(planned: &[Planned], history: &History, now: Timestamp) -> Vec<Condition> {
    let mut wrong = Vec::new();
    for plan in planned.iter().filter(|plan| !plan.schedule.paused) {
        let past = history.get(&plan.schedule.name).cloned().unwrap_or_default();
        wrong.extend(failed(plan, &past));
        wrong.extend(overdue(plan, &past, now));
    }
    wrong
}

/// Whether the last run failed, and nothing tries again.
pub fn has_failed(plan: &Planned, past: &Past) -> bool {
    let run = past.run.as_ref();
    run.is_some_and(|run| match run.ended {
        None | Some((_, Ending::Done)) => false,
        Some((_, Ending::Failed)) => true,
        Some((_, Ending::Retry)) => run.attempt > plan.schedule.retries,
    })
}

/// How long nothing need have ended well: the longest pause between two moments, some lateness, and what runs are spread over.
pub fn patience(plan: &Planned, pause: SignedDuration) -> SignedDuration {
    pause + (pause / LATE_SHARE).max(LATE_LEAST) + plan.most_jitter()
}

/// The last run failed for good: every further try is used up, or would be in vain.
fn failed(plan: &Planned, past: &Past) -> Option<Condition> {
    let schedule = &plan.schedule;
    has_failed(plan, past).then(|| Condition {
        key: format!("failed {}", schedule.name),
        topic: topic(&schedule.job),
        title: format!("{}: {} failed", subject(plan), schedule.job.word()),
        text: format!(
            "{} What it wrote: nodekeep daemon logs, or nodekeep daemon jobs {}.",
            past.message.as_deref().map_or_else(String::new, sentence),
            schedule.name
        ),
        node: schedule.node.clone(),
    })
}

/// Nothing ended well for longer than the schedule lets expect.
fn overdue(plan: &Planned, past: &Past, now: Timestamp) -> Option<Condition> {
    let schedule = &plan.schedule;
    let Job::Backup { .. } = schedule.job else {
        return None;
    };
    let last = past.done.unwrap_or(schedule.since);
    let passed = now.duration_since(last);
    let pause = plan.rhythm.longest_pause(last);
    (passed > patience(plan, pause)).then(|| Condition {
        key: format!("overdue {}", schedule.name),
        topic: Topic::Overdue,
        title: format!("{}: no backup for {} h", subject(plan), passed.as_hours()),
        text: match past.done {
            Some(done) => format!("The last one ended well at {}.", done.to_zoned(zone(plan))),
            None => "There was none yet.".to_owned(),
        },
        node: schedule.node.clone(),
    })
}

fn zone(plan: &Planned) -> jiff::tz::TimeZone {
    plan.rhythm.zone().clone()
}

fn subject(plan: &Planned) -> &str {
    plan.schedule.node.as_deref().unwrap_or("repository")
}

fn topic(job: &Job) -> Topic {
    match job {
        Job::Check { .. } | Job::Scrub { .. } | Job::Drill => Topic::Verification,
        _ => Topic::Failure,
    }
}

fn sentence(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    first.chain(letters).chain(['.']).collect()
}
