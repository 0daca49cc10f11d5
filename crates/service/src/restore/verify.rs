//! Restored copies, checked by the rules of their kinds.

use std::path::Path;
use std::time::Duration;

use nodekeep_nodes::kind::{self, Outcome, Verified};
use nodekeep_nodes::node::{Located, Node};
use nodekeep_nodes::profile::{Kind, Variables};

use super::place::{Placement, join};
use crate::error::{Error, Result};
use crate::find::NodeSnapshot;

/// How long a copy may be checked by a program of its kind.
const CHECK_WITHIN: Duration = Duration::from_secs(3600);

/// Checks every component of a node where its folders say, by the rules of its kind: a copy that nobody uses.
///
/// # Errors
/// If a component's path cannot be told.
pub fn verify_node(node: &Node) -> Result<Vec<(String, Verified)>> {
    let there = |located: &Located<'_>| located.path.symlink_metadata().is_ok();
    let components = node.components()?.into_iter().filter(there);
    Ok(components
        .map(|located| {
            let verified = verify_component(node, &located, &located.path);
            (located.component.name.clone(), verified)
        })
        .collect())
}

/// Checks every component of a placement by the rules of its kind, where it was copied to.
pub fn verify_placement(
    node: &Node,
    snapshot: &NodeSnapshot,
    placement: &Placement,
    at: &Path,
) -> Vec<(String, Verified)> {
    let mut verified = Vec::new();
    for located in node.components().unwrap_or_default() {
        let name = &located.component.name;
        let inner = located.path.strip_prefix(&placement.target);
        let (true, true, Ok(inner)) =
            (placement.components.contains(name), snapshot.holds(name), inner)
        else {
            continue;
        };
        verified.push((name.clone(), verify_component(node, &located, &join(at, inner))));
    }
    verified
}

fn verify_component(node: &Node, located: &Located<'_>, at: &Path) -> Verified {
    let variables = node.variables();
    let component = located.component;
    let mut all = check(&component.kind, at, &variables);
    for part in &component.parts {
        let path = at.join(&part.path);
        if path.symlink_metadata().is_err() {
            continue;
        }
        let found = check(&part.kind, &path, &variables);
        all.position.join(&found.position);
        all.hashes.extend(found.hashes);
        let name = |check: kind::Check| kind::Check {
            name: format!("{}: {}", part.path, check.name),
            ..check
        };
        all.checks.extend(found.checks.into_iter().map(name));
    }
    all
}

fn check(kind: &Kind, at: &Path, variables: &Variables) -> Verified {
    kind::verify(kind, at, variables, CHECK_WITHIN).unwrap_or_else(|error| {
        let mut failed = Verified::default();
        failed.check(kind.word(), Outcome::Failed, error.to_string());
        failed
    })
}

pub(super) fn unsound((component, verified): &(String, Verified)) -> Option<Error> {
    let failed = verified.checks.iter().find(|check| check.outcome == Outcome::Failed)?;
    Some(Error::Unsound {
        component: component.clone(),
        check: failed.name.clone(),
        detail: failed.detail.clone(),
    })
}
