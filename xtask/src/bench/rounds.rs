//! The rounds: every run takes every tool through every step, one step of all tools after the other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::corpus::{self, Corpus};
use super::measure::{self, Cost, Invocation};
use super::tools::{Bed, Tool};
use crate::error::Error;
use crate::place;

/// One thing that every tool is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The first backup of the corpus.
    First,
    /// A backup with nothing changed.
    Unchanged,
    /// A backup after one file grew, 20 were touched and 50 small ones came.
    Change,
    /// The newest snapshot into an empty folder.
    Restore,
    /// The repository's structure, without its data.
    Check,
    /// The repository with all of its data.
    Data,
    /// All snapshots but the newest are deleted and their space is freed.
    Prune,
}

impl Step {
    /// In the order of a run.
    pub const ALL: [Self; 7] = [
        Self::First,
        Self::Unchanged,
        Self::Change,
        Self::Restore,
        Self::Check,
        Self::Data,
        Self::Prune,
    ];

    /// The steps that a name on the command line stands for.
    pub fn named(name: &str) -> Option<Vec<Self>> {
        if name == "backup" {
            return Some(vec![Self::First, Self::Unchanged, Self::Change]);
        }
        let step = Self::ALL.into_iter().find(|step| step.name() == name)?;
        Some(vec![step])
    }

    /// Its name on the command line and in the snapshots of tools that name them.
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Unchanged => "unchanged",
            Self::Change => "change",
            Self::Restore => "restore",
            Self::Check => "check",
            Self::Data => "data",
            Self::Prune => "prune",
        }
    }

    /// Its column's title.
    pub fn title(self) -> &'static str {
        match self {
            Self::First => "first backup",
            Self::Unchanged => "unchanged",
            Self::Change => "small change",
            Self::Restore => "restore",
            Self::Check => "check",
            Self::Data => "check with data",
            Self::Prune => "prune to one",
        }
    }

    /// Whether it must run so that the wanted steps can, even if nobody wants its figures.
    fn is_needed(self, wanted: &[Self]) -> bool {
        let for_prune = self == Self::Change && wanted.contains(&Self::Prune);
        self == Self::First || for_prune || wanted.contains(&self)
    }
}

/// The figures of one tool.
#[derive(Debug, Default)]
pub struct Figures {
    /// Costs of each step, one for each run; a step that the tool does not have is absent.
    pub costs: BTreeMap<Step, Vec<Cost>>,
    /// Megabytes of the repository after the first backup, one for each run.
    pub repository_mb: Vec<f64>,
    /// What failed; the tool sits out the rest of that run.
    pub failures: Vec<String>,
}

/// A tool's name and its figures, in the order of the table.
pub type Results = Vec<(&'static str, Figures)>;

/// Runs everything.
pub fn run(
    dir: &Path,
    corpus: &Corpus,
    tools: &[Tool],
    wanted: &[Step],
    runs: usize,
) -> Result<Results, Error> {
    let mut results: Results = tools.iter().map(|tool| (tool.name(), Figures::default())).collect();
    let steps: Vec<_> = Step::ALL.into_iter().filter(|step| step.is_needed(wanted)).collect();
    for run in 0..runs {
        corpus.reset()?;
        corpus.warm()?;
        let mut seats = Vec::new();
        for (tool, (_, figures)) in tools.iter().zip(&mut results) {
            seats.push(Seat::take(dir, corpus, tool, figures)?);
        }
        // Each run begins with another tool.
        let first = run % seats.len();
        seats.rotate_left(first);
        for &step in &steps {
            if step == Step::Change {
                corpus.change()?;
            }
            settle()?;
            for seat in &mut seats {
                seat.go(step);
            }
        }
        for seat in seats {
            remove(&seat.bed.folder)?;
        }
        eprintln!("run {} of {runs} done", run + 1);
    }
    corpus.reset()?;
    Ok(results)
}

/// A tool in one run.
struct Seat<'a> {
    tool: &'a Tool,
    bed: Bed,
    figures: &'a mut Figures,
    failed: bool,
}

