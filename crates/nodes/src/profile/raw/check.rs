//! What belongs together in a profile.

use std::collections::BTreeSet;

use crate::profile::{Kind, Profile};

/// Names are unique, fences name components, the profile owns something.
pub(super) fn check(profile: &Profile) -> Result<(), String> {
    let components: Vec<&str> = profile.components.iter().map(|c| c.name.as_str()).collect();
    if profile.roots.is_empty() || components.is_empty() {
        return Err("a profile has at least one [[root]] and one [[component]]".to_owned());
    }
    unique("component", components.iter().copied())?;
    let roots = profile.roots.iter().map(|root| root.name.as_str());
    unique("root or variable", roots.chain(profile.variables.iter().map(|v| v.name.as_str())))?;
    unique("fence", profile.fence.iter().map(|fence| fence.name.as_str()))?;
    let names = components.iter().copied().chain([profile.name.as_str()]);
    if let Some(name) = names.into_iter().find(|name| !is_name(name)) {
        return Err(format!("`{name}` is no name: use a-z, 0-9 and `-`"));
    }
    others(profile)?;
    match profile.fence.iter().find(|fence| !components.contains(&fence.component.as_str())) {
        Some(fence) => {
            Err(format!("fence `{}`: there is no component `{}`", fence.name, fence.component))
        }
        None => Ok(()),
    }
}

/// What a component cannot do without is a component too, and is captured before it unless it is only read.
fn others(profile: &Profile) -> Result<(), String> {
    for (at, component) in profile.components.iter().enumerate() {
        let name = &component.name;
        let place = |other: &str| profile.components.iter().position(|c| c.name == other);
        for other in component.kind.others() {
            let Some(found) = place(other) else {
                return Err(format!("component `{name}`: there is no component `{other}`"));
            };
            if found >= at && matches!(component.kind, Kind::AxonChunks(_)) {
                return Err(format!("component `{name}`: `{other}` has to stand before it"));
            }
        }
    }
    Ok(())
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    match names.into_iter().find(|name| !seen.insert(*name)) {
        Some(name) => Err(format!("two {what}s are called `{name}`")),
        None => Ok(()),
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= 64 && name.chars().all(allowed)
}
