//! What every store promises, run against every kind of store.

use std::sync::Barrier;

use nodekeep_store::{
    Created, Durability, PortableHeader, PortableKind, PortableWriter, Store, StoreErrorKind,
};
use tempfile::TempDir;

use crate::s3;

const DURABILITIES: [Durability; 2] = [Durability::Visible, Durability::Durable];

struct Subject {
    kind: &'static str,
    store: Store,
    can_delete: bool,
    _s3: Option<s3::Scratch>,
    _folder: TempDir,
    _writer: Option<PortableWriter>,
}

/// A header of a full portable file.
pub(crate) fn full_header() -> PortableHeader {
    PortableHeader { id: [7; 16], kind: PortableKind::Full, base: None, base_name: String::new() }
}

/// Every kind of store; a real S3 server too, where the environment names one that is honest.
fn subjects() -> Vec<Subject> {
    let mut subjects = Vec::from(["local", "memory", "overlay", "portable writer"].map(subject));
    if let Some(scratch) = s3::Scratch::of_honest_server() {
        let folder = tempfile::tempdir().unwrap();
        subjects.push(Subject {
            kind: "s3",
            store: scratch.store(),
            can_delete: true,
            _s3: Some(scratch),
            _folder: folder,
            _writer: None,
        });
    }
    subjects
}

fn subject(kind: &'static str) -> Subject {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = None;
    let store = match kind {
        "local" => Store::local(folder.path().join("deep/store")),
        "memory" => Store::memory(),
        "overlay" => Store::overlay(
            Store::local(folder.path().join("top")),
            vec![Store::memory(), Store::memory()],
        ),
        _ => writer
            .insert(PortableWriter::create(folder.path().join("p.nkb"), full_header()).unwrap())
            .store(),
    };
    let can_delete = writer.is_none();
    Subject { kind, store, can_delete, _s3: None, _folder: folder, _writer: writer }
}

fn names(store: &Store, prefix: &str) -> Vec<String> {
    let objects = store.list(prefix).unwrap();
    objects.into_iter().map(|object| object.name).collect()
}

#[test]
fn the_second_create_changes_nothing() {
    for Subject { kind, store, .. } in &subjects() {
        for (first, second) in [(0, 1), (1, 0)].map(|(a, b)| (DURABILITIES[a], DURABILITIES[b])) {
            let name = format!("w/{first:?}").to_lowercase();
            assert_eq!(store.create(&name, b"one", first).unwrap(), Created::New);
            let again = store.create(&name, b"other", second).unwrap();
            assert_eq!(again, Created::Exists, "{kind}");
            assert_eq!(store.get(&name).unwrap(), b"one", "{kind}");
        }
    }
}

#[test]
fn one_of_many_creators_wins() {
    for Subject { kind, store, .. } in &subjects() {
        let start = Barrier::new(16);
        let compete = |number: u8| {
            start.wait();
            store.create("g/0/slot", &vec![number; 5000], DURABILITIES[number as usize % 2])
        };
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|number| scope.spawn(move || (number, compete(number).unwrap())))
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        let winners: Vec<_> = results.iter().filter(|r| r.1 == Created::New).collect();
        assert_eq!(winners.len(), 1, "{kind}");
        assert_eq!(store.get("g/0/slot").unwrap(), vec![winners[0].0; 5000]);
    }
}

#[test]
fn lists_by_prefix_in_order_of_names() {
    let all = ["config", "g/1/ab.x", "g/1/ac", "g/1.y", "g/12", "g/2/ab", "k/ff"];
    let cases: [(&str, &[&str]); 12] = [
        ("", &["config", "g/1.y", "g/1/ab.x", "g/1/ac", "g/12", "g/2/ab", "k/ff"]),
        ("g", &["g/1.y", "g/1/ab.x", "g/1/ac", "g/12", "g/2/ab"]),
        ("g/", &["g/1.y", "g/1/ab.x", "g/1/ac", "g/12", "g/2/ab"]),
        ("g/1", &["g/1.y", "g/1/ab.x", "g/1/ac", "g/12"]),
        ("g/1/", &["g/1/ab.x", "g/1/ac"]),
        ("g/1/a", &["g/1/ab.x", "g/1/ac"]),
        ("g/1/ab", &["g/1/ab.x"]),
        ("g/1/ab.", &["g/1/ab.x"]),
        ("config", &["config"]),
        ("config/", &[]),
        ("g/3/", &[]),
        ("nothing", &[]),
    ];
    for Subject { kind, store, .. } in &subjects() {
        assert_eq!(store.list("").unwrap(), [], "{kind}");
        for name in all {
            store.create(name, name.as_bytes(), Durability::Visible).unwrap();
        }
        for (prefix, expected) in cases {
            assert_eq!(names(store, prefix), expected, "{kind}, {prefix:?}");
        }
        for object in store.list("").unwrap() {
            assert_eq!(object.size, object.name.len() as u64, "{kind}");
        }
    }
}

