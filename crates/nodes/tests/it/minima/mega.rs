//! MegaMMR files: verified, and a wallet's coins proven from them.

use nodekeep_nodes::minima::address::Address;
use nodekeep_nodes::minima::mega::{self, Wanted};
use nodekeep_nodes::minima::mmr::{Place, peaks_of};
use nodekeep_nodes::minima::wire::Write;

use nodekeep_testkit::minima::scene::{self, World, named};

#[test]
fn a_file_is_read_to_its_end() {
    let file = scene::mega();
    let found = mega::verify(file.as_slice()).unwrap();
    assert_eq!((found.range.block, found.range.leaves, found.coins, found.blocks), (3, 5, 4, 3));
    assert_eq!(found.tip.unwrap().id, World::small().tip().id);
    let blocks = &file[found.blocks_at as usize..];
    let world = World::small();
    assert_eq!(blocks, scene::ibd(Some(&world.blocks[..3]), &world.blocks[3..]));
}

#[test]
fn coins_are_proven_after_the_first_block() {
    let file = scene::mega();
    // After the fourth block, which spends coins 1 and 3 and makes coin 5.
    let mut world = World::default();
    world.block(&[], &[("mine", 100), ("other", 50), ("mine", 7)]);
    world.block(&[0], &[("other", 60), ("mine", 40)]);
    world.block(&[], &[]);
    world.block(&[1, 3], &[("mine", 110)]);
    let proofs = |whose: &str| {
        let wanted = Wanted::new(&[Address(named(whose))], &[]);
        mega::proofs(|| Ok(file.as_slice()), &wanted).unwrap()
    };
    // Coins 2 and 4 are spent by later blocks of the file; nothing of mine is left in the old part.
    assert!(proofs("mine").is_empty());
    assert!(proofs("nobody").is_empty());
    let short = shortened();
    let wanted = Wanted::new(&[Address(named("mine"))], &[]);
    let found = mega::proofs(|| Ok(short.as_slice()), &wanted).unwrap();
    let entries: Vec<u64> = found.iter().map(|proof| proof.coin.entry).collect();
    assert_eq!(entries, [2, 4]);
    for one in found {
        assert_eq!(one.proof.block, 4);
        let peak = peaks_of(6).into_iter().find(|peak| one.coin.entry >> peak.row == peak.entry);
        let top = one.proof.top(one.coin.leaf()).unwrap();
        assert_eq!(top, world.node(peak.unwrap()));
    }
    assert_eq!(peaks_of(6), [Place { row: 2, entry: 0 }, Place { row: 1, entry: 2 }]);
}

/// The same file with only the first of the recent blocks.
pub fn shortened() -> Vec<u8> {
    let file = scene::mega();
    let found = mega::verify(file.as_slice()).unwrap();
    let world = World::small();
    let mut short = file[..found.blocks_at as usize].to_vec();
    short.raw(&scene::ibd(Some(&world.blocks[..3]), &world.blocks[3..4]));
    short
}

#[test]
fn a_range_that_does_not_fit_is_refused() {
    let file = scene::mega();
    let found = mega::verify(file.as_slice()).unwrap();
    let world = World::small();
    let mut late = file[..found.blocks_at as usize].to_vec();
    late.raw(&scene::ibd(None, &world.blocks[4..]));
    assert!(mega::verify(late.as_slice()).unwrap_err().to_string().contains("do not start"));
    let surplus = [file.as_slice(), &[0]].concat();
    assert!(mega::verify(surplus.as_slice()).is_err());
}
