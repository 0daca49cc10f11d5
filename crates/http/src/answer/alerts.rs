//! What is wrong, as events tell it.

use nodekeep_service::notify::alerts::Alert;
use schemars::JsonSchema;
use serde::Serialize;

use super::words;

/// Something that is wrong.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AlertDocument {
    /// What tells it from others.
    key: String,
    /// What it is about, in a word.
    topic: String,
    /// In a few words.
    title: String,
    /// In sentences.
    text: String,
    /// The node, if it is about one.
    node: Option<String>,
    /// Since when.
    since: String,
}

impl AlertDocument {
    /// Of an alert.
    pub fn of(key: &str, alert: &Alert) -> Self {
        Self {
            key: key.to_owned(),
            topic: alert.topic.to_string(),
            title: alert.title.clone(),
            text: alert.text.clone(),
            node: alert.node.clone(),
            since: words::time(alert.since),
        }
    }
}
