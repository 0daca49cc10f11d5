//! Nodes are recognised by what lies there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nodekeep_nodes::detect::{Guess, Look};
use nodekeep_nodes::profile::{Profile, builtin};
use tempfile::TempDir;

fn profiles() -> Vec<Profile> {
    builtin::all().unwrap()
}

fn make(folder: &Path, files: &[&str]) {
    for file in files {
        let path = folder.join(file);
        if file.ends_with('/') {
            fs::create_dir_all(path).unwrap();
        } else {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
    }
}

fn guess_at(folder: &Path) -> Vec<Guess> {
    Look::new(&profiles()).at(folder).unwrap().guesses
}

#[test]
fn each_kind_of_node_is_recognised() {
    let cases: [(&str, &[&str]); 11] = [
        ("relay", &["blockchain/chain.jsonl", "users/users.json"]),
        ("guts", &["guts-consensus/", "guts-finalized-blocks-ordinal/"]),
        ("minima", &["1.0/databases/"]),
        ("agentvault", &[".agentvault/config/agent.config.json", "index.js"]),
        ("agent-project", &["package.json", "agent.yaml"]),
        ("bitcoind", &["blocks/", "chainstate/", "peers.dat"]),
        ("geth", &["geth/chaindata/"]),
        ("lighthouse-validator", &["validators/slashing_protection.sqlite"]),
        ("ipfs-kubo", &["config", "datastore_spec", "version", "blocks/", "datastore/CURRENT"]),
        ("nostr-strfry", &["strfry.conf"]),
        ("matrix-synapse-sqlite", &["homeserver.yaml", "homeserver.db"]),
    ];
    for (profile, files) in cases {
        let folder = TempDir::new().unwrap();
        make(folder.path(), files);
        let guesses = guess_at(folder.path());
        assert_eq!(guesses.len(), 1, "{profile}: {guesses:?}");
        assert_eq!(guesses[0].profile, profile);
        assert!(guesses[0].paths.values().any(|path| path == folder.path()));
        assert!(!guesses[0].why.is_empty());
    }
}

#[test]
fn a_node_below_is_found_and_named_by_its_own_folder() {
    let project = TempDir::new().unwrap();
    make(project.path(), &["package.json", "data/blockchain/chain.jsonl", "data/users/users.json"]);
    make(
        project.path(),
        &["node_modules/x/blockchain/chain.jsonl", "node_modules/x/users/users.json"],
    );
    let guesses = guess_at(project.path());
    assert_eq!(guesses.len(), 1, "{guesses:?}");
    assert_eq!(guesses[0].paths["data"], project.path().join("data"));
    assert_eq!(guesses[0].why, ["blockchain/chain.jsonl", "users/users.json"]);
}

#[test]
fn the_surer_guess_comes_first() {
    let folder = TempDir::new().unwrap();
    make(
        folder.path(),
        &["package.json", "agent.yaml", ".agentvault/agent/", ".agentvault/canister/"],
    );
    let found: Vec<String> = guess_at(folder.path()).into_iter().map(|g| g.profile).collect();
    assert_eq!(found, ["agentvault", "agent-project"]);
}

#[test]
fn plain_folders_are_no_nodes() {
    let folder = TempDir::new().unwrap();
    make(folder.path(), &["config", "notes.txt", "blocks/", "homeserver.db"]);
    assert_eq!(guess_at(folder.path()), []);
}

#[test]
fn links_that_lead_back_end_the_look_nowhere_else() {
    let folder = TempDir::new().unwrap();
    make(folder.path(), &["a/b/c/"]);
    symlink(folder.path(), folder.path().join("a/b/c/up")).unwrap();
    symlink("strfry.conf", folder.path().join("strfry.conf")).unwrap();
    let profiles = profiles();
    let mut look = Look::new(&profiles);
    look.depth = 50;
    let detection = look.at(folder.path()).unwrap();
    assert_eq!(detection.guesses, []);
    assert!(!detection.is_cut_short);
    let named: Vec<_> = detection.unreadable.keys().collect();
    assert_eq!(named, [&folder.path().join("strfry.conf")], "a link to itself is named");
}

#[test]
fn the_look_is_bounded_and_says_so() {
    let folder = TempDir::new().unwrap();
    for name in 0..30 {
        make(folder.path(), &[&format!("{name}/")]);
    }
    let profiles = profiles();
    let mut look = Look::new(&profiles);
    look.entries = 20;
    assert!(look.at(folder.path()).unwrap().is_cut_short);
    look.entries = 30;
    assert!(!look.at(folder.path()).unwrap().is_cut_short);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let error = Look::new(&profiles()).at(Path::new("/nowhere/at/all")).unwrap_err();
    assert!(error.to_string().starts_with("/nowhere/at/all: cannot be looked at"), "{error}");
}

#[test]
fn usual_places_are_known() {
    let home = TempDir::new().unwrap();
    make(home.path(), &[".minima/1.0/databases/", ".bitcoin/"]);
    let profiles = profiles();
    let mut look = Look::new(&profiles);
    look.home = Some(home.path());
    let found: Vec<Guess> = look.usual().guesses;
    let minima = found.iter().find(|guess| guess.profile == "minima").unwrap();
    assert_eq!(minima.paths["data"], home.path().join(".minima"));
    assert!(found.iter().all(|guess| guess.profile != "bitcoind"), "an empty folder is none");
}

#[test]
fn folders_that_a_registration_needs_and_that_are_not_there_are_named() {
    let folder = TempDir::new().unwrap();
    make(folder.path(), &["guts-consensus/"]);
    let guesses = guess_at(folder.path());
    let has_config = Path::new("/etc/guts").is_dir();
    assert_eq!(guesses[0].missing.contains(&"config".to_owned()), !has_config);
}