#[test]
fn reads_exactly_the_range_or_fails() {
    let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
    let good = [(0, 0), (0, 1000), (1, 998), (999, 1), (1000, 0)];
    let bad = [(0, 1001), (1000, 1), (1001, 0), (u64::MAX, 1), (1, usize::MAX)];
    for Subject { kind, store, .. } in &subjects() {
        store.create("o", &bytes, Durability::Visible).unwrap();
        assert_eq!(store.size("o").unwrap(), 1000);
        for (offset, len) in good {
            let expected = &bytes[offset as usize..][..len];
            assert_eq!(store.get_range("o", offset, len).unwrap(), expected, "{kind}");
            let mut buffer = vec![0; len];
            store.read_into("o", offset, &mut buffer).unwrap();
            assert_eq!(buffer, expected, "{kind}");
        }
        for (offset, len) in bad {
            let error = store.get_range("o", offset, len).unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Truncated, "{kind} {offset} {len}");
            assert_eq!(error.object, "o");
        }
        let error = store.read_into("o", 999, &mut [0; 2]).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Truncated, "{kind}");
    }
}

#[test]
fn missing_objects_are_not_found() {
    for Subject { kind, store, can_delete, .. } in &subjects() {
        store.create("a/object", b"", Durability::Visible).unwrap();
        for name in ["b", "a/b", "a", "x/y/z", "a/object/below"] {
            let errors = [
                store.get(name).unwrap_err(),
                store.get_range(name, 0, 0).unwrap_err(),
                store.read_into(name, 0, &mut []).unwrap_err(),
                store.size(name).unwrap_err(),
            ];
            for error in errors {
                assert_eq!(error.kind, StoreErrorKind::NotFound, "{kind} {name}");
                let message = error.to_string();
                assert!(message.contains(name), "{message}");
                assert!(message.contains(store.location()), "{message}");
            }
            if *can_delete {
                assert!(!store.delete(name).unwrap(), "{kind} {name}");
            }
        }
    }
}

#[test]
fn refuses_names_that_are_unsafe_or_ambiguous() {
    let too_long = "a/".repeat(256) + "a";
    let bad = [
        "", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "A", "ä", "a b", "a\0",
        "a\\b", "a+b", ".tmp-1", "a/.tmp-0", &too_long,
    ];
    for Subject { kind, store, .. } in &subjects() {
        for name in bad {
            let errors = [
                store.create(name, b"", Durability::Visible).unwrap_err(),
                store.get(name).unwrap_err(),
                store.size(name).unwrap_err(),
                store.delete(name).unwrap_err(),
            ];
            for error in errors {
                assert_eq!(error.kind, StoreErrorKind::InvalidName, "{kind} {name:?}");
            }
        }
        for prefix in ["/", "..//", "../", "a/../b", "A", &too_long] {
            let error = store.list(prefix).unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::InvalidName, "{kind} {prefix:?}");
        }
        let longest = "a/".repeat(255) + "aa";
        let created = store.create(&longest, b"x", Durability::Durable).unwrap();
        assert_eq!(created, Created::New, "{kind}");
        assert_eq!(names(store, &longest), [longest.as_str()], "{kind}");
    }
}

#[test]
fn deletes_once_and_can_create_again() {
    for Subject { kind, store, can_delete, .. } in &subjects() {
        store.create("c/1", b"old", Durability::Visible).unwrap();
        if !can_delete {
            let error = store.delete("c/1").unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::ReadOnly, "{kind}");
            continue;
        }
        assert!(store.delete("c/1").unwrap(), "{kind}");
        assert!(!store.delete("c/1").unwrap(), "{kind}");
        assert_eq!(store.list("").unwrap(), [], "{kind}");
        // What was deleted is no longer due.
        store.barrier().unwrap();
        let created = store.create("c/1", b"new", Durability::Visible).unwrap();
        assert_eq!(created, Created::New, "{kind}");
        assert_eq!(store.get("c/1").unwrap(), b"new", "{kind}");
    }
}

#[test]
fn barriers_succeed_in_any_state() {
    for Subject { kind, store, .. } in &subjects() {
        store.barrier().unwrap();
        for number in 0..20 {
            let name = format!("w/{}/{number}", number % 3);
            store.create(&name, &[number], DURABILITIES[number as usize % 2]).unwrap();
        }
        store.clone().barrier().unwrap();
        store.barrier().unwrap();
        assert_eq!(store.list("w/").unwrap().len(), 20, "{kind}");
    }
}

#[test]
fn keeps_empty_and_large_objects() {
    let large: Vec<u8> =
        (0..20 << 20).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for Subject { kind, store, .. } in &subjects() {
        store.create("empty", b"", Durability::Durable).unwrap();
        store.create("large", &large, Durability::Visible).unwrap();
        store.barrier().unwrap();
        assert_eq!(store.get("empty").unwrap(), b"", "{kind}");
        assert!(store.get("large").unwrap() == large, "{kind}");
        let middle = store.get_range("large", 7 << 20, 4096).unwrap();
        assert!(middle == large[7 << 20..][..4096], "{kind}");
    }
}
