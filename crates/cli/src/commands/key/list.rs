//! `nodekeep key list`: the roster.

use clap::Args;
use nodekeep_repo::repository::Repository;
use nodekeep_repo::roster::{Member, Role};
use serde_json::{Value, json};

use crate::error::Result;
use crate::render::{self, Table};
use crate::session::{App, Need};

/// Show the roster: who may read, write and collect
#[derive(Debug, Args)]
#[command(after_help = "\
Role: any. The roster is signed by the owner.

Example:
  nodekeep key list

Also spelled: recipient list.")]
pub struct List {}

impl List {
    pub fn run(&self, app: &App) -> Result<()> {
        let repository = app.open(Need::Look)?.repository;
        app.output.answer(table(&repository).text())?;
        let roster = repository.roster();
        app.output.remark(format!(
            "\nRoster {}, reader group {}, signed by owner {}.",
            roster.number,
            roster.current_group().number,
            render::fingerprint(&repository.config().root.0)
        ));
        app.output.document(&document(&repository))
    }
}

fn table(repository: &Repository) -> Table {
    let mut table = Table::new(&["member", "role", "label", "key", "state"]);
    for member in &repository.roster().members {
        table.row([
            render::short(&member.id.hex()).to_owned(),
            member.role.word().to_owned(),
            label(repository, member),
            key(member),
            state(member),
        ]);
    }
    table
}

/// A member's label, as far as the keys at hand open it.
pub fn label(repository: &Repository, member: &Member) -> String {
    let text = member.label(&repository.id(), repository.domain()).unwrap_or_default();
    render::path(text.as_bytes())
}

fn key(member: &Member) -> String {
    match member.public() {
        Some(public) if matches!(member.role, Role::Writer | Role::Keeper) => {
            render::fingerprint(&public.0)
        }
        _ => shortened(&render::path(&member.key)),
    }
}

/// The kind of a recipient and its end: enough to tell keys apart.
fn shortened(key: &str) -> String {
    let count = key.chars().count();
    if count <= 24 {
        return key.to_owned();
    }
    let head: String = key.chars().take(12).collect();
    let tail: String = key.chars().skip(count - 8).collect();
    format!("{head}…{tail}")
}

fn state(member: &Member) -> String {
    match (member.revoked, member.role) {
        (None, _) => String::new(),
        (Some(_), Role::Reader | Role::Collector) => "removed".to_owned(),
        (Some(from), _) => format!("removed from run {from} on"),
    }
}

/// The roster as JSON.
pub fn document(repository: &Repository) -> Value {
    let roster = repository.roster();
    let member = |member: &Member| {
        let envelopes: Vec<u64> = member.envelopes.iter().map(|(group, _)| *group).collect();
        let key = match member.role {
            Role::Writer | Role::Keeper => nodekeep_repo::id::to_hex(&member.key),
            _ => String::from_utf8_lossy(&member.key).into_owned(),
        };
        json!({
            "id": member.id.hex(),
            "role": member.role.word(),
            "label": member.label(&repository.id(), repository.domain()),
            "key": key,
            "groups": envelopes,
            "removed": member.revoked.is_some(),
        })
    };
    json!({
        "roster": roster.number,
        "signed": render::json::time(roster.created * 1000),
        "owner": render::fingerprint(&repository.config().root.0),
        "group": roster.current_group().number,
        "members": roster.members.iter().map(member).collect::<Vec<_>>(),
    })
}
