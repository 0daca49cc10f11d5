//! Guts: objects of its store, and what is not on disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use nodekeep_nodes::guts::objects::{Objects, Pair, count, in_store};
use nodekeep_nodes::guts::{key, warnings};
use nodekeep_nodes::kind::Verified;
use nodekeep_nodes::node::{Node, Registration};
use nodekeep_nodes::profile::builtin;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// A store with objects by id.
#[derive(Default, Clone)]
struct Store {
    objects: BTreeMap<Vec<u8>, Vec<u8>>,
    references: BTreeMap<String, Vec<u8>>,
}

impl Store {
    fn put(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let word = ["", "commit", "tree", "blob", "tag"][usize::from(kind)];
        let mut hashed = format!("{word} {}\0", content.len()).into_bytes();
        hashed.extend(content);
        let id = digest(&SHA1_FOR_LEGACY_USE_ONLY, &hashed).as_ref().to_vec();
        self.objects.insert(id.clone(), [&[kind], content].concat());
        id
    }

    fn count(&self) -> Objects {
        let objects = self.objects.clone().into_iter().map(Pair::Ok);
        let references = self
            .references
            .iter()
            .map(|(name, id)| Pair::Ok((name.clone().into_bytes(), id.clone())));
        count(objects, references).unwrap()
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Two repositories: one with two commits and a tag, one with a submodule; and a file that nothing needs.
fn store() -> (Store, Vec<u8>) {
    let mut store = Store::default();
    let blob = store.put(3, b"hello\n");
    assert_eq!(hex(&blob), "ce013625030ba8dba906f756967f9e9ca394464a", "as git has it");
    assert_eq!(
        hex(&Store::default().put(2, b"")),
        "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
        "as git has it"
    );
    let tree = store.put(2, &[b"100644 hello\0".as_slice(), &blob].concat());
    let first = store
        .put(1, format!("tree {}\nauthor a\n\nparent is no word here\n", hex(&tree)).as_bytes());
    let second =
        store.put(1, format!("tree {}\nparent {}\n\nsecond\n", hex(&tree), hex(&first)).as_bytes());
    let tag =
        store.put(4, format!("object {}\ntype commit\ntag v1\n\nx\n", hex(&second)).as_bytes());
    let with_module = store.put(2, &[b"160000 other\0".as_slice(), &[7; 20]].concat());
    let third = store.put(1, format!("tree {}\n\nthird\n", hex(&with_module)).as_bytes());
    store.put(3, b"nobody needs this");
    store.references.insert("ann/one/refs/heads/main".to_owned(), second);
    store.references.insert("ann/one/refs/tags/v1".to_owned(), tag);
    store.references.insert("ann/two/HEAD".to_owned(), third);
    (store, blob)
}

#[test]
fn objects_are_counted_and_followed() {
    let (store, _) = store();
    let found = store.count();
    let counted =
        (found.blobs, found.trees, found.commits, found.tags, found.references, found.repositories);
    assert_eq!(counted, (2, 2, 3, 1, 3, 2));
    assert_eq!((found.unreachable, found.missing), (1, 0));
    assert_eq!(found.faults, Vec::<String>::new());
    let mut verified = Verified::default();
    found.judge(&mut verified);
    assert!(verified.is_sound() && verified.position.counters["repositories"] == 2);
}

/// Written by RocksDB 10.4.2 as Guts' object store does it, from a repository that git made; the process ended without closing it.
#[test]
fn a_store_that_rocksdb_has_written_is_read() {
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/guts-store");
    let found = in_store(&store).unwrap();
    let counted =
        (found.blobs, found.trees, found.commits, found.tags, found.references, found.repositories);
    assert_eq!(counted, (4, 3, 2, 1, 2, 1));
    assert_eq!((found.unreachable, found.missing), (1, 0));
    assert_eq!(found.faults, Vec::<String>::new());
    assert!(in_store(store.parent().unwrap()).is_err());
}

#[test]
fn damage_is_named() {
    let (store, blob) = store();
    let flip = |store: &mut Store| *store.objects.get_mut(&blob).unwrap().last_mut().unwrap() ^= 1;
    let remove = |store: &mut Store| drop(store.objects.remove(&blob));
    let retype = |store: &mut Store| store.objects.get_mut(&blob).unwrap()[0] = 9;
    let empty = |store: &mut Store| store.objects.get_mut(&blob).unwrap().clear();
    let odd_key = |store: &mut Store| drop(store.objects.insert(vec![1, 2, 3], vec![3]));
    let odd_ref =
        |store: &mut Store| drop(store.references.insert("x/refs/heads/y".to_owned(), vec![1]));
    type Harm<'a> = &'a dyn Fn(&mut Store);
    let cases: [(Harm<'_>, &str); 6] = [
        (&flip, "blob ce013625030ba8dba906f756967f9e9ca394464a hashes to "),
        (&remove, "ce013625030ba8dba906f756967f9e9ca394464a is named and not there"),
        (&retype, "the unknown type 9"),
        (&empty, "ce013625030ba8dba906f756967f9e9ca394464a is empty"),
        (&odd_key, "a key of 3 bytes"),
        (&odd_ref, "reference x/refs/heads/y points to 1 bytes"),
    ];
    for (harm, expected) in cases {
        let mut harmed = store.clone();
        harm(&mut harmed);
        let found = harmed.count();
        assert!(
            found.faults.iter().any(|fault| fault.contains(expected)),
            "{expected}: {:?}",
            found.faults
        );
        let mut verified = Verified::default();
        found.judge(&mut verified);
        assert!(!verified.is_sound());
    }
}

#[test]
fn trees_that_end_early_are_no_panic() {
    let mut store = Store::default();
    for content in [b"100644".as_slice(), b"100644 a\0", b"100644 a\0short"] {
        store.put(2, content);
    }
    assert_eq!(store.count().faults.len(), 3);
}

#[test]
fn many_faults_are_counted_not_listed() {
    let mut store = Store::default();
    for name in 0..40 {
        store.references.insert(format!("refs/heads/{name}"), vec![name; 20]);
    }
    let found = store.count();
    assert_eq!((found.missing, found.faults.len()), (40, 6));
    assert_eq!(found.faults[5], "and 35 more");
}

#[test]
fn what_no_backup_can_hold_is_said_loudly() {
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = (folder.path().join("data"), folder.path().join("config"));
    fs::create_dir(&data).unwrap();
    fs::create_dir(&config).unwrap();
    let profile = builtin::find("guts").unwrap();
    let paths = [("data".to_owned(), data.clone()), ("config".to_owned(), config.clone())].into();
    let registration = Registration {
        name: "g".to_owned(),
        profile: "guts".to_owned(),
        paths,
        ..Default::default()
    };
    let node = Node::new(registration, profile).unwrap();
    let codes = || -> Vec<String> {
        warnings(&node).unwrap().into_iter().map(|(_, note)| note.code).collect()
    };
    assert_eq!(codes(), ["not-on-disk", "configuration", "no-key"]);

    fs::write(config.join("config.yaml"), "api:\n  addr: '127.0.0.1:8080'\n").unwrap();
    fs::write(config.join("node.key"), "ab".repeat(32)).unwrap();
    let notes = warnings(&node).unwrap();
    assert!(notes[1].1.text.contains("api.request_timeout_secs"), "{notes:?}");

    fs::write(config.join("config.yaml"), "metrics: {enabled: true, addr: '127.0.0.1:9090'}\n")
        .unwrap();
    assert_eq!(codes(), ["not-on-disk"]);
    fs::create_dir(data.join("rocksdb")).unwrap();
    fs::write(data.join("rocksdb/CURRENT"), "MANIFEST-000001\n").unwrap();
    assert_eq!(codes(), Vec::<String>::new());
    fs::File::create(data.join("journal")).unwrap().set_len(100 << 20).unwrap();
    assert_eq!(codes(), ["sparse"]);
}

#[test]
fn keys_are_found_in_files_only_if_there_is_one() {
    let one = "ab".repeat(32);
    assert_eq!(key::in_file(&format!(" 0x{one}\n")), Some(format!("0x{one}").as_str()));
    assert_eq!(key::in_file(&format!("{one}\n{one}\n")), None);
    assert_eq!(key::in_file("public: none\n"), None);
    assert_eq!(key::public_key("ab"), None);
    assert_eq!(key::public_key(&"zz".repeat(32)), None);
}
