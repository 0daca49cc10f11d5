//! Whole packs: read, compared with their id, and their tables opened. What a pack says of itself counts more than an index.

use crate::control::PackRef;
use crate::error::{Damage, Error, Result};
use crate::id::PackId;
use crate::pack::{Header, Layout, TRAILER_LEN, Table, open_table};
use crate::repository::Repository;
use crate::view::damaged_missing;

/// What a pack says of itself.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Its header.
    pub(crate) header: Header,
    /// Where the parts lie.
    pub(crate) layout: Layout,
    /// What is in it.
    pub(crate) table: Table,
}

/// Reads a pack and checks that its bytes are those that its id names.
pub(crate) fn read_whole(repo: &Repository, pack: &PackRef) -> Result<Vec<u8>> {
    let name = pack.name();
    let bytes = repo.store().get(&name).map_err(|error| damaged_missing(&name, error.into()))?;
    if PackId::of(&bytes) == pack.id { Ok(bytes) } else { Err(Error::damaged(name, Damage::Hash)) }
}

/// Opens the table of a pack whose bytes are at hand.
pub(crate) fn open_whole(repo: &Repository, pack: &PackRef, bytes: &[u8]) -> Result<Opened> {
    let opened = layout(bytes).and_then(|layout| {
        let header = &bytes[..layout.header_len as usize];
        let from = layout.table_at as usize;
        open_parts(repo, pack, layout, header, &bytes[from..from + layout.table_len as usize])
    });
    opened.map_err(|damage| Error::damaged(pack.name(), damage))
}

/// Opens the table of a pack of `size` bytes without reading its chunks.
pub(crate) fn open_table_of(repo: &Repository, pack: &PackRef, size: u64) -> Result<Opened> {
    let name = pack.name();
    let get = |from: u64, len: usize| {
        let part = repo.store().get_range(&name, from, len);
        part.map_err(|error| damaged_missing(&name, error.into()))
    };
    let damaged = |damage: Damage| Error::damaged(name.clone(), damage);
    let from = size.checked_sub(TRAILER_LEN as u64).ok_or_else(|| damaged(Damage::Truncated))?;
    let trailer = get(from, TRAILER_LEN)?;
    let layout = trailer_of(&trailer, size).map_err(damaged)?;
    let header = get(0, layout.header_len as usize)?;
    let table = get(layout.table_at, layout.table_len as usize)?;
    open_parts(repo, pack, layout, &header, &table).map_err(damaged)
}

fn layout(bytes: &[u8]) -> std::result::Result<Layout, Damage> {
    let trailer = bytes.len().checked_sub(TRAILER_LEN).and_then(|from| bytes.get(from..));
    trailer_of(trailer.unwrap_or_default(), bytes.len() as u64)
}

fn trailer_of(trailer: &[u8], size: u64) -> std::result::Result<Layout, Damage> {
    Layout::decode(trailer.try_into().map_err(|_| Damage::Truncated)?, size)
}

fn open_parts(
    repo: &Repository,
    pack: &PackRef,
    layout: Layout,
    header: &[u8],
    table: &[u8],
) -> std::result::Result<Opened, Damage> {
    let (header, table) = open_table(header, table, &layout, &repo.domain().index)?;
    let ours = header.repo == repo.id() && header.domain == repo.domain().id;
    match (ours, header.kind == pack.kind) {
        (true, true) => Ok(Opened { header, layout, table }),
        (true, false) => Err(Damage::WrongKind),
        (false, _) => Err(Damage::OtherRepository),
    }
}
