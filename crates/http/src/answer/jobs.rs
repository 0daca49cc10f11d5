//! `/jobs`: what ran, runs and waits on this machine.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use nodekeep_service::jobs::journal::{Journal, LOST};
use nodekeep_service::jobs::progress::Progress;
use nodekeep_service::jobs::{JobId, Record};
use nodekeep_service::schedule::Subject;
use nodekeep_service::schedule::decide::Ending;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Page, words};
use crate::call::Call;
use crate::problem::Problem;

/// Lines of a log that are shown.
const LINES: usize = 500;
/// Bytes of a log that are read for them.
const TAIL: u64 = 256 * 1024;

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Job {
    /// Its id; later jobs have higher ones.
    pub id: String,
    /// The schedule it belongs to.
    pub schedule: Option<String>,
    /// `schedule`, or the token that asked for it.
    pub by: String,
    /// The node, or `repository`.
    pub subject: String,
    /// What it does, in a word.
    pub word: String,
    /// How it stands.
    pub state: State,
    /// When it was begun or asked for.
    pub begun: String,
    /// When it ended.
    pub ended: Option<String>,
    /// The program's exit code.
    pub code: Option<i32>,
    /// What it said of itself, if it did not end well.
    pub message: Option<String>,
    /// The how manieth try: from 1.
    pub attempt: u32,
    /// How far it is, while it runs.
    pub progress: Option<Far>,
}

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Asked for, and not begun.
    Waiting,
    /// At work.
    Running,
    /// Ended well.
    Done,
    /// Ended otherwise.
    Failed,
    /// Nobody saw its end: it was killed.
    Lost,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Far {
    /// What goes on.
    phase: String,
    /// Bytes that are done.
    done_bytes: u64,
    /// Of how many.
    total_bytes: Option<u64>,
    /// Files that are done.
    done_files: u64,
    /// Of how many.
    total_files: Option<u64>,
    /// Where it is.
    path: Option<String>,
}

/// A job with what it wrote.
#[derive(Debug, Serialize, JsonSchema)]
pub struct JobDetails {
    #[serde(flatten)]
    job: Job,
    /// The last lines of its log.
    log: Vec<String>,
}

impl Job {
    /// Of a record of the journal.
    pub fn of(journal: &Journal, record: &Record) -> Self {
        let ended = record.ended.as_ref();
        let state = match ended {
            None if record.waits => State::Waiting,
            None => State::Running,
            Some(ended) if ended.ending == Ending::Done => State::Done,
            Some(ended) if ended.message.as_deref() == Some(LOST) => State::Lost,
            Some(_) => State::Failed,
        };
        let progress = (state == State::Running)
            .then(|| Progress::read(&journal.progress(&record.id)))
            .flatten();
        Self {
            id: record.id.to_string(),
            schedule: record.schedule.as_ref().map(ToString::to_string),
            by: record.by.clone().unwrap_or_else(|| "schedule".to_owned()),
            subject: match &record.subject {
                Subject::Node(node) => node.clone(),
                Subject::Repository => "repository".to_owned(),
            },
            word: record.word.clone(),
            state,
            begun: words::time(record.begun),
            ended: ended.map(|ended| words::time(ended.at)),
            code: ended.and_then(|ended| ended.code),
            message: ended.and_then(|ended| ended.message.clone()),
            attempt: record.attempt,
            progress: progress.map(Far::from),
        }
    }
}

impl From<Progress> for Far {
    fn from(progress: Progress) -> Self {
        let Progress { phase, done_bytes, total_bytes, done_files, total_files, path } = progress;
        Self { phase, done_bytes, total_bytes, done_files, total_files, path }
    }
}

/// `GET /jobs`, newest first.
pub fn list(call: &Call) -> Result<Page<Job>, Problem> {
    let (limit, after) = (call.query.limit()?, call.query.text("after")?);
    let journal = &call.house.journal;
    let records = journal.all()?;
    let older = |record: &&Record| after.is_none_or(|after| record.id.to_string().as_str() < after);
    let jobs = records.iter().rev().filter(older).map(|record| Job::of(journal, record));
    let mut page = Page::of(jobs, 0, limit);
    page.next = page.next.and(page.items.last().map(|job| job.id.clone()));
    Ok(page)
}

/// `GET /jobs/{id}`.
pub fn show(call: &Call) -> Result<JobDetails, Problem> {
    let journal = &call.house.journal;
    let id = id(call)?;
    let record = journal.read(&id)?;
    Ok(JobDetails { job: Job::of(journal, &record), log: tail(&journal.log(&id)) })
}

/// `POST /jobs/{id}/stop`.
pub fn stop(call: &Call) -> Result<Job, Problem> {
    let house = &call.house;
    let record = house.journal.stop(&house.book, &id(call)?)?;
    Ok(Job::of(&house.journal, &record))
}

fn id(call: &Call) -> Result<JobId, Problem> {
    let id = call.param("id").parse();
    id.map_err(|()| Problem::not_found("there is no such job: an id is 18 hexadecimal digits"))
}

/// The last lines of a file, without what would steer a terminal; none if it is not there.
fn tail(path: &Path) -> Vec<String> {
    let read = || {
        let mut file = File::open(path).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    };
    let text = words::lossy(&read().unwrap_or_default());
    let plain = |line: &str| line.chars().filter(|c| !c.is_control()).collect();
    let lines: Vec<String> = text.lines().map(plain).collect();
    lines[lines.len().saturating_sub(LINES)..].to_vec()
}
