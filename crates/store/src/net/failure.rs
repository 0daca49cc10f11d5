//! Why a request failed, before it is known which object it was about.

use std::error::Error;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;

use super::Reply;
use crate::{Answer, Op, StoreError, StoreErrorKind};

/// Characters of a store's words that are passed on.
const MAX_DETAIL: usize = 300;

/// A failed request.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: StoreErrorKind,
    detail: String,
    retry_after: Option<Duration>,
}

impl Failure {
    pub(crate) fn new(kind: StoreErrorKind, detail: String) -> Self {
        Self { kind, detail: shortened(&detail), retry_after: None }
    }

    pub(crate) fn plain(kind: StoreErrorKind) -> Self {
        Self::new(kind, String::new())
    }

    pub(crate) fn timed_out(what: &str) -> Self {
        Self::new(StoreErrorKind::TimedOut, what.to_owned())
    }

    pub(crate) fn retry_after(self, retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..self }
    }

    /// Another kind, where this one says no more than that something was not found.
    pub(crate) fn or_kind(self, kind: StoreErrorKind) -> Self {
        match self.kind {
            StoreErrorKind::NotFound => Self { kind, ..self },
            _ => self,
        }
    }

    pub(crate) fn at(self, op: Op, location: &str, object: &str) -> StoreError {
        let Self { kind, detail, retry_after } = self;
        let answer = Answer { detail, attempts: 1, elapsed: Duration::ZERO, retry_after };
        StoreError { answer: Some(Box::new(answer)), ..StoreError::new(op, location, object, kind) }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        // The address is said elsewhere.
        let error = error.without_url();
        let chain = chain(&error);
        let is_about_trust = chain.contains("certificate") || chain.contains("UnknownIssuer");
        let kind = if error.is_connect() && is_about_trust {
            StoreErrorKind::UntrustedCertificate
        } else if error.is_connect() {
            StoreErrorKind::Unreachable
        } else if error.is_timeout() {
            StoreErrorKind::TimedOut
        } else if error.is_redirect() {
            StoreErrorKind::UnexpectedAnswer("a redirection that is not followed")
        } else if error.is_builder() {
            StoreErrorKind::BadOption("the endpoint cannot be used")
        } else {
            StoreErrorKind::Interrupted
        };
        Self::new(kind, chain)
    }
}

/// The error and its causes; the outer ones say little.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause: &&dyn Error| (*cause).source());
    let texts: Vec<_> = causes.map(ToString::to_string).collect();
    match texts.is_empty() {
        true => error.to_string(),
        false => texts.join(": "),
    }
}

/// On one line, without control characters, and short.
pub(crate) fn shortened(text: &str) -> String {
    let clean = text.split_whitespace().flat_map(|word| [" ", word]).flat_map(str::chars);
    clean.skip(1).filter(|c| !c.is_control()).take(MAX_DETAIL).collect()
}

/// The seconds that the answer asks to wait; dates are not understood, and rare.
pub(crate) fn retry_after(reply: &Reply) -> Option<Duration> {
    reply.header(&RETRY_AFTER)?.trim().parse().ok().map(Duration::from_secs)
}
