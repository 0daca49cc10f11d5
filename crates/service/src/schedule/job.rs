//! What a schedule does, as the command that a person would type: a job is a run of the program itself.

use nodekeep_repo::retention::Policy;
use serde::{Deserialize, Serialize};

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Job {
    /// A snapshot of the node, of all components or of these.
    Backup {
        /// Their names; none: all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        components: Vec<String>,
    },
    /// The node's health, with its marks recorded.
    Health,
    /// The repository's objects are looked at.
    Check {
        /// Whether every byte is read and decrypted.
        #[serde(default)]
        data: bool,
    },
    /// A share of the repository is read, so that all of it is within so many days.
    Scrub {
        /// In how many days all of it.
        every_days: u16,
    },
    /// The newest snapshot of the node is restored into a sandbox and checked.
    Drill,
    /// What is not in the repository there is copied to it.
    Copy {
        /// Where to.
        to: String,
    },
    /// Old snapshots go.
    Prune {
        /// Which stay.
        keep: Keep,
    },
}

/// Which snapshots stay: the options of `snapshot prune`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Keep {
    /// The newest so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u32>,
    /// Of so many hours that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hourly: Option<u32>,
    /// Of so many days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily: Option<u32>,
    /// Of so many weeks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weekly: Option<u32>,
    /// Of so many months.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monthly: Option<u32>,
    /// Of so many years.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub yearly: Option<u32>,
}

/// What a job must be able to do; each can do what those before it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Add snapshots: a node's machine.
    Writer,
    /// Read what all wrote.
    Keeper,
    /// Delete: the owner's keys.
    Owner,
}

impl Job {
    /// Its one word, in lists and in names.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Backup { .. } => "backup",
            Self::Health => "health",
            Self::Check { .. } => "check",
            Self::Scrub { .. } => "scrub",
            Self::Drill => "drill",
            Self::Copy { .. } => "copy",
            Self::Prune { .. } => "prune",
        }
    }

    /// What it must be able to do.
    pub fn role(&self) -> Role {
        match self {
            Self::Backup { .. } | Self::Health => Role::Writer,
            Self::Check { .. } | Self::Scrub { .. } | Self::Drill | Self::Copy { .. } => {
                Role::Keeper
            }
            Self::Prune { .. } => Role::Owner,
        }
    }

    /// Among jobs that are due at once the lower goes first: nothing goes before a backup, and nothing is deleted before the rest is done.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Backup { .. } => 0,
            Self::Health => 1,
            Self::Copy { .. } => 2,
            Self::Check { .. } => 3,
            Self::Drill => 4,
            Self::Scrub { .. } => 5,
            Self::Prune { .. } => 6,
        }
    }

    /// What is typed after `nodekeep`, for this node.
    pub fn arguments(&self, node: Option<&str>) -> Vec<String> {
        let node = node.map(str::to_owned);
        let named = |words: &[&str]| {
            words.iter().map(|word| (*word).to_owned()).chain(node.clone()).collect::<Vec<_>>()
        };
        match self {
            Self::Backup { components } => {
                let each = |name: &String| ["--component".to_owned(), name.clone()];
                let mut arguments = named(&["backup"]);
                arguments.extend(components.iter().flat_map(each));
                arguments
            }
            Self::Health => named(&["health"]),
            Self::Check { data: false } => named(&["check"]),
            Self::Check { data: true } => {
                let mut arguments = named(&["check"]);
                arguments.push("--data".to_owned());
                arguments
            }
            Self::Scrub { every_days } => {
                vec!["repo".into(), "scrub".into(), "--every".into(), format!("{every_days}d")]
            }
            Self::Drill => named(&["drill"]),
            Self::Copy { to } => vec!["repo".into(), "copy".into(), "--to".into(), to.clone()],
            Self::Prune { keep } => {
                let mut arguments = vec!["snapshot".to_owned(), "prune".to_owned()];
                arguments.extend(node.clone().into_iter().flat_map(|node| ["--node".into(), node]));
                arguments.extend(keep.arguments());
                arguments
            }
        }
    }
}

impl Keep {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// As the engine has it.
    pub fn policy(&self) -> Policy {
        Policy {
            last: self.last,
            hourly: self.hourly,
            daily: self.daily,
            weekly: self.weekly,
            monthly: self.monthly,
            yearly: self.yearly,
            ..Policy::default()
        }
    }

    fn arguments(&self) -> impl Iterator<Item = String> {
        let rules = [
            ("--keep-last", self.last),
            ("--keep-hourly", self.hourly),
            ("--keep-daily", self.daily),
            ("--keep-weekly", self.weekly),
            ("--keep-monthly", self.monthly),
            ("--keep-yearly", self.yearly),
        ];
        let said = rules.into_iter().filter_map(|(option, count)| Some((option, count?)));
        said.flat_map(|(option, count)| [option.to_owned(), count.to_string()])
    }
}
