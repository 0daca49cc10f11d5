//! Portable files: the exact bytes, and what happens when bytes are missing or wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use nodekeep_store::{
    Created, Durability, Op, PortableHeader, PortableKind, PortableWriter, Store, StoreError,
    StoreErrorKind,
};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::contract::full_header;

const OBJECTS: [(&str, &[u8]); 4] = [
    ("config", b"configuration"),
    ("g/00000000/ab.session", b""),
    ("r/00000001", &[9; 300]),
    ("w/00/d/ab/cd", b"bytes like NKBE"),
];

/// Bytes of the header of [`full_header`].
const HEADER_LEN: usize = 23;

/// A complete file with [`OBJECTS`].
static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("full.nkb");
    write_file(&path);
    fs::read(path).unwrap()
});

fn write_file(path: &Path) -> u64 {
    let writer = PortableWriter::create(path, full_header()).unwrap();
    let store = writer.store();
    for (name, bytes) in OBJECTS {
        store.create(name, bytes, Durability::Durable).unwrap();
    }
    writer.finish().unwrap()
}

/// Opens `bytes` as a portable file.
fn open(bytes: &[u8]) -> Result<(TempDir, Store), StoreError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.nkb");
    fs::write(&path, bytes).unwrap();
    Ok((folder, Store::portable(path)?))
}

fn kind_of(bytes: &[u8]) -> Option<StoreErrorKind> {
    open(bytes).err().map(|error| error.kind)
}

/// A file with the given records and directory, its footer in order.
fn assemble(header: &[u8], records: &[u8], directory: &[u8]) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(header).update(directory);
    let hash = hasher.finalize();
    let offset = (header.len() + records.len()) as u64;
    let parts: [&[u8]; 7] = [
        header,
        records,
        directory,
        &offset.to_le_bytes(),
        &(directory.len() as u64).to_le_bytes(),
        hash.as_bytes(),
        b"NKBE",
    ];
    parts.concat()
}

fn header_bytes() -> Vec<u8> {
    [b"NKB1".as_slice(), &[7; 16], &[1, 0, 0]].concat()
}

#[test]
fn the_bytes_are_as_specified() {
    let mut records = Vec::new();
    let mut directory = vec![4];
    for (name, bytes) in OBJECTS {
        records.push(name.len() as u8);
        records.extend_from_slice(name.as_bytes());
        records.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        let offset = HEADER_LEN + records.len();
        records.extend_from_slice(bytes);
        directory.push(name.len() as u8);
        directory.extend_from_slice(name.as_bytes());
        for number in [offset, bytes.len()] {
            match number {
                0..128 => directory.push(number as u8),
                _ => directory.extend([number as u8 | 128, (number >> 7) as u8]),
            }
        }
    }
    assert!(*FILE == assemble(&header_bytes(), &records, &directory));
}

#[test]
fn what_was_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("full.nkb");
    let size = write_file(&path);
    let found = path.metadata().unwrap();
    assert_eq!((found.len(), found.permissions().mode() & 0o7777), (size, 0o600));
    assert_eq!(PortableHeader::read(&path).unwrap(), full_header());

    let store = Store::portable(&path).unwrap();
    for (name, bytes) in OBJECTS {
        assert_eq!(store.get(name).unwrap(), bytes);
        assert_eq!(store.size(name).unwrap(), bytes.len() as u64);
    }
    assert_eq!(store.get_range("config", 3, 4).unwrap(), b"figu");
    let names: Vec<_> = store.list("").unwrap().into_iter().map(|o| o.name).collect();
    assert_eq!(names, OBJECTS.map(|(name, _)| name));
    assert_eq!(store.get_range("config", 3, 11).unwrap_err().kind, StoreErrorKind::Truncated);
    assert_eq!(store.get("g/1").unwrap_err().kind, StoreErrorKind::NotFound);
    let refused = [
        store.create("new", b"", Durability::Visible).unwrap_err(),
        store.delete("config").unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind, StoreErrorKind::ReadOnly);
    }
}

