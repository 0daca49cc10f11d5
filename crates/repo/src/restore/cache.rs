//! The chunks that were read last: consecutive small files come from few. On a distant store, also what will be read next: chunks that lie
//! close together come with one request.

use std::collections::VecDeque;

use crate::error::{Damage, Error, Result};
use crate::fetch;
use crate::id::ChunkId;
use crate::index::Entry as Place;
use crate::pack::PackKind;
use crate::reader::{Buffers, ChunkReader};
use crate::tree::Run;
use crate::walk::places;

/// How many chunks are kept.
const KEPT: usize = 4;
/// The same on a distant store, where many threads wait for answers.
const KEPT_DISTANT: usize = 2;
/// No more is asked for at once, in bytes, unless one chunk is larger.
const SPAN: u64 = 2 * 1024 * 1024;
/// So many bytes that nobody expects are read along rather than asking twice: they take about as long as a round trip.
const GAP: u64 = 128 * 1024;
/// So many packs are read ahead in at once.
const PACKS: usize = 4;

/// Chunks read last, the latest first; one for each thread.
pub struct ChunkCache {
    slots: Vec<(Option<ChunkId>, Buffers)>,
    kept: usize,
    ahead: Option<Ahead>,
}

/// What is read ahead.
#[derive(Default)]
struct Ahead {
    expected: VecDeque<ChunkId>,
    /// The latest last.
    spans: Vec<Span>,
}

/// Bytes of a pack that hold several chunks.
struct Span {
    pack: u32,
    start: u64,
    bytes: Vec<u8>,
    /// Chunks that were not taken yet.
    left: usize,
}

impl Span {
    /// The stored bytes of a place, to be decrypted where they are: every chunk is taken once.
    fn take(&mut self, place: &Place) -> Option<&mut [u8]> {
        if self.pack != place.pack {
            return None;
        }
        let from = u64::from(place.offset).checked_sub(self.start)? as usize;
        let stored = self.bytes.get_mut(from..from + place.stored as usize)?;
        self.left = self.left.saturating_sub(1);
        Some(stored)
    }
}

impl Ahead {
    /// Reads the chunk with those that are expected soon and lie behind it; false where only the usual way may know what to do.
    fn read(&mut self, reader: &ChunkReader, id: &ChunkId, buffers: &mut Buffers) -> bool {
        match self.expected.iter().position(|next| next == id) {
            Some(at) => drop(self.expected.drain(..=at)),
            None => return false,
        }
        let Some(place) = first_place(reader, id) else {
            return false;
        };
        let read = match self.take(&place) {
            Some(stored) => reader.open_at(&place, stored, buffers).is_ok(),
            None => {
                self.fetch(reader, &place)
                    && self
                        .take(&place)
                        .is_some_and(|stored| reader.open_at(&place, stored, buffers).is_ok())
            }
        };
        match read {
            true => self.spans.retain(|span| span.left > 0),
            false => self.spans.clear(),
        }
        read
    }

    fn take(&mut self, place: &Place) -> Option<&mut [u8]> {
        self.spans.iter_mut().find_map(|span| span.take(place))
    }

    /// Asks for a chunk, and for what is expected soon and lies in the same pack, at most a gap behind. What lies in other packs is passed
    /// over: the threads of a backup share the chunks of a large file, and each may have filled a pack of its own.
    fn fetch(&mut self, reader: &ChunkReader, first: &Place) -> bool {
        let start = u64::from(first.offset);
        let (mut end, mut left) = (start + u64::from(first.stored), 1);
        // Bounds what all packs together have in memory.
        let mut soon = u64::from(first.stored);
        for next in self.expected.iter().map_while(|id| first_place(reader, id)) {
            soon += u64::from(next.stored);
            let from = u64::from(next.offset);
            let after = from + u64::from(next.stored);
            if soon > SPAN {
                break;
            }
            if next.pack == first.pack && from >= end && from - end <= GAP && after - start <= SPAN
            {
                (end, left) = (after, left + 1);
            }
        }
        self.spans.retain(|span| span.pack != first.pack);
        if self.spans.len() == PACKS {
            self.spans.remove(0);
        }
        let mut bytes = vec![0; (end - start) as usize];
        let name = reader.index().pack(first).pack.name();
        let read = reader.store().read_into(&name, start, &mut bytes).is_ok();
        if read {
            self.spans.push(Span { pack: first.pack, start, bytes, left });
        }
        read
    }
}

fn first_place(reader: &ChunkReader, id: &ChunkId) -> Option<Place> {
    places(reader.index(), PackKind::Data, id).next().map(|(_, place)| *place)
}

impl ChunkCache {
    /// An empty cache for a thread.
    pub fn new(reader: &ChunkReader) -> Self {
        let distant = fetch::is_distant(reader.store());
        let kept = if distant { KEPT_DISTANT } else { KEPT };
        Self { slots: Vec::new(), kept, ahead: distant.then(Ahead::default) }
    }

    /// Says which runs will be asked for next, in their order.
    pub fn expect<'r>(&mut self, runs: impl Iterator<Item = &'r Run>) {
        let Some(ahead) = &mut self.ahead else {
            return;
        };
        ahead.expected.clear();
        for run in runs {
            match run {
                Run::Data { chunk, .. } if ahead.expected.back() != Some(chunk) => {
                    ahead.expected.push_back(*chunk);
                }
                _ => (),
            }
        }
    }

    /// The bytes of a run; `None` for a hole.
    ///
    /// # Errors
    /// If the chunk cannot be read, or is shorter than the run says.
    pub fn bytes(&mut self, reader: &ChunkReader, run: &Run) -> Result<Option<&[u8]>> {
        let Run::Data { chunk, offset, len } = run else {
            return Ok(None);
        };
        let plain = self.chunk(reader, chunk)?;
        let start = *offset as usize;
        let bytes = plain.get(start..start + *len as usize);
        bytes.map(Some).ok_or_else(|| Error::damaged(format!("chunk {chunk}"), Damage::Truncated))
    }

    fn chunk(&mut self, reader: &ChunkReader, id: &ChunkId) -> Result<&[u8]> {
        let at = match self.slots.iter().position(|(have, _)| have.as_ref() == Some(id)) {
            Some(at) => at,
            None => self.load(reader, id)?,
        };
        self.slots[..=at].rotate_right(1);
        Ok(&self.slots[0].1.plain)
    }

    /// Reads a chunk in place of the one that was not used for longest.
    fn load(&mut self, reader: &ChunkReader, id: &ChunkId) -> Result<usize> {
        if self.slots.len() < self.kept {
            self.slots.push((None, Buffers::new()));
        }
        let last = self.slots.len() - 1;
        let slot = &mut self.slots[last];
        slot.0 = None;
        let ahead = self.ahead.as_mut();
        if !ahead.is_some_and(|ahead| ahead.read(reader, id, &mut slot.1)) {
            reader.chunk(PackKind::Data, id, &mut slot.1)?;
        }
        slot.0 = Some(*id);
        Ok(last)
    }
}
