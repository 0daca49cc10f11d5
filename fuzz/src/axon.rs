//! Parsers of the adapter of Axon: what they read comes from peers, or from a stick.

use std::fs;
use std::sync::LazyLock;

use nodekeep_nodes::axon::envelope;
use nodekeep_nodes::axon::fernet;
use nodekeep_nodes::axon::import;
use nodekeep_nodes::axon::instance::Instance;
use nodekeep_nodes::axon::key::{Fingerprint, Recipient, normalised};
use nodekeep_nodes::axon::manifest::ContentManifest;
use nodekeep_nodes::axon::moment::Moment;
use nodekeep_nodes::axon::secret::SecretKey;
use nodekeep_nodes::axon::uuid::Uuid;

/// A key of the tests.
static INSTANCE: LazyLock<Option<Instance>> = LazyLock::new(|| {
    Instance::from_pem(include_str!("../../crates/nodes/testdata/axon/alpha.pem")).ok()
});

/// A content manifest: as it is, and what is read of it again is the same.
pub fn manifest(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(Some(manifest)) = ContentManifest::from_text(text, "fuzz") else { return };
    let again = ContentManifest::from_json(manifest.to_json(), "fuzz");
    assert_eq!(again.ok().flatten().as_ref(), Some(&manifest));
    for recipient in manifest.recipients() {
        assert!(manifest.is_for(recipient));
    }
}

/// An envelope for a key that is there: whatever lies in it is opened or named. A fingerprint, a key, a moment, a row's key besides.
pub fn envelopes(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = (Fingerprint::parse(&text), Uuid::parse(&text), normalised(&text));
    let _ = (Moment::from_iso(&text), Moment::from_sql(&text), Moment::from_stamp(&text));
    let _ = (Recipient::from_pem("fuzz", &text), Instance::from_pem(&text));
    let Some(instance) = INSTANCE.as_ref() else { return };
    let json = serde_json::json!({
        "content_hash": "0".repeat(64),
        "chunk_size": 64,
        "chunk_hashes": ["0".repeat(64)],
        "encryption_iv": "AAAAAAAAAAAAAAAAAAAAAA==",
        "encrypted_aes_keys": { instance.fingerprint().to_string(): text },
    });
    if let Ok(Some(manifest)) = ContentManifest::from_json(json, "fuzz") {
        let _ = envelope::open(&manifest, instance, "fuzz");
    }
}

/// A Fernet token under a fixed key, and the environment file that holds the key.
pub fn secrets(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = fernet::open(&text, &[7; 32]);
    let _ = SecretKey::from_env_text(&text);
}

/// A backup directory: the files of one applet, apart at zero bytes.
pub fn backup(data: &[u8]) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let applet = folder.path().join("applet");
    let chunks = applet.join("chunks");
    if fs::create_dir_all(&chunks).is_err() {
        return;
    }
    let places = [
        applet.join(import::METADATA),
        applet.join(import::DATA),
        applet.join(import::SCORES),
        applet.join(import::ROOMS),
        folder.path().join(import::MANIFEST),
        chunks.join("0.chunk"),
    ];
    for (part, place) in data.splitn(places.len(), |byte| *byte == 0).zip(places) {
        let _ = fs::write(place, part);
    }
    let _ = import::read(folder.path());
}
