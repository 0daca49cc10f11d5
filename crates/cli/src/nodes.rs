//! Registered nodes of this machine, and what their use-cases work with.

use nodekeep_nodes::kind::{Check, Outcome};
use nodekeep_nodes::manifest::{ComponentRecord, Note, Status};
use nodekeep_repo::monitor::Monitor;
use nodekeep_repo::repository::Repository;
use nodekeep_service::backup::Ground;
use nodekeep_service::loose::Told;
use nodekeep_service::state::State;
use serde_json::{Value, json};

use crate::commands::machine_label;
use crate::error::Result;
use crate::render::{self, Table};
use crate::session::App;

/// What this machine keeps of nodes.
pub fn state(app: &App) -> State {
    State::new(app.home.data().to_owned())
}

/// Finishes what a crash left of nodes, and says so. What cannot be finished is said too, and keeps no command from its work.
pub fn resume(app: &App) {
    for sentence in nodekeep_service::resume::resume(&state(app)) {
        app.output.alert(sentence);
    }
}

/// What a use-case of a node works with.
///
/// # Errors
/// If there is no folder for what is unpacked on the way.
pub fn ground<'a>(
    app: &App,
    state: &'a State,
    repository: &'a Repository,
    monitor: &'a dyn Monitor,
) -> Result<Ground<'a>> {
    Ok(Ground {
        repository,
        state,
        scratch: app.home.scratch()?,
        host: app.settings.host.clone().unwrap_or_else(machine_label),
        program: concat!("nodekeep ", env!("CARGO_PKG_VERSION")).to_owned(),
        monitor,
    })
}

/// A component's outcome in a word.
pub fn status_word(status: Status) -> &'static str {
    match status {
        Status::Captured => "captured",
        Status::Partial => "partial",
        Status::Absent => "absent",
        Status::Skipped => "skipped",
        Status::Failed => "FAILED",
    }
}

/// What the capture of a path by a kind found.
pub fn capture_text(told: &Told) -> String {
    let fields = render::fields(&[("kind", told.kind.clone()), ("holds", told.position.text())]);
    let note = |note: &Note| format!("\n  {}", render::path(note.text.as_bytes()));
    let notes: Vec<String> = told.notes.iter().map(note).collect();
    format!("{fields}{}", notes.concat())
}

/// Each component on a line, with what there is to say about it below.
pub fn components_text(components: &[ComponentRecord]) -> String {
    let mut table = Table::new(&["component", "status", ">files", ">size", "holds"]);
    for record in components {
        table.row([
            record.name.clone(),
            status_word(record.status).to_owned(),
            render::count(record.files),
            render::size(record.bytes),
            record.position.text(),
        ]);
    }
    let mut text = table.text();
    for record in components {
        for note in &record.notes {
            text.push_str(&format!("\n  {}: {}", record.name, render::path(note.text.as_bytes())));
        }
    }
    text
}

/// The manifest as it is.
pub fn manifest_document(manifest: &nodekeep_nodes::manifest::Manifest) -> Value {
    serde_json::to_value(manifest).unwrap_or_else(|_| json!(null))
}

/// A check's outcome on a line.
pub fn check_text(name: &str, check: &Check) -> String {
    let word = match check.outcome {
        Outcome::Passed => "passed ",
        Outcome::Failed => "FAILED ",
        Outcome::Skipped => "skipped",
    };
    format!("{word}  {name}: {}", render::path(check.detail.as_bytes()))
}
