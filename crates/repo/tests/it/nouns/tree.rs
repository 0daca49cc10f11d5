//! Trees: entries of every kind, and the names that no directory may hold.

use nodekeep_repo::id::ChunkId;
use nodekeep_repo::tree::{Entry, Kind, Node, Run};
use nodekeep_repo::wire::{Decoder, Encoder};
use proptest::prelude::*;

pub fn entry(name: &[u8], kind: Kind) -> Entry {
    Entry {
        name: name.to_vec(),
        mode: 0o4755,
        uid: 1000,
        gid: u32::MAX,
        mtime: -1,
        mtime_ns: 999_999_999,
        xattrs: vec![(b"user.a".to_vec(), vec![]), (b"user.b".to_vec(), b"\0\xff".to_vec())],
        link: None,
        kind,
    }
}

fn file(runs: Vec<Run>, size: u64) -> Kind {
    Kind::File { size, hash: [4; 32], runs }
}

fn data(len: u32) -> Run {
    Run::Data { chunk: ChunkId([5; 32]), offset: 7, len }
}

/// One entry of each kind, in order of their names.
pub fn every_kind() -> Vec<Entry> {
    let directory = Kind::Directory { tree: ChunkId([6; 32]), files: 3, bytes: 1 << 40 };
    let mut entries = vec![
        entry(b"\x01control", file(vec![], 0)),
        entry(
            b"a\nline",
            file(vec![data(10), Run::Hole { len: 1 << 40 }, data(1)], (1 << 40) + 11),
        ),
        entry(b"block", Kind::BlockDevice { major: 8, minor: u32::MAX }),
        entry(b"char", Kind::CharDevice { major: 1, minor: 3 }),
        entry(b"directory", directory),
        entry(b"link", Kind::Symlink { target: b"../\xff".to_vec() }),
        entry(b"pipe", Kind::Fifo),
        entry(b"socket", Kind::Socket),
        entry(b"\xff\xfe", Kind::Symlink { target: vec![] }),
    ];
    for linked in [1, 2, 3, 5, 6, 7, 8] {
        entries[linked].link = Some(u64::MAX - linked as u64);
    }
    entries
}

pub fn leaf(entries: &[Entry]) -> Vec<u8> {
    let encoded: Vec<Vec<u8>> = entries.iter().map(bytes_of).collect();
    Node::encode_leaf(encoded.iter().map(Vec::as_slice))
}

fn bytes_of(entry: &Entry) -> Vec<u8> {
    let mut to = Encoder::new();
    entry.encode(&mut to);
    to.into_bytes()
}

fn decoded(bytes: &[u8]) -> Option<Entry> {
    let mut from = Decoder::new(bytes);
    let entry = Entry::decode(&mut from).ok()?;
    from.end().ok().map(|()| entry)
}

#[test]
fn every_kind_of_entry_is_kept() {
    for entry in every_kind() {
        assert_eq!(decoded(&bytes_of(&entry)), Some(entry.clone()));
        super::batter(&bytes_of(&entry), |bytes| decoded(bytes).is_some());
        assert_eq!(entry.is_dir(), entry.name == b"directory");
        assert_eq!(entry.size() > 0, entry.name == b"a\nline");
    }
    let all = every_kind();
    assert_eq!(Node::decode(&leaf(&all)), Ok(Node::Leaf(all)));
    assert_eq!(Node::decode(&leaf(&[])), Ok(Node::Leaf(vec![])));
}

#[test]
fn nodes_survive_no_damage_silently() {
    let parts = vec![(b"a".to_vec(), ChunkId([1; 32])), (b"b".to_vec(), ChunkId([2; 32]))];
    let split = Node::encode_split(&parts);
    assert_eq!(Node::decode(&split), Ok(Node::Split(parts)));
    super::batter(&split, |bytes| Node::decode(bytes).is_ok());
    super::batter(&leaf(&every_kind()), |bytes| Node::decode(bytes).is_ok());
    assert_eq!(
        Node::decode(&Node::encode_split(&[])).unwrap_err().what,
        "names out of order",
        "a split of nothing"
    );
    assert_eq!(Node::decode(&[3, 0]).unwrap_err().what, "neither leaf nor split");
}

