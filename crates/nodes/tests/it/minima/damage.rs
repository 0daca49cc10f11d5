//! Every byte flipped, every length cut, and arbitrary bytes: refused or harmless, never a panic.

use nodekeep_nodes::minima::backup::{Contents, Section};
use nodekeep_nodes::minima::ibd::Blocks;
use nodekeep_nodes::minima::verify::{self, Keys, Parts};
use nodekeep_nodes::minima::wallet::{Wallet, raise};
use nodekeep_nodes::minima::wire::{Hash, Reader};
use nodekeep_nodes::minima::{chain, history, mega};
use proptest::prelude::*;
use zeroize::Zeroizing;

use nodekeep_testkit::minima::scene::{self, World};

fn flips(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> + '_ {
    (0..bytes.len()).map(|at| {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 1 << (at % 8);
        (at, damaged)
    })
}

/// The blocks of a run, if all is well.
fn ids(bytes: &[u8]) -> Option<Vec<Hash>> {
    let mut blocks = Blocks::begin(Reader::new(bytes)).ok()?;
    let mut ids = Vec::new();
    while let Some(block) = blocks.next_block().ok()? {
        ids.push(block.block.header().id);
    }
    blocks.finish().ok()?.end().ok()?;
    Some(ids)
}

#[test]
fn a_flip_in_a_run_of_blocks_is_refused_or_harmless() {
    let world = World::small();
    let good = scene::ibd(Some(&world.blocks[..3]), &world.blocks[3..]);
    let known = ids(&good).unwrap();
    let mut passed = 0;
    for (at, damaged) in flips(&good) {
        // Nothing follows the last block, so nothing holds its header.
        let Some(found) = ids(&damaged) else { continue };
        assert_eq!(found[..2], known[..2], "byte {at}");
        passed += 1;
    }
    assert!(passed < good.len() / 4, "{passed} of {} flips pass", good.len());
    for length in 0..good.len() {
        assert_eq!(ids(&good[..length]), None, "{length}");
    }
}

#[test]
fn a_flip_in_the_sections_is_refused_or_harmless() {
    let good = scene::contents();
    let plain = good.plaintext();
    let wallet = Wallet::parse(good.section(Section::Wallet)).unwrap();
    for (at, damaged) in flips(plain) {
        let Ok(contents) = Contents::from_plaintext(Zeroizing::new(damaged)) else { continue };
        if !verify::contents(&contents, Keys::First(0)).is_sound() {
            continue;
        }
        // What passes has the same private keys and phrase; public keys and uses are no secret of the seed.
        let parts = Parts::read(&contents).unwrap();
        assert_eq!(parts.wallet.secrets, wallet.secrets, "byte {at}");
    }
    for length in 0..plain.len() {
        let cut = Zeroizing::new(plain[..length].to_vec());
        assert!(Contents::from_plaintext(cut).is_err(), "{length}");
    }
}

#[test]
fn a_flip_in_a_megammr_is_refused_or_harmless() {
    let good = scene::mega();
    let known = mega::verify(good.as_slice()).unwrap();
    for (at, damaged) in flips(&good) {
        let Ok(found) = mega::verify(damaged.as_slice()) else { continue };
        assert_eq!(found.coins, known.coins, "byte {at}");
        assert_eq!(found.blocks, known.blocks, "byte {at}");
    }
    for length in 0..good.len() {
        assert!(mega::verify(&good[..length]).is_err(), "{length}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Contents::from_plaintext(Zeroizing::new(bytes.clone()));
        let _ = chain::Tree::read(&mut Reader::new(bytes.as_slice()));
        let _ = history::read(&mut Reader::new(bytes.as_slice()));
        let _ = mega::verify(bytes.as_slice());
        let _ = ids(&bytes);
        let _ = Wallet::parse(&bytes);
    }

    #[test]
    fn a_changed_wallet_is_refused_or_read(at in 0_usize..4000, length in 0_usize..40, put in "[ -~é'\"\\\\;]{0,20}") {
        thread_local! {
            static SQL: String = scene::wallet([3, 0]);
        }
        let mut sql = SQL.with(Clone::clone).into_bytes();
        let from = at.min(sql.len());
        let to = (from + length).min(sql.len());
        sql.splice(from..to, put.into_bytes());
        let _ = raise(&sql, |key| key.uses + 1);
    }
}
