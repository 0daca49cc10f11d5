//! The daemon's one loop: asks what is due, begins it, sees how it ends. All it knows is in files, so that it can be killed at any moment.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::jobs::journal::Journal;
use crate::jobs::{JobId, Record};
use crate::notify::Message;
use crate::notify::alerts::Condition;
use crate::notify::channel::Channel;
use crate::notify::desk::Desk;
use crate::notify::outbox::Sent;
use crate::schedule::book::Book;
use crate::schedule::decide::{Decision, Now, Skip, decide};
use crate::schedule::job::Role;
use crate::schedule::{Planned, Subject};
use crate::state::make_folder;

/// The longest sleep: a changed file of schedules or a clock that was set is seen within it.
const LONGEST: Duration = Duration::from_secs(20);
/// How often running jobs are looked at.
const WATCH: Duration = Duration::from_millis(500);
/// A pause longer than this beyond what was asked for means that the machine slept or the clock was set.
const ABSENCE: SignedDuration = SignedDuration::from_secs(60);

/// How a daemon works.
#[derive(Debug, Clone)]
pub struct Terms {
    /// What this machine is called in jitter.
    pub machine: String,
    /// What people call it.
    pub host: String,
    /// The most a job may need.
    pub role: Role,
    /// Jobs at a time.
    pub jobs: usize,
    /// The command that runs a job, without its id.
    pub runner: Vec<String>,
}

/// What the daemon hears and is told; faces print, notify and stop by it.
pub trait Watcher {
    /// Something happened.
    fn happened(&mut self, event: &Event);
    /// Where messages go now.
    fn channels(&mut self) -> Vec<Channel>;
    /// What the fleet shows to be wrong, if it was looked at since it was last asked. It answers at once.
    fn fleet(&mut self) -> Option<Vec<Condition>>;
    /// Sleeps so long, or less; `true`: stop.
    fn sleep(&mut self, at_most: Duration) -> bool;
    /// After each look at what is due.
    fn looked(&mut self, running: usize, wake: Option<Timestamp>);
}

/// What happens in a daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A job was begun.
    Began(Record),
    /// A job ended.
    Ended(Record),
    /// Moments were missed and are not made up for.
    Skipped {
        /// Of which schedule.
        schedule: String,
        /// How many.
        count: usize,
    },
    /// Somebody is told.
    Told(Message),
    /// A channel did not take a message, and it is given up.
    Untold {
        /// Which channel.
        channel: String,
        /// Why.
        reason: String,
    },
    /// The dashboard can be asked.
    Serving {
        /// Where, as a URL.
        address: String,
    },
    /// Schedules, channels and targets are read again, as somebody asked for.
    Reloaded,
    /// Something of the daemon's own did not work; it goes on.
    Trouble {
        /// What.
        message: String,
    },
}

/// The loop with what it knows.
pub struct Daemon {
    book: Book,
    journal: Journal,
    terms: Terms,
    desk: Desk,
    sender: Option<JoinHandle<Result<Sent>>>,
    children: Vec<Child>,
    open: BTreeSet<JobId>,
    /// Jobs whose end was seen: they are not read again.
    ended: BTreeSet<JobId>,
    awake_since: Timestamp,
    _alone: File,
}

impl Daemon {
    /// Takes the place of the one daemon of this user.
    ///
    /// # Errors
    /// [`Error::DaemonRuns`], or what is wrong with the files.
    pub fn new(folder: PathBuf, terms: Terms) -> Result<Self> {
        let alone = alone(&folder)?;
        let daemon = Self {
            book: Book::new(folder.clone()),
            journal: Journal::new(folder.join("jobs")),
            desk: Desk::new(&folder, terms.machine.clone(), terms.host.clone()),
            sender: None,
            terms,
            children: Vec::new(),
            open: BTreeSet::new(),
            ended: BTreeSet::new(),
            awake_since: Timestamp::now(),
            _alone: alone,
        };
        daemon.book.planned(&daemon.terms.machine)?;
        Ok(daemon)
    }

    /// Works until it is told to stop; then asks running jobs to end, and waits for them.
    ///
    /// # Errors
    /// None for what goes wrong with a job or a file: the watcher hears of it.
    pub fn run(mut self, watcher: &mut dyn Watcher) -> Result<()> {
        let mut last = Timestamp::now();
        loop {
            let decision = self.turn(watcher).unwrap_or_else(|error| {
                watcher.happened(&Event::Trouble { message: error.to_string() });
                Decision::default()
            });
            watcher.looked(self.open.len(), decision.wake);
            let pause = self.pause(decision.wake);
            if watcher.sleep(pause) {
                return self.stop(watcher);
            }
            let now = Timestamp::now();
            let expected = SignedDuration::try_from(pause).unwrap_or(SignedDuration::ZERO);
            let absent = now.duration_since(last) - expected;
            if absent > ABSENCE || absent < -ABSENCE {
                self.awake_since = now;
            }
            last = now;
        }
    }

