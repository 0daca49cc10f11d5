//! One thing that is done to a node and undone again. Releasing is safe at any time and any number of times: also when the entering never
//! came that far, also when a person was quicker.

use std::fmt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::HoldError;
use super::freeze::{self, Frozen, Target};
use super::volume::Mounts;
use crate::command::{Program, Stop};
use crate::error::Error;
use crate::process::Process;
use crate::service::{Control, Stopped};

/// How often releasing is tried: a folder may be looked into by somebody for a moment.
const TRIES: u32 = 5;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// One thing that is done and undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What it does, in words.
    pub about: String,
    /// How.
    pub action: Action,
    /// Whether it is undone as soon as the next step stands.
    #[serde(default)]
    pub is_brief: bool,
}

/// How something is done and undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The node's own maintenance mode.
    Maintenance {
        /// Enters it.
        enter: Program,
        /// Leaves it.
        exit: Program,
    },
    /// The service is stopped, and started if it ran.
    Service(Control),
    /// Processes are stopped where they stand.
    Freeze {
        /// Which.
        target: Target,
        /// How long at most.
        patience: Duration,
    },
    /// Something of the system is made and removed.
    Thing {
        /// Makes it.
        make: Program,
        /// Removes it.
        remove: Program,
        /// How to see whether it is there.
        proof: Proof,
    },
}

/// How to see whether something is there, so that it is not removed twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// A program prints this line.
    Listed {
        /// Lists.
        list: Program,
        /// The line, without the white space around it.
        line: String,
    },
    /// Something is mounted here.
    Mounted(PathBuf),
}

/// What entering left behind that releasing needs.
#[derive(Debug, Default)]
pub(super) struct Entered {
    /// For a freeze.
    pub frozen: Option<Frozen>,
    /// Nothing was done, because of this.
    pub idle: Option<&'static str>,
}

impl Step {
    /// Does it. `record` is called with the processes that are about to be stopped; a wish to stop is heard while a program runs.
    pub(super) fn enter(
        &self,
        record: &mut dyn FnMut(&[Process]) -> Result<(), HoldError>,
        stop: Stop<'_>,
    ) -> Result<Entered, HoldError> {
        let mut entered = Entered::default();
        match &self.action {
            Action::Maintenance { enter, .. } => drop(enter.run_unless(stop)?),
            Action::Service(control) if control.stop_unless(stop)? == Stopped::WasNotRunning => {
                entered.idle = Some("the node did not run: it was left so");
            }
            Action::Service(_) => {}
            Action::Freeze { target, patience } => {
                entered.frozen = Some(freeze::freeze(target, *patience, record)?);
            }
            Action::Thing { make, proof, .. } => {
                proof.prepare()?;
                make.run_unless(stop)?;
            }
        }
        Ok(entered)
    }

    /// Undoes it, if there is anything to undo.
    pub(super) fn release(&self, processes: &[Process]) -> Result<(), HoldError> {
        match &self.action {
            Action::Maintenance { exit, .. } => drop(exit.run()?),
            Action::Service(control) => drop(control.start()?),
            Action::Freeze { target, .. } => freeze::thaw(target, processes)?,
            Action::Thing { remove, proof, .. } => remove_thing(remove, proof)?,
        }
        Ok(())
    }

    /// The line that undoes it, to be typed into a shell.
    pub fn by_hand(&self, processes: &[Process]) -> String {
        match &self.action {
            Action::Maintenance { exit, .. } => exit.spelled(),
            Action::Service(control) => {
                control.start.as_ref().map_or_else(String::new, Program::spelled)
            }
            Action::Freeze { target, .. } => target.thaw_line(processes),
            Action::Thing { remove, .. } => remove.spelled(),
        }
    }

    /// The line that does it, for the plan.
    fn forward(&self) -> String {
        match &self.action {
            Action::Maintenance { enter, .. } => enter.spelled(),
            Action::Service(control) => {
                control.stop.as_ref().map_or_else(String::new, Program::spelled)
            }
            Action::Freeze { target, .. } => target.freeze_line(),
            Action::Thing { make, .. } => make.spelled(),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = if self.is_brief { "as soon as the next step stands" } else { "afterwards" };
        writeln!(out, "{}", self.about)?;
        writeln!(out, "    {}", self.forward())?;
        write!(out, "    {when}: {}", self.by_hand(&[]))
    }
}

impl Proof {
    /// Makes the folder where something will be mounted.
    fn prepare(&self) -> Result<(), HoldError> {
        match self {
            Self::Listed { .. } => Ok(()),
            Self::Mounted(folder) => Ok(super::journal::make_private(folder)?),
        }
    }

    fn is_there(&self) -> Result<bool, HoldError> {
        match self {
            Self::Listed { list, line } => {
                let done = list.run()?;
                let text = String::from_utf8_lossy(&done.stdout);
                Ok(text.lines().any(|listed| listed.trim() == line))
            }
            Self::Mounted(folder) => Ok(Mounts::here()?.is_point(folder)),
        }
    }

    /// Removes what was prepared.
    fn clear(&self) -> Result<(), HoldError> {
        let Self::Mounted(folder) = self else { return Ok(()) };
        match std::fs::remove_dir(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::file(folder, "cannot be removed")(error).into())
            }
            _ => Ok(()),
        }
    }
}

fn remove_thing(remove: &Program, proof: &Proof) -> Result<(), HoldError> {
    let mut tries = TRIES;
    while proof.is_there()? {
        tries -= 1;
        match remove.run() {
            Err(error) if tries == 0 => return Err(error.into()),
            Err(_) => thread::sleep(PAUSE),
            Ok(_) => break,
        }
    }
    proof.clear()
}
