//! `nodekeep check`.

use std::path::PathBuf;

use clap::Args;
use nodekeep_nodes::kind::Verified;
use nodekeep_nodes::kind::{Check as Seen, Outcome};
use nodekeep_repo::check::{CheckOptions, CheckReport, Problem};
use nodekeep_repo::id::SnapshotId;
use nodekeep_repo::repository::Repository;
use nodekeep_service::restore::{verify_live, verify_node};
use serde_json::{Value, json};

use super::snapshot::reference_help;
use crate::error::{Error, Result};
use crate::exit;
use crate::nodes;
use crate::progress::Progress;
use crate::refs::{self, Reference};
use crate::render;
use crate::session::{App, Need};
use crate::{portable, target};

/// Check that everything is there and intact
#[derive(Debug, Args)]
#[command(
    before_help = "Without --data it reads names and the index, and sees that every pack is there in full length. With --data it reads, decrypts and compares the content as well."
)]
#[command(after_help = reference_help!("reader, collector or owner.", "\
Exit code 4: something is damaged; each object is named, with the snapshots and files that it hits.

Examples:
  nodekeep check
  nodekeep check --data
  nodekeep check --data=10
  nodekeep check ./notes@latest --data
  nodekeep check backup.nkb --data
  nodekeep check guts --data-dir /tmp/guts-test
  nodekeep check board --component applets

Also spelled: verify, repo check, backup verify."))]
pub struct Check {
    /// Only what this snapshot needs, or a portable file
    snapshot: Option<String>,
    /// Read content too; with a number only so many percent, others each time
    #[arg(
        long,
        value_name = "PERCENT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "100",
        value_parser = clap::value_parser!(u8).range(1..=100)
    )]
    data: Option<u8>,
    /// Of a node: check the data in this folder by the rules of the node's kinds instead of the repository
    #[arg(long, value_name = "DIR", requires = "snapshot")]
    data_dir: Option<PathBuf>,
    /// Of a node: check this component where it is in use, instead of the repository: chunks and applets of an Axon
    #[arg(long, value_name = "NAME", requires = "snapshot", conflicts_with = "data_dir")]
    component: Vec<String>,
    #[arg(long, hide = true)]
    full: bool,
    /// Bases of an incremental or differential file, if they do not lie beside it
    #[arg(long, value_name = "FILE")]
    base: Vec<PathBuf>,
}

impl Check {
    pub fn run(&self, app: &App) -> Result<()> {
        if let (Some(folder), Some(name)) = (&self.data_dir, &self.snapshot) {
            return check_folder(app, name, folder);
        }
        if let (false, Some(name)) = (self.component.is_empty(), &self.snapshot) {
            let node = nodes::state(app).load(name)?;
            return tell_checked(app, name, None, verify_live(&node, &self.component)?);
        }
        let (repository, snapshot) = self.scope(app)?;
        let options = CheckOptions { data: self.data, snapshot, threads: app.settings.threads };
        let progress = Progress::start(&app.output, "Checking");
        let report = repository.check(&options, &progress)?;
        let elapsed = progress.elapsed();
        progress.close();
        app.output.say(self.text(&repository, &report, elapsed))?;
        app.output.document(&self.document(&repository, &report))?;
        if report.problems.is_empty() {
            return Ok(());
        }
        app.output.alert(problems_text(&report.problems));
        app.output.alert("\nRebuild what can be rebuilt: nodekeep repo repair");
        Err(Error::Exit(exit::Class::Damaged.exit_code()))
    }

    /// The repository or file, and the snapshot if only one is meant.
    fn scope(&self, app: &App) -> Result<(Repository, Option<SnapshotId>)> {
        let Some(text) = &self.snapshot else {
            return Ok((app.open(Need::Read)?.repository, None));
        };
        match refs::parse(text)? {
            Reference::File(path) => Ok((portable::open(app, &path, &self.base)?, None)),
            reference => {
                let target = target::find(app.open(Need::Read)?.repository, &reference)?;
                Ok((target.repository, Some(target.record.id)))
            }
        }
    }

    fn text(
        &self,
        repository: &Repository,
        report: &CheckReport,
        elapsed: std::time::Duration,
    ) -> String {
        let what = match (&self.snapshot, report.problems.is_empty()) {
            (Some(text), true) => format!("{text} is intact, as far as it was checked."),
            (None, true) => {
                format!("{} is intact, as far as it was checked.", repository.store().location())
            }
            (_, false) => "Something is damaged.".to_owned(),
        };
        let names = format!(
            "{}, {}, {}",
            render::counted(report.snapshots, "snapshot"),
            render::counted(report.trees, "tree"),
            render::counted(report.files, "file"),
        );
        let fields = render::fields(&[
            ("read", names),
            (
                "seen",
                format!(
                    "{}, {}",
                    render::counted(report.objects, "object"),
                    render::counted(report.packs, "pack")
                ),
            ),
            ("content", self.content(report)),
            ("time", render::duration(elapsed)),
        ]);
        let notes: Vec<String> =
            report.notes.iter().map(|note| format!("\nNote: {note}")).collect();
        format!("{what}\n{fields}{}", notes.concat())
    }

