//! `nodekeep snapshot list`.

use nodekeep_service::find::{is_record, node_of};
use std::path::PathBuf;

use clap::Args;
use nodekeep_repo::error::Error as Engine;
use nodekeep_repo::repository::SnapshotRecord;
use nodekeep_repo::view::View;
use serde_json::{Value, json};

use crate::commands::backup::parse_tag;
use crate::error::{Error, Result};
use crate::exit;
use crate::refs;
use crate::render::{self, Table};
use crate::session::{App, Need, warn_of_lost};

/// List snapshots
#[derive(Debug, Args)]
#[command(after_help = "\
Role: reader, collector or owner.

`size` is what a restore writes; `new` is what the snapshot added to the repository.

Examples:
  nodekeep snapshot list
  nodekeep snapshot list ./notes --last 5
  nodekeep snapshot list --tag release=1.2 --json

Also spelled: backup list.")]
pub struct List {
    /// Only snapshots of these paths
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only snapshots of this machine
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Only snapshots with this tag
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_tag)]
    tag: Vec<(String, String)>,
    /// Only the newest N of each group
    #[arg(long, value_name = "N")]
    last: Option<usize>,
}

impl List {
    pub fn run(&self, app: &App) -> Result<()> {
        let opened = app.open(Need::Read)?;
        let view = opened.repository.view()?;
        warn_of_lost(app, &opened, &view)?;
        let repository = opened.repository;
        let (mut records, mut problems) = repository.snapshots_in(&view)?;
        problems.extend(hidden_by_damage(view));
        let wanted: Vec<Vec<u8>> = self.paths.iter().map(|path| refs::resolved(path)).collect();
        records.retain(|record| !is_record(record) && self.matches(record, &wanted));
        let groups = self.newest(group(records));
        match groups.is_empty() {
            true => {
                app.output.say(format!("No snapshots in {}.", repository.store().location()))?
            }
            false => app.output.answer(tables(&groups))?,
        }
        let snapshots: Vec<Value> = groups.iter().flatten().map(document).collect();
        let unreadable: Vec<Value> =
            problems.iter().map(|(name, why)| problem(name, why)).collect();
        app.output.document(&json!({ "snapshots": snapshots, "problems": unreadable }))?;
        for (_, why) in &problems {
            app.output.alert(format!("Damaged: {why}"));
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Error::Exit(exit::Class::Damaged.exit_code()))
        }
    }

    fn matches(&self, record: &SnapshotRecord, paths: &[Vec<u8>]) -> bool {
        let snapshot = &record.snapshot;
        let roots = refs::roots(record);
        self.host.as_ref().is_none_or(|host| snapshot.host == *host)
            && self.tag.iter().all(|tag| snapshot.tags.contains(tag))
            && (paths.is_empty() || paths.iter().any(|path| roots.contains(&path.as_slice())))
    }

    fn newest(&self, mut groups: Vec<Vec<SnapshotRecord>>) -> Vec<Vec<SnapshotRecord>> {
        if let Some(last) = self.last {
            for group in &mut groups {
                group.drain(..group.len().saturating_sub(last));
            }
        }
        groups
    }
}

/// Damaged objects behind which snapshots may be hidden: the list must not just be shorter.
fn hidden_by_damage(view: View) -> impl Iterator<Item = (String, Engine)> {
    let hides = |name: &str| {
        name.starts_with("c/") || name.ends_with(".outcome") || name.ends_with(".deleted")
    };
    let bad = view.problems.into_iter().filter(move |bad| hides(&bad.object));
    bad.map(|bad| (bad.object.clone(), Engine::damaged(bad.object, bad.damage)))
}

fn problem(name: &str, why: &nodekeep_repo::error::Error) -> Value {
    json!({ "object": name, "message": why.to_string() })
}

/// Snapshots of the same paths on the same machine, each group oldest first.
pub fn group(records: Vec<SnapshotRecord>) -> Vec<Vec<SnapshotRecord>> {
    let mut groups: Vec<Vec<SnapshotRecord>> = Vec::new();
    for record in records {
        let same = |group: &&mut Vec<SnapshotRecord>| {
            refs::roots(&group[0]) == refs::roots(&record)
                && group[0].snapshot.host == record.snapshot.host
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(record),
            None => groups.push(vec![record]),
        }
    }
    groups
}

fn tables(groups: &[Vec<SnapshotRecord>]) -> String {
    let mut table = Table::new(&["id", "time", "host", ">files", ">size", ">new", "paths"]);
    for record in groups.iter().flatten() {
        let snapshot = &record.snapshot;
        table.row([
            record.id.short(),
            render::date_time(snapshot.started_ms),
            render::path(snapshot.host.as_bytes()),
            render::count(snapshot.counts.files),
            render::size(snapshot.counts.bytes),
            render::size(snapshot.counts.bytes_added),
            paths_text(record),
        ]);
    }
    table.text()
}

/// The paths of a snapshot, after the node's name if it is of one, and a mark if something could not be read.
pub fn paths_text(record: &SnapshotRecord) -> String {
    let paths: Vec<String> = refs::roots(record).into_iter().map(render::path).collect();
    let mark = if record.snapshot.incomplete { "  (incomplete)" } else { "" };
    let node = node_of(record).map_or(String::new(), |name| format!("{name}: "));
    format!("{node}{}{mark}", paths.join(" "))
}

/// A snapshot as JSON.
pub fn document(record: &SnapshotRecord) -> Value {
    let snapshot = &record.snapshot;
    json!({
        "id": record.id.hex(),
        "started": render::json::time(snapshot.started_ms),
        "finished": render::json::time(snapshot.finished_ms),
        "host": snapshot.host,
        "user": snapshot.user,
        "program": snapshot.program,
        "writer": record.stamp.writer.hex(),
        "paths": refs::roots(record).into_iter().map(render::json::path).collect::<Vec<_>>(),
        "tags": render::json::tags(&snapshot.tags),
        "counts": render::json::counts(&snapshot.counts),
        "parent": snapshot.parent.map(|id| id.hex()),
        "incomplete": snapshot.incomplete,
    })
}
