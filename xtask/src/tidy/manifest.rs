//! What the crates' manifests say about dependencies.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::error::Error;
use crate::place;

/// How a dependency is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// In the crate itself or its build script.
    Product,
    /// In the crate itself where a feature is switched on.
    Feature,
    /// In its tests only.
    Tests,
}

/// One direct dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The package's name, also where it was renamed.
    pub package: String,
    /// Where it is used.
    pub used: Use,
    /// The features that it asks for.
    pub features: Vec<String>,
}

/// A crate of the workspace.
#[derive(Debug)]
pub struct Crate {
    /// The folder in `crates/`.
    pub folder: String,
    /// Its manifest, relative to the workspace.
    pub path: PathBuf,
    /// Its direct dependencies.
    pub dependencies: Vec<Dependency>,
}

/// The crates in `crates/`.
pub fn load(root: &Path) -> Result<Vec<Crate>, Error> {
    let mut crates = Vec::new();
    for folder in place::folders(&root.join("crates"))? {
        let path = Path::new("crates").join(&folder).join("Cargo.toml");
        let manifest = place::read_toml(&root.join(&path))?;
        crates.push(Crate { folder, path, dependencies: dependencies(&manifest) });
    }
    Ok(crates)
}

/// The direct dependencies of a manifest, those of single targets too.
pub fn dependencies(manifest: &Table) -> Vec<Dependency> {
    let mut found = of_table(manifest);
    let targets = manifest.get("target").and_then(Value::as_table);
    for target in targets.into_iter().flat_map(Table::values).filter_map(Value::as_table) {
        found.extend(of_table(target));
    }
    found
}

fn of_table(table: &Table) -> Vec<Dependency> {
    let kinds = [
        ("dependencies", Use::Product),
        ("build-dependencies", Use::Product),
        ("dev-dependencies", Use::Tests),
    ];
    let mut found = Vec::new();
    for (key, used) in kinds {
        let entries = table.get(key).and_then(Value::as_table);
        for (name, value) in entries.into_iter().flatten() {
            let renamed = value.get("package").and_then(Value::as_str);
            let package = renamed.unwrap_or(name).to_owned();
            let is_optional = value.get("optional").and_then(Value::as_bool) == Some(true);
            let used = if is_optional { Use::Feature } else { used };
            let features = value.get("features").and_then(Value::as_array);
            let features = features.into_iter().flatten().filter_map(Value::as_str);
            let features = features.map(str::to_owned).collect();
            found.push(Dependency { package, used, features });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_dependency_is_seen() {
        let manifest: Table =
            "[dependencies]\na = \"1\"\nb = { package = \"c\", version = \"1\" }\n\
             [dev-dependencies]\nd.workspace = true\n[target.'cfg(unix)'.dependencies]\n\
             e = { version = \"1\", optional = true }\n"
                .parse()
                .unwrap();
        let found: Vec<_> =
            dependencies(&manifest).into_iter().map(|d| (d.package, d.used)).collect();
        let expected =
            [("a", Use::Product), ("c", Use::Product), ("d", Use::Tests), ("e", Use::Feature)];
        assert_eq!(found, expected.map(|(name, used)| (name.to_owned(), used)));
    }
}
