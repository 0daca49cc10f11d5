//! `nodekeep repo sessions`.

use clap::Args;
use nodekeep_repo::collect::CollectOptions;
use nodekeep_repo::id::MemberId;
use nodekeep_repo::repository::Repository;
use nodekeep_repo::sessions::{OpenSession, Whereabouts};
use serde_json::{Value, json};

use crate::error::Result;
use crate::render::{self, Table, time};
use crate::session::{App, Need};

/// Show the backups that have begun and not ended
#[derive(Debug, Args)]
#[command(
    before_help = "A prune waits for them. One whose process is gone from this machine, or that has shown no sign of life for seven days by this machine's clock, is ended by the next prune."
)]
#[command(after_help = "\
Role: any.

Examples:
  nodekeep repo sessions
  nodekeep repo sessions --json")]
pub struct Sessions {}

impl Sessions {
    pub fn run(&self, app: &App) -> Result<()> {
        let opened = app.open(Need::Look)?;
        let repository = &opened.repository;
        let sessions = repository.open_sessions(&CollectOptions::default())?;
        opened.keep_sightings()?;
        if sessions.is_empty() {
            app.output.say(format!("No session is open in {}.", opened.location()))?;
        } else {
            app.output.answer(table(repository, &sessions).text())?;
            app.output
                .say("\nEnd one that will not end by itself: nodekeep repo stop-session ID")?;
        }
        let documents: Vec<Value> =
            sessions.iter().map(|session| document(repository, session)).collect();
        app.output.document(&json!({ "sessions": documents }))
    }
}

/// A writer's label, or its id where no key at hand opens it.
pub fn writer_name(repository: &Repository, writer: &MemberId) -> String {
    let member = repository.roster().member(writer);
    let label = member.and_then(|m| m.label(&repository.id(), repository.domain()));
    let label = label.filter(|label| !label.is_empty());
    render::path(label.unwrap_or_else(|| writer.hex()[..8].to_owned()).as_bytes())
}

fn table(repository: &Repository, sessions: &[OpenSession]) -> Table {
    let mut table = Table::new(&["session", "writer", ">number", "began", "progress", "where"]);
    let now = time::now_ms();
    for session in sessions {
        table.row([
            session.id.short(),
            writer_name(repository, &session.writer),
            session.sequence.to_string(),
            session.started_ms.map_or("not readable".to_owned(), |ms| render::ago(ms, now)),
            progress(session, now),
            place(session),
        ]);
    }
    table
}

/// The last sign of life, by this machine's clock.
fn progress(session: &OpenSession, now: i64) -> String {
    let seen =
        session.seen_ms.map_or(String::new(), |ms| format!(", since {}", render::ago(ms, now)));
    format!("{} objects{seen}", session.progress)
}

fn place(session: &OpenSession) -> String {
    let place = match session.whereabouts {
        Whereabouts::Here { pid, runs: true } => format!("this machine, process {pid}"),
        Whereabouts::Here { pid, runs: false } => format!("this machine, process {pid} is gone"),
        Whereabouts::Elsewhere => "another machine".to_owned(),
        Whereabouts::Unknown => "unknown".to_owned(),
    };
    if session.is_dead { format!("{place}; the next prune ends it") } else { place }
}

fn document(repository: &Repository, session: &OpenSession) -> Value {
    let (here, pid, runs) = match session.whereabouts {
        Whereabouts::Here { pid, runs } => (Some(true), Some(pid), Some(runs)),
        Whereabouts::Elsewhere => (Some(false), None, None),
        Whereabouts::Unknown => (None, None, None),
    };
    json!({
        "id": session.id.hex(),
        "writer": session.writer.hex(),
        "label": writer_name(repository, &session.writer),
        "sequence": session.sequence,
        "started": session.started_ms.map(render::json::time),
        "progress": session.progress,
        "progress_seen": session.seen_ms.map(render::json::time),
        "this_machine": here,
        "process": pid,
        "running": runs,
        "ends_with_next_prune": session.is_dead,
    })
}
