//! `nodekeep repo mirror`.

use clap::Args;
use nodekeep_repo::listing;
use nodekeep_repo::mirror::{MirrorOptions, MirrorReport, mirror};
use nodekeep_repo::repository::Repository;
use nodekeep_store::{Address, Store};
use serde_json::json;

use crate::copies::{self, CopyRecord, Distance};
use crate::error::{Error, Result};
use crate::exit;
use crate::progress::Progress;
use crate::prompt;
use crate::render::{self, time};
use crate::session::App;

/// Keep a byte-for-byte replica of a repository somewhere else
#[derive(Debug, Args)]
#[command(
    before_help = "Needs no key: what is named by its hash is compared with it, and every signature is checked, on the way. Only what is missing is copied; interrupted, the same command continues. The replica opens with the same words, at every moment from the first minute on, and a plain web server is enough to read it from. Nothing is backed up or pruned in it."
)]
#[command(after_help = "\
Role: none.

Exit code 4: objects of the source are damaged; they were not copied, everything else was.

What a prune deletes at the source stays in the replica, unless --delete is given. With --delete, what the source has lost is lost in the replica too: check the source first.

Examples:
  nodekeep repo mirror s3://my-backups/node1
  nodekeep repo mirror /mnt/usb/replica --delete
  nodekeep repo mirror s3://my-backups/node1 /srv/www/node1
  nodekeep repo mirror --promote --repo /mnt/usb/replica")]
pub struct Mirror {
    /// Where to; with two places, where from and where to
    #[arg(value_name = "[SRC] DST", num_args = 1..=2, required_unless_present = "promote")]
    places: Vec<String>,
    /// Delete in the replica what a prune has deleted at the source
    #[arg(long)]
    delete: bool,
    /// Only count what would be copied and deleted
    #[arg(long)]
    dry_run: bool,
    /// Make the replica at --repo a repository of its own right, because its source is lost
    #[arg(long, conflicts_with_all = ["places", "delete", "dry_run"])]
    promote: bool,
    /// Do not ask before promoting
    #[arg(long)]
    yes: bool,
}

impl Mirror {
    pub fn run(&self, app: &App) -> Result<()> {
        if self.promote {
            return self.promote(app);
        }
        let (from, to) = self.places(app)?;
        let (source, destination) = (app.store_at(&from)?, app.store_at(&to)?);
        if from == to {
            return Err(Error::SamePlace { location: source.location().to_owned() });
        }
        if !destination.can_list() {
            return Err(Error::ReadOnlyMirror { location: destination.location().to_owned() });
        }
        let options = MirrorOptions { delete: self.delete, dry_run: self.dry_run };
        let progress = Progress::start(&app.output, "Mirroring");
        let report = mirror(&source, &destination, &options, &progress)?;
        progress.close();
        let distance = app.distance(&to, &destination);
        if !self.dry_run && report.damaged.is_empty() {
            remember(app, &source, &destination, distance, &report)?;
        }
        self.tell(app, &destination, distance, &report)?;
        if report.damaged.is_empty() {
            Ok(())
        } else {
            Err(Error::Exit(exit::Class::Damaged.exit_code()))
        }
    }

    fn places(&self, app: &App) -> Result<(Address, Address)> {
        match self.places.as_slice() {
            [to] => Ok((app.address()?, app.address_of(to)?)),
            [from, to] => Ok((app.address_of(from)?, app.address_of(to)?)),
            _ => Err(Error::Options("give one place to mirror to, or two: from and to")),
        }
    }

    fn promote(&self, app: &App) -> Result<()> {
        let store = app.store()?;
        let location = store.location().to_owned();
        Repository::config_of(&store)?;
        let what =
            format!("From now on {location} takes backups, and its source must not any more");
        prompt::confirm(&app.output, self.yes, "promoting a replica", &what)?;
        listing::promote(&store)?;
        app.output.say(format!("{location} is a repository of its own right now."))?;
        app.output.document(&json!({ "promoted": location }))
    }

    fn tell(
        &self,
        app: &App,
        destination: &Store,
        distance: Distance,
        report: &MirrorReport,
    ) -> Result<()> {
        let location = destination.location();
        let headline = match self.dry_run {
            true => format!("Would mirror to {location}"),
            false => format!("Mirrored to {location}, {}", distance.words()),
        };
        app.output.say(headline)?;
        let deleted = if self.delete { render::count(report.deleted) } else { String::new() };
        let copied = format!("{} ({})", render::count(report.copied), render::size(report.bytes));
        app.output.say(render::fields(&[
            ("copied", copied),
            ("there before", render::count(report.present)),
            ("deleted", deleted),
            ("snapshots", render::count(report.snapshots)),
            ("checkpoint", report.checkpoint.to_string()),
        ]))?;
        for note in &report.notes {
            app.output.remark(note);
        }
        if !report.damaged.is_empty() && !app.output.json {
            let lines: Vec<String> =
                report.damaged.iter().map(|(name, damage)| format!("{name}: {damage}")).collect();
            app.output.alert(format!(
                "\nDamaged at the source, and not copied:\n{}\nSee what is hit: nodekeep check --data",
                render::indent(&lines.join("\n"))
            ));
        }
        app.output.document(&json!({
            "destination": location,
            "distance": distance,
            "dry_run": self.dry_run,
            "id": report.repository.map(|id| id.hex()),
            "copied": report.copied,
            "bytes": report.bytes,
            "present": report.present,
            "deleted": report.deleted,
            "snapshots": report.snapshots,
            "checkpoint": report.checkpoint,
            "listing": report.listing,
            "damaged": report.damaged.iter().map(|(name, damage)| json!({
                "object": name, "message": damage.to_string(),
            })).collect::<Vec<_>>(),
            "notes": report.notes,
        }))
    }
}

/// Writes down where the copy lies, for `status`. Only of a repository that this machine knows.
fn remember(
    app: &App,
    source: &Store,
    destination: &Store,
    distance: Distance,
    report: &MirrorReport,
) -> Result<()> {
    let id = Repository::config_of(source)?.id;
    let keys = app.home.keys(&id);
    if !keys.folder().exists() {
        return Ok(());
    }
    copies::record_copy(
        &keys,
        CopyRecord {
            kind: "mirror".to_owned(),
            location: destination.location().to_owned(),
            distance,
            repository: id.hex(),
            finished: time::now_ms() / 1000,
            checkpoint: report.checkpoint,
            snapshots: report.snapshots,
        },
    )
}
