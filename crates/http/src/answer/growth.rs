//! `/growth`: sizes over time.

use nodekeep_service::find::node_of;
use schemars::JsonSchema;
use serde::Serialize;

use super::words;
use crate::call::Call;
use crate::problem::Problem;

/// Points of a curve, at most.
const POINTS: usize = 2000;

/// Sizes over time.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Growth {
    /// One for each snapshot, oldest first; of very many, some.
    points: Vec<Point>,
    /// Bytes that all listed snapshots made the repository grow by.
    stored_bytes: u64,
}

/// A snapshot's sizes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Point {
    /// When it began.
    at: String,
    /// Its id.
    snapshot: String,
    /// Sizes of its files.
    logical_bytes: u64,
    /// What the repository grew by, with the snapshots that are left out before it.
    added_bytes: u64,
}

/// `GET /growth`.
pub fn show(call: &Call) -> Result<Growth, Problem> {
    let shelf = call.house.library.readable()?;
    let node = call.query.text("node")?;
    let wanted: Vec<_> = shelf
        .snapshots()
        .filter(|record| node.is_none_or(|node| node_of(record) == Some(node)))
        .collect();
    let stored_bytes = wanted.iter().map(|record| record.snapshot.counts.bytes_added).sum();
    let each = wanted.len().div_ceil(POINTS).max(1);
    let point = |some: &[&nodekeep_repo::repository::SnapshotRecord]| {
        let last = some.last()?;
        Some(Point {
            at: words::time_ms(last.snapshot.started_ms),
            snapshot: last.id.hex(),
            logical_bytes: last.snapshot.counts.bytes,
            added_bytes: some.iter().map(|record| record.snapshot.counts.bytes_added).sum(),
        })
    };
    Ok(Growth { points: wanted.chunks(each).filter_map(point).collect(), stored_bytes })
}
