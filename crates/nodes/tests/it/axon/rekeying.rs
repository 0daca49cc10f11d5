//! New envelopes, old chunks.

use nodekeep_nodes::axon::applet::Applet;
use nodekeep_nodes::axon::database::HolderKind;
use nodekeep_nodes::axon::envelope;
use nodekeep_nodes::axon::error::Error;
use nodekeep_nodes::axon::export::Export;
use nodekeep_nodes::axon::import;
use nodekeep_nodes::axon::instance::Instance;
use nodekeep_nodes::axon::moment::Moment;
use nodekeep_nodes::axon::rekey::{Rekeyed, Rekeying};
use tempfile::TempDir;

use super::board::{Board, files, pem, recipient};

fn export(board: &Board) -> (TempDir, std::path::PathBuf) {
    let folder = TempDir::new().unwrap();
    let at = Moment::from_stamp("20260102_030405").unwrap();
    let applets = board.applets();
    let done =
        Export { applets: &applets, into: folder.path(), at, skip_chunks: false }.write().unwrap();
    (folder, done.folder)
}

/// How many contents a key really opens.
fn opened(applets: &[Applet], key: &str) -> usize {
    let instance = Instance::from_pem(&pem(key)).unwrap();
    let contents = applets.iter().flat_map(Applet::contents);
    contents
        .filter(|(holder, content)| {
            let key = envelope::open(&content.manifest, &instance, holder).unwrap();
            key.is_some_and(|key| {
                envelope::check(&content.manifest, &key, &content.folder, holder).is_ok()
            })
        })
        .count()
}

#[test]
fn a_backup_directory_gets_new_recipients_and_keeps_its_chunks() {
    let board = Board::furnished("alpha");
    let (_guard, folder) = export(&board);
    let before = files(&folder);
    let instance = board.instance();
    let recipients = [recipient("beta")];
    let rekeying = Rekeying { instance: &instance, recipients: &recipients, prune: false };
    let done = rekeying.backup(&folder).unwrap();
    assert_eq!(done, Rekeyed { manifests: 3, changed: 3, added: 3, dropped: 0 });
    let after = files(&folder);
    assert_eq!(before.len(), after.len());
    for (name, bytes) in before.iter().filter(|(name, _)| name.ends_with(".chunk")) {
        assert_eq!(after.get(name), Some(bytes), "{name}");
    }
    let applets = import::read(&folder).unwrap().applets;
    assert_eq!(
        (opened(&applets, "alpha"), opened(&applets, "beta"), opened(&applets, "user")),
        (3, 3, 1)
    );
    let again = rekeying.backup(&folder).unwrap();
    assert_eq!(again, Rekeyed { manifests: 3, ..Rekeyed::default() });
}

#[test]
fn prune_drops_instances_and_leaves_users_their_own() {
    let board = Board::furnished("alpha");
    let (_guard, folder) = export(&board);
    let instance = board.instance();
    let recipients = [recipient("beta")];
    let rekeying = Rekeying { instance: &instance, recipients: &recipients, prune: true };
    assert_eq!(rekeying.backup(&folder).unwrap().dropped, 3);
    let applets = import::read(&folder).unwrap().applets;
    assert_eq!(
        (opened(&applets, "alpha"), opened(&applets, "beta"), opened(&applets, "user")),
        (0, 3, 1)
    );
    // Interrupted and run again, it does not need what it dropped.
    assert_eq!(rekeying.backup(&folder).unwrap().changed, 0);

    assert_eq!(rekeying.database(&board.layout().database, &HolderKind::ALL).unwrap().dropped, 3);
    let applets = board.applets();
    assert_eq!(
        (opened(&applets, "alpha"), opened(&applets, "beta"), opened(&applets, "user")),
        (0, 3, 1)
    );
}

#[test]
fn what_cannot_be_opened_is_counted_and_nothing_changes() {
    let board = Board::furnished("alpha");
    board.applet("d", "For others", &board.store("closed", &["beta"]));
    let (_guard, folder) = export(&board);
    let before = files(&folder);
    let instance = board.instance();
    let recipients = [recipient("user")];
    let rekeying = Rekeying { instance: &instance, recipients: &recipients, prune: true };
    let rows = board.text("SELECT group_concat(code_manifest) FROM applets_applet");
    let mut applets = board.applets();
    let kept = applets.clone();
    let errors = [
        rekeying.backup(&folder).unwrap_err(),
        rekeying.database(&board.layout().database, &HolderKind::APPLETS).unwrap_err(),
        rekeying.applets(&mut applets).unwrap_err(),
    ];
    for error in errors {
        let Error::NoEnvelope { total, holders, .. } = &error else { panic!("{error}") };
        assert_eq!((*total, holders.as_slice()), (4, ["applet For others".to_owned()].as_slice()));
        assert!(error.to_string().contains("in 1 of 4 manifests"), "{error}");
    }
    assert_eq!(files(&folder), before);
    assert_eq!(board.text("SELECT group_concat(code_manifest) FROM applets_applet"), rows);
    assert_eq!(applets, kept);
}

#[test]
fn an_envelope_that_does_not_open_is_told_from_none() {
    let board = Board::furnished("alpha");
    let fingerprint = recipient("alpha").fingerprint.to_string();
    board.run(
        "UPDATE applets_applet SET code_manifest = json_set(code_manifest, '$.encrypted_aes_keys.' || ?1, ?2) WHERE name = 'Pipe_Dodger'",
        (fingerprint, "AAAA"),
    );
    let instance = board.instance();
    let recipients = [recipient("beta")];
    let rekeying = Rekeying { instance: &instance, recipients: &recipients, prune: false };
    let error = rekeying.applets(&mut board.applets()).unwrap_err().to_string();
    assert!(
        error.starts_with("applet Pipe_Dodger: its envelope") && error.contains("does not open"),
        "{error}"
    );
}

#[test]
fn content_is_what_its_hash_says_or_named() {
    let board = Board::furnished("alpha");
    assert_eq!(opened(&board.applets(), "alpha"), 3);
    let instance = board.instance();
    for length in [0, 1, 15, 16, 17, 47, 48, 63, 64, 65, 127, 128, 200] {
        let manifest = board.store(&"x".repeat(length), &["alpha"]);
        board.run(
            "UPDATE applets_applet SET code_manifest = ?1 WHERE name = 'Pipe_Dodger'",
            [manifest.to_string()],
        );
        assert_eq!(opened(&board.applets(), "alpha"), 3, "{length}");
    }
    // A manifest that claims another content.
    board.run(
        "UPDATE applets_applet SET code_manifest = json_set(code_manifest, '$.content_hash', ?1) WHERE name = 'Pipe_Dodger'",
        ["0".repeat(64)],
    );
    let applets = board.applets();
    let (holder, content) = applets[1].contents().next().unwrap();
    let key = envelope::open(&content.manifest, &instance, &holder).unwrap().unwrap();
    let old = applets[0].code.as_ref().unwrap();
    let error = envelope::check(&old.manifest, &key, &old.folder, &holder).unwrap_err().to_string();
    assert!(error.contains("does not decrypt"), "{error}");
    let error =
        envelope::check(&content.manifest, &key, &content.folder, &holder).unwrap_err().to_string();
    assert_eq!(error, "applet Pipe_Dodger: chunk 0 is missing");
}
