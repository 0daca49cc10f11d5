//! Reads a copy: the living keys and values of a column family, in order, merged from the WALs and the tables of every level.
//!
//! In memory are one block of each table that is open (every table of level 0, one of each other level) and the column family's part of the WALs,
//! which a database keeps in memory too.

mod sources;

use std::path::{Path, PathBuf};

use super::blob::Blobs;
use super::disk::{Disk, Folder, read_at};
use super::edit::FamilyId;
use super::order::Order;
use super::ranges::{Range, Ranges};
use super::table::Entry;
use super::tail::Tail;
use super::version::{Family, Named, Version, named};
use super::wal::{Look, Op};
use super::wire::Cursor;
use crate::error::{Error, Result};
use sources::Merge;

/// How much of a WAL is read at once, in bytes.
const PIECE: usize = 1 << 20;

/// A database that nobody writes to.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    version: Version,
    logs: Vec<(u64, PathBuf)>,
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The key.
    pub key: Vec<u8>,
    /// What it holds.
    pub value: Value,
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// These bytes.
    Plain(Vec<u8>),
    /// Columns, as the database encodes them.
    Columns(Vec<u8>),
    /// What only the node's own merge operator can put together: operands from the newest to the oldest, then the value they apply to, if there
    /// is one.
    Operands(Vec<Vec<u8>>),
}

impl Value {
    /// The bytes as they are stored; operands one after the other.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Plain(bytes) | Self::Columns(bytes) => bytes,
            Self::Operands(operands) => operands.concat(),
        }
    }
}

impl Database {
    /// Reads what belongs to the database in a folder.
    ///
    /// # Errors
    /// If there is none, or its MANIFEST is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let folder = Folder::new(path);
        let version = Tail::open(&folder)?.version().clone();
        let names = folder.list().map_err(Error::file(path, "list"))?;
        let lowest = version.lowest_log();
        let logs = names.iter().filter_map(|name| match named(name) {
            Named::Log(number) if number >= lowest => Some((number, path.join(name))),
            _ => None,
        });
        let mut logs: Vec<_> = logs.collect();
        logs.sort();
        Ok(Self { path: path.to_owned(), version, logs })
    }

    /// Names of the column families; LevelDB has one, `default`.
    pub fn families(&self) -> Vec<&str> {
        self.version.families.values().map(|family| family.name.as_str()).collect()
    }

    /// Every living key of a column family with its value, in the order of the keys.
    ///
    /// # Errors
    /// If there is no such family, its order of keys is not known here, its WALs hold transactions in two phases, or something is damaged.
    pub fn pairs(&self, family: &str) -> Result<Pairs> {
        let mut families = self.version.families.iter();
        let found = families.find(|(_, found)| found.name == family);
        let (id, family) = found
            .ok_or_else(|| self.unsupported(format!("there is no column family `{family}`")))?;
        let order = Order::of(&family.comparator).ok_or_else(|| {
            self.unsupported(format!(
                "keys of column family `{}` are in the order `{}`, which only its program knows",
                family.name, family.comparator
            ))
        })?;
        let (mut memory, mut ranges) = self.memory(*id, family)?;
        memory.sort_by(|a, b| order.compare_versions((&a.key, a.sequence), (&b.key, b.sequence)));
        let merge = Merge::new(&self.path, order, memory, family, &mut ranges)?;
        Ok(Pairs {
            merge,
            order,
            ranges: Ranges::new(order, ranges),
            blobs: Blobs::new(&self.path),
            is_over: false,
        })
    }

    /// What the WALs hold of a column family that is not in tables.
    fn memory(&self, id: FamilyId, family: &Family) -> Result<(Vec<Entry>, Vec<Range>)> {
        let (mut entries, mut ranges) = (Vec::new(), Vec::new());
        for (at, (number, path)) in self.logs.iter().enumerate() {
            if *number < family.log_number {
                continue;
            }
            let file = std::fs::File::open(path).map_err(Error::file(path, "open"))?;
            let (mut look, mut done) = (Look::new(*number), 0);
            loop {
                let piece = read_at(&file, done, PIECE).map_err(Error::file(path, "read"))?;
                look.push(&piece, |write| {
                    if write.family != id {
                        return;
                    }
                    let (key, value) = (write.key.to_vec(), write.value.to_vec());
                    let sequence = write.sequence;
                    if write.op == Op::DeleteRange {
                        ranges.push(Range { start: key, end: value, sequence, end_from: None });
                    } else {
                        entries.push(Entry { key, sequence, op: write.op, value });
                    }
                });
                done += piece.len() as u64;
                if piece.len() < PIECE {
                    break;
                }
            }
            let seen = look.finish(at + 1 == self.logs.len());
            if seen.is_two_phase || seen.is_compressed {
                let reason = "its WALs are compressed, or hold transactions in two phases";
                return Err(self.unsupported(reason.to_owned()));
            }
            if let Some((at, what)) = seen.broken {
                let reason = format!("{what} at offset {at}");
                return Err(Error::Damaged { path: path.clone(), reason });
            }
        }
        Ok((entries, ranges))
    }

    fn unsupported(&self, reason: String) -> Error {
        Error::Unsupported { path: self.path.clone(), reason }
    }
}