    fn content(&self, report: &CheckReport) -> String {
        match self.data {
            None => "not read; add --data to read it".to_owned(),
            Some(_) => format!(
                "{} in {} of {}",
                render::size(report.bytes_read),
                render::count(report.packs_read),
                render::counted(report.packs, "pack")
            ),
        }
    }

    fn document(&self, repository: &Repository, report: &CheckReport) -> Value {
        let problem = |problem: &Problem| {
            json!({
                "object": problem.object,
                "message": problem.what,
                "snapshots": problem.snapshots.iter().map(|id| id.hex()).collect::<Vec<_>>(),
                "paths": problem.paths.iter().map(|path| render::json::path(path)).collect::<Vec<_>>(),
            })
        };
        json!({
            "location": repository.store().location(),
            "ok": report.problems.is_empty(),
            "problems": report.problems.iter().map(problem).collect::<Vec<_>>(),
            "notes": report.notes,
            "data_percent": self.data.unwrap_or(0),
            "objects": report.objects,
            "packs": report.packs,
            "packs_read": report.packs_read,
            "chunks": report.chunks,
            "bytes_read": report.bytes_read,
            "snapshots": report.snapshots,
            "trees": report.trees,
            "files": report.files,
        })
    }
}

/// Data of a node that nobody uses, checked by the rules of its kinds.
fn check_folder(app: &App, name: &str, folder: &PathBuf) -> Result<()> {
    let node = nodes::state(app).load(name)?;
    let folder = std::path::absolute(folder).map_err(Error::file(folder, "find"))?;
    let mut paths = node.registration.paths.clone();
    if let Some(main) = node.profile.roots.first() {
        paths.insert(main.name.clone(), folder.clone());
    }
    tell_checked(app, name, Some(&folder), verify_node(&node.moved(paths))?)
}

/// Every check on a line. Of a node in use no folder is named.
fn tell_checked(
    app: &App,
    name: &str,
    folder: Option<&PathBuf>,
    checked: Vec<(String, Verified)>,
) -> Result<()> {
    let checks: Vec<(String, Seen)> = checked
        .into_iter()
        .flat_map(|(name, verified)| {
            verified.checks.into_iter().map(move |check| (name.clone(), check))
        })
        .collect();
    for (component, check) in &checks {
        app.output.answer(nodes::check_text(&format!("{component}: {}", check.name), check))?;
    }
    let is_sound = checks.iter().all(|(_, check)| check.outcome != Outcome::Failed);
    app.output.document(&json!({
        "node": name,
        "folder": folder,
        "sound": is_sound,
        "checks": checks.iter().map(|(component, check)| json!({
            "component": component, "name": check.name, "outcome": check.outcome, "detail": check.detail,
        })).collect::<Vec<_>>(),
    }))?;
    match is_sound {
        true => Ok(()),
        false => Err(Error::Exit(exit::Class::Damaged.exit_code())),
    }
}

/// Every problem with what it hits.
pub fn problems_text(problems: &[Problem]) -> String {
    let texts: Vec<String> = problems.iter().map(problem_text).collect();
    format!("\n{}", texts.join("\n"))
}

/// The object, what is wrong, and at most ten of the files that it hits.
fn problem_text(problem: &Problem) -> String {
    const SHOWN: usize = 10;
    let mut text = format!("Damaged: {}: {}", problem.object, problem.what);
    if !problem.snapshots.is_empty() {
        let ids: Vec<String> =
            problem.snapshots.iter().take(SHOWN).map(SnapshotId::short).collect();
        let more = if problem.snapshots.len() > SHOWN { " …" } else { "" };
        text.push_str(&format!(
            "\n  in {}: {}{more}",
            render::counted(problem.snapshots.len() as u64, "snapshot"),
            ids.join(" ")
        ));
    }
    for path in problem.paths.iter().take(SHOWN) {
        text.push_str(&format!("\n  hits {}", render::path(path)));
    }
    if problem.paths.len() > SHOWN {
        text.push_str(&format!("\n  … and {} more (see --json)", problem.paths.len() - SHOWN));
    }
    text
}
