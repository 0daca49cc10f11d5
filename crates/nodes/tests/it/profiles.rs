//! Profiles: the built-in ones hold together, and mistakes are named with their place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use nodekeep_nodes::node::{Node, Registration};
use nodekeep_nodes::profile::{Line, Profile, builtin, fill, parse};

/// The smallest profile, to which each case adds a mistake.
const SMALL: &str = r#"
name = "small"
title = "Small"
about = "One folder."

[[root]]
name = "data"
about = "the folder"

[[component]]
name = "all"
about = "everything"
path = "{data}"
"#;

fn registered(profile: Profile) -> Node {
    let roots = profile.roots.iter().map(|root| root.name.clone());
    let paths: BTreeMap<String, PathBuf> =
        roots.map(|name| (name.clone(), PathBuf::from("/srv").join(name))).collect();
    let name = profile.name.clone();
    let registration =
        Registration { name: name.clone(), profile: name, paths, ..Default::default() };
    Node::new(registration, profile).unwrap()
}

#[test]
fn mistakes_are_named_with_their_place() {
    let cases: [(&str, &[&str]); 23] = [
        ("colour = \"red\"", &["line 6", "colour"]),
        (
            "[[component]]\nname = \"b\"\nabout = \"b\"\npath = \"/b\"\nprioritty = \"low\"",
            &["prioritty", "line 18"],
        ),
        (
            "[[component]]\nname = \"b\"\nabout = \"b\"\npath = \"/b\"\npriority = \"urgent\"",
            &["line 18", "urgent", "critical"],
        ),
        ("[[component]]\nname = \"b\"\nabout = \"b\"", &["missing field `path`"]),
        (
            "[[component]]\nname = \"all\"\nabout = \"b\"\npath = \"/b\"",
            &["two components", "`all`"],
        ),
        (
            "[[component]]\nname = \"b\"\nabout = \"b\"\npath = \"/b\"\nkind = \"mysql\"",
            &["component `b`", "mysql", "rocksdb"],
        ),
        (
            "[[component]]\nname = \"b\"\nabout = \"b\"\npath = \"/b\"\nkind = \"jsonl-chain\"",
            &["component `b`", "`chain`"],
        ),
        (
            "[[component]]\nname = \"b\"\nabout = \"b\"\npath = \"/b\"\n[component.options]\ndump = \"cat\"",
            &["component `b`", "`dump`", "files"],
        ),
        (
            "[[component]]\nname = \"b\"\nabout = \"b\"\npath = \"/b\"\n[[component.part]]\npath = \"../x\"\nkind = \"git\"",
            &["`../x`", "below"],
        ),
        (
            "[[component]]\nname = \"b\"\nabout = \"b\"\npath = \"/b\"\n[[component.part]]\npath = \"x\"\nkind = \"postgres\"\noptions = { method = \"dump\" }",
            &["`x`", "of its own"],
        ),
        (
            "[[component]]\nname = \"b\"\nabout = \"b\"\npath = \"/b\"\nkind = \"postgres\"\noptions = { restore-while = \"running\" }",
            &["component `b`", "`restore-while`"],
        ),
        ("[[component]]\nname = \"B\"\nabout = \"b\"\npath = \"/b\"", &["`B`", "a-z"]),
        ("[[root]]\nname = \"data\"\nabout = \"again\"", &["two root", "`data`"]),
        (
            "[[variable]]\nname = \"data\"\nabout = \"again\"\ndefault = \"\"",
            &["two root", "`data`"],
        ),
        ("[hold]\nmethod = \"maintenance\"", &["hold", "`enter`"]),
        ("[hold]\nmethod = \"freeze\"", &["hold", "`process`"]),
        ("[hold]\nmethod = \"lvm\"", &["hold", "`volume`"]),
        ("[hold]\nmethod = \"pause\"", &["line 15", "pause"]),
        ("[[health]]\nname = \"up\"", &["health `up`", "http, tcp, command and minima"]),
        ("[[health]]\nname = \"up\"\ntcp = \"a:1\"\nhttp = \"http://a\"", &["health `up`"]),
        (
            "[[fence]]\nname = \"f\"\nabout = \"a\"\nkind = \"nonce\"\ncomponent = \"other\"\nmark = { lines = { file = \"x\" } }",
            &["fence `f`", "`other`"],
        ),
        (
            "[[fence]]\nname = \"f\"\nabout = \"a\"\nkind = \"nonce\"\ncomponent = \"all\"\nmark = { line = { file = \"x\" } }",
            &["line", "lines"],
        ),
        ("[[verify]]\nname = \"v\"\ncommand = 5", &["line 16"]),
    ];
    for (mistake, expected) in cases {
        // A key of the whole profile must stand before the first table.
        let text = if mistake.starts_with('[') {
            format!("{SMALL}{mistake}\n")
        } else {
            SMALL.replacen("\n[[root]]", &format!("\n{mistake}\n[[root]]"), 1)
        };
        let error = parse(&text, "small.toml").unwrap_err().to_string();
        assert!(error.starts_with("small.toml: "), "{error}");
        for part in expected {
            assert!(error.contains(part), "{mistake}\nshould name {part}:\n{error}");
        }
    }
}

