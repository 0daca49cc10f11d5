//! `nodekeep repo repair`.

use std::path::PathBuf;

use clap::Args;
use nodekeep_repo::repair::{Donor, Healed, RepairOptions, RepairReport};
use nodekeep_repo::repository::Repository;
use nodekeep_store::Store;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::exit;
use crate::progress::Progress;
use crate::render;
use crate::session::{App, Need};

/// Rebuild what can be rebuilt, bring back what is lost, and say what is not
#[derive(Debug, Args)]
#[command(
    before_help = "The index is rebuilt from the packs. With --from and --from-source, what is missing or damaged is brought back from a mirror, from another repository with the same files, or from the files themselves, and proven by its hashes. Packs that are missing or cut short, and those that a scrub found, are known; --data reads every pack first to find the others.\n\nNothing that can still be read is touched: what is whole in a damaged pack moves to a new one. What stays lost is named with the files that it hits; the next backup with --reread stores it again where the files still exist."
)]
#[command(after_help = "\
Role: owner; to heal content, of a kind that reads it. A repository given with --from: reader or owner.

Exit code 4: something is lost.

Examples:
  nodekeep repo repair
  nodekeep repo repair --data --from s3://offsite/mirror
  nodekeep repo repair --from /mnt/disk/copy --from-source
  nodekeep repo repair --from-source /srv/restored")]
pub struct Repair {
    /// Read every pack first, to find those that are damaged
    #[arg(long)]
    data: bool,
    /// A mirror of the repository, or another one with the same files; may be given again
    #[arg(long, value_name = "REPO")]
    from: Vec<String>,
    /// Read the files again: where they were backed up from, or in these folders
    #[arg(long, value_name = "PATH", num_args = 0..)]
    from_source: Option<Vec<PathBuf>>,
}

/// A repository to heal from.
enum Other {
    Mirror(Store),
    Repository(Box<Repository>),
}

impl Repair {
    pub fn run(&self, app: &App) -> Result<()> {
        let opened = app.open(Need::Own)?;
        let others = self.others(app, &opened.repository)?;
        let options = RepairOptions { read_all: self.data, donors: self.donors(&others)? };
        let progress = Progress::start(&app.output, "Repairing");
        let report = opened.repository.repair_with(&options, &progress)?;
        progress.close();
        opened.pin()?;
        app.output.say(text(&report))?;
        app.output.document(&document(&report))?;
        if report.lost.is_empty() {
            return Ok(());
        }
        app.output.alert(crate::commands::check::problems_text(&report.lost));
        app.output.alert(self.advice());
        Err(Error::Exit(exit::Class::Damaged.exit_code()))
    }

    fn others(&self, app: &App, repository: &Repository) -> Result<Vec<Other>> {
        let open = |place: &String| {
            let there = app.elsewhere(place);
            let store = there.store()?;
            if Repository::config_of(&store)?.id == repository.id() {
                return Ok(Other::Mirror(store));
            }
            Ok(Other::Repository(Box::new(there.open(Need::Read)?.repository)))
        };
        self.from.iter().map(open).collect()
    }

    /// Mirrors first, for they give back the very ciphertext; the files last, for they may have changed.
    fn donors<'o>(&self, others: &'o [Other]) -> Result<Vec<Donor<'o>>> {
        let mirrors = others.iter().filter_map(|other| match other {
            Other::Mirror(store) => Some(Donor::Mirror(store.clone())),
            Other::Repository(_) => None,
        });
        let copies = others.iter().filter_map(|other| match other {
            Other::Mirror(_) => None,
            Other::Repository(repository) => Some(Donor::Copy(repository)),
        });
        let mut donors: Vec<Donor<'o>> = mirrors.chain(copies).collect();
        if let Some(folders) = &self.from_source {
            let absolute = |path: &PathBuf| {
                path.canonicalize().map_err(|_| Error::NoSource { path: path.clone() })
            };
            donors.push(Donor::Files(folders.iter().map(absolute).collect::<Result<_>>()?));
        }
        Ok(donors)
    }

    fn advice(&self) -> &'static str {
        if self.from.is_empty() {
            "\nWhere there is a mirror or a copy, heal it from there: nodekeep repo repair --data --from REPO\nWhere the files still exist: nodekeep repo repair --from-source, or store them again: nodekeep backup PATH --reread"
        } else {
            "\nWhere the files still exist, store them again: nodekeep backup PATH --reread"
        }
    }
}

fn document(report: &RepairReport) -> Value {
    let problem = |problem: &nodekeep_repo::check::Problem| {
        json!({
            "object": problem.object,
            "message": problem.what,
            "snapshots": problem.snapshots.iter().map(|id| id.hex()).collect::<Vec<_>>(),
            "paths": problem.paths.iter().map(|path| render::json::path(path)).collect::<Vec<_>>(),
        })
    };
    let healed = |healed: &Healed| json!({ "from": healed.from, "chunks": healed.chunks, "bytes": healed.bytes });
    json!({
        "repaired": report.checkpoint.is_some(),
        "segments_lost": report.segments_lost,
        "control_lost": report.control_lost,
        "packs_recovered": report.packs_recovered,
        "packs_unreadable": report.packs_unreadable,
        "packs_dropped": report.packs_dropped,
        "packs_damaged": report.packs_damaged,
        "chunks_rescued": report.chunks_rescued,
        "healed": report.healed.iter().map(healed).collect::<Vec<_>>(),
        "lost": report.lost.iter().map(problem).collect::<Vec<_>>(),
    })
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
    let rescued = match report.chunks_rescued {
        0 => String::new(),
        n => format!("\n  {} of damaged packs were whole, and moved", render::counted(n, "chunk")),
    };
    let healed = |healed: &Healed| {
        format!(
            "\n  {} ({}) brought back from {}",
            render::counted(healed.chunks, "chunk"),
            render::size(healed.bytes),
            healed.from
        )
    };
    format!(
        "Repaired.{found}{}{}{}{}{}{rescued}{}",
        list("lost index segment", &report.segments_lost),
        list("lost control object", &report.control_lost),
        list("unreadable pack", &report.packs_unreadable),
        list("missing pack", &report.packs_dropped),
        list("damaged pack", &report.packs_damaged),
        report.healed.iter().map(healed).collect::<String>(),
    )
}
