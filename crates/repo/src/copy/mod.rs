//! Copies: snapshots of one repository become snapshots of another. Content is decrypted, named and encrypted anew under the other's
//! keys, chunk by chunk as it was cut, so that a copy has the structure of its original: it costs what the other lacks, and can heal it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::backup::session::Running;
use crate::backup::sink::Sink;
use crate::codec::{Compression, Compressor};
use crate::error::{Error, Result};
use crate::id::{ChunkId, MemberId, ObjectHash, SnapshotId};
use crate::monitor::Monitor;
use crate::pack::PackKind;
use crate::packs::{prove_all, readers};
use crate::portable::WRITER_ATTACHMENT;
use crate::reader::ChunkReader;
use crate::repository::{Repository, SnapshotRecord};
use crate::roster::Trust;
use crate::snapshot::{Root, Snapshot};
use crate::tree::Entry;

mod feed;
mod making;
mod origin;
pub(crate) mod translate;

pub use origin::{ORIGIN_ATTACHMENT, Origin, origins};

use translate::{Put, Translated, Translation};

/// So often is a snapshot begun again that a collection or a new roster interfered with.
const ATTEMPTS: u32 = 3;

/// How to copy.
#[derive(Debug, Clone, Default)]
pub struct CopyOptions {
    /// Only these snapshots of the source; `None`: all.
    pub snapshots: Option<Vec<SnapshotId>>,
    /// Compression of what is stored.
    pub compression: Compression,
    /// Threads that read; `None`: as many as the source takes at once.
    pub threads: Option<usize>,
    /// Do not read back what was written.
    pub unverified: bool,
    /// Say what would be copied; nothing is written.
    pub dry_run: bool,
}

/// A snapshot that was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Its id in the source.
    pub from: SnapshotId,
    /// Its id here; `None` after a dry run.
    pub to: Option<SnapshotId>,
    /// Chunks that were new here.
    pub chunks_added: u64,
    /// Bytes that were stored for them.
    pub bytes_added: u64,
}

/// What a copy did.
#[derive(Debug, Default)]
pub struct CopyReport {
    /// Snapshots that are here now, oldest first.
    pub copied: Vec<Copied>,
    /// Snapshots that were here before.
    pub present: Vec<SnapshotId>,
    /// Snapshots of the source that are damaged there, and are not here.
    pub failed: Vec<(SnapshotId, Error)>,
    /// Objects of the source's snapshots that do not even open.
    pub unopened: Vec<(String, Error)>,
    /// Packs that were read back and are what their names say.
    pub packs_verified: u64,
    /// Bytes of them.
    pub bytes_verified: u64,
    /// How long it took.
    pub elapsed: Duration,
}

impl Repository {
    /// Copies snapshots of another repository into this one. A snapshot that is here is passed over, so that a copy can be interrupted and
    /// begun again; each is committed by a session of its own, and only after every pack that it wrote was read back.
    ///
    /// # Errors
    /// [`Error::SameRepository`], if the keys at hand do not read the source, or do not read and write here, if a store fails or the work
    /// is interrupted. Damage of the source is no error: it is in the report.
    pub fn copy_from(
        &self,
        source: &Repository,
        options: &CopyOptions,
        monitor: &dyn Monitor,
    ) -> Result<CopyReport> {
        let began = Instant::now();
        if source.id() == self.id() {
            return Err(Error::SameRepository { location: source.store().location().to_owned() });
        }
        source.needs_data()?;
        self.needs_trees()?;
        self.writer_id()?;
        let mut copying = Copying::new(self, source, options, monitor)?;
        copying.run()?;
        let mut report = copying.report;
        report.elapsed = began.elapsed();
        Ok(report)
    }
}

/// A snapshot of the source and what it became.
struct Pair {
    from: SnapshotRecord,
    to: SnapshotRecord,
}

/// How a try at one snapshot ended, if nothing is wrong here.
enum Tried {
    Done(Box<SnapshotRecord>, Copied),
    /// Something of it cannot be read where it comes from.
    Damaged(Error),
}

struct Copying<'a> {
    here: &'a Repository,
    source: &'a Repository,
    options: &'a CopyOptions,
    monitor: &'a dyn Monitor,
    reader: ChunkReader,
    /// The source's snapshots, oldest first.
    records: Vec<SnapshotRecord>,
    /// Snapshots that were translated: what is in them need not be read again.
    pairs: Vec<Pair>,
    /// What is here already, by all the names that it had.
    known: HashSet<Origin>,
    report: CopyReport,
}

