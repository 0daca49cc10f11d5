//! What only one system knows of its nodes, for those who know no system: told by the name of the profile.

use std::path::Path;
use std::time::Duration;

use crate::guts::{self, scenario};
use crate::kind::{Outcome, Verified};
use crate::manifest::Note;
use crate::node::Node;

/// The profile of Guts.
const GUTS: &str = "guts";

/// What a person must know before trusting a backup of this node, with the component that each is about.
pub fn warnings(node: &Node) -> Vec<(&'static str, Note)> {
    match node.profile.name.as_str() {
        GUTS => guts::warnings(node)
            .unwrap_or_else(|error| vec![("data", Note::new("not-looked-at", error.to_string()))]),
        _ => Vec::new(),
    }
}

/// How long a restore took beside the targets of the system's own guide, where it has some. `is_near`: the repository lies on this machine.
pub fn targets(node: &Node, took: Duration, woke: Duration, is_near: bool) -> Option<String> {
    if node.profile.name != GUTS {
        return None;
    }
    let restored = if is_near { scenario::FROM_NEAR } else { scenario::FROM_AFAR };
    let mut measured = vec![(restored, took)];
    if !woke.is_zero() {
        measured.push((scenario::RESTART, woke));
    }
    Some(scenario::compare(&measured))
}

/// Looks at a copy of a component by the rules of its system, besides those of its kind.
pub fn verify(node: &Node, component: &str, path: &Path, verified: &mut Verified) {
    if (node.profile.name.as_str(), component) != (GUTS, "objects") || !verified.is_sound() {
        return;
    }
    match guts::objects::in_store(path) {
        Ok(objects) => objects.judge(verified),
        Err(error) => verified.check("git objects", Outcome::Failed, error.to_string()),
    }
}
