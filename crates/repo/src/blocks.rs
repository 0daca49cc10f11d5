//! Tree chunks of a distant store, read by the block: the trees of a snapshot lie close together and are small, so that one round trip
//! brings many of them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use nodekeep_store::{Store, StoreError};

use crate::index::Pack;

/// Bytes in a block.
const BLOCK: u64 = 1024 * 1024;
/// Blocks that are kept.
const KEPT: usize = 32;

/// Number of the pack in its index, number of the block in the pack.
type Key = (u32, u64);

#[derive(Debug, Default)]
struct State {
    ready: HashMap<Key, (u64, Arc<Vec<u8>>)>,
    loading: HashSet<Key>,
    uses: u64,
}

impl State {
    fn use_block(&mut self, key: Key) -> Option<Arc<Vec<u8>>> {
        self.uses += 1;
        let (used, bytes) = self.ready.get_mut(&key)?;
        *used = self.uses;
        Some(bytes.clone())
    }

    fn keep(&mut self, key: Key, bytes: Arc<Vec<u8>>) {
        self.uses += 1;
        self.ready.insert(key, (self.uses, bytes));
        if self.ready.len() > KEPT {
            let oldest = self.ready.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| *key);
            oldest.and_then(|key| self.ready.remove(&key));
        }
    }
}

/// Blocks of packs, each asked for once however many threads want it.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    state: Mutex<State>,
    arrived: Condvar,
}

impl Blocks {
    /// Fills `out` with the pack's bytes from `offset` on.
    ///
    /// # Errors
    /// As [`Store::get_range`] of a block; what lies in an undamaged part may still be read by itself.
    pub(crate) fn read(
        &self,
        store: &Store,
        (number, pack): (u32, &Pack),
        offset: u64,
        out: &mut [u8],
    ) -> Result<(), StoreError> {
        let mut filled = 0;
        while filled < out.len() {
            let at = offset + filled as u64;
            let block = self.block(store, (number, at / BLOCK), pack)?;
            let part = block.get((at % BLOCK) as usize..).unwrap_or_default();
            if part.is_empty() {
                // Beyond the size that the index knows: let the store say what is there.
                return store.read_into(&pack.pack.name(), at, &mut out[filled..]);
            }
            let len = part.len().min(out.len() - filled);
            out[filled..filled + len].copy_from_slice(&part[..len]);
            filled += len;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn block(&self, store: &Store, key: Key, pack: &Pack) -> Result<Arc<Vec<u8>>, StoreError> {
        let mut state = self.lock();
        while state.loading.contains(&key) {
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(bytes) = state.use_block(key) {
            return Ok(bytes);
        }
        state.loading.insert(key);
        drop(state);
        let start = key.1 * BLOCK;
        let len = pack.size.saturating_sub(start).min(BLOCK) as usize;
        let read = match len {
            0 => Ok(Vec::new()),
            _ => store.get_range(&pack.pack.name(), start, len),
        };
        let read = read.map(Arc::new);
        let mut state = self.lock();
        state.loading.remove(&key);
        if let Ok(bytes) = &read {
            state.keep(key, bytes.clone());
        }
        self.arrived.notify_all();
        read
    }
}
