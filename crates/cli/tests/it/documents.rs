//! The fields of every document are those that `docs/json.md` names: a field that is missing there, or gone from the program, fails here.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::Bed;

const PAGE: &str = include_str!("../../../../docs/json.md");

/// What is below these has names that users and profiles give.
const NAMED_BY_USERS: [&str; 5] = ["tags", "paths", "counters", "labels", "hashes"];

/// Every field name at any depth, but for those that users and profiles give.
pub fn fields(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (name, below) in map {
                found.insert(name.clone());
                if !NAMED_BY_USERS.contains(&name.as_str()) {
                    fields(below, found);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields(item, found)),
        _ => {}
    }
}

/// Whether `docs/json.md` names it.
pub fn is_documented(field: &str) -> bool {
    PAGE.contains(&format!("\"{field}\""))
        || PAGE.contains(&format!("`{field}`"))
        || PAGE.contains(&format!("{field}:"))
}

#[test]
fn every_field_is_documented() {
    let bed = Bed::new();
    let commands: [&[&str]; 39] = [
        &["init"],
        &["node", "detect", "./data"],
        &["node", "add", "n", "--profile", "directory", "--path", "./data"],
        &["node", "list"],
        &["node", "profiles"],
        &["node", "identity", "n"],
        &["backup", "n"],
        &["restore", "n", "--dry-run"],
        &["restore", "n", "--yes"],
        &["drill", "n"],
        &["drill", "list"],
        &["runbook", "n"],
        &["snapshot", "delete", "n", "--yes"],
        &["backup", "./data", "--tag", "a=b"],
        &[],
        &["status"],
        &["check", "--data"],
        &["restore", "latest", "--target", "out", "--dry-run"],
        &["restore", "latest", "--target", "out"],
        &["snapshot", "list"],
        &["snapshot", "show", "latest"],
        &["snapshot", "ls", "latest", "-R"],
        &["snapshot", "find", "*"],
        &["snapshot", "diff", "latest", "latest"],
        &["snapshot", "export", "latest", "--output", "x.tar"],
        &["key", "list"],
        &["repo", "info"],
        &["init", "--repo", "./second"],
        &["repo", "copy", "--to", "./second"],
        &["repo", "repair", "--data", "--from", "./second"],
        &["repo", "scrub", "--share", "all"],
        &["repo", "scrub", "--status"],
        &["restore"],
        &["repo", "sessions"],
        &["repo", "mirror", "./replica", "--dry-run"],
        &["repo", "mirror", "./replica"],
        &["repo", "audit"],
        &["status"],
        &["snapshot", "prune", "--keep-last", "1"],
    ];
    for command in commands {
        let mut found = BTreeSet::new();
        fields(&bed.json(command), &mut found);
        assert!(!found.is_empty(), "{command:?}");
        let unknown: Vec<&String> = found.iter().filter(|field| !is_documented(field)).collect();
        assert!(unknown.is_empty(), "{command:?}: {unknown:?} are not in docs/json.md");
    }
}

#[test]
fn every_exit_code_is_documented() {
    let page = include_str!("../../../../docs/exit-codes.md");
    let source = include_str!("../../src/exit.rs");
    let words = source.lines().filter_map(|line| {
        line.trim().strip_prefix("Self::")?.split_once("=> \"")?.1.strip_suffix("\",")
    });
    let words: Vec<&str> = words.collect();
    assert!(words.len() > 10, "{words:?}");
    for word in words.iter().filter(|word| **word != "pipe") {
        assert!(page.contains(&format!("`{word}`")), "{word}");
    }
}
