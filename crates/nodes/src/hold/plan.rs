//! What a hold will do, before it is done: printed, it is the dry run.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::error::HoldError;
use super::freeze::Target;
use super::step::{Action, Step};
use super::volume::{Mapping, Mounts, Names, lvm, zfs};
use crate::command::Program;
use crate::node::Node;
use crate::profile::{HoldMethod, Line, fill};
use crate::service::Control;

/// Where holds keep what they need on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The folder with the journals; snapshots are mounted in its `mounts`, and `NODE.log` takes what a started service writes.
    pub folder: PathBuf,
    /// Where tools of the system are looked for before the search path: `/usr/sbin` and the like.
    pub tools: Vec<PathBuf>,
    /// The time of day: it names snapshots and stands in the journal.
    pub now: Timestamp,
}

/// What will be done to a node to keep it still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub(super) node: String,
    pub(super) method: HoldMethod,
    pub(super) steps: Vec<Step>,
    pub(super) patience: Duration,
    pub(super) mapping: Option<Mapping>,
}

impl Plan {
    /// How a node is kept still by its profile's rules.
    ///
    /// # Errors
    /// If a placeholder has no value, a volume is not mounted, or the profile does not say how.
    pub fn of(node: &Node, site: &Site, mounts: &Mounts) -> Result<Self, HoldError> {
        let hold = &node.profile.hold;
        let mut plan = Self {
            node: node.name().to_owned(),
            method: hold.method,
            steps: Vec::new(),
            patience: hold.patience,
            mapping: None,
        };
        match hold.method {
            HoldMethod::None => {}
            HoldMethod::Stop => plan.steps.push(stop(node, site)?),
            HoldMethod::Maintenance => plan.steps.push(maintenance(node, false)?),
            HoldMethod::Freeze => plan.freeze(node)?,
            HoldMethod::Lvm | HoldMethod::Zfs => plan.volume(node, site, mounts)?,
        }
        Ok(plan)
    }

    /// The node's maintenance mode, whatever way the profile holds it otherwise.
    ///
    /// # Errors
    /// If the profile has no commands for it.
    pub fn of_maintenance(node: &Node) -> Result<Self, HoldError> {
        Ok(Self {
            node: node.name().to_owned(),
            method: HoldMethod::Maintenance,
            steps: vec![maintenance(node, false)?],
            patience: node.profile.hold.patience,
            mapping: None,
        })
    }

    /// The way.
    pub fn method(&self) -> HoldMethod {
        self.method
    }

    /// What is done, in this order, and undone in the other.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The longest that the node stands still. A snapshot of a volume lets it run, and lasts for as long as it is read.
    pub fn patience(&self) -> Option<Duration> {
        match self.method {
            HoldMethod::None | HoldMethod::Lvm | HoldMethod::Zfs => None,
            HoldMethod::Maintenance | HoldMethod::Stop | HoldMethod::Freeze => Some(self.patience),
        }
    }

    fn freeze(&mut self, node: &Node) -> Result<(), HoldError> {
        if has_maintenance(node) {
            self.steps.push(maintenance(node, false)?);
        }
        let process = needed(node.profile.hold.process.as_ref(), node, "hold.process")?;
        let path = PathBuf::from(fill(process, &node.variables())?);
        let target = Target::of(path.clone());
        let about = format!("freeze what {} names", path.display());
        let action = Action::Freeze { target, patience: self.patience };
        self.steps.push(Step { about, action, is_brief: false });
        Ok(())
    }

    fn volume(&mut self, node: &Node, site: &Site, mounts: &Mounts) -> Result<(), HoldError> {
        // Maintenance lasts only until the snapshot is taken.
        if has_maintenance(node) {
            self.steps.push(maintenance(node, true)?);
        }
        let hold = &node.profile.hold;
        let variables = node.variables();
        let volume = fill(needed(hold.volume.as_ref(), node, "hold.volume")?, &variables)?;
        let tag = format!("nodekeep-{}-{}", node.name(), site.now.strftime("%Y%m%dT%H%M%SZ"));
        let names = Names { volume: &volume, tag: &tag, tools: &site.tools };
        let (steps, mapping) = if hold.method == HoldMethod::Lvm {
            let size = hold.size.as_ref().map(|size| fill(size, &variables)).transpose()?;
            lvm(names, size.as_deref(), &site.folder.join("mounts").join(&tag), mounts)?
        } else {
            zfs(names, mounts)?
        };
        self.steps.extend(steps);
        self.mapping = Some(mapping);
        Ok(())
    }
}

impl Site {
    /// Where a node's start writes what it says.
    pub fn log(&self, node: &str) -> PathBuf {
        log_in(&self.folder, node)
    }
}

fn log_in(folder: &Path, node: &str) -> PathBuf {
    folder.join(format!("{node}.log"))
}

fn has_maintenance(node: &Node) -> bool {
    node.profile.hold.enter.is_some() && node.profile.hold.exit.is_some()
}

fn maintenance(node: &Node, is_brief: bool) -> Result<Step, HoldError> {
    let hold = &node.profile.hold;
    let program = |line: &Option<Line>| -> Result<Program, HoldError> {
        let line = needed(line.as_ref(), node, "hold.enter and hold.exit")?;
        let environment = vec![("NODEKEEP_NODE".to_owned(), node.name().to_owned())];
        Ok(Program { environment, ..Program::of(line, &node.variables())? })
    };
    let action = Action::Maintenance { enter: program(&hold.enter)?, exit: program(&hold.exit)? };
    Ok(Step { about: "enter the node's maintenance mode".to_owned(), action, is_brief })
}

fn stop(node: &Node, site: &Site) -> Result<Step, HoldError> {
    let service = &node.profile.service;
    needed(service.stop.as_ref().and(service.start.as_ref()), node, "service.stop and .start")?;
    let control = Control::of(node, &site.log(node.name()))?;
    let about = "stop the node, if it runs".to_owned();
    Ok(Step { about, action: Action::Service(control), is_brief: false })
}

fn needed<'a, T>(
    value: Option<&'a T>,
    node: &Node,
    needs: &'static str,
) -> Result<&'a T, HoldError> {
    let profile = || node.profile.name.clone();
    value.ok_or_else(|| HoldError::NoCommands { profile: profile(), needs })
}

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() {
            return write!(out, "{}: copied while it runs, nothing is held", self.node);
        }
        match self.patience() {
            Some(patience) => {
                write!(out, "{}: held for at most {} s", self.node, patience.as_secs())?
            }
            None => write!(out, "{}: runs on, and a snapshot is read", self.node)?,
        }
        for (at, step) in self.steps.iter().enumerate() {
            write!(out, "\n {}. {step}", at + 1)?;
        }
        if let Some((live, snapshot)) = self.mapping.as_ref().map(Mapping::folders) {
            write!(out, "\n {} is read as {}", live.display(), snapshot.display())?;
        }
        Ok(())
    }
}
