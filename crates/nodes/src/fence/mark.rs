//! Marks: how far state that must never run backwards had come at one moment.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::manifest::Machine;
use crate::profile::FenceKind;

/// Version of a reading's JSON. Readers refuse a higher one.
pub const VERSION: u32 = 1;

/// A moment: RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct At(Timestamp);

impl At {
    /// Whole seconds from an earlier moment to this one; 0 if that is later.
    pub fn secs_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.as_second() - earlier.0.as_second()).unwrap_or(0)
    }
}

impl From<Timestamp> for At {
    fn from(time: Timestamp) -> Self {
        Self(time)
    }
}

impl TryFrom<String> for At {
    type Error = jiff::Error;

    fn try_from(text: String) -> Result<Self, jiff::Error> {
        text.parse().map(Self)
    }
}

impl From<At> for String {
    fn from(at: At) -> Self {
        at.0.to_string()
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}", self.0)
    }
}

/// A SHA-256: 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// That of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// That of what went into a hasher.
    pub fn finish(hasher: Sha256) -> Self {
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digit =
            |at: usize| text.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
        let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bytes: Option<Vec<u8>> = (0..32).map(|byte| digit(byte * 2)).collect();
        let bytes = bytes.filter(|_| is_hex).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| format!("`{text}` is not 64 hexadecimal digits"))
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// One thing that must not run backwards, and how far it had come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The fence rule of the profile.
    pub rule: String,
    /// What kind of state it is.
    pub kind: FenceKind,
    /// Which one of several: a key, an account, a validator's public key. Empty where there is only one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// How far.
    pub value: Value,
}

/// How far something had come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// A number that only grows.
    Number(u64),
    /// No number: what was there. Older and newer are told apart by when each was recorded.
    Content(Content),
    /// What a validator signed last.
    Signed(Signed),
    /// What one validator of a beacon chain signed.
    Slashing(Signatures),
}

/// Content that has no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Of the names and bytes of the files, sorted by name.
    pub digest: Digest,
    /// How many files; 0: there is nothing that could be used again.
    pub files: u64,
}

/// Height, round and step that a validator signed last, compared in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Signed {
    /// Of the block.
    pub height: u64,
    /// Within the height.
    pub round: u64,
    /// Within the round: 1 propose, 2 prevote, 3 precommit.
    pub step: u64,
}

/// The highest that one validator signed, as a minimal interchange document of EIP-3076 says it. `None` is below every number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signatures {
    /// The chain: its genesis validators root.
    pub chain: String,
    /// Source epoch of attestations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<u64>,
    /// Target epoch of attestations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Last>,
    /// Slot of proposed blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Last>,
}

/// The last thing that was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// Epoch or slot.
    pub at: u64,
    /// Its signing root, if one is known and only one: the same message may be signed again, no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
}

impl Last {
    /// The higher of two. At one number, roots that differ allow nothing: none is kept.
    pub fn join(one: Option<&Self>, other: Option<&Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) if one.at == other.at => {
                let root = one.root.clone().filter(|_| one.root == other.root);
                Some(Self { at: one.at, root })
            }
            (Some(one), Some(other)) => Some(if one.at > other.at { one } else { other }.clone()),
            (one, other) => one.or(other).cloned(),
        }
    }
}

impl Signatures {
    /// The highest of both: never below either. Both are of one chain.
    pub fn join(&self, other: &Self) -> Self {
        Self {
            chain: self.chain.clone(),
            source: self.source.max(other.source),
            target: Last::join(self.target.as_ref(), other.target.as_ref()),
            slot: Last::join(self.slot.as_ref(), other.slot.as_ref()),
        }
    }
}

