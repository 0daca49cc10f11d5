//! `nodekeep key remove` and `rotate`: who may not read any more what is written from now on.

use clap::Args;
use nodekeep_repo::error::Error as Engine;
use nodekeep_repo::id::MemberId;
use nodekeep_repo::roster::{Member, Role, Roster};
use serde_json::json;

use super::list::label;
use crate::error::{Error, Result};
use crate::prompt;
use crate::render;
use crate::session::{App, Need, Opened};

/// Remove a member from the roster
#[derive(Debug, Args)]
#[command(
    before_help = "A removed reader cannot read what is written from now on; what it could read before, it still can, for it may have kept copies. A removed writer cannot add snapshots any more; those it made stay."
)]
#[command(after_help = "\
Role: owner.

Example:
  nodekeep key remove 7d2291ab

Also spelled: recipient remove.")]
pub struct Remove {
    /// The start of the member's id, or its key (see `nodekeep key list`)
    member: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Make a new reader group: what is written from now on needs it
#[derive(Debug, Args)]
#[command(
    before_help = "All present members get the new group's key. No backed-up data is touched."
)]
#[command(after_help = "\
Role: owner.

Example:
  nodekeep key rotate

Also spelled: rekey.")]
pub struct Rotate {}

impl Remove {
    pub fn run(&self, app: &App) -> Result<()> {
        let mut opened = app.open(Need::Own)?;
        let member = find(opened.repository.roster(), &self.member)?;
        let own = opened
            .repository
            .owner_keys()
            .is_some_and(|owner| owner.recipient().as_bytes() == member.key);
        if own || member.role == Role::Keeper {
            return Err(Error::Options(
                "this is the owner's own key: without it nobody could read or prune",
            ));
        }
        let (id, role) = (member.id, member.role);
        let name = name(&label(&opened.repository, member), &id);
        prompt::confirm(
            &app.output,
            self.yes,
            "removing a member",
            &format!("The {} {name} will be removed", role.word()),
        )?;
        opened.repository.remove_member(&id)?;
        opened.pin()?;
        app.output.say(format!("Removed the {} {name}.\n{}", role.word(), promise(role)))?;
        if role == Role::Writer {
            settle(app, &opened)?;
        }
        let roster = opened.repository.roster();
        app.output.document(&json!({
            "removed": { "id": id.hex(), "role": role.word() },
            "roster": roster.number,
            "group": roster.current_group().number,
        }))
    }
}

/// A stolen key may still sign what bears a number that it used before; a checkpoint ends that.
fn settle(app: &App, opened: &Opened) -> Result<()> {
    match opened.repository.settle() {
        Ok(Some(_)) => opened.pin(),
        Ok(None) => {
            app.output.remark(
                "A backup is under way. If the credential was stolen, prune when it is over: until then the thief can still add snapshots that look old.",
            );
            Ok(())
        }
        Err(error) => {
            app.output.remark(format!(
                "If the credential was stolen, prune soon: until then the thief can still add snapshots that look old ({error})."
            ));
            Ok(())
        }
    }
}

fn name(label: &str, id: &MemberId) -> String {
    let id = id.hex();
    match label {
        "" => render::short(&id).to_owned(),
        label => format!("{} ({label})", render::short(&id)),
    }
}

fn promise(role: Role) -> &'static str {
    match role {
        Role::Writer => {
            "It cannot add snapshots any more. Those it made stay, and can be restored."
        }
        _ => "It cannot read what is written from now on. What it could read before, it still can.",
    }
}

/// The member of a roster whose id starts so, or whose key it is.
fn find<'a>(roster: &'a Roster, wanted: &str) -> Result<&'a Member> {
    let matches = |m: &&Member| {
        let by_id = wanted.len() >= 4 && m.id.hex().starts_with(&wanted.to_lowercase());
        by_id || m.key_text() == Some(wanted.trim())
    };
    let found: Vec<&Member> = roster.members.iter().filter(matches).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(Engine::NoMember { wanted: wanted.to_owned() }.into()),
        many => Err(Engine::Ambiguous { wanted: wanted.to_owned(), count: many.len() }.into()),
    }
}

impl Rotate {
    pub fn run(&self, app: &App) -> Result<()> {
        let mut opened = app.open(Need::Own)?;
        let group = opened.repository.rotate()?;
        opened.pin()?;
        app.output.say(format!(
            "Reader group {group} is in force. What is written from now on is sealed to it."
        ))?;
        app.output.document(&json!({ "group": group, "roster": opened.repository.roster().number }))
    }
}
