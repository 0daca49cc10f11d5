//! The sorted runs that a column family consists of, merged into one.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};

use super::bound;
use crate::error::{Error, Result};
use crate::kind::lsm::edit::TableMeta;
use crate::kind::lsm::order::Order;
use crate::kind::lsm::ranges::Range;
use crate::kind::lsm::table::{Entry, Table, Walk, table_path};
use crate::kind::lsm::version::Family;

/// One sorted run.
#[derive(Debug)]
enum Run {
    /// What only the WALs hold.
    Memory(std::vec::IntoIter<Entry>),
    /// Tables one after the other, the next at the end.
    Tables {
        folder: PathBuf,
        waiting: Vec<TableMeta>,
        current: Option<Box<(Table, Walk, Option<u64>)>>,
    },
}

impl Run {
    fn next(&mut self) -> Result<Option<Entry>> {
        let (folder, waiting, current) = match self {
            Self::Memory(entries) => return Ok(entries.next()),
            Self::Tables { folder, waiting, current } => (folder, waiting, current),
        };
        loop {
            if let Some(open) = current.as_mut() {
                let (table, walk, sequence) = &mut **open;
                if let Some(mut entry) = walk.next(table)? {
                    entry.sequence = sequence.unwrap_or(entry.sequence);
                    return Ok(Some(entry));
                }
            }
            let Some(meta) = waiting.pop() else {
                *current = None;
                return Ok(None);
            };
            let table = open(folder, meta.number)?;
            let walk = Walk::new(&table)?;
            let sequence = ingested(&table, &meta);
            *current = Some(Box::new((table, walk, sequence)));
        }
    }
}

/// Opens a table by its number.
pub fn open(folder: &Path, number: u64) -> Result<Table> {
    let path = table_path(folder, number);
    if path.exists() {
        return Table::open(&path);
    }
    let reason = format!("table {number:06}.sst of its MANIFEST is not there");
    Err(Error::Damaged { path: folder.to_owned(), reason })
}

/// The sequence of all entries of a table that was ingested.
fn ingested(table: &Table, meta: &TableMeta) -> Option<u64> {
    meta.sequences.map(|(_, largest)| largest).filter(|_| table.is_ingested())
}

/// The next entry of a run, ordered so that the heap gives the first.
#[derive(Debug)]
struct Head {
    entry: Entry,
    run: usize,
    order: Order,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.entry, &other.entry);
        let versions = self.order.compare_versions((&a.key, a.sequence), (&b.key, b.sequence));
        versions.then(self.run.cmp(&other.run)).reverse()
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

/// All runs of a column family.
#[derive(Debug)]
pub struct Merge {
    runs: Vec<Run>,
    heads: BinaryHeap<Head>,
    order: Order,
}

impl Merge {
    /// What the WALs hold, sorted, and the tables; ranges that tables delete are added to `ranges`.
    ///
    /// # Errors
    /// If a table cannot be read.
    pub fn new(
        folder: &Path,
        order: Order,
        memory: Vec<Entry>,
        family: &Family,
        ranges: &mut Vec<Range>,
    ) -> Result<Self> {
        let mut runs = vec![Run::Memory(memory.into_iter())];
        for level in levels(family, order) {
            for meta in &level {
                read_ranges(folder, order, meta, ranges)?;
            }
            runs.push(Run::Tables { folder: folder.to_owned(), waiting: level, current: None });
        }
        let mut merge = Self { runs, heads: BinaryHeap::new(), order };
        for run in 0..merge.runs.len() {
            merge.fill(run)?;
        }
        Ok(merge)
    }

    fn fill(&mut self, run: usize) -> Result<()> {
        if let Some(entry) = self.runs[run].next()? {
            self.heads.push(Head { entry, run, order: self.order });
        }
        Ok(())
    }

    /// The next entry of all: keys ascend, and the newest of a key comes first.
    ///
    /// # Errors
    /// If a table is damaged.
    pub fn next(&mut self) -> Result<Option<Entry>> {
        let Some(Head { entry, run, .. }) = self.heads.pop() else {
            return Ok(None);
        };
        self.fill(run)?;
        Ok(Some(entry))
    }

    /// The next entry if it is of this key.
    ///
    /// # Errors
    /// As [`Merge::next`].
    pub fn next_of(&mut self, order: Order, key: &[u8]) -> Result<Option<Entry>> {
        let is_same = |head: &Head| order.compare(&head.entry.key, key) == Ordering::Equal;
        if self.heads.peek().is_some_and(is_same) { self.next() } else { Ok(None) }
    }
}

/// Runs of tables, each with the first at its end: tables of level 0 overlap, those of another level do not.
fn levels(family: &Family, order: Order) -> Vec<Vec<TableMeta>> {
    let mut runs: Vec<Vec<TableMeta>> = Vec::new();
    let mut deeper = std::collections::BTreeMap::<u32, Vec<TableMeta>>::new();
    for (level, meta) in family.tables.values() {
        if *level == 0 {
            runs.push(vec![meta.clone()]);
        } else {
            deeper.entry(*level).or_default().push(meta.clone());
        }
    }
    for mut tables in deeper.into_values() {
        tables.sort_by(|a, b| {
            let (a, b) = (bound(&a.smallest), bound(&b.smallest));
            order.compare_versions((b.0, b.1), (a.0, a.1))
        });
        runs.push(tables);
    }
    runs
}

fn read_ranges(folder: &Path, order: Order, meta: &TableMeta, to: &mut Vec<Range>) -> Result<()> {
    let table = open(folder, meta.number)?;
    let sequence = ingested(&table, meta);
    let mut walk = Walk::ranges(&table);
    let (smallest, _, _) = bound(&meta.smallest);
    let (largest, from, is_open) = bound(&meta.largest);
    while let Some(entry) = walk.next(&table)? {
        let sequence = sequence.unwrap_or(entry.sequence);
        let range = Range { start: entry.key, end: entry.value, sequence, end_from: None };
        to.push(range.within(order, smallest, (largest, from), is_open));
    }
    Ok(())
}
