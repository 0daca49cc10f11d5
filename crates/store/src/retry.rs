//! A decorator that makes failed requests again, and finds out what the failed ones had done.
//!
//! What callers guarantee: two writers never create the same name with the same bytes by chance.
//! Their objects carry a nonce or a signature, or are named by their content. Only so does "the
//! object has my bytes" mean "I made it".

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::backend::{Backend, Character, Page, Span, all_pages};
use crate::clock::Clock;
use crate::options::RetryPolicy;
use crate::{Created, Durability, Object, Op, StoreError, StoreErrorKind};

/// Attempts to reach a store that never answered yet: its name may be mistyped.
const FIRST_CONTACT: u32 = 3;

pub(crate) struct Retry {
    inner: Arc<dyn Backend>,
    policy: RetryPolicy,
    clock: Arc<dyn Clock>,
    /// Whether the store has ever answered.
    was_reached: AtomicBool,
}

/// The attempts before the present one.
#[derive(Clone, Copy, Default)]
struct Past {
    failures: u32,
    /// One of them may have been carried out.
    may_have_acted: bool,
}

impl Retry {
    pub(crate) fn new(inner: Arc<dyn Backend>, policy: RetryPolicy, clock: Arc<dyn Clock>) -> Self {
        Self { inner, policy, clock, was_reached: AtomicBool::new(false) }
    }

    /// Attempts until it works, fails for good, or the policy's bounds are reached.
    fn run<T>(
        &self,
        mut attempt: impl FnMut(Past) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let start = self.clock.now();
        let mut past = Past::default();
        loop {
            let error = match attempt(past) {
                Ok(result) => {
                    self.was_reached.store(true, Ordering::Relaxed);
                    return Ok(result);
                }
                Err(error) => error,
            };
            if error.kind != StoreErrorKind::Unreachable {
                self.was_reached.store(true, Ordering::Relaxed);
            }
            past.failures += 1;
            past.may_have_acted |= error.kind.may_have_acted();
            let elapsed = self.clock.now().saturating_sub(start);
            let Some(pause) = self.pause(&error, past.failures, elapsed) else {
                return Err(after(error, past.failures, elapsed));
            };
            self.clock.sleep(pause);
        }
    }

    /// How long to wait before the next attempt; `None` if there is to be none.
    fn pause(&self, error: &StoreError, failures: u32, elapsed: Duration) -> Option<Duration> {
        let was_reached = self.was_reached.load(Ordering::Relaxed);
        let attempts = if was_reached { u32::MAX } else { FIRST_CONTACT };
        if !error.kind.is_transient() || failures >= self.policy.attempts.min(attempts) {
            return None;
        }
        let doubled = 2_u32.saturating_pow(failures - 1);
        let bound = self.policy.first_pause.saturating_mul(doubled).min(self.policy.longest_pause);
        let asked = error.answer.as_ref().and_then(|answer| answer.retry_after);
        let asked = asked.unwrap_or_default().min(self.policy.longest_pause);
        let pause = self.clock.up_to(bound).max(asked);
        (elapsed.saturating_add(pause) <= self.policy.total).then_some(pause)
    }

    /// Whether the object that is there is the one that a failed attempt had made.
    fn whose(&self, name: &str, bytes: &[u8]) -> Result<Created, StoreError> {
        let part = Span::Part { offset: 0, len: bytes.len() };
        let is_same = |size| match size == bytes.len() as u64 {
            true => self.inner.get(name, part).map(|found| found == bytes),
            false => Ok(false),
        };
        match self.inner.size(name).and_then(is_same) {
            Ok(true) => Ok(Created::New),
            Ok(false) => Ok(Created::Exists),
            // Somebody deleted it in between: the next attempt starts from nothing.
            Err(error) if error.is_not_found() => {
                Err(StoreError { op: Op::Create, kind: StoreErrorKind::Conflict, ..error })
            }
            // Who may not read cannot know. That something is there is true in any case.
            Err(error) if error.kind == StoreErrorKind::PermissionDenied => Ok(Created::Exists),
            Err(error) => Err(StoreError { op: Op::Create, ..error }),
        }
    }
}

/// The last error, with what it took.
fn after(error: StoreError, attempts: u32, elapsed: Duration) -> StoreError {
    let answer =
        error.answer.map(|answer| Box::new(crate::Answer { attempts, elapsed, ..*answer }));
    StoreError { answer, ..error }
}

impl Backend for Retry {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn size(&self, name: &str) -> Result<u64, StoreError> {
        self.run(|_| self.inner.size(name))
    }

    fn get(&self, name: &str, span: Span) -> Result<Vec<u8>, StoreError> {
        self.run(|_| self.inner.get(name, span))
    }

    fn read_into(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        self.run(|_| self.inner.read_into(name, offset, buffer))
    }

    fn create(
        &self,
        name: &str,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<Created, StoreError> {
        self.run(|past| match self.inner.create(name, bytes, durability)? {
            Created::Exists if past.may_have_acted => self.whose(name, bytes),
            created => Ok(created),
        })
    }

    /// Each part of a long listing has its own attempts.
    fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        let endless = StoreErrorKind::UnexpectedAnswer("a listing without end");
        let endless = || StoreError::new(Op::List, self.location(), prefix, endless);
        all_pages(|token| self.list_page(prefix, token), endless)
    }

    fn list_page(&self, prefix: &str, token: Option<&str>) -> Result<Page, StoreError> {
        self.run(|_| self.inner.list_page(prefix, token))
    }

    /// What is gone after an attempt that may have been carried out, that attempt has deleted.
    fn delete(&self, name: &str) -> Result<bool, StoreError> {
        self.run(|past| Ok(self.inner.delete(name)? || past.may_have_acted))
    }

    fn barrier(&self) -> Result<(), StoreError> {
        self.run(|_| self.inner.barrier())
    }

    fn free_space(&self) -> Option<u64> {
        self.inner.free_space()
    }

    fn character(&self) -> Character {
        self.inner.character()
    }
}

#[cfg(test)]
mod tests;
