//! Sessions of people: what a browser gets for a token. They live in memory: a daemon that was started anew asks for the token again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nodekeep_repo::crypto::random;
use nodekeep_repo::id::to_hex;

use crate::token::Token;

/// The cookie's name.
pub const COOKIE: &str = "nodekeep_session";
/// How long a session lasts.
pub const LASTS: Duration = Duration::from_secs(12 * 60 * 60);
/// More than this are not kept: the oldest goes.
const MOST: usize = 256;

/// A session.
#[derive(Debug, Clone)]
pub struct Session {
    /// Whose.
    pub token: Token,
    /// What proves that a change was asked for by our own page.
    pub csrf: String,
    since: Instant,
}

/// All sessions, by the hash of their cookie.
#[derive(Debug, Default)]
pub struct Sessions {
    open: Mutex<HashMap<[u8; 32], Session>>,
}

impl Sessions {
    /// Begins one. Returns the cookie's value.
    pub fn begin(&self, token: Token) -> (String, Session) {
        let id = to_hex(&random::<32>());
        let session = Session { token, csrf: to_hex(&random::<32>()), since: Instant::now() };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, session| session.since.elapsed() < LASTS);
        if open.len() >= MOST {
            let oldest = open.iter().min_by_key(|(_, session)| session.since).map(|(id, _)| *id);
            oldest.and_then(|id| open.remove(&id));
        }
        open.insert(key(&id), session.clone());
        (id, session)
    }

    /// The session of a cookie, if it lasts.
    pub fn find(&self, id: &str) -> Option<Session> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&key(id)).filter(|session| session.since.elapsed() < LASTS).cloned()
    }

    /// Ends one.
    pub fn end(&self, id: &str) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(id));
    }
}

/// What is looked up is a hash, so that the time it takes tells nothing of other sessions.
fn key(id: &str) -> [u8; 32] {
    *blake3::hash(id.as_bytes()).as_bytes()
}
