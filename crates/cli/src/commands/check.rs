//! `nodekeep check`.

mod node;

use std::path::PathBuf;

use clap::Args;
use nodekeep_repo::check::{CheckOptions, CheckReport, Problem};
use nodekeep_repo::id::SnapshotId;
use nodekeep_repo::repository::Repository;
use nodekeep_service::find::NodeSnapshot;
use serde_json::{Value, json};

use super::snapshot::reference_help;
use crate::error::{Error, Result};
use crate::exit;
use crate::portable;
use crate::progress::Progress;
use crate::refs::{self, Reference};
use crate::render;
use crate::session::{App, Need};
use crate::target::{self, Target};

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
  nodekeep check guts@latest --node
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
    /// Of a node's snapshot: restore it into a sandbox and check it there by the node's own rules
    #[arg(long, requires = "snapshot", conflicts_with_all = ["data", "data_dir"])]
    node: bool,
    /// Of a node: check this component where it is in use, instead of the repository: chunks and applets of an Axon
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        requires = "snapshot",
        conflicts_with = "data_dir"
    )]
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
            return node::folder(app, name, folder);
        }
        if let (false, Some(name)) = (self.component.is_empty(), &self.snapshot) {
            return node::live(app, name, &self.component);
        }
        let target = self.target(app)?;
        let of_node = target.as_ref().and_then(|target| NodeSnapshot::of(&target.record));
        if let (true, Some(target)) = (self.node, &target) {
            return node::rehearse(app, target);
        }
        let (repository, snapshot) = match target {
            Some(target) => (target.repository, Some(target.record.id)),
            None => self.whole(app)?,
        };
        let options = CheckOptions { data: self.data, snapshot, threads: app.settings.threads };
        let progress = Progress::start(&app.output, "Checking");
        let report = repository.check(&options, &progress)?;
        let elapsed = progress.elapsed();
        progress.close();
        app.output.say(self.text(&repository, &report, elapsed))?;
        if let Some(of_node) = of_node.transpose()? {
            app.output.say(format!("\n{}", node::told(&of_node)))?;
        }
        app.output.document(&self.document(&repository, &report))?;
        if report.problems.is_empty() {
            return Ok(());
        }
        app.output.alert(problems_text(&report.problems));
        app.output.alert("\nRebuild what can be rebuilt: nodekeep repo repair");
        Err(Error::Exit(exit::Class::Damaged.exit_code()))
    }

    /// The snapshot that is meant, if one is; a file is checked whole, unless the node in it is asked for.
    fn target(&self, app: &App) -> Result<Option<Target>> {
        let Some(text) = &self.snapshot else { return Ok(None) };
        let is_file = matches!(refs::parse(text)?, Reference::File(_));
        let wanted = self.node || !is_file;
        wanted.then(|| target::open(app, text, &self.base)).transpose()
    }

    /// All of the repository, or of a file.
    fn whole(&self, app: &App) -> Result<(Repository, Option<SnapshotId>)> {
        let file = self.snapshot.as_deref().map(refs::parse).transpose()?;
        match file {
            Some(Reference::File(path)) => Ok((portable::open(app, &path, &self.base)?, None)),
            _ => Ok((app.open(Need::Read)?.repository, None)),
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
