//! What a crash left of nodes, finished at the next start: holds are released, and a restore that was being put in place is put in place.

use jiff::Timestamp;
use nodekeep_nodes::hold::{self, HoldError};

use crate::error::{Error, Result};
use crate::holding::site;
use crate::restore::{giving, swap};
use crate::state::State;

/// Finishes what was left of every registered node, and says it in sentences. A node that a living process works on is passed over; what
/// cannot be finished is said, and tried again at the next start.
pub fn resume(state: &State) -> Vec<String> {
    let names = match state.names() {
        Ok(names) => names,
        Err(error) => return vec![error.to_string()],
    };
    let one = |name: String| {
        resume_node(state, &name).unwrap_or_else(|error| {
            vec![format!("what a crash left of {name} cannot be finished: {error}")]
        })
    };
    names.into_iter().flat_map(one).collect()
}

fn resume_node(state: &State, name: &str) -> Result<Vec<String>> {
    let folder = state.of(name)?;
    let mut said = Vec::new();
    match hold::resume_node(&site(&folder).folder, name, Timestamp::now()) {
        Err(HoldError::Busy { .. }) => return Ok(said),
        Err(error) => return Err(error.into()),
        Ok(resumed) => {
            said.extend(resumed.released.iter().map(|what| {
                format!("{name} had been left held by a crash and was released: {what}")
            }));
            said.extend(resumed.unreleased.iter().map(|one| {
                format!(
                    "{name} is still held ({}): {}. Type: {}",
                    one.step, one.reason, one.by_hand
                )
            }));
        }
    }
    said.extend(crate::guard::left(&folder)?);
    if !swap::is_pending(&folder) && giving::waiting(&folder)?.is_empty() {
        return Ok(said);
    }
    let _alone = match folder.alone(name) {
        Err(Error::Busy { .. }) => return Ok(said),
        alone => alone?,
    };
    let in_place = swap::finish(&folder)?;
    if let Some(snapshot) = in_place {
        said.push(format!(
            "{name}: a restore of snapshot {} that a crash interrupted was put in place; start the node when you have looked",
            snapshot.get(..8).unwrap_or(&snapshot)
        ));
    }
    said.extend(giving::resume(&folder)?.iter().map(|one| format!("{name}: {}", one.told(name))));
    Ok(said)
}
