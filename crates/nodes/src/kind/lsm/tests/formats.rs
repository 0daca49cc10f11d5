//! Every format of tables and logs that is written here, and databases of others.

use std::fs;

use super::encode::{self, Made, Style};
use crate::kind::lsm::edit::{Bad, Edit};
use crate::kind::lsm::log::{Next, Reader};
use crate::kind::lsm::table::{Table, Walk};
use crate::kind::lsm::wal::{BadBatch, Look, Op, batch};
use crate::kind::lsm::{is_leveldb, is_rocksdb};

#[test]
fn tables_of_every_version_checksum_and_compression_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("000001.sst");
    let entries: Vec<_> = (0..100_u64)
        .map(|at| {
            (format!("key{at:05}").into_bytes(), 1000 - at, (at % 7 != 0).then(|| vec![b'x'; 50]))
        })
        .collect();
    let styles = [
        (0, 1, 0),
        (0, 1, 1),
        (0, 1, 2),
        (2, 1, 2),
        (2, 2, 4),
        (3, 3, 7),
        (5, 4, 1),
        (6, 4, 4),
        (6, 1, 7),
    ];
    for (version, checksum, compression) in styles {
        let style = Style { version, checksum, compression };
        let Made { bytes, .. } = encode::table(1, &entries, style);
        fs::write(&path, bytes).unwrap();
        let table = Table::open(&path).unwrap();
        let mut walk = Walk::new(&table).unwrap();
        for (key, sequence, value) in &entries {
            let entry = walk.next(&table).unwrap().unwrap();
            assert_eq!((&entry.key, entry.sequence), (key, *sequence), "{version} {compression}");
            assert_eq!(entry.op, if value.is_some() { Op::Put } else { Op::Delete });
            assert_eq!(entry.value, value.clone().unwrap_or_default());
        }
        assert!(walk.next(&table).unwrap().is_none());
    }
}

/// All records of a log, which comes in pieces of any size, and what follows them.
fn records(bytes: &[u8], number: Option<u64>, piece: usize) -> (Vec<Vec<u8>>, Next) {
    let mut reader = Reader::new(number);
    let mut found = Vec::new();
    let mut last = Next::Wait;
    for piece in bytes.chunks(piece) {
        reader.push(piece);
        loop {
            match reader.read() {
                Next::Record(record) => found.push(record),
                other => {
                    last = other;
                    break;
                }
            }
        }
    }
    (found, last)
}

#[test]
fn records_of_any_length_are_read_in_any_pieces() {
    let lengths = [0, 1, 100, 32_761, 32_757, 3, 70_000, 32_768, 7, 11, 65_500, 20];
    for number in [None, Some(5_u32)] {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for (at, length) in lengths.into_iter().enumerate() {
            let body = vec![at as u8 + 1; length];
            bytes.extend(encode::record(bytes.len() as u64, number, &body));
            expected.push(body);
        }
        for piece in [1, 7, 4096, 1 << 20] {
            let (found, last) = records(&bytes, number.map(u64::from), piece);
            assert!(found == expected, "pieces of {piece}");
            assert_eq!(last, Next::Wait);
        }
    }
}

#[test]
fn what_an_older_log_left_is_not_read() {
    let mut old = Vec::new();
    for at in 0..50 {
        old.extend(encode::record(old.len() as u64, Some(3), &[at; 33]));
    }
    let mut new = Vec::new();
    for at in 0..9 {
        new.extend(encode::record(new.len() as u64, Some(8), &[at; 20]));
    }
    let mut file = old.clone();
    file[..new.len()].copy_from_slice(&new);
    let (found, last) = records(&file, Some(8), 1 << 20);
    assert_eq!((found.len(), last), (9, Next::End));
    // Not one new record yet.
    let (found, last) = records(&old, Some(8), 1 << 20);
    assert_eq!((found.len(), last), (0, Next::End));
    // A log that is not recycled has no such excuse.
    let mut plain = encode::record(0, None, b"one");
    plain.extend([1, 2, 3, 4, 1, 0, 1, 9]);
    assert!(matches!(records(&plain, Some(8), 100).1, Next::Broken { at: 10, .. }));
}

