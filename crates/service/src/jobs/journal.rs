//! What jobs there were: a file for each in `jobs/`, with what the program wrote beside it. A runner holds the job's lock while it lives,
//! so that a job that nobody works on any more is known for what it is, also after a crash and a reboot.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use rustix::fs::{FlockOperation, flock};

use super::{Ended, JobId, Record};
use crate::error::{Error, Result};
use crate::schedule::Schedule;
use crate::schedule::book::Book;
use crate::schedule::decide::{Due, Ending, Run};
use crate::state::{make_folder, replace};

/// Ended jobs that are kept.
const KEPT: usize = 500;
/// A runner that has not taken its job after so long never will.
const GRACE: SignedDuration = SignedDuration::from_secs(5);
/// What one job leaves in the folder.
const ENDINGS: [&str; 7] = ["json", "out", "log", "lock", "progress", "progress-new", "stop"];
/// What is said of a job whose end nobody saw.
pub const LOST: &str = "it was killed, or the machine went down";

/// The folder of jobs.
#[derive(Debug, Clone)]
pub struct Journal {
    folder: PathBuf,
}

/// The job is worked on while this lives.
#[derive(Debug)]
pub struct Held {
    _file: File,
}

impl Journal {
    /// In this folder; it need not exist.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Writes a job down before anything of it is done, and in the history that its moment was decided on.
    ///
    /// # Errors
    /// Why it could not be written: then nothing may be begun.
    pub fn begin(&self, book: &Book, schedule: &Schedule, due: &Due) -> Result<Record> {
        let record = Record::of(schedule, due, Timestamp::now());
        self.write(&record)?;
        book.note(&schedule.name, |past| {
            past.decided = Some(due.slot);
            past.run = Some(Run { slot: due.slot, attempt: due.attempt, ended: None });
        })?;
        Ok(record)
    }

    /// Writes down what somebody asked for: it waits until a daemon begins it.
    ///
    /// # Errors
    /// Why it could not be written: then nothing was asked for.
    pub fn ask(&self, record: &Record) -> Result<()> {
        self.write(record)
    }

    /// Begins what waited: written down, as in [`Journal::begin`], before anything is done.
    ///
    /// # Errors
    /// Why it could not be written: then nothing may be begun.
    pub fn start(&self, book: &Book, waiting: &Record) -> Result<Record> {
        let record = Record { waits: false, begun: Timestamp::now(), ..waiting.clone() };
        self.write(&record)?;
        if let Some(schedule) = &record.schedule {
            let run = Run { slot: record.slot, attempt: record.attempt, ended: None };
            book.note(schedule, |past| {
                past.decided = Some(record.slot);
                past.run = Some(run);
            })?;
        }
        Ok(record)
    }

    /// Jobs that nobody has begun yet, the oldest first.
    ///
    /// # Errors
    /// As [`Journal::all`].
    pub fn waiting(&self) -> Result<Vec<Record>> {
        let mut waiting = self.all()?;
        waiting.retain(|record| record.waits && record.ended.is_none());
        Ok(waiting)
    }

    /// Asks whoever works on a job to end it; one that waits is ended here.
    ///
    /// # Errors
    /// [`Error::NoJob`], or why the wish could not be written.
    pub fn stop(&self, book: &Book, id: &JobId) -> Result<Record> {
        let record = self.read(id)?;
        if record.waits && record.ended.is_none() {
            let message = Some("it was taken back before it began".to_owned());
            let ended = Ended { at: Timestamp::now(), code: None, ending: Ending::Failed, message };
            return self.end(book, id, ended);
        }
        if record.ended.is_none() {
            replace(&self.path(id, "stop"), b"")?;
        }
        Ok(record)
    }

    /// Whether somebody wants it to end.
    pub fn is_to_stop(&self, id: &JobId) -> bool {
        self.path(id, "stop").exists()
    }

    /// Writes down how a job ended, here and in the history. The first word stays.
    ///
    /// # Errors
    /// Why it could not be written.
    pub fn end(&self, book: &Book, id: &JobId, ended: Ended) -> Result<Record> {
        let mut record = self.read(id)?;
        let ended = record.ended.get_or_insert(ended).clone();
        self.write(&record)?;
        let Some(schedule) = &record.schedule else { return Ok(record) };
        book.note(schedule, |past| {
            let of_this = |run: &&mut Run| run.slot == record.slot && run.attempt == record.attempt;
            if let Some(run) = past.run.as_mut().filter(of_this) {
                run.ended = Some((ended.at, ended.ending));
                past.message = ended.message.clone();
            }
            if ended.ending == Ending::Done {
                past.done = past.done.max(Some(ended.at));
            }
        })?;
        Ok(record)
    }

    /// All jobs, the newest last.
    ///
    /// # Errors
    /// If the folder or a file cannot be read.
    pub fn all(&self) -> Result<Vec<Record>> {
        self.ids()?.iter().map(|id| self.read(id)).collect()
    }

