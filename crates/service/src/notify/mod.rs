//! Telling people: what is wrong now becomes alerts, alerts become messages, messages wait in an outbox until each channel has taken them.

pub mod alerts;
pub mod channel;
pub mod condition;
pub mod desk;
pub mod fleet;
mod http;
mod mail;
pub mod outbox;
mod program;
pub mod sent;

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a message is about; channels choose among these.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// A backup, copy or clean-up failed.
    Failure,
    /// A check, scrub or drill found damage, or could not be done.
    Verification,
    /// There is no new backup, and there should be.
    Overdue,
    /// The place of the repository is nearly full.
    Space,
    /// What was wrong is right again.
    Recovery,
    /// A job ended well.
    Success,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Failure,
        Self::Verification,
        Self::Overdue,
        Self::Space,
        Self::Recovery,
        Self::Success,
    ];

    /// What a channel hears if nothing is chosen: all but success.
    pub const USUAL: [Self; 5] =
        [Self::Failure, Self::Verification, Self::Overdue, Self::Space, Self::Recovery];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Verification => "verification",
            Self::Overdue => "overdue",
            Self::Space => "space",
            Self::Recovery => "recovery",
            Self::Success => "success",
        }
    }

    /// Whether somebody should do something.
    pub fn is_bad(self) -> bool {
        !matches!(self, Self::Recovery | Self::Success)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Topic {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|topic| topic.word() == text).ok_or(())
    }
}

/// What somebody is told. It holds no secret and no content of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// What about.
    pub topic: Topic,
    /// In a few words: "guts: backup failed".
    pub title: String,
    /// In sentences.
    pub text: String,
    /// The node, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The machine that tells.
    pub host: String,
    /// When it became so.
    pub at: Timestamp,
}
