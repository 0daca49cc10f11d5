//! `/schedules`: what is done when on this machine.

use jiff::Timestamp;
use nodekeep_service::jobs::Record;
use nodekeep_service::schedule::Planned;
use nodekeep_service::schedule::decide::{Ending, Past};
use schemars::JsonSchema;
use serde::Serialize;

use super::jobs::Job;
use super::plans::check_role;
use super::{Page, words};
use crate::call::Call;
use crate::problem::Problem;

/// A schedule.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ScheduleDocument {
    /// Its name.
    name: String,
    /// The node; null for what is done to the repository.
    node: Option<String>,
    /// What is done, in a word.
    job: String,
    /// When, in words.
    frequency: String,
    /// Whose clock is meant.
    zone: String,
    /// When it runs next; null while it is paused.
    next: Option<String>,
    /// Whether it is paused.
    paused: bool,
    /// Its newest run.
    last: Option<LastRun>,
}

/// How a run ended.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LastRun {
    /// When it ended; while it runs, the moment that it runs for.
    at: String,
    /// `running`, `done`, `failed`, or `retry`: failed, and tried again.
    state: String,
}

/// `GET /schedules`.
pub fn list(call: &Call) -> Result<Page<ScheduleDocument>, Problem> {
    let (offset, limit) = (call.query.offset()?, call.query.limit()?);
    let history = call.house.book.history()?;
    let plans = call.house.book.planned(&call.house.site.machine)?;
    let documents = plans.iter().map(|plan| document(plan, history.get(&plan.schedule.name)));
    Ok(Page::of(documents, offset, limit))
}

/// `POST /schedules/{name}/pause`.
pub fn pause(call: &Call) -> Result<ScheduleDocument, Problem> {
    set(call, true)
}

/// `POST /schedules/{name}/resume`.
pub fn resume(call: &Call) -> Result<ScheduleDocument, Problem> {
    set(call, false)
}

/// `POST /schedules/{name}/run`.
pub fn run(call: &Call) -> Result<Job, Problem> {
    let house = &call.house;
    let schedule = house.book.schedule(call.param("name"))?;
    check_role(house, schedule.job.role())?;
    let record = Record::hurried(&schedule, call.name(), Timestamp::now());
    house.journal.ask(&record)?;
    (house.site.nudge)();
    Ok(Job::of(&house.journal, &record))
}

fn set(call: &Call, paused: bool) -> Result<ScheduleDocument, Problem> {
    let house = &call.house;
    let schedule = house.book.pause(call.param("name"), paused, Timestamp::now())?;
    (house.site.nudge)();
    let plan = schedule.plan(&house.site.machine).map_err(nodekeep_service::error::Error::from)?;
    Ok(document(&plan, house.book.history()?.get(&plan.schedule.name)))
}

fn document(plan: &Planned, past: Option<&Past>) -> ScheduleDocument {
    let schedule = &plan.schedule;
    let next = || plan.next_start(schedule.since, Timestamp::now()).map(words::time);
    ScheduleDocument {
        name: schedule.name.to_string(),
        node: schedule.node.clone(),
        job: schedule.job.word().to_owned(),
        frequency: schedule.when.describe().trim_end_matches('.').to_lowercase(),
        zone: schedule.zone.clone(),
        next: if schedule.paused { None } else { next() },
        paused: schedule.paused,
        last: past.and_then(last),
    }
}

fn last(past: &Past) -> Option<LastRun> {
    let run = past.run.as_ref()?;
    let (at, state) = match run.ended {
        None => (run.slot, "running"),
        Some((at, Ending::Done)) => (at, "done"),
        Some((at, Ending::Retry)) => (at, "retry"),
        Some((at, Ending::Failed)) => (at, "failed"),
    };
    Some(LastRun { at: words::time(at), state: state.to_owned() })
}
