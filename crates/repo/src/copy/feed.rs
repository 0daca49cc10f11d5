//! Chunks on their way from one repository to another: read ahead by several threads, used in order, never more at once than there are permits.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::id::ChunkId;
use crate::pack::PackKind;
use crate::reader::{Buffers, ChunkReader};

use super::translate::Put;

/// So many of the chunks used last are kept: a small file beside the next one lies in the same chunk.
const RECENT: usize = 8;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many chunks may be in memory.
#[derive(Debug)]
pub(super) struct Permits {
    left: Mutex<usize>,
    returned: Condvar,
}

impl Permits {
    /// Enough for `threads` to be busy while the chunks read before are used.
    pub(super) fn for_threads(threads: usize) -> Arc<Self> {
        Arc::new(Self { left: Mutex::new(2 * threads + 2 * RECENT), returned: Condvar::new() })
    }

    fn take(&self) {
        let mut left = lock(&self.left);
        while *left == 0 {
            left = self.returned.wait(left).unwrap_or_else(PoisonError::into_inner);
        }
        *left -= 1;
    }

    fn give_back(&self) {
        *lock(&self.left) += 1;
        self.returned.notify_one();
    }
}

/// A chunk as both repositories know it.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) plain: Vec<u8>,
    /// Its id where it goes.
    pub(super) id: ChunkId,
}

/// A chunk that was asked for.
#[derive(Debug)]
pub(super) struct Ticket {
    chunk: ChunkId,
    state: Mutex<Option<std::result::Result<Arc<Loaded>, Option<Error>>>>,
    ready: Condvar,
    permits: Arc<Permits>,
}

impl Ticket {
    fn set(&self, result: Result<Loaded>) {
        *lock(&self.state) = Some(result.map(Arc::new).map_err(Some));
        self.ready.notify_all();
    }

    /// The chunk, once it is there.
    pub(super) fn wait(&self) -> Result<Arc<Loaded>> {
        let mut state = lock(&self.state);
        loop {
            match &mut *state {
                Some(Ok(loaded)) => return Ok(loaded.clone()),
                // The first error ends the work: nobody asks twice.
                Some(Err(error)) => {
                    return Err(error.take().unwrap_or(Error::ChunkMissing(self.chunk)));
                }
                None => state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.permits.give_back();
    }
}

/// Asks for chunks in the order in which they will be used.
pub(super) struct Orders {
    jobs: Sender<Arc<Ticket>>,
    permits: Arc<Permits>,
    recent: VecDeque<Arc<Ticket>>,
}

impl Orders {
    pub(super) fn new(jobs: Sender<Arc<Ticket>>, permits: Arc<Permits>) -> Self {
        Self { jobs, permits, recent: VecDeque::new() }
    }

    /// A ticket for a chunk; waits while too many are in memory.
    pub(super) fn ask(&mut self, chunk: ChunkId) -> Arc<Ticket> {
        if let Some(at) = self.recent.iter().position(|ticket| ticket.chunk == chunk) {
            let ticket = self.recent.remove(at).unwrap_or_else(|| self.order(chunk));
            self.recent.push_back(ticket.clone());
            return ticket;
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        let ticket = self.order(chunk);
        self.recent.push_back(ticket.clone());
        ticket
    }

    fn order(&self, chunk: ChunkId) -> Arc<Ticket> {
        self.permits.take();
        let permits = self.permits.clone();
        let ticket =
            Arc::new(Ticket { chunk, state: Mutex::default(), ready: Condvar::new(), permits });
        // The readers leave only after this end has hung up.
        _ = self.jobs.send(ticket.clone());
        ticket
    }
}

/// A reading thread: chunks come from `reader` and go to `to`.
pub(super) fn work(jobs: &Mutex<Receiver<Arc<Ticket>>>, reader: &ChunkReader, to: &dyn Put) {
    let (mut buffers, mut compressor) = (Buffers::new(), to.compressor());
    loop {
        let Ok(ticket) = lock(jobs).recv() else {
            return;
        };
        let loaded = reader.chunk(PackKind::Data, &ticket.chunk, &mut buffers).and_then(|()| {
            let plain = std::mem::take(&mut buffers.plain);
            let id = to.put(PackKind::Data, &plain, &mut compressor)?;
            Ok(Loaded { plain, id })
        });
        ticket.set(loaded);
    }
}
