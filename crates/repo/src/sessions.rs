//! Sessions that have no outcome: which of them live, and how one is stopped.
//!
//! A session that is ended by mistake loses its work and nothing else, so clocks may decide here. The writer's clock is only believed by
//! who has no memory of its own: [`Sightings`] remember when a session was last seen to get on, by the clock of whoever looks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use nodekeep_store::{Created, Durability};

use crate::collect::CollectOptions;
use crate::collect::finish::{Finish, highest};
use crate::control::{Outcome, Session, Stamp, Statement};
use crate::error::{Error, Result};
use crate::id::{MemberId, SessionId};
use crate::names::{self, InGeneration, Role};
use crate::process;
use crate::repository::Repository;
use crate::view::View;

/// What was seen of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// Progress objects at that time.
    pub progress: u64,
    /// When it was first seen with so many, Unix milliseconds, by the clock of whoever looked.
    pub since_ms: i64,
}

/// What a client remembers of open sessions, from one look to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sightings {
    known: BTreeMap<SessionId, Sighting>,
}

impl Sightings {
    /// The file's text.
    pub fn to_text(&self) -> String {
        let line = |(id, seen): (&SessionId, &Sighting)| {
            format!("{id} {} {}\n", seen.progress, seen.since_ms)
        };
        self.known.iter().map(line).collect()
    }

    /// Reads the file's text; what is unreadable counts as never seen.
    pub fn from_text(text: &str) -> Self {
        let line = |line: &str| {
            let mut parts = line.split(' ');
            let id = SessionId::parse(parts.next()?)?;
            let progress = parts.next()?.parse().ok()?;
            Some((id, Sighting { progress, since_ms: parts.next()?.parse().ok()? }))
        };
        Self { known: text.lines().filter_map(line).collect() }
    }

    /// Takes in what a view shows at `now_ms`, Unix milliseconds, and forgets what it does not show.
    pub fn look(&mut self, view: &View, now_ms: i64) {
        let progress = progress_of(view);
        let now = |session: &Session| {
            let id = session.stamp.session;
            let progress = progress.get(&id).copied().unwrap_or(0);
            let before = self.known.get(&id).filter(|seen| seen.progress == progress);
            // A clock that was set back must not make a session look fresh for ever.
            let before = before.filter(|seen| seen.since_ms <= now_ms);
            (id, before.copied().unwrap_or(Sighting { progress, since_ms: now_ms }))
        };
        self.known = view.sessions.iter().map(now).collect();
    }

    /// What was seen of a session.
    pub fn of(&self, id: &SessionId) -> Option<Sighting> {
        self.known.get(id).copied()
    }
}

/// How many progress objects each session of a view has.
fn progress_of(view: &View) -> BTreeMap<SessionId, u64> {
    let mut counts = BTreeMap::new();
    for name in view.generation_objects.iter().filter_map(|name| names::parse_in_generation(name)) {
        if matches!(name.role, Role::Progress(_)) {
            *counts.entry(name.session).or_default() += 1;
        }
    }
    counts
}

/// Memory that a repository and its clones share.
pub(crate) type Memory = Arc<Mutex<Sightings>>;

/// The sessions of a view that have no outcome.
pub(crate) struct Judged {
    pub(crate) open: usize,
    pub(crate) dead: Vec<Stamp>,
}

/// Judges every session that has no outcome, also one whose object cannot be read: it was torn by a crash, or is nobody's.
pub(crate) fn judge(repo: &Repository, view: &View, options: &CollectOptions) -> Judged {
    let now_ms = crate::clock::now().as_millisecond();
    let sightings = repo.sightings().map(|memory| {
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.look(view, now_ms);
        memory.clone()
    });
    let mut dead: Vec<Stamp> = Vec::new();
    let mut open = 0;
    for session in &view.sessions {
        let seen = sightings.as_ref().and_then(|seen| seen.of(&session.stamp.session));
        let silent = silent_ms(session, seen, now_ms);
        if is_dead(repo, session) || silent / 1000 > options.patience_secs {
            dead.push(session.stamp);
        } else {
            open += 1;
        }
    }
    dead.extend(unreadable(view));
    Judged { open, dead }
}

/// How long a session has shown no sign of life, in milliseconds: since it was last seen to get on, or, without memory, since it says
/// that it began. A date in the far future is as incredible as one in the far past.
fn silent_ms(session: &Session, seen: Option<Sighting>, now_ms: i64) -> u64 {
    let since = seen.map_or(session.started_ms, |seen| seen.since_ms);
    now_ms.saturating_sub(since).unsigned_abs()
}

