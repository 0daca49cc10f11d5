//! The fence from end to end, for each kind of state that must never run backwards: an older snapshot is refused with the exact numbers, the
//! right remedy works, and what is known survives the loss of the machine's disk.

use std::fs;

use nodekeep_nodes::fence::remedy::Remedy;
use nodekeep_nodes::node::Node;
use nodekeep_service::error::Error;
use nodekeep_service::restore::{Restored, Wish};

use crate::lab::{Machine, lay, read};

/// A node with one fenced component and everything else. `KIND`, `MARK` and more are filled in.
const NODE: &str = r#"
name = "fenced"
title = "Fenced"
about = "For tests."
[[root]]
name = "data"
about = "its data"
[[component]]
name = "state"
about = "what must not run backwards"
path = "{data}/state"
[[component]]
name = "rest"
about = "everything else"
path = "{data}"
[[fence]]
name = "fence"
about = "It would do harm."
kind = "KIND"
component = "state"
margin-floor = 10
mark = MARK
"#;

/// One kind of state.
struct Case {
    kind: &'static str,
    mark: String,
    /// Its file, as it was and as it is now.
    file: &'static str,
    then: String,
    now: String,
    /// What a refusal names.
    numbers: &'static [&'static str],
    remedy: Remedy,
    /// What lies there after the remedy; `None`: nothing.
    after: Option<&'static str>,
}

fn chain() -> String {
    format!("0x{}", "04".repeat(32))
}

/// An EIP-3076 document of one validator.
fn protection(source: u64, target: u64, slot: u64) -> String {
    let validator = format!("0x{}", "07".repeat(48));
    format!(
        r#"{{"metadata":{{"interchange_format_version":"5","genesis_validators_root":"{}"}},"data":[{{"pubkey":"{validator}","signed_blocks":[{{"slot":"{slot}"}}],"signed_attestations":[{{"source_epoch":"{source}","target_epoch":"{target}"}}]}}]}}"#,
        chain()
    )
}

