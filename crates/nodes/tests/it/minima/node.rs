//! A running node through its own commands; a stand-in takes its place, the suite `test-minima` has the real one.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nodekeep_nodes::kind::minima::back::{compare_with, end, give};
use nodekeep_nodes::kind::minima::fetch_state;
use nodekeep_nodes::kind::{Outcome, Verified};
use nodekeep_nodes::minima::backup::Section;
use nodekeep_nodes::minima::ending::Ended;
use nodekeep_nodes::minima::link::{Link, one_time_password};
use nodekeep_nodes::minima::rpc::RpcError;
use nodekeep_nodes::minima::wallet::Wallet;
use nodekeep_nodes::minima::wire::Write as _;
use nodekeep_nodes::profile::{MinimaPart, MinimaRule};
use tempfile::TempDir;

use nodekeep_testkit::minima::scene::{self, World};
use nodekeep_testkit::minima::standin::{INSIDE, Mode, StandIn};

/// A stand-in that runs, and how it is reached.
fn running(password: &str, inside: &str) -> (TempDir, StandIn, Link) {
    let home = tempfile::tempdir().unwrap();
    let contents = scene::contents_with(&scene::wallet([3, 0]));
    let mut node = StandIn::lay(&home.path().join("node"), &contents, password);
    node.start();
    let link = link(&node, password, inside);
    (home, node, link)
}

fn link(node: &StandIn, password: &str, inside: &str) -> Link {
    let file = node.folder.join("our-password");
    fs::write(&file, format!("{password}\n")).unwrap();
    let text = |path: &Path| path.display().to_string();
    let rule = MinimaRule {
        take: MinimaPart::State,
        rpc: format!("http://127.0.0.1:{}", node.port()),
        password_file: if password.is_empty() { String::new() } else { text(&file) },
        data: text(&node.folder.join("1.0")),
        exchange: text(&node.folder.join("exchange")),
        inside: inside.to_owned(),
        ends_within: Duration::from_secs(2),
    };
    Link::of(&rule, &Default::default()).unwrap()
}

fn exchange(node: &StandIn) -> usize {
    fs::read_dir(node.folder.join("exchange")).map_or(0, Iterator::count)
}

fn outcome(verified: &Verified, name: &str) -> Outcome {
    verified.checks.iter().find(|check| check.name == name).unwrap().outcome
}

#[test]
fn a_node_is_asked_how_it_stands() {
    let (_home, node, link) = running("", "");
    let standing = link.rpc.standing().unwrap();
    assert_eq!((standing.version.as_str(), standing.block), ("stand-in", 6));
    assert!(!standing.is_locked);
    let keys = link.rpc.keys().unwrap();
    assert_eq!(keys.iter().map(|key| key.uses).collect::<Vec<_>>(), [3, 0]);
    assert_eq!(link.rpc.coins().unwrap().len(), 3);
    link.rpc.wait_for_keys(Duration::ZERO).unwrap();
    assert_eq!(node.asked(), ["status", "keys", "coins", "restore"]);
}

#[test]
fn its_password_is_sent_as_it_wants_it() {
    let (_home, node, right) = running("odd:pass;word \"x\"", "");
    assert_eq!(right.rpc.standing().unwrap().block, 6);
    for wrong in ["", "odd"] {
        let error = link(&node, wrong, "").rpc.standing().unwrap_err();
        assert!(matches!(error, RpcError::Refused { .. }), "{error}");
    }
}

#[test]
fn its_state_comes_whole_and_leaves_nothing_behind() {
    let (_home, node, link) = running("", "");
    let fetched = fetch_state(&link).unwrap();
    assert_eq!(fetched.contents, node.state());
    assert!(!fetched.is_automatic);
    assert_eq!(exchange(&node), 0);
}

#[test]
fn a_node_in_a_container_names_files_otherwise() {
    let (_home, node, right) = running("", &format!("{INSIDE}/exchange"));
    assert_eq!(fetch_state(&right).unwrap().contents, node.state());
    // It writes where it was told, which is nowhere that this machine sees.
    fs::create_dir(node.folder.join("elsewhere")).unwrap();
    let wrong = link(&node, "", &format!("{INSIDE}/elsewhere"));
    let error = fetch_state(&wrong).unwrap_err().to_string();
    assert!(error.contains("exchange-inside"), "{error}");
    assert_eq!(exchange(&node), 0);
}

