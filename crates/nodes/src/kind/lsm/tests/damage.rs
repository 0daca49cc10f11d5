//! Damaged bytes: every reader answers with an error that names the place, and none panics.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::encode::{self, Style};
use super::fake::Make;
use super::hooked::Hooked;
use super::{Stage, fake};
use crate::kind::lsm::edit::{BlobMeta, Edit, TableMeta};
use crate::kind::lsm::log::{Next, Reader};
use crate::kind::lsm::table::{Table, Walk};
use crate::kind::lsm::wal::{Look, batch};
use crate::kind::lsm::{blob, read, verify};

/// A copy of a small database.
fn copied(make: Make) -> Stage {
    let stage = Stage::new(make);
    stage.capture(&Hooked::new(&stage.live(), |_, _| {})).unwrap();
    stage
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Everything that reads a copy is run; whether all of it was content.
fn is_sound(folder: &Path) -> bool {
    let verified = verify(folder).unwrap();
    if let Ok(database) = read::Database::open(folder) {
        for family in database.families() {
            // What comes of it is the verification's to say.
            _ = database.pairs(family).map(|pairs| pairs.filter(Result::is_err).count());
        }
    }
    verified.is_sound()
}

#[test]
fn every_flipped_bit_is_found_and_named() {
    for make in [Make::Rocks, Make::Recycling, Make::Level] {
        let stage = copied(make);
        assert!(is_sound(&stage.copy()));
        for path in files(&stage.copy()) {
            let name = path.file_name().unwrap().to_str().unwrap();
            // A recycled database differs in its logs.
            if name == "IDENTITY" || make == Make::Recycling && !name.ends_with(".log") {
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            // Links of the live database are not to be changed.
            fs::remove_file(&path).unwrap();
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << (at % 8);
                fs::write(&path, &changed).unwrap();
                let is_padding = padding(name, &bytes, at);
                assert!(is_padding || !is_sound(&stage.copy()), "{make:?} {name} at {at}");
            }
            fs::write(&path, &bytes).unwrap();
        }
        assert!(is_sound(&stage.copy()));
    }
}

/// Bytes of a footer of old that no checksum covers: zeros after two places, a last byte of these that only gets longer by a zero, and the version,
/// of which several read the same.
fn padding(name: &str, bytes: &[u8], at: usize) -> bool {
    let from_end = bytes.len() - at;
    let is_table = name.ends_with(".ldb") || name.ends_with(".sst");
    let (foot, places_end) = if name.ends_with(".ldb") { (48, 8) } else { (52, 12) };
    let is_version = from_end <= places_end && from_end > 8;
    let is_place = from_end <= foot && from_end > places_end;
    let says_the_same = bytes[at] == 0 || at % 8 == 7 && bytes.get(at + 1) == Some(&0);
    is_table && (is_version || is_place && says_the_same)
}

/// Whether a log ends between two records.
fn ends_whole(bytes: &[u8]) -> bool {
    let mut reader = Reader::new(None);
    reader.push(bytes);
    while matches!(reader.read(), Next::Record(_)) {}
    reader.whole() == bytes.len() as u64
}

#[test]
fn every_truncation_is_found() {
    for make in [Make::Rocks, Make::Level] {
        let stage = copied(make);
        for path in files(&stage.copy()) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let bytes = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            for length in 0..bytes.len() {
                fs::write(&path, &bytes[..length]).unwrap();
                let sound = is_sound(&stage.copy());
                // A log that ends between two records has lost what nothing else tells of.
                let is_log = name.ends_with(".log") || name.starts_with("MANIFEST");
                let may_be_sound = is_log && ends_whole(&bytes[..length])
                    || name == "IDENTITY"
                    || name == "CURRENT" && length + 1 == bytes.len();
                assert!(!sound || may_be_sound, "{make:?} {name} cut to {length}");
            }
            fs::write(&path, &bytes).unwrap();
        }
    }
}

#[test]
fn damage_is_named_with_file_and_offset() {
    let stage = copied(Make::Rocks);
    let path = files(&stage.copy())
        .into_iter()
        .find(|path| path.extension().is_some_and(|end| end == "sst"));
    let path = path.unwrap();
    let mut bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    bytes[3] ^= 1;
    fs::write(&path, bytes).unwrap();
    let verified = verify(&stage.copy()).unwrap();
    let check = verified.checks.iter().find(|check| check.name == "tables").unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(check.detail.contains(name), "{}", check.detail);
    assert!(check.detail.contains("wrong checksum at offset 0"), "{}", check.detail);
}

#[test]
fn a_missing_file_is_named() {
    let stage = copied(Make::Rocks);
    let path = files(&stage.copy())
        .into_iter()
        .find(|path| path.extension().is_some_and(|end| end == "sst"));
    fs::remove_file(path.unwrap()).unwrap();
    let verified = verify(&stage.copy()).unwrap();
    let check = verified.checks.iter().find(|check| check.name == "files").unwrap();
    assert!(check.detail.contains("is not there"), "{}", check.detail);
    assert!(!verified.is_sound());
    let database = read::Database::open(&stage.copy()).unwrap();
    let pairs = |name: &str| database.pairs(name).map(|pairs| pairs.filter(Result::is_err).count());
    assert!(["default", "objects"].into_iter().any(|name| pairs(name).map_or(true, |bad| bad > 0)));
    assert_eq!(fake::state(0, 2).len(), 2);
}

fn small_table(style: Style) -> Vec<u8> {
    let entries: Vec<_> = (0..12)
        .map(|at| (format!("key{at:03}").into_bytes(), 100 - at, Some(vec![b'v'; 40])))
        .collect();
    encode::table(1, &entries, style).bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn parsers_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        _ = Edit::parse(&bytes);
        _ = batch(&bytes, |_| {});
        let mut look = Look::new(7);
        look.push(&bytes, |_| {});
        _ = look.finish(false);
    }

    #[test]
    fn tables_with_any_bytes_changed_never_panic(
        version in prop::sample::select(vec![0_u32, 2, 5, 6]),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        foot in any::<bool>(),
    ) {
        let mut bytes = small_table(Style { version, checksum: 1, compression: 4 });
        let whole = bytes.len();
        for (at, byte) in changes {
            // The end of a table says where all else lies.
            let at = if foot { whole - 1 - at.index(60) } else { at.index(whole) };
            bytes[at] = byte;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("000001.sst");
        fs::write(&path, &bytes).unwrap();
        if let Ok(table) = Table::open(&path) && let Ok(mut walk) = Walk::new(&table) {
            while let Ok(Some(_)) = walk.next(&table) {}
        }
        _ = blob::check(&path);
    }

    #[test]
    fn records_survive_their_own_encoding(number in 1..u64::MAX / 2, size in 0..u64::MAX / 2, garbage in any::<u32>()) {
        let mut bytes = Vec::new();
        for value in [400, number, 7, size] {
            encode::varint(&mut bytes, value);
        }
        // A checksum's name and value, no fields; then garbage of the same file, and a tag that may be skipped.
        bytes.extend([0, 0, 0]);
        for value in [401, number, u64::from(garbage), 9] {
            encode::varint(&mut bytes, value);
        }
        bytes.push(0);
        encode::varint(&mut bytes, (1 << 13) + 999);
        encode::prefixed(&mut bytes, b"later");
        let edit = Edit::parse(&bytes).unwrap();
        prop_assert_eq!(edit.blobs, vec![BlobMeta { number, count: 7, bytes: size }]);
        prop_assert_eq!(edit.garbage, vec![(number, u64::from(garbage))]);
        prop_assert_eq!(edit.added, Vec::<(u32, TableMeta)>::new());
    }
}
