//! The golden vectors in `testdata/vectors/v1.json`: everything in the format that follows from fixed inputs, recomputed and
//! compared with the committed file. What holds randomness is frozen there and read. `NODEKEEP_BLESS=1` writes what is missing.

use std::path::PathBuf;

use nodekeep_repo::chunker::Sizes;
use nodekeep_repo::codec::{Compression, Compressor, Decompressor};
use nodekeep_repo::config::Config;
use nodekeep_repo::crypto::{Gcm, Secret};
use nodekeep_repo::id::{DomainId, RepoId, SessionId, from_hex, to_hex};
use nodekeep_repo::keys::{
    ContentKey, DomainKeys, Entropy, GroupSecrets, Purpose, Seal, public_of,
};
use nodekeep_repo::pack::{PackKind, chunk_aad, stream_key};
use nodekeep_repo::roster::{Member, Role};
use nodekeep_repo::snapshot::{Counts, Root, Snapshot};
use nodekeep_repo::tree::{Entry, Kind, Node, Run};
use nodekeep_repo::wire::{Decoder, Encoder};
use serde_json::{Map, Value, json};

const COUNTER: u64 = 5;

/// `testdata` of the checkout.
pub fn testdata() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata")
}

/// Whether frozen files may be made: never changed, only added.
pub fn blessing() -> bool {
    std::env::var_os("NODEKEEP_BLESS").is_some_and(|v| v == "1")
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks_exact(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| from_hex::<1>(pair).unwrap()[0]).collect()
}

/// The frozen bytes under `name`, or, where there are none yet, those that `make` makes.
fn frozen(file: &Map<String, Value>, name: &str, make: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    file.get(name).map_or_else(make, |value| bytes(value.as_str().unwrap()))
}

fn counted(from: u8) -> [u8; 32] {
    std::array::from_fn(|at| from.wrapping_add(at as u8))
}

/// All that the vectors start from.
struct Inputs {
    entropy: Entropy,
    domain: DomainKeys,
    group: GroupSecrets,
    content: Secret,
    salt: [u8; 32],
    chunk: Vec<u8>,
}

fn inputs() -> Inputs {
    Inputs {
        entropy: Entropy::from_bytes(counted(0)),
        domain: DomainKeys::new(
            DomainId(std::array::from_fn(|at| 0xa0 + at as u8)),
            Secret(counted(0x20)),
        ),
        group: GroupSecrets {
            number: 1,
            tree: Secret(counted(0x80)),
            data: Some(Secret(counted(0xc0))),
        },
        content: Secret(counted(0x40)),
        salt: counted(0x60),
        chunk: b"Nodekeep keeps nodes. ".repeat(40),
    }
}

/// A directory with one entry of each kind.
fn entries() -> Vec<Entry> {
    let entry = |name: &[u8], link, kind| Entry {
        name: name.to_vec(),
        mode: 0o2755,
        uid: 1000,
        gid: 100,
        mtime: 1_700_000_000,
        mtime_ns: 123_456_789,
        xattrs: vec![(b"user.note".to_vec(), b"\0\xff".to_vec())],
        link,
        kind,
    };
    let data =
        |offset, len| Run::Data { chunk: nodekeep_repo::id::ChunkId(counted(1)), offset, len };
    let runs = vec![data(0, 300), Run::Hole { len: 1 << 33 }, data(300, 5)];
    vec![
        entry(b"block", None, Kind::BlockDevice { major: 8, minor: 1 }),
        entry(b"char", Some(7), Kind::CharDevice { major: 1, minor: 3 }),
        entry(
            b"directory",
            None,
            Kind::Directory { tree: nodekeep_repo::id::ChunkId(counted(2)), files: 3, bytes: 300 },
        ),
        entry(b"fifo", None, Kind::Fifo),
        entry(
            b"file\n\xff",
            Some(u64::MAX),
            Kind::File { size: (1 << 33) + 305, hash: counted(3), runs },
        ),
        entry(b"socket", None, Kind::Socket),
        Entry {
            mtime: -1,
            xattrs: vec![],
            ..entry(b"symlink", None, Kind::Symlink { target: b"../x".to_vec() })
        },
    ]
}