#[test]
fn a_node_that_took_a_state_ends_by_itself() {
    let (_home, mut node, link) = running("", "");
    let higher = scene::contents_with(&scene::wallet([70, 10]));
    let said = give(&link, &higher).unwrap();
    assert_eq!(said, ["the node took it and ended by itself"]);
    assert_eq!(node.uses(), [70 + 256, 10 + 256]);
    assert_eq!(exchange(&node), 0);
    node.start();
    let verified = compare_with(&link, &higher, Path::new("copy")).unwrap();
    assert!(verified.is_sound());
    let above = scene::contents_with(&scene::wallet([70 + 257, 0]));
    let verified = compare_with(&link, &above, Path::new("copy")).unwrap();
    assert_eq!(outcome(&verified, "keys"), Outcome::Failed);
    assert_eq!(outcome(&verified, "coins"), Outcome::Passed);
}

#[test]
fn a_node_that_hangs_is_ended_by_its_id_and_what_it_left_is_shredded() {
    let (_home, node, link) = running("", "");
    node.set(Mode::Hangs);
    let process = link.process().expect("the listener is seen");
    assert_eq!(process.pid, node.pid());
    let said = give(&link, &node.state()).unwrap();
    assert!(said[0].contains(&format!("its process {} was ended", node.pid())), "{said:?}");
    assert!(said[1].contains("wallet.sql was overwritten and removed"), "{said:?}");
    assert!(!process.is_alive());
    assert!(!node.folder.join("1.0/restore/wallet.sql").exists());
}

#[test]
fn coins_of_another_block_are_put_aside_and_fitting_ones_are_not() {
    let (_home, mut node, link) = running("", "");
    let databases = node.folder.join("1.0/databases");
    fs::create_dir(&databases).unwrap();
    let world = World::small();
    // The tree begins with block 4, so that all coins are those after block 3.
    fs::write(databases.join("chaintree.db"), scene::tree(&world.blocks[3..])).unwrap();
    let coins = |block: u64| {
        let mut out = Vec::new();
        out.whole(1).raw(&world.range(block)).whole(0);
        fs::write(databases.join("megammr.mmr"), &out).unwrap();
        out
    };
    coins(3);
    assert_eq!(give(&link, &node.state()).unwrap().len(), 1);
    assert!(databases.join("megammr.mmr").exists());
    node.start();
    let stale = coins(2);
    let said = give(&link, &node.state()).unwrap();
    assert!(said[1].contains("is of block 2, and its chain begins with block 4"), "{said:?}");
    assert!(!databases.join("megammr.mmr").exists());
    assert_eq!(fs::read(databases.join("megammr.mmr.of-block-2")).unwrap(), stale);
}

#[test]
fn a_refusal_names_no_secret_and_leaves_the_node_as_it_is() {
    let (_home, node, link) = running("", "");
    let parcel = link.send(b"no backup".as_slice(), "bak").unwrap();
    let password = one_time_password().unwrap();
    let failed = link.rpc.take_back(&parcel.inside, &password).unwrap_err();
    assert!(failed.to_string().contains("no backup"), "{failed}");
    assert!(!failed.to_string().contains(password.reveal()), "{failed}");
    assert!(!failed.is_open());
    fs::create_dir_all(node.folder.join("1.0/restore")).unwrap();
    fs::write(node.folder.join("1.0/restore/wallet.sql"), b"words").unwrap();
    let process = link.process();
    end(&link, process.as_ref(), Some(failed)).unwrap_err();
    assert!(process.is_some_and(|process| process.is_alive()));
    assert!(!node.folder.join("1.0/restore/wallet.sql").exists());
    assert_eq!(node.uses(), [3, 0]);
}

#[test]
fn an_end_that_cannot_be_seen_is_told_by_silence() {
    let (_home, node, link) = running("", "");
    assert_eq!(link.wait_for_end(None).unwrap(), Ended::StillAnswers);
    let process = link.process().unwrap();
    node.set(Mode::Healthy);
    let wallet = Wallet::parse(node.state().section(Section::Wallet)).unwrap();
    assert_eq!(wallet.keys.len(), 2);
    give(&link, &node.state()).unwrap();
    assert!(!process.is_alive());
    assert_eq!(link.wait_for_end(None).unwrap(), Ended::ByItself);
}

#[test]
fn a_failure_deep_in_an_answer_that_says_all_is_well_is_found() {
    let (_home, node, link) = running("", "");
    node.set(Mode::FailsMidway);
    let archive = link.send(b"blocks".as_slice(), "raw.dat").unwrap();
    let failed = link.rpc.reset(&archive.inside, None).unwrap_err();
    assert_eq!(failed.to_string(), "`reset` was refused by the node: no such block");
    assert!(!failed.is_open());
    let failed = link.rpc.sync_coins("127.0.0.1:9001", None).unwrap_err();
    assert!(matches!(failed, RpcError::Failed { .. }), "{failed}");
}