/// Whether it surely commits nothing more: its process is gone from this machine, or its writer was removed.
fn is_dead(repo: &Repository, session: &Session) -> bool {
    let writer = repo.roster().member(&session.stamp.writer);
    writer.is_none_or(|member| member.revoked.is_some())
        || process::is_gone(&session.process, repo.domain())
}

/// Sessions that only their name tells of.
fn unreadable(view: &View) -> impl Iterator<Item = Stamp> {
    let parsed =
        || view.generation_objects.iter().filter_map(|name| names::parse_in_generation(name));
    let session = |name: &InGeneration| (name.generation, name.session);
    let ended: Vec<(u64, SessionId)> =
        parsed().filter(|name| name.role == Role::Outcome).map(|name| session(&name)).collect();
    let readable = |id: (u64, SessionId)| {
        view.sessions.iter().any(|session| (session.stamp.generation, session.stamp.session) == id)
    };
    let is_unread = move |name: &InGeneration| {
        let id = session(name);
        name.role == Role::Session && !ended.contains(&id) && !readable(id)
    };
    parsed().filter(is_unread).map(|name| {
        let InGeneration { generation, member, session, .. } = name;
        Stamp { generation, writer: member, sequence: 0, session }
    })
}

/// Every session of a view that has no outcome, also one whose object cannot be read.
pub(crate) fn without_outcome(view: &View) -> Vec<Stamp> {
    view.sessions.iter().map(|session| session.stamp).chain(unreadable(view)).collect()
}

/// Ends every session of a generation before the open one: the next checkpoint is the last that could take in what they commit. All of
/// them had begun before the open generation did, so a view shows them all. Whether there were any: then the view is out of date.
pub(crate) fn end_earlier(repo: &Repository, view: &View) -> Result<bool> {
    let earlier: Vec<Stamp> = without_outcome(view)
        .into_iter()
        .filter(|stamp| stamp.generation < view.generation)
        .collect();
    for stamp in &earlier {
        fence(repo, stamp)?;
    }
    Ok(!earlier.is_empty())
}

/// Ends a session; false if it ended itself before.
pub(crate) fn fence(repo: &Repository, stamp: &Stamp) -> Result<bool> {
    let (key, _) = repo.keeper()?;
    end(repo, stamp, &key)
}

fn end(repo: &Repository, stamp: &Stamp, key: &crate::crypto::SigningKey) -> Result<bool> {
    let outcome = Outcome { stamp: *stamp, roster: repo.roster().number, commit: None };
    let object = outcome.seal(&repo.id(), key);
    Ok(repo.store().create(&stamp.outcome_name(), &object, Durability::Durable)? == Created::New)
}

/// Where a session runs, as far as it can be known: its host is a keyed tag that tells others nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// On this machine, by this process, which runs or is gone.
    Here {
        /// Process id.
        pid: u64,
        /// Whether it still runs.
        runs: bool,
    },
    /// On another machine, or in another container of this one.
    Elsewhere,
    /// Its object cannot be read.
    Unknown,
}

/// A session without outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSession {
    /// Its id.
    pub id: SessionId,
    /// Its writer.
    pub writer: MemberId,
    /// The writer's count; 0 if its object cannot be read.
    pub sequence: u64,
    /// When it says that it began, Unix milliseconds.
    pub started_ms: Option<i64>,
    /// Where it runs.
    pub whereabouts: Whereabouts,
    /// Progress objects: one for about each GiB stored.
    pub progress: u64,
    /// Since when this client has seen it without new progress, Unix milliseconds.
    pub seen_ms: Option<i64>,
    /// Whether the next collection ends it.
    pub is_dead: bool,
}

/// Who ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoppedBy {
    /// The owner's keeper.
    Keeper,
    /// Its own writer.
    Writer,
}

impl Repository {
    /// The sessions that have no outcome, oldest first.
    ///
    /// # Errors
    /// If the store fails.
    pub fn open_sessions(&self, options: &CollectOptions) -> Result<Vec<OpenSession>> {
        let repo = self.refreshed()?;
        let view = repo.view()?;
        let dead: Vec<SessionId> =
            judge(&repo, &view, options).dead.iter().map(|stamp| stamp.session).collect();
        let progress = progress_of(&view);
        let seen = repo.sightings().map(|memory| {
            let memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
            memory.clone()
        });
        let mut sessions: Vec<OpenSession> = view
            .sessions
            .iter()
            .map(|session| OpenSession {
                started_ms: Some(session.started_ms),
                whereabouts: whereabouts(&repo, session),
                ..blank(&session.stamp)
            })
            .chain(unreadable(&view).map(|stamp| blank(&stamp)))
            .collect();
        for session in &mut sessions {
            session.progress = progress.get(&session.id).copied().unwrap_or(0);
            session.seen_ms = seen.as_ref().and_then(|s| Some(s.of(&session.id)?.since_ms));
            session.is_dead = dead.contains(&session.id);
        }
        sessions.sort_by_key(|session| (session.started_ms, session.id));
        Ok(sessions)
    }

