//! Retries, without waiting.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;
use crate::clock::testing::FakeClock;
use crate::{Answer, Store, lock};

/// What one request comes to.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Works,
    Fails(StoreErrorKind),
    /// Carried out, but the answer is lost.
    ActsAndFails(StoreErrorKind),
    /// Fails, and asks to wait for so many seconds.
    Asks(u64),
}

use Fate::{ActsAndFails, Asks, Fails, Works};
use StoreErrorKind::{
    Conflict, Interrupted, PermissionDenied, Throttled, TimedOut, Unavailable, Unreachable,
};

/// A memory store whose requests come to what a script says, and then all work.
struct Scripted {
    inner: Store,
    fates: Mutex<VecDeque<Fate>>,
    requests: Mutex<Vec<Op>>,
}

impl Scripted {
    fn run<T>(
        &self,
        op: Op,
        name: &str,
        act: impl FnOnce(&dyn Backend) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        lock(&self.requests).push(op);
        let fate = lock(&self.fates).pop_front().unwrap_or(Works);
        let (kind, retry_after) = match fate {
            Works => return act(&*self.inner.backend),
            Fails(kind) => (kind, None),
            ActsAndFails(kind) => {
                act(&*self.inner.backend)?;
                (kind, None)
            }
            Asks(seconds) => (Throttled, Some(Duration::from_secs(seconds))),
        };
        let error = StoreError::new(op, "s3://bucket", name, kind);
        let detail = "503 SlowDown".to_owned();
        let answer = Answer { detail, attempts: 1, elapsed: Duration::ZERO, retry_after };
        Err(StoreError { answer: Some(Box::new(answer)), ..error })
    }
}

