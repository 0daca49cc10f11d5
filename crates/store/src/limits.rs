//! A decorator that bounds how many requests are in flight and how fast bytes flow.
//!
//! Rates are kept by debt: a request may start when the bytes of those before it are paid off, and
//! then runs at full speed. Over a few seconds the rate is the one that was asked for.

use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::backend::{Backend, Character, Page, Span, all_pages};
use crate::clock::Clock;
use crate::options::Limits;
use crate::{Created, Durability, Object, Op, StoreError, StoreErrorKind, lock};

pub(crate) struct Limited {
    inner: Arc<dyn Backend>,
    slots: Slots,
    upload: Rate,
    download: Rate,
    in_flight: usize,
}

/// Places for requests.
struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

/// Gives its place back when dropped.
struct Slot<'a>(&'a Slots);

/// Bytes per second.
struct Rate {
    bytes_per_sec: Option<NonZeroUsize>,
    clock: Arc<dyn Clock>,
    /// When everything that was let through is paid off.
    paid_off: Mutex<Duration>,
}

impl Slots {
    fn new(count: usize) -> Self {
        Self { free: Mutex::new(count), freed: Condvar::new() }
    }

    fn take(&self) -> Slot<'_> {
        let free = lock(&self.free);
        let free = self.freed.wait_while(free, |free| *free == 0);
        *free.unwrap_or_else(PoisonError::into_inner) -= 1;
        Slot(self)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *lock(&self.0.free) += 1;
        self.0.freed.notify_one();
    }
}

impl Rate {
    fn new(bytes_per_sec: Option<NonZeroUsize>, clock: &Arc<dyn Clock>) -> Self {
        Self { bytes_per_sec, clock: Arc::clone(clock), paid_off: Mutex::default() }
    }

    /// Takes on the debt of so many bytes, and waits until the debt before it is paid off.
    fn take(&self, bytes: usize) {
        let wait = self.owe(bytes);
        if !wait.is_zero() {
            self.clock.sleep(wait);
        }
    }

    /// Takes on the debt of so many bytes; tells how long the debt before it still lasts.
    fn owe(&self, bytes: usize) -> Duration {
        let Some(rate) = self.bytes_per_sec else {
            return Duration::ZERO;
        };
        let mut paid_off = lock(&self.paid_off);
        let now = self.clock.now();
        let start = now.max(*paid_off);
        let cost = Duration::from_secs_f64(bytes as f64 / rate.get() as f64);
        *paid_off = start.saturating_add(cost);
        start.saturating_sub(now)
    }
}

impl Limited {
    pub(crate) fn new(inner: Arc<dyn Backend>, limits: Limits, clock: &Arc<dyn Clock>) -> Self {
        let in_flight = limits.in_flight.map_or(inner.character().in_flight, NonZeroUsize::get);
        Self {
            slots: Slots::new(in_flight),
            upload: Rate::new(limits.upload_bytes_per_sec, clock),
            download: Rate::new(limits.download_bytes_per_sec, clock),
            inner,
            in_flight,
        }
    }
}

impl Backend for Limited {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn size(&self, name: &str) -> Result<u64, StoreError> {
        let _slot = self.slots.take();
        self.inner.size(name)
    }

    /// What a whole object costs is known only afterwards: the next read waits for it.
    fn get(&self, name: &str, span: Span) -> Result<Vec<u8>, StoreError> {
        let _slot = self.slots.take();
        if let Span::Part { len, .. } = span {
            self.download.take(len);
            return self.inner.get(name, span);
        }
        self.download.take(0);
        let bytes = self.inner.get(name, span)?;
        self.download.owe(bytes.len());
        Ok(bytes)
    }

    fn read_into(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        let _slot = self.slots.take();
        self.download.take(buffer.len());
        self.inner.read_into(name, offset, buffer)
    }

    fn create(
        &self,
        name: &str,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<Created, StoreError> {
        let _slot = self.slots.take();
        self.upload.take(bytes.len());
        self.inner.create(name, bytes, durability)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        let endless = StoreErrorKind::UnexpectedAnswer("a listing without end");
        let endless = || StoreError::new(Op::List, self.location(), prefix, endless);
        all_pages(|token| self.list_page(prefix, token), endless)
    }

    fn list_page(&self, prefix: &str, token: Option<&str>) -> Result<Page, StoreError> {
        let _slot = self.slots.take();
        self.inner.list_page(prefix, token)
    }

    fn delete(&self, name: &str) -> Result<bool, StoreError> {
        let _slot = self.slots.take();
        self.inner.delete(name)
    }

    fn barrier(&self) -> Result<(), StoreError> {
        self.inner.barrier()
    }

    fn free_space(&self) -> Option<u64> {
        self.inner.free_space()
    }

    fn character(&self) -> Character {
        Character { in_flight: self.in_flight, ..self.inner.character() }
    }
}

#[cfg(test)]
mod tests;
