//! A replica of the repository gives back what it has: the very ciphertext, checked by its tag and its id.

use std::collections::{BTreeMap, HashSet};

use nodekeep_store::Store;

use crate::control::PackRef;
use crate::error::{Error, Result};
use crate::fetch;
use crate::id::{ChunkId, PackId};
use crate::index::{Index, Segment};
use crate::monitor::Monitor;
use crate::names;
use crate::packs::open_table_of;
use crate::reader::Buffers;
use crate::repository::Repository;
use crate::walk::places;

use super::fresh::Fresh;
use super::missed::Missed;

/// Takes what is missed from `mirror`.
///
/// # Errors
/// If the mirror's store fails, or the work is interrupted. What is missing or damaged there is no error.
pub(super) fn give(
    repo: &Repository,
    mirror: &Store,
    missed: &Missed,
    fresh: &mut Fresh<'_>,
    monitor: &dyn Monitor,
) -> Result<()> {
    let there = repo.at(mirror.clone());
    let (index, _) = there.index_with_problems(&there.view()?)?;
    let named: HashSet<PackId> = index.packs.iter().map(|pack| pack.pack.id).collect();
    if take(&there, index, missed, fresh, monitor)? {
        return Ok(());
    }
    // What the index over there does not name may still lie there: a mirror keeps what the original dropped.
    take(&there, unnamed(&there, &named)?, missed, fresh, monitor).map(drop)
}

/// An index of the packs that lie in a store and are not `named`, from their own tables.
fn unnamed(there: &Repository, named: &HashSet<PackId>) -> Result<Index> {
    let mut found = Segment::default();
    for object in there.store().list(names::WRITERS)? {
        let Some((writer, kind, id)) = names::parse_pack(&object.name) else {
            continue;
        };
        let pack = PackRef { writer, kind, id };
        // A pack that cannot be opened gives nothing.
        if !named.contains(&id)
            && let Ok(opened) = open_table_of(there, &pack, object.size)
        {
            let (len, seals) = (opened.layout.header_len, &opened.header.seals);
            found.add(pack, object.size, len, opened.table, seals);
        }
    }
    let mut index = Index::new();
    index.add(found);
    index.sort();
    Ok(index)
}

/// Takes what an index finds; true if nothing is missed any more.
fn take(
    there: &Repository,
    index: Index,
    missed: &Missed,
    fresh: &mut Fresh<'_>,
    monitor: &dyn Monitor,
) -> Result<bool> {
    let mut wanted: BTreeMap<u32, Vec<ChunkId>> = BTreeMap::new();
    for (kind, id) in missed.ids() {
        for (_, place) in places(&index, kind, &id) {
            wanted.entry(place.pack).or_default().push(id);
        }
    }
    let reader = there.reader(std::sync::Arc::new(index));
    let mut buffers = Buffers::new();
    for (number, ids) in wanted {
        if monitor.interrupted() {
            return Err(Error::Interrupted);
        }
        let pack = &reader.index().packs[number as usize].pack;
        if ids.iter().all(|id| fresh.has(&(pack.kind, *id))) {
            continue;
        }
        let opened = fetch::opened(there.store(), &pack.name(), |bytes| pack.id.check(bytes));
        let Some((bytes, _)) = fetch::if_there(opened)? else {
            continue;
        };
        let here = |id| reader.index().places(id).iter().filter(|place| place.pack == number);
        for place in ids.iter().flat_map(here) {
            let from = place.offset as usize;
            let Some(stored) = bytes.get(from..from + place.stored as usize) else {
                continue;
            };
            if reader.open_at(place, &mut stored.to_vec(), &mut buffers).is_ok() {
                fresh.take_verbatim(reader.index(), place, stored)?;
            }
        }
    }
    Ok(missed.ids().all(|named| fresh.has(&named)))
}