    /// Jobs that were begun and have no end yet.
    ///
    /// # Errors
    /// As [`Journal::all`].
    pub fn open(&self) -> Result<Vec<Record>> {
        Ok(self
            .all()?
            .into_iter()
            .filter(|record| record.ended.is_none() && !record.waits)
            .collect())
    }

    /// The same. Those in `ended` were seen to have one and are not read again; whose end is seen now comes to them.
    ///
    /// # Errors
    /// As [`Journal::all`].
    pub fn open_besides(&self, ended: &mut BTreeSet<JobId>) -> Result<Vec<Record>> {
        let ids = self.ids()?;
        ended.retain(|id| ids.binary_search(id).is_ok());
        let mut open = Vec::new();
        for id in ids {
            if ended.contains(&id) {
                continue;
            }
            let record = self.read(&id)?;
            match record.ended {
                Some(_) => _ = ended.insert(id),
                None if record.waits => (),
                None => open.push(record),
            }
        }
        Ok(open)
    }

    /// One job.
    ///
    /// # Errors
    /// [`Error::NoJob`], or what is wrong with its file.
    pub fn read(&self, id: &JobId) -> Result<Record> {
        let path = self.path(id, "json");
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::NoJob { id: id.to_string() });
            }
            result => result.map_err(Error::file(&path, "cannot be read"))?,
        };
        serde_json::from_str(&text)
            .map_err(|error| Error::State { path, reason: error.to_string() })
    }

    /// Marks jobs that nobody works on and that have no end: their runner was killed. Returns the rest.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn bury(&self, book: &Book, open: Vec<Record>) -> Result<Vec<Record>> {
        let mut alive = Vec::new();
        let now = Timestamp::now();
        for record in open {
            // After the clock was set back a job may lie ahead: then it waits for nothing.
            let is_young =
                (SignedDuration::ZERO..GRACE).contains(&now.duration_since(record.begun));
            if is_young || self.is_worked_on(&record.id)? {
                alive.push(record);
                continue;
            }
            let ended = Ended {
                at: now,
                code: None,
                ending: Ending::Retry,
                message: Some(LOST.to_owned()),
            };
            self.end(book, &record.id, ended)?;
        }
        Ok(alive)
    }

    /// Takes a job for this process.
    ///
    /// # Errors
    /// [`Error::JobTaken`].
    pub fn hold(&self, id: &JobId) -> Result<Held> {
        let file = self.lock_file(id)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Held { _file: file }),
            Err(_) => Err(Error::JobTaken { id: id.to_string() }),
        }
    }

    /// Whether a runner has it. One that was begun but not yet taken counts as nobody's.
    ///
    /// # Errors
    /// If its lock cannot be opened.
    pub fn is_worked_on(&self, id: &JobId) -> Result<bool> {
        Ok(self.hold(id).is_err())
    }

    /// What the program wrote for a person to read.
    pub fn log(&self, id: &JobId) -> PathBuf {
        self.path(id, "log")
    }

    /// How far the program is: a [`super::progress::Progress`].
    pub fn progress(&self, id: &JobId) -> PathBuf {
        self.path(id, "progress")
    }

    /// The folder that it lies in.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// The JSON that the program wrote.
    pub fn out(&self, id: &JobId) -> PathBuf {
        self.path(id, "out")
    }

    /// Removes what is older than the jobs that are kept.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn trim(&self) -> Result<()> {
        let ids = self.ids()?;
        let surplus = ids.len().saturating_sub(KEPT);
        for id in &ids[..surplus] {
            if self.read(id).is_ok_and(|record| record.ended.is_none()) {
                continue;
            }
            for ending in ENDINGS {
                // What stays is tried again the next time.
                _ = fs::remove_file(self.path(id, ending));
            }
        }
        Ok(())
    }

    fn ids(&self) -> Result<Vec<JobId>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result.map_err(Error::file(&self.folder, "cannot be read"))?,
        };
        let id = |entry: fs::DirEntry| {
            entry.file_name().to_str()?.strip_suffix(".json")?.parse::<JobId>().ok()
        };
        let mut ids: Vec<JobId> = entries.flatten().filter_map(id).collect();
        ids.sort();
        Ok(ids)
    }

    fn write(&self, record: &Record) -> Result<()> {
        let path = self.path(&record.id, "json");
        let text = serde_json::to_vec_pretty(record)
            .map_err(|error| Error::State { path: path.clone(), reason: error.to_string() })?;
        replace(&path, &text)
    }

    fn lock_file(&self, id: &JobId) -> Result<File> {
        make_folder(&self.folder)?;
        let path = self.path(id, "lock");
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).mode(0o600).open(&path);
        file.map_err(Error::file(&path, "cannot be opened"))
    }

    fn path(&self, id: &JobId, ending: &str) -> PathBuf {
        self.folder.join(format!("{id}.{ending}"))
    }
}
