//! Another repository that holds the same files gives back their content, and a copy of a snapshot also its trees: a copy has the
//! structure of its original, so that translated back it has the same ids.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::codec::{Compression, Compressor};
use crate::copy::translate::{Put, Translated, Translation};
use crate::copy::{Origin, origins};
use crate::error::{Error, Result};
use crate::id::ChunkId;
use crate::keys::DomainKeys;
use crate::monitor::Monitor;
use crate::pack::PackKind;
use crate::packs::readers;
use crate::reader::{Buffers, ChunkReader};
use crate::repository::{Repository, SnapshotRecord};
use crate::source::Content;
use crate::source::snapshot::RunReader;
use crate::tree::{Entry, Kind, Run};

use super::assemble::assemble;
use super::fresh::{Fresh, Named};
use super::missed::{Missed, Piece, Spot};

/// So many versions of a file are tried.
const MOST_VERSIONS: usize = 16;

pub(super) struct CopyDonor<'a> {
    repo: &'a Repository,
    /// Reads what is whole here.
    here: &'a ChunkReader,
    records: &'a [SnapshotRecord],
    reader: ChunkReader,
    /// The other's snapshots, newest first.
    theirs: Vec<SnapshotRecord>,
    other: &'a Repository,
    monitor: &'a dyn Monitor,
}

/// All the names of a snapshot.
fn names_of(repo: &Repository, record: &SnapshotRecord) -> HashSet<Origin> {
    let mut names: HashSet<Origin> = origins(&record.snapshot).into_iter().collect();
    names.insert(Origin { repo: repo.id(), snapshot: record.id });
    names
}

impl<'a> CopyDonor<'a> {
    pub(super) fn new(
        repo: &'a Repository,
        here: &'a ChunkReader,
        records: &'a [SnapshotRecord],
        other: &'a Repository,
        monitor: &'a dyn Monitor,
    ) -> Result<Self> {
        other.needs_data()?;
        let view = other.view()?;
        let (mut theirs, _) = other.snapshots_in(&view)?;
        theirs.reverse();
        let (index, _) = other.index_with_problems(&view)?;
        let reader = other.reader(Arc::new(index));
        Ok(Self { repo, here, records, reader, theirs, other, monitor })
    }

    pub(super) fn give(&self, missed: &Missed, fresh: &mut Fresh<'_>) -> Result<()> {
        for (id, pieces) in &missed.data {
            if self.monitor.interrupted() {
                return Err(Error::Interrupted);
            }
            if fresh.has(&(PackKind::Data, *id)) {
                continue;
            }
            let domain = self.repo.domain();
            let found = self
                .same_chunk(id, pieces, domain)
                .or_else(|| assemble(id, pieces, domain, &mut |piece| self.read(piece)));
            if let Some(chunk) = found {
                fresh.take_plain(PackKind::Data, *id, &chunk)?;
            }
        }
        self.give_trees(missed, fresh)
    }

    /// The other's snapshots, those first that are copies of this one, or what it is a copy of.
    fn candidates(&self, record: usize) -> impl Iterator<Item = (bool, &SnapshotRecord)> {
        let ours = names_of(self.repo, &self.records[record]);
        let is_same =
            move |theirs: &SnapshotRecord| !ours.is_disjoint(&names_of(self.other, theirs));
        let (same, others): (Vec<_>, Vec<_>) = self.theirs.iter().partition(|r| is_same(r));
        same.into_iter().map(|r| (true, r)).chain(others.into_iter().map(|r| (false, r)))
    }

    /// Runs of the same file over there: in a copy of the snapshot, or of the same size in others.
    fn versions(&self, piece: &Piece) -> Vec<Vec<Run>> {
        let runs = |(same, record): (bool, &SnapshotRecord)| {
            let entry = self.reader.find(&record.snapshot, &piece.spot.path).ok()??;
            match entry.kind {
                Kind::File { runs, size, .. } if same || size == piece.size => Some(runs),
                _ => None,
            }
        };
        let mut versions: Vec<Vec<Run>> = Vec::new();
        for runs in self.candidates(piece.spot.record).filter_map(runs) {
            if !versions.contains(&runs) {
                versions.push(runs);
            }
            if versions.len() == MOST_VERSIONS {
                break;
            }
        }
        versions
    }

