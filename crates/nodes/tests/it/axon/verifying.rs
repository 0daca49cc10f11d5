//! Chunks against manifests: what is missing, wrong, stale, or only in the middle of being written.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use nodekeep_nodes::axon::chunks::FlawKind;
use nodekeep_nodes::axon::verify::{Request, Verification, caches, verify};
use nodekeep_nodes::kind::{Captured, Other, Others, Reading, look_back};
use nodekeep_nodes::profile::{AxonChunksRule, Kind};

use super::board::Board;

fn look(board: &Board, looks: u32) -> Verification {
    let layout = board.layout();
    let request = Request {
        database: &layout.database,
        live: None,
        chunks: &layout.chunks,
        looks,
        pause: Duration::from_millis(150),
        since: None,
    };
    verify(&request).unwrap()
}

#[test]
fn a_sound_instance_is_counted() {
    let board = Board::furnished("alpha");
    fs::create_dir(board.layout().chunks.join("f".repeat(64))).unwrap();
    let seen = look(&board, 3);
    // 200 bytes in four chunks, and two short contents.
    assert_eq!((seen.contents, seen.chunks, seen.bytes, seen.unnamed), (3, 6, 208 + 16 + 16, 1));
    assert!(seen.is_sound());
}

#[test]
fn every_flaw_is_named() {
    let board = Board::furnished("alpha");
    let chunks = board.layout().chunks;
    let folder = |name: &str| {
        let sql = format!(
            "SELECT json_extract(code_manifest, '$.content_hash') FROM applets_applet WHERE name = '{name}'"
        );
        chunks.join(board.text(&sql))
    };
    fs::write(folder("Pipe Dodger").join("1.chunk"), "other").unwrap();
    fs::remove_file(folder("Pipe Dodger").join("2.chunk")).unwrap();
    fs::remove_dir_all(folder("Pipe_Dodger")).unwrap();
    board.run("INSERT INTO messaging_message VALUES ('m1', '{\"content_hash\": 1}')", []);
    let seen = look(&board, 1);
    assert_eq!(seen.faults.len(), 1);
    assert_eq!(seen.faults[0].holder.name, "applet Pipe Dodger");
    let kinds: Vec<String> = seen.faults[0].flaws.iter().map(ToString::to_string).collect();
    assert!(kinds[0].starts_with("chunk 1 is not what the manifest says"), "{kinds:?}");
    assert_eq!(kinds[1], "chunk 2 is missing");
    assert_eq!(seen.absent[0].holder.name, "applet Pipe_Dodger", "never fetched is no damage");
    assert!(seen.unusable[0].starts_with("message m1: "), "{:?}", seen.unusable);
    assert!(!seen.is_sound());
    // What a user saved has no peer to come from.
    let saved =
        board.text("SELECT json_extract(data_manifest, '$.content_hash') FROM applets_appletdata");
    fs::remove_dir_all(chunks.join(saved)).unwrap();
    let names: Vec<String> =
        look(&board, 0).faults.into_iter().map(|fault| fault.holder.name).collect();
    assert_eq!(names, ["applet Pipe Dodger", "data of alice in applet Pipe Dodger"]);
}

#[test]
fn a_link_or_a_longer_file_is_no_chunk() {
    let board = Board::furnished("alpha");
    let hash = board.text("SELECT json_extract(code_manifest, '$.content_hash') FROM applets_applet WHERE name = 'Pipe_Dodger'");
    let path = board.layout().chunks.join(hash).join("0.chunk");
    let kept = path.with_file_name("kept");
    fs::rename(&path, &kept).unwrap();
    std::os::unix::fs::symlink(&kept, &path).unwrap();
    assert!(matches!(look(&board, 0).faults[0].flaws[0].kind, FlawKind::Unreadable(_)));
    fs::remove_file(&path).unwrap();
    fs::write(&path, [fs::read(&kept).unwrap(), vec![0; 1000]].concat()).unwrap();
    assert!(matches!(look(&board, 0).faults[0].flaws[0].kind, FlawKind::Mismatch { .. }));
}

