//! Which packs go: a pure function of what lives where.

use crate::control::PackRef;
use crate::index::Index;
use crate::pack::PackKind;
use crate::walk::Bits;

/// So many small packs of a kind are left alone.
const SMALL_PACKS: usize = 8;

/// A pack that lies in the store and in no segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Orphan {
    pub(crate) pack: PackRef,
    pub(crate) size: u64,
}

/// What a pack holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) kind: PackKind,
    /// Bytes of the object.
    pub(crate) size: u64,
    /// Bytes of chunks.
    pub(crate) stored: u64,
    /// Bytes of chunks that live here.
    pub(crate) live: u64,
}

impl Usage {
    fn unused(&self) -> u64 {
        self.stored - self.live
    }
}

/// What a plan aims at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aim {
    /// Unused bytes may be so many percent of all.
    pub(crate) max_unused_percent: u8,
    /// Bytes of a full pack.
    pub(crate) pack_size: u64,
}

/// Packs to doom, by their number in the index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Packs {
    /// Nothing in them lives.
    pub(crate) whole: Vec<u32>,
    /// What lives in them is copied first.
    pub(crate) compact: Vec<u32>,
}

/// What each pack holds; `chosen` has a bit for the one place of each live chunk.
pub(crate) fn usage(index: &Index, chosen: &Bits) -> Vec<Usage> {
    let empty = |pack: &crate::index::Pack| Usage {
        kind: pack.pack.kind,
        size: pack.size,
        stored: 0,
        live: 0,
    };
    let mut usage: Vec<Usage> = index.packs.iter().map(empty).collect();
    for (at, place) in index.entries().iter().enumerate() {
        let pack = &mut usage[place.pack as usize];
        pack.stored += u64::from(place.stored);
        pack.live += if chosen.get(at) { u64::from(place.stored) } else { 0 };
    }
    usage
}

/// Chooses packs: the dead ones; then, cheapest rewrites first, as many as bring the unused bytes below the aim; then small ones, if
/// there are many of a kind.
pub(crate) fn choose(usage: &[Usage], aim: Aim) -> Packs {
    let (whole, kept): (Vec<u32>, Vec<u32>) =
        (0..usage.len() as u32).partition(|n| usage[*n as usize].live == 0);
    let mut compact = wasteful(usage, &kept, aim);
    for kind in [PackKind::Data, PackKind::Tree] {
        let small: Vec<u32> =
            kept.iter().copied().filter(|n| is_small(&usage[*n as usize], kind, aim)).collect();
        if small.len() > SMALL_PACKS {
            compact.extend(small);
        }
    }
    compact.sort_unstable();
    compact.dedup();
    Packs { whole, compact }
}

fn is_small(pack: &Usage, kind: PackKind, aim: Aim) -> bool {
    pack.kind == kind && pack.size < aim.pack_size / 4
}

fn wasteful(usage: &[Usage], kept: &[u32], aim: Aim) -> Vec<u32> {
    let at = |n: &u32| &usage[*n as usize];
    let mut by_cost: Vec<u32> = kept.iter().copied().filter(|n| at(n).unused() > 0).collect();
    // live/unused ascending, without division: a pack half of which lives costs a byte written for each byte won.
    by_cost.sort_by_key(|n| {
        let pack = at(n);
        (u128::from(pack.live) * u128::from(u32::MAX) / u128::from(pack.unused()), *n)
    });
    let mut total: u64 = kept.iter().map(|n| at(n).size).sum();
    let mut unused: u64 = kept.iter().map(|n| at(n).unused()).sum();
    let over = |unused: u64, total: u64| unused * 100 > total * u64::from(aim.max_unused_percent);
    let mut chosen = Vec::new();
    for n in by_cost {
        if !over(unused, total) {
            break;
        }
        unused -= at(&n).unused();
        total -= at(&n).unused();
        chosen.push(n);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AIM: Aim = Aim { max_unused_percent: 5, pack_size: 1000 };

    fn pack(size: u64, live: u64) -> Usage {
        Usage { kind: PackKind::Data, size, stored: size, live }
    }

    #[test]
    fn packs_go_for_the_reasons_given() {
        let cases: [(&str, Vec<Usage>, Packs); 5] = [
            ("nothing unused", vec![pack(1000, 1000); 3], Packs::default()),
            (
                "dead",
                vec![pack(1000, 0), pack(1000, 1000)],
                Packs { whole: vec![0], compact: vec![] },
            ),
            ("within the aim", vec![pack(1000, 960), pack(1000, 1000)], Packs::default()),
            (
                "cheapest first, and no more than needed",
                vec![pack(1000, 900), pack(1000, 100), pack(1000, 1000)],
                Packs { whole: vec![], compact: vec![1] },
            ),
            (
                "many small",
                vec![pack(100, 100); 9],
                Packs { whole: vec![], compact: (0..9).collect() },
            ),
        ];
        for (what, usage, expected) in cases {
            assert_eq!(choose(&usage, AIM), expected, "{what}");
        }
        let few_of_each: Vec<Usage> = (0..16)
            .map(|n| Usage { kind: [PackKind::Data, PackKind::Tree][n % 2], ..pack(100, 100) })
            .collect();
        assert_eq!(choose(&few_of_each, AIM), Packs::default(), "few small ones of each kind");
    }

    proptest! {
        #[test]
        fn what_stays_is_below_the_aim(list in prop::collection::vec((1u64..5000, 0u64..100), 0..30), percent in 0u8..100) {
            let usage: Vec<Usage> = list.iter().map(|(size, live)| pack(*size, size * live / 100)).collect();
            let packs = choose(&usage, Aim { max_unused_percent: percent, pack_size: 4 });
            let goes = |n: &u32| packs.whole.contains(n) || packs.compact.contains(n);
            let stays: Vec<Usage> =
                (0..usage.len() as u32).filter(|n| !goes(n)).map(|n| usage[n as usize]).collect();
            let unused: u64 = stays.iter().map(Usage::unused).sum();
            let copied: u64 = packs.compact.iter().map(|n| usage[*n as usize].live).sum();
            let total = stays.iter().map(|p| p.size).sum::<u64>() + copied;
            prop_assert!(unused * 100 <= total * u64::from(percent));
            prop_assert!(packs.whole.iter().all(|n| usage[*n as usize].live == 0));
        }
    }
}
