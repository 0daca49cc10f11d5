//! Work for the threads of a backup: files to read, and chunks that a reader of a large file hands to whoever is free.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};

/// What a thread got.
pub(super) enum Next<J, C> {
    /// A job: may hand out chunks while it runs. Call [`Queue::job_done`] after it.
    Job(J),
    /// A chunk.
    Chunk(C),
}

struct State<J, C> {
    jobs: VecDeque<J>,
    chunks: VecDeque<C>,
    /// Jobs that run and could still hand out chunks.
    running: usize,
    closed: bool,
}

/// A bounded queue of jobs and chunks. Chunks go first: they hold memory.
pub(super) struct Queue<J, C> {
    state: Mutex<State<J, C>>,
    changed: Condvar,
    most_jobs: usize,
    most_chunks: usize,
}

impl<J, C> Queue<J, C> {
    pub(super) fn new(most_jobs: usize, most_chunks: usize) -> Self {
        let state =
            State { jobs: VecDeque::new(), chunks: VecDeque::new(), running: 0, closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), most_jobs, most_chunks }
    }

    /// For a single thread, that takes only after all was given.
    pub(super) fn unbounded() -> Self {
        Self::new(usize::MAX, 0)
    }

    fn lock(&self) -> MutexGuard<'_, State<J, C>> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn wait<'a>(&self, guard: MutexGuard<'a, State<J, C>>) -> MutexGuard<'a, State<J, C>> {
        self.changed.wait(guard).unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Adds a job; waits while there are many. Dropped if the queue is closed.
    pub(super) fn push(&self, job: J) {
        let mut state = self.lock();
        while state.jobs.len() >= self.most_jobs && !state.closed {
            state = self.wait(state);
        }
        if !state.closed {
            state.jobs.push_back(job);
            self.changed.notify_all();
        }
    }

    /// Hands out a chunk, made only if there is room; whether it was taken.
    pub(super) fn offer_with(&self, chunk: impl FnOnce() -> C) -> bool {
        if self.lock().chunks.len() >= self.most_chunks {
            return false;
        }
        let chunk = chunk();
        self.lock().chunks.push_back(chunk);
        self.changed.notify_all();
        true
    }

    /// The next work; `None` when all is done.
    pub(super) fn next(&self) -> Option<Next<J, C>> {
        let mut state = self.lock();
        loop {
            if let Some(chunk) = state.chunks.pop_front() {
                self.changed.notify_all();
                return Some(Next::Chunk(chunk));
            }
            if let Some(job) = state.jobs.pop_front() {
                state.running += 1;
                self.changed.notify_all();
                return Some(Next::Job(job));
            }
            if state.closed && state.running == 0 {
                return None;
            }
            state = self.wait(state);
        }
    }

    /// A job has ended.
    pub(super) fn job_done(&self) {
        self.lock().running -= 1;
        self.changed.notify_all();
    }

    /// No job will be added.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Drops what waits: the backup has failed.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.closed = true;
        let dropped = (std::mem::take(&mut state.jobs), std::mem::take(&mut state.chunks));
        drop(state);
        drop(dropped);
        self.changed.notify_all();
    }
}
