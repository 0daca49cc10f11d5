//! The log format of WAL and MANIFEST: records in fragments, in blocks of 32 KiB, each fragment with its CRC.
//!
//! The reader takes bytes as they come, so that it can follow a file that grows: [`Next::Wait`] says that the file ends before the record does,
//! and the same reader goes on when there is more.

use super::wire::{Cursor, masked_crc};

/// Size of a block in bytes.
pub const BLOCK: u64 = 32 * 1024;
/// Size of a fragment's head in bytes: CRC, length, type.
const HEAD: usize = 7;
/// Size of the head of a fragment in a log that may be recycled: the log's number comes last.
const RECYCLABLE_HEAD: usize = 11;
/// Types from here on say nothing that a reader must know.
const IGNORABLE: u8 = 1 << 7;
/// Longer records are damage: no program writes them.
const LONGEST: usize = 1 << 30;

/// What comes next in a log.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A whole record.
    Record(Vec<u8>),
    /// The bytes end here: between records, or in one.
    Wait,
    /// The log ends here: zeros that were allocated in advance, or what an older log left in a recycled file.
    End,
    /// What stands here is no record.
    Broken {
        /// Offset in the file, in bytes.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Records are compressed from here on.
    Compressed,
}

/// Follows a log.
#[derive(Debug, Default)]
pub struct Reader {
    /// The log's number, for logs that may be recycled.
    number: Option<u32>,
    /// Bytes not yet read.
    buffer: Vec<u8>,
    /// How much of the buffer is done with.
    used: usize,
    /// Offset in the file of the first byte not yet read.
    offset: u64,
    /// Fragments of a record that is not whole yet.
    pending: Option<Vec<u8>>,
    /// Offset after the last whole record.
    whole: u64,
    /// Whether fragments carry the log's number, so that its file may be an older log's.
    is_recycled: bool,
}

/// One fragment.
enum Fragment {
    Full(Vec<u8>),
    First(Vec<u8>),
    Middle(Vec<u8>),
    Last(Vec<u8>),
    Nothing,
}

impl Reader {
    /// A reader from the start of a log; a WAL has the number of its name, for the case that its file is a recycled one.
    pub fn new(number: Option<u64>) -> Self {
        // The format stores the lower half of the number.
        let number = number.and_then(|number| u32::try_from(number & 0xffff_ffff).ok());
        Self { number, ..Self::default() }
    }

    /// More bytes of the file, which follow those given before.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.used);
        self.used = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Offset after the last whole record, in bytes.
    pub fn whole(&self) -> u64 {
        self.whole
    }

