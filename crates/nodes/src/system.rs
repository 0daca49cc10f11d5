//! What only one system knows of its nodes, for those who know no system: told by the name of the profile.

use std::path::Path;

use crate::guts;
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
