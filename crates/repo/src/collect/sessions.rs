//! Which sessions are dead. A session that is ended by mistake loses its work and nothing else, so clocks may decide here.

use nodekeep_store::{Created, Durability};

use crate::control::{Outcome, Session, Stamp};
use crate::error::Result;
use crate::id::SessionId;
use crate::names::{self, InGeneration, Role};
use crate::process;
use crate::repository::Repository;
use crate::view::View;

use super::CollectOptions;

/// The sessions of a view that have no outcome.
pub(super) struct Judged {
    pub(super) open: usize,
    pub(super) dead: Vec<Stamp>,
}

/// Judges every session that has no outcome, also one whose object cannot be read: it was torn by a crash, or is nobody's.
pub(super) fn judge(repo: &Repository, view: &View, options: &CollectOptions) -> Judged {
    let mut dead: Vec<Stamp> = Vec::new();
    let mut open = 0;
    for session in &view.sessions {
        if is_dead(repo, session, options) {
            dead.push(session.stamp);
        } else {
            open += 1;
        }
    }
    dead.extend(unreadable(view));
    Judged { open, dead }
}

fn is_dead(repo: &Repository, session: &Session, options: &CollectOptions) -> bool {
    let silent_ms = crate::clock::now().as_millisecond().saturating_sub(session.started_ms);
    let writer = repo.roster().member(&session.stamp.writer);
    // A date in the far future is as incredible as one in the far past.
    silent_ms.unsigned_abs() / 1000 > options.patience_secs
        || writer.is_none_or(|member| member.revoked.is_some())
        || process::is_gone(&session.process, repo.domain())
}

/// Sessions that only their name tells of.
fn unreadable(view: &View) -> impl Iterator<Item = Stamp> {
    let parsed =
        || view.generation_objects.iter().filter_map(|name| names::parse_in_generation(name));
    let ended: Vec<SessionId> =
        parsed().filter(|name| name.role == Role::Outcome).map(|name| name.session).collect();
    let readable =
        |id: &SessionId| view.sessions.iter().any(|session| session.stamp.session == *id);
    let is_unread = move |name: &InGeneration| {
        name.role == Role::Session && !ended.contains(&name.session) && !readable(&name.session)
    };
    parsed().filter(is_unread).map(|name| {
        let InGeneration { generation, member, session, .. } = name;
        Stamp { generation, writer: member, sequence: 0, session }
    })
}

/// Ends a session; false if it ended itself before.
pub(super) fn fence(repo: &Repository, stamp: &Stamp) -> Result<bool> {
    let (key, _) = repo.keeper()?;
    let outcome = Outcome { stamp: *stamp, roster: repo.roster().number, commit: None };
    let object = outcome.seal(&repo.id(), &key);
    Ok(repo.store().create(&stamp.outcome_name(), &object, Durability::Durable)? == Created::New)
}
