//! What is known of a node's marks: the highest of everything that was recorded, when, and how fast it grew.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::mark::{At, Content, Digest, Field, Mark, Place, Reading, Value};
use crate::manifest::Machine;

/// Growth is taken over at least this long, in seconds: a burst between two records seconds apart is no rate.
const RATE_WINDOW_SECS: u64 = 3600;

/// The highest marks, by what they are of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    records: BTreeMap<Place, Record>,
}

/// What is known of one mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The highest, or for content the last.
    pub highest: Value,
    /// When this was last read.
    pub at: At,
    /// Where that was.
    pub machine: Machine,
    /// Every value that was read, in the order of time.
    samples: Vec<(At, Value)>,
}

/// How fast a number grew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// By how many.
    pub growth: u64,
    /// In how many seconds: at least 1.
    pub secs: u64,
}

impl Rate {
    /// How far it grows in a time, rounded up.
    pub fn over(self, secs: u64) -> u64 {
        let grown =
            (u128::from(self.growth) * u128::from(secs)).div_ceil(u128::from(self.secs.max(1)));
        u64::try_from(grown).unwrap_or(u64::MAX)
    }

    fn is_above(self, other: Self) -> bool {
        u128::from(self.growth) * u128::from(other.secs)
            > u128::from(other.growth) * u128::from(self.secs)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.growth, span(self.secs))
    }
}

/// A time in words: its two largest units.
pub fn span(secs: u64) -> String {
    let of = |large: u64, name: &str, small: u64, rest: &str| match secs % large / small {
        0 => format!("{} {name}", secs / large),
        some => format!("{} {name} {some} {rest}", secs / large),
    };
    match secs {
        0..60 => format!("{secs} s"),
        60..3600 => of(60, "min", 1, "s"),
        3600..86_400 => of(3600, "h", 60, "min"),
        _ => of(86_400, "d", 3600, "h"),
    }
}

/// Where content stands in the order in which it was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Generation {
    /// Counted from 1: one more whenever other content was recorded.
    pub number: u64,
    /// When it was recorded last.
    pub at: At,
}

impl Known {
    /// Folds readings in any order; the same reading twice is one.
    pub fn of<'a>(readings: impl IntoIterator<Item = &'a Reading>) -> Self {
        let mut sorted: Vec<&Reading> = readings.into_iter().collect();
        // Equal moments of two machines are put in an order that does not depend on who is asked.
        sorted.sort_by(|one, other| (one.at, &one.machine.id).cmp(&(other.at, &other.machine.id)));
        let mut known = Self::default();
        for reading in sorted {
            for mark in &reading.marks {
                known.learn(mark, reading.at, &reading.machine);
            }
        }
        known
    }

    /// What is known of one place.
    pub fn record(&self, place: &Place) -> Option<&Record> {
        self.records.get(place)
    }

    /// Everything that is known, by place.
    pub fn all(&self) -> impl Iterator<Item = (&Place, &Record)> {
        self.records.iter()
    }

    /// Everything that is known of a rule.
    pub fn of_rule<'a>(&'a self, rule: &'a str) -> impl Iterator<Item = (&'a Place, &'a Record)> {
        self.records.iter().filter(move |(place, _)| place.rule == rule)
    }

    /// When a rule was last recorded.
    pub fn last_of_rule(&self, rule: &str) -> Option<&Record> {
        let own = self.records.iter().filter(|(place, _)| place.rule == rule);
        own.map(|(_, record)| record).max_by_key(|record| record.at)
    }

    fn learn(&mut self, mark: &Mark, at: At, machine: &Machine) {
        let fresh = || Record {
            highest: mark.value.clone(),
            at,
            machine: machine.clone(),
            samples: Vec::new(),
        };
        let record = self.records.entry(mark.place()).or_insert_with(fresh);
        // What cannot be compared is of a rule that was changed: what came later counts.
        record.highest = record.highest.join(&mark.value).unwrap_or_else(|| mark.value.clone());
        // A lower value is of a state that began anew: it says nothing about how far the highest went on.
        if record.highest.numbers() == mark.value.numbers() {
            record.at = at;
            record.machine = machine.clone();
        }
        record.samples.push((at, mark.value.clone()));
    }
}

impl Record {
    /// The fastest growth of a number over any hour or longer between two records; over the whole record if that is shorter. `None` with
    /// fewer than two records, or all of one moment.
    pub fn rate(&self, field: Field) -> Option<Rate> {
        let number = |(at, value): &(At, Value)| value.number(field).map(|number| (*at, number));
        let points: Vec<(At, u64)> = self.samples.iter().filter_map(number).collect();
        let mut fastest = between(points.first()?, points.last()?)?;
        let mut from = 0;
        for (at, to) in points.iter().enumerate() {
            while from + 1 < at && to.0.secs_since(points[from + 1].0) >= RATE_WINDOW_SECS {
                from += 1;
            }
            let rate = between(&points[from], to).filter(|rate| rate.secs >= RATE_WINDOW_SECS);
            fastest = rate.filter(|rate| rate.is_above(fastest)).unwrap_or(fastest);
        }
        Some(fastest)
    }

    /// Where content stands among what was recorded; the last time if it was there more than once.
    pub fn generation(&self, digest: Digest) -> Option<Generation> {
        let mut number = 0;
        let mut before: Option<Digest> = None;
        let mut found = None;
        for (at, value) in &self.samples {
            let Value::Content(Content { digest: seen, .. }) = value else { continue };
            if before != Some(*seen) {
                number += 1;
                before = Some(*seen);
            }
            if *seen == digest {
                found = Some(Generation { number, at: *at });
            }
        }
        found
    }
}

fn between(from: &(At, u64), to: &(At, u64)) -> Option<Rate> {
    let secs = to.0.secs_since(from.0);
    (secs > 0).then(|| Rate { growth: to.1.saturating_sub(from.1), secs })
}