    /// Ends the open session whose id starts with `wanted`: it can commit nothing more. A keeper may end any, a writer its own.
    ///
    /// # Errors
    /// [`Error::NoSession`], [`Error::Ambiguous`], [`Error::SessionEnded`], or [`Error::OwnerOnly`] for a writer that means another's.
    pub fn stop_session(&self, wanted: &str) -> Result<(SessionId, StoppedBy)> {
        let repo = self.refreshed()?;
        let view = repo.view()?;
        let stamp = find(&view, wanted)?;
        let (key, by) = match repo.keeper() {
            Ok((key, _)) => {
                repo.needs_alone()?;
                (key, StoppedBy::Keeper)
            }
            Err(_) if repo.writer_id().is_ok_and(|id| id == stamp.writer) => {
                (repo.writer_key().ok_or(Error::NoWriter)?.clone(), StoppedBy::Writer)
            }
            Err(error) => return Err(error),
        };
        if end(&repo, &stamp, &key)? {
            return Ok((stamp.session, by));
        }
        let how = "it came to its end just now";
        Err(Error::SessionEnded { session: stamp.session, how })
    }
}

impl Repository {
    /// Closes the generation by a checkpoint: what a removed writer's key could still sign, with a sequence that it has used, counts no
    /// more from here on. Returns the checkpoint's number; `None` if a backup or collection is under way, and the next collection does it.
    ///
    /// # Errors
    /// [`Error::OwnerOnly`], or if the repository is damaged or the store fails.
    pub fn settle(&self) -> Result<Option<u64>> {
        self.needs_alone()?;
        let repo = self.refreshed()?;
        let judged = judge(&repo, &repo.view()?, &CollectOptions::default());
        for stamp in &judged.dead {
            fence(&repo, stamp)?;
        }
        let view = repo.view()?;
        if judged.open > 0 || !view.collections.is_empty() {
            return Ok(None);
        }
        let finish = Finish {
            repo: &repo,
            condemned: BTreeSet::new(),
            collections: highest(&view),
            fresh: Vec::new(),
            stale: Vec::new(),
        };
        finish.run()
    }
}

fn blank(stamp: &Stamp) -> OpenSession {
    OpenSession {
        id: stamp.session,
        writer: stamp.writer,
        sequence: stamp.sequence,
        started_ms: None,
        whereabouts: Whereabouts::Unknown,
        progress: 0,
        seen_ms: None,
        is_dead: false,
    }
}

fn whereabouts(repo: &Repository, session: &Session) -> Whereabouts {
    if !process::is_of_this_machine(&session.process, repo.domain()) {
        return Whereabouts::Elsewhere;
    }
    let runs = !process::is_gone(&session.process, repo.domain());
    Whereabouts::Here { pid: session.process.pid, runs }
}

/// The one open session that is meant; what has ended is said to have ended.
fn find(view: &View, wanted: &str) -> Result<Stamp> {
    let readable = view.sessions.iter().map(|session| session.stamp);
    let meant = |stamp: &Stamp| !wanted.is_empty() && stamp.session.hex().starts_with(wanted);
    let open: Vec<Stamp> = readable.chain(unreadable(view)).filter(meant).collect();
    match open.as_slice() {
        [one] => Ok(*one),
        [] => Err(not_open(view, wanted)),
        several => Err(Error::Ambiguous { wanted: wanted.to_owned(), count: several.len() }),
    }
}

fn not_open(view: &View, wanted: &str) -> Error {
    let ended = view
        .generation_objects
        .iter()
        .filter_map(|name| names::parse_in_generation(name))
        .find(|name| name.role == Role::Outcome && name.session.hex().starts_with(wanted));
    let live = view.live.iter().map(|live| live.stamp.session);
    let committed = live.into_iter().find(|id| id.hex().starts_with(wanted));
    match (committed, ended) {
        _ if wanted.is_empty() => Error::NoSession { wanted: wanted.to_owned() },
        (Some(session), _) => Error::SessionEnded { session, how: "its snapshot is committed" },
        (None, Some(name)) => {
            Error::SessionEnded { session: name.session, how: "without a snapshot" }
        }
        (None, None) => Error::NoSession { wanted: wanted.to_owned() },
    }
}
