//! Whole packs: read, compared with their id, and their tables opened. What a pack says of itself counts more than an index.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use nodekeep_store::{Store, StoreErrorKind};

use crate::control::PackRef;
use crate::error::{Damage, Error, Result};
use crate::fetch;
use crate::id::PackId;
use crate::monitor::Monitor;
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
    let (bytes, proof) = fetch::opened(repo.store(), &name, |bytes| pack.id.check(bytes))
        .map_err(|error| damaged_missing(&name, error.into()))?;
    proof.map(|()| bytes).map_err(|damage| Error::damaged(name, damage))
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

/// Packs are read to be hashed in pieces of so many bytes.
const PIECE: usize = 4 * 1024 * 1024;

/// How many threads read packs: as many as the store takes requests at once, and as many as can compute.
pub(crate) fn readers(store: &Store) -> usize {
    store.in_flight().max(std::thread::available_parallelism().map_or(1, usize::from))
}

/// Reads a pack of `size` bytes and compares it with its name. This needs no key.
///
/// # Errors
/// If the store cannot give it for another reason than that it is missing or short.
pub(crate) fn prove(
    store: &Store,
    pack: &PackRef,
    size: u64,
    buffer: &mut Vec<u8>,
) -> Result<Proof> {
    let name = pack.name();
    let mut hasher = blake3::Hasher::new();
    let mut at = 0;
    while at < size {
        let len = usize::try_from(size - at).map_or(PIECE, |left| left.min(PIECE));
        buffer.resize(len, 0);
        match store.read_into(&name, at, buffer) {
            Ok(()) => hasher.update(buffer),
            Err(error) if error.is_not_found() => return Ok(Err(Damage::Missing)),
            Err(error) if error.kind == StoreErrorKind::Truncated => {
                return Ok(Err(Damage::Truncated));
            }
            Err(error) => return Err(error.into()),
        };
        at += len as u64;
    }
    let is_it = PackId(*hasher.finalize().as_bytes()) == pack.id;
    Ok(if is_it { Ok(()) } else { Err(Damage::Hash) })
}

/// What was read to be proven.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Proven {
    /// Packs.
    pub(crate) packs: u64,
    /// Bytes.
    pub(crate) bytes: u64,
}

/// Whether a pack is what its name says.
pub(crate) type Proof = std::result::Result<(), Damage>;

/// Is told what became of each pack.
type Each<'a> = dyn Fn(&PackRef, Proof) -> Result<()> + Sync + 'a;

/// Proves packs in so many threads at once; `each` is told of every one, and ends it all with an error. One that is wrong is read
/// twice: memory and networks err, too.
///
/// # Errors
/// The first of `each` or the store, or that the work was interrupted.
pub(crate) fn prove_all(
    store: &Store,
    packs: &[(PackRef, u64)],
    threads: usize,
    monitor: &dyn Monitor,
    each: &Each<'_>,
) -> Result<Proven> {
    monitor.plan(0, packs.iter().map(|(_, size)| size).sum());
    let (next, bytes, done) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let failure: Mutex<Option<Error>> = Mutex::new(None);
    let failed = || failure.lock().unwrap_or_else(PoisonError::into_inner);
    let one = |(pack, size): &(PackRef, u64), buffer: &mut Vec<u8>| {
        let mut proof = prove(store, pack, *size, buffer)?;
        if proof.is_err() {
            proof = prove(store, pack, *size, buffer)?;
        }
        bytes.fetch_add(*size, Ordering::Relaxed);
        done.fetch_add(1, Ordering::Relaxed);
        monitor.advance(0, *size);
        each(pack, proof)
    };
    let work = || {
        let mut buffer = Vec::new();
        while let Some(item) = packs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = if monitor.interrupted() {
                Err(Error::Interrupted)
            } else {
                one(item, &mut buffer)
            };
            if let Err(error) = result {
                failed().get_or_insert(error);
            }
            if failed().is_some() {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.min(packs.len()) {
            scope.spawn(work);
        }
    });
    match failed().take() {
        Some(error) => Err(error),
        None => {
            Ok(Proven { packs: done.load(Ordering::Relaxed), bytes: bytes.load(Ordering::Relaxed) })
        }
    }
}