impl<'a> Copying<'a> {
    fn new(
        here: &'a Repository,
        source: &'a Repository,
        options: &'a CopyOptions,
        monitor: &'a dyn Monitor,
    ) -> Result<Self> {
        let view = source.view()?;
        let (records, unopened) = source.snapshots_in(&view)?;
        let mut copying = Self {
            here,
            source,
            options,
            monitor,
            reader: reader_of(source, monitor)?,
            records,
            pairs: Vec::new(),
            known: HashSet::new(),
            report: CopyReport { unopened, ..CopyReport::default() },
        };
        copying.look_here()?;
        Ok(copying)
    }

    fn origin_of(&self, id: SnapshotId) -> Origin {
        Origin { repo: self.source.id(), snapshot: id }
    }

    /// What is here already, by writers whose word counts.
    fn look_here(&mut self) -> Result<()> {
        let (records, _) = self.here.snapshots_in(&self.here.view()?)?;
        for to in records {
            self.known.insert(Origin { repo: self.here.id(), snapshot: to.id });
            if !believes(self.here, &to.stamp.writer)? {
                continue;
            }
            let origins = origins(&to.snapshot);
            self.known.extend(&origins);
            let is_from = |record: &&SnapshotRecord| origins.contains(&self.origin_of(record.id));
            if let Some(from) = self.records.iter().find(is_from).cloned() {
                self.pairs.push(Pair { from, to });
            }
        }
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        for record in self.chosen()? {
            if self.monitor.interrupted() {
                return Err(Error::Interrupted);
            }
            if self.is_here(&record) {
                self.report.present.push(record.id);
            } else if self.options.dry_run {
                self.report.copied.push(Copied::planned(record.id));
            } else {
                self.copy(record)?;
            }
        }
        Ok(())
    }

    fn chosen(&self) -> Result<Vec<SnapshotRecord>> {
        let Some(wanted) = &self.options.snapshots else {
            return Ok(self.records.clone());
        };
        let strange = wanted.iter().find(|id| self.records.iter().all(|record| record.id != **id));
        if let Some(id) = strange {
            return Err(Error::NoSnapshot { wanted: id.hex() });
        }
        Ok(self.records.iter().filter(|record| wanted.contains(&record.id)).cloned().collect())
    }

    /// The snapshot, what it is a copy of, or another copy of either: a copy of a copy may come home.
    fn is_here(&self, record: &SnapshotRecord) -> bool {
        let mut names = origins(&record.snapshot);
        names.push(self.origin_of(record.id));
        names.iter().any(|origin| self.known.contains(origin))
    }

