//! Applets into a live database: the right rows, or none.

use std::fs;

use nodekeep_nodes::axon::error::Error;
use nodekeep_nodes::axon::merge::{Merged, Merging};
use nodekeep_nodes::axon::rekey::Rekeying;

use super::board::{Board, files, public, recipient};

fn merge(from: &Board, to: &Board, change: impl FnOnce(&mut Merging<'_>)) -> Result<Merged, Error> {
    let layout = to.layout();
    let mut merging = Merging {
        database: &layout.database,
        chunks: &layout.chunks,
        update: false,
        skip_chunks: false,
        accept_sealed: false,
        dry_run: false,
    };
    change(&mut merging);
    merging.run(&from.applets())
}

/// The same users under other numbers, and other rows where the source has its own.
fn destination() -> Board {
    let board = Board::new("alpha");
    board.user("root", None);
    board.run("UPDATE core_user SET is_superuser = 1", []);
    board.user("carol", Some("-----BEGIN PUBLIC KEY-----\nother\n-----END PUBLIC KEY-----"));
    board.user("alice-here", Some(&format!("{}\n", public("user"))));
    board.run("INSERT INTO applets_appletcategory VALUES (7, 'Tools', '')", []);
    board
}

#[test]
fn rows_find_their_users_and_categories_by_what_they_are() {
    let (from, to) = (Board::furnished("alpha"), destination());
    let users = to.text("SELECT group_concat(username || password || is_superuser) FROM core_user");
    let merged = merge(&from, &to, |_| {}).unwrap();
    assert_eq!(merged.added, ["Pipe Dodger", "Pipe_Dodger"]);
    assert_eq!((merged.data, merged.scores, merged.rooms, merged.chunks), (1, 1, 1, 6));
    assert!(merged.missing.is_empty() && merged.sealed.is_empty());
    let owner = "SELECT u.username FROM applets_appletdata d JOIN core_user u ON u.id = d.owner_id";
    assert_eq!(to.text(owner), "alice-here");
    assert_eq!(to.text("SELECT u.username FROM applets_applet a JOIN core_user u ON u.id = a.owner_id WHERE name = 'Pipe Dodger'"), "alice-here");
    let category =
        "SELECT c.name FROM applets_applet a JOIN applets_appletcategory c ON c.id = a.category_id";
    assert_eq!(to.text(category), "Games");
    assert_eq!(to.text("SELECT name || required_access_level || message_retention_days || trusted_peers FROM messaging_messageboard"), "events1030[]");
    assert_eq!(
        to.text("SELECT created_at FROM applets_applet WHERE name = 'Pipe Dodger'"),
        "2025-09-27 03:16:04.871901"
    );
    assert_eq!(
        to.text("SELECT applet_id FROM applets_appletsharedstate"),
        "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
    );
    assert_eq!(
        to.text("SELECT group_concat(username || password || is_superuser) FROM core_user"),
        users,
        "no user came along"
    );
    assert_eq!(to.number("SELECT count(*) FROM pragma_foreign_key_check"), 0);
    assert_eq!(files(&to.layout().chunks), files(&from.layout().chunks));
    let mut applets = to.applets();
    applets[0].data[0].owner_username = "alice".to_owned();
    assert_eq!(applets[0].data[0].content.manifest, from.applets()[0].data[0].content.manifest);
}

#[test]
fn what_is_there_is_passed_over_unless_asked() {
    let (from, to) = (Board::furnished("alpha"), destination());
    merge(&from, &to, |_| {}).unwrap();
    from.run("UPDATE applets_applet SET description = 'new' WHERE name = 'Pipe Dodger'", []);
    from.run("UPDATE applets_highscore SET score = 9000, last_updated = '2026-01-01 00:00:00'", []);
    // Saved here after the backup.
    to.run("UPDATE applets_appletdata SET last_updated = '2026-01-01 00:00:00'", []);
    to.run("UPDATE applets_appletsharedstate SET version = 99", []);
    let merged = merge(&from, &to, |_| {}).unwrap();
    assert_eq!((merged.skipped.len(), merged.scores), (2, 0));
    assert_eq!(
        to.text("SELECT description FROM applets_applet WHERE name = 'Pipe Dodger'"),
        "about it"
    );
    let merged = merge(&from, &to, |merging| merging.update = true).unwrap();
    assert_eq!(merged.updated, ["Pipe Dodger", "Pipe_Dodger"]);
    assert_eq!((merged.data, merged.scores, merged.rooms), (0, 1, 0));
    assert_eq!(to.text("SELECT description FROM applets_applet WHERE name = 'Pipe Dodger'"), "new");
    assert_eq!(to.number("SELECT score FROM applets_highscore"), 9000);
    assert_eq!(to.number("SELECT version FROM applets_appletsharedstate"), 99);
    assert!(
        merged.notes.iter().any(|note| note.contains("stays as it is here: it is not older")),
        "{:?}",
        merged.notes
    );
}

#[test]
fn numbers_that_are_taken_are_not_taken_again() {
    let (from, to) = (Board::furnished("alpha"), destination());
    to.applet("a", "Renamed", &to.store("mine", &["alpha"]));
    merge(&from, &to, |_| {}).unwrap();
    assert_eq!(to.number("SELECT count(*) FROM applets_applet"), 3);
    assert_eq!(
        to.text("SELECT name FROM applets_applet WHERE id = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'"),
        "Renamed"
    );
    let joined = "SELECT count(*) FROM applets_appletdata d JOIN applets_applet a ON a.id = d.applet_id WHERE a.name = 'Pipe Dodger'";
    assert_eq!(to.number(joined), 1);
    let room = "SELECT count(*) FROM applets_appletsharedstate s JOIN applets_applet a ON replace(s.applet_id, '-', '') = a.id WHERE a.name = 'Pipe Dodger'";
    assert_eq!(to.number(room), 1);
}

#[test]
fn content_for_others_is_refused_until_it_is_rekeyed() {
    let (from, to) = (Board::furnished("alpha"), Board::new("beta"));
    let before = files(&to.path());
    let error = merge(&from, &to, |_| {}).unwrap_err();
    let Error::NoEnvelope { total, holders, fingerprint } = &error else { panic!("{error}") };
    assert_eq!((*total, holders.len()), (3, 3));
    assert_eq!(*fingerprint, recipient("beta").fingerprint.to_string());
    assert_eq!(files(&to.path()), before, "nothing was written");
    let merged = merge(&from, &to, |merging| merging.accept_sealed = true).unwrap();
    assert_eq!(merged.sealed.len(), 3);

    let fresh = Board::new("beta");
    let instance = from.instance();
    let recipients = [recipient("beta")];
    let mut applets = from.applets();
    Rekeying { instance: &instance, recipients: &recipients, prune: false }
        .applets(&mut applets)
        .unwrap();
    let layout = fresh.layout();
    let merging = Merging {
        database: &layout.database,
        chunks: &layout.chunks,
        update: false,
        skip_chunks: false,
        accept_sealed: false,
        dry_run: false,
    };
    let merged = merging.run(&applets).unwrap();
    assert_eq!(merged.added.len(), 2);
    assert!(
        merged
            .notes
            .iter()
            .any(|note| note.contains("data of alice") && note.contains("no user here")),
        "{:?}",
        merged.notes
    );
}

#[test]
fn without_chunks_they_are_listed() {
    let (from, to) = (Board::furnished("alpha"), destination());
    let merged = merge(&from, &to, |merging| merging.skip_chunks = true).unwrap();
    assert_eq!((merged.chunks, merged.missing.len()), (0, 6));
    assert_eq!(merged.missing[0].0, "applet Pipe Dodger");
    assert!(files(&to.layout().chunks).is_empty());
    // They come later.
    let merged = merge(&from, &to, |merging| merging.update = true).unwrap();
    assert_eq!((merged.chunks, merged.missing.len()), (6, 0));
}

/// The destination has the same content under its own key: its chunks stay, and its manifest is used.
#[test]
fn chunks_that_other_rows_rely_on_stay() {
    let (from, to) = (Board::furnished("alpha"), destination());
    let own = to.store("other", &["alpha"]);
    to.applet("f", "Mine", &own);
    let before = files(&to.layout().chunks);
    merge(&from, &to, |_| {}).unwrap();
    let after = files(&to.layout().chunks);
    for (name, bytes) in &before {
        assert_eq!(after.get(name), Some(bytes), "{name}");
    }
    let row = to.text("SELECT code_manifest FROM applets_applet WHERE name = 'Pipe_Dodger'");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&row).unwrap(), own);
}

