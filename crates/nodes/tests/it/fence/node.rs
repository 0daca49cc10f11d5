//! The fence of a whole node, from its profile's text: live, and restored elsewhere.

use std::collections::BTreeMap;
use std::fs;

use nodekeep_nodes::fence::look::Seen;
use nodekeep_nodes::fence::mark::{Origin, Value};
use nodekeep_nodes::fence::read::{State, look};
use nodekeep_nodes::node::{Node, Registration};
use nodekeep_nodes::profile::{Advance, parse};

use super::{machine, minutes};

const PROFILE: &str = r#"
name = "wallet"
title = "Wallet"
about = "A wallet with one-time keys."

[[root]]
name = "data"
about = "its state"

[[root]]
name = "logs"
about = "its logs"
optional = true

[[component]]
name = "keys"
about = "keys"
path = "{data}/keys"

[[component]]
name = "log"
about = "log"
path = "{logs}"

[[fence]]
name = "uses"
about = "One-time keys that are used twice give the key away."
kind = "key-uses"
component = "keys"
mark = { sqlite = { file = "wallet.db", query = "SELECT id, uses FROM keys" } }
advance = "UPDATE keys SET uses = :value WHERE id = :key"
margin-floor = 64

[[fence]]
name = "sent"
about = "Nonces must not be used twice."
kind = "nonce"
component = "log"
mark = { lines = { file = "sent.log" } }
"#;

fn node(data: &std::path::Path) -> Node {
    let profile = parse(PROFILE, "test").unwrap();
    let paths = BTreeMap::from([("data".to_owned(), data.to_owned())]);
    let registration = Registration {
        name: "w1".into(),
        profile: "wallet".into(),
        paths,
        ..Registration::default()
    };
    Node::new(registration, profile).unwrap()
}

#[test]
fn every_rule_of_a_node_is_looked_at_where_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    let (live, copy) = (folder.path().join("live"), folder.path().join("copy"));
    for (path, uses) in [(&live, 7), (&copy, 5)] {
        fs::create_dir_all(path.join("keys")).unwrap();
        let database = super::read::sqlite(&path.join("keys/wallet.db"));
        database.execute("UPDATE keys SET uses = ?1", [uses]).unwrap();
    }
    let node = node(&live);
    let moved = node.moved(BTreeMap::from([("data".to_owned(), copy)]));
    for (node, state, uses) in [(&node, State::Live, 7), (&moved, State::Copy, 5)] {
        let look = look(node, state);
        let Some(Seen::Read(marks)) = look.of("uses") else { panic!("{look:?}") };
        assert!(marks.len() == 2 && marks.iter().all(|mark| mark.value == Value::Number(uses)));
        // A folder that this node does not have.
        assert!(matches!(look.of("sent"), Some(Seen::Absent(_))));
        let reading = look.reading(minutes(1), machine("a"), Origin::Backup);
        assert_eq!(reading.rules().into_iter().collect::<Vec<_>>(), ["uses"]);
    }
}

#[test]
fn advance_belongs_to_its_source() {
    let profile = parse(PROFILE, "test").unwrap();
    assert!(
        matches!(&profile.fence[0].advance, Some(Advance::Statement(text)) if text.starts_with("UPDATE"))
    );
    for (from, to) in [
        ("margin-floor = 64", "margin-floor = -1"),
        ("kind = \"nonce\"", "kind = \"nonce\"\nadvance = \"echo\""),
        ("advance = \"UPDATE", "advance = [\"sh\"]\nforward = \"UPDATE"),
    ] {
        assert!(parse(&PROFILE.replace(from, to), "test").is_err(), "{to}");
    }
    let error =
        parse(&PROFILE.replace("kind = \"nonce\"", "kind = \"nonce\"\nadvance = \"x\""), "test");
    let error = error.unwrap_err().to_string();
    assert!(error.contains("fence `sent`: `advance` is a statement for `sqlite`"), "{error}");
}
