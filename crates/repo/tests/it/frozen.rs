//! Frozen repositories in `testdata/v1`: whatever this engine becomes, it reads them exactly. `testdata/README.md` says how they were made.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use nodekeep_repo::backup::BackupOptions;
use nodekeep_repo::collect::CollectOptions;
use nodekeep_repo::id::{SnapshotId, to_hex};
use nodekeep_repo::keys::{Entropy, Identities, Reader};
use nodekeep_repo::monitor::Silent;
use nodekeep_repo::pack::PackKind;
use nodekeep_repo::portable::{self, PortableFile};
use nodekeep_repo::reader::{Buffers, ChunkReader};
use nodekeep_repo::repository::{Access, CreateOptions, Repository, SnapshotRecord};
use nodekeep_repo::source::fs::FsSource;
use nodekeep_repo::tree::{Entry, Kind as EntryKind, Run};
use nodekeep_store::Store;
use nodekeep_testkit::{Kind, Meta, Node, Tree};
use serde_json::{Map, Value, json};

use crate::nouns::noise;
use crate::vectors::{blessing, testdata};

const PASSPHRASE: &str = "the passphrase of a frozen test file";

/// Holes in files below this size may be read over.
const SMALL: u64 = 256 * 1024;

fn folder() -> std::path::PathBuf {
    testdata().join("v1")
}

fn owner_access() -> Access {
    let words = std::fs::read_to_string(folder().join("words")).unwrap();
    Access { owner: Some(Entropy::from_words(&words).unwrap()), ..Access::default() }
}

fn passphrase_access() -> Access {
    let mut identities = Identities::new();
    identities.add_passphrase(PASSPHRASE);
    Access { identities, ..Access::default() }
}

/// A path or name as text: bytes that are no ASCII are escaped.
fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn described_meta(kind: &str, meta: &Meta) -> Map<String, Value> {
    let xattrs = meta.xattrs.iter().map(|(name, value)| (shown(name), json!(to_hex(value))));
    let fields = json!({
        "kind": kind,
        "mode": format!("{:04o}", meta.mode),
        "owner": [meta.uid, meta.gid],
        "mtime": [meta.mtime.0, i64::from(meta.mtime.1)],
        "xattrs": xattrs.collect::<Map<_, _>>(),
    });
    let Value::Object(fields) = fields else { unreachable!("it is an object") };
    fields
}

fn described_node(node: &Node) -> Value {
    let (kind, more) = match &node.kind {
        Kind::File { bytes, holes } => {
            let holes = if bytes.len() as u64 >= SMALL { *holes } else { 0 };
            (
                "file",
                json!({"size": bytes.len(), "holes": holes, "blake3": blake3::hash(bytes).to_hex().as_str()}),
            )
        }
        Kind::Dir => ("directory", json!({})),
        Kind::Symlink(target) => ("symlink", json!({"target": shown(target)})),
        Kind::Fifo => ("fifo", json!({})),
        Kind::Socket => ("socket", json!({})),
        Kind::CharDevice(major, minor) => ("character device", json!({"device": [major, minor]})),
        Kind::BlockDevice(major, minor) => ("block device", json!({"device": [major, minor]})),
        Kind::SameAs(first) => ("same", json!({"as": shown(first)})),
    };
    let mut fields = described_meta(kind, &node.meta);
    fields.extend(more.as_object().unwrap().clone());
    Value::Object(fields)
}

/// What a tree holds, as it stands in `expected.json`.
fn described(tree: &Tree) -> Value {
    tree.nodes.iter().map(|(path, node)| (shown(path), described_node(node))).collect()
}

fn content(reader: &ChunkReader, runs: &[Run]) -> (Vec<u8>, u64) {
    let (mut bytes, mut holes) = (Vec::new(), 0);
    let mut buffers = Buffers::new();
    for run in runs {
        match run {
            Run::Hole { len } => {
                holes += len;
                bytes.resize(bytes.len() + *len as usize, 0);
            }
            Run::Data { chunk, offset, len } => {
                reader.chunk(PackKind::Data, chunk, &mut buffers).unwrap();
                bytes.extend_from_slice(&buffers.plain[*offset as usize..][..*len as usize]);
            }
        }
    }
    (bytes, holes)
}

