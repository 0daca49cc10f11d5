//! `nodekeep snapshot show`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use nodekeep_nodes::manifest::Note;
use nodekeep_service::find::NodeSnapshot;
use nodekeep_service::loose::Told;
use serde_json::json;

use super::list::document;
use super::reference_help;
use crate::error::Result;
use crate::nodes;
use crate::refs;
use crate::render::{self, time};
use crate::session::App;
use crate::target::{self, Target};

/// Show what is known about a snapshot
#[derive(Debug, Args)]
#[command(after_help = reference_help!("reader, collector or owner.", "\
Examples:
  nodekeep snapshot show latest
  nodekeep snapshot show 4f2a91c0 --json

Also spelled: backup show."))]
pub struct Show {
    /// Which snapshot
    snapshot: String,
    /// Bases of an incremental or differential file, if they do not lie beside it
    #[arg(long, value_name = "FILE")]
    base: Vec<PathBuf>,
}

impl Show {
    pub fn run(&self, app: &App) -> Result<()> {
        let target = target::open(app, &self.snapshot, &self.base)?;
        let of_node = NodeSnapshot::of(&target.record).transpose()?;
        app.output.answer(text(&target))?;
        if let Some(node) = &of_node {
            app.output.answer(format!("\n{}", node_text(node)))?;
        }
        let of_path = Told::by(&target.record);
        if let Some(told) = &of_path {
            app.output.answer(format!("\n{}", nodes::capture_text(told)))?;
        }
        let snapshot = &target.record.snapshot;
        let mut value = document(&target.record);
        value["excludes"] = json!(snapshot.excludes);
        value["unreadable"] = render::json::unreadable(&snapshot.errors);
        value["attachments"] = snapshot
            .attachments
            .iter()
            .map(|(name, bytes)| json!({ "name": name, "size": bytes.len() }))
            .collect();
        value["capture"] = json!(of_path);
        value["node"] =
            of_node.map_or(json!(null), |node| nodes::manifest_document(&node.manifest));
        app.output.document(&value)
    }
}

fn text(target: &Target) -> String {
    let (record, snapshot) = (&target.record, &target.record.snapshot);
    let counts = &snapshot.counts;
    let paths: Vec<String> = refs::roots(record).into_iter().map(render::path).collect();
    let tags: Vec<String> =
        snapshot.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let took = Duration::from_millis(
        u64::try_from(snapshot.finished_ms - snapshot.started_ms).unwrap_or(0),
    );
    let mut out = render::fields(&[
        ("snapshot", record.id.hex()),
        ("paths", paths.join(" ")),
        ("time", format!("{}, took {}", time::exact(snapshot.started_ms), render::duration(took))),
        (
            "by",
            render::path(
                format!("{}@{}, {}", snapshot.user, snapshot.host, snapshot.program).as_bytes(),
            ),
        ),
        ("holds", holds(target)),
        ("new", format!("{} stored", render::size(counts.bytes_added))),
        ("tags", render::path(tags.join(" ").as_bytes())),
        ("left out", render::path(snapshot.excludes.join(" ").as_bytes())),
        ("before it", snapshot.parent.map_or(String::new(), |id| id.short())),
    ]);
    if !snapshot.errors.is_empty() {
        out.push_str(&format!("\n\nCould not be read:\n{}", unreadable(&snapshot.errors)));
    }
    out
}

/// What the node itself was, in its own terms.
fn node_text(node: &NodeSnapshot) -> String {
    let manifest = &node.manifest;
    let fields = render::fields(&[
        ("node", format!("{} ({})", manifest.node, manifest.profile)),
        ("captured", time::told(&manifest.captured_at)),
        ("machine", format!("{} ({})", manifest.machine.host, render::short(&manifest.machine.id))),
        (
            "complete",
            if manifest.is_complete() { "yes".to_owned() } else { "no: see below".to_owned() },
        ),
    ]);
    let note = |note: &Note| format!("\n{}", render::path(note.text.as_bytes()));
    let notes: Vec<String> = manifest.hold_notes.iter().map(note).collect();
    format!("{fields}\n\n{}{}", nodes::components_text(&manifest.components), notes.concat())
}

fn holds(target: &Target) -> String {
    let counts = &target.record.snapshot.counts;
    format!(
        "{} in {}, {}",
        render::counted(counts.files, "file"),
        render::counted(counts.dirs, "directory/directories"),
        render::size(counts.bytes)
    )
}

/// Each path with its reason, at most twenty.
pub fn unreadable(errors: &[(Vec<u8>, String)]) -> String {
    const SHOWN: usize = 20;
    let line = |(path, why): &(Vec<u8>, String)| {
        format!("  {}: {}", render::path(path), render::path(why.as_bytes()))
    };
    let mut lines: Vec<String> = errors.iter().take(SHOWN).map(line).collect();
    if errors.len() > SHOWN {
        lines.push(format!("  … and {} more (see --json)", errors.len() - SHOWN));
    }
    lines.join("\n")
}
