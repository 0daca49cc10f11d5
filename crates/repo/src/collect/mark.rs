//! What lives: the chunks that live snapshots reach, and for each of them the one place that is to stay.

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::id::SnapshotId;
use crate::index::{Entry as Place, Index};
use crate::pack::PackKind;
use crate::reader::{Buffers, ChunkReader};
use crate::repository::Repository;
use crate::view::View;
use crate::walk::{Bits, Walk};

/// The chunks that the live snapshots of a view reach, but for those in `without`: a bit each, as [`Walk`] sets them.
///
/// # Errors
/// If anything that they need is not there: what is damaged is not to be collected.
pub(super) fn reached(
    repo: &Repository,
    view: &View,
    reader: &ChunkReader,
    without: &HashSet<SnapshotId>,
    stop: &dyn Fn() -> bool,
) -> Result<Bits> {
    let (records, mut problems) = repo.snapshots_in(view)?;
    if let Some((_, error)) = problems.pop() {
        return Err(error);
    }
    let mut walk = Walk::new(reader);
    for record in records.iter().filter(|record| !without.contains(&record.id)) {
        walk.snapshot(&record.snapshot, stop)?;
        if let Some(flaw) = walk.flaws.pop() {
            return Err(flaw.error);
        }
    }
    Ok(walk.reached)
}

/// Chooses the places that stay: a bit each. Of several places of a chunk one stays, once it was read and found whole; where the keys
/// at hand cannot tell, or none is whole, all stay. `doomed` packs, by number, are the last choice.
pub(super) fn choose(reader: &ChunkReader, reached: &Bits, doomed: &HashSet<u32>) -> Result<Bits> {
    let index = reader.index();
    let mut chosen = Bits::new(index.entries().len());
    let mut live = vec![0u64; index.packs.len()];
    let mut several = Vec::new();
    for (from, group) in groups(index) {
        if !reached.get(from) {
            continue;
        }
        if let [place] = group {
            chosen.set(from);
            live[place.pack as usize] += u64::from(place.stored);
        } else {
            several.push(from..from + group.len());
        }
    }
    let mut buffers = Buffers::new();
    for range in several {
        let mut order: Vec<usize> = range.clone().collect();
        order.sort_by_key(|at| {
            let pack = index.entries()[*at].pack;
            (doomed.contains(&pack), std::cmp::Reverse(live[pack as usize]), pack)
        });
        match first_whole(reader, &order, &mut buffers)? {
            Some(at) => {
                chosen.set(at);
                live[index.entries()[at].pack as usize] += u64::from(index.entries()[at].stored);
            }
            None => range.for_each(|at| {
                chosen.set(at);
            }),
        }
    }
    Ok(chosen)
}

/// The first place that gives its chunk whole; `None` if none does or the keys cannot tell.
fn first_whole(
    reader: &ChunkReader,
    order: &[usize],
    buffers: &mut Buffers,
) -> Result<Option<usize>> {
    for at in order {
        match reader.chunk_at(&reader.index().entries()[*at], buffers) {
            Ok(()) => return Ok(Some(*at)),
            Err(Error::Damaged { .. }) => (),
            Err(Error::CollectorOnly | Error::NotAReader | Error::WriterOnly) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Entries that are places of one chunk, with the position of the first.
fn groups(index: &Index) -> impl Iterator<Item = (usize, &[Place])> {
    let kind = |place: &Place| index.packs[place.pack as usize].pack.kind;
    let mut from = 0;
    index.entries().chunk_by(move |a, b| a.id == b.id).flat_map(move |group| {
        let start = from;
        from += group.len();
        by_kind(start, group, kind)
    })
}

/// No honest index has one id in packs of both kinds; a forged one must not make the wrong one stay. Such entries stand by themselves.
fn by_kind(
    start: usize,
    group: &[Place],
    kind: impl Fn(&Place) -> PackKind,
) -> impl Iterator<Item = (usize, &[Place])> {
    let same = group.iter().all(|place| kind(place) == kind(&group[0]));
    let width = if same { group.len() } else { 1 };
    group.chunks(width).enumerate().map(move |(n, part)| (start + n * width, part))
}
