//! `nodekeep snapshot prune`.

use crate::target::snapshots;
use clap::Args;
use jiff::tz::TimeZone;
use nodekeep_repo::collect::{CollectOptions, CollectionReport, Postponed};
use nodekeep_repo::id::SnapshotId;
use nodekeep_repo::repository::SnapshotRecord;
use nodekeep_repo::retention::{Dated, Decision, Group, Policy, decide};
use nodekeep_service::find;
use serde_json::{Value, json};

use super::list::paths_text;
use crate::commands::backup::parse_tag;
use crate::commands::keep::KeepArgs;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::refs;
use crate::render::{self, Table, time};
use crate::session::{App, Need};

/// Delete old snapshots by rules, and give back their space
#[derive(Debug, Args)]
#[command(
    before_help = "Rules apply to each machine and set of paths by itself. A snapshot stays if any rule keeps it, and the newest of each always stays."
)]
#[command(after_help = "\
Role: owner.

It asks nothing: the rules are the decision. See what they mean with --dry-run first.

Examples:
  nodekeep snapshot prune --keep-last 7 --keep-weekly 4 --keep-monthly 12 --dry-run
  nodekeep snapshot prune --older-than 90d
  nodekeep snapshot prune --node guts --keep-daily 14
  nodekeep snapshot prune --keep-within 30d --keep-tag release=1.2

Also spelled: backup prune.")]
pub struct Prune {
    #[command(flatten)]
    keep: KeepArgs,
    /// Keep what was made within this span before the newest: 30d, 12h, 2w, 1y
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    keep_within: Option<u64>,
    /// Delete only what is older than this: 30d, 12h, 2w, 1y
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    older_than: Option<u64>,
    /// Keep what has this tag
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_tag)]
    keep_tag: Vec<(String, String)>,
    /// Only snapshots of this node
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// Leave at most this percentage of the repository unused; less means more rewriting
    #[arg(long, value_name = "PERCENT", default_value_t = 5, value_parser = clap::value_parser!(u8).range(0..=100))]
    max_unused: u8,
    /// Say what would go and why the rest stays
    #[arg(long)]
    dry_run: bool,
}

/// Reads `30d`, `12h`, `2w`, `6m` (months) or `1y` as seconds.
pub fn parse_span(text: &str) -> Result<u64, String> {
    let bad = || "a span is a number and h, d, w, m (months) or y: 30d".to_owned();
    let unit = text.chars().last().ok_or_else(bad)?;
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| bad())?;
    let day = 24 * 3600;
    let seconds = match unit {
        'h' => 3600,
        'd' => day,
        'w' => 7 * day,
        'm' => 30 * day,
        'y' => 365 * day,
        _ => return Err(bad()),
    };
    number.checked_mul(seconds).ok_or_else(bad)
}

impl Prune {
    pub fn run(&self, app: &App) -> Result<()> {
        let policy = self.policy();
        if policy.is_empty() {
            return Err(Error::NoPolicy);
        }
        let opened = app.open(Need::Own)?;
        let repository = &opened.repository;
        let mut records = snapshots(repository)?;
        records
            .retain(|record| self.node.is_none() || find::node_of(record) == self.node.as_deref());
        let now = time::now_ms() / 1000;
        let decisions = decide(
            &records.iter().map(dated).collect::<Vec<_>>(),
            &policy,
            now,
            &TimeZone::system(),
        );
        let doomed: Vec<SnapshotId> = decisions
            .iter()
            .filter(|(_, decision)| *decision == Decision::Remove)
            .map(|(id, _)| *id)
            .collect();
        app.output.say(plan_text(&records, &decisions))?;
        let options =
            CollectOptions { max_unused_percent: self.max_unused, ..CollectOptions::default() };
        if self.dry_run {
            let plan = repository.plan_collection(&doomed, &options)?;
            app.output.say(format!(
                "\nWould delete {} and give back {}.",
                render::counted(doomed.len() as u64, "snapshot"),
                render::size(plan.bytes_freed)
            ))?;
            let freed =
                json!({ "bytes_freed": plan.bytes_freed, "bytes_rewritten": plan.bytes_rewritten });
            return app.output.document(&document(&decisions, true, freed));
        }
        let progress = Progress::start(&app.output, "Pruning");
        let report = repository.collect(&doomed, &options, &progress)?;
        progress.close();
        opened.pin()?;
        app.output
            .say(format!("\nDeleted {}.", render::counted(doomed.len() as u64, "snapshot")))?;
        app.output.say(collection_text(&report))?;
        app.output.document(&document(&decisions, false, collection_document(&report)))
    }

