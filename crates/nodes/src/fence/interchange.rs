//! Slashing protection as EIP-3076 exchanges it: read strictly, reduced to the highest that each validator signed, merged, written.
//!
//! The minimal form is what is kept and written: one block and one attestation for each validator. A client that imports it refuses everything
//! at or below these numbers, which is always safe. Merging takes the highest, so it never lowers, and the order does not matter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::mark::{Last, Mark, Signatures, Value};
use crate::profile::FenceKind;

/// The version that is read and written.
const FORMAT: &str = "5";
/// The largest document that is read, in bytes.
pub const LARGEST: u64 = 256 << 20;

/// The highest that each validator of one chain signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interchange {
    /// Genesis validators root: `0x` and 64 hexadecimal digits.
    pub chain: String,
    /// By public key: `0x` and 96 hexadecimal digits.
    pub validators: BTreeMap<String, Signatures>,
}

/// Why slashing protection cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unfit {
    /// No interchange document.
    #[error("not an EIP-3076 interchange document: {0}")]
    Format(String),
    /// A version that is not known.
    #[error("interchange format {0}: only {FORMAT} is known")]
    Version(String),
    /// Not hexadecimal, or not of its length.
    #[error("{what} `{text}` is not 0x and {digits} hexadecimal digits")]
    Hex {
        /// Which value.
        what: &'static str,
        /// What was there.
        text: String,
        /// How many digits it has.
        digits: usize,
    },
    /// Not a decimal number of 64 bits.
    #[error("{what} `{text}` is not a number")]
    Number {
        /// Which value.
        what: &'static str,
        /// What was there.
        text: String,
    },
    /// A vote that no client makes.
    #[error("validator {validator}: an attestation from epoch {from} to the earlier epoch {to}")]
    Backwards {
        /// Public key.
        validator: String,
        /// Source epoch.
        from: u64,
        /// Target epoch.
        to: u64,
    },
    /// Two documents of different chains.
    #[error("slashing protection of two chains, {one} and {other}: they cannot be merged")]
    Chains {
        /// Genesis validators root.
        one: String,
        /// The other's.
        other: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    metadata: Metadata,
    data: Vec<Validator>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    interchange_format_version: String,
    genesis_validators_root: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Validator {
    pubkey: String,
    signed_blocks: Vec<Block>,
    signed_attestations: Vec<Attestation>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Block {
    slot: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signing_root: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attestation {
    source_epoch: String,
    target_epoch: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signing_root: Option<String>,
}

impl Interchange {
    /// Reads a document, minimal or complete.
    ///
    /// # Errors
    /// [`Unfit`] if anything in it is not as EIP-3076 says.
    pub fn read(bytes: &[u8]) -> Result<Self, Unfit> {
        let document: Document =
            serde_json::from_slice(bytes).map_err(|error| Unfit::Format(error.to_string()))?;
        let Metadata { interchange_format_version, genesis_validators_root } = document.metadata;
        if interchange_format_version != FORMAT {
            return Err(Unfit::Version(interchange_format_version));
        }
        let chain = hex("genesis_validators_root", &genesis_validators_root, 64)?;
        let mut validators = BTreeMap::new();
        for validator in document.data {
            let key = hex("pubkey", &validator.pubkey, 96)?;
            let signed = validator.reduce(&key, &chain)?;
            join(&mut validators, key, &signed);
        }
        Ok(Self { chain, validators })
    }

    /// The highest of both.
    ///
    /// # Errors
    /// [`Unfit::Chains`].
    pub fn merge(&self, other: &Self) -> Result<Self, Unfit> {
        if self.chain != other.chain {
            let (one, other) = (self.chain.clone(), other.chain.clone());
            return Err(Unfit::Chains { one, other });
        }
        let mut merged = self.clone();
        for (key, signed) in &other.validators {
            join(&mut merged.validators, key.clone(), signed);
        }
        Ok(merged)
    }

    /// The document in its minimal form.
    pub fn write(&self) -> Vec<u8> {
        let data = self.validators.iter().map(|(key, signed)| Validator::minimal(key, signed));
        let metadata = Metadata {
            interchange_format_version: FORMAT.to_owned(),
            genesis_validators_root: self.chain.clone(),
        };
        let document = Document { metadata, data: data.collect() };
        // Text, lists and nothing else: this cannot fail, and an empty document would be refused by every client.
        serde_json::to_vec_pretty(&document).unwrap_or_default()
    }

    /// A mark for each validator.
    pub fn marks(&self, rule: &str, kind: FenceKind) -> Vec<Mark> {
        let mark = |(key, signed): (&String, &Signatures)| Mark {
            rule: rule.to_owned(),
            kind,
            key: key.clone(),
            value: Value::Slashing(signed.clone()),
        };
        self.validators.iter().map(mark).collect()
    }

    /// From marks. `None` if there are none of slashing protection.
    ///
    /// # Errors
    /// [`Unfit::Chains`] if they are of several chains.
    pub fn of_marks(marks: &[Mark]) -> Result<Option<Self>, Unfit> {
        let mut all: Option<Self> = None;
        for mark in marks {
            let Value::Slashing(signed) = &mark.value else { continue };
            let validators = BTreeMap::from([(mark.key.clone(), signed.clone())]);
            let one = Self { chain: signed.chain.clone(), validators };
            all = Some(all.map_or(Ok(one.clone()), |all| all.merge(&one))?);
        }
        Ok(all)
    }
}

impl Validator {
    fn reduce(&self, key: &str, chain: &str) -> Result<Signatures, Unfit> {
        let mut signed = Signatures { chain: chain.to_owned(), ..Signatures::default() };
        for block in &self.signed_blocks {
            let slot = last(number("slot", &block.slot)?, block.signing_root.as_deref())?;
            signed.slot = Last::join(signed.slot.as_ref(), Some(&slot));
        }
        for vote in &self.signed_attestations {
            let from = number("source_epoch", &vote.source_epoch)?;
            let to = number("target_epoch", &vote.target_epoch)?;
            if from > to {
                return Err(Unfit::Backwards { validator: key.to_owned(), from, to });
            }
            let target = last(to, vote.signing_root.as_deref())?;
            signed.source = signed.source.max(Some(from));
            signed.target = Last::join(signed.target.as_ref(), Some(&target));
        }
        Ok(signed)
    }

    fn minimal(key: &str, signed: &Signatures) -> Self {
        let block =
            |slot: &Last| Block { slot: slot.at.to_string(), signing_root: slot.root.clone() };
        let vote = |target: &Last| Attestation {
            source_epoch: signed.source.unwrap_or(0).to_string(),
            target_epoch: target.at.to_string(),
            signing_root: target.root.clone(),
        };
        Self {
            pubkey: key.to_owned(),
            signed_blocks: signed.slot.iter().map(block).collect(),
            signed_attestations: signed.target.iter().map(vote).collect(),
        }
    }
}

fn join(validators: &mut BTreeMap<String, Signatures>, key: String, signed: &Signatures) {
    let joined = validators.get(&key).map_or_else(|| signed.clone(), |known| known.join(signed));
    validators.insert(key, joined);
}

fn last(at: u64, root: Option<&str>) -> Result<Last, Unfit> {
    let root = root.map(|root| hex("signing_root", root, 64)).transpose()?;
    Ok(Last { at, root })
}

fn number(what: &'static str, text: &str) -> Result<u64, Unfit> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_plain);
    number.ok_or_else(|| Unfit::Number { what, text: shorten(text) })
}

/// Lower case, with its `0x`.
fn hex(what: &'static str, text: &str, digits: usize) -> Result<String, Unfit> {
    let rest = text.strip_prefix("0x").filter(|rest| rest.len() == digits);
    match rest.filter(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        Some(rest) => Ok(format!("0x{}", rest.to_ascii_lowercase())),
        None => Err(Unfit::Hex { what, text: shorten(text), digits }),
    }
}

/// What was there, at a length that fits into a message.
fn shorten(text: &str) -> String {
    text.chars().take(120).collect()
}
