//! The process that owns the database: it writes, flushes and compacts without a pause, and says the number of each write that is done.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, ChecksumType, ColumnFamilyDescriptor, DB,
    DBCompressionType, DataBlockIndexType, Options, WriteBatch,
};

use crate::model::{self, Change, FAMILIES};

/// How a database is set up.
#[derive(Debug, Clone, Copy)]
pub struct Variant {
    pub name: &'static str,
    atomic_flush: bool,
    recycle: usize,
    format: i32,
    checksum: fn() -> ChecksumType,
    partitioned: bool,
}

pub const VARIANTS: [Variant; 4] = [
    Variant {
        name: "atomic flush",
        atomic_flush: true,
        recycle: 0,
        format: 6,
        checksum: || ChecksumType::XXH3,
        partitioned: false,
    },
    Variant {
        name: "flush by family",
        atomic_flush: false,
        recycle: 0,
        format: 5,
        checksum: || ChecksumType::CRC32c,
        partitioned: true,
    },
    Variant {
        name: "recycled WAL",
        atomic_flush: false,
        recycle: 4,
        format: 6,
        checksum: || ChecksumType::XXHash64,
        partitioned: true,
    },
    Variant {
        name: "recycled, atomic",
        atomic_flush: true,
        recycle: 4,
        format: 2,
        checksum: || ChecksumType::XXHash,
        partitioned: false,
    },
];

/// Options of a variant's database.
pub fn options(variant: &Variant) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    options.set_atomic_flush(variant.atomic_flush);
    options.set_recycle_log_file_num(variant.recycle);
    options.set_max_manifest_file_size(48 << 10);
    options.set_write_buffer_size(192 << 10);
    options.set_max_total_wal_size(1 << 20);
    options.set_level_zero_file_num_compaction_trigger(2);
    options.set_target_file_size_base(96 << 10);
    options.set_max_bytes_for_level_base(384 << 10);
    options.set_enable_blob_files(true);
    options.set_min_blob_size(1024);
    options.set_blob_file_size(256 << 10);
    options.set_enable_blob_gc(true);
    options.set_blob_compression_type(DBCompressionType::Lz4);
    options.set_compression_type(DBCompressionType::Lz4);
    let mut table = BlockBasedOptions::default();
    table.set_format_version(variant.format);
    table.set_checksum_type((variant.checksum)());
    table.set_block_size(1 << 10);
    table.set_bloom_filter(10.0, false);
    if variant.partitioned {
        table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        table.set_partition_filters(true);
        table.set_index_block_restart_interval(8);
    } else {
        table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    }
    options.set_block_based_table_factory(&table);
    options
}

/// Opens a variant's database.
pub fn open(path: &Path, variant: &Variant) -> Result<DB, rocksdb::Error> {
    let families = FAMILIES.map(|name| ColumnFamilyDescriptor::new(name, options(variant)));
    DB::open_cf_descriptors(&options(variant), path, families)
}

/// Writes until it is killed.
pub fn run(path: &Path, variant: &Variant) -> Result<(), Box<dyn std::error::Error>> {
    let db = Arc::new(open(path, variant)?);
    let mut n = model::last(&crate::round::state_of(&db)?);
    let written = Arc::new(AtomicU64::new(n));
    let (tidied, seen) = (Arc::clone(&db), Arc::clone(&written));
    thread::spawn(move || tidy_up(&tidied, &seen));
    let mut out = io::stdout().lock();
    writeln!(out, "{n}")?;
    loop {
        n += 1;
        db.write(batch(&db, n)?)?;
        written.store(n, Ordering::Relaxed);
        writeln!(out, "{n}")?;
    }
}

fn batch(db: &DB, n: u64) -> Result<WriteBatch, String> {
    let families = FAMILIES.map(|name| db.cf_handle(name));
    let mut batch = WriteBatch::default();
    for change in model::changes(n) {
        let family = |at: usize| families[at].ok_or("a column family is not there");
        match change {
            Change::Put(at, key, value) => batch.put_cf(family(at)?, key, value),
            Change::Delete(at, key) => batch.delete_cf(family(at)?, key),
            Change::DeleteRange(at, from, to) => batch.delete_range_cf(family(at)?, from, to),
        }
    }
    Ok(batch)
}

/// Flushes and compacts at odd times, so that files come and go more often than by themselves.
fn tidy_up(db: &DB, written: &AtomicU64) {
    let mut turn = 0_usize;
    loop {
        thread::sleep(Duration::from_millis(7 + written.load(Ordering::Relaxed) % 23));
        turn += 1;
        let Some(family) = db.cf_handle(FAMILIES[turn % FAMILIES.len()]) else { return };
        if turn.is_multiple_of(5) {
            db.compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
        } else if db.flush_cf(family).is_err() {
            return;
        }
    }
}
