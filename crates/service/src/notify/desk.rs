//! Where it comes together: what is wrong is looked up, judged against what was told, and put into the outbox.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::alerts::{Alerts, Condition, judge};
use super::channel::Channel;
use super::condition;
use super::outbox::{Outbox, Sent};
use super::{Message, Topic, fleet};
use crate::error::{Error, Result};
use crate::jobs::Record;
use crate::schedule::Subject;
use crate::schedule::book::Book;
use crate::schedule::decide::Ending;
use crate::state::replace;

/// Tells people, for one machine.
#[derive(Debug, Clone)]
pub struct Desk {
    folder: PathBuf,
    book: Book,
    machine: String,
    host: String,
}

impl Desk {
    /// With its files in this folder. `machine` tells it from others, `host` is its name for people.
    pub fn new(folder: &Path, machine: String, host: String) -> Self {
        Self { folder: folder.to_owned(), book: Book::new(folder.to_owned()), machine, host }
    }

    /// Messages that wait.
    pub fn outbox(&self) -> Outbox {
        Outbox::new(self.folder.join("outbox"))
    }

    /// What is wrong, as it was told.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged.
    pub fn alerts(&self) -> Result<Alerts> {
        let path = self.path();
        match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Alerts::new()),
            result => {
                let text = result.map_err(Error::file(&path, "cannot be read"))?;
                serde_json::from_slice(&text)
                    .map_err(|error| Error::State { path, reason: error.to_string() })
            }
        }
    }

    /// Looks what is wrong now, and puts what is new into the outbox. `fleet` is what a look at the fleet has just shown; without one
    /// what the last showed still holds. What is told is written down after the messages: a crash in
    /// between tells twice rather than never.
    ///
    /// # Errors
    /// If schedules, history, alerts or outbox cannot be read or written.
    pub fn look(
        &self,
        channels: &[Channel],
        fleet: Option<Vec<Condition>>,
        now: Timestamp,
    ) -> Result<Vec<Message>> {
        let planned = self.book.planned(&self.machine)?;
        let known = self.alerts()?;
        let by_schedules = condition::of_schedules(&planned, &self.book.history()?, now);
        let by_fleet = fleet.unwrap_or_else(|| fleet::lasting(&known));
        let wrong = fleet::joined(by_schedules, by_fleet);
        let (alerts, messages) = judge(&known, &wrong, &self.host, now);
        self.outbox().put(channels, &messages, now)?;
        if alerts != known {
            let path = self.path();
            let text = serde_json::to_vec_pretty(&alerts)
                .map_err(|error| Error::State { path: path.clone(), reason: error.to_string() })?;
            replace(&path, &text)?;
        }
        Ok(messages)
    }

    /// Tells of a job that ended well, to those who want to hear it.
    ///
    /// # Errors
    /// If the outbox cannot be written.
    pub fn ended(&self, channels: &[Channel], record: &Record) -> Result<()> {
        let Some(ended) = record.ended.as_ref().filter(|ended| ended.ending == Ending::Done) else {
            return Ok(());
        };
        let node = match &record.subject {
            Subject::Node(node) => Some(node.clone()),
            Subject::Repository => None,
        };
        let subject = node.clone().unwrap_or_else(|| "repository".to_owned());
        let seconds = ended.at.duration_since(record.begun).as_secs();
        let message = Message {
            topic: Topic::Success,
            title: format!("{subject}: {} done", record.word),
            text: format!("It took {seconds} s."),
            node,
            host: self.host.clone(),
            at: ended.at,
        };
        self.outbox().put(channels, &[message], Timestamp::now())
    }

    /// Sends what is due.
    ///
    /// # Errors
    /// If the outbox cannot be read or written.
    pub fn send(&self, channels: &[Channel]) -> Result<Sent> {
        self.outbox().send(channels, Timestamp::now())
    }

    fn path(&self) -> PathBuf {
        self.folder.join("alerts.json")
    }
}
