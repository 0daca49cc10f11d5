//! Backup directories in the layout of Axon's own commands: written, and read with suspicion.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nodekeep_nodes::axon::applet::select;
use nodekeep_nodes::axon::export::{Export, Exported};
use nodekeep_nodes::axon::import;
use nodekeep_nodes::axon::moment::Moment;
use serde_json::Value;
use tempfile::TempDir;

use super::board::{Board, files, public};

fn export(board: &Board, into: &Path, skip_chunks: bool) -> Exported {
    let at = Moment::from_stamp("20260102_030405").unwrap();
    Export { applets: &board.applets(), into, at, skip_chunks }.write().unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn what_is_exported_comes_back_as_it_was() {
    let board = Board::furnished("alpha");
    let folder = TempDir::new().unwrap();
    let done = export(&board, folder.path(), false);
    assert_eq!((done.applets, done.chunks, done.data, done.scores), (2, 6, 1, 1));
    assert_eq!(done.folder, folder.path().join("backup_20260102_030405"));
    let names: Vec<String> = files(&done.folder).into_keys().collect();
    let expected = [
        "Pipe_Dodger-2/chunks/0.chunk",
        "Pipe_Dodger-2/metadata.json",
        "Pipe_Dodger/applet_data.json",
        "Pipe_Dodger/chunks/0.chunk",
        "Pipe_Dodger/chunks/1.chunk",
        "Pipe_Dodger/chunks/2.chunk",
        "Pipe_Dodger/chunks/3.chunk",
        "Pipe_Dodger/data_chunks/alice/0.chunk",
        "Pipe_Dodger/high_scores.json",
        "Pipe_Dodger/metadata.json",
        "Pipe_Dodger/nodekeep_rooms.json",
        "backup_manifest.json",
    ];
    assert_eq!(names, expected);
    assert!(
        done.notes.iter().any(|note| note.contains("its folder is Pipe_Dodger-2")),
        "{:?}",
        done.notes
    );
    assert!(done.notes.iter().any(|note| note.contains("1 shared states")), "{:?}", done.notes);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&done.folder.join("Pipe_Dodger/metadata.json")), 0o600);
    assert_eq!(mode(&done.folder.join("Pipe_Dodger/chunks")), 0o700);

    let backup = import::read(&done.folder).unwrap();
    assert!(backup.faults.is_empty() && backup.notes.is_empty() && !backup.is_torn);
    assert_eq!((backup.chunks, backup.bytes), (6, done.bytes));
    let mut applets = board.applets();
    for applet in &mut applets {
        let read = backup.applets.iter().find(|other| other.name == applet.name).unwrap();
        // Only where the chunks lie differs.
        applet.code.as_mut().unwrap().folder = read.code.as_ref().unwrap().folder.clone();
        for (data, read) in applet.data.iter_mut().zip(&read.data) {
            data.content.folder = read.content.folder.clone();
        }
        assert_eq!(applet, read);
    }
}

#[test]
fn what_would_crash_restore_applets_is_left_out_and_said() {
    let board = Board::furnished("alpha");
    board.user("bob", None);
    board.user("eve", Some(&format!("{}\r\n", public("user").replace('\n', "\r\n"))));
    let manifest = board.store("saved", &["alpha"]);
    board.data("a", "bob", &manifest, "2025-10-05 01:25:57");
    board.data("a", "eve", &manifest, "2025-10-05 01:25:57");
    board.run(
        "UPDATE applets_applet SET code_manifest = '{}', name = '..' WHERE name = 'Pipe_Dodger'",
        [],
    );
    let folder = TempDir::new().unwrap();
    let done = export(&board, folder.path(), false);
    assert_eq!(done.data, 1);
    let notes = done.notes.join("\n");
    assert!(
        notes
            .contains("data of bob in applet Pipe Dodger was left out: the user has no public key"),
        "{notes}"
    );
    assert!(
        notes.contains("data of eve in applet Pipe Dodger was left out: another user"),
        "{notes}"
    );
    assert!(notes.contains("its folder is applet.."), "{notes}");
    let metadata = json(&done.folder.join("applet../metadata.json"));
    assert_eq!(metadata["code_manifest"], serde_json::json!({}));
    // Every key that restore_applets indexes without a default.
    for field in [
        "id",
        "name",
        "description",
        "author_pubkey",
        "parameters",
        "is_local",
        "created_at",
        "is_debug_mode",
        "handles_mime_types",
    ] {
        assert!(!metadata[field].is_null(), "{field}");
    }
}

#[test]
fn a_user_cannot_write_outside_the_backup() {
    let board = Board::furnished("alpha");
    board.run("UPDATE core_user SET username = '../../out' WHERE username = 'alice'", []);
    let folder = TempDir::new().unwrap();
    let done = export(&board, folder.path(), false);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let data = json(&done.folder.join("Pipe_Dodger/applet_data.json"));
    assert_eq!(data[0]["owner_username"], ".._.._out");
    assert!(done.folder.join("Pipe_Dodger/data_chunks/.._.._out/0.chunk").exists());
    // And a backup that claims such a user is refused.
    let path = done.folder.join("Pipe_Dodger/applet_data.json");
    let text = fs::read_to_string(&path).unwrap().replace(".._.._out", "../../out");
    fs::write(&path, text).unwrap();
    let error = import::read(&done.folder).unwrap_err().to_string();
    assert!(error.contains("`owner_username` is no name for a folder"), "{error}");
}