#[test]
fn an_unknown_column_rolls_everything_back() {
    let (from, to) = (Board::furnished("alpha"), destination());
    to.connection().execute_batch(
        "DROP TABLE applets_highscore;
         CREATE TABLE applets_highscore (id integer PRIMARY KEY, owner_pubkey text NOT NULL, owner_nickname text NOT NULL,
           score integer NOT NULL, last_updated datetime NOT NULL, applet_id char(32) NOT NULL, season integer NOT NULL);",
    ).unwrap();
    let error = merge(&from, &to, |_| {}).unwrap_err().to_string();
    assert!(error.contains("`applets_highscore` has a column `season`"), "{error}");
    assert_eq!(to.number("SELECT count(*) FROM applets_applet"), 0);
    assert_eq!(to.number("SELECT count(*) FROM messaging_messageboard"), 0);
    assert_eq!(fs::read_dir(to.layout().chunks).unwrap().count(), 0, "no chunk is left");
}

/// Axon deletes chunks beside which the manifest of another encryption lies.
#[test]
fn a_manifest_of_another_encryption_is_removed() {
    let (from, to) = (Board::furnished("alpha"), destination());
    let old = to.store("other", &["alpha"]);
    let folder = to.layout().chunks.join(old["content_hash"].as_str().unwrap());
    fs::write(folder.join(".manifest"), old.to_string()).unwrap();
    merge(&from, &to, |_| {}).unwrap();
    assert!(!folder.join(".manifest").exists());
    let new = from.text("SELECT code_manifest FROM applets_applet WHERE name = 'Pipe_Dodger'");
    fs::write(folder.join(".manifest"), &new).unwrap();
    merge(&from, &to, |merging| merging.update = true).unwrap();
    assert!(folder.join(".manifest").exists(), "its own stays");
}

/// A plan says what would come, and changes nothing.
#[test]
fn a_dry_run_changes_nothing_and_says_the_same() {
    let (from, to) = (Board::furnished("alpha"), destination());
    let before = files(&to.path());
    let planned = merge(&from, &to, |merging| merging.dry_run = true).unwrap();
    assert_eq!(files(&to.path()), before);
    assert_eq!(planned, merge(&from, &to, |_| {}).unwrap());
}
