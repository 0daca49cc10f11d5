//! The chunks that were read last: consecutive small files come from few.

use crate::error::{Damage, Error, Result};
use crate::id::ChunkId;
use crate::pack::PackKind;
use crate::reader::{Buffers, ChunkReader};
use crate::tree::Run;

/// How many chunks are kept.
const KEPT: usize = 4;

/// Chunks read last, the latest first; one for each thread.
#[derive(Default)]
pub struct ChunkCache {
    slots: Vec<(Option<ChunkId>, Buffers)>,
}

impl ChunkCache {
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
        if self.slots.len() < KEPT {
            self.slots.push((None, Buffers::new()));
        }
        let last = self.slots.len() - 1;
        let slot = &mut self.slots[last];
        slot.0 = None;
        reader.chunk(PackKind::Data, id, &mut slot.1)?;
        slot.0 = Some(*id);
        Ok(last)
    }
}
