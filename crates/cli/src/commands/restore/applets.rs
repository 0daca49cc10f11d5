//! `nodekeep restore NODE --component applets`: rows merged into the database of an instance in use.

use nodekeep_nodes::axon::key::Recipient;
use nodekeep_nodes::axon::merge::Merged;
use nodekeep_nodes::axon::rekey::Rekeyed;
use nodekeep_nodes::node::Node;
use nodekeep_service::applets::{How, component_of, trusted_by};
use nodekeep_service::find::NodeSnapshot;
use serde_json::{Value, json};

use super::Restore;
use crate::commands::applets::{
    missing_document, missing_text, recipients, rekeyed_document, rekeyed_text,
};
use crate::error::{Error, Result};
use crate::exit;
use crate::nodes;
use crate::progress::Progress;
use crate::prompt;
use crate::render;
use crate::session::App;
use crate::target::Target;

impl Restore {
    /// Whether applets are meant as rows: they were asked for, or the snapshot holds nothing else.
    ///
    /// # Errors
    /// If they are asked for together with what is restored as files, or the node has none.
    pub fn means_applets(&self, snapshot: &NodeSnapshot) -> Result<bool> {
        let node = snapshot.node()?;
        let Some((component, rule)) = component_of(&node) else {
            return match self.applets.is_meant() || self.update {
                true => Err(Error::Options(
                    "--select, --update and --rekey are for applets of an Axon; this node has none",
                )),
                false => Ok(false),
            };
        };
        let is_named = self.component.contains(&component.name);
        if is_named && self.component.len() > 1 {
            return Err(Error::Options(
                "applets are merged as rows, everything else is put in place: restore them one after the other",
            ));
        }
        let is_all = snapshot.holds(&component.name) && !snapshot.holds(&rule.database);
        Ok(is_named
            || self.applets.is_meant()
            || self.update
            || (is_all && self.component.is_empty()))
    }

    /// Merges applets; shows what that will do, and asks, before.
    ///
    /// # Errors
    /// If the instance could not open what it would get (`--rekey`), or its database cannot be written. Then nothing changed.
    pub fn merge(&self, app: &App, target: &Target, snapshot: &NodeSnapshot) -> Result<()> {
        let state = nodes::state(app);
        let node = self.registered(&state, snapshot)?;
        let all = target.repository.snapshots()?;
        let progress = Progress::start(&app.output, "Reading");
        let ground = nodes::ground(app, &state, &target.repository, &progress)?;
        let skip_chunks = self.applets.skip_chunks;
        let mut unpacked =
            ground.unpack_applets((snapshot, &all), &self.applets.select, skip_chunks)?;
        let recipients = self.merge_recipients(&node)?;
        let keys = self.applets.give_keys(&ground, (snapshot, &all), &mut unpacked, &recipients)?;
        let how = How { update: self.update, skip_chunks, dry_run: true };
        let plan = ground.merge_applets(&node, &unpacked, how)?;
        progress.close();
        let scene = Scene { node: &node, snapshot, keys: keys.as_ref(), notes: &unpacked.notes };
        if self.dry_run {
            app.output.answer(scene.text("Would merge", &plan)?)?;
            return app.output.document(&scene.document(&plan, true)?);
        }
        app.output.say(scene.text("Merging", &plan)?)?;
        let details = "\nThis writes rows into the database in use";
        prompt::confirm(&app.output, self.yes, "merging rows into a database in use", details)?;
        let merged = ground.merge_applets(&node, &unpacked, How { dry_run: false, ..how })?;
        app.output.say(format!("\nDone: {}.", counts(&merged)))?;
        app.output.document(&scene.document(&merged, false)?)?;
        match merged.missing.is_empty() || skip_chunks {
            true => Ok(()),
            false => Err(Error::Exit(exit::Class::Incomplete.exit_code())),
        }
    }

    /// The instance itself, whom it trusts, and those in files.
    fn merge_recipients(&self, node: &Node) -> Result<Vec<Recipient>> {
        if !self.applets.rekey {
            return match self.recipient.as_slice() {
                [] => Ok(Vec::new()),
                _ => Err(Error::Options("--recipient is for --rekey")),
            };
        }
        let mut all = trusted_by(node)?.recipients();
        all.extend(recipients(&self.recipient)?);
        Ok(all)
    }
}

/// What a merge is about.
struct Scene<'a> {
    node: &'a Node,
    snapshot: &'a NodeSnapshot,
    keys: Option<&'a Rekeyed>,
    notes: &'a [String],
}

impl Scene<'_> {
    fn database(&self) -> Result<String> {
        let Some((_, rule)) = component_of(self.node) else { return Ok(String::new()) };
        Ok(self.node.component(&rule.database)?.path.display().to_string())
    }

    fn text(&self, verb: &str, merged: &Merged) -> Result<String> {
        let names = |names: &[String]| render::path(names.join(", ").as_bytes());
        let there = match merged.skipped.as_slice() {
            [] => String::new(),
            skipped => {
                format!("{} (--update brings them to what the snapshot says)", names(skipped))
            }
        };
        let mut text = render::fields(&[
            ("into", self.database()?),
            ("new", names(&merged.added)),
            ("updated", names(&merged.updated)),
            ("there", there),
            ("rows", rows(merged)),
            ("chunks", format!("{} to copy", render::count(merged.chunks as u64))),
            ("envelopes", rekeyed_text(self.keys)),
        ]);
        if !merged.missing.is_empty() {
            text.push_str(&format!("\nNot there:\n{}", missing_text(&merged.missing)));
        }
        for note in self.notes.iter().chain(&merged.notes) {
            text.push_str(&format!("\nNote: {}", render::path(note.as_bytes())));
        }
        Ok(format!(
            "{verb} applets of {} from snapshot {}, captured {}\n{text}",
            self.snapshot.manifest.node,
            self.snapshot.record.id.short(),
            self.snapshot.manifest.captured_at
        ))
    }

    fn document(&self, merged: &Merged, dry_run: bool) -> Result<Value> {
        Ok(json!({
            "node": self.node.name(),
            "snapshot": self.snapshot.record.id.hex(),
            "dry_run": dry_run,
            "database": self.database()?,
            "added": merged.added,
            "updated": merged.updated,
            "skipped": merged.skipped,
            "saves": merged.data,
            "high_scores": merged.scores,
            "shared_states": merged.rooms,
            "chunks": merged.chunks,
            "missing": missing_document(&merged.missing),
            "rekeyed": rekeyed_document(self.keys),
            "notes": self.notes.iter().chain(&merged.notes).collect::<Vec<_>>(),
        }))
    }
}

fn rows(merged: &Merged) -> String {
    format!(
        "{}, {}, {}",
        render::counted(merged.data as u64, "save"),
        render::counted(merged.scores as u64, "high score"),
        render::counted(merged.rooms as u64, "shared state")
    )
}

fn counts(merged: &Merged) -> String {
    format!(
        "{} new, {} updated, {} as they were, {} copied",
        render::counted(merged.added.len() as u64, "applet"),
        render::count(merged.updated.len() as u64),
        render::count(merged.skipped.len() as u64),
        render::counted(merged.chunks as u64, "chunk"),
    )
}
