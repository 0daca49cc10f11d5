//! `nodekeep snapshot diff NODE@WHEN --against-live`: what a restore would take back.

use nodekeep_nodes::position::{Position, step_text};
use nodekeep_service::find::NodeSnapshot;
use nodekeep_service::live::{Against, ThenAndNow};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::nodes;
use crate::progress::Progress;
use crate::render::{self, Table};
use crate::session::App;
use crate::target::Target;

/// Compares a snapshot of a node with what lies on this machine.
///
/// # Errors
/// If it is of no node, or the node is not registered here.
pub fn run(app: &App, target: &Target) -> Result<()> {
    let snapshot = NodeSnapshot::of(&target.record)
        .ok_or_else(|| Error::NotOfANode { snapshot: target.record.id.short() })??;
    let state = nodes::state(app);
    let node = state.load(&snapshot.manifest.node)?;
    let all = target.repository.snapshots()?;
    let progress = Progress::start(&app.output, "Comparing");
    let ground = nodes::ground(app, &state, &target.repository, &progress)?;
    let against = ground.against_live(&node, &snapshot, &all)?;
    progress.close();
    app.output.answer(text(&snapshot, &against))?;
    app.output.document(&document(&snapshot, &against))
}

fn text(snapshot: &NodeSnapshot, against: &Against) -> String {
    let manifest = &snapshot.manifest;
    let head = format!(
        "The node {} as it lies here, against snapshot {} of {}",
        manifest.node,
        snapshot.record.id.short(),
        render::time::told(&manifest.captured_at)
    );
    let mut table = Table::new(&["component", "in the snapshot", "now"]);
    for component in &against.components {
        let now = component.now.as_ref().map_or("not known".to_owned(), Position::text);
        table.row([component.component.clone(), component.then.text(), now]);
    }
    let notes = against.components.iter().flat_map(|component| {
        let line = |note: &String| {
            format!("\n  {}: {}", component.component, render::path(note.as_bytes()))
        };
        component.notes.iter().map(line).collect::<Vec<_>>()
    });
    let steps = match steps(against) {
        steps if steps.is_empty() => "nothing that is counted has moved".to_owned(),
        steps => steps.join(", "),
    };
    let live = if against.saw_live { "" } else { "\nNothing of the node lies here." };
    format!(
        "{head}\n\n{}{}\n{live}\nSince the snapshot: {steps}.\n\nFence, if it were restored now:\n{}",
        table.text(),
        notes.collect::<String>(),
        render::indent(fence(against).trim_end()),
    )
}

fn fence(against: &Against) -> String {
    match against.verdict.rulings.as_slice() {
        [] => "the profile fences nothing".to_owned(),
        _ => against.verdict.to_string(),
    }
}

fn steps(against: &Against) -> Vec<String> {
    against.steps().iter().map(|(name, then, now)| step_text(name, *then, *now)).collect()
}

fn document(snapshot: &NodeSnapshot, against: &Against) -> Value {
    let component = |component: &ThenAndNow| {
        json!({
            "name": component.component,
            "before": component.then,
            "now": component.now,
            "notes": component.notes,
        })
    };
    json!({
        "node": snapshot.manifest.node,
        "snapshot": snapshot.record.id.hex(),
        "steps": steps(against),
        "components": against.components.iter().map(component).collect::<Vec<_>>(),
        "fence": against.verdict,
        "clear": against.verdict.is_clear(),
    })
}
