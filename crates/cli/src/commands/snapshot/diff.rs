//! `nodekeep snapshot diff`.

mod live;

use std::path::PathBuf;

use clap::Args;
use nodekeep_nodes::position::Position;
use nodekeep_nodes::position::step_text;
use nodekeep_repo::diff::{Change, ChangeKind, diff};
use nodekeep_repo::reader::ChunkReader;
use nodekeep_repo::tree::Entry;
use nodekeep_service::find::NodeSnapshot;
use serde_json::{Value, json};

use super::reference_help;
use crate::error::Result;
use crate::refs::{self, Reference};
use crate::render::{self, entry};
use crate::session::App;
use crate::target::{self, Target};

/// Show what changed between two snapshots, or since one
#[derive(Debug, Args)]
#[command(after_help = reference_help!("reader, collector or owner.", "\
+ added, - removed, M changed content, m changed owner, mode, attributes or time, T became something else.

Examples:
  nodekeep snapshot diff ./notes@latest~1 ./notes@latest
  nodekeep snapshot diff 4f2a91c0 backup.nkb --json
  nodekeep snapshot diff relay1@latest --against-live

Also spelled: backup diff."))]
pub struct Diff {
    /// The older snapshot
    before: String,
    /// The newer snapshot
    #[arg(required_unless_present = "against_live", conflicts_with = "against_live")]
    after: Option<String>,
    /// Of a node: against what lies on this machine now, with the fence's view
    #[arg(long)]
    against_live: bool,
    /// Bases of an incremental or differential file, if they do not lie beside it
    #[arg(long, value_name = "FILE")]
    base: Vec<PathBuf>,
}

#[derive(Default)]
struct Tally {
    added: u64,
    removed: u64,
    modified: u64,
    metadata: u64,
    type_changed: u64,
}

impl Diff {
    pub fn run(&self, app: &App) -> Result<()> {
        let before = target::open(app, &self.before, &self.base)?;
        let Some(after) = &self.after else {
            return live::run(app, &before);
        };
        let after = self.after(app, &before, after)?;
        let (a, b) = (before.reader()?, after.reader()?);
        let (tally, values) = compare(app, (&a, &before), (&b, &after))?;
        app.output.say(format!(
            "{} added, {} removed, {} changed, {} with other metadata, {} of another type.",
            render::count(tally.added),
            render::count(tally.removed),
            render::count(tally.modified),
            render::count(tally.metadata),
            render::count(tally.type_changed),
        ))?;
        let steps = steps(&before, &after)?;
        if !steps.is_empty() {
            app.output.say(format!("\nIn the node's terms: {}.", steps.join(", ")))?;
        }
        app.output.document(&json!({
            "steps": steps,
            "before": before.record.id.hex(),
            "after": after.record.id.hex(),
            "changes": values,
            "added": tally.added,
            "removed": tally.removed,
            "modified": tally.modified,
            "metadata": tally.metadata,
            "type_changed": tally.type_changed,
        }))
    }

    /// The second snapshot; of the same repository unless one of them is a file, so that a passphrase is asked for once.
    fn after(&self, app: &App, before: &Target, after: &str) -> Result<Target> {
        let reference = refs::parse(after)?;
        let is_file = |reference: &Reference| matches!(reference, Reference::File(_));
        match is_file(&reference) || is_file(&refs::parse(&self.before)?) {
            true => target::open(app, after, &self.base),
            false => target::find(before.repository.clone(), &reference),
        }
    }
}

/// "412 blocks, 3 votes": how far a node came between two of its snapshots.
fn steps(before: &Target, after: &Target) -> Result<Vec<String>> {
    let pair = (NodeSnapshot::of(&before.record), NodeSnapshot::of(&after.record));
    let (Some(before), Some(after)) = pair else { return Ok(Vec::new()) };
    let total = |snapshot: &NodeSnapshot| {
        let mut all = Position::default();
        snapshot.manifest.components.iter().for_each(|record| all.join(&record.position));
        all
    };
    let (before, after) = (total(&before?), total(&after?));
    let steps = before.steps(&after).into_iter();
    Ok(steps.map(|(name, from, to)| step_text(name, from, to)).collect())
}

fn compare(
    app: &App,
    (a, before): (&ChunkReader, &Target),
    (b, after): (&ChunkReader, &Target),
) -> Result<(Tally, Vec<Value>)> {
    let (mut tally, mut values, mut failure) = (Tally::default(), Vec::new(), None);
    let mut each = |change: Change| {
        tally.count(change.kind);
        if app.output.json {
            values.push(document(before, after, &change));
        } else if failure.is_none() {
            failure = app.output.answer(line(&change)).err();
        }
    };
    diff(a, &before.record, b, &after.record, &mut each)?;
    match failure {
        Some(error) => Err(error),
        None => Ok((tally, values)),
    }
}

impl Tally {
    fn count(&mut self, kind: ChangeKind) {
        *match kind {
            ChangeKind::Added => &mut self.added,
            ChangeKind::Removed => &mut self.removed,
            ChangeKind::Modified => &mut self.modified,
            ChangeKind::MetadataChanged => &mut self.metadata,
            ChangeKind::TypeChanged => &mut self.type_changed,
        } += 1;
    }
}

fn line(change: &Change) -> String {
    let mark = match change.kind {
        ChangeKind::Added => '+',
        ChangeKind::Removed => '-',
        ChangeKind::Modified => 'M',
        ChangeKind::MetadataChanged => 'm',
        ChangeKind::TypeChanged => 'T',
    };
    let shown = change.after.as_ref().or(change.before.as_ref());
    let name =
        shown.map_or_else(|| render::path(&change.path), |entry| entry::name(&change.path, entry));
    format!("{mark} {name}")
}

fn document(before: &Target, after: &Target, change: &Change) -> Value {
    let side = |target: &Target, entry: &Option<Entry>| {
        entry.as_ref().map(|entry| entry::json(&target.record.snapshot, &change.path, entry))
    };
    let kind = match change.kind {
        ChangeKind::Added => "added",
        ChangeKind::Removed => "removed",
        ChangeKind::Modified => "modified",
        ChangeKind::MetadataChanged => "metadata",
        ChangeKind::TypeChanged => "type-changed",
    };
    json!({
        "path": render::json::path(&change.path),
        "change": kind,
        "before": side(before, &change.before),
        "after": side(after, &change.after),
    })
}