    /// The chunk that stands where this one stands: a copy has the same cuts.
    fn same_chunk(&self, id: &ChunkId, pieces: &[Piece], domain: &DomainKeys) -> Option<Vec<u8>> {
        let mut tried = HashSet::new();
        let mut buffers = Buffers::new();
        for piece in pieces.iter().take(MOST_VERSIONS) {
            for runs in self.versions(piece) {
                let Some(Run::Data { chunk, offset, len }) = runs.get(piece.run) else {
                    continue;
                };
                if (*offset, *len) != (piece.offset, piece.len) || !tried.insert(*chunk) {
                    continue;
                }
                let read = self.reader.chunk(PackKind::Data, chunk, &mut buffers);
                if read.is_ok() && domain.chunk_id(PackKind::Data, &buffers.plain) == *id {
                    return Some(std::mem::take(&mut buffers.plain));
                }
            }
        }
        None
    }

    fn read(&self, piece: &Piece) -> Option<Vec<u8>> {
        let read = |runs: Vec<Run>| {
            let mut file = RunReader::new(self.reader.clone(), runs);
            file.seek(piece.at).ok()?;
            let mut bytes = vec![0; piece.len as usize];
            std::io::Read::read_exact(&mut file, &mut bytes).ok()?;
            Some(bytes)
        };
        self.versions(piece).into_iter().find_map(read)
    }

    /// Translates directories whose trees are missed, and keeps all that is missed of what they give.
    fn give_trees(&self, missed: &Missed, fresh: &mut Fresh<'_>) -> Result<()> {
        let wanted: HashSet<Named> = missed.ids().collect();
        let keep = Keep { domain: self.repo.domain(), wanted: &wanted, fresh: Mutex::new(fresh) };
        for (id, spots) in &missed.trees {
            for spot in spots.iter().take(MOST_VERSIONS) {
                if keep.has(&(PackKind::Tree, *id)) {
                    break;
                }
                self.translate(spot, &keep)?;
            }
        }
        Ok(())
    }

    fn translate(&self, spot: &Spot, keep: &Keep<'_, '_>) -> Result<()> {
        for (_, record) in self.candidates(spot.record).filter(|(same, _)| *same) {
            let Ok(Some(entry)) = self.reader.find(&record.snapshot, &spot.path) else {
                continue;
            };
            let translation = Translation {
                from: &self.reader,
                to: keep,
                domain: self.repo.domain(),
                bases: Some(self.here),
                threads: readers(self.other.store()),
                monitor: self.monitor,
            };
            let base = self.base(spot, record);
            match translation.run(&[Translated { entry, base }]) {
                // What is damaged over there, too, gives what came before.
                Ok(_) | Err(Error::Damaged { .. } | Error::ChunkMissing(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Another snapshot's directory at the same path that is on both sides: only what differs is read.
    fn base(&self, spot: &Spot, except: &SnapshotRecord) -> Option<(Entry, Entry)> {
        let pair = |theirs: &SnapshotRecord| {
            let names = names_of(self.other, theirs);
            let is_same = |ours: &&SnapshotRecord| !names.is_disjoint(&names_of(self.repo, ours));
            let ours = self.records.iter().find(is_same)?;
            let from = self.reader.find(&theirs.snapshot, &spot.path).ok()??;
            let to = self.here.find(&ours.snapshot, &spot.path).ok()??;
            let whole =
                matches!(&to.kind, Kind::Directory { tree, .. } if self.here.node(tree).is_ok());
            whole.then_some((from, to))
        };
        self.theirs.iter().filter(|theirs| theirs.id != except.id).find_map(pair)
    }
}

/// Computes every id, and keeps what is wanted.
struct Keep<'k, 'f> {
    domain: &'k DomainKeys,
    wanted: &'k HashSet<Named>,
    fresh: Mutex<&'k mut Fresh<'f>>,
}

impl Keep<'_, '_> {
    fn has(&self, named: &Named) -> bool {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).has(named)
    }
}

impl Put for Keep<'_, '_> {
    fn put(&self, kind: PackKind, plain: &[u8], _: &mut Compressor) -> Result<ChunkId> {
        let id = self.domain.chunk_id(kind, plain);
        if self.wanted.contains(&(kind, id)) {
            let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
            fresh.take_plain(kind, id, plain)?;
        }
        Ok(id)
    }

    fn compressor(&self) -> Compressor {
        Compressor::new(Compression::default())
    }
}
