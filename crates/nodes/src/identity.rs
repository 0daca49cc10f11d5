//! Who a node is, told without its secrets: for `node identity`, and for knowing what a test instance must not get.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::guts;
use crate::node::{Located, Node};

/// The largest file that is read whole for its public part, in bytes.
const LARGEST: u64 = 4 << 20;
/// Keeps a fingerprint from being mistaken for the plain SHA-256 of a secret.
const DOMAIN: &[u8] = b"nodekeep identity 1\0";

/// What tells one node from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The component that holds it.
    pub component: String,
    /// Where it lies.
    pub path: PathBuf,
    /// What was found.
    pub found: Found,
}

/// What was found in a component that makes the node itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Its public part, and what that is called.
    Public {
        /// `validator key`, `peer id`.
        name: &'static str,
        /// As the node's network writes it.
        value: String,
    },
    /// The beginning of a hash over all that is in it: equal content, equal fingerprint.
    Fingerprint(String),
    /// It is not there.
    Absent,
}

/// Every identity of a node, in the order of its components.
///
/// # Errors
/// If one that is there cannot be read.
pub fn identities(node: &Node) -> Result<Vec<Identity>> {
    stripped(node)?.into_iter().map(|located| identity(node, &located)).collect()
}

/// The components that a test instance does not get.
///
/// # Errors
/// If a path has a placeholder without a value.
pub fn stripped(node: &Node) -> Result<Vec<Located<'_>>> {
    let located = node.components()?;
    Ok(located.into_iter().filter(|located| located.component.identity).collect())
}

fn identity(node: &Node, located: &Located<'_>) -> Result<Identity> {
    let path = &located.path;
    let found = if path.symlink_metadata().is_err() {
        Found::Absent
    } else {
        match public(&node.profile.name, &located.component.name, path)? {
            Some((name, value)) => Found::Public { name, value },
            None => Found::Fingerprint(fingerprint(path)?),
        }
    };
    Ok(Identity { component: located.component.name.clone(), path: path.clone(), found })
}

/// The public part, where this profile has one that can be told.
fn public(profile: &str, component: &str, path: &Path) -> Result<Option<(&'static str, String)>> {
    Ok(match (profile, component) {
        ("guts", "key") => small(path)?
            .and_then(|text| guts::key::public_key(guts::key::in_file(&text)?))
            .map(|key| ("validator key", key)),
        ("guts", "config") => guts::config::read(path)?
            .key
            .and_then(|key| guts::key::public_key(&key))
            .map(|key| ("validator key", key)),
        ("relay", "security") => json(&path.join("signal-keys.json"), "/serverIdentity/publicKey")?
            .map(|key| ("Signal identity key", key)),
        ("ipfs-kubo", "config") => json(path, "/Identity/PeerID")?.map(|id| ("peer id", id)),
        ("lighthouse-validator", "validators") => validators(path)?,
        _ => None,
    })
}

fn small(path: &Path) -> Result<Option<Zeroizing<String>>> {
    let unreadable = || Error::file(path, "cannot be read");
    match fs::metadata(path) {
        Ok(status) if status.is_file() && status.len() <= LARGEST => {
            let bytes = Zeroizing::new(fs::read(path).map_err(unreadable())?);
            Ok(std::str::from_utf8(&bytes).ok().map(|text| Zeroizing::new(text.to_owned())))
        }
        Ok(_) => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable()(error)),
    }
}

fn json(path: &Path, pointer: &str) -> Result<Option<String>> {
    let text = small(path)?;
    let value: Option<Value> = text.and_then(|text| serde_json::from_str(&text).ok());
    Ok(value.and_then(|value| Some(value.pointer(pointer)?.as_str()?.to_owned())))
}

/// Folders are named by public keys: one is shown, several are counted.
fn validators(folder: &Path) -> Result<Option<(&'static str, String)>> {
    let listed = || Error::file(folder, "cannot be listed");
    let mut keys = Vec::new();
    for entry in fs::read_dir(folder).map_err(listed())? {
        let name = entry.map_err(listed())?.file_name().to_string_lossy().into_owned();
        keys.extend(Some(name).filter(|name| name.starts_with("0x") && name.len() == 98));
    }
    keys.sort();
    Ok(match &keys[..] {
        [] => None,
        [key] => Some(("validator", key.clone())),
        [first, ..] => Some(("validators", format!("{} keys, the first is {first}", keys.len()))),
    })
}

/// Thirty-two hexadecimal digits over names and content.
fn fingerprint(path: &Path) -> Result<String> {
    let mut hash = Sha256::new_with_prefix(DOMAIN);
    add(path, &mut hash)?;
    Ok(hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect())
}

fn add(path: &Path, hash: &mut Sha256) -> Result<()> {
    let unreadable = || Error::file(path, "cannot be read");
    let status = path.symlink_metadata().map_err(unreadable())?;
    if status.is_dir() {
        let mut names = Vec::new();
        for entry in fs::read_dir(path).map_err(unreadable())? {
            names.push(entry.map_err(unreadable())?.path());
        }
        names.sort();
        hash.update((names.len() as u64).to_le_bytes());
        for name in names {
            let text = name.file_name().unwrap_or_default().as_encoded_bytes().to_vec();
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
            add(&name, hash)?;
        }
    } else if status.is_file() {
        let mut content = Sha256::new();
        std::io::copy(&mut fs::File::open(path).map_err(unreadable())?, &mut content)
            .map_err(unreadable())?;
        hash.update(content.finalize());
    }
    Ok(())
}
