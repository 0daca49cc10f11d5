//! `nodekeep repo audit`.

use clap::Args;
use nodekeep_repo::audit::{Alarm, AuditReport, AuditedSession, AuditedWriter, Standing};
use nodekeep_repo::repository::Repository;
use serde_json::{Value, json};

use super::sessions::writer_name;
use crate::error::{Error, Result};
use crate::exit;
use crate::home;
use crate::prompt;
use crate::render::{self, Table};
use crate::session::{App, Opened};

/// Show who wrote what, and find what was removed or rolled back
#[derive(Debug, Args)]
#[command(
    before_help = "Checks every signature, the sequence of each writer, the chains of rosters and checkpoints, and compares with what this machine has seen before. A snapshot that this machine saw, and that is gone without a record of its deletion, is named."
)]
#[command(after_help = "\
Role: any; a reader's or writer's key opens the labels.

Exit code 4: something was removed, rolled back or forged, or contradicts what this machine has seen.

A machine that looks for the first time has nothing to compare with: run it regularly, from a machine that no writer can reach.

Examples:
  nodekeep repo audit
  nodekeep repo audit --sessions --json
  nodekeep repo audit --accept")]
pub struct Audit {
    /// Every session with how it ended, also those without a snapshot
    #[arg(long)]
    sessions: bool,
    /// Take the present state as the new reference, once you know why it differs
    #[arg(long)]
    accept: bool,
    /// Do not ask before accepting
    #[arg(long)]
    yes: bool,
}

impl Audit {
    pub fn run(&self, app: &App) -> Result<()> {
        let (opened, pins, mut seen) = app.open_unpinned()?;
        let report = opened.repository.audit(&pins, &mut seen)?;
        app.output.answer(self.text(&opened.repository, &report))?;
        if !report.alarms.is_empty() && !app.output.json {
            app.output.alert(alarms_text(&report.alarms));
        }
        if self.accept {
            self.accept(app, &opened, &report, seen)?;
            return app.output.document(&self.document(&opened, &report));
        }
        app.output.document(&self.document(&opened, &report))?;
        if report.alarms.is_empty() {
            opened.pin()?;
            opened.remember(&opened.repository.view()?)?;
            return Ok(());
        }
        Err(Error::Exit(exit::Class::Damaged.exit_code()))
    }

    /// What is there now becomes what this machine has seen.
    fn accept(
        &self,
        app: &App,
        opened: &Opened,
        report: &AuditReport,
        mut seen: nodekeep_repo::audit::Seen,
    ) -> Result<()> {
        let what = format!(
            "This forgets what was seen before, and takes the present state as it is, with {}",
            render::counted(report.alarms.len() as u64, "alarm")
        );
        prompt::confirm(&app.output, self.yes, "accepting the present state", &what)?;
        for alarm in &report.alarms {
            match (alarm.snapshot, alarm.writer, alarm.sequence) {
                (Some(snapshot), ..) => _ = seen.snapshots.remove(&snapshot),
                (None, Some(writer), Some(sequence)) => {
                    _ = seen.accepted.insert((writer, sequence))
                }
                _ => {}
            }
        }
        home::replace(&opened.keys.seen(), &seen.to_text())?;
        home::replace(&opened.keys.pins(), &opened.repository.pins()?.to_text())?;
        app.output.say("Accepted: the present state is the reference from now on.")
    }

    fn text(&self, repository: &Repository, report: &AuditReport) -> String {
        let mut parts = vec![
            format!(
                "{} verified, roster {}, checkpoint {}.",
                render::counted(report.verified, "signed object"),
                report.roster,
                report.checkpoint
            ),
            writers_table(repository, &report.writers).text(),
        ];
        if self.sessions {
            parts.extend(report.writers.iter().filter_map(|w| sessions_text(repository, w)));
        }
        if !report.deletions.is_empty() {
            parts.push(deletions_text(repository, report));
        }
        if !report.notes.is_empty() {
            parts.push(format!("Worth knowing:\n{}", render::indent(&report.notes.join("\n"))));
        }
        if report.alarms.is_empty() {
            parts.push(
                "Nothing was removed or rolled back since this machine looked last.".to_owned(),
            );
        }
        parts.join("\n\n")
    }

    fn document(&self, opened: &Opened, report: &AuditReport) -> Value {
        let repository = &opened.repository;
        json!({
            "location": opened.location(),
            "ok": report.alarms.is_empty(),
            "accepted": self.accept,
            "verified": report.verified,
            "roster": report.roster,
            "checkpoint": report.checkpoint,
            "writers": report.writers.iter().map(|w| writer_document(repository, w)).collect::<Vec<_>>(),
            "deletions": report.deletions.iter().map(|deletion| json!({
                "snapshot": deletion.snapshot.hex(),
                "keeper": deletion.keeper.hex(),
                "label": writer_name(repository, &deletion.keeper),
                "time": render::json::time(deletion.when * 1000),
            })).collect::<Vec<_>>(),
            "alarms": report.alarms.iter().map(alarm_document).collect::<Vec<_>>(),
            "notes": report.notes,
        })
    }
}

