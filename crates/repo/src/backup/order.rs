//! An order among threads: what is numbered is done by number, whoever does it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Who is next.
#[derive(Debug, Default)]
pub(super) struct Order {
    next: Mutex<u64>,
    passed: Condvar,
}

/// A place in the order. It is given up when dropped, after all before it; so every number that begins must be dropped,
/// and numbers must begin in order.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    order: &'a Order,
    number: u64,
}

impl Order {
    /// The place of a number.
    pub(super) fn turn(&self, number: u64) -> Turn<'_> {
        Turn { order: self, number }
    }
}

impl Turn<'_> {
    /// Waits until all before have been given up.
    pub(super) fn wait(&self) {
        drop(self.reached());
    }

    fn reached(&self) -> MutexGuard<'_, u64> {
        let mut next = self.order.next.lock().unwrap_or_else(PoisonError::into_inner);
        while *next < self.number {
            next = self.order.passed.wait(next).unwrap_or_else(PoisonError::into_inner);
        }
        next
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.reached() += 1;
        self.order.passed.notify_all();
    }
}
