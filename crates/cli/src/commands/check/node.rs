//! `nodekeep check` of a node: what its snapshot says of itself, and whether what is in it keeps the node's own rules.

use std::path::PathBuf;

use nodekeep_nodes::kind::{Check as Seen, Outcome, Verified};
use nodekeep_service::certificate::{Certificate, DrillResult};
use nodekeep_service::find::NodeSnapshot;
use nodekeep_service::restore::{verify_live, verify_node};
use serde_json::json;

use crate::error::{Error, Result};
use crate::exit;
use crate::nodes;
use crate::progress::Progress;
use crate::render;
use crate::session::App;
use crate::target::Target;

/// What a snapshot of a node says of itself: when it was made, how large it is, how far the node had come.
pub fn told(snapshot: &NodeSnapshot) -> String {
    render::fields(&fields(snapshot))
}

fn fields(snapshot: &NodeSnapshot) -> Vec<(&'static str, String)> {
    let manifest = &snapshot.manifest;
    let counts = &snapshot.record.snapshot.counts;
    vec![
        ("node", format!("{} ({})", manifest.node, manifest.profile)),
        ("created", render::time::told(&manifest.captured_at)),
        (
            "size",
            format!("{} in {}", render::size(counts.bytes), render::counted(counts.files, "file")),
        ),
        ("snapshot", snapshot.record.id.hex()),
        ("holds", manifest.position().text()),
    ]
}

/// Restores a snapshot of a node into a sandbox and checks it there by the node's own rules; nothing is signed or kept.
///
/// # Errors
/// If it is of no node, or the sandbox cannot be made; if something is not as it should be, by the exit code.
pub fn rehearse(app: &App, target: &Target) -> Result<()> {
    let snapshot = NodeSnapshot::of(&target.record)
        .ok_or_else(|| Error::NotOfANode { snapshot: target.record.id.short() })??;
    let state = nodes::state(app);
    let progress = Progress::start(&app.output, "Checking");
    let ground = nodes::ground(app, &state, &target.repository, &progress)?;
    let found = ground.rehearse(&snapshot, &app.home.scratch()?, false)?;
    progress.close();
    let is_sound = found.result != DrillResult::Failed;
    app.output.answer(result(fields(&snapshot), &found, is_sound))?;
    app.output.document(&json!({
        "node": found.node,
        "snapshot": found.snapshot,
        "created": found.captured_at,
        "bytes": found.bytes,
        "sound": is_sound,
        "checks": found.steps,
    }))?;
    sound(is_sound)
}

fn result(mut fields: Vec<(&str, String)>, found: &Certificate, is_sound: bool) -> String {
    let steps: Vec<String> = found
        .steps
        .iter()
        .map(|step| format!("  {}", nodes::check_text(&step.name, step)))
        .collect();
    let word = if is_sound { "VALID" } else { "DAMAGED" };
    fields.push(("status", word.to_owned()));
    fields.push(("time", format!("{:.1} s", found.recovery_secs)));
    format!("{}\n\n{}", render::fields(&fields), steps.join("\n"))
}

/// Data of a node that nobody uses, checked by the rules of its kinds and of its system.
///
/// # Errors
/// If the node is not registered; if something is not as it should be, by the exit code.
pub fn folder(app: &App, name: &str, folder: &PathBuf) -> Result<()> {
    let node = nodes::state(app).load(name)?;
    let folder = std::path::absolute(folder).map_err(Error::file(folder, "find"))?;
    let mut paths = node.registration.paths.clone();
    if let Some(main) = node.profile.roots.first() {
        paths.insert(main.name.clone(), folder.clone());
    }
    tell(app, name, Some(&folder), verify_node(&node.moved(paths))?)
}

/// Components of a node, checked where they are in use.
///
/// # Errors
/// As [`folder`]; if a component cannot be checked there.
pub fn live(app: &App, name: &str, components: &[String]) -> Result<()> {
    let node = nodes::state(app).load(name)?;
    tell(app, name, None, verify_live(&node, components)?)
}

/// Every check on a line. Of a node in use no folder is named.
fn tell(
    app: &App,
    name: &str,
    folder: Option<&PathBuf>,
    checked: Vec<(String, Verified)>,
) -> Result<()> {
    let checks: Vec<(String, Seen)> = checked
        .into_iter()
        .flat_map(|(name, verified)| {
            verified.checks.into_iter().map(move |check| (name.clone(), check))
        })
        .collect();
    for (component, check) in &checks {
        app.output.answer(nodes::check_text(&format!("{component}: {}", check.name), check))?;
    }
    let is_sound = checks.iter().all(|(_, check)| check.outcome != Outcome::Failed);
    app.output.document(&json!({
        "node": name,
        "folder": folder,
        "sound": is_sound,
        "checks": checks.iter().map(|(component, check)| json!({
            "component": component, "name": check.name, "outcome": check.outcome, "detail": check.detail,
        })).collect::<Vec<_>>(),
    }))?;
    sound(is_sound)
}

fn sound(is_sound: bool) -> Result<()> {
    match is_sound {
        true => Ok(()),
        false => Err(Error::Exit(exit::Class::Damaged.exit_code())),
    }
}
