//! What a look at a node's state gave, rule by rule. A state that cannot be read is said to be so: it is never a zero.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::mark::{At, Mark, Origin, Reading, VERSION};
use crate::manifest::Machine;

/// What was seen for one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// Its marks; none if the state is there and empty.
    Read(Vec<Mark>),
    /// Nothing lies there: what, in words.
    Absent(String),
    /// Something lies there that cannot be read: why.
    Unreadable(String),
}

/// What was seen for each rule, by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Look(pub BTreeMap<String, Seen>);

impl Look {
    /// What was seen for a rule.
    pub fn of(&self, rule: &str) -> Option<&Seen> {
        self.0.get(rule)
    }

    /// Every mark that was read.
    pub fn marks(&self) -> Vec<Mark> {
        let marks = |seen: &Seen| match seen {
            Seen::Read(marks) => marks.clone(),
            Seen::Absent(_) | Seen::Unreadable(_) => Vec::new(),
        };
        self.0.values().flat_map(marks).collect()
    }

    /// Rules whose state lies there and cannot be read, and why.
    pub fn unreadable(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(rule, seen)| match seen {
            Seen::Unreadable(reason) => Some((rule.as_str(), reason.as_str())),
            Seen::Read(_) | Seen::Absent(_) => None,
        })
    }

    /// For the journal and the manifest.
    pub fn reading(&self, at: At, machine: Machine, origin: Origin) -> Reading {
        Reading { version: VERSION, at, machine, origin, marks: self.marks() }
    }
}
