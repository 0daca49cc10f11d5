//! The judge: pure. From what is known, what a snapshot holds and what the live node says to what a restore would rewind.

mod case;
mod compare;
mod text;

use serde::Serialize;

use self::case::Case;
use super::known::{Generation, Known, Rate};
use super::look::Look;
use super::mark::{At, Field, Mark};
use super::remedy::Offer;
use crate::manifest::Machine;
use crate::profile::{FenceKind, FenceRule};

/// What the fence says about putting a snapshot in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// One for each rule of the profile, in its order.
    pub rulings: Vec<Ruling>,
}

/// What it says about one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ruling {
    /// The rule.
    pub rule: String,
    /// The component that holds the state.
    pub component: String,
    /// What kind of state it is.
    pub kind: FenceKind,
    /// What a rewind would do.
    pub about: String,
    /// What was found.
    pub finding: Finding,
    /// How far the state must be at least before it may be used: the highest marks, with margin where there is one.
    pub targets: Vec<Mark>,
    /// What can be done about it.
    pub offers: Vec<Offer>,
    /// Whether the state is raised without being asked for: where that is always right, and nothing is lost by it.
    #[serde(skip)]
    pub raises_itself: bool,
}

/// What was found for one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// Nothing runs backwards.
    Clear,
    /// These run backwards.
    Rewinds(Vec<Rewind>),
    /// The live state cannot tell: what happened after the last record is unknown.
    Unknown(Doubt),
    /// The snapshot's state cannot be read: why.
    Unreadable(String),
}

/// One thing that would run backwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rewind {
    /// Which one of several; empty where there is only one.
    pub key: String,
    /// For slashing protection: the chain.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub chain: String,
    /// From where to where.
    pub step: Step,
}

/// From where to where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// A number.
    Number {
        /// What it counts.
        field: Field,
        /// The highest that is known.
        from: u64,
        /// What the snapshot has; `None`: nothing of it.
        to: Option<u64>,
        /// The difference; with nothing in the snapshot, all of it.
        by: u64,
    },
    /// Content without a number.
    Content {
        /// What is there now; `None`: it was not recorded yet.
        from: Option<Generation>,
        /// What the snapshot has; `None`: it was never recorded.
        to: Option<Generation>,
    },
    /// At one number, the snapshot would allow a message to be signed that is not the one that was.
    Root {
        /// What the number counts.
        field: Field,
        /// The number.
        at: u64,
    },
    /// The record and the snapshot cannot be compared: the rule was changed.
    Incomparable,
}

/// What is not known, and what is done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Doubt {
    /// Why the live state cannot tell.
    pub reason: String,
    /// When the state was last recorded.
    pub last_record: Option<At>,
    /// Where.
    pub machine: Option<Machine>,
    /// Seconds from then until now.
    pub elapsed_secs: u64,
    /// What would run backwards even compared with the record.
    pub rewinds: Vec<Rewind>,
    /// How far each number may have come.
    pub gaps: Vec<Gap>,
}

/// How far one number may have come since it was last recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// Which one of several.
    pub key: String,
    /// For slashing protection: the chain.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub chain: String,
    /// What it counts.
    pub field: Field,
    /// The highest that is known.
    pub highest: u64,
    /// How fast it grew, as far as that was recorded.
    pub rate: Option<Rate>,
    /// Seconds since this number was last recorded.
    pub elapsed_secs: u64,
    /// The margin's floor.
    pub floor: u64,
    /// Added: the larger of the floor and rate x elapsed time, rounded up.
    pub margin: u64,
    /// Highest and margin together.
    pub advance_to: u64,
}

impl Verdict {
    /// Whether a restore may go on without a remedy.
    pub fn is_clear(&self) -> bool {
        self.rulings.iter().all(Ruling::is_clear)
    }

    /// What stands against it.
    pub fn refusals(&self) -> impl Iterator<Item = &Ruling> {
        self.rulings.iter().filter(|ruling| !ruling.is_clear())
    }
}

impl Ruling {
    /// Whether nothing stands against it.
    pub fn is_clear(&self) -> bool {
        self.finding == Finding::Clear
    }
}

/// Judges a restore of a snapshot. `live` is `None` when the node is gone.
///
/// The live state must have been read after the node was stopped: what it does afterwards is not seen.
pub fn judge(
    rules: &[FenceRule],
    known: &Known,
    snapshot: &Look,
    live: Option<&Look>,
    now: At,
) -> Verdict {
    let judge = |rule| Case { rule, known, now }.judge(snapshot, live);
    Verdict { rulings: rules.iter().map(judge).collect() }
}
