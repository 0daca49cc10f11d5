//! Schedules of this machine, and what became of them: `schedules.toml` and `history.json` in the folder of state.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::decide::{History, Past};
use super::error::ScheduleError;
use super::{Name, Planned, Schedule};
use crate::error::{Error, Result};
use crate::find::SCHEDULES;
use crate::state::{exclusively, replace};

const FILE: &str = "schedules.toml";
const HISTORY: &str = "history.json";

/// Where schedules are written down.
#[derive(Debug, Clone)]
pub struct Book {
    folder: PathBuf,
}

/// The file's form.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pages {
    #[serde(default)]
    schedule: Vec<Schedule>,
}

impl Book {
    /// In this folder; it need not exist.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// All schedules, by name.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged.
    pub fn schedules(&self) -> Result<Vec<Schedule>> {
        let path = self.folder.join(FILE);
        let Some(text) = read(&path)? else {
            return Ok(Vec::new());
        };
        let mut schedules = parse(&text, &path)?;
        schedules.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(schedules)
    }

    /// One of them.
    ///
    /// # Errors
    /// [`ScheduleError::Unknown`].
    pub fn schedule(&self, name: &str) -> Result<Schedule> {
        let schedules = self.schedules()?;
        let known = schedules.iter().map(|schedule| schedule.name.to_string()).collect();
        let found = schedules.into_iter().find(|schedule| schedule.name.as_str() == name);
        found.ok_or_else(|| ScheduleError::Unknown { name: name.to_owned(), known }.into())
    }

    /// All of them with their moments, on the machine of this id.
    ///
    /// # Errors
    /// As [`Book::schedules`]; [`ScheduleError::Zone`] if a zone is not known here.
    pub fn planned(&self, machine: &str) -> Result<Vec<Planned>> {
        self.schedules()?.iter().map(|schedule| Ok(schedule.plan(machine)?)).collect()
    }

    /// Those of a node, as an attachment of its snapshots; none if there are none.
    ///
    /// # Errors
    /// As [`Book::schedules`].
    pub fn carried(&self, node: &str) -> Result<Option<(String, Vec<u8>)>> {
        let mut schedules = self.schedules()?;
        schedules.retain(|schedule| schedule.node.as_deref() == Some(node));
        match schedules.is_empty() {
            true => Ok(None),
            false => Ok(Some((SCHEDULES.to_owned(), text(schedules)?.into_bytes()))),
        }
    }

    /// Takes over what a snapshot carried, beginning now; names that are taken stay as they are. Returns what was added.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn adopt(&self, carried: Vec<Schedule>, now: Timestamp) -> Result<Vec<Schedule>> {
        let known = self.schedules()?;
        let is_new = |schedule: &Schedule| known.iter().all(|old| old.name != schedule.name);
        let new = carried.into_iter().filter(is_new);
        let new: Vec<Schedule> = new.map(|schedule| Schedule { since: now, ..schedule }).collect();
        self.add(&new)?;
        Ok(new)
    }

    /// Writes new ones down: all or none.
    ///
    /// # Errors
    /// [`ScheduleError::Exists`], or why it could not be written.
    pub fn add(&self, new: &[Schedule]) -> Result<()> {
        self.change(|schedules| {
            for schedule in new {
                let name = schedule.name.to_string();
                if schedules.iter().any(|known| known.name == schedule.name) {
                    return Err(ScheduleError::Exists { name }.into());
                }
                schedules.push(schedule.clone());
            }
            Ok(())
        })
    }

    /// Removes one, with its history.
    ///
    /// # Errors
    /// [`ScheduleError::Unknown`], or why it could not be written.
    pub fn remove(&self, name: &str) -> Result<()> {
        let known = self.schedule(name)?.name;
        self.change(|schedules| {
            schedules.retain(|schedule| schedule.name != known);
            Ok(())
        })?;
        self.note(&known, |past| *past = Past::default())
    }

    /// Pauses one or lets it go on. What came in the pause is not caught up.
    ///
    /// # Errors
    /// [`ScheduleError::Unknown`], or why it could not be written.
    pub fn pause(&self, name: &str, paused: bool, now: Timestamp) -> Result<Schedule> {
        let mut changed = self.schedule(name)?;
        if changed.paused && !paused {
            changed.since = now;
        }
        changed.paused = paused;
        self.change(|schedules| {
            schedules.retain(|schedule| schedule.name != changed.name);
            schedules.push(changed.clone());
            Ok(())
        })?;
        Ok(changed)
    }

    /// What became of them.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged.
    pub fn history(&self) -> Result<History> {
        let path = self.folder.join(HISTORY);
        let Some(text) = read(&path)? else {
            return Ok(History::new());
        };
        serde_json::from_str(&text)
            .map_err(|error| Error::State { path, reason: error.to_string() })
    }

    /// Changes what is known of one schedule's past.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn note(&self, name: &Name, change: impl FnOnce(&mut Past)) -> Result<()> {
        self.alone(|| {
            let mut history = self.history()?;
            let past = history.entry(name.clone()).or_default();
            change(past);
            if *past == Past::default() {
                history.remove(name);
            }
            let path = self.folder.join(HISTORY);
            let text = serde_json::to_vec_pretty(&history)
                .map_err(|error| Error::State { path: path.clone(), reason: error.to_string() })?;
            replace(&path, &text)
        })
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Schedule>) -> Result<()>) -> Result<()> {
        self.alone(|| {
            let mut schedules = self.schedules()?;
            change(&mut schedules)?;
            replace(&self.folder.join(FILE), text(schedules)?.as_bytes())
        })
    }

    /// Two commands do not overwrite each other's change.
    fn alone<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        exclusively(&self.folder.join("schedules.lock"), work)
    }
}

/// Schedules as the text of a file.
///
/// # Errors
/// [`Error::State`] if they cannot be written as TOML.
pub fn text(schedules: Vec<Schedule>) -> Result<String> {
    toml::to_string(&Pages { schedule: schedules })
        .map_err(|error| Error::State { path: FILE.into(), reason: error.to_string() })
}

/// Reads such a text.
///
/// # Errors
/// [`Error::State`].
pub fn parse(text: &str, path: &Path) -> Result<Vec<Schedule>> {
    let pages: Pages = toml::from_str(text).map_err(|error| Error::State {
        path: path.to_owned(),
        reason: error.to_string().trim_end().to_owned(),
    })?;
    Ok(pages.schedule)
}

fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some).map_err(Error::file(path, "cannot be read")),
    }
}
