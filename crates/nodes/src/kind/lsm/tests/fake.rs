//! A database that lives in the test: it writes, switches and recycles WALs, flushes, compacts and replaces its MANIFEST in the order in which
//! the real ones do, one step at a time.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::encode::{self, Change, Made, Record, Style, Version};
use crate::kind::lsm::read::Database;

/// What each column family holds.
pub type State = Vec<BTreeMap<Vec<u8>, Vec<u8>>>;

/// What it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Make {
    Rocks,
    Recycling,
    Level,
}

pub struct Fake {
    path: PathBuf,
    make: Make,
    next_file: u64,
    sequence: u64,
    /// The last write.
    pub last: u64,
    manifest: (String, File, u64),
    wal: (u64, File, u64),
    families: Vec<FamilyState>,
    /// WALs that were done with and wait to be written over.
    spare: Vec<u64>,
}

#[derive(Default)]
struct FamilyState {
    memory: Vec<Version>,
    log_number: u64,
    tables: Vec<(u64, Made, Vec<Version>)>,
}

impl Fake {
    pub fn new(path: &Path, make: Make) -> Self {
        let count = if make == Make::Level { 1 } else { 2 };
        let manifest = ("MANIFEST-000001".to_owned(), create(&path.join("MANIFEST-000001")), 0);
        let wal = (2, create(&path.join("000002.log")), 0);
        let mut families: Vec<FamilyState> = Vec::new();
        families.resize_with(count, FamilyState::default);
        for family in &mut families {
            family.log_number = 2;
        }
        let path = path.to_owned();
        let mut fake = Self {
            path,
            make,
            next_file: 3,
            sequence: 0,
            last: 0,
            manifest,
            wal,
            families,
            spare: Vec::new(),
        };
        for record in fake.snapshot() {
            fake.log_edit(&record);
        }
        fs::write(fake.path.join("CURRENT"), "MANIFEST-000001\n").unwrap();
        if make != Make::Level {
            fs::write(fake.path.join("IDENTITY"), "fake-id").unwrap();
        }
        fake
    }

    fn number(&mut self) -> u64 {
        self.next_file += 1;
        self.next_file - 1
    }

    /// Records that make up all of its state.
    fn snapshot(&self) -> Vec<Record> {
        let comparator = "leveldb.BytewiseComparator";
        let mut records = Vec::new();
        for (id, family) in self.families.iter().enumerate() {
            let mut record = Record::default();
            if id > 0 {
                record = record.number(200, id as u64).text(201, "objects");
            }
            record = record.text(1, comparator).number(2, family.log_number);
            for (level, made, _) in &family.tables {
                record = record.table(self.table_tag(), *level, made);
            }
            records.push(record.number(3, self.next_file).number(4, self.sequence));
        }
        records
    }

    fn table_tag(&self) -> u64 {
        if self.make == Make::Level { 7 } else { 103 }
    }

    fn log_edit(&mut self, record: &Record) {
        let (_, file, length) = &mut self.manifest;
        let bytes = encode::record(*length, None, &record.0);
        file.write_all_at(&bytes, *length).unwrap();
        *length += bytes.len() as u64;
    }

    /// Writes the next number into all column families, as one batch.
    pub fn write(&mut self) {
        self.last += 1;
        let changes = changes(self.last, self.families.len());
        let bytes = encode::batch(self.sequence + 1, &changes);
        let number = (self.make == Make::Recycling).then_some(self.wal.0 as u32);
        let (_, file, length) = &mut self.wal;
        let bytes = encode::record(*length, number, &bytes);
        file.write_all_at(&bytes, *length).unwrap();
        *length += bytes.len() as u64;
        for (family, key, value) in changes {
            self.sequence += 1;
            self.families[family as usize].memory.push((key, self.sequence, value));
        }
    }

    /// Makes the file of the next WAL in advance.
    pub fn prepare_next(&self) {
        create(&self.path.join(format!("{:06}.log", self.next_file)));
    }

    /// Begins another WAL, over an old one where it may.
    pub fn switch(&mut self) {
        let number = self.number();
        let path = self.path.join(format!("{number:06}.log"));
        let file = match self.spare.pop() {
            Some(spare) => {
                fs::rename(self.path.join(format!("{spare:06}.log")), &path).unwrap();
                File::options().write(true).open(&path).unwrap()
            }
            None => create(&path),
        };
        self.wal = (number, file, 0);
    }

    /// Writes what is in memory of some column families into tables, says so, and lets go of the WALs that nobody needs any more.
    pub fn flush(&mut self, ids: &[usize]) {
        self.switch();
        let mut records = Vec::new();
        for id in ids {
            let memory = std::mem::take(&mut self.families[*id].memory);
            self.families[*id].log_number = self.wal.0;
            let mut record = Record::default().number(200, *id as u64);
            if self.make == Make::Level {
                record = Record::default();
            }
            record = record.number(2, self.wal.0).number(4, self.sequence);
            if !memory.is_empty() {
                let made = self.add_table(*id, 0, memory);
                record = record.table(self.table_tag(), 0, &made);
            }
            records.push(record.number(3, self.next_file));
        }
        let count = records.len();
        for (at, record) in records.into_iter().enumerate() {
            let left = (count - 1 - at) as u64;
            let record = if count > 1 { record.number(300, left) } else { record };
            self.log_edit(&record);
        }
        self.drop_logs();
    }

