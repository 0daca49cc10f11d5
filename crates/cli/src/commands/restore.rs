//! `nodekeep restore`.

mod applets;
mod minima;
mod node;

use std::path::PathBuf;

use clap::Args;
use nodekeep_repo::restore::{Action, RestoreOptions, RestorePlan, RestoreReport, Target as Place};
use nodekeep_service::find::NodeSnapshot;
use serde_json::{Value, json};

use super::applets::{APPLETS, Choosing};
use super::minima::opening::{PasswordFrom, PhraseFrom};
use super::snapshot::{reference_help, unreadable};
use super::worst_day;
use crate::error::{Error, Result};
use crate::exit;
use crate::progress::Progress;
use crate::prompt;
use crate::refs;
use crate::render;
use crate::session::App;
use crate::target::{self, Target};

/// Bring files back
#[derive(Debug, Args)]
#[command(
    before_help = "With --target they go into a folder: the content of what was backed up, directly. Without it they go back to where they were, and only what differs is touched. Nothing that exists is overwritten unless --force is given. Alone, it lists what is there: on a machine with nothing but the program, --repo and the recovery words are enough."
)]
#[command(after_help = reference_help!("reader or owner; for a portable file its passphrase or a recipient's key.", "\
If it is interrupted, the same command continues. Exit code 3: restored, but something could not be; each path is named.

Examples:
  nodekeep restore --repo s3://my-backups/node1
  nodekeep restore latest --target ./restored
  nodekeep restore ./notes@2026-11-19 --target ./old-notes --verify
  nodekeep restore 4f2a91c0 plan.md --target /tmp/x
  nodekeep restore /etc@latest --dry-run
  nodekeep restore backup.nkb --target ./restored
  nodekeep restore guts --dry-run
  nodekeep restore guts@2026-11-19 --remedy consensus=without
  nodekeep restore guts@latest --component config
  nodekeep restore relay1 --as-copy --target ./test-instance
  nodekeep restore board --component applets --select MimsTris --dry-run
  nodekeep restore board --component applets --rekey --path instance=/srv/other

Also spelled: backup restore. recover, resync, restoresync, reset and clone print the restore they mean."))]
pub struct Restore {
    /// Which snapshot; without one, the list of what could be restored
    snapshot: Option<String>,
    /// Only these paths: absolute, or below the snapshot's only root
    #[arg(value_name = "SUBPATH")]
    subpaths: Vec<String>,
    /// Into this folder instead of in place
    #[arg(long, short, value_name = "DIR")]
    target: Option<PathBuf>,
    /// Show the exact plan; touch nothing
    #[arg(long)]
    dry_run: bool,
    /// Read every written file again and compare
    #[arg(long)]
    verify: bool,
    /// Replace what exists and differs
    #[arg(long)]
    force: bool,
    /// Delete what the snapshot does not have, in folders that are restored whole
    #[arg(long)]
    delete_extra: bool,
    /// Owners by number, not by name
    #[arg(long)]
    numeric_owner: bool,
    /// Bases of an incremental or differential file, if they do not lie beside it
    #[arg(long, value_name = "FILE")]
    base: Vec<PathBuf>,
    /// Do not ask before restoring in place
    #[arg(long)]
    yes: bool,
    /// Of a node only these components
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Nodes")]
    component: Vec<String>,
    /// Of a node not these components
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Nodes")]
    skip: Vec<String>,
    /// Where a folder of the node lies now
    #[arg(long, value_name = "NAME=DIR", help_heading = "Nodes")]
    path: Vec<String>,
    /// A test instance in --target, without what makes it the same node
    #[arg(long, help_heading = "Nodes")]
    as_copy: bool,
    /// What to do where the fence refuses: advance, import, drop or without
    #[arg(long, value_name = "RULE=HOW", help_heading = "Nodes")]
    remedy: Vec<String>,
    /// Restore backwards all the same; the reason is recorded
    #[arg(long, value_name = "REASON", value_parser = crate::prompt::said, help_heading = "Nodes")]
    accept_rollback: Option<String>,
    /// Do not start the node afterwards
    #[arg(long, help_heading = "Nodes")]
    leave_stopped: bool,
    #[command(flatten)]
    applets: Choosing,
    /// Bring applets that are there to what the snapshot says; without it they are passed over
    #[arg(long, help_heading = "Applets of an Axon")]
    update: bool,
    /// With --rekey: also for the instance whose public key is in this file
    #[arg(long, value_name = "FILE", help_heading = "Applets of an Axon")]
    recipient: Vec<String>,
    /// Not from a snapshot: a backup that a Minima node made itself, an archive that it exported, or HOST:PORT of a node with all coins
    #[arg(long, value_name = "FILE|HOST:PORT", help_heading = "Minima", conflicts_with_all = ["target", "component", "skip", "path", "as_copy", "remedy", "accept_rollback", "leave_stopped", "subpaths", "verify", "force", "delete_extra"])]
    from: Option<String>,
    /// Afterwards take later blocks from this node, for a backup that is older than two days; of several, from the one that has the backup's newest block and the most after it
    #[arg(long, value_name = "HOST:PORT", help_heading = "Minima", conflicts_with_all = ["target", "component", "skip", "path", "as_copy", "remedy", "accept_rollback", "leave_stopped", "subpaths", "verify", "force", "delete_extra"])]
    sync: Vec<String>,
    /// With the words: how many keys to make
    #[arg(long, value_name = "N", help_heading = "Minima")]
    keys: Option<u32>,
    /// With the words: where each key's counter begins; otherwise above all that was ever recorded
    #[arg(long, value_name = "N", help_heading = "Minima")]
    key_uses: Option<u64>,
    #[command(flatten, next_help_heading = "Minima")]
    password: PasswordFrom,
    #[command(flatten, next_help_heading = "Minima")]
    phrase: PhraseFrom,
}