#[test]
fn a_profile_owns_something() {
    let head = "name = \"x\"\ntitle = \"x\"\nabout = \"x\"\n";
    assert!(parse(head, "x").unwrap_err().to_string().contains("[[root]]"));
}

#[test]
fn every_placeholder_of_the_built_in_profiles_has_a_value() {
    for profile in builtin::all().unwrap() {
        let node = registered(profile);
        let mut variables = node.variables();
        variables.insert("file".to_owned(), "/srv/file".to_owned());
        for text in texts(&node.profile) {
            fill(&text, &variables).unwrap_or_else(|e| panic!("{}: {text}: {e}", node.name()));
        }
        assert_eq!(node.components().unwrap().len(), node.profile.components.len());
    }
}

/// Every text of a profile that may have placeholders.
fn texts(profile: &Profile) -> Vec<String> {
    let mut texts = Vec::new();
    for component in &profile.components {
        texts.push(component.path.clone());
        texts.extend(component.exclude.clone());
        if let nodekeep_nodes::profile::Kind::Command(rule) = &component.kind {
            texts.extend(argv([Some(&rule.dump), rule.restore.as_ref(), rule.check.as_ref()]));
        }
    }
    let service = &profile.service;
    texts.extend(argv([service.stop.as_ref(), service.start.as_ref(), service.running.as_ref()]));
    texts.extend(argv(profile.hooks.after_restore.iter().map(Some)));
    texts.extend(argv(profile.verify.iter().map(|rule| Some(&rule.command))));
    texts
}

fn argv<'a>(lines: impl IntoIterator<Item = Option<&'a Line>>) -> Vec<String> {
    lines.into_iter().flatten().flat_map(|line| line.argv.clone()).collect()
}

#[test]
fn what_lies_in_two_components_is_left_out_of_the_wider_one() {
    for profile in builtin::all().unwrap() {
        let node = registered(profile);
        let variables = node.variables();
        let located = node.components().unwrap();
        for wide in &located {
            let left_out: BTreeSet<String> =
                wide.component.exclude.iter().map(|glob| fill(glob, &variables).unwrap()).collect();
            for narrow in located
                .iter()
                .filter(|other| other.path != wide.path && other.path.starts_with(&wide.path))
            {
                let path = narrow.path.display().to_string();
                assert!(
                    left_out.contains(&path),
                    "{}: {path} lies in `{}` too",
                    node.name(),
                    wide.component.name
                );
            }
        }
    }
}

#[test]
fn stopping_profiles_can_start_again() {
    for profile in builtin::all().unwrap() {
        assert_eq!(
            profile.service.stop.is_some(),
            profile.service.start.is_some(),
            "{}",
            profile.name
        );
        if profile.hold.method == nodekeep_nodes::profile::HoldMethod::Stop {
            assert!(profile.service.stop.is_some(), "{}", profile.name);
        }
    }
}

#[test]
fn the_chain_is_captured_before_the_nonces() {
    let relay = builtin::find("relay").unwrap();
    let parts: Vec<&str> =
        relay.components[0].parts.iter().map(|part| part.path.as_str()).collect();
    assert_eq!(parts, ["chain.jsonl", "nonces.jsonl"]);
}
