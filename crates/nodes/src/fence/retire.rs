//! Which machine holds a node's identity: pure, from what was recorded.
//!
//! A machine that was seen with a node holds its identity until it is retired. Two machines with one identity sign twice, use one-time keys
//! twice and run one ratchet twice, so a second one is refused like a rewind.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::mark::{At, Reading};
use crate::manifest::{Machine, Manifest};

/// A machine gave up a node's identity, or somebody answered for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retirement {
    /// When.
    pub at: At,
    /// Which machine is retired.
    pub machine: Machine,
    /// Which machine recorded it: the same one, or another if the retired one is dead.
    pub by: Machine,
    /// When the retired one had last been seen. A later sighting means that it still runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<At>,
    /// What was answered to "is the old machine certainly off?", or why it was retired.
    pub answer: String,
}

/// A machine was seen with the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Which.
    pub machine: Machine,
    /// When, by its own clock.
    pub at: At,
}

impl From<&Reading> for Sighting {
    fn from(reading: &Reading) -> Self {
        Self { machine: reading.machine.clone(), at: reading.at }
    }
}

impl Sighting {
    /// Who wrote a snapshot; `None` if its time cannot be read.
    pub fn of_manifest(manifest: &Manifest) -> Option<Self> {
        let at = At::try_from(manifest.captured_at.clone()).ok()?;
        Some(Self { machine: manifest.machine.clone(), at })
    }
}

/// Whether a machine may take the identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "claim")]
pub enum Claim {
    /// Nobody else holds it.
    Free,
    /// Another machine does.
    HeldBy {
        /// Which.
        machine: Machine,
        /// When it was last seen, by its own clock.
        last_seen: At,
        /// It had been retired at this time, and was seen again after it.
        retired_at: Option<At>,
    },
    /// This very machine gave it up, and has not been seen with it since.
    RetiredAt {
        /// When.
        at: At,
        /// Why.
        answer: String,
    },
}

impl Claim {
    /// Whether nothing stands against it.
    pub fn is_free(&self) -> bool {
        *self == Self::Free
    }
}

/// Decides for one machine. The order of the records does not matter.
pub fn claim(machine: &str, sightings: &[Sighting], retirements: &[Retirement]) -> Claim {
    let seen = last_seen(sightings);
    let retired = last_retired(retirements);
    let others = seen.iter().filter(|(id, _)| **id != machine);
    let held = others.filter_map(|(id, sighting)| holder(sighting, retired.get(id).copied()));
    if let Some((sighting, retired_at)) = held.max_by_key(|(sighting, _)| sighting.at) {
        let Sighting { machine, at } = sighting.clone();
        return Claim::HeldBy { machine, last_seen: at, retired_at };
    }
    let own = retired.get(machine).filter(|retirement| {
        seen.get(machine).is_none_or(|sighting| !is_after(sighting, retirement))
    });
    own.map_or(Claim::Free, |retirement| Claim::RetiredAt {
        at: retirement.at,
        answer: retirement.answer.clone(),
    })
}

fn holder<'a>(
    sighting: &'a Sighting,
    retirement: Option<&Retirement>,
) -> Option<(&'a Sighting, Option<At>)> {
    match retirement {
        None => Some((sighting, None)),
        Some(retirement) => {
            is_after(sighting, retirement).then_some((sighting, Some(retirement.at)))
        }
    }
}

/// Compares times of the retired machine's own clock wherever its last sighting is known.
fn is_after(sighting: &Sighting, retirement: &Retirement) -> bool {
    sighting.at > retirement.last_seen.unwrap_or(retirement.at)
}

fn last_seen(sightings: &[Sighting]) -> BTreeMap<&str, &Sighting> {
    let mut last: BTreeMap<&str, &Sighting> = BTreeMap::new();
    for sighting in sightings {
        let kept = last.entry(&sighting.machine.id).or_insert(sighting);
        if sighting.at > kept.at {
            *kept = sighting;
        }
    }
    last
}