fn leaf() -> Vec<u8> {
    let encoded = entries().into_iter().map(|entry| {
        let mut to = Encoder::new();
        entry.encode(&mut to);
        to.into_bytes()
    });
    let encoded: Vec<_> = encoded.collect();
    Node::encode_leaf(encoded.iter().map(Vec::as_slice))
}

fn snapshot() -> Snapshot {
    let text = str::to_owned;
    Snapshot {
        started_ms: 1_700_000_000_123,
        finished_ms: 1_700_000_001_456,
        host: text("node-1"),
        user: text("root"),
        program: text("nodekeep"),
        roots: vec![Root { path: b"/srv/directory".to_vec(), entry: entries().swap_remove(2) }],
        tags: vec![(text("kind"), text("test"))],
        excludes: vec![text("*.tmp")],
        users: vec![(1000, text("user"))],
        groups: vec![(100, text("users"))],
        counts: Counts {
            files: 3,
            dirs: 1,
            bytes: 300,
            bytes_read: 300,
            chunks_added: 2,
            bytes_added: 1 << 20,
        },
        errors: vec![(b"/srv/directory/\xff".to_vec(), text("permission denied"))],
        parent: Some(SessionId(std::array::from_fn(|at| at as u8))),
        incomplete: true,
        attachments: vec![(text("manifest"), b"\0\x01".to_vec())],
    }
}

/// What every value depends on that was made with randomness once.
struct Frozen {
    config: Vec<u8>,
    repo: RepoId,
    seal: Vec<u8>,
    chunk: Vec<u8>,
}

fn frozen_parts(file: &Map<String, Value>, inputs: &Inputs) -> Frozen {
    let root = inputs.entropy.owner().root;
    let make_config = || Config::create(&root, inputs.domain.id, 16 << 20, 1_700_000_000).1;
    let config = frozen(file, "config_object", make_config);
    let repo = Config::open(&config).unwrap().id;
    let content = ContentKey::new(&repo, inputs.content.clone());
    let seal = frozen(file, "seal", || {
        let mut to = Encoder::new();
        Seal::close(&content, Purpose::Data, &inputs.group.public().unwrap()).encode(&mut to);
        to.into_bytes()
    });
    let chunk =
        frozen(file, "chunk_stored", || sealed_chunk(inputs, &repo, Compression::default()));
    Frozen { config, repo, seal, chunk }
}

/// A chunk as it stands in a pack. Another release of zstd may compress otherwise, so the compressed form is frozen.
fn sealed_chunk(inputs: &Inputs, repo: &RepoId, compression: Compression) -> Vec<u8> {
    let mut coded = Vec::new();
    Compressor::new(compression).append(&inputs.chunk, &mut coded);
    let key = stream_key(PackKind::Data, &inputs.content, &inputs.salt);
    let id = inputs.domain.chunk_id(PackKind::Data, &inputs.chunk);
    Gcm::new(&key).seal(COUNTER, &chunk_aad(repo, PackKind::Data, &id), &coded)
}

