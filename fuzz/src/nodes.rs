//! Parsers of what lies in the folders of nodes: profiles, lines of JSON, LSM databases, slashing protection, journals, Guts' files. Those that
//! read files get them in a folder in memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use nodekeep_nodes::fence::interchange::Interchange;
use nodekeep_nodes::fence::journal::Journal;
use nodekeep_nodes::fence::read::{Site, State, read};
use nodekeep_nodes::guts::{config, key, objects};
use nodekeep_nodes::hold;
use nodekeep_nodes::kind::lsm::read::Database;
use nodekeep_nodes::kind::{self, jsonl, lsm};
use nodekeep_nodes::profile::{
    ChainRule, FenceKind, FenceRule, JsonlRule, Kind, MarkSource, Variables, fill, parse,
};
use tempfile::TempDir;

/// A folder in memory, where there is one.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary folder")
}

fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("a file in memory");
    path
}

/// A profile: what was read can be read again from the text that is kept.
pub fn profile(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = fill(text, &Variables::from([("data".to_owned(), "/srv".to_owned())]));
    if let Ok(profile) = parse(text, "fuzz") {
        assert_eq!(parse(&profile.source, "fuzz").ok(), Some(profile));
    }
}

/// Lines of JSON: plain and linked by hashes; and the marks in them.
pub fn lines(data: &[u8]) {
    let folder = folder();
    let path = file(&folder, "lines.jsonl", data);
    let _ = jsonl::is_one(&path);
    let _ = jsonl::verify(&path, &JsonlRule::default());
    let chain = ChainRule {
        hash: "h".to_owned(),
        previous: "p".to_owned(),
        index: Some("i".to_owned()),
        function: "sha256".to_owned(),
        over: vec!["p".to_owned(), "i".to_owned()],
    };
    let kind = Kind::JsonlChain(JsonlRule::default(), chain);
    let others = BTreeMap::new();
    let _ = kind::verify(&kind, &path, &others, &Variables::new(), Duration::from_secs(1));
    let key = Some("k".to_owned());
    mark(&path, MarkSource::Jsonl { file: String::new(), key, value: "v".to_owned() });
    mark(&path, MarkSource::Lines { file: String::new() });
    mark(&path, MarkSource::Json { file: String::new(), pointer: "/k".to_owned() });
}

fn mark(path: &Path, mark: MarkSource) {
    let rule = FenceRule {
        name: "f".to_owned(),
        about: String::new(),
        kind: FenceKind::ValidatorState,
        component: "c".to_owned(),
        mark,
        advance: None,
        also_in: Vec::new(),
        margin_floor: 0,
    };
    let _ = read(&rule, Site { path, variables: &Variables::new(), state: State::Copy });
}

/// An LSM database of three files: a MANIFEST, a write-ahead log and a table, cut where the first two bytes say.
pub fn lsm_database(data: &[u8]) {
    let Some((cuts, rest)) = data.split_first_chunk::<2>() else {
        return;
    };
    let cut = |rest: &[u8], at: u8| usize::from(at) * rest.len() / 255;
    let (manifest, rest) = rest.split_at(cut(rest, cuts[0]));
    let (log, table) = rest.split_at(cut(rest, cuts[1]));
    let folder = folder();
    file(&folder, "CURRENT", b"MANIFEST-000005\n");
    file(&folder, "IDENTITY", b"fuzz");
    file(&folder, "MANIFEST-000005", manifest);
    file(&folder, "000004.log", log);
    file(&folder, "000009.sst", table);
    let _ = lsm::verify(folder.path());
    let Ok(database) = Database::open(folder.path()) else {
        return;
    };
    for family in database.families() {
        if let Ok(pairs) = database.pairs(family) {
            pairs.take(1000).for_each(drop);
        }
    }
}

/// EIP-3076: what is read is written so that it is read again, and merging with itself changes nothing.
pub fn interchange(data: &[u8]) {
    let Ok(document) = Interchange::read(data) else {
        return;
    };
    let again = Interchange::read(&document.write());
    assert_eq!(again.as_ref().ok(), Some(&document));
    assert_eq!(document.merge(&document).ok(), Some(document));
}

/// Journals of the fence and of holds; and mending, after which the fence's journal is whole.
pub fn journals(data: &[u8]) {
    let folder = folder();
    let journal = Journal::new(folder.path());
    fs::write(journal.path(), data).expect("a file in memory");
    let _ = journal.load();
    if journal.mend().is_ok() {
        let history = journal.load().expect("a mended journal can be read");
        // A torn last line is no damage: whoever appends cuts it.
        assert_eq!(history.damage, None);
    }
    file(&folder, "n.jsonl", data);
    let _ = hold::Journal::open(folder.path(), "n", Timestamp::UNIX_EPOCH);
}

/// Guts: configuration, key, and objects of Git. The first byte of a piece says its length.
pub fn guts(data: &[u8]) {
    let folder = folder();
    let _ = config::read(&file(&folder, "config.yaml", data));
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = key::in_file(text).and_then(key::public_key);
        let _ = key::public_key(text);
    }
    let mut pieces = Vec::new();
    let mut rest = data;
    while let Some((length, after)) = rest.split_first() {
        let (piece, after) = after.split_at(usize::from(*length).min(after.len()));
        pieces.push(piece.to_vec());
        rest = after;
    }
    let pairs: BTreeMap<Vec<u8>, Vec<u8>> =
        pieces.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    let again = || pairs.clone().into_iter().map(Ok);
    let _ = objects::count(again(), again());
}