#[test]
fn headers_come_back() {
    let base = Some([3; 16]);
    let cases = [
        (PortableKind::Full, None, String::new()),
        (PortableKind::Incremental, base, "monday é.nkb".to_owned()),
        (PortableKind::Differential, base, "n".repeat(4096)),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (kind, base, base_name) in cases {
        let path = folder.path().join(format!("{kind:?}.nkb"));
        let header = PortableHeader { id: [1; 16], kind, base, base_name };
        PortableWriter::create(&path, header.clone()).unwrap().finish().unwrap();
        assert_eq!(PortableHeader::read(&path).unwrap(), header);
        assert_eq!(Store::portable(&path).unwrap().list("").unwrap(), []);
    }
}

#[test]
fn contradictory_headers_are_refused() {
    let cases = [
        (PortableKind::Full, Some([3; 16]), 0),
        (PortableKind::Incremental, None, 0),
        (PortableKind::Differential, Some([3; 16]), 4097),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (kind, base, len) in cases {
        let header = PortableHeader { id: [1; 16], kind, base, base_name: "n".repeat(len) };
        let error = PortableWriter::create(folder.path().join("x.nkb"), header).unwrap_err();
        assert!(matches!(error.kind, StoreErrorKind::Damaged(_)), "{error}");
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn an_unfinished_file_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let writer = PortableWriter::create(folder.path().join("x.nkb"), full_header()).unwrap();
    let store = writer.store();
    store.create("config", b"x", Durability::Durable).unwrap();
    drop(writer);
    let error = store.create("more", b"x", Durability::Visible).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::ReadOnly);
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn a_finished_file_takes_no_more_and_stays_readable() {
    let folder = tempfile::tempdir().unwrap();
    let writer = PortableWriter::create(folder.path().join("x.nkb"), full_header()).unwrap();
    let store = writer.store();
    store.create("config", b"x", Durability::Visible).unwrap();
    writer.finish().unwrap();
    let error = store.create("more", b"x", Durability::Visible).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::ReadOnly);
    assert_eq!(store.get("config").unwrap(), b"x");
}

#[test]
fn nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("x.nkb");
    let writer = PortableWriter::create(&path, full_header()).unwrap();
    fs::write(&path, "precious").unwrap();
    let errors =
        [writer.finish().unwrap_err(), PortableWriter::create(&path, full_header()).unwrap_err()];
    assert_eq!(errors.each_ref().map(|e| e.op), [Op::Finish, Op::Open]);
    for error in errors {
        assert_eq!(error.kind, StoreErrorKind::AlreadyExists);
        assert!(error.to_string().contains("x.nkb"));
    }
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);
}

#[test]
fn every_truncation_is_noticed() {
    for len in 0..FILE.len() {
        let expected = match len {
            0..4 => StoreErrorKind::NotAStore,
            _ => StoreErrorKind::Truncated,
        };
        let kind = kind_of(&FILE[..len]);
        // One object ends like a file: a cut there looks like damage.
        let looks_ended = FILE[..len].ends_with(b"NKBE");
        assert!(kind == Some(expected) || (looks_ended && kind.is_some()), "{len}: {kind:?}");
    }
}

#[test]
fn every_changed_byte_outside_of_objects_is_noticed() {
    let directory = u64::from_le_bytes(FILE[FILE.len() - 52..][..8].try_into().unwrap()) as usize;
    for place in (0..HEADER_LEN).chain(directory..FILE.len()) {
        for flip in [1, 0x80, 0xff] {
            let mut bytes = FILE.clone();
            bytes[place] ^= flip;
            assert!(kind_of(&bytes).is_some(), "{place} {flip}");
        }
    }
}

#[test]
fn a_record_that_contradicts_the_directory_is_damaged() {
    // The first record starts behind the header: length of the name, "config", length.
    for place in HEADER_LEN..HEADER_LEN + 1 + 6 + 8 {
        let mut bytes = FILE.clone();
        bytes[place] ^= 1;
        let (_folder, store) = open(&bytes).unwrap();
        for error in
            [store.get("config").unwrap_err(), store.get_range("config", 1, 1).unwrap_err()]
        {
            assert!(matches!(error.kind, StoreErrorKind::Damaged(_)), "{error}");
        }
        assert_eq!(store.get("r/00000001").unwrap(), [9; 300]);
    }
}

