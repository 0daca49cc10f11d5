//! The story of an Axon, typed: backed up while it is written to, brought back, applets as rows, taken over, handed on.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use self::board::Board;
use crate::documents::assert_documented;
use crate::support::{Bed, Ran};

#[path = "../../../nodes/tests/it/axon/board.rs"]
#[allow(dead_code, reason = "the tests of the adapter use all of it")]
mod board;

/// A registered instance with two applets, and a bed around it.
fn registered() -> (Bed, Board) {
    let (bed, board) = (Bed::new(), Board::furnished("alpha"));
    add(&bed, "board", &board);
    (bed, board)
}

fn add(bed: &Bed, name: &str, board: &Board) {
    let path = format!("instance={}", board.path().display());
    bed.ok(&["node", "add", name, "--profile", "axon", "--path", &path]);
}

fn folder_of(board: &Board, applet: &str) -> PathBuf {
    let sql = format!(
        "SELECT json_extract(code_manifest, '$.content_hash') FROM applets_applet WHERE name = '{applet}'"
    );
    board.layout().chunks.join(board.text(&sql))
}

fn component<'a>(document: &'a Value, name: &str) -> &'a Value {
    let components = document["manifest"]["components"].as_array().unwrap();
    components.iter().find(|component| component["name"] == name).unwrap()
}

fn document(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}\n{}{}", ran.stdout, ran.stderr))
}

