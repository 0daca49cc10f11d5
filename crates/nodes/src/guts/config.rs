//! `config.yaml`, as far as a backup must understand it. The node reads it in a way that surprises: a section that lacks one key makes the whole
//! file void, and the node goes on with its defaults and `./data`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_norway::Value;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// The largest configuration that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// Every key that the node demands of a section once the section is there.
const DEMANDED: [(&str, &[&str]); 7] = [
    (
        "api",
        &[
            "addr",
            "request_timeout_secs",
            "max_body_size",
            "max_connections",
            "cors_enabled",
            "cors_origins",
        ],
    ),
    (
        "p2p",
        &[
            "enabled",
            "addr",
            "allowed_peers",
            "bootstrappers",
            "message_backlog",
            "mailbox_size",
            "timeout_secs",
        ],
    ),
    (
        "consensus",
        &[
            "enabled",
            "use_simplex_bft",
            "block_time_ms",
            "max_txs_per_block",
            "max_block_size",
            "mempool_max_txs",
            "mempool_ttl_secs",
            "view_timeout_multiplier",
        ],
    ),
    ("metrics", &["enabled", "addr"]),
    ("logging", &["level", "format"]),
    ("storage", &["data_dir", "persistent"]),
    ("resilience", &[]),
];

/// What `config.yaml` says.
#[derive(Default)]
pub struct Config {
    /// `storage.data_dir`, as written: it may be relative to the node's working folder.
    pub data_dir: Option<PathBuf>,
    /// `api.addr`.
    pub api: Option<String>,
    /// Whether the node takes part in Simplex consensus.
    pub is_validator: bool,
    /// `p2p.private_key`.
    pub key: Option<Zeroizing<String>>,
    /// Keys without which the node ignores the whole file: `api.request_timeout_secs`.
    pub lacks: Vec<String>,
}

/// Reads a configuration.
///
/// # Errors
/// If it cannot be read, or is no YAML. What it holds is not in the message.
pub fn read(path: &Path) -> Result<Config> {
    let size = fs::metadata(path).map_err(Error::file(path, "cannot be read"))?.len();
    if size > LARGEST {
        let reason = format!("{size} bytes are too many for a configuration");
        return Err(Error::Unsupported { path: path.to_owned(), reason });
    }
    let text =
        Zeroizing::new(fs::read_to_string(path).map_err(Error::file(path, "cannot be read"))?);
    parse(&text).map_err(|reason| Error::Damaged { path: path.to_owned(), reason })
}

fn parse(text: &str) -> Result<Config, String> {
    let root: Value = serde_norway::from_str(text).map_err(|error| match error.location() {
        Some(at) => format!(
            "no YAML: line {}, column {}; the node ignores it and writes to ./data",
            at.line(),
            at.column()
        ),
        None => "no YAML; the node ignores it and writes to ./data".to_owned(),
    })?;
    let text_of = |section: &str, key: &str| Some(value(&root, section, key)?.as_str()?.to_owned());
    let is_set = |section: &str, key: &str| {
        value(&root, section, key).and_then(Value::as_bool) == Some(true)
    };
    Ok(Config {
        data_dir: text_of("storage", "data_dir").map(PathBuf::from),
        api: text_of("api", "addr"),
        is_validator: is_set("consensus", "enabled") && is_set("consensus", "use_simplex_bft"),
        key: text_of("p2p", "private_key").map(Zeroizing::new),
        lacks: lacks(&root),
    })
}

fn value<'a>(root: &'a Value, section: &str, key: &str) -> Option<&'a Value> {
    root.get(section)?.get(key)
}

fn lacks(root: &Value) -> Vec<String> {
    let present = DEMANDED.iter().filter(|(section, _)| root.get(section).is_some());
    let missing = present.flat_map(|(section, keys)| {
        keys.iter()
            .filter(|key| value(root, section, key).is_none())
            .map(move |key| format!("{section}.{key}"))
    });
    missing.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guides_own_configuration_is_void_and_said_so() {
        let guide = "api:\n  addr: \"0.0.0.0:8080\"\np2p:\n  addr: \"0.0.0.0:9000\"\n  bootstrap_nodes: []\nstorage:\n  data_dir: \"/var/lib/guts\"\n";
        let config = parse(guide).unwrap();
        assert_eq!(config.data_dir.as_deref(), Some(Path::new("/var/lib/guts")));
        assert_eq!(config.api.as_deref(), Some("0.0.0.0:8080"));
        assert!(config.lacks.contains(&"api.request_timeout_secs".to_owned()));
        assert!(config.lacks.contains(&"storage.persistent".to_owned()));
        assert!(config.key.is_none() && !config.is_validator);
    }

    #[test]
    fn a_key_in_the_configuration_is_found() {
        let text =
            "p2p: {private_key: \"0xab\"}\nconsensus: {enabled: true, use_simplex_bft: true}\n";
        let config = parse(text).unwrap();
        assert_eq!(config.key.as_deref().map(String::as_str), Some("0xab"));
        assert!(config.is_validator);
    }

    #[test]
    fn nothing_of_a_broken_file_is_repeated() {
        let reason = parse("p2p:\n  private_key: \"c0ffee\n  x: [").err().unwrap();
        assert!(reason.contains("line ") && !reason.contains("c0ffee"), "{reason}");
        assert!(parse("").unwrap().lacks.is_empty());
    }
}
