//! What there is to restore, and what to type: for the day on which nothing is left but the program, the words and the emergency card.

use nodekeep_repo::repository::SnapshotRecord;
use nodekeep_service::find::{is_record, node_of};
use serde_json::json;

use super::init::repo_option;
use super::snapshot::{group, paths_text, snapshot_document};
use crate::error::{Error, Result};
use crate::render::{self, Table, shell};
use crate::session::{App, Need, Opened, warn_of_lost};

/// Lists the newest snapshot of each set of paths, with the commands that bring it back.
///
/// # Errors
/// If the repository does not open, or holds nothing.
pub fn list(app: &App) -> Result<()> {
    let opened = app.open(Need::Read)?;
    let view = opened.repository.view()?;
    warn_of_lost(app, &opened, &view)?;
    let (mut records, problems) = opened.repository.snapshots_in(&view)?;
    records.retain(|record| !is_record(record));
    for (object, error) in problems.iter().filter(|_| !app.output.json) {
        app.output.alert(format!("{object}: {error}"));
    }
    if records.is_empty() {
        return Err(Error::NoSnapshots { location: opened.location().to_owned() });
    }
    let groups = group(records);
    app.output.answer(format!(
        "{}\n\n{}\n\nBring one back:\n{}",
        heading(&opened),
        table(&groups).text(),
        commands(app, &opened, &groups)
    ))?;
    app.output.document(&json!({
        "repository": { "location": opened.location(), "id": opened.repository.id().hex() },
        "groups": groups.iter().filter_map(|group| Some(json!({
            "snapshots": group.len(), "newest": snapshot_document(group.last()?),
        }))).collect::<Vec<_>>(),
        "problems": problems.iter().map(|(object, error)| json!({
            "object": object, "message": error.to_string(),
        })).collect::<Vec<_>>(),
    }))
}

fn heading(opened: &Opened) -> String {
    format!("The repository at {} holds:", opened.location())
}

fn table(groups: &[Vec<SnapshotRecord>]) -> Table {
    let mut table =
        Table::new(&["newest", "age", ">snapshots", ">files", ">size", "host", "paths"]);
    let now = render::time::now_ms();
    for (newest, group) in groups.iter().filter_map(|group| Some((group.last()?, group))) {
        table.row([
            newest.id.short(),
            render::ago(newest.snapshot.started_ms, now),
            render::count(group.len() as u64),
            render::count(newest.snapshot.counts.files),
            render::size(newest.snapshot.counts.bytes),
            render::path(newest.snapshot.host.as_bytes()),
            paths_text(newest),
        ]);
    }
    table
}

fn commands(app: &App, opened: &Opened, groups: &[Vec<SnapshotRecord>]) -> String {
    let place = place(app, opened);
    let newest = groups.first().and_then(|group| group.last());
    // A node comes back by its name, with its service and its fence.
    let named =
        |record: &SnapshotRecord| node_of(record).map_or_else(|| record.id.short(), str::to_owned);
    let id = newest.map_or_else(|| "ID".to_owned(), named);
    let mut lines = vec![
        format!("  nodekeep restore {id} --target DIR{place}     into a folder of its own"),
        format!("  nodekeep restore {id}{place}     to where it was"),
        format!("  nodekeep snapshot list{place}     every snapshot"),
    ];
    if !opened.keys.identity().exists() {
        lines.push(format!(
            "  nodekeep init --from-words{place}     to be asked for the words this once, and back up from here"
        ));
    }
    lines.join("\n")
}

/// The options that find the repository again.
fn place(app: &App, opened: &Opened) -> String {
    let repo = repo_option(app, opened.location());
    match &app.settings.remote.endpoint {
        Some(endpoint) if !repo.is_empty() => format!("{repo} --s3-endpoint {}", shell(endpoint)),
        _ => repo,
    }
}
