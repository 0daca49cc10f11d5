//! Jobs: runs of the program by a schedule. Each is a process of its own under a small runner that writes down how it ended, so that no
//! job takes the daemon with it, none is forgotten when the daemon is killed, and memory goes back to the system.

pub mod journal;
pub mod progress;
pub mod runner;
pub mod wish;

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use nodekeep_repo::crypto::random;
use nodekeep_repo::id::to_hex;
use serde::{Deserialize, Serialize};

use crate::schedule::decide::{Due, Ending};
use crate::schedule::job::Role;
use crate::schedule::{Name, Schedule, Subject};
use wish::Wish;

/// Digits of a job's name: seconds, the millionth of that second, and chance.
const LENGTH: usize = 18;

/// Names a job; later jobs sort after earlier ones, to the microsecond.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(String);

/// One job, as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Record {
    /// Its name.
    pub id: JobId,
    /// The schedule it belongs to; `None` for what a person asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Name>,
    /// The token that asked for it; `None`: its moment came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Whether nothing of it was begun yet: the daemon begins it when its subject is free.
    #[serde(default, skip_serializing_if = "is_false")]
    pub waits: bool,
    /// What it works on.
    pub subject: Subject,
    /// What it does, in a word.
    pub word: String,
    /// What it must be able to do.
    pub role: Role,
    /// What follows the program's name.
    pub arguments: Vec<String>,
    /// For which moment.
    pub slot: Timestamp,
    /// The how manieth try: from 1.
    pub attempt: u32,
    /// Missed moments that it stands for.
    #[serde(default)]
    pub missed: usize,
    /// When it was put into the journal.
    pub begun: Timestamp,
    /// How it ended; `None` until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// The program's exit code; `None` if a signal ended it, or nobody saw its end.
    pub code: Option<i32>,
    /// What that means.
    pub ending: Ending,
    /// What it said of itself when it did not end well, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl JobId {
    fn new(now: Timestamp) -> Self {
        let (second, micros) = (now.as_second().max(0), now.subsec_microsecond().max(0));
        Self(format!("{second:09x}{micros:05x}{}", to_hex(&random::<2>())))
    }
}

impl Record {
    /// The job that a schedule is due for.
    pub fn of(schedule: &Schedule, due: &Due, now: Timestamp) -> Self {
        Self {
            id: JobId::new(now),
            schedule: Some(schedule.name.clone()),
            by: None,
            waits: false,
            subject: schedule.subject(),
            word: schedule.job.word().to_owned(),
            role: schedule.job.role(),
            arguments: schedule.job.arguments(schedule.node.as_deref()),
            slot: due.slot,
            attempt: due.attempt,
            missed: due.missed,
            begun: now,
            ended: None,
        }
    }
}

impl Record {
    /// What a person asked for, by a token of this name: it waits.
    pub fn wished(wish: &Wish, by: &str, now: Timestamp) -> Self {
        Self {
            id: JobId::new(now),
            schedule: None,
            by: Some(by.to_owned()),
            waits: true,
            subject: Subject::Node(wish.node.clone()),
            word: wish.word().to_owned(),
            role: wish.role(),
            arguments: wish.arguments(),
            slot: now,
            attempt: 1,
            missed: 0,
            begun: now,
            ended: None,
        }
    }

    /// The job of a schedule before its moment, by a token of this name: it waits.
    pub fn hurried(schedule: &Schedule, by: &str, now: Timestamp) -> Self {
        let due = Due { schedule: schedule.name.clone(), slot: now, attempt: 1, missed: 0 };
        Self { by: Some(by.to_owned()), waits: true, ..Self::of(schedule, &due, now) }
    }

    /// What people know it by: its schedule, or what it does to what.
    pub fn title(&self) -> String {
        match (&self.schedule, &self.subject) {
            (Some(schedule), _) => schedule.to_string(),
            (None, Subject::Node(node)) => format!("{} of {node}", self.word),
            (None, Subject::Repository) => self.word.clone(),
        }
    }

    /// The node, if it works on one.
    pub fn node(&self) -> Option<&str> {
        match &self.subject {
            Subject::Node(node) => Some(node),
            Subject::Repository => None,
        }
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl FromStr for JobId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_one = text.len() == LENGTH && text.bytes().all(|b| b.is_ascii_hexdigit());
        if is_one { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
