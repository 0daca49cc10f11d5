//! Small files of this session by their content, so that equal ones are stored once. It remembers the last several hundred thousand: what
//! it costs is bounded, whatever the number of files. A copy that comes later than that is stored again, unless its whole group is known.

use std::collections::HashMap;

use crate::id::ChunkId;
use crate::tree::Run;

/// Files of a generation: seven eighths of a power of two fill a table as far as it goes, with about 24 MB.
const GENERATION: usize = (1 << 19) / 8 * 7;

/// Keyed hash of a file's content.
type Hash = [u8; 32];

#[derive(Debug, Default)]
struct Generation {
    chunks: Vec<ChunkId>,
    /// Number of the chunk, offset in it.
    places: HashMap<Hash, (u32, u32)>,
}

impl Generation {
    fn get(&self, hash: &Hash) -> Option<(ChunkId, u32)> {
        let (number, offset) = *self.places.get(hash)?;
        Some((self.chunks[number as usize], offset))
    }

    fn insert(&mut self, hash: Hash, (chunk, offset): (ChunkId, u32)) {
        if self.chunks.last() != Some(&chunk) {
            self.chunks.push(chunk);
        }
        self.places.insert(hash, (self.chunks.len() as u32 - 1, offset));
    }
}

/// Where small files were stored.
#[derive(Debug)]
pub(super) struct SmallFiles {
    recent: Generation,
    before: Generation,
    limit: usize,
}

impl Default for SmallFiles {
    fn default() -> Self {
        Self { recent: Generation::default(), before: Generation::default(), limit: GENERATION }
    }
}

impl SmallFiles {
    /// Where a file of this hash and length lies. One that is met again is remembered for longer.
    pub(super) fn get(&mut self, hash: &Hash, len: u32) -> Option<Run> {
        let run = |(chunk, offset)| Run::Data { chunk, offset, len };
        if let Some(place) = self.recent.get(hash) {
            return Some(run(place));
        }
        let place = self.before.get(hash)?;
        self.remember(*hash, place);
        Some(run(place))
    }

    /// Remembers where a file was stored, unless that is known; returns where it lies.
    pub(super) fn put(&mut self, hash: &Hash, chunk: ChunkId, offset: u32, len: u32) -> Run {
        self.get(hash, len).unwrap_or_else(|| {
            self.remember(*hash, (chunk, offset));
            Run::Data { chunk, offset, len }
        })
    }

    fn remember(&mut self, hash: Hash, place: (ChunkId, u32)) {
        if self.recent.places.len() >= self.limit {
            self.before = std::mem::take(&mut self.recent);
        }
        self.recent.insert(hash, place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u8) -> Hash {
        [number; 32]
    }

    #[test]
    fn the_first_place_of_a_content_is_the_one_for_all() {
        let mut small = SmallFiles::default();
        let first = small.put(&hash(1), ChunkId([1; 32]), 5, 10);
        assert_eq!(first, Run::Data { chunk: ChunkId([1; 32]), offset: 5, len: 10 });
        assert_eq!(small.put(&hash(1), ChunkId([2; 32]), 0, 10), first);
        assert_eq!(small.get(&hash(1), 10), Some(first));
        assert_eq!(small.get(&hash(2), 10), None);
    }

    #[test]
    fn what_was_not_met_for_long_is_forgotten() {
        let mut small = SmallFiles { limit: 4, ..SmallFiles::default() };
        for number in 0..100 {
            small.put(&hash(number), ChunkId([number / 3; 32]), u32::from(number), 1);
            assert!(small.get(&hash(0), 1).is_some(), "met again and again");
            assert!(small.recent.places.len() + small.before.places.len() <= 8);
        }
        assert!(small.get(&hash(1), 1).is_none());
        let newest = Run::Data { chunk: ChunkId([33; 32]), offset: 99, len: 1 };
        assert_eq!(small.get(&hash(99), 1), Some(newest));
    }
}
