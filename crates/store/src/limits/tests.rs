//! Limits, without waiting.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::*;
use crate::Store;
use crate::clock::testing::FakeClock;

fn limited(inner: &Store, limits: Limits) -> (Limited, Arc<FakeClock>) {
    let fake = Arc::new(FakeClock::default());
    let clock: Arc<dyn Clock> = fake.clone();
    (Limited::new(Arc::clone(&inner.backend), limits, &clock), fake)
}

fn seconds(clock: &FakeClock) -> Vec<f64> {
    clock.sleeps().iter().map(Duration::as_secs_f64).collect()
}

#[test]
fn bytes_are_paid_off_before_the_next_request() {
    let limits = Limits { upload_bytes_per_sec: NonZeroUsize::new(1000), ..Limits::default() };
    let (store, clock) = limited(&Store::memory(), limits);
    for name in ["a", "b", "c"] {
        store.create(name, &[0; 500], Durability::Visible).unwrap();
    }
    assert_eq!(seconds(&clock), [0.5, 0.5]);
    clock.advance(Duration::from_secs(60));
    store.create("d", &[0; 500], Durability::Visible).unwrap();
    store.get("d", Span::All).unwrap();
    assert_eq!(seconds(&clock).len(), 2, "an idle time pays off, and reading is not writing");
}

#[test]
fn whole_objects_count_as_what_they_are() {
    let limits = Limits { download_bytes_per_sec: NonZeroUsize::new(1000), ..Limits::default() };
    let (store, clock) = limited(&Store::memory(), limits);
    store.create("a", &[0; 3000], Durability::Visible).unwrap();
    store.get("a", Span::All).unwrap();
    store.get("a", Span::Part { offset: 0, len: 1000 }).unwrap();
    store.read_into("a", 0, &mut [0; 10]).unwrap();
    assert_eq!(seconds(&clock), [3.0, 1.0]);
}

/// Counts who is inside, and lets nobody out before it is told.
struct Gate {
    inside: AtomicUsize,
    entered: mpsc::SyncSender<usize>,
    leave: Mutex<mpsc::Receiver<()>>,
}

impl Backend for Gate {
    fn location(&self) -> &str {
        "gate"
    }
    fn size(&self, _: &str) -> Result<u64, StoreError> {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.entered.send(inside).unwrap();
        lock(&self.leave).recv().unwrap();
        self.inside.fetch_sub(1, Ordering::SeqCst);
        Ok(0)
    }
    fn get(&self, _: &str, _: Span) -> Result<Vec<u8>, StoreError> {
        Ok(Vec::new())
    }
    fn read_into(&self, _: &str, _: u64, _: &mut [u8]) -> Result<(), StoreError> {
        Ok(())
    }
    fn create(&self, _: &str, _: &[u8], _: Durability) -> Result<Created, StoreError> {
        Ok(Created::New)
    }
    fn list(&self, _: &str) -> Result<Vec<Object>, StoreError> {
        Ok(Vec::new())
    }
    fn delete(&self, _: &str) -> Result<bool, StoreError> {
        Ok(false)
    }
    fn barrier(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[test]
fn no_more_requests_than_allowed_are_in_flight() {
    let (entered, entries) = mpsc::sync_channel(16);
    let (let_go, leave) = mpsc::channel();
    let gate = Gate { inside: AtomicUsize::new(0), entered, leave: Mutex::new(leave) };
    let clock: Arc<dyn Clock> = Arc::new(FakeClock::default());
    let limits = Limits { in_flight: NonZeroUsize::new(3), ..Limits::default() };
    let store = Limited::new(Arc::new(gate), limits, &clock);
    assert_eq!(store.character().in_flight, 3);
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| store.size("x").unwrap());
        }
        let first: Vec<_> = (0..3).map(|_| entries.recv().unwrap()).collect();
        assert_eq!(first.iter().max(), Some(&3));
        for _ in 0..10 {
            let_go.send(()).unwrap();
        }
        let rest: Vec<_> = (0..7).map(|_| entries.recv().unwrap()).collect();
        assert!(rest.iter().all(|inside| *inside <= 3), "{rest:?}");
    });
    assert_eq!(*lock(&store.slots.free), 3);
}
