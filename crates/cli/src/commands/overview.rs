//! `nodekeep` alone: what lies here, what is safe, and three next steps.

use crate::target::snapshots;
use nodekeep_repo::error::Error as Engine;
use nodekeep_repo::repository::SnapshotRecord;
use serde_json::json;

use super::backup::repository_line;
use super::init::repo_option;
use crate::error::{Error, Result};
use crate::render;
use crate::session::{App, Need, Opened};

/// Looks around.
///
/// # Errors
/// If the repository is there and cannot be opened.
pub fn run(app: &App) -> Result<()> {
    match app.open(Need::Look) {
        Ok(opened) => known(app, &opened),
        Err(Error::Engine(Engine::NoRepository { location })) => nothing(app, &location),
        Err(error) => Err(error),
    }
}

fn nothing(app: &App, location: &str) -> Result<()> {
    let repo = repo_option(app, location);
    app.output.answer(format!(
        "Nodekeep keeps encrypted, deduplicated backups that open with 24 words.\n\n\
         There is no repository at {location} yet.\n\n\
         Next:\n  \
         nodekeep backup PATH             make one and back up, in one step\n  \
         nodekeep init --repo /mnt/disk   make one somewhere else, such as another disk\n  \
         nodekeep init --from-words{repo}       open one that you have, with its words\n\n\
         All commands: nodekeep --help"
    ))?;
    app.output.document(&json!({ "repository": null, "location": location }))
}

fn known(app: &App, opened: &Opened) -> Result<()> {
    let records = match opened.repository.capability().reads_trees {
        true => Some(snapshots(&opened.repository)?),
        false => None,
    };
    let pending = opened.keys.words_pending().is_some();
    let newest = records.as_ref().and_then(|records| records.last());
    app.output.answer(format!(
        "{}\n\nNext:\n{}\n\nAll commands: nodekeep --help",
        render::fields(&[
            ("repository", repository_line(opened)),
            (
                "snapshots",
                records.as_ref().map_or("not readable with the keys here".to_owned(), |r| held(r))
            ),
            ("words", if pending { "not confirmed yet" } else { "confirmed" }.to_owned()),
        ]),
        steps(app, opened, pending, records.is_some(), newest)
    ))?;
    app.output.document(&json!({
        "repository": { "location": opened.location(), "id": opened.repository.id().hex() },
        "location": opened.location(),
        "snapshots": records.as_ref().map(Vec::len),
        "newest": newest.map(|record| render::json::time(record.snapshot.started_ms)),
        "words_confirmed": !pending,
    }))
}

fn held(records: &[SnapshotRecord]) -> String {
    let Some(newest) = records.last() else {
        return "none yet".to_owned();
    };
    let age = render::ago(newest.snapshot.started_ms, render::time::now_ms());
    format!("{}, the newest {age}", render::count(records.len() as u64))
}

/// Three commands that make sense now.
fn steps(
    app: &App,
    opened: &Opened,
    pending: bool,
    reads: bool,
    newest: Option<&SnapshotRecord>,
) -> String {
    let mut steps = Vec::new();
    if pending {
        steps.push(("key words --confirm", "be sure that you have the recovery words"));
    }
    if newest.is_none() {
        steps.push(("backup PATH", "make a snapshot"));
    }
    if reads {
        steps.push(("status", "what is backed up, and how old it is"));
        steps.push(("check", "see that everything is there and intact"));
        steps.push(("restore latest --target DIR", "try it before you need it"));
    } else {
        steps.push(("init --from-words", "read here, with the recovery words"));
        steps.push(("status", "what can be said without reading"));
    }
    let repo = repo_option(app, opened.location());
    let shown: Vec<_> = steps
        .into_iter()
        .take(3)
        .map(|(command, why)| (format!("nodekeep {command}{repo}"), why))
        .collect();
    let width = shown.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    let lines = shown.iter().map(|(command, why)| format!("  {command:width$}   {why}"));
    lines.collect::<Vec<_>>().join("\n")
}