impl Value {
    /// The highest of both, if they can be compared at all. Of contents the other is taken to be the newer one.
    pub fn join(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => Some(Self::Number(*one.max(other))),
            (Self::Signed(one), Self::Signed(other)) => Some(Self::Signed(*one.max(other))),
            (Self::Slashing(one), Self::Slashing(other)) => Some(Self::Slashing(one.join(other))),
            (Self::Content(_), Self::Content(newer)) => Some(Self::Content(*newer)),
            _ => None,
        }
    }

    /// Its numbers by name, in the order in which they are compared; none for content.
    pub fn numbers(&self) -> Vec<(Field, Option<u64>)> {
        let last = |last: &Option<Last>| last.as_ref().map(|last| last.at);
        match self {
            Self::Number(number) => vec![(Field::Count, Some(*number))],
            Self::Content(_) => Vec::new(),
            Self::Signed(Signed { height, round, step }) => vec![
                (Field::Height, Some(*height)),
                (Field::Round, Some(*round)),
                (Field::Step, Some(*step)),
            ],
            Self::Slashing(signed) => vec![
                (Field::Source, signed.source),
                (Field::Target, last(&signed.target)),
                (Field::Slot, last(&signed.slot)),
            ],
        }
    }

    /// One of its numbers.
    pub fn number(&self, field: Field) -> Option<u64> {
        let numbers = self.numbers();
        numbers.iter().find(|(name, _)| *name == field).and_then(|(_, number)| *number)
    }
}

/// What a number of a mark counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// The mark is one number.
    Count,
    /// Of a block.
    Height,
    /// Within a height.
    Round,
    /// Within a round.
    Step,
    /// Source epoch.
    Source,
    /// Target epoch.
    Target,
    /// Block slot.
    Slot,
}

impl Field {
    /// As people say it; empty for the only number of a mark.
    pub fn word(self) -> &'static str {
        match self {
            Self::Count => "",
            Self::Height => "height",
            Self::Round => "round",
            Self::Step => "step",
            Self::Source => "source epoch",
            Self::Target => "target epoch",
            Self::Slot => "block slot",
        }
    }
}

/// What a mark is of: two marks of one place can be compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The fence rule.
    pub rule: String,
    /// Which one of several.
    pub key: String,
    /// For slashing protection: the chain.
    pub chain: String,
}

impl Mark {
    /// What it is of.
    pub fn place(&self) -> Place {
        let chain = match &self.value {
            Value::Slashing(signed) => signed.chain.clone(),
            Value::Number(_) | Value::Content(_) | Value::Signed(_) => String::new(),
        };
        Place { rule: self.rule.clone(), key: self.key.clone(), chain }
    }
}

/// Why marks were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// During a backup.
    Backup,
    /// During a look at the node's health.
    Health,
    /// After a restore was put in place.
    Restore,
    /// A person asked for it.
    Manual,
}

/// What was read of a node at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// [`VERSION`].
    pub version: u32,
    /// When.
    pub at: At,
    /// On which machine.
    pub machine: Machine,
    /// Why.
    pub origin: Origin,
    /// What was read. Rules that could not be read have no mark here.
    pub marks: Vec<Mark>,
}

impl Reading {
    /// The rules that it has marks of.
    pub fn rules(&self) -> BTreeSet<&str> {
        self.marks.iter().map(|mark| mark.rule.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(at: u64, root: Option<&str>) -> Option<Last> {
        Some(Last { at, root: root.map(str::to_owned) })
    }

    #[test]
    fn roots_stay_only_while_they_are_alone() {
        let cases = [
            (last(5, Some("a")), last(5, Some("a")), last(5, Some("a"))),
            (last(5, Some("a")), last(5, Some("b")), last(5, None)),
            (last(5, Some("a")), last(5, None), last(5, None)),
            (last(5, Some("a")), last(4, None), last(5, Some("a"))),
            (None, last(4, Some("a")), last(4, Some("a"))),
            (None, None, None),
        ];
        for (one, other, both) in cases {
            assert_eq!(Last::join(one.as_ref(), other.as_ref()), both);
            assert_eq!(Last::join(other.as_ref(), one.as_ref()), both);
        }
    }

    #[test]
    fn marks_are_plain_json() {
        let mark = Mark {
            rule: "sessions".to_owned(),
            kind: FenceKind::Ratchet,
            key: String::new(),
            value: Value::Content(Content { digest: Digest::of(b""), files: 0 }),
        };
        let json = serde_json::to_string(&mark).unwrap();
        assert_eq!(
            json,
            r#"{"rule":"sessions","kind":"ratchet","value":{"content":{"digest":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","files":0}}}"#
        );
        assert_eq!(serde_json::from_str::<Mark>(&json).unwrap(), mark);
    }

    #[test]
    fn digests_are_64_digits() {
        for bad in ["", "é", &"g".repeat(64), &"+1".repeat(32), &"é".repeat(32)] {
            assert!(Digest::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
