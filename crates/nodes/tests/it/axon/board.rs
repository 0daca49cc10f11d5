//! An Axon instance as its server would leave it: a database with the columns of upstream, chunks, `.env`.

use std::fs;
use std::path::{Path, PathBuf};

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockEncryptMut, KeyIvInit};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use hmac::{Hmac, Mac};
use nodekeep_nodes::axon::Layout;
use nodekeep_nodes::axon::instance::Instance;
use nodekeep_nodes::axon::key::Recipient;
use nodekeep_nodes::axon::secret::SecretKey;
use rsa::Oaep;
use rsa::pkcs8::DecodePublicKey;
use rsa::rand_core::{OsRng, RngCore};
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const SECRET: &str = "a!x0#k$q1&(zz)%7w_9=abcdefghij0123-tail";

/// The tables that the adapter touches, with the columns that upstream's migrations give them.
const SCHEMA: &str = r#"
CREATE TABLE core_user (id integer PRIMARY KEY AUTOINCREMENT, username varchar(150) NOT NULL UNIQUE,
  password varchar(128) NOT NULL, is_superuser bool NOT NULL, pubkey text NULL);
CREATE TABLE core_trustedinstance (id integer PRIMARY KEY AUTOINCREMENT, web_ui_onion_url varchar(255) NULL,
  pubkey text NULL, encrypted_private_key text NULL, is_trusted_peer bool NOT NULL);
CREATE TABLE core_fileattachment (id char(32) NOT NULL PRIMARY KEY, filename varchar(255) NOT NULL,
  metadata_manifest text NOT NULL CHECK (json_valid(metadata_manifest)));
CREATE TABLE messaging_messageboard (id integer PRIMARY KEY AUTOINCREMENT, name varchar(100) NOT NULL,
  description text NOT NULL, required_access_level integer unsigned NOT NULL, federation_room_id varchar(255) NULL UNIQUE,
  is_realtime bool NOT NULL, message_retention_days integer unsigned NOT NULL, trusted_peers text NOT NULL,
  federation_poll_interval real NOT NULL, local_poll_interval real NOT NULL, use_lan_federation bool NOT NULL);
CREATE TABLE messaging_message (id char(32) NOT NULL PRIMARY KEY, metadata_manifest text NULL);
CREATE TABLE messaging_privatemessage (id char(32) NOT NULL PRIMARY KEY, metadata_manifest text NULL);
CREATE TABLE applets_appletcategory (id integer PRIMARY KEY AUTOINCREMENT, name varchar(50) NOT NULL UNIQUE,
  description text NOT NULL);
