//! Who a node is, and its runbook: both without secrets.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use nodekeep_nodes::identity::{Found, identities, stripped};
use nodekeep_nodes::manifest::Note;
use nodekeep_nodes::node::{Node, Registration};
use nodekeep_nodes::profile::builtin;
use nodekeep_nodes::runbook::{Facts, runbook};
use tempfile::TempDir;

const KEY: &str = "0100000000000000c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffee";

fn node(profile: &str, folder: &Path) -> Node {
    let profile = builtin::find(profile).unwrap();
    let roots = profile.roots.iter().map(|root| (root.name.clone(), folder.join(&root.name)));
    let paths: BTreeMap<_, _> = roots.collect();
    for path in paths.values() {
        fs::create_dir_all(path).unwrap();
    }
    let registration = Registration {
        name: "mine".to_owned(),
        profile: profile.name.clone(),
        paths,
        ..Default::default()
    };
    Node::new(registration, profile).unwrap()
}

#[test]
fn a_guts_node_is_told_by_its_public_key_and_never_by_its_key() {
    let folder = TempDir::new().unwrap();
    let node = node("guts", folder.path());
    fs::write(folder.path().join("config/node.key"), KEY).unwrap();
    fs::write(folder.path().join("config/config.yaml"), format!("p2p: {{private_key: '{KEY}'}}\n"))
        .unwrap();
    let found = identities(&node).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].found, found[1].found, "the same key in both places");
    assert!(
        matches!(&found[0].found, Found::Public { name: "validator key", value } if value.len() == 64)
    );
    assert!(!format!("{found:?}").contains("c0ffee"));
}

#[test]
fn what_has_no_public_part_has_a_fingerprint() {
    let folder = TempDir::new().unwrap();
    let node = node("relay", folder.path());
    let data = folder.path().join("data");
    fs::create_dir(data.join("security")).unwrap();
    fs::write(
        data.join("security/signal-keys.json"),
        r#"{"serverIdentity":{"privateKey":"secret","publicKey":"cHVi"}}"#,
    )
    .unwrap();
    fs::write(data.join("sender-keys.json"), "{}").unwrap();
    let shown = |node: &Node| -> Vec<Found> {
        identities(node).unwrap().into_iter().map(|identity| identity.found).collect()
    };
    let before = shown(&node);
    assert_eq!(before[0], Found::Public { name: "Signal identity key", value: "cHVi".to_owned() });
    assert!(matches!(&before[1], Found::Fingerprint(print) if print.len() == 32));
    assert_eq!(before[2], Found::Absent);
    fs::write(data.join("sender-keys.json"), "{ }").unwrap();
    assert_ne!(shown(&node)[1], before[1]);
    assert!(!format!("{before:?}").contains("secret"));
}

#[test]
fn a_test_instance_gets_no_identity() {
    let folder = TempDir::new().unwrap();
    let node = node("relay", folder.path());
    let names: Vec<String> =
        stripped(&node).unwrap().iter().map(|located| located.component.name.clone()).collect();
    assert_eq!(names, ["security", "sender-keys", "biometric-key"]);
}

#[test]
fn every_profile_makes_a_runbook_that_fits_a_page() {
    let folder = TempDir::new().unwrap();
    for name in builtin::names() {
        let text = runbook(&node(name, folder.path()), &Facts::default()).unwrap();
        let too_long = |line: &&str| {
            line.len() > 78
                && line.contains(' ')
                && !line.contains(&folder.path().display().to_string())
                && !line.starts_with("  #")
        };
        let wide: Vec<&str> = text
            .lines()
            .filter(too_long)
            .filter(|line| line.split(' ').filter(|w| !w.is_empty()).count() > 6)
            .collect();
        assert_eq!(wide, Vec::<&str>::new(), "{name}");
        assert!(
            text.contains("NO REPOSITORY HAS A BACKUP") && text.contains("never: nobody knows"),
            "{name}"
        );
    }
}

#[test]
fn a_runbook_says_what_is_known_of_this_node() {
    let folder = TempDir::new().unwrap();
    let facts = Facts {
        made_at: "2026-11-21T12:00:00Z".to_owned(),
        host: "blue".to_owned(),
        repositories: vec!["s3://far/away".to_owned()],
        last_backup: Some("2026-11-21T02:00:00Z (3f2a)".to_owned()),
        last_drill: Some("2026-11-20, passed in 4 min".to_owned()),
        notes: vec![Note::new("torn-tail", "17 bytes were torn")],
        contacts: vec![("Who decides".to_owned(), "Ann, 555".to_owned())],
    };
    let text = runbook(&node("guts", folder.path()), &facts).unwrap();
    for part in [
        "RUNBOOK: mine (Guts)",
        "s3://far/away",
        "2026-11-21T02:00:00Z (3f2a)",
        "passed in 4 min",
        "nodekeep restore mine --dry-run",
        "nodekeep restore --repo s3://far/away",
        "nodekeep node retire mine --from-repo",
        "WHAT IS NOT ON DISK",
        "17 bytes were torn",
        "Who decides: Ann, 555",
        "New server, same identity",
        "curl -fsS http://127.0.0.1:8080/health/ready",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("Who decides: ___"));
}
