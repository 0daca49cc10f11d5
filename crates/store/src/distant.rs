//! A store as if it were far away: every request takes a round trip, and many at once pay. For tests of what the engine does differently
//! then, and for seeing where its round trips go.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use crate::backend::{Backend, Character, Span};
use crate::{Created, Durability, Object, StoreError};

/// As many as a real store behind a network takes.
const IN_FLIGHT: usize = 32;

/// A backend behind a line.
pub(crate) struct Distant {
    inner: Arc<dyn Backend>,
    round_trip: Duration,
}

impl Distant {
    pub(crate) fn new(inner: Arc<dyn Backend>, round_trip: Duration) -> Self {
        Self { inner, round_trip }
    }

    fn travel(&self) -> &dyn Backend {
        sleep(self.round_trip);
        &*self.inner
    }
}

impl Backend for Distant {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn size(&self, name: &str) -> Result<u64, StoreError> {
        self.travel().size(name)
    }

    fn get(&self, name: &str, span: Span) -> Result<Vec<u8>, StoreError> {
        self.travel().get(name, span)
    }

    fn read_into(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        self.travel().read_into(name, offset, buffer)
    }

    fn create(
        &self,
        name: &str,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<Created, StoreError> {
        self.travel().create(name, bytes, durability)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        self.travel().list(prefix)
    }

    fn delete(&self, name: &str) -> Result<bool, StoreError> {
        self.travel().delete(name)
    }

    fn barrier(&self) -> Result<(), StoreError> {
        self.inner.barrier()
    }

    fn free_space(&self) -> Option<u64> {
        self.inner.free_space()
    }

    fn character(&self) -> Character {
        Character { in_flight: IN_FLIGHT, ..self.inner.character() }
    }
}
