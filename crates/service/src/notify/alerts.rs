//! From what is wrong now to what must be told: each thing once when it begins, again each day while it lasts, and once when it is over.
//! A pure function of what was told before, what is wrong, and the moment.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Message, Topic};

/// While something stays wrong it is told again after so long.
const AGAIN: SignedDuration = SignedDuration::from_hours(24);

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What tells it from others: the same as long as it is the same thing that is wrong.
    pub key: String,
    /// What it is about.
    pub topic: Topic,
    /// In a few words.
    pub title: String,
    /// In sentences, with what to do.
    pub text: String,
    /// The node, if it is about one.
    pub node: Option<String>,
}

/// What was told of things that are wrong, by their keys.
pub type Alerts = BTreeMap<String, Alert>;

/// Something wrong that was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// What it is about.
    pub topic: Topic,
    /// In a few words.
    pub title: String,
    /// In sentences, as they were last told.
    pub text: String,
    /// The node, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Since when it is so.
    pub since: Timestamp,
    /// When it was last told.
    pub told: Timestamp,
}

/// What to tell, and what is known afterwards.
pub fn judge(
    known: &Alerts,
    wrong: &[Condition],
    host: &str,
    now: Timestamp,
) -> (Alerts, Vec<Message>) {
    let mut alerts = Alerts::new();
    let mut messages = Vec::new();
    for condition in wrong {
        let before = known.get(&condition.key);
        let since = before.map_or(now, |alert| alert.since);
        // After the clock was set back the last telling lies ahead; it is not waited for.
        let is_due = before.is_none_or(|alert| {
            let passed = now.duration_since(alert.told);
            passed >= AGAIN || passed < SignedDuration::ZERO
        });
        let told = if is_due { now } else { before.map_or(now, |alert| alert.told) };
        if is_due {
            messages.push(message(condition, since, host, now));
        }
        alerts.insert(condition.key.clone(), alert(condition, since, told));
    }
    let over = known.iter().filter(|(key, _)| !alerts.contains_key(*key));
    messages.extend(over.map(|(_, alert)| recovery(alert, host, now)));
    (alerts, messages)
}

fn alert(condition: &Condition, since: Timestamp, told: Timestamp) -> Alert {
    Alert {
        topic: condition.topic,
        title: condition.title.clone(),
        text: condition.text.clone(),
        node: condition.node.clone(),
        since,
        told,
    }
}

fn message(condition: &Condition, since: Timestamp, host: &str, now: Timestamp) -> Message {
    let lasts = match now.duration_since(since).as_hours() {
        hours if hours >= 1 => format!(" It has been so for {hours} h."),
        _ => String::new(),
    };
    Message {
        topic: condition.topic,
        title: condition.title.clone(),
        text: format!("{}{lasts}", condition.text),
        node: condition.node.clone(),
        host: host.to_owned(),
        at: now,
    }
}

fn recovery(alert: &Alert, host: &str, now: Timestamp) -> Message {
    let minutes = now.duration_since(alert.since).as_mins().max(0);
    let lasted = match minutes {
        0..120 => format!("{minutes} min"),
        _ => format!("{} h", minutes / 60),
    };
    Message {
        topic: Topic::Recovery,
        title: format!("{}: over", alert.title),
        text: format!("It is right again, after {lasted}."),
        node: alert.node.clone(),
        host: host.to_owned(),
        at: now,
    }
}