impl Restore {
    pub fn run(&self, app: &App) -> Result<()> {
        if self.is_other_way() {
            return self.other_way(app);
        }
        let Some(snapshot) = self.named() else {
            return worst_day::list(app);
        };
        let target = target::open_with(app, snapshot, &self.base, &self.wanted())?;
        if let Some(of_node) = self.of_node(&target)? {
            return match self.as_copy {
                true => self.as_copy(app, &target, &of_node),
                false if self.means_applets(&of_node)? => self.merge(app, &target, &of_node),
                false => self.node(app, &target, &of_node),
            };
        }
        let mut options = self.options(app, &target);
        if self.dry_run {
            return self.dry_run(app, &target, options);
        }
        if self.target.is_none() {
            self.confirm(app, &target, &options)?;
        }
        options.force = self.force;
        let progress = Progress::start(&app.output, "Restoring");
        let report = target.repository.restore(&target.record, &options, &progress)?;
        progress.close();
        self.tell(app, &target, &report)?;
        app.output.document(&document(&target, &report))?;
        if report.errors.is_empty() {
            Ok(())
        } else {
            Err(Error::Exit(exit::Class::Incomplete.exit_code()))
        }
    }

    /// The snapshot of a node, unless only its files are wanted.
    fn of_node(&self, target: &Target) -> Result<Option<NodeSnapshot>> {
        let wants_files = self.target.is_some() && !self.as_copy;
        if wants_files || target.inside.is_some() || !self.subpaths.is_empty() {
            return Ok(None);
        }
        let found = NodeSnapshot::of(&target.record).transpose()?;
        match (&found, self.as_copy) {
            (None, true) => Err(Error::NotOfANode { snapshot: target.record.id.short() }),
            _ => Ok(found),
        }
    }

    /// The components that the newest snapshot must hold.
    fn wanted(&self) -> Vec<String> {
        match self.component.is_empty() && (self.applets.is_meant() || self.update) {
            true => vec![APPLETS.to_owned()],
            false => self.component.clone(),
        }
    }

    /// With a target, the newest is meant if nothing else is said.
    fn named(&self) -> Option<&str> {
        self.snapshot.as_deref().or_else(|| self.target.as_ref().map(|_| "latest"))
    }

    fn options(&self, app: &App, target: &Target) -> RestoreOptions {
        let place = match &self.target {
            Some(folder) => Place::Into(folder.clone()),
            None => Place::InPlace,
        };
        let named = self.subpaths.iter().map(|path| path.as_bytes().to_vec());
        let inside = target.inside.clone().filter(|_| self.subpaths.is_empty());
        RestoreOptions {
            subpaths: named.chain(inside).collect(),
            verify: self.verify,
            force: self.force,
            delete_extra: self.delete_extra,
            protect: app.home.own_folders(),
            threads: app.settings.threads,
            numeric_owner: self.numeric_owner,
            ..RestoreOptions::new(place)
        }
    }

