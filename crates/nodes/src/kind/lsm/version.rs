//! The state of a database that the records of its MANIFEST add up to: column families, their tables, blob files, log numbers.

use std::collections::{BTreeMap, BTreeSet};

use super::edit::{BlobMeta, Edit, FamilyId, TableMeta};

/// Head and end of a blob file in bytes: what it has besides its records.
const BLOB_FRAME: u64 = 30 + 32;

/// A column family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Family {
    /// Its name; a LevelDB database is one that is called `default`.
    pub name: String,
    /// Name of the order of its keys.
    pub comparator: String,
    /// Logs below this hold nothing of it that is not in tables.
    pub log_number: u64,
    /// Level and table, by number.
    pub tables: BTreeMap<u64, (u32, TableMeta)>,
    /// Blob files, and how many of the values of each are garbage.
    blobs: BTreeMap<u64, (BlobMeta, u64)>,
}

/// A whole database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// Those that are not dropped.
    pub families: BTreeMap<FamilyId, Family>,
    /// Logs below this may be deleted.
    pub log_to_keep: u64,
    /// A second log that is still needed: 0 for none.
    pub previous_log: u64,
    /// The next number of a file.
    pub next_file: u64,
    /// The last sequence in tables.
    pub last_sequence: u64,
    /// The database's id, where the MANIFEST has it.
    pub db_id: Option<String>,
    /// Records of an atomic group that is not whole yet.
    group: Vec<Edit>,
}

/// What decides which logs are needed. While it stays, none of them can have been deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogMarks {
    families: Vec<(FamilyId, u64)>,
    log_to_keep: u64,
    previous_log: u64,
}

/// A file that never changes, and the size it must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fixed {
    /// A table.
    Table(u64),
    /// Large values.
    Blob(u64),
}

impl Version {
    /// Takes a record in. Those of an atomic group count only when the last of them is there. Returns whether the version is whole after it.
    ///
    /// # Errors
    /// If the record names a column family or a table that is not there: then the MANIFEST is damaged.
    pub fn take(&mut self, edit: Edit) -> Result<bool, &'static str> {
        match edit.group_remaining {
            Some(0) => {
                self.group.push(edit);
                for edit in std::mem::take(&mut self.group) {
                    self.apply(edit)?;
                }
                Ok(true)
            }
            Some(_) => {
                self.group.push(edit);
                Ok(false)
            }
            None if self.group.is_empty() => self.apply(edit).map(|()| true),
            None => Err("an atomic group ends before its last record"),
        }
    }

    fn apply(&mut self, edit: Edit) -> Result<(), &'static str> {
        self.log_to_keep = self.log_to_keep.max(edit.log_to_keep.unwrap_or(0));
        self.previous_log = edit.previous_log.unwrap_or(self.previous_log);
        self.next_file = edit.next_file.unwrap_or(self.next_file);
        self.last_sequence = self.last_sequence.max(edit.last_sequence.unwrap_or(0));
        if edit.db_id.is_some() {
            self.db_id.clone_from(&edit.db_id);
        }
        if edit.is_drop {
            let dropped = self.families.remove(&edit.family);
            return dropped.map(|_| ()).ok_or("a column family is dropped that is not there");
        }
        if let Some(name) = &edit.added_family {
            let family = Family { name: name.clone(), ..Family::default() };
            self.families.insert(edit.family, family);
        }
        // The first column family is there from the start.
        if edit.family == 0 && !self.families.contains_key(&0) {
            self.families.insert(0, Family { name: "default".to_owned(), ..Family::default() });
        }
        // A record without a column family of its own may follow the drop of the one it once had.
        let family = self.families.get_mut(&edit.family);
        family.ok_or("a record is about a column family that is not there")?.apply(edit)
    }

    /// What decides which logs are needed.
    pub fn marks(&self) -> LogMarks {
        let families = self.families.iter().map(|(id, family)| (*id, family.log_number));
        LogMarks {
            families: families.collect(),
            log_to_keep: self.log_to_keep,
            previous_log: self.previous_log,
        }
    }

    /// The lowest number of a log that is needed.
    pub fn lowest_log(&self) -> u64 {
        let lowest = self.families.values().map(|family| family.log_number).min().unwrap_or(0);
        let kept = if self.log_to_keep == 0 { lowest } else { lowest.min(self.log_to_keep) };
        if self.previous_log == 0 { kept } else { kept.min(self.previous_log) }
    }

    /// Every file that never changes, with its size in bytes.
    pub fn files(&self) -> BTreeMap<Fixed, u64> {
        let mut files = BTreeMap::new();
        for family in self.families.values() {
            let tables = family.tables.values();
            files.extend(tables.map(|(_, table)| (Fixed::Table(table.number), table.size)));
            let blobs = family.blobs().into_iter();
            files.extend(
                blobs.map(|blob| (Fixed::Blob(blob.number), blob.bytes.saturating_add(BLOB_FRAME))),
            );
        }
        files
    }

    /// Tables in another folder than the first, if there is one.
    pub fn elsewhere(&self) -> Option<u64> {
        let mut tables = self.families.values().flat_map(|family| family.tables.values());
        tables.find(|(_, table)| table.path_id != 0).map(|(_, table)| table.number)
    }
}

