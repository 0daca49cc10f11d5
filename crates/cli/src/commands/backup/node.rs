//! `nodekeep backup NODE`.

use nodekeep_nodes::fence::retire::Claim;
use nodekeep_nodes::kind::Choice;
use nodekeep_nodes::manifest::{Manifest, Note};
use nodekeep_nodes::node::Node;
use nodekeep_service::applets::component_of;
use nodekeep_service::backup::{Ground, NodeBackup, is_failure};
use nodekeep_service::capture::Wish;
use nodekeep_service::find::NodeSnapshot;
use nodekeep_service::verify::Sampled;
use serde_json::json;

use super::{
    Backup, changes, conclude, document, holds, new_data, remember, repository_line, still_missing,
    took,
};
use crate::commands::snapshot::unreadable;
use crate::error::{Error, Result};
use crate::exit;
use crate::nodes;
use crate::progress::Progress;
use crate::render;
use crate::session::{App, Opened};

impl Backup {
    /// Backs up a registered node.
    ///
    /// # Errors
    /// Exit code 3 if something required of it is not in the snapshot, or the node was not held and let go as planned.
    pub fn node(&self, app: &App, name: &str) -> Result<()> {
        let state = nodes::state(app);
        let node = state.load(name)?;
        let (opened, made) = self.repository(app)?;
        let mut options = self.node_options(app)?;
        options.cache = Some(app.home.cache(&opened.repository.id()));
        let progress = Progress::start(&app.output, "Backing up");
        let ground = nodes::ground(app, &state, &opened.repository, &progress)?;
        let elsewhere = held_elsewhere(&opened, &ground, name)?;
        let done = ground.backup(&node, &self.node_wish(&node)?, &options)?;
        progress.close();
        opened.pin()?;
        remember(app, &opened, done.report.snapshot)?;
        tell(app, &opened, &done)?;
        let verified = self.verified(app, &opened, &ground, &done)?;
        if let Some(claim) = elsewhere {
            app.output.alert(format!("\nCareful: {claim}. Two machines with one identity do harm: if the node was started here by mistake, stop it."));
        }
        let missing = still_missing(&opened, made.as_ref(), Some(render::time::now_ms()));
        if !missing.is_empty() && !self.dry_run {
            app.output.say(format!("\nStill missing:\n{missing}"))?;
        }
        let mut told = document(&opened, &done.report, made.is_some());
        told["node"] = json!(name);
        told["whole"] = json!(done.is_whole());
        told["manifest"] = nodes::manifest_document(&done.manifest);
        told["verified"] = json!(verified.as_ref().map(Sampled::is_sound));
        conclude(app, made.as_ref(), &told, done.is_whole())?;
        match verified.is_none_or(|seen| seen.is_sound()) {
            true => Ok(()),
            false => Err(Error::Exit(exit::Class::Damaged.exit_code())),
        }
    }

    /// With `verify-backups = true` what was just made is looked at; `None` where it was not.
    fn verified(
        &self,
        app: &App,
        opened: &Opened,
        ground: &Ground<'_>,
        done: &NodeBackup,
    ) -> Result<Option<Sampled>> {
        let Some(id) = done.report.snapshot.filter(|_| app.settings.verify_backups) else {
            return Ok(None);
        };
        if !opened.repository.capability().reads_data {
            app.output.remark("Not verified: the keys here do not read what they write.");
            return Ok(None);
        }
        let records = opened.repository.snapshots()?;
        let record = records.iter().find(|record| record.id == id);
        let snapshot = record.and_then(NodeSnapshot::of);
        let seen = ground.verify(&snapshot.ok_or(Error::NotOfANode { snapshot: id.short() })??)?;
        match seen.is_sound() {
            true => app.output.say(format!("\nVerified: {}.", seen.text()))?,
            false => app.output.alert(format!("\nNOT SOUND: {}.", seen.text())),
        }
        Ok(Some(seen))
    }

    fn node_wish(&self, node: &Node) -> Result<Wish> {
        let mut only = self.component.clone();
        let mut skip = self.skip.clone();
        if self.consensus_only {
            only.push("consensus".to_owned());
        }
        let applets = component_of(node);
        if let (Some((component, _)), true) = (applets, only.is_empty() && !self.select.is_empty())
        {
            only.push(component.name.clone());
        }
        match applets {
            Some((component, _)) if self.skip_chunks && only.contains(&component.name) => {}
            Some((_, rule)) if self.skip_chunks => skip.push(rule.chunks.clone()),
            None if self.skip_chunks => {
                return Err(Error::Options("--skip-chunks is for nodes with applets"));
            }
            _ => {}
        }
        let choice = Choice { select: self.select.clone(), skip_chunks: self.skip_chunks };
        Ok(Wish { only, skip, choice, cold: self.cold })
    }
}

/// Whose the node is by what is recorded, if it is not this machine's: a backup is taken all the same. Keys that do not read cannot tell.
fn held_elsewhere(opened: &Opened, ground: &Ground<'_>, name: &str) -> Result<Option<Claim>> {
    if !opened.repository.capability().reads_data {
        return Ok(None);
    }
    let claim = ground.holder(name, &opened.repository.snapshots()?)?;
    Ok(Some(claim).filter(|claim| !claim.is_free()))
}

fn tell(app: &App, opened: &Opened, done: &NodeBackup) -> Result<()> {
    let (report, manifest) = (&done.report, &done.manifest);
    let verb = if report.snapshot.is_none() { "Would back up" } else { "Backed up" };
    app.output.say(format!("{verb} the node {} ({})", manifest.node, manifest.profile))?;
    app.output.say(render::fields(&[
        ("snapshot", report.snapshot.map_or(String::new(), |id| id.short())),
        ("files", holds(report)),
        ("changes", changes(report)),
        ("new data", new_data(report)),
        ("held by", held(manifest)),
        ("time", took(report)),
        ("repository", repository_line(opened)),
    ]))?;
    app.output.say(format!("\n{}", nodes::components_text(&manifest.components)))?;
    for note in &manifest.hold_notes {
        tell_note(app, note)?;
    }
    if !report.errors.is_empty() {
        app.output.alert(format!("\nCould not be read:\n{}", unreadable(&report.errors)));
    }
    Ok(())
}

fn held(manifest: &Manifest) -> String {
    if manifest.hold_notes.iter().any(|note| note.code == "hold-failed") {
        return "nothing: it could not be held".to_owned();
    }
    match serde_json::to_value(manifest.hold) {
        Ok(serde_json::Value::String(word)) if word != "none" => word,
        _ => String::new(),
    }
}

fn tell_note(app: &App, note: &Note) -> Result<()> {
    let text = format!("\n{}", render::path(note.text.as_bytes()));
    if is_failure(note) {
        app.output.alert(text);
        return Ok(());
    }
    app.output.say(text)
}
