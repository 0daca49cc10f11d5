//! `nodekeep repo copy`.

use clap::Args;
use nodekeep_repo::copy::{Copied, CopyOptions, CopyReport};
use nodekeep_repo::id::SnapshotId;
use serde_json::{Value, json};

use crate::copies::{CopyRecord, record_copy};
use crate::error::{Error, Result};
use crate::exit;
use crate::progress::Progress;
use crate::refs;
use crate::render;
use crate::session::{App, Need, Opened};

/// Copy snapshots into another repository
#[derive(Debug, Args)]
#[command(
    before_help = "Every snapshot that DST lacks becomes a snapshot there, sealed to DST's own keys, with its times, tags, host and user. Only what DST lacks is stored; a copy that was interrupted goes on where it was. Whatever is read is compared with its hashes, and every pack that was written is read back before the snapshot counts.\n\nDST must exist: nodekeep init --repo DST. Both repositories' keys are looked for where this machine keeps them; NODEKEEP_WORDS opens one whose keys are not here."
)]
#[command(after_help = "\
Role: reader or owner of SRC; writer and reader, or owner, of DST.

Exit code 4: something in SRC is damaged; the snapshots that are hit are named, and the others are copied.

Examples:
  nodekeep repo copy /srv/backup s3://offsite/backup
  nodekeep repo copy --to /mnt/disk/backup              (the repository in use)
  nodekeep repo copy /srv/backup /mnt/disk/backup latest 4f2a")]
pub struct Copy {
    /// SRC, unless --from or --to names it; DST, unless --to names it; and then snapshots of SRC [default: all]
    #[arg(value_name = "SRC DST [SNAPSHOT]")]
    words: Vec<String>,
    /// The repository to copy from [default with --to: the one in use]
    #[arg(long, value_name = "SRC")]
    from: Option<String>,
    /// The repository to copy into
    #[arg(long, value_name = "DST")]
    to: Option<String>,
    /// Do not read back what was written
    #[arg(long)]
    no_verify: bool,
    /// Say which snapshots would be copied
    #[arg(long)]
    dry_run: bool,
}

/// What the words mean.
struct Places {
    from: Option<String>,
    to: String,
    snapshots: Vec<String>,
}

impl Copy {
    pub fn run(&self, app: &App) -> Result<()> {
        let places = self.places()?;
        let source = match &places.from {
            Some(from) => open_source(app, from)?,
            None => app.open(Need::Read)?,
        };
        let destination = open_destination(app, &places.to)?;
        let options = CopyOptions {
            snapshots: chosen(&source, &places.snapshots)?,
            threads: app.settings.threads,
            unverified: self.no_verify,
            dry_run: self.dry_run,
            ..CopyOptions::default()
        };
        let checkpoint = source.repository.view()?.checkpoint_number();
        let progress = Progress::start(&app.output, "Copying");
        let report = destination.repository.copy_from(&source.repository, &options, &progress)?;
        progress.close();
        destination.pin()?;
        let complete = report.failed.is_empty() && report.unopened.is_empty();
        if complete && !self.dry_run && options.snapshots.is_none() {
            write_down(&source, &destination, checkpoint, &report)?;
        }
        app.output.say(self.text(&source, &destination, &report))?;
        app.output.document(&self.document(&source, &destination, &report))?;
        if complete {
            return Ok(());
        }
        app.output.alert(damage_text(&report));
        app.output.alert(format!(
            "\nHeal it and copy again: nodekeep repo repair --data --repo {}",
            render::shell(source.location())
        ));
        Err(Error::Exit(exit::Class::Damaged.exit_code()))
    }

    fn places(&self) -> Result<Places> {
        let mut words = self.words.iter().cloned();
        let from = match (&self.from, &self.to) {
            (None, Some(_)) => None,
            (Some(from), _) => Some(from.clone()),
            (None, None) => words.next(),
        };
        let to = self.to.clone().or_else(|| words.next()).ok_or(Error::NoDestination)?;
        Ok(Places { from, to, snapshots: words.collect() })
    }

