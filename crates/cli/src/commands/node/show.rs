//! `nodekeep node show`.

use clap::Args;
use nodekeep_nodes::node::{Located, Node};
use nodekeep_nodes::profile::{Component, Kind, Priority};
use serde_json::{Value, json};

use crate::error::Result;
use crate::nodes;
use crate::render::{self, Table};
use crate::session::App;

/// Show what is known about a node: its components, how it is held, what must never run backwards
#[derive(Debug, Args)]
#[command(after_help = "Role: none.\n\nExamples:\n  nodekeep node show guts")]
pub struct Show {
    /// The node
    #[arg(value_name = "NODE")]
    name: String,
}

impl Show {
    pub fn run(&self, app: &App) -> Result<()> {
        let node = nodes::state(app).load(&self.name)?;
        app.output.answer(text(&node)?)?;
        app.output.document(&json!({ "node": document(&node)? }))
    }
}

/// The node as a person reads it.
pub fn text(node: &Node) -> Result<String> {
    let profile = &node.profile;
    let folders: Vec<String> = node
        .registration
        .paths
        .iter()
        .map(|(name, path)| format!("{name} = {}", path.display()))
        .collect();
    let fields = render::fields(&[
        ("node", node.name().to_owned()),
        ("profile", format!("{} ({})", profile.name, profile.title)),
        ("tested", tested(node)),
        ("folders", folders.join("\n")),
        ("held by", hold_text(node)),
        ("fences", fences(node)),
    ]);
    let mut table = Table::new(&["component", "priority", "kind", "path"]);
    for Located { component, path } in node.components()? {
        let needed = if component.required { ", required" } else { "" };
        table.row([
            component.name.clone(),
            format!("{}{needed}", priority(component.priority)),
            kinds(component),
            path.display().to_string(),
        ]);
    }
    let mut text = format!("{fields}\n\n{}", table.text());
    for note in &profile.notes {
        text.push_str(&format!("\n\nNote: {note}"));
    }
    Ok(text)
}

fn tested(node: &Node) -> String {
    match &node.profile.tested {
        Some(version) => format!("against {version}"),
        None => "untested: no real node of this kind was at hand".to_owned(),
    }
}

fn hold_text(node: &Node) -> String {
    match serde_json::to_value(node.profile.hold.method) {
        Ok(Value::String(word)) if word != "none" => word,
        _ if node.profile.components.iter().all(is_consistent) => {
            "nothing: each kind of component is consistent in itself".to_owned()
        }
        _ => "nothing: it goes on; plain files are copied one after the other".to_owned(),
    }
}

/// Whether what is copied belongs together although the node goes on: plain files that change together do not.
fn is_consistent(component: &Component) -> bool {
    !matches!(component.kind, Kind::Files)
}

/// A component's kind, and those of things of another kind in it.
fn kinds(component: &Component) -> String {
    let parts = component.parts.iter().map(|part| part.kind.word());
    let mut kinds = vec![component.kind.word()];
    for kind in parts {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds.join(", ")
}

fn fences(node: &Node) -> String {
    let names: Vec<&str> = node.profile.fence.iter().map(|rule| rule.name.as_str()).collect();
    names.join(", ")
}

fn priority(priority: Priority) -> &'static str {
    match priority {
        Priority::Critical => "critical",
        Priority::High => "high",
        Priority::Medium => "medium",
        Priority::Low => "low",
    }
}

/// The node for machines.
pub fn document(node: &Node) -> Result<Value> {
    let component = |located: Located<'_>| {
        let component = located.component;
        json!({
            "name": component.name,
            "about": component.about,
            "path": located.path,
            "kind": component.kind.word(),
            "required": component.required,
            "priority": component.priority,
            "identity": component.identity,
        })
    };
    Ok(json!({
        "name": node.name(),
        "profile": node.profile.name,
        "tested": node.profile.tested,
        "paths": node.registration.paths,
        "hold": node.profile.hold.method,
        "fences": node.profile.fence.iter().map(|rule| &rule.name).collect::<Vec<_>>(),
        "components": node.components()?.into_iter().map(component).collect::<Vec<_>>(),
        "notes": node.profile.notes,
    }))
}