#[test]
fn chunks_are_checked_when_they_are_captured_and_what_stays_wrong_is_named() {
    let (bed, board) = registered();
    let sound = bed.json(&["backup", "board"]);
    let chunks = component(&sound, "chunks");
    assert_eq!(
        (&chunks["status"], &chunks["position"]["counters"]["chunks"]),
        (&"captured".into(), &6.into())
    );
    assert!(
        sound["manifest"]["components"].as_array().unwrap().iter().all(|c| c["name"] != "applets")
    );

    fs::write(folder_of(&board, "Pipe Dodger").join("1.chunk"), "other").unwrap();
    let ran = bed.run(&["backup", "board", "--json"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let torn = document(&ran);
    let chunks = component(&torn, "chunks");
    assert_eq!(chunks["status"], "partial");
    assert_eq!(chunks["missing"][0]["of"], "applet Pipe Dodger");
    assert_documented(&torn, "backup");
    let told = bed.run(&["check", "board", "--component", "chunks"]);
    assert_eq!(told.code, 4);
    assert!(told.stdout.contains("applet Pipe Dodger: chunk 1 is not what"), "{}", told.stdout);
    let told = bed.run(&["check", "board", "--component", "applets"]);
    assert_eq!(told.code, 4);
    assert!(
        told.stdout.contains("passed   applets: applet Pipe_Dodger: 1 chunks"),
        "{}",
        told.stdout
    );
    assert_eq!(bed.run(&["check", "board", "--component", "media"]).code, 2);

    // The older snapshot has the right chunk: the restore of the newer takes it from there.
    let restored = bed.ok(&["restore", "board", "--yes"]);
    assert!(restored.contains("1 of 1 missing contents came from other snapshots"), "{restored}");
    bed.ok(&["check", "board", "--component", "chunks"]);
}

/// A server that encrypts a content again between the capture of the database and that of the chunks, played by a component in between.
#[test]
fn a_copy_of_the_database_that_is_overtaken_is_taken_again() {
    let (bed, board) = (Bed::new(), Board::furnished("alpha"));
    let manifest = board.store("other", &["alpha"]);
    let folder = folder_of(&board, "Pipe_Dodger");
    fs::copy(folder.join("0.chunk"), bed.path("new.chunk")).unwrap();
    let row = bed.path("row.json");
    fs::write(&row, manifest.to_string()).unwrap();
    // The old encryption lies there again.
    let old = board.store("other", &["alpha"]);
    board.run(
        "UPDATE applets_applet SET code_manifest = ?1 WHERE name = 'Pipe_Dodger'",
        [old.to_string()],
    );
    let script = format!(
        "cp {new} {chunk} && python3 -c \"import sqlite3; c = sqlite3.connect('{db}'); c.execute('UPDATE applets_applet SET code_manifest = ? WHERE name = ?', (open('{row}').read(), 'Pipe_Dodger')); c.commit()\" && echo done",
        new = bed.text("new.chunk"),
        chunk = folder.join("0.chunk").display(),
        db = board.layout().database.display(),
        row = row.display(),
    );
    let between = format!(
        "[[component]]\nname = \"between\"\nabout = \"what happens meanwhile\"\npath = \"{{instance}}/between\"\nkind = \"command\"\noptions = {{ dump = '''{script}''' }}\n\n"
    );
    let profile = include_str!("../../../nodes/profiles/axon.toml");
    let before = profile.replacen(
        "[[component]]\nname = \"chunks\"",
        &format!("{between}[[component]]\nname = \"chunks\""),
        1,
    );
    assert_ne!(before, profile);
    bed.write("busy.toml", &before);
    let path = format!("instance={}", board.path().display());
    bed.ok(&["node", "add", "board", "--profile", "./busy.toml", "--path", &path]);
    let done = bed.json(&["backup", "board"]);
    assert_eq!(component(&done, "chunks")["status"], "captured");
    let drilled = bed.run(&["drill", "board", "--json"]);
    assert!(drilled.stdout.contains("6 chunks of 3 contents"), "{}", drilled.stdout);

    // The same after the chunks were looked at: what was written a short while ago was copied, so that the snapshot fits together.
    let again = board.store("other", &["alpha"]);
    fs::write(&row, manifest.to_string()).unwrap();
    board.run(
        "UPDATE applets_applet SET code_manifest = ?1 WHERE name = 'Pipe_Dodger'",
        [again.to_string()],
    );
    let place = "[[component]]\nname = \"user-data\"";
    bed.write("late.toml", &profile.replacen(place, &format!("{between}{place}"), 1));
    bed.ok(&["node", "add", "late", "--profile", "./late.toml", "--path", &path]);
    let done = bed.json(&["backup", "late"]);
    assert_eq!(component(&done, "chunks")["status"], "captured");
    let row = board.text("SELECT code_manifest FROM applets_applet WHERE name = 'Pipe_Dodger'");
    assert_eq!(row, manifest.to_string(), "the server went on meanwhile");
    let drilled = bed.ok(&["drill", "late"]);
    assert!(drilled.contains("6 chunks of 3 contents"), "{drilled}");
}

#[test]
fn a_whole_restore_removes_what_would_make_axon_delete_chunks() {
    let (bed, board) = registered();
    let stale = board.store("other", &["alpha"]);
    let folder = folder_of(&board, "Pipe_Dodger");
    let fresh = board.store("other", &["alpha"]);
    board.run(
        "UPDATE applets_applet SET code_manifest = ?1 WHERE name = 'Pipe_Dodger'",
        [fresh.to_string()],
    );
    fs::write(folder.join(".manifest"), stale.to_string()).unwrap();
    bed.ok(&["backup", "board"]);
    let restored = bed.ok(&["restore", "board", "--yes"]);
    assert!(restored.contains("1 stale `.manifest` files were removed"), "{restored}");
    assert!(!folder.join(".manifest").exists() && folder.join("0.chunk").exists());
}

#[test]
fn content_that_was_left_out_is_listed_and_comes_back_from_another_snapshot() {
    let (bed, board) = registered();
    bed.ok(&["backup", "board"]);
    board.applet("c", "New", &board.store("made later", &["alpha"]));
    let slim = bed.json(&["backup", "board", "--skip-chunks"]);
    let chunks = component(&slim, "chunks");
    assert_eq!(chunks["status"], "skipped");
    assert_eq!(chunks["missing"].as_array().unwrap().len(), 4);
    let id = slim["snapshot"].as_str().unwrap()[..12].to_owned();
    fs::remove_dir_all(board.layout().chunks).unwrap();
    fs::remove_file(board.layout().database).unwrap();
    let plan = bed.ok(&["restore", &id, "--dry-run"]);
    assert!(plan.contains("4 things of `chunks` are not in this snapshot"), "{plan}");
    let ran = bed.run(&["restore", &id, "--yes"]);
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains("3 of 4 missing contents came from other snapshots"),
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.contains("`chunks` lacks the content of applet New"), "{}", ran.stderr);
    assert!(folder_of(&board, "Pipe Dodger").join("3.chunk").exists());
    assert!(!folder_of(&board, "New").exists());
}

#[test]
fn a_restore_without_content_lists_it_and_a_later_one_brings_it() {
    let (bed, board) = registered();
    bed.ok(&["backup", "board"]);
    fs::remove_dir_all(board.layout().chunks).unwrap();
    let slim = bed.ok(&["restore", "board", "--skip-chunks", "--yes"]);
    assert!(
        slim.contains("`chunks` lacks the content of applet Pipe Dodger, applet Pipe_Dodger"),
        "{slim}"
    );
    assert!(!board.layout().chunks.exists());
    bed.ok(&["restore", "board", "--component", "chunks", "--yes"]);
    bed.ok(&["check", "board", "--component", "chunks"]);
}

#[test]
fn applets_come_back_as_rows_of_a_database_in_use() {
    let (bed, board) = registered();
    bed.ok(&["backup", "board"]);
    board.run("DELETE FROM applets_appletdata", []);
    board.run("DELETE FROM applets_highscore", []);
    board.run("DELETE FROM applets_applet WHERE name = 'Pipe Dodger'", []);
    fs::remove_dir_all(folder_of(&board, "Pipe_Dodger")).unwrap();
    let before = board::files(&board.path());
    let plan = bed.json(&[
        "restore",
        "board",
        "--component",
        "applets",
        "--select",
        "Pipe Dodger",
        "--dry-run",
    ]);
    assert_eq!(
        (&plan["added"][0], &plan["saves"], &plan["chunks"]),
        (&"Pipe Dodger".into(), &1.into(), &0.into())
    );
    assert_eq!(board::files(&board.path()), before, "a plan touches nothing");
    let asked = bed.run(&["restore", "board", "--component", "applets"]);
    assert_eq!(asked.code, 9, "{}", asked.stderr);
    assert_eq!(board::files(&board.path()), before);
    let merged = bed.json(&["restore", "board", "--component", "applets", "--yes"]);
    assert_eq!(merged["skipped"][0], "Pipe_Dodger");
    assert_eq!(board.number("SELECT count(*) FROM applets_appletdata"), 1);
    // What is there is brought to what the snapshot says only if that is asked for; its chunks come along.
    let updated = bed.json(&["restore", "board", "--component", "applets", "--update", "--yes"]);
    assert_eq!(updated["updated"].as_array().unwrap().len(), 2);
    assert!(folder_of(&board, "Pipe_Dodger").join("0.chunk").exists());
    let unknown =
        bed.run(&["restore", "board", "--component", "applets", "--select", "Tetris", "--yes"]);
    assert_eq!(unknown.code, 8);
    assert!(
        unknown.stderr.contains("there are `Pipe Dodger`, `Pipe_Dodger`"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn a_backup_of_chosen_applets_holds_them_and_nothing_else() {
    let (bed, board) = registered();
    let done = bed.json(&["backup", "board", "--select", "Pipe_Dodger"]);
    assert_eq!(component(&done, "applets")["position"]["counters"]["applets"], 1);
    assert_eq!(component(&done, "database")["status"], "skipped");
    assert!(component(&done, "chunks").get("missing").is_none(), "nothing here names them");
    board.run("DELETE FROM applets_applet WHERE name = 'Pipe_Dodger'", []);
    let merged = bed.json(&["restore", "board", "--component", "applets", "--yes"]);
    assert_eq!(merged["added"][0], "Pipe_Dodger");
    let unknown = bed.run(&["backup", "board", "--component", "applets", "--select", "Tetris"]);
    assert_ne!(unknown.code, 0);
    assert!(unknown.stderr.contains("there is no applet `Tetris`"), "{}", unknown.stderr);
    assert_eq!(bed.run(&["backup", "board", "--component", "database", "--select", "x"]).code, 2);
    assert_eq!(bed.run(&["backup", "./data", "--select", "x"]).code, 2);
}

#[test]
fn another_instance_gets_envelopes_or_nothing() {
    let (bed, board) = registered();
    bed.ok(&["backup", "board"]);
    let other = Board::new("beta");
    let path = format!("instance={}", other.path().display());
    let words = ["restore", "board", "--component", "applets", "--yes", "--path", &path];
    let before = board::files(&other.path());
    let refused = bed.run(&words);
    assert_eq!(refused.code, 5, "{}{}", refused.stdout, refused.stderr);
    assert!(refused.stderr.contains("no envelope for the instance"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--rekey"), "{}", refused.stderr);
    assert_eq!(board::files(&other.path()), before, "nothing was written");
    let merged = bed.json(&[&words[..], &["--rekey", "--prune"]].concat());
    assert_documented(&merged, "restore --component applets");
    // Alice is not here, so what she saved is not either.
    assert_eq!(
        (merged["rekeyed"]["added"].as_u64(), merged["rekeyed"]["dropped"].as_u64()),
        (Some(3), Some(3))
    );
    assert_eq!(other.number("SELECT count(*) FROM applets_applet"), 2);
    let chunks = |board: &Board| fs::read(folder_of(board, "Pipe Dodger").join("2.chunk")).unwrap();
    assert_eq!(chunks(&other), chunks(&board), "chunks are never touched");
}

#[test]
fn an_export_is_taken_over_again_and_handed_on() {
    let (bed, _board) = registered();
    bed.ok(&["backup", "board"]);
    bed.write("beta.pem", &board::public("beta"));
    let without = bed.run(&[
        "snapshot",
        "export",
        "--format",
        "axon",
        "board",
        "./usb",
        "--recipient",
        "beta.pem",
    ]);
    assert_eq!(without.code, 2, "{}", without.stderr);
    let done = bed.json(&[
        "snapshot",
        "export",
        "--format",
        "axon",
        "board",
        "./usb",
        "--rekey",
        "--recipient",
        "beta.pem",
    ]);
    assert_eq!(
        (&done["applets"], &done["chunks"], &done["rekeyed"]["added"]),
        (&2.into(), &6.into(), &3.into())
    );
    assert_documented(&done, "snapshot export --format axon");
    let folder = done["folder"].as_str().unwrap().to_owned();
    let again = bed.run(&["snapshot", "export", "--format", "axon", "board", "./usb"]);
    assert_eq!(again.code, 9, "{}", again.stderr);

    // Another board, whose key is beta, takes it over and merges it without the first one's key.
    let other = Board::new("beta");
    other.user("alice", Some(&board::public("user")));
    add(&bed, "other", &other);
    let imported = bed.json(&["snapshot", "import", &folder, "--node", "other"]);
    assert_eq!(component(&imported, "applets")["status"], "captured");
    let id = imported["snapshot"].as_str().unwrap().to_owned();
    let merged = bed.json(&["restore", &id, "--yes"]);
    assert_eq!((&merged["added"].as_array().unwrap().len(), &merged["saves"]), (&2, &1.into()));
    // Nothing of the first board's key is here.
    let refused = bed.run(&[
        "snapshot",
        "export",
        "--format",
        "axon",
        &id,
        "./usb2",
        "--rekey",
        "--recipient",
        "beta.pem",
    ]);
    assert_eq!(refused.code, 5, "{}{}", refused.stdout, refused.stderr);
    assert!(refused.stderr.contains("nodekeep backup other"), "{}", refused.stderr);
}

#[test]
fn what_the_old_command_left_half_written_is_taken_over_and_named() {
    let (bed, board) = registered();
    bed.ok(&["backup", "board"]);
    let done = bed.json(&["snapshot", "export", "--format", "axon", "board", "./usb"]);
    let folder = PathBuf::from(done["folder"].as_str().unwrap());
    fs::remove_file(folder.join("backup_manifest.json")).unwrap();
    fs::remove_file(folder.join("Pipe_Dodger/chunks/0.chunk")).unwrap();
    let ran = bed.run(&["snapshot", "import", folder.to_str().unwrap(), "--node", "board"]);
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("backup_applets did not finish it"), "{}", ran.stdout);
    assert!(ran.stdout.contains("1 of 6 chunks are missing or wrong"), "{}", ran.stdout);
    drop(board);
    let empty = bed.run(&["snapshot", "import", "./data", "--node", "board"]);
    assert_eq!(empty.code, 4, "{}", empty.stderr);
    bed.ok(&["node", "add", "notes", "--profile", "directory", "--path", "./data"]);
    let other = bed.run(&["snapshot", "import", "./data", "--node", "notes"]);
    assert!(
        other.code == 2 && other.stderr.contains("no backups of its own tools"),
        "{}",
        other.stderr
    );
}

#[test]
fn an_instance_in_use_gets_envelopes_for_those_it_trusts_now() {
    let (bed, board) = registered();
    board.run(
        "INSERT INTO core_trustedinstance VALUES (NULL, 'http://beta.onion', ?1, NULL, 1)",
        [board::public("beta")],
    );
    let asked = bed.run(&["maintenance", "rekey", "board"]);
    assert_eq!(asked.code, 9, "{}", asked.stderr);
    let done = bed.json(&["maintenance", "rekey", "board", "--yes"]);
    assert_documented(&done, "maintenance rekey");
    assert_eq!(
        (&done["rekeyed"]["added"], &done["recipients"][1]["name"]),
        (&3.into(), &"http://beta.onion".into())
    );
    bed.ok(&["check", "board", "--component", "applets"]);
    fs::write(board.layout().environment, "SECRET_KEY=another-secret-another-secret-another\n")
        .unwrap();
    assert_eq!(bed.run(&["maintenance", "rekey", "board", "--yes"]).code, 5);
}
