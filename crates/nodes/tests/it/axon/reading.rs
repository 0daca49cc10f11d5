//! Keys, manifests and rows as they are read; what breaks the rules is refused by name and without secrets.

use nodekeep_nodes::axon::error::Error;
use nodekeep_nodes::axon::instance::{Instance, known};
use nodekeep_nodes::axon::key::{Recipient, normalised};
use nodekeep_nodes::axon::manifest::ContentManifest;
use nodekeep_nodes::axon::secret::SecretKey;
use serde_json::{Value, json};

use super::board::{Board, encrypt, public, recipient};

#[test]
fn fingerprints_are_those_of_axon() {
    // md5 of `openssl pkey -pubout`, without the line break at the end.
    let expected = include_str!("../../../testdata/axon/fingerprints").lines();
    for line in expected {
        let (fingerprint, name) = line.split_once(' ').unwrap();
        assert_eq!(recipient(name).fingerprint.to_string(), fingerprint, "{name}");
    }
    let crlf = format!("\n{}\r\n", public("alpha").replace('\n', "\r\n"));
    assert_eq!(
        Recipient::from_pem("crlf", &crlf).unwrap().fingerprint,
        recipient("alpha").fingerprint
    );
    assert_eq!(normalised(&crlf), public("alpha"));
    assert_eq!(normalised(" no key "), "no key");
}

#[test]
fn an_instance_opens_with_its_own_secret_only() {
    let board = Board::new("alpha");
    board.run(
        "INSERT INTO core_trustedinstance VALUES (NULL, 'http://b.onion', ?1, NULL, 1)",
        [public("beta")],
    );
    board.run(
        "INSERT INTO core_trustedinstance VALUES (NULL, 'http://c.onion', 'junk', NULL, 1)",
        [],
    );
    board.run(
        "INSERT INTO core_trustedinstance VALUES (NULL, 'http://d.onion', ?1, NULL, 0)",
        [public("user")],
    );
    assert_eq!(board.instance().fingerprint(), recipient("alpha").fingerprint);
    let database = board.layout().database;
    let known = known(&database).unwrap();
    assert_eq!(known.local.unwrap().fingerprint, recipient("alpha").fingerprint);
    let trusted: Vec<&str> = known.trusted.iter().map(|peer| peer.name.as_str()).collect();
    assert_eq!(trusted, ["http://b.onion"], "one that is no longer trusted gets no envelope");
    assert_eq!(known.unusable[0].0, "http://c.onion");

    let other =
        SecretKey::from_env_text("SECRET_KEY=another-secret-that-is-long-enough-to-try").unwrap();
    let error = Instance::open(&database, &other).err().unwrap().to_string();
    assert!(error.contains("does not open with this SECRET_KEY"), "{error}");
    board.run("UPDATE core_trustedinstance SET encrypted_private_key = NULL", []);
    let secret = SecretKey::from_env_file(&board.layout().environment).unwrap();
    let error = Instance::open(&database, &secret).err().unwrap().to_string();
    assert!(error.contains("no local instance with a private key"), "{error}");
}

#[test]
fn manifests_keep_to_their_bounds() {
    let (sound, _) = encrypt("content", &["alpha"]);
    let read = |value: Value| ContentManifest::from_json(value, "applet X");
    let manifest = read(sound.clone()).unwrap().unwrap();
    assert_eq!(manifest.to_json(), sound, "what is unknown stays");
    assert!(manifest.is_for(recipient("alpha").fingerprint));
    assert_eq!(read(Value::Null).unwrap(), None);
    assert_eq!(read(json!({})).unwrap(), None);
    let long = "A".repeat(2000);
    let bad = [
        ("content_hash", json!("../../../../etc/passwd"), "content_hash"),
        (
            "content_hash",
            json!(sound["content_hash"].as_str().unwrap().to_uppercase()),
            "content_hash",
        ),
        ("chunk_size", json!(0), "chunk_size"),
        ("chunk_size", json!(u64::MAX), "chunk_size"),
        ("chunk_size", json!(-1), "chunk_size"),
        ("chunk_hashes", json!([]), "0 chunks"),
        ("chunk_hashes", json!(["zz"]), "chunk 0"),
        ("chunk_hashes", json!("no list"), "chunk_hashes"),
        ("encryption_iv", json!("AAAA"), "encryption_iv"),
        ("encrypted_aes_keys", json!([]), "encrypted_aes_keys"),
        ("encrypted_aes_keys", json!({"../x": "AAAA"}), "../x"),
        ("encrypted_aes_keys", json!({"0".repeat(32): long}), "envelope"),
        ("encrypted_aes_keys", json!({"0".repeat(32): 7}), "envelope"),
    ];
    for (field, value, expected) in bad {
        let mut broken = sound.clone();
        broken[field] = value;
        let error = read(broken).unwrap_err().to_string();
        assert!(error.starts_with("applet X: ") && error.contains(expected), "{field}: {error}");
    }
    for text in ["", "{", "[]", "7", &"[".repeat(10_000)] {
        let error = ContentManifest::from_text(text, "applet X").unwrap_err();
        assert!(matches!(error, Error::Manifest { .. }), "{text}");
    }
}

#[test]
fn applets_are_read_with_all_that_is_theirs() {
    let board = Board::furnished("alpha");
    let applets = board.applets();
    let names: Vec<&str> = applets.iter().map(|applet| applet.name.as_str()).collect();
    assert_eq!(names, ["Pipe Dodger", "Pipe_Dodger"]);
    let applet = &applets[0];
    assert_eq!(
        (applet.category.as_deref(), applet.event_board.as_deref()),
        (Some("Games"), Some("events"))
    );
    assert_eq!(applet.parameters.to_string(), r#"{"b":1,"a":2}"#);
    assert_eq!(applet.data[0].owner_username, "alice");
    assert_eq!(applet.scores[0].tallies, [Some(3), None, None, None, None]);
    assert_eq!((applet.rooms[0].room_id.as_str(), applet.rooms[0].version), ("lobby", 12));
}

#[test]
fn another_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.sqlite3");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE x (y)").unwrap();
    let error = known(&path).unwrap_err().to_string();
    assert!(error.contains("no Axon database") && error.contains("applets_applet"), "{error}");
    std::fs::write(&path, "this is no database at all, only text").unwrap();
    assert!(matches!(known(&path), Err(Error::Database { .. })));
    assert!(known(&folder.path().join("missing")).unwrap_err().to_string().contains("missing"));
}

/// Manifests come from peers: whatever bytes they send, reading ends in a manifest or an error.
#[test]
fn mangled_manifests_never_panic() {
    let (sound, _) = encrypt(&"content".repeat(30), &["alpha", "beta"]);
    let text = sound.to_string().into_bytes();
    let mut state = 1_u64;
    let mut chance = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut read = 0;
    for _ in 0..5000 {
        let mut mangled = text.clone();
        for _ in 0..=chance(3) {
            let at = chance(mangled.len());
            match chance(3) {
                0 => mangled[at] = b" \"{}[],:0a9-\\"[chance(13)],
                1 => drop(mangled.remove(at)),
                _ => mangled.truncate(at.max(1)),
            }
        }
        let mangled = String::from_utf8_lossy(&mangled);
        if let Ok(Some(manifest)) = ContentManifest::from_text(&mangled, "applet X") {
            let again =
                ContentManifest::from_json(manifest.to_json(), "applet X").unwrap().unwrap();
            assert_eq!(again, manifest);
            read += 1;
        }
    }
    assert!((1..4000).contains(&read), "{read} of 5000 are manifests still");
}
