//! Write batches: what the records of a WAL hold, and whether one follows the other.

use super::edit::FamilyId;
use super::log::{Next, Reader};
use super::wire::{Cursor, Short};

/// What was done to a key. The numbers are those of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// It has no value any more.
    Delete = 0,
    /// It has this value.
    Put = 1,
    /// The value is to be merged with what was there.
    Merge = 2,
    /// It has no value any more, and had only been written once.
    SingleDelete = 7,
    /// All keys from this to the one in the value, which is not among them, have no value any more.
    DeleteRange = 15,
    /// Its value lies in a blob file.
    BlobIndex = 17,
    /// Its value is a list of columns.
    Columns = 22,
    /// Its value, with a hint of when it was written.
    TimedPut = 24,
}

impl Op {
    /// The operation of a number that keys in tables carry.
    pub fn of(kind: u8) -> Option<Self> {
        let all = [
            Self::Delete,
            Self::Put,
            Self::Merge,
            Self::SingleDelete,
            Self::DeleteRange,
            Self::BlobIndex,
            Self::Columns,
            Self::TimedPut,
        ];
        all.into_iter().find(|op| *op as u8 == kind)
    }

    /// The operation of a tag in a batch, and whether a column family follows it.
    fn of_tag(tag: u8) -> Option<(Self, bool)> {
        Some(match tag {
            0 => (Self::Delete, false),
            1 => (Self::Put, false),
            2 => (Self::Merge, false),
            4 => (Self::Delete, true),
            5 => (Self::Put, true),
            6 => (Self::Merge, true),
            7 => (Self::SingleDelete, false),
            8 => (Self::SingleDelete, true),
            14 => (Self::DeleteRange, true),
            15 => (Self::DeleteRange, false),
            16 => (Self::BlobIndex, true),
            17 => (Self::BlobIndex, false),
            22 => (Self::Columns, false),
            23 => (Self::Columns, true),
            24 => (Self::TimedPut, false),
            25 => (Self::TimedPut, true),
            _ => return None,
        })
    }

    fn has_value(self) -> bool {
        !matches!(self, Self::Delete | Self::SingleDelete)
    }
}

/// One write of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write<'a> {
    /// The column family.
    pub family: FamilyId,
    /// Its number among all writes.
    pub sequence: u64,
    /// What is done.
    pub op: Op,
    /// The key.
    pub key: &'a [u8],
    /// The value, or the end of a range.
    pub value: &'a [u8],
}

/// Why a batch cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadBatch {
    /// It ends early.
    Short,
    /// A tag that this program does not know.
    Unknown(u8),
    /// It holds another number of writes than its head says.
    Count,
}

impl From<Short> for BadBatch {
    fn from(_: Short) -> Self {
        Self::Short
    }
}

/// The head of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHead {
    /// Sequence of its first write.
    pub sequence: u64,
    /// How many writes it holds.
    pub count: u32,
}

/// Reads a batch and gives each of its writes to `to`.
///
/// # Errors
/// If it is not whole or not known.
pub fn batch(record: &[u8], mut to: impl FnMut(Write)) -> Result<BatchHead, BadBatch> {
    let mut cursor = Cursor::new(record);
    let head = BatchHead { sequence: cursor.u64()?, count: cursor.u32()? };
    let mut sequence = head.sequence;
    while !cursor.is_empty() {
        let tag = cursor.u8()?;
        let Some((op, has_family)) = Op::of_tag(tag) else {
            skip_mark(tag, &mut cursor)?;
            continue;
        };
        let family = if has_family { cursor.varint32()? } else { 0 };
        let key = cursor.prefixed()?;
        let value = if op.has_value() { cursor.prefixed()? } else { &[] };
        to(Write { family, sequence, op, key, value });
        sequence = sequence.wrapping_add(1);
    }
    if sequence.wrapping_sub(head.sequence) == u64::from(head.count) {
        Ok(head)
    } else {
        Err(BadBatch::Count)
    }
}

/// Tags without a write: log data, and the marks of two-phase commits.
fn skip_mark(tag: u8, cursor: &mut Cursor) -> Result<(), BadBatch> {
    match tag {
        3 | 10..=12 => _ = cursor.prefixed()?,
        9 | 13 | 18 | 19 => {}
        21 => {
            cursor.prefixed()?;
            cursor.prefixed()?;
        }
        tag => return Err(BadBatch::Unknown(tag)),
    }
    Ok(())
}

/// What a look at the records of one WAL shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Records within.
    pub records: u64,
    /// Sequence of its first write, if it has one.
    pub first: Option<u64>,
    /// Sequence after its last write.
    pub after: u64,
    /// Places where sequences do not go on: before and after.
    pub gaps: Vec<(u64, u64)>,
    /// The first thing that is no record: offset in bytes and what is wrong.
    pub broken: Option<(u64, String)>,
    /// Whether it is compressed.
    pub is_compressed: bool,
    /// Whether it has marks of two-phase commits, so that its writes count only when they are committed.
    pub is_two_phase: bool,
}

/// Looks at a WAL while it is read.
#[derive(Debug)]
pub struct Look {
    reader: Reader,
    seen: Seen,
    is_over: bool,
}

impl Look {
    /// At the WAL of this number.
    pub fn new(number: u64) -> Self {
        Self { reader: Reader::new(Some(number)), seen: Seen::default(), is_over: false }
    }

    /// Takes bytes that follow those before; each write goes to `to`.
    pub fn push(&mut self, bytes: &[u8], mut to: impl FnMut(Write)) {
        if self.is_over {
            return;
        }
        self.reader.push(bytes);
        loop {
            let at = self.reader.whole();
            match self.reader.read() {
                Next::Record(record) => self.record(at, &record, &mut to),
                Next::Wait => return,
                Next::End => break,
                Next::Broken { at, what } => {
                    self.seen.broken = Some((at, what.to_owned()));
                    break;
                }
                Next::Compressed => {
                    self.seen.is_compressed = true;
                    break;
                }
            }
            if self.seen.broken.is_some() {
                break;
            }
        }
        self.is_over = true;
    }

    fn record(&mut self, at: u64, record: &[u8], to: &mut impl FnMut(Write)) {
        match batch(record, to) {
            Ok(head) => self.follow(head),
            Err(bad) => {
                self.seen.broken = Some((at, format!("a batch that cannot be read ({bad:?})")))
            }
        }
        // A batch of a prepared transaction begins with its mark.
        self.seen.is_two_phase |= matches!(record.get(12), Some(9 | 18 | 19));
    }

    fn follow(&mut self, head: BatchHead) {
        self.seen.records += 1;
        if head.count == 0 {
            return;
        }
        match self.seen.first {
            None => self.seen.first = Some(head.sequence),
            Some(_) if head.sequence != self.seen.after => {
                self.seen.gaps.push((self.seen.after, head.sequence));
            }
            Some(_) => {}
        }
        self.seen.after = head.sequence.saturating_add(u64::from(head.count));
    }

    /// Offset after the last whole record, in bytes.
    pub fn whole(&self) -> u64 {
        self.reader.whole()
    }

    /// What was seen. `is_last` says that nothing follows this WAL, so that it may end within a record.
    pub fn finish(mut self, is_last: bool) -> Seen {
        let is_torn =
            if self.is_over { self.reader.is_within_record() } else { self.reader.is_torn() };
        if self.seen.broken.is_none() && !is_last && is_torn {
            self.seen.broken = Some((self.reader.whole(), "a record without an end".to_owned()));
        }
        self.seen
    }
}