    /// Looks once.
    ///
    /// # Errors
    /// If schedules, history or journal cannot be read or written.
    fn turn(&mut self, watcher: &mut dyn Watcher) -> Result<Decision> {
        let running = self.see_ends(watcher)?;
        let planned = self.planned()?;
        let history = self.book.history()?;
        let busy = running.iter().map(|record| record.subject.clone()).collect();
        let decision = decide(
            &planned,
            &history,
            &Now {
                time: Timestamp::now(),
                awake_since: self.awake_since,
                busy: &busy,
                room: self.terms.jobs.saturating_sub(running.len()),
            },
        );
        for skip in &decision.skipped {
            self.skip(skip, watcher)?;
        }
        for due in &decision.due {
            let plan = planned.iter().find(|plan| plan.schedule.name == due.schedule);
            let Some(plan) = plan else { continue };
            let record = self.journal.begin(&self.book, &plan.schedule, due)?;
            self.launch(&record)?;
            self.open.insert(record.id.clone());
            watcher.happened(&Event::Began(record));
        }
        self.begin_wished(watcher)?;
        self.tell(watcher)?;
        Ok(decision)
    }

    /// Begins what people asked for, as far as there is room and nothing else works on the same.
    fn begin_wished(&mut self, watcher: &mut dyn Watcher) -> Result<()> {
        let waiting = self.journal.waiting()?;
        if waiting.is_empty() {
            return Ok(());
        }
        let mut busy: BTreeSet<Subject> =
            self.journal.open()?.into_iter().map(|record| record.subject).collect();
        for record in waiting {
            let may = record.role <= self.terms.role && busy.len() < self.terms.jobs;
            if !may || !busy.insert(record.subject.clone()) {
                continue;
            }
            let record = self.journal.start(&self.book, &record)?;
            self.launch(&record)?;
            self.open.insert(record.id.clone());
            watcher.happened(&Event::Began(record));
        }
        Ok(())
    }

    /// Puts what is new into the outbox, and has it sent beside the loop: a channel that does not answer keeps nothing else from its time.
    fn tell(&mut self, watcher: &mut dyn Watcher) -> Result<()> {
        let channels = watcher.channels();
        for message in self.desk.look(&channels, watcher.fleet(), Timestamp::now())? {
            watcher.happened(&Event::Told(message));
        }
        if self.sender.as_ref().is_some_and(|sender| !sender.is_finished()) {
            return Ok(());
        }
        if let Some(Ok(sent)) = self.sender.take().map(JoinHandle::join) {
            for (channel, reason) in sent?.lost {
                watcher.happened(&Event::Untold { channel, reason });
            }
        }
        let desk = self.desk.clone();
        self.sender = Some(thread::spawn(move || desk.send(&channels)));
        Ok(())
    }

    /// Schedules of jobs that this daemon may do.
    fn planned(&self) -> Result<Vec<Planned>> {
        let mut planned = self.book.planned(&self.terms.machine)?;
        planned.retain(|plan| plan.schedule.job.role() <= self.terms.role);
        Ok(planned)
    }

    fn skip(&self, skip: &Skip, watcher: &mut dyn Watcher) -> Result<()> {
        self.book.note(&skip.schedule, |past| past.decided = Some(skip.slot))?;
        let schedule = skip.schedule.to_string();
        watcher.happened(&Event::Skipped { schedule, count: skip.count });
        Ok(())
    }

    fn launch(&mut self, record: &Record) -> Result<()> {
        let (program, arguments) = self.terms.runner.split_first().ok_or(Error::NoRunner)?;
        let mut command = Command::new(program);
        command.args(arguments).arg(record.id.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(Error::file(program, "cannot be started"))?;
        self.children.push(child);
        Ok(())
    }

    /// Tells of jobs that ended, those of an earlier daemon too; returns those that run.
    fn see_ends(&mut self, watcher: &mut dyn Watcher) -> Result<Vec<Record>> {
        self.children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        let open = self.journal.open_besides(&mut self.ended)?;
        let running = self.journal.bury(&self.book, open)?;
        let open: BTreeSet<JobId> = running.iter().map(|record| record.id.clone()).collect();
        for id in self.open.difference(&open) {
            let record = self.journal.read(id)?;
            self.desk.ended(&watcher.channels(), &record)?;
            watcher.happened(&Event::Ended(record));
        }
        if self.open != open {
            self.journal.trim()?;
        }
        self.open = open;
        Ok(running)
    }

    fn pause(&self, wake: Option<Timestamp>) -> Duration {
        let longest = if self.open.is_empty() { LONGEST } else { WATCH };
        let until = wake.map(|wake| wake.duration_since(Timestamp::now()));
        let until = until.map(|until| Duration::try_from(until).unwrap_or(Duration::ZERO));
        // Never less than a moment, so that a wish that cannot be met does not spin.
        until.map_or(longest, |until| until.clamp(Duration::from_millis(50), longest))
    }

    fn stop(&mut self, watcher: &mut dyn Watcher) -> Result<()> {
        for child in &self.children {
            let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
            if let Some(pid) = pid {
                // A runner passes it on to its program.
                _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
        for child in &mut self.children {
            _ = child.wait();
        }
        self.children.clear();
        self.see_ends(watcher).map(drop)
    }
}

/// The lock that tells whether a daemon runs; it goes with the process.
fn alone(folder: &std::path::Path) -> Result<File> {
    make_folder(folder)?;
    let path = folder.join("daemon.lock");
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.map_err(Error::file(&path, "cannot be opened"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(_) => Err(Error::DaemonRuns { folder: folder.to_owned() }),
    }
}

/// Whether a daemon works in this folder.
///
/// # Errors
/// If its lock cannot be opened.
pub fn is_running(folder: &std::path::Path) -> Result<bool> {
    match alone(folder) {
        Ok(_) => Ok(false),
        Err(Error::DaemonRuns { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}