    fn copy(&mut self, record: SnapshotRecord) -> Result<()> {
        let (mut attempt, mut fresh) = (1, false);
        loop {
            match self.copy_once(&record) {
                Ok(Tried::Done(to, copied)) => {
                    self.known.insert(self.origin_of(record.id));
                    self.report.copied.push(copied);
                    self.pairs.push(Pair { from: record, to: *to });
                    return Ok(());
                }
                // A collection over there may have moved what was to be read.
                Ok(Tried::Damaged(_)) if !fresh => {
                    self.reader = reader_of(self.source, self.monitor)?;
                    fresh = true;
                }
                Ok(Tried::Damaged(error)) => {
                    self.monitor
                        .note(&format!("snapshot {} is not copied: {error}", record.id.short()));
                    self.report.failed.push((record.id, error));
                    return Ok(());
                }
                Err(Error::Fenced(_)) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn copy_once(&mut self, record: &SnapshotRecord) -> Result<Tried> {
        let running = Running::begin(self.here)?;
        let sink = Sink::new(&running, self.options.compression, self.monitor);
        let done = sink.with_uploads(|| self.in_session(record, &running, &sink));
        match &done {
            Ok(Tried::Done(..)) => {}
            Err(Error::Fenced(_)) => running.give_up(),
            // What was stored so far is made known, and need not be stored again.
            _ => {
                if let Ok(segments) = sink.finish()
                    && !segments.is_empty()
                {
                    _ = running.report_progress(segments);
                }
                running.give_up();
            }
        }
        done
    }

    fn in_session(
        &mut self,
        record: &SnapshotRecord,
        running: &Running<'_>,
        sink: &Sink<'_>,
    ) -> Result<Tried> {
        let there = self.here.reader(sink.index()?);
        let roots = self.roots(record, running);
        let translation = Translation {
            from: &self.reader,
            to: sink,
            domain: self.here.domain(),
            bases: Some(&there),
            threads: self.options.threads.unwrap_or_else(|| readers(self.source.store())),
            monitor: self.monitor,
        };
        let entries = match translation.run(&roots) {
            Err(error @ (Error::Damaged { .. } | Error::ChunkMissing(_))) => {
                return Ok(Tried::Damaged(error));
            }
            entries => entries?,
        };
        let segments = sink.finish()?;
        if !self.options.unverified
            && let Err(error) = self.verify(running, &segments)
        {
            // What was not read back yet is not known to be wrong, either.
            if matches!(error, Error::Interrupted) {
                _ = running.report_progress(segments);
            }
            return Err(error);
        }
        let snapshot = self.snapshot(record, entries, sink);
        running.commit(&snapshot, segments)?;
        let copied = Copied {
            from: record.id,
            to: Some(running.stamp.session),
            chunks_added: snapshot.counts.chunks_added,
            bytes_added: snapshot.counts.bytes_added,
        };
        let to = SnapshotRecord {
            id: running.stamp.session,
            stamp: running.stamp,
            outcome_hash: ObjectHash::NONE,
            snapshot,
        };
        Ok(Tried::Done(Box::new(to), copied))
    }

    /// Each root with the newest translation of the same path that lives in the session's view; of the same host, if there is one.
    fn roots(&self, record: &SnapshotRecord, running: &Running<'_>) -> Vec<Translated> {
        let live: Vec<&Pair> =
            self.pairs.iter().filter(|pair| running.view.is_live(&pair.to.id)).collect();
        let base = |root: &Root| {
            let candidates = live.iter().filter_map(|pair| {
                let (from, to) = (root_at(&pair.from, &root.path)?, root_at(&pair.to, &root.path)?);
                let same_host = pair.from.snapshot.host == record.snapshot.host;
                Some(((same_host, pair.from.snapshot.started_ms), (from, to)))
            });
            let best = candidates.max_by_key(|(rank, _)| *rank);
            best.map(|(_, (from, to))| (from.clone(), to.clone()))
        };
        let translated = |root: &Root| Translated { entry: root.entry.clone(), base: base(root) };
        record.snapshot.roots.iter().map(translated).collect()
    }

    /// Reads back every pack that the session wrote.
    fn verify(&mut self, running: &Running<'_>, segments: &[ObjectHash]) -> Result<()> {
        let mut packs = Vec::new();
        for hash in segments {
            let segment = self.here.segment(&running.stamp.writer, hash)?;
            packs.extend(segment.packs.into_iter().map(|info| (info.pack, info.size)));
        }
        let store = self.here.store();
        let proven = prove_all(store, &packs, readers(store), self.monitor, &|pack, result| {
            result.map_err(|damage| Error::damaged(pack.name(), damage))
        })?;
        self.report.packs_verified += proven.packs;
        self.report.bytes_verified += proven.bytes;
        Ok(())
    }

    fn snapshot(&self, record: &SnapshotRecord, entries: Vec<Entry>, sink: &Sink<'_>) -> Snapshot {
        let original = &record.snapshot;
        let mut snapshot = original.clone();
        for (root, entry) in snapshot.roots.iter_mut().zip(entries) {
            root.entry = entry;
        }
        let parent =
            original.parent.and_then(|id| self.pairs.iter().find(|pair| pair.from.id == id));
        snapshot.parent = parent.map(|pair| pair.to.id);
        // Whoever reads a copy is not thereby to write what it was copied from.
        snapshot
            .attachments
            .retain(|(name, _)| name != WRITER_ATTACHMENT && name != ORIGIN_ATTACHMENT);
        snapshot.attachments.push(origin::attachment(self.origin_of(record.id), original));
        snapshot.counts.chunks_added = sink.added.chunks.load(Ordering::Relaxed);
        snapshot.counts.bytes_added = sink.added.bytes.load(Ordering::Relaxed);
        snapshot
    }
}

impl Put for Sink<'_> {
    fn put(&self, kind: PackKind, plain: &[u8], compressor: &mut Compressor) -> Result<ChunkId> {
        Sink::put(self, kind, plain, compressor)
    }

    fn compressor(&self) -> Compressor {
        Sink::compressor(self)
    }
}

impl Copied {
    fn planned(from: SnapshotId) -> Self {
        Self { from, to: None, chunks_added: 0, bytes_added: 0 }
    }
}

/// Reads as much of a repository as its index still tells.
fn reader_of(repo: &Repository, monitor: &dyn Monitor) -> Result<ChunkReader> {
    let (index, problems) = repo.index_with_problems(&repo.view()?)?;
    for problem in problems {
        monitor.note(&format!("{problem}; what it listed cannot be read"));
    }
    Ok(repo.reader(Arc::new(index)))
}

/// Whether this writer takes another's word for what a snapshot is a copy of: as for chunks, the roster says so.
fn believes(here: &Repository, writer: &MemberId) -> Result<bool> {
    let own = here.writer_id()?;
    let trusts = here.roster().member(&own).is_some_and(|member| member.trust == Trust::All);
    Ok(*writer == own || trusts)
}

fn root_at<'r>(record: &'r SnapshotRecord, path: &[u8]) -> Option<&'r Entry> {
    record.snapshot.roots.iter().find(|root| root.path == path).map(|root| &root.entry)
}