fn vote(height: u64, round: u64) -> String {
    format!(r#"{{"height":"{height}","round":{round},"step":3,"signature":"x","signbytes":"y"}}"#)
}

fn cases() -> Vec<Case> {
    let content = r#"{ content = { files = ["*"] } }"#;
    vec![
        Case {
            kind: "key-uses",
            mark: r#"{ json = { file = "uses.json", pointer = "/uses" } }"#.to_owned(),
            file: "uses.json",
            then: r#"{"uses":{"k1":4}}"#.to_owned(),
            now: r#"{"uses":{"k1":7}}"#.to_owned(),
            numbers: &["k1", "7 -> 4, 3 back"],
            remedy: Remedy::Advance,
            after: Some(r#""k1":7"#),
        },
        Case {
            kind: "nonce",
            mark: r#"{ json = { file = "nonce.json", pointer = "/nonce" } }"#.to_owned(),
            file: "nonce.json",
            then: r#"{"nonce":11}"#.to_owned(),
            now: r#"{"nonce":12}"#.to_owned(),
            numbers: &["12 -> 11, 1 back"],
            remedy: Remedy::Advance,
            after: Some(r#""nonce":12"#),
        },
        Case {
            kind: "slashing-protection",
            mark: r#"{ slashing = { file = "eip.json" } }"#.to_owned(),
            file: "eip.json",
            then: protection(280, 281, 9000),
            now: protection(290, 291, 9321),
            numbers: &["source epoch: 290 -> 280, 10 back", "block slot: 9321 -> 9000, 321 back"],
            remedy: Remedy::Import,
            after: Some(r#""291""#),
        },
        Case {
            kind: "validator-state",
            mark: r#"{ json = { file = "vote.json", pointer = "" } }"#.to_owned(),
            file: "vote.json",
            then: vote(98, 2),
            now: vote(105, 0),
            numbers: &["height: 105 -> 98, 7 back"],
            remedy: Remedy::Advance,
            after: Some(r#""105""#),
        },
        Case {
            kind: "ratchet",
            mark: content.to_owned(),
            file: "sessions.json",
            then: "chain key 17".to_owned(),
            now: "chain key 42".to_owned(),
            numbers: &["generation 2", "generation 1"],
            remedy: Remedy::Drop,
            after: None,
        },
        Case {
            kind: "channel",
            mark: content.to_owned(),
            file: "channel.db",
            then: "balance 1".to_owned(),
            now: "balance 2".to_owned(),
            numbers: &["generation 2", "generation 1"],
            remedy: Remedy::Without,
            after: Some("balance 2"),
        },
    ]
}

struct Scene<'a> {
    machine: Machine,
    case: &'a Case,
}

impl<'a> Scene<'a> {
    /// Two snapshots: of what was, and of what is.
    fn new(case: &'a Case) -> Self {
        let scene = Self { machine: Machine::new(), case };
        scene.put(&case.then, "old");
        assert!(scene.machine.back_up(&scene.node()).is_whole());
        scene.put(&case.now, "new");
        assert!(scene.machine.back_up(&scene.node()).is_whole());
        scene
    }

    fn node(&self) -> Node {
        self.machine.node(&NODE.replace("KIND", self.case.kind).replace("MARK", &self.case.mark))
    }

    fn put(&self, state: &str, rest: &str) {
        let file = format!("state/{}", self.case.file);
        lay(&self.machine.data(), &[(&file, state), ("rest", rest)]);
    }

    fn state(&self) -> String {
        read(self.machine.data().join("state").join(self.case.file))
    }

    fn restore(&self, remedy: Option<Remedy>) -> Result<Restored, Error> {
        let remedies = remedy.map(|remedy| ("fence".to_owned(), remedy)).into_iter().collect();
        let wish = Wish { remedies, ..Wish::default() };
        let oldest = self.machine.snapshots().swap_remove(0);
        self.machine.ground().restore_node(&self.node(), &oldest, &self.machine.all(), &wish)
    }
}

#[test]
fn each_kind_is_refused_with_its_numbers_and_its_remedy_works() {
    for case in cases() {
        let scene = Scene::new(&case);
        let refused = scene.restore(None).unwrap_err();
        let text = refused.to_string();
        assert!(matches!(refused, Error::Rewinds { .. }), "{}: {text}", case.kind);
        for number in case.numbers {
            assert!(text.contains(number), "{}: {number} in {text}", case.kind);
        }
        assert_eq!(scene.state(), case.now, "{}: nothing was touched", case.kind);
        let restored = scene.restore(Some(case.remedy)).unwrap();
        assert!(!restored.remedies.is_empty(), "{}", case.kind);
        assert_eq!(read(scene.machine.data().join("rest")), "old", "{}", case.kind);
        match case.after {
            Some(part) => {
                let state = scene.state().replace(['\n', ' '], "");
                assert!(state.contains(&part.replace(' ', "")), "{}: {state}", case.kind);
            }
            None => assert_eq!(scene.state(), "entity not found", "{}", case.kind),
        }
    }
}

#[test]
fn each_kind_is_known_when_the_disk_is_lost() {
    for case in cases() {
        let scene = Scene::new(&case);
        fs::remove_dir_all(scene.machine.data()).unwrap();
        fs::remove_dir_all(scene.machine.folder.join("state/nodes")).unwrap();
        let text = scene.restore(None).unwrap_err().to_string();
        assert!(
            text.contains("unknown"),
            "what happened since is not known: {}: {text}",
            case.kind
        );
        for number in case.numbers {
            assert!(text.contains(number), "{}: {number} in {text}", case.kind);
        }
        assert_eq!(scene.state(), "entity not found", "{}", case.kind);
    }
}

/// A client like Lighthouse: it knows its database by the folder that it is started with, and by nothing else.
const CLIENT: &str = r#"
mark = { slashing = { export = "{data}/../client export {data}", import = "{data}/../client import {data} {file}" } }
"#;

/// Takes `export DATADIR` and `import DATADIR FILE`; a database must be below `validators`, and a key beside it.
const PROGRAM: &str = r#"#!/bin/sh
database="$2/validators/slashing_protection.json"
test -e "$2/secrets/key" || { echo "no keys in $2" >&2; exit 2; }
case "$1" in
  export) cat "$database" ;;
  import) test -e "$database" || { echo "no database in $2" >&2; exit 3; }; cp "$3" "$database.new" && mv "$database.new" "$database" ;;
esac
"#;

#[test]
fn the_nodes_own_program_finds_the_restored_copy_where_its_words_say() {
    use std::os::unix::fs::PermissionsExt;
    let machine = Machine::new();
    lay(&machine.folder, &[("client", PROGRAM), ("data/secrets/key", "secret")]);
    fs::set_permissions(machine.folder.join("client"), PermissionsExt::from_mode(0o755)).unwrap();
    let profile = NODE
        .replace("\"{data}/state\"", "\"{data}/validators\"")
        .replace(
            "name = \"rest\"\nabout = \"everything else\"\npath = \"{data}\"",
            "name = \"secrets\"\nabout = \"keys\"\npath = \"{data}/secrets\"",
        )
        .replace("KIND", "slashing-protection")
        .replace("mark = MARK", CLIENT.trim())
        // The live program does not lie in the copy: it is named by its own place.
        .replace("{data}/../client", machine.folder.join("client").to_str().unwrap());
    let node = machine.node(&profile);
    let put = |document: &str| {
        lay(&machine.data(), &[("validators/slashing_protection.json", document)]);
    };
    put(&protection(280, 281, 9000));
    assert!(machine.back_up(&node).is_whole());
    put(&protection(290, 291, 9321));
    machine.back_up(&node);
    let oldest = machine.snapshots().swap_remove(0);
    let restore = |wish: &Wish| machine.ground().restore_node(&node, &oldest, &machine.all(), wish);
    let text = restore(&Wish::default()).unwrap_err().to_string();
    assert!(text.contains("291 -> 281"), "{text}");
    let wish = Wish { remedies: vec![("fence".to_owned(), Remedy::Import)], ..Wish::default() };
    let restored = restore(&wish).unwrap();
    assert!(restored.remedies[0].contains("1 validators were imported"), "{restored:?}");
    let database = machine.data().join("validators/slashing_protection.json");
    assert!(read(&database).contains("\"291\""), "{}", read(&database));
    assert!(fs::symlink_metadata(database.parent().unwrap()).unwrap().is_dir(), "no link is left");
    assert!(!machine.folder.join("scratch/remedy-n").exists());
}