/// A walk through the living pairs of a column family.
#[derive(Debug)]
pub struct Pairs {
    merge: Merge,
    order: Order,
    ranges: Ranges,
    blobs: Blobs,
    is_over: bool,
}

impl Iterator for Pairs {
    type Item = Result<Pair>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.next_living().transpose();
        // Nothing that follows damage can be trusted.
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}

impl Pairs {
    fn next_living(&mut self) -> Result<Option<Pair>> {
        while let Some(newest) = self.merge.next()? {
            let key = newest.key.clone();
            if let Some(value) = self.settle(newest)? {
                return Ok(Some(Pair { key, value }));
            }
        }
        Ok(None)
    }

    /// What a key holds, from its newest entry and those that follow; `None` if it was deleted.
    fn settle(&mut self, newest: Entry) -> Result<Option<Value>> {
        let key = newest.key.clone();
        let mut operands = Vec::new();
        let mut base = None;
        let mut entry = Some(newest);
        let mut is_settled = false;
        while let Some(current) = entry {
            if !is_settled {
                let is_hidden = self.ranges.hide(&current.key, current.sequence);
                match current.op {
                    Op::Merge if !is_hidden => operands.push(current.value),
                    op => {
                        is_settled = true;
                        base = if is_hidden { None } else { self.value(op, current.value)? };
                    }
                }
            }
            entry = self.merge.next_of(self.order, &key)?;
        }
        if operands.is_empty() {
            return Ok(base);
        }
        operands.extend(base.map(Value::into_bytes));
        Ok(Some(Value::Operands(operands)))
    }

    fn value(&mut self, op: Op, mut bytes: Vec<u8>) -> Result<Option<Value>> {
        Ok(match op {
            Op::Put => Some(Value::Plain(bytes)),
            // The time of the write follows the value.
            Op::TimedPut => {
                bytes.truncate(bytes.len().saturating_sub(8));
                Some(Value::Plain(bytes))
            }
            Op::BlobIndex => Some(Value::Plain(self.blobs.value(&bytes)?)),
            Op::Columns => Some(Value::Columns(bytes)),
            Op::Delete | Op::SingleDelete | Op::DeleteRange | Op::Merge => None,
        })
    }
}

/// The user's part and the sequence of a key in the MANIFEST, and whether it is the end of a range, which is not a key of the table.
pub(super) fn bound(key: &[u8]) -> (&[u8], u64, bool) {
    let at = key.len().saturating_sub(8);
    let packed = Cursor::new(&key[at..]).u64().unwrap_or(0);
    let is_range_end = packed == u64::MAX << 8 | Op::DeleteRange as u64;
    (&key[..at], packed >> 8, is_range_end)
}