impl Backend for Scripted {
    fn location(&self) -> &str {
        "s3://bucket"
    }
    fn size(&self, name: &str) -> Result<u64, StoreError> {
        self.run(Op::Size, name, |inner| inner.size(name))
    }
    fn get(&self, name: &str, span: Span) -> Result<Vec<u8>, StoreError> {
        self.run(Op::Get, name, |inner| inner.get(name, span))
    }
    fn read_into(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        self.run(Op::Get, name, |inner| inner.read_into(name, offset, buffer))
    }
    fn create(&self, name: &str, bytes: &[u8], d: Durability) -> Result<Created, StoreError> {
        self.run(Op::Create, name, |inner| inner.create(name, bytes, d))
    }
    fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        self.run(Op::List, prefix, |inner| inner.list(prefix))
    }
    /// One object to a page.
    fn list_page(&self, prefix: &str, token: Option<&str>) -> Result<Page, StoreError> {
        self.run(Op::List, prefix, |inner| {
            let at = token.map_or(0, |token| token.parse().unwrap());
            let all = inner.list(prefix)?;
            let next = (at + 1 < all.len()).then(|| (at + 1).to_string());
            Ok(Page { objects: all.into_iter().skip(at).take(1).collect(), next })
        })
    }
    fn delete(&self, name: &str) -> Result<bool, StoreError> {
        self.run(Op::Delete, name, |inner| inner.delete(name))
    }
    fn barrier(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

struct Bench {
    retry: Retry,
    scripted: Arc<Scripted>,
    clock: Arc<FakeClock>,
}

impl Bench {
    fn new(fates: &[Fate]) -> Self {
        let scripted = Arc::new(Scripted {
            inner: Store::memory(),
            fates: Mutex::new(fates.iter().copied().collect()),
            requests: Mutex::default(),
        });
        let clock = Arc::new(FakeClock::default());
        let policy = RetryPolicy {
            attempts: 6,
            total: Duration::from_secs(100),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(5),
        };
        let retry = Retry::new(scripted.clone(), policy, clock.clone());
        // Once reached, a store gets all its attempts.
        retry.was_reached.store(true, Ordering::Relaxed);
        Self { retry, scripted, clock }
    }

    fn put(&self, bytes: &[u8]) -> Result<Created, StoreError> {
        self.retry.create("c/1", bytes, Durability::Visible)
    }

    /// Somebody else's object, made behind the retries' back.
    fn others(&self, bytes: &[u8]) {
        let inner = &self.scripted.inner;
        inner.create("c/1", bytes, Durability::Visible).unwrap();
    }

    fn pauses(&self) -> Vec<u64> {
        self.clock.sleeps().iter().map(Duration::as_secs).collect()
    }

    fn requests(&self) -> Vec<Op> {
        lock(&self.scripted.requests).clone()
    }
}

#[test]
fn pauses_double_up_to_their_bound_and_heed_the_store() {
    let bench = Bench::new(&[Fails(Throttled); 5]);
    bench.others(b"x");
    assert_eq!(bench.retry.get("c/1", Span::All).unwrap(), b"x");
    assert_eq!(bench.pauses(), [1, 2, 4, 5, 5]);
    let bench = Bench::new(&[Asks(3), Asks(4000), Fails(TimedOut)]);
    bench.put(b"x").unwrap();
    assert_eq!(bench.pauses(), [3, 5, 4]);
}

#[test]
fn attempts_end_and_the_error_counts_them() {
    let bench = Bench::new(&[Fails(Unavailable); 100]);
    let error = bench.retry.size("c/1").unwrap_err();
    assert_eq!(error.kind, Unavailable);
    assert_eq!(bench.requests().len(), 6);
    assert_eq!(
        error.to_string(),
        "cannot inspect c/1 in s3://bucket: the store has a problem of its own: try later, or ask \
         who runs it (503 SlowDown); tried 6 times over 17.0 s"
    );
}

#[test]
fn no_attempt_starts_after_the_total_time() {
    let mut bench = Bench::new(&[Fails(Interrupted); 100]);
    bench.retry.policy.attempts = 1000;
    bench.retry.get("c/1", Span::All).unwrap_err();
    assert!(bench.clock.now() <= Duration::from_secs(100));
    assert_eq!(bench.requests().len(), 22);
}

#[test]
fn what_will_not_change_is_not_repeated() {
    for kind in [PermissionDenied, StoreErrorKind::NotFound, StoreErrorKind::BadCredentials] {
        let bench = Bench::new(&[Fails(kind)]);
        assert_eq!(bench.retry.get("c/1", Span::All).unwrap_err().kind, kind);
        assert_eq!(bench.requests().len(), 1);
        assert!(bench.pauses().is_empty());
    }
}

#[test]
fn a_store_that_never_answered_is_given_up_early() {
    let bench = Bench::new(&[Fails(Unreachable); 100]);
    bench.retry.was_reached.store(false, Ordering::Relaxed);
    bench.retry.size("c/1").unwrap_err();
    assert_eq!(bench.requests().len(), 3);
    let bench = Bench::new(&[[Works].as_slice(), &[Fails(Unreachable); 100]].concat());
    bench.retry.was_reached.store(false, Ordering::Relaxed);
    bench.put(b"x").unwrap();
    bench.retry.size("c/1").unwrap_err();
    assert_eq!(bench.requests().len(), 1 + 6);
}

#[test]
fn an_own_object_is_recognised_after_a_lost_answer() {
    for kind in [TimedOut, Interrupted, Unavailable, Throttled] {
        let bench = Bench::new(&[ActsAndFails(kind)]);
        assert_eq!(bench.put(b"mine").unwrap(), Created::New, "{kind:?}");
        assert_eq!(bench.requests(), [Op::Create, Op::Create, Op::Size, Op::Get]);
    }
}

#[test]
fn an_object_of_others_is_not_taken_for_ones_own() {
    for others in [b"ours".as_slice(), b"longer", b""] {
        let bench = Bench::new(&[Fails(TimedOut)]);
        bench.others(others);
        assert_eq!(bench.put(b"mine").unwrap(), Created::Exists, "{others:?}");
        assert_eq!(bench.scripted.inner.get("c/1").unwrap(), others);
    }
}

#[test]
fn who_surely_did_nothing_does_not_look() {
    for fate in [Fails(Unreachable), Fails(Conflict)] {
        let bench = Bench::new(&[fate]);
        bench.others(b"mine");
        assert_eq!(bench.put(b"mine").unwrap(), Created::Exists);
        assert_eq!(bench.requests(), [Op::Create, Op::Create]);
    }
}

#[test]
fn looking_fails_and_is_repeated_too() {
    let lost = ActsAndFails(TimedOut);
    let bench = Bench::new(&[lost, Works, Fails(Throttled), Works, Works, Fails(Interrupted)]);
    assert_eq!(bench.put(b"mine").unwrap(), Created::New);
    assert_eq!(bench.requests().iter().filter(|op| **op == Op::Create).count(), 4);
    // Who may not read learns that there is an object, and no more.
    let bench = Bench::new(&[lost, Works, Fails(PermissionDenied)]);
    assert_eq!(bench.put(b"mine").unwrap(), Created::Exists);
}

#[test]
fn an_object_deleted_while_looking_is_created_again() {
    let bench = Bench::new(&[ActsAndFails(TimedOut), Works, Fails(StoreErrorKind::NotFound)]);
    assert_eq!(bench.put(b"mine").unwrap(), Created::New);
}

#[test]
fn a_deletion_whose_answer_was_lost_counts_as_ones_own() {
    let cases = [
        (vec![ActsAndFails(TimedOut)], true, true),
        (vec![Fails(Unreachable)], true, true),
        (vec![Fails(Unreachable)], false, false),
        (vec![], false, false),
    ];
    for (fates, was_there, expected) in cases {
        let bench = Bench::new(&fates);
        if was_there {
            bench.others(b"x");
        }
        assert_eq!(bench.retry.delete("c/1").unwrap(), expected, "{fates:?} {was_there}");
    }
}

#[test]
fn each_page_of_a_listing_has_its_own_attempts() {
    let fates = [[Fails(TimedOut); 5].as_slice(), &[Works], &[Fails(Throttled); 5], &[Works]];
    let bench = Bench::new(&fates.concat());
    for name in ["a", "b", "c"] {
        bench.scripted.inner.create(name, b"", Durability::Visible).unwrap();
    }
    assert_eq!(bench.retry.list("").unwrap().len(), 3);
    assert_eq!(bench.requests().len(), 13);
}

#[test]
fn a_listing_that_never_moves_on_is_an_error() {
    let page = |_: Option<&str>| Ok(Page { objects: Vec::new(), next: Some("same".to_owned()) });
    let endless = || StoreError::new(Op::List, "", "", StoreErrorKind::TooLarge);
    assert_eq!(all_pages(page, endless).unwrap_err().kind, StoreErrorKind::TooLarge);
}