#[test]
fn missing_chunks_are_listed_and_an_export_never_replaces_another() {
    let board = Board::furnished("alpha");
    let applets = board.applets();
    fs::remove_file(applets[0].code.as_ref().unwrap().folder.join("3.chunk")).unwrap();
    let folder = TempDir::new().unwrap();
    let done = export(&board, folder.path(), false);
    assert_eq!(done.missing[0].0, "applet Pipe Dodger");
    assert_eq!(done.missing[0].1.to_string(), "chunk 3 is missing");
    let at = Moment::from_stamp("20260102_030405").unwrap();
    let again = Export { applets: &applets, into: folder.path(), at, skip_chunks: true };
    assert!(again.write().unwrap_err().to_string().contains("is there already"));
    let backup = import::read(&done.folder).unwrap();
    assert_eq!(backup.faults.len(), 1);
}

#[test]
fn half_written_backups_are_read() {
    let board = Board::furnished("alpha");
    let folder = TempDir::new().unwrap();
    let done = export(&board, folder.path(), false);
    fs::remove_file(done.folder.join("backup_manifest.json")).unwrap();
    fs::remove_dir_all(done.folder.join("Pipe_Dodger-2")).unwrap();
    fs::remove_file(done.folder.join("Pipe_Dodger/nodekeep_rooms.json")).unwrap();
    // As older versions of Axon wrote it.
    let state =
        r#"{"state_data": {"x": 1}, "version": 3, "last_updated": "2025-10-05T01:25:57+00:00"}"#;
    fs::write(done.folder.join("Pipe_Dodger/shared_state.json"), state).unwrap();
    let backup = import::read(&done.folder).unwrap();
    assert!(backup.is_torn && backup.notes[0].contains("did not finish"));
    assert_eq!(backup.applets.len(), 1);
    assert_eq!(backup.applets[0].rooms[0].room_id, backup.applets[0].id.to_string());
    assert_eq!(backup.applets[0].rooms[0].version, 3);
}

#[test]
fn what_axon_overwrote_is_noticed() {
    let board = Board::furnished("alpha");
    let folder = TempDir::new().unwrap();
    let done = export(&board, folder.path(), false);
    // What backup_applets does with two names that become one folder.
    let (one, two) = (done.folder.join("Pipe_Dodger"), done.folder.join("Pipe_Dodger-2"));
    for file in ["metadata.json", "chunks/0.chunk"] {
        fs::rename(two.join(file), one.join(file)).unwrap();
    }
    fs::remove_dir_all(two).unwrap();
    let backup = import::read(&done.folder).unwrap();
    assert_eq!(backup.applets.len(), 1);
    assert!(
        backup.notes[0]
            .starts_with("applet Pipe Dodger is in backup_manifest.json and not in the backup"),
        "{:?}",
        backup.notes
    );
}

#[test]
fn bad_backups_are_refused_by_file_and_field() {
    let board = Board::furnished("alpha");
    let folder = TempDir::new().unwrap();
    let error = import::read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("no backup of Axon applets"), "{error}");
    let done = export(&board, folder.path(), false);
    let path = done.folder.join("Pipe_Dodger/metadata.json");
    let sound = json(&path);
    let broken = |field: &str, value: Value| {
        let mut broken = sound.clone();
        broken[field] = value;
        fs::write(&path, broken.to_string()).unwrap();
        import::read(&done.folder).unwrap_err().to_string()
    };
    assert!(broken("id", "7".into()).contains("metadata.json: `id` is no UUID"));
    assert!(broken("name", Value::Null).contains("metadata.json: `name` is missing"));
    assert!(broken("created_at", "soon".into()).contains("`created_at` is no point in time"));
    assert!(
        broken("code_manifest", "x".into()).contains("applet Pipe Dodger: its content manifest")
    );
    fs::write(&path, "{").unwrap();
    assert!(
        import::read(&done.folder)
            .unwrap_err()
            .to_string()
            .contains("metadata.json: this is no JSON")
    );
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
    assert!(
        import::read(&done.folder)
            .unwrap_err()
            .to_string()
            .contains("metadata.json: cannot be read")
    );
}

#[test]
fn selection_names_what_is_not_there() {
    let applets = Board::furnished("alpha").applets();
    let chosen = select(applets.clone(), &["Pipe_Dodger".to_owned()]).unwrap();
    assert_eq!(chosen.len(), 1);
    let error = select(applets, &["Tetris".to_owned()]).unwrap_err().to_string();
    assert_eq!(error, "there is no applet `Tetris`; there are `Pipe Dodger`, `Pipe_Dodger`");
}
