//! The map of the crates: who may know whom.
//!
//! `cli -> http -> service -> {timeline, peer, archive -> repo -> store, nodes}`. The engine (`repo`, `store`)
//! and `nodes` do not know each other; `testkit` is for tests only.

use std::path::{Component, Path};

use super::manifest::{Crate, Dependency, Use};
use super::{Finding, source};

/// Each crate's folder and the crates it may use.
const MAP: [(&str, &[&str]); 10] = [
    ("store", &[]),
    ("repo", &["store"]),
    ("nodes", &[]),
    ("timeline", &["repo", "store"]),
    ("peer", &["repo", "store"]),
    ("archive", &["repo", "store"]),
    ("service", &["timeline", "peer", "archive", "repo", "store", "nodes"]),
    ("http", &["service", "timeline", "peer", "archive", "repo", "store", "nodes"]),
    ("cli", &["http", "service", "timeline", "peer", "archive", "repo", "store", "nodes"]),
    ("testkit", &["repo", "store", "nodes"]),
];

/// Crates that must build into a program without a network or a terminal.
const ENGINE: [&str; 2] = ["store", "repo"];

/// The crate of the engine that may reach the network, behind a feature that is off by default.
const BEHIND_A_FEATURE: &str = "store";

/// What the engine must not depend on directly: HTTP, S3, terminals, and errors without a type.
const NOT_IN_ENGINE: [&str; 23] = [
    "actix-web",
    "anyhow",
    "axum",
    "clap",
    "color-eyre",
    "console",
    "crossterm",
    "dialoguer",
    "eyre",
    "hyper",
    "indicatif",
    "miette",
    "object_store",
    "opendal",
    "reqwest",
    "rpassword",
    "rust-s3",
    "rustyline",
    "termion",
    "termcolor",
    "tokio",
    "tracing-subscriber",
    "ureq",
];

/// Checks the crates' manifests against the map.
pub fn check_manifests(crates: &[Crate]) -> Vec<Finding> {
    crates.iter().flat_map(check_crate).collect()
}

fn check_crate(krate: &Crate) -> Vec<Finding> {
    let folder = krate.folder.as_str();
    let Some(allowed) = allowed(folder) else {
        let message = format!(
            "crate {folder} is not on the map: give it its place in xtask/src/tidy/arrows.rs and ARCHITECTURE.md"
        );
        return vec![Finding::file(&krate.path, message)];
    };
    let messages =
        krate.dependencies.iter().filter_map(|dependency| objection(folder, allowed, dependency));
    messages.map(|message| Finding::file(&krate.path, message)).collect()
}

fn allowed(folder: &str) -> Option<&'static [&'static str]> {
    MAP.iter().find(|(name, _)| *name == folder).map(|(_, allowed)| *allowed)
}

fn objection(folder: &str, allowed: &[&str], dependency: &Dependency) -> Option<String> {
    let Dependency { package, used, features } = dependency;
    if folder != "testkit"
        && *used != Use::Tests
        && features.iter().any(|f| f.ends_with("simulate"))
    {
        return Some(format!(
            "{folder} is shipped and enables `simulate` of {package}: that is for the simulator only"
        ));
    }
    match ours(package) {
        Some("testkit") if *used != Use::Tests => {
            Some(format!("{folder} depends on testkit, which is for dev-dependencies only"))
        }
        Some("testkit") => None,
        Some(other) if other == folder || allowed.contains(&other) => None,
        Some(other) => Some(format!(
            "{folder} must not know {other}: arrows point one way ({folder} -> {allowed:?})"
        )),
        None if ENGINE.contains(&folder)
            && *used != Use::Tests
            && !(*used == Use::Feature && folder == BEHIND_A_FEATURE)
            && is_foreign_to_engine(package) =>
        {
            Some(format!("{folder} is the engine: {package} belongs to a face or behind a trait"))
        }
        None => None,
    }
}

fn is_foreign_to_engine(package: &str) -> bool {
    let families = ["aws-sdk-", "aws-config", "clap_", "rusoto"];
    NOT_IN_ENGINE.contains(&package) || families.iter().any(|family| package.starts_with(family))
}

/// The folder of one of our packages.
fn ours(package: &str) -> Option<&str> {
    match package {
        "nodekeep" => Some("cli"),
        _ => package.strip_prefix("nodekeep-"),
    }
}