/// The middle of an older record may look like the head of a fragment that is longer than what is left of the file.
#[test]
fn what_an_older_log_left_is_no_tear_either() {
    let batch = |sequence| encode::batch(sequence, &[(0, vec![1; 40], Some(vec![2; 60]))]);
    let seen = |bytes: &[u8]| {
        let mut look = Look::new(8);
        look.push(bytes, |_| {});
        let whole = look.whole();
        (whole, look.finish(false))
    };
    let mut file = Vec::new();
    for sequence in 10..13 {
        file.extend(encode::record(file.len() as u64, Some(8), &batch(sequence)));
    }
    let whole = file.len() as u64;
    for older in [&b"a\x01a\x02a\x03a\x04a\x05a"[..], b"a\x01a", b"a\x01a\x02\x00\x20\x07abc"] {
        let (end, seen) = seen(&[&file, older].concat());
        assert_eq!((end, seen.records, seen.after), (whole, 3, 13), "{older:?}");
        assert_eq!(seen.broken, None, "{older:?}");
    }
    // The start of a record of its own has no such excuse, nor has a log whose records carry no number.
    let long = encode::record(whole, Some(8), &[7; 40_000]);
    assert!(seen(&[&file, &long[..33_000]].concat()).1.broken.is_some());
    let plain = encode::record(0, None, &batch(10));
    let torn = encode::record(plain.len() as u64, None, &batch(11));
    assert!(seen(&[&plain, &torn[..50]].concat()).1.broken.is_some());
}

#[test]
fn zeros_at_the_end_are_no_records() {
    let mut bytes = encode::record(0, None, b"one");
    bytes.extend([0; 5000]);
    let (found, last) = records(&bytes, None, 100);
    assert_eq!((found.len(), last), (1, Next::Wait));
}

#[test]
fn types_of_later_versions_are_skipped_or_refused() {
    let typed = |kind: u8| {
        let body = [kind, 1, 2];
        let mut bytes = crate::kind::lsm::wire::masked_crc(&[&body]).to_le_bytes().to_vec();
        bytes.extend([2, 0]);
        bytes.extend(body);
        bytes
    };
    let cases = [(10, Next::Wait), (130, Next::Wait), (9, Next::Compressed)];
    for (kind, expected) in cases {
        assert_eq!(records(&typed(kind), None, 100).1, expected, "{kind}");
    }
    assert!(matches!(records(&typed(77), None, 100).1, Next::Broken { at: 0, .. }));
}

#[test]
fn gaps_between_batches_are_seen() {
    let mut look = Look::new(1);
    let mut bytes = Vec::new();
    for sequence in [5, 6, 9] {
        let body = encode::batch(sequence, &[(0, vec![1], Some(vec![2]))]);
        bytes.extend(encode::record(bytes.len() as u64, None, &body));
    }
    look.push(&bytes, |_| {});
    let seen = look.finish(true);
    assert_eq!((seen.first, seen.after, seen.gaps), (Some(5), 10, vec![(7, 9)]));
}

#[test]
fn batches_with_every_tag_are_read() {
    let mut bytes = encode::batch(40, &[]);
    // A mark, log data, a merge, a range of a column family, a single deletion, columns.
    bytes.extend([
        13, 3, 2, b'l', b'd', 2, 1, b'k', 1, b'v', 14, 3, 1, b'a', 1, b'c', 7, 1, b's', 22, 1,
        b'w', 0,
    ]);
    bytes[8] = 4;
    let mut ops = Vec::new();
    let head = batch(&bytes, |write| ops.push((write.op, write.family, write.sequence))).unwrap();
    assert_eq!((head.sequence, head.count), (40, 4));
    let expected = [
        (Op::Merge, 0, 40),
        (Op::DeleteRange, 3, 41),
        (Op::SingleDelete, 0, 42),
        (Op::Columns, 0, 43),
    ];
    assert_eq!(ops, expected);
    bytes[8] = 5;
    assert_eq!(batch(&bytes, |_| {}), Err(BadBatch::Count));
    bytes.push(99);
    assert_eq!(batch(&bytes, |_| {}), Err(BadBatch::Unknown(99)));
}

