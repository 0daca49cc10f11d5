//! Scenarios in which a pack is lost: repairs, and healings beside others.

use nodekeep_repo::monitor::Silent;
use nodekeep_repo::simulate::Bug;

use super::super::cast::{Cast, files, large};
use super::super::explore::Explorer;
use super::super::judge::Judge;
use super::super::trie::Trie;
use super::super::world::Stock;
use super::{NONE, PATIENT, may, must};

/// What the second snapshot needs is lost. The repair knows no replica; the judge does.
pub(super) fn repair(bug: Option<Bug>) -> Explorer {
    let mut cast = Cast::new(1, bug);
    let first = cast.back_up(0, "first", &files(&[("x", large(b'x'))]));
    let others = cast.data_packs();
    cast.back_up(0, "second", &files(&[("y", large(b'y'))]));
    let lost: Vec<String> =
        cast.data_packs().into_iter().filter(|name| !others.contains(name)).collect();
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
pub(super) fn healing(writes: bool, collects: bool, bug: Option<Bug>) -> Explorer {
    let mut cast = Cast::new(1, bug);
    let first = cast.back_up(0, "first", &files(&[("x", large(b'x'))]));
    let others = cast.data_packs();
    let second = cast.back_up(0, "second", &files(&[("y", large(b'y'))]));
    let lost: Vec<String> =
        cast.data_packs().into_iter().filter(|name| !others.contains(name)).collect();
    let third = cast.back_up(0, "third", &files(&[("x", large(b'x')), ("z", large(b'z'))]));
    let replica = cast.lose(&lost);
    let mut actors = vec![may(cast.healer("healer", &replica, second))];
    if writes {
        actors.push(may(cast.writer(0, "writer A", files(&[("y", large(b'y'))]), None)));
    }
    if collects {
        actors.push(may(cast.collector("collector", vec![third], PATIENT)));
    }
    let (mut stock, mut trie) = (Stock::default(), Trie::new());
    let world = cast.world(&mut stock);
    let experts = cast.healing_experts(&replica);
    let judge = Judge::new(&mut trie, experts, vec![first], vec![third], false);
    Explorer::new(stock, trie, judge, world, &actors, NONE)
}
