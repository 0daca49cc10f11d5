//! `nodekeep repo info`.

use clap::Args;
use nodekeep_repo::config::FORMAT;
use nodekeep_store::Object;
use serde_json::json;

use crate::commands::key::roster_document;
use crate::error::Result;
use crate::render::{self, Table, time};
use crate::session::{App, Need};

/// Show format, id, sizes, groups and members
#[derive(Debug, Args)]
#[command(after_help = "\
Role: any.

Example:
  nodekeep repo info --json")]
pub struct Info {}

impl Info {
    pub fn run(&self, app: &App) -> Result<()> {
        let opened = app.open(Need::Look)?;
        let repository = &opened.repository;
        let view = repository.view()?;
        let kinds = opened.objects()?.map(|objects| kinds(&objects));
        let (config, roster) = (repository.config(), repository.roster());
        app.output.answer(render::fields(&[
            ("location", opened.location().to_owned()),
            ("id", repository.id().hex()),
            ("format", FORMAT.to_string()),
            ("made", time::exact(config.created * 1000)),
            ("owner", render::fingerprint(&config.root.0)),
            ("pack size", render::size(config.pack_size)),
            (
                "roster",
                format!(
                    "{}, {}",
                    roster.number,
                    render::counted(roster.members.len() as u64, "member")
                ),
            ),
            (
                "groups",
                format!("{}, in force {}", roster.groups.len(), roster.current_group().number),
            ),
            ("checkpoint", view.checkpoint_number().to_string()),
            ("snapshots", render::count(view.live.len() as u64)),
            ("open runs", render::count(view.sessions.len() as u64)),
        ]))?;
        let listed = match &kinds {
            Some(kinds) => render::indent(&table(kinds).text()),
            None => "  What it holds is not known: a web server has no lists.".to_owned(),
        };
        app.output.answer(format!("\n{listed}"))?;
        app.output.document(&json!({
            "location": opened.location(),
            "id": repository.id().hex(),
            "format": FORMAT,
            "created": render::json::time(config.created * 1000),
            "owner": render::fingerprint(&config.root.0),
            "pack_size": config.pack_size,
            "checkpoint": view.checkpoint_number(),
            "generation": view.generation,
            "snapshots": view.live.len(),
            "open_sessions": view.sessions.len(),
            "objects": kinds.map(|kinds| kinds.iter().map(|kind| json!({
                "kind": kind.noun, "count": kind.count, "bytes": kind.bytes,
            })).collect::<Vec<_>>()),
            "roster": roster_document(repository),
        }))
    }
}

/// Objects of one kind.
struct Kind {
    noun: &'static str,
    count: u64,
    bytes: u64,
}

fn kinds(objects: &[Object]) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::new();
    for object in objects {
        let noun = noun(&object.name);
        let at = kinds.iter().position(|kind| kind.noun == noun).unwrap_or_else(|| {
            kinds.push(Kind { noun, count: 0, bytes: 0 });
            kinds.len() - 1
        });
        kinds[at].count += 1;
        kinds[at].bytes += object.size;
    }
    kinds
}

/// What an object is, by its name (`docs/format.md`, section 3).
fn noun(name: &str) -> &'static str {
    let mut parts = name.split('/');
    match (parts.next().unwrap_or_default(), parts.nth(1)) {
        ("config", _) => "configuration",
        ("r", _) => "rosters",
        ("k", _) => "envelopes",
        ("c", _) => "checkpoints",
        ("g", _) => "sessions and outcomes",
        ("x", _) => "collections",
        ("w", Some("d")) => "data packs",
        ("w", Some("t")) => "tree packs",
        ("w", Some("i")) => "index segments",
        ("l", _) => "listings of a mirror",
        _ => "others",
    }
}

fn table(kinds: &[Kind]) -> Table {
    let mut table = Table::new(&["objects", ">count", ">size"]);
    for kind in kinds {
        table.row([kind.noun.to_owned(), render::count(kind.count), render::size(kind.bytes)]);
    }
    table
}