#[test]
fn names_are_possible_and_ascend() {
    let out_of_order = Err("names out of order");
    let impossible = Err("a name that no file can have");
    type Case = (&'static [&'static [u8]], Result<(), &'static str>);
    let cases: [Case; 13] = [
        (&[b"a", b"b"], Ok(())),
        (&[b"a", b"aa", b"b"], Ok(())),
        (&[b"Z", b"a", b"\x80"], Ok(())),
        (&[b"...", b"..a", b".a"], Ok(())),
        (&[&[b'x'; 255]], Ok(())),
        (&[b"b", b"a"], out_of_order),
        (&[b"a", b"a"], out_of_order),
        (&[b""], impossible),
        (&[b"."], impossible),
        (&[b".."], impossible),
        (&[b"a/b"], impossible),
        (&[b"/"], impossible),
        (&[b"a\0"], impossible),
    ];
    for (names, expected) in cases {
        let entries: Vec<_> = names.iter().map(|n| entry(n, Kind::Fifo)).collect();
        let parts: Vec<_> = names.iter().map(|n| (n.to_vec(), ChunkId([1; 32]))).collect();
        assert_eq!(
            Node::decode(&leaf(&entries)).map(|_| ()).map_err(|e| e.what),
            expected,
            "{names:?}"
        );
        assert_eq!(
            Node::decode(&Node::encode_split(&parts)).map(|_| ()).map_err(|e| e.what),
            expected,
            "{names:?}"
        );
    }
}

#[test]
fn runs_add_up_to_the_size() {
    let hole = |len| Run::Hole { len };
    for (runs, size, good) in [
        (vec![], 0, true),
        (vec![data(5), hole(5)], 10, true),
        (vec![hole(i64::MAX as u64)], i64::MAX as u64, true),
        (vec![], 1, false),
        (vec![data(5)], 4, false),
        (vec![data(5)], 6, false),
        (vec![hole(u64::MAX), hole(1)], 0, false),
        (vec![hole(u64::MAX)], u64::MAX, false),
        (vec![hole(1 << 63)], 1 << 63, false),
    ] {
        let bytes = bytes_of(&entry(b"x", file(runs.clone(), size)));
        assert_eq!(decoded(&bytes).is_some(), good, "{runs:?} of {size}");
    }
    assert_eq!((data(0).is_empty(), hole(0).is_empty(), hole(1).is_empty()), (true, true, false));
}

#[test]
fn modes_and_times_have_bounds() {
    let with = |mode, mtime_ns| {
        decoded(&bytes_of(&Entry { mode, mtime_ns, ..entry(b"x", Kind::Fifo) })).is_some()
    };
    assert!(with(0o7777, 0) && with(0, 999_999_999));
    assert!(
        !with(0o10000, 0) && !with(u16::MAX, 0) && !with(0, 1_000_000_000) && !with(0, u32::MAX)
    );
}

fn any_run() -> impl Strategy<Value = Run> {
    prop_oneof![
        (0..1u64 << 50).prop_map(|len| Run::Hole { len }),
        (any::<[u8; 32]>(), any::<u32>(), any::<u32>())
            .prop_map(|(chunk, offset, len)| { Run::Data { chunk: ChunkId(chunk), offset, len } }),
    ]
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        (any::<[u8; 32]>(), prop::collection::vec(any_run(), 0..6)).prop_map(|(hash, runs)| {
            Kind::File { size: runs.iter().map(Run::len).sum(), hash, runs }
        }),
        (any::<[u8; 32]>(), any::<u64>(), any::<u64>()).prop_map(|(tree, files, bytes)| {
            Kind::Directory { tree: ChunkId(tree), files, bytes }
        }),
        any::<Vec<u8>>().prop_map(|target| Kind::Symlink { target }),
        Just(Kind::Fifo),
        Just(Kind::Socket),
        any::<(u32, u32)>().prop_map(|(major, minor)| Kind::CharDevice { major, minor }),
        any::<(u32, u32)>().prop_map(|(major, minor)| Kind::BlockDevice { major, minor }),
    ]
}

pub fn any_entry() -> impl Strategy<Value = Entry> {
    let rest = (0u16..0o10000, any::<u32>(), any::<u32>(), any::<i64>(), 0u32..1_000_000_000);
    (
        any::<Vec<u8>>(),
        rest,
        any::<std::collections::BTreeMap<Vec<u8>, Vec<u8>>>(),
        any::<Option<u64>>(),
        any_kind(),
    )
        .prop_map(|(name, (mode, uid, gid, mtime, mtime_ns), xattrs, link, kind)| {
            let link = link.filter(|_| !matches!(kind, Kind::Directory { .. }));
            Entry {
                name,
                mode,
                uid,
                gid,
                mtime,
                mtime_ns,
                xattrs: xattrs.into_iter().collect(),
                link,
                kind,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_entry_is_kept(entry in any_entry()) {
        prop_assert_eq!(decoded(&bytes_of(&entry)), Some(entry));
    }

    #[test]
    fn any_bytes_are_a_node_or_an_error(kind in 0u8..4, bytes: Vec<u8>) {
        let _ = Node::decode(&[&[kind], bytes.as_slice()].concat());
    }
}
