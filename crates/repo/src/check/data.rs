//! Reading packs: their hash, their table against the index, and every chunk as far as the keys at hand decrypt it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::crypto::random;
use crate::id::{ChunkId, PackId};
use crate::index::{Entry as Place, Index, Pack};
use crate::packs::{Opened, open_whole};
use crate::reader::Buffers;

use super::*;

/// So many percent of the packs, at least one, from a random one on.
pub(super) fn select(scope: &[u32], percent: u8) -> Vec<u32> {
    if scope.is_empty() {
        return Vec::new();
    }
    let count = (scope.len() * usize::from(percent.clamp(1, 100))).div_ceil(100);
    let start = u64::from_le_bytes(random()) as usize % scope.len();
    let mut chosen: Vec<u32> = scope.iter().cycle().skip(start).take(count).copied().collect();
    chosen.sort_unstable();
    chosen
}

/// So many bytes of packs may be in memory at once: each is read whole, to be decrypted where it lies.
const MOST_BYTES: u64 = 512 * 1024 * 1024;

/// Threads that read packs: as many as pay, and as memory allows.
pub(super) fn threads(repo: &Repository) -> usize {
    let room = MOST_BYTES / repo.config().pack_size.max(1);
    crate::packs::readers(repo.store()).min(usize::try_from(room).unwrap_or(usize::MAX)).max(1)
}

pub(super) struct Reading<'a> {
    pub(super) repo: &'a Repository,
    pub(super) reader: &'a ChunkReader,
    pub(super) threads: usize,
    pub(super) monitor: &'a dyn Monitor,
}

/// What reading one pack found.
#[derive(Default)]
struct PackFindings {
    what: Vec<String>,
    bad: Vec<usize>,
    chunks: u64,
    sealed: bool,
}

/// What all threads found.
struct Shared<'a> {
    bad: &'a mut Bits,
    report: &'a mut CheckReport,
    findings: &'a mut Findings,
    sealed: bool,
}