    fn add_table(&mut self, id: usize, level: u64, mut entries: Vec<Version>) -> Made {
        entries.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        let version = if self.make == Make::Level { 0 } else { 5 };
        let style = Style { version, checksum: 1, compression: 1 };
        let made = encode::table(self.number(), &entries, style);
        fs::write(self.table_path(made.number), &made.bytes).unwrap();
        self.families[id].tables.push((level, made.clone(), entries));
        made
    }

    fn table_path(&self, number: u64) -> PathBuf {
        let end = if self.make == Make::Level { "ldb" } else { "sst" };
        self.path.join(format!("{number:06}.{end}"))
    }

    fn drop_logs(&mut self) {
        let lowest = self.families.iter().map(|family| family.log_number).min().unwrap();
        for entry in fs::read_dir(&self.path).unwrap() {
            let path = entry.unwrap().path();
            let number = path.file_name().unwrap().to_str().unwrap().strip_suffix(".log");
            let Some(number) = number.and_then(|number| number.parse().ok()) else { continue };
            if number < lowest && !self.spare.contains(&number) {
                if self.make == Make::Recycling {
                    self.spare.push(number);
                } else {
                    fs::remove_file(path).unwrap();
                }
            }
        }
    }

    /// Merges all tables of a column family into one, and deletes them.
    pub fn compact(&mut self, id: usize) {
        let old = std::mem::take(&mut self.families[id].tables);
        if old.is_empty() {
            return;
        }
        let entries = old.iter().flat_map(|(_, _, entries)| entries.clone()).collect();
        let made = self.add_table(id, 1, entries);
        let mut record = Record::default();
        if self.make != Make::Level {
            record = record.number(200, id as u64);
        }
        for (level, made, _) in &old {
            record = record.deleted(*level, made.number);
        }
        self.log_edit(&record.table(self.table_tag(), 1, &made).number(3, self.next_file));
        for (_, made, _) in old {
            fs::remove_file(self.table_path(made.number)).unwrap();
        }
    }

    /// Begins another MANIFEST.
    pub fn replace_manifest(&mut self) {
        let name = format!("MANIFEST-{:06}", self.number());
        let before = std::mem::replace(
            &mut self.manifest,
            (name.clone(), create(&self.path.join(&name)), 0),
        );
        for record in self.snapshot() {
            self.log_edit(&record);
        }
        let temporary = self.path.join("current.dbtmp");
        fs::write(&temporary, format!("{name}\n")).unwrap();
        fs::rename(temporary, self.path.join("CURRENT")).unwrap();
        fs::remove_file(self.path.join(before.0)).unwrap();
    }

    /// Adds bytes to the MANIFEST as they are.
    pub fn append_to_manifest(&mut self, bytes: &[u8]) {
        self.manifest.1.write_all_at(bytes, self.manifest.2).unwrap();
        self.manifest.2 += bytes.len() as u64;
    }

    /// Where the MANIFEST ends.
    pub fn manifest_length(&self) -> u64 {
        self.manifest.2
    }

    /// The WAL that is written to.
    pub fn wal_path(&self) -> PathBuf {
        self.path.join(format!("{:06}.log", self.wal.0))
    }

    /// A number of steps that leaves files of every kind.
    pub fn live_a_little(&mut self) {
        for round in 0..4 {
            for _ in 0..5 {
                self.write();
            }
            match (round, self.make) {
                (0, _) => self.flush(&[0]),
                (1, Make::Level) => self.flush(&[0]),
                (1, _) => self.flush(&[0, 1]),
                (2, Make::Level) => self.compact(0),
                (2, _) => self.flush(&[1]),
                _ => {}
            }
        }
    }
}

fn create(path: &Path) -> File {
    File::options().write(true).create(true).truncate(true).open(path).unwrap()
}

/// What write `n` does.
fn changes(n: u64, families: usize) -> Vec<Change> {
    let value = format!("{n:08}").into_bytes();
    let mut changes = vec![
        (0, b"last".to_vec(), Some(value.clone())),
        (0, format!("slot{}", n % 3).into_bytes(), Some(value.clone())),
    ];
    if families > 1 {
        changes.push((1, format!("object{n:08}").into_bytes(), Some(value)));
        if n > 4 {
            changes.push((1, format!("object{:08}", n - 4).into_bytes(), None));
        }
    }
    changes
}

/// What is there after write `last`.
pub fn state(last: u64, families: usize) -> State {
    let mut state = vec![BTreeMap::new(); families];
    for n in 1..=last {
        for (family, key, value) in changes(n, families) {
            match value {
                Some(value) => state[family as usize].insert(key, value),
                None => state[family as usize].remove(&key),
            };
        }
    }
    state
}

/// What a copy holds, and its last write.
pub fn read(path: &Path) -> (State, u64) {
    let database = Database::open(path).unwrap();
    let families = database.families();
    let state: State = families
        .iter()
        .map(|name| {
            let pairs = database.pairs(name).unwrap().map(Result::unwrap);
            pairs.map(|pair| (pair.key, pair.value.into_bytes())).collect()
        })
        .collect();
    let last = state[0].get(&b"last"[..]).map_or("0", |value| std::str::from_utf8(value).unwrap());
    let last = last.parse().unwrap();
    (state, last)
}