impl Family {
    fn apply(&mut self, edit: Edit) -> Result<(), &'static str> {
        if let Some(comparator) = edit.comparator {
            self.comparator = comparator;
        }
        self.log_number = self.log_number.max(edit.log_number.unwrap_or(0));
        for (level, number) in edit.deleted {
            match self.tables.remove(&number) {
                Some((at, _)) if at == level => {}
                _ => return Err("a table is deleted that is not there"),
            }
        }
        for (level, table) in edit.added {
            self.tables.insert(table.number, (level, table));
        }
        self.blobs.extend(edit.blobs.into_iter().map(|blob| (blob.number, (blob, 0))));
        for (number, count) in edit.garbage {
            if let Some((_, garbage)) = self.blobs.get_mut(&number) {
                *garbage = garbage.saturating_add(count);
            }
        }
        Ok(())
    }

    /// Blob files that are still part of it: from the oldest that a table refers to, without those that are all garbage.
    pub fn blobs(&self) -> Vec<&BlobMeta> {
        let tables = self.tables.values().map(|(_, table)| table.oldest_blob);
        let linked: BTreeSet<u64> = tables.filter(|number| *number != 0).collect();
        let Some(oldest) = linked.iter().find(|number| self.blobs.contains_key(number)) else {
            return Vec::new();
        };
        let living = self
            .blobs
            .range(*oldest..)
            .filter(|(number, (blob, garbage))| *garbage < blob.count || linked.contains(number));
        living.map(|(_, (blob, _))| blob).collect()
    }
}

/// What a file's name says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    /// A WAL.
    Log(u64),
    /// A table.
    Table(u64),
    /// Large values.
    Blob(u64),
    /// A MANIFEST.
    Manifest(u64),
    /// The options of a database.
    Options(u64),
    /// Anything else.
    Other,
}

/// Reads a name.
pub fn named(name: &str) -> Named {
    let number =
        |text: &str| text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    let by_end = |end: &str| name.strip_suffix(end).and_then(number);
    let by_start = |start: &str| name.strip_prefix(start).and_then(number);
    let found = by_end(".log").map(Named::Log);
    let found = found.or_else(|| by_end(".sst").or_else(|| by_end(".ldb")).map(Named::Table));
    let found = found.or_else(|| by_end(".blob").map(Named::Blob));
    let found = found.or_else(|| by_start("MANIFEST-").map(Named::Manifest));
    found.or_else(|| by_start("OPTIONS-").map(Named::Options)).unwrap_or(Named::Other)
}