/// Everything, as the file should be.
fn vectors(inputs: &Inputs, frozen: &Frozen) -> Value {
    let Inputs { entropy, domain, group, content, salt, chunk } = inputs;
    let owner = entropy.owner();
    let repo = &frozen.repo;
    let id = |kind| to_hex(&domain.id_key(kind).0);
    let gear = domain.chunking().gear;
    let gear_bytes: Vec<u8> = gear.iter().flat_map(|word| word.to_le_bytes()).collect();
    let data = crate::nouns::noise(20, 8 << 20);
    let cuts = |sizes| crate::nouns::cuts(&domain.chunking(), &data, sizes);
    json!({
        "words": entropy.words().as_str(),
        "entropy": to_hex(entropy.bytes()),
        "root_public": to_hex(&owner.root.public().0),
        "keeper_public": to_hex(&owner.keeper.public().0),
        "age_secret": to_hex(&owner.age.0),
        "age_recipient": owner.recipient(),
        "config_object": to_hex(&frozen.config),
        "repository_id": repo.hex(),
        "domain_id": domain.id.hex(),
        "domain_secret": to_hex(&domain.secret.0),
        "id_key_data": id(PackKind::Data),
        "id_key_tree": id(PackKind::Tree),
        "file_hash_key": to_hex(&domain.file_key().0),
        "name_key": to_hex(&domain.name_key().0),
        "index_key": to_hex(&domain.index.0),
        "label_key": to_hex(&domain.labels.0),
        "gear_first": to_hex(&gear_bytes[..8]),
        "gear_hash": blake3::hash(&gear_bytes).to_hex().as_str(),
        "group_tree_secret": to_hex(&group.tree.0),
        "group_tree_public": to_hex(&public_of(&group.tree)),
        "group_data_secret": group.data.as_ref().map(|data| to_hex(&data.0)),
        "group_data_public": group.data.as_ref().map(|data| to_hex(&public_of(data))),
        "content_key": to_hex(&content.0),
        "key_id": ContentKey::new(repo, content.clone()).id.hex(),
        "seal": to_hex(&frozen.seal),
        "stream_salt": to_hex(salt),
        "stream_key": to_hex(&stream_key(PackKind::Data, content, salt).0),
        "stream_key_tree": to_hex(&stream_key(PackKind::Tree, content, salt).0),
        "chunk_counter": COUNTER,
        "chunk_plain": to_hex(chunk),
        "chunk_id": domain.chunk_id(PackKind::Data, chunk).hex(),
        "chunk_id_tree": domain.chunk_id(PackKind::Tree, chunk).hex(),
        "chunk_stored": to_hex(&frozen.chunk),
        "chunk_stored_raw": to_hex(&sealed_chunk(inputs, repo, Compression::None)),
        "file_hash": domain.file_hasher().update(chunk).finalize().to_hex().as_str(),
        "member_id": Member::id_of(Role::Keeper, &owner.keeper.public().0).hex(),
        "tree_leaf": to_hex(&leaf()),
        "snapshot_plain": to_hex(&snapshot().encode()),
        "chunker_input_hash": blake3::hash(&data).to_hex().as_str(),
        "chunker_media": cuts(Sizes::MEDIA),
        "chunker_database": cuts(Sizes::DATABASE),
    })
}

fn read() -> Map<String, Value> {
    let path = testdata().join("vectors/v1.json");
    match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).unwrap(),
        Err(_) if blessing() => Map::new(),
        Err(e) => panic!("{}: {e}", path.display()),
    }
}

#[test]
fn the_format_gives_its_golden_vectors() {
    let inputs = inputs();
    let file = read();
    let frozen = frozen_parts(&file, &inputs);
    let Value::Object(found) = vectors(&inputs, &frozen) else {
        unreachable!("vectors are an object")
    };
    for (name, value) in &file {
        assert_eq!(found.get(name), Some(value), "{name}");
    }
    if blessing() {
        let text = serde_json::to_string_pretty(&found).unwrap() + "\n";
        std::fs::write(testdata().join("vectors/v1.json"), text).unwrap();
    } else {
        assert_eq!(file.len(), found.len(), "run with NODEKEEP_BLESS=1 to add new vectors");
    }
}

#[test]
fn what_was_sealed_then_still_opens() {
    let inputs = inputs();
    let frozen = frozen_parts(&read(), &inputs);
    let mut from = Decoder::new(&frozen.seal);
    let seal = Seal::decode(&mut from).unwrap();
    let key = seal.open(&frozen.repo, std::slice::from_ref(&inputs.group)).unwrap().unwrap();
    assert_eq!(key.secret, inputs.content);
    let id = inputs.domain.chunk_id(PackKind::Data, &inputs.chunk);
    let mut stored = frozen.chunk.clone();
    let gcm = Gcm::new(&stream_key(PackKind::Data, &key.secret, &inputs.salt));
    let coded =
        gcm.open(COUNTER, &chunk_aad(&frozen.repo, PackKind::Data, &id), &mut stored).unwrap();
    assert_eq!(coded[0], 1, "compressed");
    let mut plain = Vec::new();
    Decompressor::new().decode(coded, inputs.chunk.len(), &mut plain).unwrap();
    assert_eq!(plain, inputs.chunk);
    assert_eq!(Node::decode(&leaf()), Ok(Node::Leaf(entries())));
    assert_eq!(Snapshot::decode(&snapshot().encode()), Ok(snapshot()));
}
