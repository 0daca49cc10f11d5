//! `nodekeep repo scrub`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use nodekeep_repo::scrub::{Finding, ScrubOptions, ScrubReport, ScrubStatus};
use serde_json::{Value, json};

use crate::commands::snapshot::parse_span;
use crate::error::{Error, Result};
use crate::exit;
use crate::progress::Progress;
use crate::render::{self, time};
use crate::session::{App, Need, Opened};

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Share {
    /// What is due since the last run
    Now,
    /// Everything
    All,
}

/// Read a share of the repository, so that every byte is proven within a period
#[derive(Debug, Args)]
#[command(
    before_help = "Run it every day: each run reads what is due, new packs among it, and catches up on days that were missed. Packs are compared with their names, and control objects and the presence of every pack are checked each time. What was proven when is kept in the repository, so that any machine of the owner goes on from there. A mirror has a record of its own: nodekeep repo scrub --repo MIRROR."
)]
#[command(after_help = "\
Role: owner; with --status any.

Exit code 4: something is damaged; each object is named, and `nodekeep repo repair` knows it.

Examples:
  nodekeep repo scrub --every 30d
  nodekeep repo scrub --share all
  nodekeep repo scrub --status")]
pub struct Scrub {
    /// Every byte is proven within this time, at least a day: 30d, 2w, 6m [default: as before, 30d at first]
    #[arg(long, value_name = "PERIOD", value_parser = parse_period)]
    every: Option<u64>,
    /// How much to read
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Share::Now)]
    share: Share,
    /// Read nothing, and say how far every byte is proven
    #[arg(long, conflicts_with_all = ["every", "share"])]
    status: bool,
}

fn parse_period(text: &str) -> std::result::Result<u64, String> {
    match parse_span(text)? {
        seconds if seconds < 24 * 3600 => Err("a period is at least a day: 1d".to_owned()),
        seconds if seconds > 10 * 365 * 24 * 3600 => {
            Err("a period is at most ten years: 10y".to_owned())
        }
        seconds => Ok(seconds),
    }
}

impl Scrub {
    pub fn run(&self, app: &App) -> Result<()> {
        if self.status {
            return self.show(app);
        }
        // A mirror may be scrubbed, too, so that it is not asked whether it may be written to; only its owner may say what was read.
        let opened = app.open(Need::Read)?;
        let options = ScrubOptions {
            period_secs: self.every,
            all: self.share == Share::All,
            threads: app.settings.threads,
            now: None,
        };
        let progress = Progress::start(&app.output, "Scrubbing");
        let report = opened.repository.scrub(&options, &progress)?;
        let elapsed = progress.elapsed();
        progress.close();
        app.output.say(text(&opened, &report, elapsed))?;
        let mut document = document(&opened, &report.status);
        document["packs_read"] = report.packs_read.into();
        document["bytes_read"] = report.bytes_read.into();
        document["seconds"] = elapsed.as_secs_f64().into();
        app.output.document(&document)?;
        damaged(app, &report.status.findings)
    }

    fn show(&self, app: &App) -> Result<()> {
        let opened = app.open(Need::Look)?;
        let status = opened.repository.scrub_status()?;
        app.output.answer(render::fields(&fields(&opened, &status)))?;
        app.output.document(&document(&opened, &status))?;
        damaged(app, &status.findings)
    }
}

fn damaged(app: &App, findings: &[Finding]) -> Result<()> {
    const SHOWN: usize = 20;
    if findings.is_empty() {
        return Ok(());
    }
    let line = |found: &Finding| {
        format!(
            "\nDamaged: {}: {} (found {})",
            found.object,
            found.what,
            time::ago(found.when * 1000, time::now_ms())
        )
    };
    let lines: String = findings.iter().take(SHOWN).map(line).collect();
    app.output.alert(lines);
    if findings.len() > SHOWN {
        app.output.alert(format!("… and {} more (see --json)", findings.len() - SHOWN));
    }
    app.output.alert(
        "\nSee what is hit: nodekeep check --data\nBring it back from a mirror or copy: nodekeep repo repair --from REPO",
    );
    Err(Error::Exit(exit::Class::Damaged.exit_code()))
}

fn text(opened: &Opened, report: &ScrubReport, elapsed: Duration) -> String {
    let what = match (report.packs_read, report.status.findings.is_empty()) {
        (_, false) => "Something is damaged.".to_owned(),
        (0, true) => "Nothing is due.".to_owned(),
        (packs, true) => format!("{} are what their names say.", render::counted(packs, "pack")),
    };
    let mut fields = vec![(
        "read",
        match report.packs_read {
            0 => String::new(),
            packs => {
                format!("{} in {}", render::size(report.bytes_read), render::counted(packs, "pack"))
            }
        },
    )];
    fields.extend(self::fields(opened, &report.status));
    fields.push(("time", render::took(report.bytes_read, elapsed)));
    format!("{what}\n{}", render::fields(&fields))
}

/// How far every byte is proven, in one line.
pub fn proven_text(status: &ScrubStatus) -> String {
    let percent = |part: u64| (part * 100).checked_div(status.bytes).unwrap_or(100);
    match (status.last_run, status.proven_within_secs) {
        (None, _) => "never scrubbed".to_owned(),
        (Some(_), Some(secs)) => format!("every byte within {}", days(secs)),
        (Some(_), None) => format!(
            "{} of {} ({} %)",
            render::size(status.proven_bytes),
            render::size(status.bytes),
            percent(status.proven_bytes)
        ),
    }
}

/// Whole days, rounded up: `1 day`, `12 days`.
fn days(secs: u64) -> String {
    render::counted(secs.div_ceil(24 * 3600).max(1), "day")
}

fn fields(opened: &Opened, status: &ScrubStatus) -> Vec<(&'static str, String)> {
    let late = if status.late_bytes == 0 { String::new() } else { render::size(status.late_bytes) };
    let last = status.last_run.map(|secs| time::ago(secs * 1000, time::now_ms()));
    vec![
        ("repository", opened.location().to_owned()),
        ("proven", proven_text(status)),
        (
            "wanted",
            status.period_secs.map_or(String::new(), |secs| format!("every {}", days(secs))),
        ),
        ("late", late),
        ("last run", last.unwrap_or_default()),
        ("due now", render::size(status.due_bytes)),
    ]
}

fn document(opened: &Opened, status: &ScrubStatus) -> Value {
    let finding = |found: &Finding| {
        json!({
            "object": found.object,
            "message": found.what,
            "found": render::json::time(found.when * 1000),
        })
    };
    let mut document = due_document(status);
    document["location"] = opened.location().into();
    document["findings"] = status.findings.iter().map(finding).collect();
    document
}

/// How far every byte is proven, without what is damaged.
pub fn due_document(status: &ScrubStatus) -> Value {
    json!({
        "ok": status.findings.is_empty(),
        "every_seconds": status.period_secs,
        "last_run": status.last_run.map(|secs| render::json::time(secs * 1000)),
        "packs": status.packs,
        "bytes": status.bytes,
        "proven_bytes": status.proven_bytes,
        "proven_within_seconds": status.proven_within_secs,
        "late_bytes": status.late_bytes,
        "due_bytes": status.due_bytes,
    })
}
