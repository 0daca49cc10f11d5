//! Scenarios in which a pack is lost: repairs, and healings beside others.

use nodekeep_repo::id::SnapshotId;
use nodekeep_repo::monitor::Silent;
use nodekeep_repo::simulate::Bug;

use super::super::cast::{Cast, files, large};
use super::super::explore::{Actor, Explorer};
use super::super::judge::Judge;
use super::super::trie::Trie;
use super::super::world::Stock;
use super::{NONE, PATIENT, may, must};

/// What the second snapshot needs is lost. The repair knows no replica; the judge does.
pub(super) fn repair(bug: Option<Bug>) -> Explorer {
    let mut cast = Cast::new(1, bug);
    let first = cast.back_up(0, "first", &files(&[("x", large(b'x'))]));
    let (_, lost) = second(&mut cast);
    let replica = cast.lose(&lost);
    let mend = |repo: &mut nodekeep_repo::repository::Repository| repo.repair(&Silent).map(drop);
    let actors = [
        must(cast.owner("repair", mend)),
        may(cast.writer(1, "writer A", files(&[("z", large(b'z'))]), None)),
    ];
    let (mut stock, mut trie) = (Stock::default(), Trie::new());
    let world = cast.world(&mut stock);
    let experts = cast.healing_experts(&replica);
    let judge = Judge::new(&mut trie, experts, vec![first], vec![], false);
    Explorer::new(stock, trie, judge, world, &actors, NONE)
}

/// What the second snapshot needs is lost, and a replica has it.
pub(super) fn healing(bug: Option<Bug>) -> Explorer {
    let mut cast = Cast::new(1, bug);
    let first = cast.back_up(0, "first", &files(&[("x", large(b'x'))]));
    let lost = second(&mut cast);
    let third = cast.back_up(0, "third", &files(&[("x", large(b'x')), ("z", large(b'z'))]));
    let writer = may(cast.writer(0, "writer A", files(&[("y", large(b'y'))]), None));
    healed(&cast, &lost, writer, vec![first], third)
}

/// The same, and a collector that deletes the only other snapshot.
pub(super) fn healing_beside_collector(bug: Option<Bug>) -> Explorer {
    let mut cast = Cast::new(1, bug);
    let lost = second(&mut cast);
    let third = cast.back_up(0, "third", &files(&[("z", large(b'z'))]));
    let collector = may(cast.collector("collector", vec![third], PATIENT));
    healed(&cast, &lost, collector, vec![], third)
}

/// Backs up a second snapshot; returns the packs with its content.
fn second(cast: &mut Cast) -> (SnapshotId, Vec<String>) {
    let others = cast.data_packs();
    let second = cast.back_up(0, "second", &files(&[("y", large(b'y'))]));
    let packs = cast.data_packs().into_iter();
    (second, packs.filter(|name| !others.contains(name)).collect())
}

fn healed(
    cast: &Cast,
    (second, lost): &(SnapshotId, Vec<String>),
    other: Actor,
    kept: Vec<SnapshotId>,
    may_go: SnapshotId,
) -> Explorer {
    let replica = cast.lose(lost);
    let actors = [may(cast.healer("healer", &replica, *second)), other];
    let (mut stock, mut trie) = (Stock::default(), Trie::new());
    let world = cast.world(&mut stock);
    let experts = cast.healing_experts(&replica);
    let judge = Judge::new(&mut trie, experts, kept, vec![may_go], false);
    Explorer::new(stock, trie, judge, world, &actors, NONE)
}