CREATE TABLE applets_applet (id char(32) NOT NULL PRIMARY KEY, name varchar(100) NOT NULL UNIQUE,
  description text NOT NULL, author_pubkey text NOT NULL, code_manifest text NOT NULL CHECK (json_valid(code_manifest)),
  is_local bool NOT NULL, created_at datetime NOT NULL, is_debug_mode bool NOT NULL, handles_mime_types varchar(255) NOT NULL,
  parameters text NOT NULL CHECK (json_valid(parameters)),
  event_board_id bigint NULL REFERENCES messaging_messageboard (id) DEFERRABLE INITIALLY DEFERRED,
  category_id bigint NULL REFERENCES applets_appletcategory (id) DEFERRABLE INITIALLY DEFERRED,
  owner_id bigint NULL REFERENCES core_user (id) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE applets_appletdata (id char(32) NOT NULL PRIMARY KEY, data_manifest text NOT NULL, last_updated datetime NOT NULL,
  applet_id char(32) NOT NULL REFERENCES applets_applet (id) DEFERRABLE INITIALLY DEFERRED,
  owner_id bigint NOT NULL REFERENCES core_user (id) DEFERRABLE INITIALLY DEFERRED);
CREATE UNIQUE INDEX one_save ON applets_appletdata (applet_id, owner_id);
CREATE TABLE applets_highscore (id integer PRIMARY KEY AUTOINCREMENT, owner_pubkey text NOT NULL,
  owner_nickname varchar(50) NOT NULL, score integer NOT NULL, wins integer NULL, losses integer NULL, kills integer NULL,
  deaths integer NULL, assists integer NULL, last_updated datetime NOT NULL,
  applet_id char(32) NOT NULL REFERENCES applets_applet (id) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE applets_appletsharedstate (id char(32) NOT NULL PRIMARY KEY, applet_id varchar(100) NOT NULL,
  room_id varchar(100) NOT NULL UNIQUE, state_data text NOT NULL, version integer unsigned NOT NULL,
  last_updated datetime NOT NULL);
"#;

/// A test key.
pub fn pem(name: &str) -> String {
    // The tests of the commands use this board too.
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../nodes/testdata/axon");
    let path = Path::new(keys).join(format!("{name}.pem"));
    fs::read_to_string(path).unwrap()
}

/// Its public half, as Axon stores it.
pub fn public(name: &str) -> String {
    pem(&format!("{name}.pub")).trim().to_owned()
}

pub fn recipient(name: &str) -> Recipient {
    Recipient::from_pem(name, &public(name)).unwrap()
}

/// An instance.
pub struct Board {
    folder: TempDir,
}

impl Board {
    /// With one of the test keys as its own.
    pub fn new(key: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let board = Self { folder };
        fs::create_dir_all(board.layout().chunks).unwrap();
        fs::write(board.layout().environment, format!("# axon\nSECRET_KEY='{SECRET}'\n")).unwrap();
        board.connection().execute_batch(SCHEMA).unwrap();
        let token = fernet(pem(key).as_bytes(), SECRET.as_bytes());
        board.run(
            "INSERT INTO core_trustedinstance VALUES (NULL, NULL, ?1, ?2, 0)",
            (public(key), token),
        );
        board
    }

    pub fn layout(&self) -> Layout {
        Layout::of(self.folder.path())
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub fn connection(&self) -> Connection {
        let path = self.layout().database;
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        Connection::open(path).unwrap()
    }

    pub fn run(&self, sql: &str, values: impl rusqlite::Params) {
        self.connection().execute(sql, values).unwrap();
    }

    pub fn number(&self, sql: &str) -> i64 {
        self.connection().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    pub fn text(&self, sql: &str) -> String {
        self.connection().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    pub fn instance(&self) -> Instance {
        let layout = self.layout();
        let secret = SecretKey::from_env_file(&layout.environment).unwrap();
        Instance::open(&layout.database, &secret).unwrap()
    }

    pub fn user(&self, name: &str, pubkey: Option<&str>) {
        self.run(
            "INSERT INTO core_user (username, password, is_superuser, pubkey) VALUES (?1, 'secret-hash', 0, ?2)",
            (name, pubkey),
        );
    }

    /// Stores content as Axon does, in chunks of 64 bytes, and returns its manifest.
    pub fn store(&self, plain: &str, recipients: &[&str]) -> Value {
        let (manifest, chunks) = encrypt(plain, recipients);
        let folder = self.layout().chunks.join(manifest["content_hash"].as_str().unwrap());
        fs::create_dir_all(&folder).unwrap();
        for (index, chunk) in chunks.iter().enumerate() {
            fs::write(folder.join(format!("{index}.chunk")), chunk).unwrap();
        }
        manifest
    }

    /// An applet whose id is so many times one hexadecimal digit.
    pub fn applet(&self, digit: &str, name: &str, manifest: &Value) {
        self.run(
            "INSERT INTO applets_applet VALUES (?1, ?2, 'about it', ?3, ?4, 0, '2025-09-27 03:16:04.871901', 1, '', '{\"b\": 1, \"a\": 2}', NULL, NULL, NULL)",
            (digit.repeat(32), name, public("user"), manifest.to_string()),
        );
    }

    pub fn data(&self, digit: &str, user: &str, manifest: &Value, at: &str) {
        self.run(
            "INSERT INTO applets_appletdata SELECT ?1, ?2, ?3, ?4, id FROM core_user WHERE username = ?5",
            (format!("{}{}", digit.repeat(16), &hex(user)[..16]), manifest.to_string(), at, digit.repeat(32), user),
        );
    }

    /// Two applets of names that Axon cannot tell apart as folders, one with everything that an applet can have.
    pub fn furnished(key: &str) -> Self {
        let board = Self::new(key);
        board.user("alice", Some(&public("user")));
        board.run("INSERT INTO applets_appletcategory VALUES (7, 'Games', '')", []);
        board.run(
            "INSERT INTO messaging_messageboard VALUES (9, 'events', '', 10, NULL, 0, 30, '[]', 5.0, 1.0, 0)",
            [],
        );
        board.applet("a", "Pipe Dodger", &board.store(&"dodge".repeat(40), &[key]));
        board.applet("b", "Pipe_Dodger", &board.store("other", &[key]));
        board.run("UPDATE applets_applet SET category_id = 7, event_board_id = 9 WHERE name = 'Pipe Dodger'", []);
        board.data(
            "a",
            "alice",
            &board.store("saved by alice", &[key, "user"]),
            "2025-10-05 01:25:57",
        );
        board.run(
            "INSERT INTO applets_highscore VALUES (NULL, ?1, 'alice', 4200, 3, NULL, NULL, NULL, NULL, '2025-10-05 01:25:57.5', ?2)",
            (public("user"), "a".repeat(32)),
        );
        board.run(
            "INSERT INTO applets_appletsharedstate VALUES (?1, 'aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa', 'lobby', '{\"messages\":[]}', 12, '2025-10-05 01:25:57')",
            ["e".repeat(32)],
        );
        board
    }

    /// The same as [`nodekeep_nodes::axon::database::applets`] of this instance.
    pub fn applets(&self) -> Vec<nodekeep_nodes::axon::applet::Applet> {
        let layout = self.layout();
        nodekeep_nodes::axon::database::applets(&layout.database, &layout.chunks).unwrap()
    }
}

/// Encrypts as Axon does: AES-256-CBC over everything, envelopes in RSA-OAEP.
pub fn encrypt(plain: &str, recipients: &[&str]) -> (Value, Vec<Vec<u8>>) {
    let mut key = [0; 32];
    let mut iv = [0; 16];
    OsRng.fill_bytes(&mut key);
    OsRng.fill_bytes(&mut iv);
    let cipher = cbc::Encryptor::<aes::Aes256>::new(&key.into(), &iv.into());
    let sealed = cipher.encrypt_padded_vec_mut::<Pkcs7>(plain.as_bytes());
    let chunks: Vec<Vec<u8>> = sealed.chunks(64).map(<[u8]>::to_vec).collect();
    let hashes: Vec<String> = chunks.iter().map(|chunk| sha256(chunk)).collect();
    let mut envelopes = json!({});
    for name in recipients {
        let public = rsa::RsaPublicKey::from_public_key_pem(&public(name)).unwrap();
        let envelope = public.encrypt(&mut OsRng, Oaep::new::<Sha256>(), &key).unwrap();
        envelopes[recipient(name).fingerprint.to_string()] = json!(STANDARD.encode(envelope));
    }
    let manifest = json!({
        "content_hash": sha256(plain.as_bytes()),
        "chunk_size": 64,
        "chunk_hashes": hashes,
        "encryption_iv": STANDARD.encode(iv),
        "encrypted_aes_keys": envelopes,
        "content_type": "kept as it lay",
    });
    (manifest, chunks)
}

fn fernet(plain: &[u8], secret: &[u8]) -> String {
    let mut token = vec![0x80, 0, 0, 0, 0, 0, 0, 0, 1];
    let iv = [7; 16];
    token.extend(iv);
    let cipher = cbc::Encryptor::<aes::Aes128>::new_from_slices(&secret[16..32], &iv).unwrap();
    token.extend(cipher.encrypt_padded_vec_mut::<Pkcs7>(plain));
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret[..16]).unwrap();
    mac.update(&token);
    token.extend(mac.finalize().into_bytes());
    URL_SAFE.encode(token)
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hex(text: &str) -> String {
    sha256(text.as_bytes())
}

/// Every file below a folder by its path in it.
pub fn files(folder: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}