fn node_kind(reader: &ChunkReader, entry: &Entry) -> Kind {
    match &entry.kind {
        EntryKind::File { size, hash, runs } => {
            let (bytes, holes) = content(reader, runs);
            assert_eq!(bytes.len() as u64, *size);
            let data: Vec<Run> =
                runs.iter().filter(|r| matches!(r, Run::Data { .. })).copied().collect();
            let hashed = reader.domain().file_hasher().update(&content(reader, &data).0).finalize();
            assert_eq!(hashed.as_bytes(), hash, "the file hash of {}", shown(&entry.name));
            Kind::File { bytes, holes }
        }
        EntryKind::Directory { .. } => Kind::Dir,
        EntryKind::Symlink { target } => Kind::Symlink(target.clone()),
        EntryKind::Fifo => Kind::Fifo,
        EntryKind::Socket => Kind::Socket,
        EntryKind::CharDevice { major, minor } => Kind::CharDevice(*major, *minor),
        EntryKind::BlockDevice { major, minor } => Kind::BlockDevice(*major, *minor),
    }
}

fn walk(reader: &ChunkReader, entry: &Entry, path: Vec<u8>, out: &mut BTreeMap<Vec<u8>, Entry>) {
    if let EntryKind::Directory { tree, .. } = &entry.kind {
        for child in reader.entries(tree).unwrap() {
            let below = if path.is_empty() {
                child.name.clone()
            } else {
                [&path, &b"/"[..], &child.name].concat()
            };
            walk(reader, &child, below, out);
        }
    }
    out.insert(path, entry.clone());
}

/// The tree in a snapshot, by the engine's own reading.
fn tree_of(repo: &Repository, record: &SnapshotRecord) -> Tree {
    let reader = repo.reader(Arc::new(repo.index(&repo.view().unwrap()).unwrap()));
    let mut entries = BTreeMap::new();
    walk(&reader, &record.snapshot.roots[0].entry, Vec::new(), &mut entries);
    let mut first: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let node = |(path, entry): (Vec<u8>, Entry)| {
        let meta = Meta {
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: (entry.mtime, entry.mtime_ns),
            xattrs: entry.xattrs.clone(),
        };
        let before = entry.link.and_then(|link| first.get(&link).cloned());
        let kind = before.map_or_else(|| node_kind(&reader, &entry), Kind::SameAs);
        if let (Some(link), false) = (entry.link, matches!(kind, Kind::SameAs(_))) {
            first.insert(link, path.clone());
        }
        (path, Node { meta, kind })
    };
    Tree { nodes: entries.into_iter().map(node).collect() }
}

