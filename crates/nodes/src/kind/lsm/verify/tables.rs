//! Verifies tables: every block, the order of keys, and what the properties and the MANIFEST say of them.

use std::cmp::Ordering;
use std::path::Path;

use super::Findings;
use crate::error::{Error, Result};
use crate::kind::lsm::edit::TableMeta;
use crate::kind::lsm::order::Order;
use crate::kind::lsm::read::bound;
use crate::kind::lsm::table::{Entry, Handle, Layout, TRAILER, Table, Walk, table_path};
use crate::kind::lsm::version::Version;
use crate::kind::{Outcome, Verified};

/// What was seen in tables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Figures {
    tables: u64,
    blocks: u64,
    entries: u64,
    bytes: u64,
    /// Bytes that belong to no block: padding.
    uncovered: u64,
}

/// Checks every table of a database.
pub fn check(path: &Path, version: &Version, verified: &mut Verified) {
    let (mut wrong, mut skipped) = (Findings::default(), Findings::default());
    let mut all = Figures::default();
    for family in version.families.values() {
        let order = Order::of(&family.comparator);
        if order.is_none() && !family.tables.is_empty() {
            skipped.add(format!("the order of keys `{}` is not known here", family.comparator));
        }
        for (_, meta) in family.tables.values() {
            match check_table(&table_path(path, meta.number), meta, order, &mut all) {
                Ok(()) => {}
                Err(Error::Unsupported { path, reason }) => {
                    skipped.add(format!("{}: {reason}", path.display()));
                }
                Err(error) => wrong.add(error.to_string()),
            }
        }
    }
    let mut detail = format!(
        "{} tables, {} data blocks, {} entries, {} bytes",
        all.tables, all.blocks, all.entries, all.bytes
    );
    if all.uncovered > 0 {
        detail += &format!(", {} of them in no block", all.uncovered);
    }
    wrong.tell("tables", detail, verified);
    if !skipped.is_empty() {
        skipped.tell("tables in part", String::new(), verified);
        // What could not be read is not known to be wrong.
        if let Some(check) = verified.checks.last_mut() {
            check.outcome = Outcome::Skipped;
        }
    }
}

fn check_table(
    path: &Path,
    meta: &TableMeta,
    order: Option<Order>,
    all: &mut Figures,
) -> Result<()> {
    let table = Table::open(path)?;
    let mut covered = directory_bytes(&table)?;
    let mut walk = Walk::new(&table)?;
    let mut keys = Keys { table: &table, meta, order, before: None, entries: 0 };
    let walked = loop {
        match walk.next(&table) {
            Ok(Some(entry)) => keys.check(entry)?,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    if let Err(error @ Error::Unsupported { .. }) = walked {
        // What cannot be decompressed still has checksums.
        let mut places = Walk::new(&table)?;
        while let Some(place) = places.next_place(&table)? {
            table.stored(place)?;
        }
        return Err(error);
    }
    walked?;
    let ranges = count_ranges(&table)?;
    check_counts(&table, keys.entries, ranges, walk.blocks)?;
    covered += walk.data_bytes + walk.partition_bytes + table.footer_size();
    all.tables += 1;
    all.blocks += walk.blocks;
    all.entries += keys.entries + ranges;
    all.bytes += table.size();
    all.uncovered += table.size().saturating_sub(covered);
    Ok(())
}

/// Checks all blocks but those of data and partitions of the index; their size in bytes, with trailers.
fn directory_bytes(table: &Table) -> Result<u64> {
    let mut places: Vec<Handle> = table.directory().values().copied().collect();
    places.extend([table.directory_place(), table.index()]);
    for (name, place) in table.directory() {
        if name.starts_with("partitionedfilter.") {
            let layout = match table.layout() {
                Layout::Places { is_delta, .. } => {
                    Layout::Places { is_delta, has_first_key: false }
                }
                Layout::Plain => Layout::Plain,
            };
            let mut block = table.block(*place)?;
            while let Some((_, part)) =
                block.next_place(layout).map_err(|_| table.bad_block(*place))?
            {
                places.push(part);
            }
        }
    }
    places.sort_by_key(|place| (place.offset, place.size));
    places.dedup();
    let mut bytes = 0;
    for place in places {
        table.stored(place)?;
        bytes += place.size + TRAILER;
    }
    Ok(bytes)
}

fn count_ranges(table: &Table) -> Result<u64> {
    let mut walk = Walk::ranges(table);
    let mut count = 0;
    while walk.next(table)?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// Counts are compared with the properties where the table has them.
fn check_counts(table: &Table, entries: u64, ranges: u64, blocks: u64) -> Result<()> {
    let counts = [
        ("rocksdb.num.entries", entries + ranges, "entries"),
        ("rocksdb.num.range-deletions", ranges, "deleted ranges"),
        ("rocksdb.num.data.blocks", blocks, "data blocks"),
    ];
    for (property, found, what) in counts {
        if let Some(expected) = table.number(property).filter(|expected| *expected != found) {
            let reason = format!("{found} {what} and not the {expected} of its properties");
            return Err(Error::Damaged { path: table.path().to_owned(), reason });
        }
    }
    Ok(())
}

/// The keys of a table as they come.
struct Keys<'a> {
    table: &'a Table,
    meta: &'a TableMeta,
    order: Option<Order>,
    before: Option<(Vec<u8>, u64)>,
    entries: u64,
}

impl Keys<'_> {
    fn check(&mut self, entry: Entry) -> Result<()> {
        self.entries += 1;
        if let Some((first, last)) = self.meta.sequences.filter(|_| !self.table.is_ingested())
            && !(first..=last).contains(&entry.sequence)
        {
            return Err(self.wrong(&format!(
                "write {} is not among {first} to {last}, which the MANIFEST says it holds",
                entry.sequence
            )));
        }
        let Some(order) = self.order else { return Ok(()) };
        let (smallest, largest) = (bound(&self.meta.smallest), bound(&self.meta.largest));
        if order.compare(&entry.key, smallest.0) == Ordering::Less
            || order.compare(&entry.key, largest.0) == Ordering::Greater
        {
            return Err(self.wrong("a key lies outside of what the MANIFEST says it holds"));
        }
        let now = (entry.key, entry.sequence);
        let is_after = |before: &(Vec<u8>, u64)| {
            order.compare_versions((&before.0, before.1), (&now.0, now.1)) == Ordering::Less
        };
        if !self.before.as_ref().is_none_or(is_after) {
            return Err(self.wrong("keys are not in order"));
        }
        self.before = Some(now);
        Ok(())
    }

    fn wrong(&self, what: &str) -> Error {
        let reason = format!("{what} (entry {})", self.entries);
        Error::Damaged { path: self.table.path().to_owned(), reason }
    }
}