fn last_retired(retirements: &[Retirement]) -> BTreeMap<&str, &Retirement> {
    let mut last: BTreeMap<&str, &Retirement> = BTreeMap::new();
    for retirement in retirements {
        let kept = last.entry(&retirement.machine.id).or_insert(retirement);
        if retirement.at > kept.at {
            *kept = retirement;
        }
    }
    last
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free => write!(f, "no other machine holds this node's identity"),
            Self::HeldBy { machine, last_seen, retired_at: None } => write!(
                f,
                "{} ({}) holds this node's identity; it was last seen at {last_seen} and has not been retired",
                machine.host,
                short(&machine.id)
            ),
            Self::HeldBy { machine, last_seen, retired_at: Some(at) } => write!(
                f,
                "{} ({}) was retired at {at}, but was seen with this node again at {last_seen}: it still runs",
                machine.host,
                short(&machine.id)
            ),
            Self::RetiredAt { at, answer } => {
                write!(f, "this machine was retired at {at} ({answer})")
            }
        }
    }
}

/// Enough of a machine's id to tell it from others.
fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u32) -> At {
        At::try_from(format!("2026-11-21T10:{minute:02}:00Z")).unwrap()
    }

    fn machine(id: &str) -> Machine {
        Machine { id: id.to_owned(), host: format!("host-{id}") }
    }

    fn seen(id: &str, minute: u32) -> Sighting {
        Sighting { machine: machine(id), at: at(minute) }
    }

    fn retired(id: &str, minute: u32, last_seen: Option<u32>) -> Retirement {
        let answer = "yes, the disk is out".to_owned();
        Retirement {
            at: at(minute),
            machine: machine(id),
            by: machine("z"),
            last_seen: last_seen.map(at),
            answer,
        }
    }

    #[test]
    fn identity_is_held_until_retired() {
        let cases: [(&str, Vec<Sighting>, Vec<Retirement>, &str); 9] = [
            ("nobody", vec![], vec![], "free"),
            ("only me", vec![seen("a", 1)], vec![], "free"),
            ("another", vec![seen("a", 1), seen("b", 2)], vec![], "held b"),
            ("the last of several", vec![seen("c", 9), seen("b", 2)], vec![], "held c"),
            ("another, retired", vec![seen("b", 2)], vec![retired("b", 5, Some(2))], "free"),
            (
                "retired, seen again",
                vec![seen("b", 2), seen("b", 4)],
                vec![retired("b", 5, Some(2))],
                "held b again",
            ),
            ("retired, sighting unknown", vec![seen("b", 4)], vec![retired("b", 5, None)], "free"),
            ("me, retired", vec![seen("a", 2)], vec![retired("a", 5, Some(2))], "retired"),
            ("me, taken up again", vec![seen("a", 9)], vec![retired("a", 5, Some(2))], "free"),
        ];
        for (name, sightings, retirements, expected) in cases {
            let found = match claim("a", &sightings, &retirements) {
                Claim::Free => "free".to_owned(),
                Claim::HeldBy { machine, retired_at: None, .. } => format!("held {}", machine.id),
                Claim::HeldBy { machine, .. } => format!("held {} again", machine.id),
                Claim::RetiredAt { .. } => "retired".to_owned(),
            };
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn a_retired_machine_that_wakes_up_is_refused_for_its_successor() {
        let sightings = [seen("old", 1), seen("new", 9)];
        let retirements = [retired("old", 5, Some(1))];
        assert_eq!(claim("new", &sightings, &retirements), Claim::Free);
        assert!(
            matches!(claim("old", &sightings, &retirements), Claim::HeldBy { machine, .. } if machine.id == "new")
        );
    }

    #[test]
    fn refusals_name_machine_and_time() {
        let text = claim("a", &[seen("b", 2)], &[]).to_string();
        assert_eq!(
            text,
            "host-b (b) holds this node's identity; it was last seen at 2026-11-21T10:02:00Z and has not been retired"
        );
    }
}