fn alarms_text(alarms: &[Alarm]) -> String {
    let lines: Vec<&str> = alarms.iter().map(|alarm| alarm.message.as_str()).collect();
    format!("\nMust not be:\n{}", render::indent(&lines.join("\n")))
}

fn writers_table(repository: &Repository, writers: &[AuditedWriter]) -> Table {
    let mut table =
        Table::new(&["writer", "id", ">numbers", ">snapshots", ">packs", ">size", "state"]);
    for writer in writers {
        let (packs, bytes) = writer.packs.map_or(("?".to_owned(), "?".to_owned()), |(n, bytes)| {
            (render::count(n), render::size(bytes))
        });
        table.row([
            writer_name(repository, &writer.id),
            writer.id.hex()[..8].to_owned(),
            render::count(writer.head),
            render::count(writer.snapshots),
            packs,
            bytes,
            state(writer),
        ]);
    }
    table
}

fn state(writer: &AuditedWriter) -> String {
    match (writer.role, writer.removed_from) {
        (None, _) => "in no roster".to_owned(),
        (Some(_), Some(from)) => format!("removed from number {from} on"),
        (Some(role), None) => role.word().to_owned(),
    }
}

fn words(standing: Standing) -> &'static str {
    match standing {
        Standing::Live => "live",
        Standing::Deleted => "deleted",
        Standing::FencedByKeeper => "stopped by a keeper",
        Standing::GivenUp => "given up by its writer",
        Standing::Open => "open",
        Standing::NeverCommitted => "never committed",
        Standing::TooLate => "committed too late, begun again",
        Standing::Invalid => "not valid",
    }
}

fn sessions_text(repository: &Repository, writer: &AuditedWriter) -> Option<String> {
    if writer.head == 0 && writer.sessions.is_empty() {
        return None;
    }
    let mut table = Table::new(&[">number", "session", "began", "state"]);
    for session in &writer.sessions {
        let began = session.started_ms.map_or(String::new(), render::time::date_time);
        table.row([
            session.sequence.to_string(),
            session.id.short(),
            began,
            words(session.standing).to_owned(),
        ]);
    }
    let settled = match settled_without_trace(writer) {
        0 => String::new(),
        n => format!(
            "\n  {n} up to number {} left no object: deleted, stopped or never committed before the last checkpoint",
            writer.settled
        ),
    };
    let name = writer_name(repository, &writer.id);
    Some(format!("Sessions of {name}:\n{}{settled}", render::indent(&table.text())))
}

/// Numbers that the checkpoint has settled and of which nothing is left.
fn settled_without_trace(writer: &AuditedWriter) -> u64 {
    let mut known: Vec<u64> = writer.sessions.iter().map(|session| session.sequence).collect();
    known.retain(|sequence| (1..=writer.settled).contains(sequence));
    known.sort_unstable();
    known.dedup();
    writer.settled - known.len() as u64
}

fn deletions_text(repository: &Repository, report: &AuditReport) -> String {
    let mut table = Table::new(&["deleted snapshot", "when", "by"]);
    for deletion in &report.deletions {
        table.row([
            deletion.snapshot.short(),
            render::time::date_time(deletion.when * 1000),
            writer_name(repository, &deletion.keeper),
        ]);
    }
    table.text()
}

fn writer_document(repository: &Repository, writer: &AuditedWriter) -> Value {
    json!({
        "id": writer.id.hex(),
        "label": writer_name(repository, &writer.id),
        "role": writer.role.map(|role| role.word()),
        "removed_from": writer.removed_from,
        "head": writer.head,
        "settled": writer.settled,
        "settled_without_trace": settled_without_trace(writer),
        "snapshots": writer.snapshots,
        "packs": writer.packs.map(|(packs, _)| packs),
        "bytes": writer.packs.map(|(_, bytes)| bytes),
        "sessions": writer.sessions.iter().map(session_document).collect::<Vec<_>>(),
    })
}

fn session_document(session: &AuditedSession) -> Value {
    json!({
        "id": session.id.hex(),
        "sequence": session.sequence,
        "generation": session.generation,
        "started": session.started_ms.map(render::json::time),
        "state": session.standing.word(),
    })
}

fn alarm_document(alarm: &Alarm) -> Value {
    json!({
        "alarm": alarm.code,
        "message": alarm.message,
        "snapshot": alarm.snapshot.map(|id| id.hex()),
        "writer": alarm.writer.map(|id| id.hex()),
        "sequence": alarm.sequence,
    })
}