    fn text(&self, source: &Opened, destination: &Opened, report: &CopyReport) -> String {
        let copied = report.copied.len() as u64;
        let what = match (self.dry_run, copied) {
            (true, _) => format!("Would copy {}.", render::counted(copied, "snapshot")),
            (false, 0) if report.failed.is_empty() => "Nothing to copy.".to_owned(),
            (false, n) => format!("Copied {}.", render::counted(n, "snapshot")),
        };
        let stored: u64 = report.copied.iter().map(|copied| copied.bytes_added).sum();
        let verified = match (report.packs_verified, self.no_verify) {
            (0, false) => String::new(),
            (0, true) => "not read back (--no-verify)".to_owned(),
            (packs, _) => format!(
                "{} in {}",
                render::size(report.bytes_verified),
                render::counted(packs, "pack")
            ),
        };
        let fields = render::fields(&[
            ("from", source.location().to_owned()),
            ("to", format!("{}, {}", destination.location(), destination.distance.words())),
            ("there before", render::counted(report.present.len() as u64, "snapshot")),
            ("new data", format!("{} stored", render::size(stored))),
            ("read back", verified),
            ("time", render::duration(report.elapsed)),
        ]);
        let line = |copied: &Copied| match copied.to {
            Some(to) => format!("\n  {} as {}", copied.from.short(), to.short()),
            None => format!("\n  {}", copied.from.short()),
        };
        let lines: String = report.copied.iter().map(line).collect();
        format!("{what}\n{fields}{lines}")
    }

    fn document(&self, source: &Opened, destination: &Opened, report: &CopyReport) -> Value {
        let place = |opened: &Opened| json!({ "location": opened.location(), "id": opened.repository.id().hex() });
        let copied = |copied: &Copied| {
            json!({
                "from": copied.from.hex(),
                "to": copied.to.map(|id| id.hex()),
                "chunks_added": copied.chunks_added,
                "bytes_added": copied.bytes_added,
            })
        };
        json!({
            "source": place(source),
            "destination": place(destination),
            "dry_run": self.dry_run,
            "copied": report.copied.iter().map(copied).collect::<Vec<_>>(),
            "present": report.present.iter().map(SnapshotId::hex).collect::<Vec<_>>(),
            "failed": failures(report).map(|(object, what)| json!({
                "object": object, "message": what,
            })).collect::<Vec<_>>(),
            "packs_verified": report.packs_verified,
            "bytes_verified": report.bytes_verified,
            "seconds": report.elapsed.as_secs_f64(),
        })
    }
}

/// The source may be named, and still be the one in use: then its keys may be named, too.
fn open_source(app: &App, place: &str) -> Result<Opened> {
    let same = app.settings.repo.as_deref() == Some(place);
    let (named, kept) = (app.settings.identity.clone(), app.elsewhere(place));
    let mut source = if same { app.clone() } else { kept };
    source.settings.identity = named;
    source.open(Need::Read)
}

/// What is there already is read, so that a writer's credential alone is not enough.
fn open_destination(app: &App, place: &str) -> Result<Opened> {
    let destination = app.elsewhere(place).open(Need::Read)?;
    if !destination.repository.store().can_list() {
        return Err(Error::ReadOnlyMirror { location: destination.location().to_owned() });
    }
    destination.repository.refuse_mirror()?;
    Ok(destination)
}

/// The snapshots that were named; `None`: all.
fn chosen(source: &Opened, words: &[String]) -> Result<Option<Vec<SnapshotId>>> {
    if words.is_empty() {
        return Ok(None);
    }
    let records = source.repository.snapshots_in(&source.repository.view()?)?.0;
    let find = |word: &String| {
        let reference = refs::parse(word)?;
        Ok(refs::find(&reference, &records, source.location())?.record.id)
    };
    words.iter().map(find).collect::<Result<Vec<_>>>().map(Some)
}

/// So that `status` of the source knows its copies.
fn write_down(
    source: &Opened,
    destination: &Opened,
    checkpoint: u64,
    report: &CopyReport,
) -> Result<()> {
    let record = CopyRecord {
        kind: "copy".to_owned(),
        location: destination.location().to_owned(),
        distance: destination.distance,
        repository: destination.repository.id().hex(),
        finished: render::time::now_ms() / 1000,
        checkpoint,
        snapshots: (report.copied.len() + report.present.len()) as u64,
    };
    record_copy(&source.keys, record)
}

fn failures(report: &CopyReport) -> impl Iterator<Item = (String, String)> + '_ {
    let failed = report.failed.iter().map(|(id, error)| (id.hex(), error.to_string()));
    failed.chain(report.unopened.iter().map(|(object, error)| (object.clone(), error.to_string())))
}

fn damage_text(report: &CopyReport) -> String {
    let lines = failures(report).map(|(object, what)| format!("\nNot copied: {object}: {what}"));
    lines.collect()
}