    /// In place it matters what is there: the plan is said before anything is touched.
    fn confirm(&self, app: &App, target: &Target, options: &RestoreOptions) -> Result<()> {
        let progress = Progress::start(&app.output, "Comparing");
        let plan = target.repository.plan_restore(&target.record, options, &progress)?;
        progress.finish();
        let paths: Vec<String> =
            refs::roots(&target.record).into_iter().map(render::path).collect();
        let what = format!("This restores in place, in {}: {}", paths.join(" "), tally(&plan));
        prompt::confirm(&app.output, self.yes, "restoring in place", &what)
    }

    fn dry_run(&self, app: &App, target: &Target, mut options: RestoreOptions) -> Result<()> {
        options.force = true;
        let progress = Progress::start(&app.output, "Comparing");
        let plan = target.repository.plan_restore(&target.record, &options, &progress)?;
        progress.finish();
        for item in plan.items().filter(|item| item.action != Action::Keep) {
            let path = plan.base.join(refs::os_path(&item.path));
            let path = render::path(path.as_os_str().as_encoded_bytes());
            app.output.answer(format!("{:<9} {path}", word(item.action)))?;
        }
        app.output.say(format!("Would restore into {}: {}.", plan.base.display(), tally(&plan)))?;
        let refused = !self.force && plan.tally.change > 0;
        if refused {
            app.output.say("Something that exists would be changed: that needs --force.")?;
        }
        if !plan.errors.is_empty() {
            app.output.alert(format!("\nCannot be restored whole:\n{}", unreadable(&plan.errors)));
        }
        app.output.document(&plan_document(target, &plan, refused))
    }

    fn tell(&self, app: &App, target: &Target, report: &RestoreReport) -> Result<()> {
        let changed = |n: u64, what: &str| {
            if n == 0 { String::new() } else { format!(", {} {what}", render::count(n)) }
        };
        let counts = format!(
            "{} new{}{}{}{}",
            render::count(report.created),
            changed(report.changed, "changed"),
            changed(report.metadata, "with new metadata"),
            changed(report.deleted, "deleted"),
            changed(report.kept, "as they were"),
        );
        let place = match &self.target {
            Some(_) => format!("to {}", report.base.display()),
            None => "in place".to_owned(),
        };
        app.output.say(format!("Restored snapshot {} {place}", target.record.id.short()))?;
        app.output.say(render::fields(&[
            ("names", counts),
            ("written", render::size(report.bytes)),
            (
                "verified",
                if self.verify {
                    "every written file was read again".to_owned()
                } else {
                    String::new()
                },
            ),
            ("time", render::took(report.bytes, report.elapsed)),
        ]))?;
        if !report.notes.is_empty() {
            let notes = render::indent(&report.notes.join("\n"));
            app.output.say(format!("\nCould not be set:\n{notes}"))?;
        }
        if !report.errors.is_empty() {
            app.output.alert(format!("\nCould not be restored:\n{}", unreadable(&report.errors)));
        }
        Ok(())
    }
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Keep => "keep",
        Action::Create => "create",
        Action::Change => "change",
        Action::Metadata => "metadata",
        Action::Delete => "delete",
    }
}

fn tally(plan: &RestorePlan) -> String {
    let tally = &plan.tally;
    format!(
        "{} to create, {} to change, {} to delete, {} as they should be, {} to write",
        render::count(tally.create),
        render::count(tally.change + tally.metadata),
        render::count(tally.delete),
        render::count(tally.keep),
        render::size(plan.bytes_to_write),
    )
}

fn document(target: &Target, report: &RestoreReport) -> Value {
    json!({
        "snapshot": target.record.id.hex(),
        "dry_run": false,
        "target": report.base,
        "created": report.created,
        "changed": report.changed,
        "metadata": report.metadata,
        "deleted": report.deleted,
        "kept": report.kept,
        "bytes": report.bytes,
        "unrestored": render::json::unreadable(&report.errors),
        "notes": report.notes,
        "seconds": report.elapsed.as_secs_f64(),
    })
}

fn plan_document(target: &Target, plan: &RestorePlan, needs_force: bool) -> Value {
    let items = plan.items().filter(|item| item.action != Action::Keep);
    json!({
        "snapshot": target.record.id.hex(),
        "dry_run": true,
        "target": plan.base,
        "created": plan.tally.create,
        "changed": plan.tally.change,
        "metadata": plan.tally.metadata,
        "deleted": plan.tally.delete,
        "kept": plan.tally.keep,
        "bytes": plan.bytes_to_write,
        "needs_force": needs_force,
        "unrestored": render::json::unreadable(&plan.errors),
        "plan": items.map(|item| json!({
            "action": word(item.action), "path": render::json::path(&item.path),
        })).collect::<Vec<_>>(),
    })
}