#[test]
fn chunks_in_the_middle_of_being_written_are_looked_at_again() {
    let board = Board::furnished("alpha");
    let manifest = board.store("written just now", &["alpha"]);
    let path =
        board.layout().chunks.join(manifest["content_hash"].as_str().unwrap()).join("0.chunk");
    board.applet("c", "New", &manifest);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..5]).unwrap();
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        fs::write(&path, whole).unwrap();
    });
    let seen = look(&board, 10);
    writer.join().unwrap();
    assert!(seen.is_sound(), "{seen:?}");
    assert_eq!(seen.settled, 1);
}

/// The copy of the database was taken, then the server encrypted the same content again: the copy no longer fits the chunks.
#[test]
fn a_copy_that_the_server_overtook_is_outdated() {
    let board = Board::furnished("alpha");
    let layout = board.layout();
    let copy = board.path().join("copy.sqlite3");
    fs::copy(&layout.database, &copy).unwrap();
    let again = board.store("other", &["alpha"]);
    board.run(
        "UPDATE applets_applet SET code_manifest = ?1 WHERE name = 'Pipe_Dodger'",
        [again.to_string()],
    );
    let request = Request {
        database: &copy,
        live: Some(&layout.database),
        chunks: &layout.chunks,
        looks: 2,
        pause: Duration::from_millis(1),
        since: None,
    };
    let seen = verify(&request).unwrap();
    assert_eq!(seen.outdated[0].name, "applet Pipe_Dodger");
    assert!(seen.faults.is_empty() && !seen.is_sound());
}

/// Axon stores the same content twice under one name: the first row's manifest can never be right again.
#[test]
fn a_row_whose_content_was_stored_again_is_superseded() {
    let board = Board::furnished("alpha");
    board.applet("c", "Copy", &board.store("other", &["alpha"]));
    let seen = look(&board, 1);
    assert_eq!(seen.faults.len(), 1);
    assert_eq!(seen.faults[0].holder.name, "applet Pipe_Dodger");
    assert!(seen.faults[0].is_superseded);
}

#[test]
fn manifests_beside_chunks_are_checked_too() {
    let board = Board::furnished("alpha");
    let chunks = board.layout().chunks;
    let manifest = board.store("cached", &["alpha"]);
    let path = chunks.join(manifest["content_hash"].as_str().unwrap()).join(".manifest");
    fs::write(&path, manifest.to_string()).unwrap();
    assert_eq!(caches(&chunks).unwrap(), (1, Vec::new()));
    let other = board.store("other content", &["alpha"]);
    for (text, expected) in [(other.to_string(), "of the content"), ("{".to_owned(), "no JSON")] {
        fs::write(&path, text).unwrap();
        let (_, faults) = caches(&chunks).unwrap();
        assert!(faults[0].reason.contains(expected), "{faults:?}");
    }
}

/// What was encrypted again while a backup was reading is seen afterwards, but for that of which a copy was read.
#[test]
fn what_was_written_while_it_was_read_is_seen() {
    let board = Board::furnished("alpha");
    let layout = board.layout();
    let copy = board.path().join("copy.sqlite3");
    fs::copy(&layout.database, &copy).unwrap();
    let rule = AxonChunksRule { database: "database".to_owned() };
    let kind = Kind::AxonChunks(rule);
    let other = Other { copy, live: layout.database.clone() };
    let others = Others::from([("database".to_owned(), other)]);
    let look = |staged: &[PathBuf]| {
        let since = SystemTime::now() - Duration::from_secs(60);
        look_back(&kind, &layout.chunks, &others, &Reading { since, staged }).unwrap()
    };
    assert_eq!(look(&[]), Captured::default());
    let again = board.store("other", &["alpha"]);
    let seen = look(&[]);
    assert!(seen.is_torn && seen.notes[0].code == "changed-while-read", "{seen:?}");
    assert_eq!(seen.missing[0].of, "applet Pipe_Dodger");
    let folder = layout.chunks.join(again["content_hash"].as_str().unwrap());
    assert_eq!(look(&[folder.join("0.chunk")]), Captured::default());
    let later = SystemTime::now() + Duration::from_secs(60);
    let reading = Reading { since: later, staged: &[] };
    assert_eq!(look_back(&kind, &layout.chunks, &others, &reading).unwrap(), Captured::default());
}
