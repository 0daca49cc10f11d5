//! What answers each route: from the repository and the files of this machine to documents.

pub mod alerts;
pub mod certificates;
pub mod diff;
pub mod file;
pub mod growth;
pub mod jobs;
pub mod log;
pub mod notifications;
pub mod overview;
pub mod plans;
pub mod schedules;
pub mod session;
pub mod shown;
pub mod snapshots;
pub mod tree;
pub mod words;

use schemars::JsonSchema;
use serde::Serialize;

/// A page of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next page begins; null on the last.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The items after so many, out of all.
    pub fn of(all: impl Iterator<Item = T>, offset: usize, limit: usize) -> Self {
        let mut rest = all.skip(offset);
        let items: Vec<T> = rest.by_ref().take(limit).collect();
        let next = rest.next().map(|_| (offset + items.len()).to_string());
        Self { items, next }
    }
}