#[test]
fn versions_and_foreign_files_are_told_apart() {
    for (start, expected) in [
        (b"NKB2", StoreErrorKind::NewerFormat),
        (b"NKB9", StoreErrorKind::NewerFormat),
        (b"NKBx", StoreErrorKind::NotAStore),
        (b"\x7fELF", StoreErrorKind::NotAStore),
    ] {
        let mut bytes = FILE.clone();
        bytes[..4].copy_from_slice(start);
        assert_eq!(kind_of(&bytes), Some(expected));
    }
    let folder = tempfile::tempdir().unwrap();
    let not_a_file = Store::portable(folder.path()).unwrap_err();
    assert_eq!(not_a_file.kind, StoreErrorKind::NotAStore);
    let missing = Store::portable(folder.path().join("none.nkb")).unwrap_err();
    assert_eq!(missing.kind, StoreErrorKind::NotFound);
    assert_eq!(PortableHeader::read(folder.path().join("n")).unwrap_err().op, Op::Open);
}

#[test]
fn directories_that_make_no_sense_are_damaged() {
    // One record: name "a", two bytes, at 23 + 1 + 1 + 8 = 33.
    let records = b"\x01a\x02\0\0\0\0\0\0\0hi";
    let good: &[u8] = b"\x01\x01a\x21\x02";
    let (_folder, store) = open(&assemble(&header_bytes(), records, good)).unwrap();
    assert_eq!(store.get("a").unwrap(), b"hi");

    let cases: [(&str, &[u8]); 13] = [
        ("empty", b""),
        ("too few entries", b"\x02\x01a\x21\x02"),
        ("left over", b"\x01\x01a\x21\x02\x00"),
        ("twice", b"\x02\x01a\x21\x02\x01a\x21\x02"),
        ("upper case", b"\x01\x01A\x21\x02"),
        ("upwards", b"\x01\x02..\x21\x02"),
        ("no name", b"\x01\x00\x21\x02"),
        ("not UTF-8", b"\x01\x01\xff\x21\x02"),
        ("in the header", b"\x01\x01a\x20\x02"),
        ("behind the objects", b"\x01\x01a\x21\x03"),
        ("overflow", b"\x01\x01a\x21\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ("long name", b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a\x21\x02"),
        ("not shortest", b"\x01\x01a\xa1\x00\x02"),
    ];
    for (what, directory) in cases {
        let kind = kind_of(&assemble(&header_bytes(), records, directory));
        assert!(matches!(kind, Some(StoreErrorKind::Damaged(_))), "{what}: {kind:?}");
    }
}

#[test]
fn creating_twice_keeps_one_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.nkb");
    let writer = PortableWriter::create(&path, full_header()).unwrap();
    let results =
        [b"one", b"two"].map(|b| writer.store().create("a", b, Durability::Visible).unwrap());
    assert_eq!(results, [Created::New, Created::Exists]);
    let size = writer.finish().unwrap();
    assert_eq!(size, 23 + (1 + 1 + 8 + 3) + (1 + 2 + 1 + 1) + 52);
    assert_eq!(Store::portable(&path).unwrap().get("a").unwrap(), b"one");
}

/// Reads everything; errors are fine, panics and wrong sizes are not.
fn read_all(store: &Store) {
    for object in store.list("").unwrap() {
        if let Ok(bytes) = store.get(&object.name) {
            assert_eq!(bytes.len() as u64, object.size);
        }
        let _ = store.get_range(&object.name, object.size / 2, 5);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn mutations_never_panic_nor_change_the_directory(
        splices in prop::collection::vec((any::<prop::sample::Index>(), 0..40_usize, prop::collection::vec(any::<u8>(), 0..40)), 1..4),
    ) {
        let mut bytes = FILE.clone();
        for (place, removed, added) in splices {
            let start = place.index(bytes.len() + 1);
            let end = bytes.len().min(start + removed);
            bytes.splice(start..end, added);
        }
        if let Ok((_folder, store)) = open(&bytes) {
            let listed: Vec<_> = store.list("").unwrap().into_iter().map(|o| (o.name, o.size)).collect();
            let expected = OBJECTS.map(|(name, bytes)| (name.to_owned(), bytes.len() as u64));
            prop_assert_eq!(listed, expected);
            read_all(&store);
        }
    }

    #[test]
    fn random_directories_with_a_right_hash_never_panic(
        directory in prop::collection::vec(prop_oneof![0..4_u8, Just(b'a'), 0x1e..0x24_u8, any::<u8>()], 0..30),
    ) {
        let records = b"\x01a\x02\0\0\0\0\0\0\0hi";
        if let Ok((_folder, store)) = open(&assemble(&header_bytes(), records, &directory)) {
            read_all(&store);
        }
    }
}