#[test]
fn tags_that_must_be_known_are_refused() {
    let mut bytes = Vec::new();
    encode::varint(&mut bytes, 555);
    assert_eq!(Edit::parse(&bytes), Err(Bad::Unknown(555)));
    // The same in a field of a new table.
    let mut bytes = vec![103, 0, 9, 10, 0, 0, 1, 2];
    bytes.extend([70, 0, 1]);
    assert_eq!(Edit::parse(&bytes), Err(Bad::Unknown(70)));
}

#[test]
fn old_and_new_tables_of_a_record_are_read() {
    // As LevelDB wrote it, with sequences, and with a folder.
    type Case = (&'static [u8], Option<(u64, u64)>, u32);
    let cases: [Case; 3] = [
        (&[7, 1, 9, 100, 1, b'a', 1, b'z'], None, 0),
        (&[100, 1, 9, 100, 1, b'a', 1, b'z', 3, 4], Some((3, 4)), 0),
        (&[102, 1, 9, 2, 100, 1, b'a', 1, b'z', 3, 4], Some((3, 4)), 2),
    ];
    for (bytes, sequences, path_id) in cases {
        let edit = Edit::parse(bytes).unwrap();
        let [(1, table)] = edit.added.as_slice() else { panic!("{edit:?}") };
        assert_eq!((table.number, table.size, table.path_id), (9, 100, path_id));
        assert_eq!((table.sequences, table.smallest.as_slice()), (sequences, &b"a"[..]));
    }
}

#[test]
fn databases_are_told_apart() {
    let rocks = super::Stage::new(super::Make::Rocks);
    let level = super::Stage::new(super::Make::Level);
    assert!(is_rocksdb(&rocks.live()) && !is_leveldb(&rocks.live()));
    assert!(is_leveldb(&level.live()) && !is_rocksdb(&level.live()));
    let empty = tempfile::tempdir().unwrap();
    assert!(!is_leveldb(empty.path()) && !is_rocksdb(empty.path()));
}

/// A database that another LevelDB wrote, captured while it is open.
#[test]
fn a_real_leveldb_is_copied_verified_and_read() {
    use rusty_leveldb::{DB, Options};

    let folder = tempfile::tempdir().unwrap();
    let (live, staging) = (folder.path().join("live"), folder.path().join("copy"));
    fs::create_dir(&staging).unwrap();
    let options = Options { write_buffer_size: 4096, max_file_size: 4096, ..Options::default() };
    let mut db = DB::open(&live, options).unwrap();
    let mut expected = std::collections::BTreeMap::new();
    for n in 0..3000_u32 {
        let key = format!("key{:04}", n % 700).into_bytes();
        if n % 5 == 0 {
            db.delete(&key).unwrap();
            expected.remove(&key);
        } else {
            let value = format!("{n:0100}").into_bytes();
            db.put(&key, &value).unwrap();
            expected.insert(key, value);
        }
    }
    // This one keeps what it wrote last in memory.
    db.flush().unwrap();
    assert!(is_leveldb(&live));
    let disk = super::Hooked::new(&live, |_, _| {});
    let patience = std::time::Duration::from_secs(5);
    super::capture_within(&disk, &live, &staging, patience).unwrap();
    let verified = crate::kind::lsm::verify(&staging).unwrap();
    assert!(verified.is_sound(), "{:#?}", verified.checks);
    assert_eq!(verified.position.counters["keys"], expected.len() as u64);
    assert!(verified.position.counters["tables"] > 3);
    let database = crate::kind::lsm::read::Database::open(&staging).unwrap();
    let pairs = database.pairs("default").unwrap().map(Result::unwrap);
    let found: std::collections::BTreeMap<_, _> =
        pairs.map(|pair| (pair.key, pair.value.into_bytes())).collect();
    assert!(found == expected);
}
