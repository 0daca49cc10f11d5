//! Content manifests: what chunks a content has and for whom its key is enveloped. They come from peers, so everything in them is bounded
//! and checked before it is used; what is unknown in one is kept as it lay.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::digest::Digest;
use super::error::{Error, Result};
use super::key::Fingerprint;

/// The longest text of a manifest, in bytes.
pub const MOST_BYTES: usize = 32 << 20;
/// The most chunks of one content: 64 GiB in the usual size.
const MOST_CHUNKS: usize = 1 << 18;
/// The largest chunk, in bytes. Axon's have 256 KiB.
const LARGEST_CHUNK: u64 = 16 << 20;
/// The most envelopes.
const MOST_ENVELOPES: usize = 1 << 14;
/// The longest envelope in base64: RSA with 8192 bits.
const LONGEST_ENVELOPE: usize = 1368;
/// The field with the envelopes.
const ENVELOPES: &str = "encrypted_aes_keys";

/// What describes a content.
#[derive(Debug, Clone, PartialEq)]
pub struct ContentManifest {
    /// Of the plaintext; names the folder of chunks.
    pub content_hash: Digest,
    /// Of every chunk but the last, in bytes.
    pub chunk_size: u64,
    /// Of the ciphertext, in order.
    pub chunk_hashes: Vec<Digest>,
    /// For the whole stream.
    pub iv: [u8; 16],
    /// As it lay; envelopes are kept in here alone.
    raw: Map<String, Value>,
}

impl ContentManifest {
    /// From the text of a JSON field; `None` if it holds no manifest: `null` or `{}`.
    ///
    /// # Errors
    /// [`Error::Manifest`] names `holder`.
    pub fn from_text(text: &str, holder: &str) -> Result<Option<Self>> {
        let bad = |reason: String| Error::Manifest { holder: holder.to_owned(), reason };
        if text.len() > MOST_BYTES {
            return Err(bad(format!("it is longer than {MOST_BYTES} bytes")));
        }
        let value =
            serde_json::from_str(text).map_err(|error| bad(format!("it is no JSON: {error}")))?;
        Self::from_json(value, holder)
    }

    /// From JSON; `None` if it holds no manifest: `null` or `{}`.
    ///
    /// # Errors
    /// [`Error::Manifest`] names `holder`.
    pub fn from_json(value: Value, holder: &str) -> Result<Option<Self>> {
        let bad = |reason: String| Error::Manifest { holder: holder.to_owned(), reason };
        match value {
            Value::Null => Ok(None),
            Value::Object(raw) if raw.is_empty() => Ok(None),
            Value::Object(raw) => Self::from_map(raw).map(Some).map_err(bad),
            _ => Err(bad("it is no JSON object".to_owned())),
        }
    }

    fn from_map(raw: Map<String, Value>) -> Result<Self, String> {
        check_envelopes(&raw)?;
        let content_hash = text(&raw, "content_hash")?;
        let content_hash = Digest::parse(content_hash)
            .ok_or("`content_hash` is not 64 lower-case hexadecimal digits")?;
        let chunk_size = raw.get("chunk_size").and_then(Value::as_u64);
        let chunk_size = chunk_size.filter(|size| (1..=LARGEST_CHUNK).contains(size));
        let chunk_size =
            chunk_size.ok_or_else(|| format!("`chunk_size` is not from 1 to {LARGEST_CHUNK}"))?;
        let iv = STANDARD.decode(text(&raw, "encryption_iv")?).ok();
        let iv = iv.and_then(|iv| iv.try_into().ok());
        let iv = iv.ok_or("`encryption_iv` is not 16 bytes in base64")?;
        let chunk_hashes = chunk_hashes(&raw)?;
        Ok(Self { content_hash, chunk_size, chunk_hashes, iv, raw })
    }

    /// As JSON, with everything that it came with.
    pub fn to_json(&self) -> Value {
        Value::Object(self.raw.clone())
    }

    /// For whom it has envelopes.
    pub fn recipients(&self) -> impl Iterator<Item = Fingerprint> {
        self.envelopes().keys().filter_map(|name| Fingerprint::parse(name))
    }

    /// Whether it has an envelope for somebody.
    pub fn is_for(&self, fingerprint: Fingerprint) -> bool {
        self.envelopes().contains_key(&fingerprint.to_string())
    }

    /// Somebody's envelope.
    pub(super) fn envelope(&self, fingerprint: Fingerprint) -> Option<Vec<u8>> {
        let text = self.envelopes().get(&fingerprint.to_string())?.as_str()?;
        STANDARD.decode(text).ok()
    }

    /// Adds an envelope, or puts it in place of another for the same.
    pub(super) fn add_envelope(&mut self, fingerprint: Fingerprint, envelope: &[u8]) {
        let envelopes = self.raw.entry(ENVELOPES).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(envelopes) = envelopes {
            envelopes.insert(fingerprint.to_string(), Value::String(STANDARD.encode(envelope)));
        }
    }

    /// Drops every envelope that is not for one of these; says how many.
    pub(super) fn keep_envelopes(&mut self, keep: &[Fingerprint]) -> usize {
        let Some(Value::Object(envelopes)) = self.raw.get_mut(ENVELOPES) else { return 0 };
        let before = envelopes.len();
        envelopes
            .retain(|name, _| Fingerprint::parse(name).is_some_and(|name| keep.contains(&name)));
        before - envelopes.len()
    }

    fn envelopes(&self) -> &Map<String, Value> {
        static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
        self.raw.get(ENVELOPES).and_then(Value::as_object).unwrap_or(&NONE)
    }
}

fn text<'a>(raw: &'a Map<String, Value>, field: &str) -> Result<&'a str, String> {
    raw.get(field).and_then(Value::as_str).ok_or_else(|| format!("`{field}` is missing or no text"))
}

fn chunk_hashes(raw: &Map<String, Value>) -> Result<Vec<Digest>, String> {
    let hashes = raw.get("chunk_hashes").and_then(Value::as_array);
    let hashes = hashes.ok_or("`chunk_hashes` is missing or no list")?;
    if hashes.is_empty() || hashes.len() > MOST_CHUNKS {
        return Err(format!("it has {} chunks, not 1 to {MOST_CHUNKS}", hashes.len()));
    }
    let digests = hashes.iter().map(|hash| hash.as_str().and_then(Digest::parse)).enumerate();
    let digest = |(index, digest): (usize, Option<Digest>)| {
        digest
            .ok_or_else(|| format!("hash of chunk {index} is not 64 lower-case hexadecimal digits"))
    };
    digests.map(digest).collect()
}

fn check_envelopes(raw: &Map<String, Value>) -> Result<(), String> {
    let envelopes = raw.get(ENVELOPES).and_then(Value::as_object);
    let envelopes = envelopes.ok_or_else(|| format!("`{ENVELOPES}` is missing or no object"))?;
    if envelopes.len() > MOST_ENVELOPES {
        return Err(format!("it has {} envelopes, more than {MOST_ENVELOPES}", envelopes.len()));
    }
    let is_sound = |name: &str, envelope: &Value| {
        let envelope = envelope.as_str().filter(|text| text.len() <= LONGEST_ENVELOPE);
        Fingerprint::parse(name).is_some()
            && envelope.is_some_and(|text| STANDARD.decode(text).is_ok())
    };
    match envelopes.iter().find(|(name, envelope)| !is_sound(name, envelope)) {
        // The name comes from a peer: only so much of it goes into a message.
        Some((name, _)) => Err(format!(
            "the envelope `{}` is none",
            name.chars().take(32).collect::<String>().escape_debug()
        )),
        None => Ok(()),
    }
}
