//! The service that is a node: whether it runs, how it is stopped, and how it is started so that it outlives us.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::command::{Launched, Program, Stop, never};
use crate::error::Error as NodeError;
use crate::node::Node;
use crate::process::Process;
use crate::profile::{HoldMethod, Line, fill};

/// A start line that neither ends nor has a check beside it is the node itself, if it is still there after this.
const SETTLE: Duration = Duration::from_secs(1);
/// How often a service is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How a node is stopped and started, with every placeholder filled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// The node's name.
    pub node: String,
    /// Stops it.
    pub stop: Option<Program>,
    /// Starts it.
    pub start: Option<Program>,
    /// Succeeds while it runs.
    pub running: Option<Program>,
    /// File with its process id, where the profile knows of one.
    pub pid_file: Option<PathBuf>,
    /// What a start writes goes here.
    pub log: PathBuf,
}

/// What came of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It did not run.
    WasNotRunning,
    /// It ran, and does no more.
    Now,
}

/// What came of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// It ran already.
    WasRunning,
    /// It runs now.
    Now,
}

/// What can go wrong with a service.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// The profile does not say how.
    #[error("node `{node}`: its profile has no service.{command}")]
    NoCommand {
        /// Its name.
        node: String,
        /// `stop` or `start`.
        command: &'static str,
    },
    /// It was asked to stop, and runs.
    #[error("node `{node}` still runs {} s after it was asked to stop with: {command}", patience.as_secs())]
    StillRunning {
        /// Its name.
        node: String,
        /// What was run.
        command: String,
        /// How long it had.
        patience: Duration,
    },
    /// It was started, and does not run.
    #[error("node `{node}` did not start: {reason}; it said: {said} ({})", log.display())]
    DidNotStart {
        /// Its name.
        node: String,
        /// How that showed.
        reason: String,
        /// The end of what it wrote.
        said: String,
        /// All of it.
        log: PathBuf,
    },
    /// A program or a file.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl Control {
    /// The service of a node. What its start writes is added to `log`.
    ///
    /// # Errors
    /// If a placeholder has no value.
    pub fn of(node: &Node, log: &Path) -> Result<Self, ServiceError> {
        let variables = node.variables();
        let program = |line: &Option<Line>| {
            line.as_ref().map(|line| Program::of(line, &variables)).transpose()
        };
        let service = &node.profile.service;
        let hold = &node.profile.hold;
        let process = hold.process.as_ref().filter(|_| hold.method == HoldMethod::Freeze);
        let process = process.map(|path| fill(path, &variables)).transpose()?.map(PathBuf::from);
        Ok(Self {
            node: node.name().to_owned(),
            stop: program(&service.stop)?,
            start: program(&service.start)?,
            running: program(&service.running)?,
            pid_file: process.filter(|path| !path.is_dir()),
            log: log.to_path_buf(),
        })
    }

    /// Whether it runs; `None` if the profile does not say how to see that.
    ///
    /// # Errors
    /// If the check cannot be started or hangs, or the file with the process id is damaged.
    pub fn is_running(&self) -> Result<Option<bool>, ServiceError> {
        match (&self.running, &self.pid_file) {
            (Some(program), _) => match program.run() {
                Ok(_) => Ok(Some(true)),
                Err(NodeError::Failed { .. }) => Ok(Some(false)),
                Err(error) => Err(error.into()),
            },
            (None, Some(file)) if !file.exists() => Ok(Some(false)),
            (None, Some(file)) => Ok(Some(Process::of_file(file)?.is_some())),
            (None, None) => Ok(None),
        }
    }

    /// Stops it, and returns when it has stopped.
    ///
    /// # Errors
    /// If there is no command, it fails, or the service still runs when its patience is over.
    pub fn stop(&self) -> Result<Stopped, ServiceError> {
        self.stop_unless(&never)
    }

    /// The same; a wish to stop ends the waiting, and leaves open whether the service runs.
    ///
    /// # Errors
    /// As [`Control::stop`], and [`NodeError::Stopped`].
    pub fn stop_unless(&self, wish: Stop<'_>) -> Result<Stopped, ServiceError> {
        let stop = self.stop.as_ref().ok_or_else(|| self.no("stop"))?;
        if self.is_running()? == Some(false) {
            return Ok(Stopped::WasNotRunning);
        }
        let deadline = Instant::now() + stop.patience;
        stop.run_unless(wish)?;
        while self.is_running()? == Some(true) {
            if wish() {
                let program = stop.name().to_owned();
                return Err(NodeError::Stopped { program }.into());
            }
            if Instant::now() >= deadline {
                let (node, command) = (self.node.clone(), stop.spelled());
                return Err(ServiceError::StillRunning { node, command, patience: stop.patience });
            }
            thread::sleep(LOOK);
        }
        Ok(Stopped::Now)
    }

    /// Starts it so that it outlives us, and returns when it runs.
    ///
    /// # Errors
    /// If there is no command, or it does not run within its patience: with the end of what it wrote.
    pub fn start(&self) -> Result<Started, ServiceError> {
        let start = self.start.as_ref().ok_or_else(|| self.no("start"))?;
        if self.is_running()? == Some(true) {
            return Ok(Started::WasRunning);
        }
        let mut launched = start.launch(&self.log)?;
        let begun = Instant::now();
        while !self.has_started(&mut launched, begun.elapsed())? {
            if begun.elapsed() >= start.patience {
                let reason = format!("it does not run after {} s", start.patience.as_secs());
                return Err(self.did_not(reason, &launched));
            }
            thread::sleep(LOOK);
        }
        Ok(Started::Now)
    }

    /// A start line either ends well, like `systemctl start`, or is the node itself and stays.
    fn has_started(
        &self,
        launched: &mut Launched,
        for_now: Duration,
    ) -> Result<bool, ServiceError> {
        let lost = NodeError::file(&self.log, "the start cannot be followed");
        let ended = launched.ended().map_err(lost)?;
        if let Some(status) = ended.filter(|status| !status.success()) {
            return Err(self.did_not(status.to_string(), launched));
        }
        Ok(match self.is_running()? {
            Some(is_running) => is_running,
            None => ended.is_some() || for_now >= SETTLE,
        })
    }

    fn did_not(&self, reason: String, launched: &Launched) -> ServiceError {
        let said = Some(launched.said()).filter(|said| !said.is_empty());
        ServiceError::DidNotStart {
            node: self.node.clone(),
            reason,
            said: said.unwrap_or_else(|| "nothing".to_owned()),
            log: launched.log().to_path_buf(),
        }
    }

    fn no(&self, command: &'static str) -> ServiceError {
        ServiceError::NoCommand { node: self.node.clone(), command }
    }
}