    /// Whether there are fragments of a record whose last has not come.
    pub fn is_within_record(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether the bytes end within a record or a fragment. What follows the last record of a recycled file is the middle of an older one, and may
    /// look like the head of a fragment that goes on beyond the file: that is no tear.
    pub fn is_torn(&self) -> bool {
        let has_more = self.buffer[self.used..].iter().any(|byte| *byte != 0);
        self.pending.is_some() || (has_more && !self.may_be_older(0))
    }

    /// The next record, if there is one.
    pub fn read(&mut self) -> Next {
        loop {
            let fragment = match self.fragment() {
                Ok(fragment) => fragment,
                Err(other) => return other,
            };
            match (fragment, self.pending.take()) {
                (Fragment::Full(record), None) => return self.finish(record),
                (Fragment::First(start), None) => self.pending = Some(start),
                (Fragment::Middle(more), Some(mut record)) => {
                    record.extend_from_slice(&more);
                    if record.len() > LONGEST {
                        return self.broken("a record without an end");
                    }
                    self.pending = Some(record);
                }
                (Fragment::Last(more), Some(mut record)) => {
                    record.extend_from_slice(&more);
                    return self.finish(record);
                }
                (Fragment::Nothing, pending) => self.pending = pending,
                (_, _) => return self.broken("a fragment out of order"),
            }
        }
    }

    fn finish(&mut self, record: Vec<u8>) -> Next {
        self.whole = self.offset;
        Next::Record(record)
    }

    fn broken(&self, what: &'static str) -> Next {
        Next::Broken { at: self.offset, what }
    }

    /// The next fragment; the offset moves only past what is whole.
    fn fragment(&mut self) -> Result<Fragment, Next> {
        self.skip_trailer()?;
        let rest = &self.buffer[self.used..];
        let mut cursor = Cursor::new(rest);
        let wait = |_| Next::Wait;
        let crc = cursor.u32().map_err(wait)?;
        let length = usize::from(cursor.u16().map_err(wait)?);
        let kind = cursor.u8().map_err(wait)?;
        if kind == 0 && length == 0 {
            return Err(self.zeros());
        }
        let head = if is_recyclable(kind) { RECYCLABLE_HEAD } else { HEAD };
        if head + length > self.left_in_block() {
            return Err(self.no_fragment(kind, "a fragment that crosses its block"));
        }
        let Some(fragment) = rest.get(..head + length) else {
            return Err(Next::Wait);
        };
        if masked_crc(&[&fragment[HEAD - 1..]]) != crc {
            return Err(self.no_fragment(kind, "a wrong checksum"));
        }
        if self.is_of_older_log(kind, fragment) {
            return Err(Next::End);
        }
        self.is_recycled |= is_recyclable(kind);
        let classified = self.classify(kind, fragment[head..].to_vec())?;
        self.advance(head + length);
        Ok(classified)
    }

    /// Zeros: allocated in advance to the end, or part of what is about to be written.
    fn zeros(&self) -> Next {
        if self.buffer[self.used..].iter().all(|byte| *byte == 0) {
            return Next::Wait;
        }
        self.no_fragment(0, "zeros between records")
    }

    /// In a recycled file the middle of what the older log left behind follows the last fragment, and looks like anything: whether something is
    /// missing shows in the sequences of the next log.
    fn no_fragment(&self, kind: u8, what: &'static str) -> Next {
        if self.may_be_older(kind) { Next::End } else { self.broken(what) }
    }

    /// Whether what stands here, as it seems a fragment of this type, may be an older log's.
    fn may_be_older(&self, kind: u8) -> bool {
        self.number.is_some() && (self.is_recycled || is_recyclable(kind))
    }

    fn is_of_older_log(&self, kind: u8, fragment: &[u8]) -> bool {
        let stored = Cursor::new(fragment.get(HEAD..).unwrap_or_default()).u32();
        is_recyclable(kind) && self.number.is_some_and(|number| stored != Ok(number))
    }

    fn classify(&self, kind: u8, body: Vec<u8>) -> Result<Fragment, Next> {
        match kind {
            1 | 5 => Ok(Fragment::Full(body)),
            2 | 6 => Ok(Fragment::First(body)),
            3 | 7 => Ok(Fragment::Middle(body)),
            4 | 8 => Ok(Fragment::Last(body)),
            9 => Err(Next::Compressed),
            // Sizes of user-defined timestamps, and what a later version may add.
            10 | 11 | IGNORABLE.. => Ok(Fragment::Nothing),
            kind => Err(self.no_fragment(kind, "a fragment of an unknown type")),
        }
    }

    fn left_in_block(&self) -> usize {
        usize::try_from(BLOCK - self.offset % BLOCK).unwrap_or(0)
    }

    /// Too little room for a head is filled with zeros.
    fn skip_trailer(&mut self) -> Result<(), Next> {
        let left = self.left_in_block();
        let rest = &self.buffer[self.used..];
        // A recyclable head needs more room: then zeros stand where a plain one could.
        let is_filled = left < RECYCLABLE_HEAD
            && rest.len() >= left
            && rest[..left].iter().all(|byte| *byte == 0);
        if left >= HEAD && !is_filled {
            return Ok(());
        }
        if rest.len() < left {
            return Err(Next::Wait);
        }
        self.advance(left);
        Ok(())
    }

    fn advance(&mut self, by: usize) {
        self.used += by;
        self.offset += by as u64;
    }
}

fn is_recyclable(kind: u8) -> bool {
    matches!(kind, 5..=8 | 11 | 131)
}
