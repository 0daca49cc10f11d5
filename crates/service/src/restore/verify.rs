//! Restored copies, checked by the rules of their kinds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nodekeep_nodes::kind::{self, Other, Others, Outcome, Verified};
use nodekeep_nodes::node::{Located, Node};
use nodekeep_nodes::profile::{Kind, Variables};
use nodekeep_nodes::system;

use super::place::{Placement, join};
use crate::error::{Error, Result};
use crate::find::NodeSnapshot;

/// How long a copy may be checked by a program of its kind.
const CHECK_WITHIN: Duration = Duration::from_secs(3600);

/// Checks every component of a node where its folders say, by the rules of its kind and of its system: a copy that nobody uses.
///
/// # Errors
/// If a component's path cannot be told.
pub fn verify_node(node: &Node) -> Result<Vec<(String, Verified)>> {
    let others = lying(node);
    let there = |located: &Located<'_>| {
        !located.component.on_request && located.path.symlink_metadata().is_ok()
    };
    let components = node.components()?.into_iter().filter(there);
    Ok(components
        .map(|located| {
            let mut verified = verify_component(node, &located, &located.path, &others);
            system::verify(node, &located.component.name, &located.path, &mut verified);
            (located.component.name.clone(), verified)
        })
        .collect())
}

/// Where a node's components lie.
pub fn lying(node: &Node) -> Others {
    let components = node.components().unwrap_or_default().into_iter();
    let there = components.filter(|located| located.path.symlink_metadata().is_ok());
    let other = |path: PathBuf| Other { copy: path.clone(), live: path };
    there.map(|located| (located.component.name.clone(), other(located.path))).collect()
}

/// Checks components of a node in use, by name.
///
/// # Errors
/// If there is no such component, its kind can only be checked in a copy, or it cannot be looked at.
pub fn verify_live(node: &Node, names: &[String]) -> Result<Vec<(String, Verified)>> {
    let (only, skip) = (names.to_vec(), Vec::new());
    crate::capture::Wish { only, skip, ..Default::default() }.check(node)?;
    let others = lying(node);
    let mut all = Vec::new();
    for name in names {
        let located = node.component(name)?;
        let verified = kind::verify_live(&located.component.kind, &located.path, &others)?;
        let verified = verified.ok_or_else(|| Error::OnlyInCopy { component: name.clone() })?;
        all.push((name.clone(), verified));
    }
    Ok(all)
}

/// Puts what was restored in order before a node starts on it, where nothing else of a restore does; says what was done.
///
/// # Errors
/// If a component cannot be looked at or changed.
pub fn mend(node: &Node) -> Result<Vec<String>> {
    let there = |located: &Located<'_>| located.path.symlink_metadata().is_ok();
    let components = node.components()?.into_iter().filter(there);
    let mended = components.map(|located| kind::mend(&located.component.kind, &located.path));
    Ok(mended.collect::<Result<Vec<_>, _>>()?.concat())
}

/// Checks every component of a placement by the rules of its kind, where it was copied to.
pub fn verify_placement(
    node: &Node,
    snapshot: &NodeSnapshot,
    placement: &Placement,
    at: &Path,
    others: &Others,
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
        let at = join(at, inner);
        verified.push((name.clone(), verify_component(node, &located, &at, others)));
    }
    verified
}

/// Checks one component of a node where it lies, by the rules of its kind.
pub(crate) fn verify_component(
    node: &Node,
    located: &Located<'_>,
    at: &Path,
    others: &Others,
) -> Verified {
    let variables = node.variables();
    let component = located.component;
    let mut all = check(&component.kind, at, others, &variables);
    for part in &component.parts {
        let path = at.join(&part.path);
        if path.symlink_metadata().is_err() {
            continue;
        }
        let found = check(&part.kind, &path, others, &variables);
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

fn check(kind: &Kind, at: &Path, others: &Others, variables: &Variables) -> Verified {
    kind::verify(kind, at, others, variables, CHECK_WITHIN).unwrap_or_else(|error| {
        let mut failed = Verified::default();
        failed.check(kind.word(), Outcome::Failed, error.to_string());
        failed
    })
}

/// What the snapshot says it lacks is told when it is back, and is no reason to lose the rest.
pub(super) fn unsound(
    snapshot: &NodeSnapshot,
    (component, verified): &(String, Verified),
) -> Option<Error> {
    let record = snapshot.manifest.components.iter().find(|record| record.name == *component);
    if record.is_some_and(|record| !record.missing.is_empty()) {
        return None;
    }
    let failed = verified.checks.iter().find(|check| check.outcome == Outcome::Failed)?;
    Some(Error::Unsound {
        component: component.clone(),
        check: failed.name.clone(),
        detail: failed.detail.clone(),
    })
}
