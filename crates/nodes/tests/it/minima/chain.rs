//! Sections of a backup: the cascade, the tree with its tip and coins, and what verification makes of the whole.

use nodekeep_nodes::kind::{Outcome, Verified};
use nodekeep_nodes::minima::backup::{Contents, Section};
use nodekeep_nodes::minima::chain::Tree;
use nodekeep_nodes::minima::phrase::Phrase;
use nodekeep_nodes::minima::verify::{self, GIVEN_PHRASE, Keys, Parts};
use nodekeep_nodes::minima::wallet::Wallet;
use nodekeep_nodes::minima::wire::Reader;

use nodekeep_testkit::minima::scene::{self, WORDS, World, named};

fn read(section: &[u8]) -> Result<Tree, nodekeep_nodes::minima::error::Error> {
    Tree::read(&mut Reader::new(section))
}

fn failed(verified: &Verified) -> Vec<&str> {
    let failed = verified.checks.iter().filter(|check| check.outcome == Outcome::Failed);
    failed.map(|check| check.name.as_str()).collect()
}

#[test]
fn the_tree_tells_tip_root_and_own_coins() {
    let world = World::small();
    let section = scene::tree(&world.blocks[3..]);
    let tree = read(&section).unwrap();
    assert_eq!(tree.root().unwrap().header.number, 4);
    assert_eq!(tree.tip().unwrap().header.id, world.tip().id);
    let lengths: u64 = tree.blocks.iter().map(|block| block.range.end - block.range.start).sum();
    assert_eq!(tree.blocks[0].range.start, 4 - 1);
    assert_eq!(lengths + 3, section.len() as u64);
    let mut unspent: Vec<(u64, String)> =
        tree.unspent().iter().map(|coin| (coin.entry, coin.amount.to_string())).collect();
    unspent.sort();
    // Made in these blocks and not spent since: 110 was spent? No: coin 5 is, by nobody; coin 6 mentions us; coin 8 is the last.
    assert_eq!(unspent, [(5, "110".into()), (6, "30".into()), (8, "7".into())]);
}

#[test]
fn the_heavier_branch_wins() {
    let world = World::small();
    let mut blocks = world.blocks[..3].to_vec();
    // Another third block, and one above it.
    let mut other = World::default();
    other.block(&[], &[("mine", 100), ("other", 50), ("mine", 7)]);
    other.block(&[0], &[("other", 60), ("mine", 40)]);
    other.block(&[1], &[("mine", 50)]);
    other.block(&[], &[]);
    blocks.extend_from_slice(&other.blocks[2..]);
    let tree = read(&scene::tree(&blocks)).unwrap();
    assert_eq!(tree.tip().unwrap().header.id, other.tip().id);
    assert_eq!(tree.branch().len(), 4);
    // Of equals the first.
    let tree = read(&scene::tree(&blocks[..4])).unwrap();
    assert_eq!(tree.tip().unwrap().header.id, world.blocks[2].id);
}

#[test]
fn blocks_must_hang_together() {
    let world = World::small();
    let gap = [world.blocks[0].clone(), world.blocks[2].clone()];
    let twice = [world.blocks[0].clone(), world.blocks[1].clone(), world.blocks[1].clone()];
    assert!(read(&scene::tree(&gap)).unwrap_err().to_string().contains("parent"));
    assert!(read(&scene::tree(&twice)).unwrap_err().to_string().contains("twice"));
    assert!(read(&[0, 1, 0]).unwrap().tip().is_none(), "an empty tree has no tip");
}

#[test]
fn a_whole_backup_is_sound_and_says_what_is_in_it() {
    let contents = scene::contents();
    let mut verified = verify::contents(&contents, Keys::All);
    let phrase = Phrase::clean(WORDS).unwrap();
    let wallet = Wallet::parse(contents.section(Section::Wallet)).unwrap();
    verify::phrase(&wallet, &phrase, &mut verified);
    assert!(verified.is_sound(), "{:?}", verified.checks);
    assert_eq!(verified.position.counters["blocks"], 6);
    assert_eq!(verified.position.counters["keys"], 2);
    assert_eq!(verified.position.labels["phrase"], "present");
    assert_eq!(verified.hashes["tip"], World::small().tip().id.to_string());
    let parts = Parts::read(&contents).unwrap();
    assert_eq!((parts.cascade.blocks, parts.history.len(), parts.phrase()), (3, 1, "present"));
}

#[test]
fn what_does_not_belong_together_fails_by_name() {
    let sql = scene::wallet([0, 0]);
    let replaced = |from: &str, to: &str| {
        verify::contents(&scene::contents_with(&sql.replace(from, to)), Keys::One)
    };
    assert_eq!(failed(&replaced("ZOO ZONE", "ZONE ZOO")), ["phrase"]);
    assert_eq!(failed(&replaced("U&'RETURN ''", "U&'RETURN NOT ''")), ["addresses"]);
    let seed = nodekeep_nodes::minima::wire::Hash::of(WORDS.as_bytes()).to_string();
    let other = replaced(&seed, &named("another seed").to_string());
    assert_eq!(failed(&other), ["phrase", "private keys", "public keys"]);
    let mut verified = Verified::default();
    let wallet = Wallet::parse(sql.as_bytes()).unwrap();
    verify::phrase(&wallet, &Phrase::clean("zoo zone").unwrap(), &mut verified);
    assert_eq!(failed(&verified), [GIVEN_PHRASE]);
    assert!(verified.checks[0].detail.contains("it has 2 words"));
}

#[test]
fn a_wiped_wallet_is_sound_without_its_phrase() {
    let contents = scene::contents_with(&scene::wiped(&scene::wallet([1, 1])));
    let verified = verify::contents(&contents, Keys::All);
    assert!(verified.is_sound(), "{:?}", verified.checks);
    assert_eq!(verified.position.labels["phrase"], "wiped");
    let mut verified = Verified::default();
    let wallet = Wallet::parse(contents.section(Section::Wallet)).unwrap();
    verify::phrase(&wallet, &Phrase::clean(WORDS).unwrap(), &mut verified);
    assert!(verified.is_sound(), "public keys settle it without private ones");
}

#[test]
fn a_tree_must_stand_on_its_cascade() {
    let world = World::small();
    let good = scene::contents();
    let sections = Section::ALL.map(|section| good.section(section));
    let cascade = scene::cascade(&world.blocks[..2]);
    let contents =
        Contents::of([sections[0], &cascade, sections[2], sections[3], sections[4], sections[5]]);
    assert_eq!(failed(&verify::contents(&contents, Keys::First(0))), ["cascade to chain"]);
}