impl Reading<'_> {
    pub(super) fn run(
        &self,
        packs: &[u32],
        bad: &mut Bits,
        report: &mut CheckReport,
        findings: &mut Findings,
    ) -> Result<()> {
        let bytes = packs.iter().map(|n| self.pack(*n).size).sum();
        self.monitor.plan(packs.len() as u64, bytes);
        let shared = Mutex::new(Shared { bad, report, findings, sealed: false });
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..self.threads.min(packs.len()) {
                scope.spawn(|| self.work(packs, &next, &stop, &shared));
            }
            if self.threads == 0 {
                self.work(packs, &next, &stop, &shared);
            }
        });
        let shared = shared.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        if shared.sealed {
            let note = "packs whose keys are not at hand were hashed, not decrypted";
            shared.findings.notes.push(note.to_owned());
        }
        if stop.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }

    fn pack(&self, number: u32) -> &Pack {
        &self.reader.index().packs[number as usize]
    }

    fn work(
        &self,
        packs: &[u32],
        next: &AtomicUsize,
        stop: &AtomicBool,
        shared: &Mutex<Shared<'_>>,
    ) {
        let (mut bytes, mut buffers) = (Vec::new(), Buffers::new());
        while let Some(number) = packs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if self.monitor.interrupted() {
                stop.store(true, Ordering::Relaxed);
            }
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let found = self.check_pack(*number, &mut bytes, &mut buffers);
            self.monitor.advance(1, self.pack(*number).size);
            let mut shared = shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            shared.take(self.pack(*number), found);
        }
    }

    fn check_pack(&self, number: u32, bytes: &mut Vec<u8>, buffers: &mut Buffers) -> PackFindings {
        let pack = self.pack(number);
        let mut found = PackFindings::default();
        bytes.resize(pack.size as usize, 0);
        if let Err(error) = self.repo.store().read_into(&pack.pack.name(), 0, bytes) {
            // That it is missing or short has been said; any other error is the disk's.
            let known =
                error.is_not_found() || error.kind == nodekeep_store::StoreErrorKind::Truncated;
            found.what.extend((!known).then(|| error.to_string()));
            found.bad.extend(places_of(self.reader.index(), number).map(|(at, _)| at));
            return found;
        }
        let whole = PackId::of(bytes) == pack.pack.id;
        found.what.extend((!whole).then(|| Damage::Hash.to_string()));
        if whole {
            match open_whole(self.repo, &pack.pack, bytes)
                .map(|opened| self.places_by_table(number, &opened))
            {
                Ok(Some(places)) => {
                    self.check_chunks(places.into_iter(), bytes, buffers, &mut found);
                    return found;
                }
                Ok(None) => found.what.push("its table and the index disagree".to_owned()),
                Err(error) => found.what.push(error.to_string()),
            }
        }
        self.check_chunks(places_of(self.reader.index(), number), bytes, buffers, &mut found);
        if found.sealed && !whole {
            found.bad.extend(places_of(self.reader.index(), number).map(|(at, _)| at));
        }
        found
    }

    /// The index's places of a pack in the order of its table; `None` if the index says anything else than the table.
    fn places_by_table(&self, number: u32, opened: &Opened) -> Option<Vec<(usize, &Place)>> {
        let index = self.reader.index();
        let mut offset = opened.layout.header_len;
        let mut places = Vec::with_capacity(opened.table.entries.len());
        for entry in &opened.table.entries {
            let (at, place) = place_at(index, number, &entry.id, offset)?;
            let stream = &opened.table.streams[entry.stream as usize];
            let (seal, salt) = index.stream(place);
            let same = (place.stored, place.raw, place.counter)
                == (entry.stored, entry.raw, entry.counter)
                && *salt == stream.salt
                && *seal == opened.header.seals[stream.seal as usize];
            places.push(same.then_some((at, place))?);
            offset += entry.stored;
        }
        Some(places)
    }

    fn check_chunks<'a>(
        &self,
        places: impl Iterator<Item = (usize, &'a Place)>,
        bytes: &mut [u8],
        buffers: &mut Buffers,
        found: &mut PackFindings,
    ) {
        for (at, place) in places {
            found.chunks += 1;
            let from = place.offset as usize;
            let Some(stored) = bytes.get_mut(from..from + place.stored as usize) else {
                found.bad.push(at);
                continue;
            };
            match self.reader.open_at(place, stored, buffers) {
                Ok(()) => (),
                Err(Error::CollectorOnly | Error::NotAReader | Error::WriterOnly) => {
                    found.sealed = true
                }
                Err(error) => {
                    found.bad.push(at);
                    found.what.extend(found.what.is_empty().then(|| error.to_string()));
                }
            }
        }
    }
}

impl Shared<'_> {
    fn take(&mut self, pack: &Pack, found: PackFindings) {
        self.report.packs_read += 1;
        self.report.bytes_read += pack.size;
        self.report.chunks += found.chunks;
        self.sealed |= found.sealed;
        for what in found.what {
            self.findings.add(pack.pack.name(), what);
        }
        for at in found.bad {
            self.bad.set(at);
        }
    }
}

/// The place of a chunk at an offset of a pack.
fn place_at<'a>(
    index: &'a Index,
    pack: u32,
    id: &ChunkId,
    offset: u32,
) -> Option<(usize, &'a Place)> {
    let first = index.position(id)?;
    let is_it = |(_, place): &(usize, &Place)| place.pack == pack && place.offset == offset;
    let (at, place) = index.places(id).iter().enumerate().find(is_it)?;
    Some((first + at, place))
}

/// All places in a pack: slow, for packs that are damaged.
fn places_of(index: &Index, pack: u32) -> impl Iterator<Item = (usize, &Place)> {
    index.entries().iter().enumerate().filter(move |(_, place)| place.pack == pack)
}
