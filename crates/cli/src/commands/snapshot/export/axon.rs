//! `nodekeep snapshot export --format axon`: applets as a backup directory that Axon's own `restore_applets` reads, unmodified.

use std::path::{Path, PathBuf};

use nodekeep_nodes::axon::export::Exported;
use nodekeep_nodes::axon::key::Recipient;
use nodekeep_nodes::axon::rekey::Rekeyed;
use nodekeep_service::applets::component_of;
use nodekeep_service::find::NodeSnapshot;
use serde_json::json;

use super::Export;
use crate::commands::applets::{
    APPLETS, missing_document, missing_text, recipients, rekeyed_document, rekeyed_text,
};
use crate::error::{Error, Result};
use crate::exit;
use crate::nodes;
use crate::progress::Progress;
use crate::render::{self, shell};
use crate::session::App;
use crate::target;

impl Export {
    /// Writes the directory, for whom it is meant.
    ///
    /// # Errors
    /// If the snapshot is of no Axon, some content cannot be opened for others, or the directory is there already.
    pub fn axon(&self, app: &App) -> Result<()> {
        let into = self.folder()?;
        let recipients = self.axon_recipients()?;
        let wanted = [APPLETS.to_owned()];
        let target = target::open_with(app, &self.snapshot, &self.base, &wanted)?;
        let snapshot = NodeSnapshot::of(&target.record)
            .ok_or_else(|| Error::NotOfANode { snapshot: target.record.id.short() })??;
        let node = snapshot.node()?;
        if component_of(&node).is_none() {
            let profile = node.profile.name.clone();
            return Err(Error::NotForProfile { node: node.name().to_owned(), profile });
        }
        let all = target.repository.snapshots()?;
        let state = nodes::state(app);
        let progress = Progress::start(&app.output, "Exporting");
        let ground = nodes::ground(app, &state, &target.repository, &progress)?;
        let skip = self.applets.skip_chunks;
        let mut unpacked = ground.unpack_applets((&snapshot, &all), &self.applets.select, skip)?;
        let keys =
            self.applets.give_keys(&ground, (&snapshot, &all), &mut unpacked, &recipients)?;
        std::fs::create_dir_all(&into).map_err(Error::file(&into, "make"))?;
        let done = unpacked.export(&snapshot, &into, skip)?;
        progress.close();
        tell(app, &snapshot, &done, keys.as_ref(), &unpacked.notes)
    }

    fn folder(&self) -> Result<PathBuf> {
        match (&self.output, self.subpaths.as_slice()) {
            (Some(folder), []) => Ok(folder.clone()),
            (None, [folder]) => Ok(PathBuf::from(folder)),
            _ => Err(Error::Options(
                "name one folder to write into: nodekeep snapshot export --format axon SNAPSHOT DIR",
            )),
        }
    }

    fn axon_recipients(&self) -> Result<Vec<Recipient>> {
        if !self.recipients.is_empty() && !self.applets.rekey {
            return Err(Error::Options("--recipient is for --rekey"));
        }
        recipients(&self.recipients)
    }
}

fn tell(
    app: &App,
    snapshot: &NodeSnapshot,
    done: &Exported,
    keys: Option<&Rekeyed>,
    notes: &[String],
) -> Result<()> {
    let folder = done.folder.display().to_string();
    let id = snapshot.record.id;
    app.output.say(format!("Wrote applets of snapshot {} to {folder}", id.short()))?;
    let (saves, scores) = (done.data as u64, done.scores as u64);
    let counts = [(done.applets as u64, "applet"), (saves, "save"), (scores, "high score")];
    let holds = counts.map(|(n, what)| render::counted(n, what)).join(", ");
    let chunks = render::counted(done.chunks as u64, "chunk");
    app.output.say(render::fields(&[
        ("holds", holds),
        ("chunks", format!("{chunks}, {}", render::size(done.bytes))),
        ("envelopes", rekeyed_text(keys)),
    ]))?;
    for note in notes.iter().chain(&done.notes) {
        app.output.say(format!("Note: {}", render::path(note.as_bytes())))?;
    }
    app.output
        .say(format!("\nOn the board: python manage.py restore_applets {}", shell(&folder)))?;
    if !done.missing.is_empty() {
        app.output.alert(format!("\nNot in it:\n{}", missing_text(&done.missing)));
    }
    app.output.document(&json!({
        "snapshot": id.hex(),
        "folder": Path::new(&done.folder),
        "applets": done.applets,
        "saves": done.data,
        "high_scores": done.scores,
        "chunks": done.chunks,
        "bytes": done.bytes,
        "missing": missing_document(&done.missing),
        "rekeyed": rekeyed_document(keys),
        "notes": notes.iter().chain(&done.notes).collect::<Vec<_>>(),
    }))?;
    match done.missing.is_empty() {
        true => Ok(()),
        false => Err(Error::Exit(exit::Class::Incomplete.exit_code())),
    }
}