    fn policy(&self) -> Policy {
        Policy {
            within: self.keep_within,
            older_than: self.older_than,
            tags: self.keep_tag.clone(),
            ..self.keep.keep().policy()
        }
    }
}

fn dated(record: &SnapshotRecord) -> Dated {
    let paths = refs::roots(record).into_iter().map(<[u8]>::to_vec).collect();
    Dated {
        id: record.id,
        group: Group { writer: record.stamp.writer, paths },
        sequence: record.stamp.sequence,
        at: record.snapshot.started_ms / 1000,
        tags: record.snapshot.tags.clone(),
    }
}

fn reasons(decision: &Decision) -> Vec<String> {
    match decision {
        Decision::Keep(reasons) => reasons.iter().map(ToString::to_string).collect(),
        Decision::Remove => Vec::new(),
    }
}

fn plan_text(records: &[SnapshotRecord], decisions: &[(SnapshotId, Decision)]) -> String {
    let mut table = Table::new(&["", "id", "time", "paths", "because"]);
    for (record, (_, decision)) in records.iter().zip(decisions) {
        let word = if *decision == Decision::Remove { "delete" } else { "keep" };
        table.row([
            word.to_owned(),
            record.id.short(),
            render::date_time(record.snapshot.started_ms),
            paths_text(record),
            reasons(decision).join(", "),
        ]);
    }
    table.text()
}

/// What a collection gave back, or why it did not.
pub fn collection_text(report: &CollectionReport) -> String {
    let mut lines = Vec::new();
    match report.postponed {
        Some(Postponed::Sessions(n)) => lines.push(format!(
            "The space is given back later: {} may still use it. Prune again when it is over.",
            render::counted(n, "running backup")
        )),
        Some(Postponed::Collection(_)) => {
            lines.push("The space is given back by another prune, which runs now.".to_owned());
        }
        None => lines.push(format!("Gave back {}.", render::size(report.plan.bytes_freed))),
    }
    if report.sessions_ended > 0 {
        lines.push(format!(
            "Ended {} that had died.",
            render::counted(report.sessions_ended, "backup run")
        ));
    }
    for pack in &report.packs_damaged {
        lines.push(format!("Damaged, and left as it is: {pack}"));
    }
    lines.join("\n")
}

/// A collection as JSON.
pub fn collection_document(report: &CollectionReport) -> Value {
    json!({
        "bytes_freed": if report.postponed.is_some() { 0 } else { report.plan.bytes_freed },
        "bytes_rewritten": report.plan.bytes_rewritten,
        "postponed": report.postponed.is_some(),
        "sessions_ended": report.sessions_ended,
        "packs_damaged": report.packs_damaged,
    })
}

fn document(decisions: &[(SnapshotId, Decision)], dry_run: bool, collection: Value) -> Value {
    let decision = |(id, decision): &(SnapshotId, Decision)| json!({ "id": id.hex(), "keep": *decision != Decision::Remove, "reasons": reasons(decision) });
    json!({
        "dry_run": dry_run,
        "snapshots": decisions.iter().map(decision).collect::<Vec<_>>(),
        "collection": collection,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_numbers_with_a_unit() {
        assert_eq!(parse_span("12h"), Ok(43_200));
        assert_eq!(parse_span("2w"), Ok(1_209_600));
        for bad in ["", "d", "30", "30 d", "-1d", "1µ"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }
}
