//! Where files are cut. The frozen cuts stand in `testdata/vectors/v1.json`.

use std::collections::HashSet;

use nodekeep_repo::chunker::Sizes;
use nodekeep_repo::crypto::Secret;
use nodekeep_repo::id::DomainId;
use nodekeep_repo::keys::{Chunking, DomainKeys};

use super::noise;

const TABLES: [Sizes; 2] = [Sizes::MEDIA, Sizes::DATABASE];

pub fn chunking(fill: u8) -> Chunking {
    DomainKeys::new(DomainId([0; 16]), Secret([fill; 32])).chunking()
}

/// Lengths of all chunks of `data`.
pub fn cuts(chunking: &Chunking, mut data: &[u8], sizes: Sizes) -> Vec<usize> {
    let mut lengths = Vec::new();
    while !data.is_empty() {
        let len = chunking.cut(data, sizes);
        lengths.push(len);
        data = &data[len..];
    }
    lengths
}

fn pieces(chunking: &Chunking, data: &[u8], sizes: Sizes) -> HashSet<[u8; 32]> {
    let mut at = 0;
    let cut = cuts(chunking, data, sizes).into_iter().map(|len| {
        at += len;
        *blake3::hash(&data[at - len..at]).as_bytes()
    });
    cut.collect()
}

#[test]
fn chunks_have_their_sizes() {
    let data = noise(11, 24 << 20);
    for sizes in TABLES {
        let lengths = cuts(&chunking(1), &data, sizes);
        assert_eq!(lengths.iter().sum::<usize>(), data.len());
        let (last, all) = lengths.split_last().unwrap();
        assert!(
            all.iter().all(|len| (sizes.min + 1..=sizes.max).contains(len)) && *last <= sizes.max
        );
        let mean = data.len() / lengths.len();
        let average = 1 << sizes.bits;
        assert!(mean > average / 2 && mean < average * 2, "{mean} on average for {average}");
        let constant = cuts(&chunking(1), &vec![0; 2 * sizes.max + 5], sizes);
        assert!(constant.iter().sum::<usize>() == 2 * sizes.max + 5 && constant.len() >= 3);
    }
}

#[test]
fn short_input_is_one_chunk() {
    for sizes in TABLES {
        for len in [0, 1, sizes.min - 1, sizes.min] {
            assert_eq!(chunking(1).cut(&noise(1, len), sizes), len);
        }
        assert!(chunking(1).cut(&noise(1, sizes.min + 1), sizes) > sizes.min);
    }
}

#[test]
fn a_cut_needs_only_the_bytes_before_it() {
    let data = noise(12, 6 << 20);
    for sizes in TABLES {
        let whole = chunking(1).cut(&data, sizes);
        for len in [sizes.max, whole, whole + 1] {
            assert_eq!(chunking(1).cut(&data[..len], sizes), whole, "{len} bytes at hand");
        }
    }
}

#[test]
fn an_insertion_moves_only_the_cuts_around_it() {
    let data = noise(13, 24 << 20);
    for (sizes, most_new) in [(Sizes::MEDIA, 4), (Sizes::DATABASE, 6)] {
        let before = pieces(&chunking(1), &data, sizes);
        for at in [0, 1_000_000, 12 << 20, data.len() - 1] {
            let changed = [&data[..at], b"inserted", &data[at..]].concat();
            let after = pieces(&chunking(1), &changed, sizes);
            let new = after.difference(&before).count();
            assert!(
                (1..=most_new).contains(&new),
                "{new} of {} chunks are new after an insertion at {at}",
                after.len()
            );
        }
    }
}

#[test]
fn another_key_cuts_elsewhere() {
    let data = noise(14, 16 << 20);
    for sizes in TABLES {
        let shared = pieces(&chunking(1), &data, sizes)
            .intersection(&pieces(&chunking(2), &data, sizes))
            .count();
        assert_eq!(shared, 0);
        assert_eq!(cuts(&chunking(1), &data, sizes), cuts(&chunking(1), &data, sizes));
    }
}