/// Checks the crates that a source file names, for a path like `crates/repo/src/lib.rs`.
pub fn check_source(path: &Path, code: &str) -> Vec<Finding> {
    let Some(folder) = crate_folder(path) else {
        return Vec::new();
    };
    let Some(allowed) = allowed(folder) else {
        return Vec::new();
    };
    let product = source::without_tests(path, code);
    let mut findings = Vec::new();
    for (line, (text, product_text)) in code.lines().zip(product.lines()).enumerate() {
        for (other, _) in MAP {
            let word = format!("nodekeep_{other}");
            let testkit_in_tests = other == "testkit" && !source::has_word(product_text, &word);
            if other == folder
                || allowed.contains(&other)
                || testkit_in_tests
                || !source::has_word(text, &word)
            {
                continue;
            }
            findings.push(Finding::line(path, line + 1, format!("{folder} must not name {word}")));
        }
    }
    findings
}

/// `repo` for `crates/repo/src/lib.rs`.
pub fn crate_folder(path: &Path) -> Option<&str> {
    let mut parts = path.components();
    if parts.next()? != Component::Normal("crates".as_ref()) {
        return None;
    }
    parts.next()?.as_os_str().to_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn objections(folder: &str, dependencies: &[(&str, Use)]) -> usize {
        let dependencies =
            dependencies.iter().map(|(package, used)| dependency(package, *used, &[]));
        let krate = Crate {
            folder: folder.to_owned(),
            path: PathBuf::from("Cargo.toml"),
            dependencies: dependencies.collect(),
        };
        check_manifests(&[krate]).len()
    }

    fn dependency(package: &str, used: Use, features: &[&str]) -> Dependency {
        let features = features.iter().map(|feature| (*feature).to_owned()).collect();
        Dependency { package: package.to_owned(), used, features }
    }

    #[test]
    fn only_the_simulator_simulates() {
        let cases =
            [("cli", Use::Product, 1), ("cli", Use::Tests, 0), ("testkit", Use::Product, 0)];
        for (folder, used, expected) in cases {
            let asked = dependency("nodekeep-repo", used, &["simulate"]);
            let objections = objection(folder, allowed(folder).unwrap(), &asked);
            assert_eq!(usize::from(objections.is_some()), expected, "{folder}");
        }
    }

    #[test]
    fn manifests_follow_the_map() {
        let cases: [(&str, &str, Use, usize); 14] = [
            ("repo", "nodekeep-store", Use::Product, 0),
            ("store", "nodekeep-repo", Use::Product, 1),
            ("repo", "nodekeep-nodes", Use::Tests, 1),
            ("nodes", "nodekeep-repo", Use::Product, 1),
            ("cli", "nodekeep-store", Use::Product, 0),
            ("service", "nodekeep-http", Use::Product, 1),
            ("repo", "nodekeep-testkit", Use::Tests, 0),
            ("repo", "nodekeep-testkit", Use::Product, 1),
            ("repo", "reqwest", Use::Product, 1),
            ("store", "aws-sdk-s3", Use::Product, 1),
            ("store", "object_store", Use::Feature, 0),
            ("repo", "object_store", Use::Feature, 1),
            ("repo", "nodekeep-testkit", Use::Feature, 1),
            ("http", "axum", Use::Product, 0),
        ];
        for (folder, package, used, expected) in cases {
            assert_eq!(objections(folder, &[(package, used)]), expected, "{folder} -> {package}");
        }
        assert_eq!(objections("misc", &[]), 1);
    }

    #[test]
    fn sources_follow_the_map() {
        let cases = [
            ("crates/repo/src/lib.rs", "use nodekeep_store::Store;", 0),
            ("crates/repo/src/lib.rs", "use nodekeep_nodes::Node;", 1),
            ("crates/repo/src/lib.rs", "let nodekeep_nodes_count = 1;", 0),
            ("crates/repo/src/lib.rs", "use nodekeep_testkit::tree;", 1),
            ("crates/repo/tests/it/main.rs", "use nodekeep_testkit::tree;", 0),
            (
                "crates/repo/src/lib.rs",
                "#[cfg(test)]\nmod tests {\n    use nodekeep_testkit::tree;\n}",
                0,
            ),
            ("xtask/src/main.rs", "use nodekeep_nodes::Node;", 0),
        ];
        for (path, code, expected) in cases {
            assert_eq!(check_source(Path::new(path), code).len(), expected, "{path}: {code}");
        }
    }
}
