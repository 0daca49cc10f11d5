//! `nodekeep snapshot delete`.

use clap::Args;
use nodekeep_repo::collect::CollectOptions;
use nodekeep_repo::repository::SnapshotRecord;
use serde_json::json;

use super::list::paths_text;
use super::prune::{collection_document, collection_text};
use super::reference_help;
use crate::error::Result;
use crate::progress::Progress;
use crate::prompt;
use crate::refs;
use crate::render;
use crate::session::{App, Need};

/// Delete snapshots, and give back the space that only they needed
#[derive(Debug, Args)]
#[command(after_help = reference_help!("owner.", "\
Examples:
  nodekeep snapshot delete 4f2a91c0 --dry-run
  nodekeep snapshot delete 4f2a91c0 7b01 --yes

Also spelled: backup delete."))]
pub struct Delete {
    /// Which snapshots
    #[arg(required = true, value_name = "SNAPSHOT")]
    snapshots: Vec<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Say what would go, and how much space it gives back
    #[arg(long)]
    dry_run: bool,
}

impl Delete {
    pub fn run(&self, app: &App) -> Result<()> {
        let references =
            self.snapshots.iter().map(|text| refs::parse(text)).collect::<Result<Vec<_>>>()?;
        let opened = app.open(Need::Own)?;
        let repository = &opened.repository;
        let (known, _) = repository.snapshots_in(&repository.view()?)?;
        let mut doomed: Vec<SnapshotRecord> = Vec::new();
        for reference in &references {
            let record = refs::find(reference, &known, opened.location())?.record;
            if !doomed.iter().any(|other| other.id == record.id) {
                doomed.push(record);
            }
        }
        let ids: Vec<_> = doomed.iter().map(|record| record.id).collect();
        let hex: Vec<String> = ids.iter().map(|id| id.hex()).collect();
        let options = CollectOptions::default();
        app.output.say(lines(&doomed))?;
        if self.dry_run {
            let plan = repository.plan_collection(&ids, &options)?;
            app.output.say(format!("Would give back {}.", render::size(plan.bytes_freed)))?;
            return app.output.document(
                &json!({ "dry_run": true, "deleted": hex, "bytes_freed": plan.bytes_freed }),
            );
        }
        let what =
            format!("{} will be deleted for good", render::counted(ids.len() as u64, "snapshot"));
        prompt::confirm(&app.output, self.yes, "deleting snapshots", &what)?;
        let progress = Progress::start(&app.output, "Deleting");
        let report = repository.collect(&ids, &options, &progress)?;
        progress.close();
        opened.pin()?;
        app.output.say(format!("Deleted {}.", render::counted(ids.len() as u64, "snapshot")))?;
        app.output.say(collection_text(&report))?;
        app.output.document(&json!({
            "dry_run": false,
            "deleted": hex,
            "collection": collection_document(&report),
        }))
    }
}

fn lines(records: &[SnapshotRecord]) -> String {
    let line = |record: &SnapshotRecord| {
        let time = render::date_time(record.snapshot.started_ms);
        format!("  {}  {time}  {}", record.id.short(), paths_text(record))
    };
    records.iter().map(line).collect::<Vec<_>>().join("\n")
}
