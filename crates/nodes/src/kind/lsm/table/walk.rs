//! Walks through the entries of a table in order, with one block of each level in memory.

use std::collections::VecDeque;

use super::block::Block;
use super::footer::Handle;
use super::{Layout, Table};
use crate::error::Result;
use crate::kind::lsm::wal::Op;
use crate::kind::lsm::wire::Cursor;

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, as the database's user knows it.
    pub key: Vec<u8>,
    /// Number among all writes.
    pub sequence: u64,
    /// What was done.
    pub op: Op,
    /// The value, or the end of a range.
    pub value: Vec<u8>,
}

/// A walk that is under way.
#[derive(Debug)]
pub struct Walk {
    /// Levels of the index above the one that lists data blocks.
    top: Option<Block>,
    low: Option<Block>,
    layout: Layout,
    /// Blocks to read, when no index lists them.
    given: VecDeque<Handle>,
    data: Option<(Handle, Block)>,
    /// Data blocks that were opened.
    pub blocks: u64,
    /// Bytes of index partitions, with their trailers.
    pub partition_bytes: u64,
    /// Bytes of data blocks, with their trailers.
    pub data_bytes: u64,
}

impl Walk {
    /// From the first entry of a table.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn new(table: &Table) -> Result<Self> {
        let block = Some(table.block(table.index())?);
        let (top, low) = if table.is_partitioned() { (block, None) } else { (None, block) };
        Ok(Self { top, low, layout: table.layout(), ..Self::of(None) })
    }

    /// Through the ranges that a table deletes.
    pub fn ranges(table: &Table) -> Self {
        Self::of(table.ranges())
    }

    fn of(given: Option<Handle>) -> Self {
        Self {
            top: None,
            low: None,
            layout: Layout::Plain,
            given: given.into_iter().collect(),
            data: None,
            blocks: 0,
            partition_bytes: 0,
            data_bytes: 0,
        }
    }

    /// The next entry.
    ///
    /// # Errors
    /// If what comes next is damaged.
    pub fn next(&mut self, table: &Table) -> Result<Option<Entry>> {
        loop {
            if let Some((place, block)) = &mut self.data {
                let place = *place;
                let pair = block.next_pair().map_err(|_| table.bad_block(place))?;
                if let Some((key, value)) = pair {
                    let entry = split_key(key).map(|(key, sequence, op)| Entry {
                        key: key.to_vec(),
                        sequence,
                        op,
                        value: value.to_vec(),
                    });
                    let bad = || table.damaged(place.offset, "a key of an unknown kind in a block");
                    return entry.ok_or_else(bad).map(Some);
                }
            }
            let Some(place) = self.next_place(table)? else {
                return Ok(None);
            };
            self.blocks += 1;
            self.data_bytes += place.size + super::TRAILER;
            self.data = Some((place, table.block(place)?));
        }
    }

    /// Where the next data block lies.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn next_place(&mut self, table: &Table) -> Result<Option<Handle>> {
        if let Some(place) = self.given.pop_front() {
            return Ok(Some(place));
        }
        loop {
            if let Some(low) = &mut self.low {
                let found =
                    low.next_place(self.layout).map_err(|_| table.bad_block(table.index()))?;
                if let Some((_, place)) = found {
                    return Ok(Some(place));
                }
            }
            let Some(top) = &mut self.top else { return Ok(None) };
            let found = top.next_place(self.layout).map_err(|_| table.bad_block(table.index()))?;
            let Some((_, place)) = found else { return Ok(None) };
            self.partition_bytes += place.size + super::TRAILER;
            self.low = Some(table.block(place)?);
        }
    }
}

/// A key of a table: the user's key, the sequence, what was done.
fn split_key(key: &[u8]) -> Option<(&[u8], u64, Op)> {
    let (user, packed) = key.split_at(key.len().checked_sub(8)?);
    let packed = Cursor::new(packed).u64().ok()?;
    let op = Op::of(u8::try_from(packed & 0xff).ok()?)?;
    Some((user, packed >> 8, op))
}