fn expected() -> Value {
    let path = folder().join("expected.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// Compares one path at a time: a whole tree would be no message.
fn assert_described(tree: &Tree, expected: &Value, what: &str) {
    let (found, expected) = (described(tree), expected.as_object().unwrap());
    for (path, fields) in expected {
        assert_eq!(found.get(path), Some(fields), "{what}: {path}");
    }
    assert_eq!(found.as_object().unwrap().len(), expected.len(), "{what}: more than there was");
}

fn assert_snapshots(repo: &Repository, expected: &Value, what: &str) {
    let records = repo.snapshots().unwrap();
    let expected = expected.as_array().unwrap();
    assert_eq!(records.len(), expected.len(), "{what}");
    for (record, expected) in records.iter().zip(expected) {
        let snapshot = &record.snapshot;
        assert_eq!(record.id.hex(), expected["id"], "{what}");
        assert_eq!(
            json!([snapshot.host, snapshot.user, snapshot.program]),
            expected["by"],
            "{what}"
        );
        assert_eq!(json!(snapshot.tags), expected["tags"], "{what}");
        assert_eq!(json!([snapshot.started_ms, snapshot.finished_ms]), expected["times"], "{what}");
        assert_eq!(shown(&snapshot.roots[0].path), expected["root"], "{what}");
        assert_eq!(
            json!([snapshot.counts.files, snapshot.counts.dirs, snapshot.counts.bytes]),
            expected["counts"]
        );
        assert_described(&tree_of(repo, record), &expected["tree"], what);
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_frozen_repositories_read_as_they_did() {
    bless();
    let expected = expected();
    for name in ["repository", "collected"] {
        let place = tempfile::tempdir().unwrap();
        copy(&folder().join(name), place.path());
        let repo = Repository::open(Store::local(place.path()), &owner_access(), None).unwrap();
        assert_eq!(repo.id().hex(), expected["repository_id"]);
        assert_snapshots(&repo, &expected["snapshots"], name);
        assert!(
            !repo
                .view()
                .unwrap()
                .is_live(&SnapshotId::parse(expected["deleted"].as_str().unwrap()).unwrap())
        );
        assert_eq!(repo.view().unwrap().checkpoint_number(), u64::from(name == "collected"));
    }
}

#[test]
fn the_frozen_portable_file_reads_as_it_did() {
    bless();
    let repo = portable::open(&folder().join("full.nkb"), &passphrase_access(), &[]).unwrap();
    assert_snapshots(&repo, &expected()["portable"], "full.nkb");
}

/// Makes what is missing where that is asked for, once: a frozen repository is never made again.
fn bless() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        if blessing() && !folder().join("expected.json").exists() {
            make();
        }
    });
}

fn meta(mode: u16, mtime: (i64, u32)) -> Meta {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    Meta { mode, uid, gid, mtime, xattrs: vec![] }
}

/// Bytes that are cut like any other and take an eighth of their length in a store.
fn letters(seed: u64, len: usize) -> Vec<u8> {
    noise(seed, len).into_iter().map(|byte| b'a' + (byte & 1)).collect()
}

/// A bit of everything.
fn first_tree() -> Tree {
    let file = |bytes: Vec<u8>| Kind::File { bytes, holes: 0 };
    let mut sparse = vec![0; 1 << 20];
    sparse[..4096].fill(1);
    sparse[(1 << 20) - 4096..].fill(2);
    let large = [noise(31, 150 * 1024), letters(35, 450 * 1024)].concat();
    let database = [b"SQLite format 3\0".to_vec(), letters(32, 330 * 1024)].concat();
    type Row = (&'static [u8], u16, (i64, u32), Kind);
    let nodes: [Row; 18] = [
        (b"", 0o755, (1_600_000_000, 1), Kind::Dir),
        (b"a", 0o640, (1_600_000_001, 999_999_999), file(b"the first small file".to_vec())),
        (b"a hard link", 0o640, (1_600_000_001, 999_999_999), Kind::SameAs(b"a".to_vec())),
        (b"before 1970", 0o400, (-5, 123), file(b"old".to_vec())),
        (b"chain.db", 0o600, (1_600_000_002, 0), file(database)),
        (b"dangling", 0o777, (1_600_000_003, 7), Kind::Symlink(b"/no\xffwhere".to_vec())),
        (b"directory", 0o1770, (1_600_000_004, 8), Kind::Dir),
        (b"directory/empty", 0o700, (1_600_000_005, 9), Kind::Dir),
        (b"directory/file", 0o4755, (1_600_000_006, 10), file(b"#!/bin/sh\n".to_vec())),
        (
            b"directory/hard link too",
            0o640,
            (1_600_000_001, 999_999_999),
            Kind::SameAs(b"a".to_vec()),
        ),
        (b"empty", 0o444, (1_600_000_007, 11), file(vec![])),
        (b"large", 0o644, (1_600_000_008, 12), file(large)),
        (b"link", 0o777, (1_600_000_009, 13), Kind::Symlink(b"directory/file".to_vec())),
        (b"new\nline", 0o644, (1_600_000_010, 14), file(b"odd name".to_vec())),
        (b"pipe", 0o620, (1_600_000_011, 15), Kind::Fifo),
        (b"socket", 0o700, (1_600_000_012, 16), Kind::Socket),
        (b"sparse", 0o644, (1_600_000_013, 17), Kind::File { bytes: sparse, holes: 1 }),
        (b"\xff\xfe", 0o644, (4_000_000_000, 18), file(b"no UTF-8".to_vec())),
    ];
    let node =
        |(path, mode, mtime, kind): Row| (path.to_vec(), Node { meta: meta(mode, mtime), kind });
    let mut tree = Tree { nodes: nodes.into_iter().map(node).collect() };
    for path in [b"a".as_slice(), b"a hard link", b"directory/hard link too", b"directory"] {
        let xattrs = vec![
            (b"user.empty".to_vec(), vec![]),
            (b"user.note".to_vec(), b"\0a note\xff".to_vec()),
        ];
        tree.nodes.get_mut(path).unwrap().meta.xattrs = xattrs;
    }
    tree
}

fn with_file(mut tree: Tree, path: &[u8], bytes: &[u8]) -> Tree {
    let kind = Kind::File { bytes: bytes.to_vec(), holes: 0 };
    tree.nodes.insert(path.to_vec(), Node { meta: meta(0o600, (1_700_000_000, 5)), kind });
    tree
}

fn options(tag: &str) -> BackupOptions {
    let text = str::to_owned;
    BackupOptions {
        host: text("frozen"),
        user: text("tester"),
        program: text("nodekeep 0.1.0"),
        tags: vec![(text("tree"), text(tag))],
        ..BackupOptions::default()
    }
}

/// Puts a tree at `place`, in the place of what is there.
fn put(tree: &Tree, place: &Path) -> FsSource {
    if place.exists() {
        std::fs::remove_dir_all(place).unwrap();
    }
    std::fs::create_dir(place).unwrap();
    tree.write(place).unwrap();
    FsSource::new(vec![place.to_path_buf()]).unwrap()
}

/// What must be read back: the tree by the tests' own reading of the disk, not the engine's.
fn expectation(repo: &Repository, id: SnapshotId, place: &Path) -> Value {
    let record = repo.snapshots().unwrap().into_iter().find(|r| r.id == id).unwrap();
    let snapshot = record.snapshot;
    json!({
        "id": id.hex(),
        "by": [snapshot.host, snapshot.user, snapshot.program],
        "tags": snapshot.tags,
        "times": [snapshot.started_ms, snapshot.finished_ms],
        "root": shown(&snapshot.roots[0].path),
        "counts": [snapshot.counts.files, snapshot.counts.dirs, snapshot.counts.bytes],
        "tree": described(&Tree::read(place).unwrap()),
    })
}

fn make() {
    let home = tempfile::tempdir().unwrap();
    let place = home.path().join("node");
    let entropy = Entropy::from_bytes([0x4e; 32]);
    std::fs::write(folder().join("words"), format!("{}\n", entropy.words().as_str())).unwrap();
    let create = CreateOptions { pack_size: 64 * 1024, ..CreateOptions::default() };
    let store = Store::local(folder().join("repository"));
    let (repo, _) = Repository::create(store, &entropy, &create).unwrap();
    let mut kept = Vec::new();
    let mut deleted = None;
    let trees = [
        first_tree(),
        with_file(first_tree(), b"deleted later", &noise(33, 70_000)),
        with_file(first_tree(), b"directory/new", &noise(34, 70_000)),
    ];
    for (number, tree) in trees.iter().enumerate() {
        let source = put(tree, &place);
        let id =
            repo.backup(&source, &options(&number.to_string()), &Silent).unwrap().snapshot.unwrap();
        if number == 1 { deleted = Some(id) } else { kept.push(expectation(&repo, id, &place)) }
    }
    repo.delete(&[deleted.unwrap()]).unwrap();
    copy(&folder().join("repository"), &folder().join("collected"));
    collect(&entropy);
    let file = folder().join("full.nkb");
    let reader = Reader::Passphrase(PASSPHRASE.to_owned().into());
    let portable = PortableFile::create(&file, vec![(reader, "passphrase".to_owned())]).unwrap();
    let (report, _) = portable
        .backup(&FsSource::new(vec![place.clone()]).unwrap(), &options("file"), &Silent)
        .unwrap();
    let opened = portable::open(&file, &passphrase_access(), &[]).unwrap();
    let expected = json!({
        "repository_id": repo.id().hex(),
        "deleted": deleted.unwrap().hex(),
        "snapshots": kept,
        "portable": [expectation(&opened, report.snapshot.unwrap(), &place)],
    });
    let text = serde_json::to_string_pretty(&expected).unwrap() + "\n";
    std::fs::write(folder().join("expected.json"), text).unwrap();
}

fn collect(entropy: &Entropy) {
    let access = Access { owner: Some(entropy.clone()), ..Access::default() };
    let repo = Repository::open(Store::local(folder().join("collected")), &access, None).unwrap();
    let options = CollectOptions { max_unused_percent: 0, ..CollectOptions::default() };
    let report = repo.collect(&[], &options, &Silent).unwrap();
    assert_eq!((report.checkpoint, report.postponed), (Some(1), None));
}
