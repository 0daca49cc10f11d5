//! How far a node's state has come, in its own terms: "412 blocks", "tip 0x3f…".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::counting::of_plural;

/// Counters and labels of a component, by name. A counter's name is the plural that follows the number: `blocks`, `votes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// What can be counted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counters: BTreeMap<String, u64>,
    /// What can only be named: a tip's hash, a term.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Position {
    /// Nothing is known.
    pub fn is_empty(&self) -> bool {
        self.counters.is_empty() && self.labels.is_empty()
    }

    /// Adds a counter; two of one name add up.
    pub fn count(&mut self, name: &str, number: u64) {
        let counter = self.counters.entry(name.to_owned()).or_default();
        *counter = counter.saturating_add(number);
    }

    /// Names something.
    pub fn label(&mut self, name: &str, text: impl Into<String>) {
        self.labels.insert(name.to_owned(), text.into());
    }

    /// Takes over another's counters and labels.
    pub fn join(&mut self, other: &Self) {
        for (name, number) in &other.counters {
            self.count(name, *number);
        }
        self.labels.extend(other.labels.iter().map(|(name, text)| (name.clone(), text.clone())));
    }

    /// "412 blocks, 3 votes, tip 3fa9…"; empty if nothing is known.
    pub fn text(&self) -> String {
        let counters = self.counters.iter().map(|(name, number)| of_plural(*number, name));
        let labels = self.labels.iter().map(|(name, text)| format!("{name} {text}"));
        counters.chain(labels).collect::<Vec<_>>().join(", ")
    }

    /// The same; `None` if nothing is known.
    pub fn told(&self) -> Option<String> {
        Some(self.text()).filter(|text| !text.is_empty())
    }

    /// Counters that differ, from this to a later one: name, before, after.
    pub fn steps<'a>(&'a self, later: &'a Self) -> Vec<(&'a str, u64, u64)> {
        let names: std::collections::BTreeSet<&String> =
            self.counters.keys().chain(later.counters.keys()).collect();
        let number = |position: &Self, name: &String| position.counters.get(name).copied();
        let step = |name: &'a String| {
            let before = number(self, name).unwrap_or(0);
            let after = number(later, name).unwrap_or(0);
            (before != after).then_some((name.as_str(), before, after))
        };
        names.into_iter().filter_map(step).collect()
    }
}

/// A step in words: "412 more blocks".
pub fn step_text(name: &str, from: u64, to: u64) -> String {
    let told = of_plural(to.abs_diff(from), name);
    let (number, name) = told.split_once(' ').unwrap_or((&told, ""));
    format!("{number} {} {name}", if to < from { "fewer" } else { "more" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(counters: &[(&str, u64)]) -> Position {
        let mut position = Position::default();
        for (name, number) in counters {
            position.count(name, *number);
        }
        position
    }

    #[test]
    fn steps_name_what_moved() {
        let before = position(&[("blocks", 400), ("votes", 3), ("users", 7)]);
        let after = position(&[("blocks", 812), ("users", 7), ("invites", 2)]);
        assert_eq!(
            before.steps(&after),
            [("blocks", 400, 812), ("invites", 0, 2), ("votes", 3, 0)]
        );
    }

    #[test]
    fn it_is_told_in_the_terms_of_the_node() {
        let mut here = position(&[("blocks", 12_000), ("votes", 1)]);
        here.label("tip", "3fa9");
        assert_eq!(here.text(), "12,000 blocks, 1 vote, tip 3fa9");
        assert_eq!(step_text("blocks", 400, 812), "412 more blocks");
        assert_eq!(step_text("votes", 3, 2), "1 fewer vote");
    }

    #[test]
    fn joined_counters_add_up() {
        let mut both = position(&[("blobs", 5)]);
        both.join(&position(&[("blobs", 7), ("trees", 1)]));
        assert_eq!(both, position(&[("blobs", 12), ("trees", 1)]));
    }
}
