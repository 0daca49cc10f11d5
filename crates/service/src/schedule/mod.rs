//! Schedules: what is to be done to a node or the repository, and when. [`decide`] says what is due and touches nothing; [`book`] keeps
//! schedules and what became of them on this machine.

pub mod book;
pub mod decide;
pub mod error;
pub mod job;
pub mod rhythm;

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use error::Result;
pub use error::ScheduleError;
use job::Job;
use rhythm::{Pattern, Rhythm};

/// Names a schedule on this machine: `guts`, `guts-drill`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A schedule as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Schedule {
    /// What it is called.
    pub name: Name,
    /// The node; `None` for what is done to the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What is done.
    pub job: Job,
    /// When.
    pub when: Pattern,
    /// Whose clock is meant: a name of the IANA database.
    pub zone: String,
    /// It begins up to so many seconds after its moment, so that a fleet does not come at once.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub jitter_secs: u32,
    /// Whether a moment that was missed is made up for.
    #[serde(default)]
    pub catch_up: bool,
    /// How often a run that failed for the moment is tried again.
    #[serde(default = "usual_retries")]
    pub retries: u32,
    /// After the first failure so many seconds pass; three times as many after each further one.
    #[serde(default = "usual_retry_after")]
    pub retry_after_secs: u32,
    /// Nothing is begun while it is set.
    #[serde(default)]
    pub paused: bool,
    /// Moments before this do not count: when it was added or resumed.
    pub since: Timestamp,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn usual_retry_after() -> u32 {
    USUAL_RETRY_AFTER_SECS
}

fn usual_retries() -> u32 {
    USUAL_RETRIES
}

/// How often a run is tried again if nothing else is said.
pub const USUAL_RETRIES: u32 = 3;
/// How many seconds after a failure it is tried again if nothing else is said.
pub const USUAL_RETRY_AFTER_SECS: u32 = 300;

/// What a job works on: no two work on one at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// A node.
    Node(String),
    /// The repository as a whole.
    Repository,
}

/// A schedule that can be asked for its moments.
#[derive(Debug, Clone)]
pub struct Planned {
    /// As it is written down.
    pub schedule: Schedule,
    /// Its moments.
    pub rhythm: Rhythm,
    /// What tells machines with equal schedules apart: their runs are spread.
    seed: String,
}

impl Schedule {
    /// What it works on.
    pub fn subject(&self) -> Subject {
        match &self.node {
            Some(node) => Subject::Node(node.clone()),
            None => Subject::Repository,
        }
    }

    /// With its moments, on the machine of this id.
    ///
    /// # Errors
    /// If its time zone is not known.
    pub fn plan(&self, machine: &str) -> Result<Planned> {
        let rhythm = Rhythm::new(self.when.clone(), &self.zone)?;
        Ok(Planned { schedule: self.clone(), rhythm, seed: format!("{machine} {}", self.name) })
    }
}

impl Planned {
    /// When the run for a moment begins.
    pub fn start(&self, slot: Timestamp) -> Timestamp {
        slot.saturating_add(self.jitter(slot)).unwrap_or(Timestamp::MAX)
    }

    /// The newest moment whose run should have begun.
    pub fn last_started(&self, now: Timestamp) -> Option<Timestamp> {
        let before = now.saturating_sub(self.most_jitter()).unwrap_or(Timestamp::MIN);
        let surely = self.rhythm.last(before);
        let after = self.rhythm.after(before).take_while(|slot| *slot <= now);
        after.filter(|slot| self.start(*slot) <= now).last().or(surely)
    }

    /// The next begin that lies ahead, of a moment after `slot`.
    pub fn next_start(&self, slot: Timestamp, now: Timestamp) -> Option<Timestamp> {
        // No jitter is longer than this, so the first moments after that cannot be missed.
        let from = slot.max(now.saturating_sub(self.most_jitter()).unwrap_or(Timestamp::MIN));
        self.rhythm.after(from).map(|slot| self.start(slot)).find(|start| *start > now)
    }

    /// The same for one machine, schedule and moment, whenever it is asked for.
    fn jitter(&self, slot: Timestamp) -> SignedDuration {
        let most = u64::from(self.schedule.jitter_secs);
        let text = format!("{} {}", self.seed, slot.as_second());
        let hash = blake3::hash(text.as_bytes());
        let [a, b, c, d, ..] = *hash.as_bytes();
        let share = u64::from(u32::from_le_bytes([a, b, c, d]));
        SignedDuration::from_secs(((share * most) >> 32) as i64)
    }

    fn most_jitter(&self) -> SignedDuration {
        SignedDuration::from_secs(i64::from(self.schedule.jitter_secs))
    }
}

impl Name {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_one = (1..=96).contains(&text.len()) && text.chars().all(fits);
        if is_one && !text.starts_with(['-', '.']) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ScheduleError::Name { text: text.to_owned() })
        }
    }
}

impl TryFrom<String> for Name {
    type Error = ScheduleError;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