impl<'a> Seat<'a> {
    fn take(
        dir: &Path,
        corpus: &Corpus,
        tool: &'a Tool,
        figures: &'a mut Figures,
    ) -> Result<Self, Error> {
        let mut seat = Self { tool, bed: make_bed(dir, corpus, tool)?, figures, failed: false };
        let prepared = tool
            .prepare(&seat.bed)
            .iter()
            .try_for_each(|invocation| run_one(tool, &seat.bed, invocation).map(|_| ()));
        seat.note(prepared);
        Ok(seat)
    }

    fn go(&mut self, step: Step) {
        if !self.failed {
            let outcome = run_step(self.tool, &mut self.bed, step, self.figures);
            self.note(outcome);
        }
    }

    fn note(&mut self, outcome: Result<(), Error>) {
        if let Err(error) = outcome {
            eprintln!("{}: {error}", self.tool.name());
            self.figures.failures.push(error.to_string());
            self.failed = true;
        }
    }
}

fn make_bed(dir: &Path, corpus: &Corpus, tool: &Tool) -> Result<Bed, Error> {
    let folder = dir.join("beds").join(tool.file_name());
    remove(&folder)?;
    let log = folder.with_extension("log");
    if log.exists() {
        fs::remove_file(&log).map_err(Error::file(&log))?;
    }
    fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
    Ok(Bed { corpus: corpus.path.clone(), base: corpus.base, folder, newest: Step::First })
}

fn run_step(tool: &Tool, bed: &mut Bed, step: Step, figures: &mut Figures) -> Result<(), Error> {
    if step <= Step::Change && tool.has(step) {
        bed.newest = step;
    }
    let Some(invocations) = tool.step(step, bed) else {
        return Ok(());
    };
    fs::create_dir_all(bed.target()).map_err(Error::file(bed.target()))?;
    sync()?;
    let mut cost = Cost::NONE;
    for invocation in &invocations {
        cost = cost + run_one(tool, bed, invocation)?;
    }
    if step == Step::Restore {
        compare(tool, bed)?;
        remove(&bed.target())?;
    }
    if step == Step::First {
        let repository = corpus::measure_folder(&bed.repository())?;
        figures.repository_mb.push(repository.bytes as f64 / 1e6);
    }
    eprintln!("{:<18} {:<16} {:>7.2} s", tool.name(), step.title(), cost.wall_s);
    figures.costs.entry(step).or_default().push(cost);
    Ok(())
}

fn run_one(tool: &Tool, bed: &Bed, invocation: &Invocation) -> Result<Cost, Error> {
    let mut invocation = invocation.clone();
    invocation.environment.extend(tool.environment(bed));
    let logs = bed.folder.with_extension("log");
    measure::measure(&invocation, &logs)
}

/// A restore that lost something is no result. Tools without a second snapshot restore the first corpus.
fn compare(tool: &Tool, bed: &Bed) -> Result<(), Error> {
    let expected = match bed.newest {
        Step::Change => corpus::measure_folder(&bed.corpus)?,
        _ => bed.base,
    };
    let restored = corpus::measure_folder(&bed.target())?;
    if restored == expected {
        return Ok(());
    }
    Err(Error::Measurement {
        tool: tool.name().to_owned(),
        reason: format!("restored {restored:?} of {expected:?}"),
    })
}

/// Lets timestamps grow old enough for tools that distrust files changed just now.
fn settle() -> Result<(), Error> {
    sync()?;
    thread::sleep(Duration::from_millis(1_100));
    Ok(())
}

fn sync() -> Result<(), Error> {
    place::run(&mut Command::new("sync"))
}

fn remove(path: &PathBuf) -> Result<(), Error> {
    if path.exists() {
        fs::remove_dir_all(path).map_err(Error::file(path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_step_needs_runs_too() {
        let needed = |wanted: &[Step]| -> Vec<Step> {
            Step::ALL.into_iter().filter(|step| step.is_needed(wanted)).collect()
        };
        assert_eq!(needed(&[Step::Restore]), [Step::First, Step::Restore]);
        assert_eq!(needed(&[Step::Prune]), [Step::First, Step::Change, Step::Prune]);
    }
}
