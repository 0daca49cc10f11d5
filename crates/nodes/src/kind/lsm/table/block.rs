//! A block: keys in order, each without what it shares with the one before, and values.

use super::footer::Handle;
use crate::kind::lsm::wire::{Cursor, Short};

/// What follows each block, in bytes: its compression and its checksum.
pub const TRAILER: u64 = 5;

/// A key and its value.
pub type KeyValue<'a> = (&'a [u8], &'a [u8]);

/// How values of a block are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// With their length.
    Plain,
    /// Places of other blocks, each as a difference to the one before.
    Places {
        /// Whether they are written as differences.
        is_delta: bool,
        /// Whether the first key of the block follows.
        has_first_key: bool,
    },
}

/// The entries of a block, decompressed.
#[derive(Debug, Clone, Default)]
pub struct Block {
    bytes: Vec<u8>,
    /// Where entries end and restart points begin.
    end: usize,
    at: usize,
    key: Vec<u8>,
    /// The last place, for differences.
    place: Handle,
}

impl Block {
    /// # Errors
    /// If its end does not say where entries end.
    pub fn new(bytes: Vec<u8>) -> Result<Self, Short> {
        let end = entries_end(&bytes).ok_or(Short)?;
        Ok(Self { bytes, end, ..Self::default() })
    }

    /// The next key, and where its value lies in the block.
    fn step(&mut self, has_length: bool) -> Result<Option<(bool, usize, usize)>, Short> {
        let rest = &self.bytes[self.at..self.end];
        if rest.is_empty() {
            return Ok(None);
        }
        let mut cursor = Cursor::new(rest);
        let shared = usize::try_from(cursor.varint32()?).map_err(|_| Short)?;
        let own = usize::try_from(cursor.varint32()?).map_err(|_| Short)?;
        let length = if has_length { cursor.varint32()? } else { 0 };
        let length = usize::try_from(length).map_err(|_| Short)?;
        if shared > self.key.len() {
            return Err(Short);
        }
        let key = cursor.take(own)?;
        let value = self.end - cursor.rest().len();
        cursor.take(length)?;
        self.key.truncate(shared);
        self.key.extend_from_slice(key);
        self.at = value + length;
        Ok(Some((shared > 0, value, value + length)))
    }

    /// The next key and value.
    ///
    /// # Errors
    /// If the block is damaged.
    pub fn next_pair(&mut self) -> Result<Option<KeyValue<'_>>, Short> {
        let step = self.step(true)?;
        Ok(step.map(|(_, from, to)| (&self.key[..], &self.bytes[from..to])))
    }

    /// The next key and the place it leads to.
    ///
    /// # Errors
    /// If the block is damaged.
    pub fn next_place(&mut self, layout: Layout) -> Result<Option<(&[u8], Handle)>, Short> {
        let Layout::Places { is_delta, has_first_key } = layout else {
            let Some((_, from, to)) = self.step(true)? else { return Ok(None) };
            let handle = Handle::read(&mut Cursor::new(&self.bytes[from..to]))?;
            return Ok(Some((&self.key, handle)));
        };
        let Some((is_shared, from, to)) = self.step(!is_delta)? else { return Ok(None) };
        let to = if is_delta { self.end } else { to };
        let mut cursor = Cursor::new(&self.bytes[from..to]);
        self.place = if is_delta && is_shared {
            let before = self.place;
            let after =
                before.offset.checked_add(before.size).and_then(|at| at.checked_add(TRAILER));
            let size = before.size.checked_add_signed(cursor.signed()?);
            Handle { offset: after.ok_or(Short)?, size: size.ok_or(Short)? }
        } else {
            Handle::read(&mut cursor)?
        };
        if has_first_key {
            cursor.prefixed()?;
        }
        if is_delta {
            self.at = self.end - cursor.rest().len();
        }
        Ok(Some((&self.key, self.place)))
    }
}

/// Where entries end: before the restart points, and a hash table where there is one.
fn entries_end(bytes: &[u8]) -> Option<usize> {
    let foot = bytes.len().checked_sub(4)?;
    let packed = Cursor::new(&bytes[foot..]).u32().ok()?;
    let (has_hash, restarts) = (packed >> 31 == 1, usize::try_from(packed & 0x7fff_ffff).ok()?);
    let hash = if has_hash {
        let at = foot.checked_sub(2)?;
        let buckets = Cursor::new(&bytes[at..foot]).u16().ok()?;
        2 + usize::from(buckets)
    } else {
        0
    };
    foot.checked_sub(hash)?.checked_sub(restarts.checked_mul(4)?)
}
