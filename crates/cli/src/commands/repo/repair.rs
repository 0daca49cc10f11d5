//! `nodekeep repo repair`.

use clap::Args;
use nodekeep_repo::repair::RepairReport;
use serde_json::json;

use crate::error::{Error, Result};
use crate::exit;
use crate::progress::Progress;
use crate::render;
use crate::session::{App, Need};

/// Rebuild the index from the packs, and say what is lost
#[derive(Debug, Args)]
#[command(
    before_help = "Nothing that can still be read is touched. What is lost for good is named with the files that it hits; the next backup with --reread stores it again where the files still exist."
)]
#[command(after_help = "\
Role: owner.

Exit code 4: something is lost.

Example:
  nodekeep repo repair")]
pub struct Repair {}

impl Repair {
    pub fn run(&self, app: &App) -> Result<()> {
        let opened = app.open(Need::Own)?;
        let progress = Progress::start(&app.output, "Repairing");
        let report = opened.repository.repair(&progress)?;
        progress.close();
        opened.pin()?;
        app.output.say(text(&report))?;
        let problem = |problem: &nodekeep_repo::check::Problem| {
            json!({
                "object": problem.object,
                "message": problem.what,
                "snapshots": problem.snapshots.iter().map(|id| id.hex()).collect::<Vec<_>>(),
                "paths": problem.paths.iter().map(|path| render::json::path(path)).collect::<Vec<_>>(),
            })
        };
        app.output.document(&json!({
            "repaired": report.checkpoint.is_some(),
            "segments_lost": report.segments_lost,
            "control_lost": report.control_lost,
            "packs_recovered": report.packs_recovered,
            "packs_unreadable": report.packs_unreadable,
            "packs_dropped": report.packs_dropped,
            "lost": report.lost.iter().map(problem).collect::<Vec<_>>(),
        }))?;
        if report.lost.is_empty() {
            return Ok(());
        }
        app.output.alert(crate::commands::check::problems_text(&report.lost));
        app.output
            .alert("Where the files still exist, store them again: nodekeep backup PATH --reread");
        Err(Error::Exit(exit::Class::Damaged.exit_code()))
    }
}

fn text(report: &RepairReport) -> String {
    if report.checkpoint.is_none() {
        return "Nothing to repair.".to_owned();
    }
    let list = |what: &str, names: &[String]| match names.len() {
        0 => String::new(),
        n => format!("\n  {}:\n    {}", render::counted(n as u64, what), names.join("\n    ")),
    };
    let found = match report.packs_recovered {
        0 => String::new(),
        n => format!("\n  {} found again", render::counted(n, "pack")),
    };
    format!(
        "Repaired.{found}{}{}{}{}",
        list("lost index segment", &report.segments_lost),
        list("lost control object", &report.control_lost),
        list("unreadable pack", &report.packs_unreadable),
        list("missing pack", &report.packs_dropped),
    )
}
