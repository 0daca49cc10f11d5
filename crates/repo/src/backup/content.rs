//! Reading content: small files are joined into groups, large ones are cut into chunks. A file that changes, grows, shrinks or
//! vanishes while it is read is named; what is stored is what was read.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::backup::cache::{RACY, Signature, is_racy, signature};
use crate::backup::node::{Slot, encode, entry_of, plain_kind};
use crate::backup::{Job, Work};
use crate::chunker::Sizes;
use crate::codec::Compressor;
use crate::error::{Error, Result};
use crate::keys::Chunking;
use crate::pack::PackKind;
use crate::source::{Content, Details, Directory, Item};
use crate::tree::{Entry, Kind, Run};

/// Files below this many bytes are joined: none of them could be cut anyway.
pub(super) const SMALL: u64 = Sizes::MEDIA.min as u64;
/// A group is closed at a marked name from this size on, in bytes.
pub(super) const GROUP_MIN: u64 = 768 * 1024;
/// And at this size in any case.
pub(super) const GROUP_MAX: u64 = 1536 * 1024;
/// One name in so many is marked.
pub(super) const GROUP_MARKED: u32 = 16;

/// How much of a large file is held at once, in bytes.
const WINDOW: usize = 2 * Sizes::MEDIA.max;

/// A file to read.
pub(super) struct FileJob {
    pub(super) dir: Arc<dyn Directory>,
    pub(super) item: Item,
    pub(super) slot: Slot,
    /// Its entry in the last snapshot, if that lives: a file that was only touched is not stored again.
    pub(super) before: Option<Box<Entry>>,
}

/// A piece of a large file, for whoever is free.
pub(super) struct ChunkJob {
    bytes: Vec<u8>,
    file: Arc<Large>,
    at: usize,
}

/// A large file in the making.
struct Large {
    runs: Mutex<Vec<Run>>,
    pending: AtomicUsize,
    end: Mutex<Option<LargeEnd>>,
}

/// What is known once a large file was read to its end.
struct LargeEnd {
    slot: Slot,
    item: Item,
    entry: Entry,
    signature: Signature,
}

/// One thread's memory.
pub(super) struct Thread {
    pub(super) compressor: Compressor,
    chunking: Arc<Chunking>,
    buffer: Vec<u8>,
}

impl Thread {
    pub(super) fn new(compressor: Compressor, chunking: Arc<Chunking>) -> Self {
        Self { compressor, chunking, buffer: Vec::new() }
    }
}

/// What became of a small file.
enum Small {
    Member(Member),
    Grown(FileJob),
    Lost,
}

/// A small file in a group.
struct Member {
    job: FileJob,
    details: Details,
    signature: Signature,
    hash: [u8; 32],
    len: u32,
    place: Place,
}

#[derive(Clone, Copy)]
enum Place {
    /// In the group that is being read, from this byte on; until its turn.
    Group(u32),
    Known(Run),
    Empty,
}

/// Bytes of a file that were read and not yet cut.
struct Window {
    start: usize,
    end: usize,
    left: u64,
    ended: bool,
}

impl Window {
    /// Makes sure that the largest chunk is there, unless the file ends.
    fn refill(&mut self, content: &mut dyn Content, buffer: &mut Vec<u8>) -> io::Result<()> {
        if self.ended || self.end - self.start >= Sizes::MEDIA.max {
            return Ok(());
        }
        if buffer.len() < WINDOW {
            buffer.resize(WINDOW, 0);
        }
        buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        while self.end < WINDOW && !self.ended {
            let room = (WINDOW - self.end).min(usize::try_from(self.left).unwrap_or(usize::MAX));
            let read = content.read(&mut buffer[self.end..self.end + room])?;
            self.end += read;
            self.left -= read as u64;
            self.ended = read == 0;
        }
        Ok(())
    }
}

/// The run of an entry that has this content in one piece.
fn only_run(entry: &Entry, wanted: &[u8; 32]) -> Option<Run> {
    match &entry.kind {
        Kind::File { hash, runs, .. } if hash == wanted && runs.len() == 1 => Some(runs[0]),
        _ => None,
    }
}

/// SQLite rewrites pages here and there: small chunks keep what did not change.
pub(crate) fn sizes_for(data: &[u8]) -> Sizes {
    if data.starts_with(b"SQLite format 3\0") { Sizes::DATABASE } else { Sizes::MEDIA }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Reads until `limit` bytes or the end; appends to `out`.
fn read_up_to(content: &mut dyn Content, limit: u64, out: &mut Vec<u8>) -> io::Result<u64> {
    let start = out.len();
    let mut at = start;
    out.resize(start + limit as usize, 0);
    while at < out.len() {
        match content.read(&mut out[at..]) {
            Ok(0) => break,
            Ok(read) => at += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => {
                out.truncate(start);
                return Err(error);
            }
        }
    }
    out.truncate(at);
    Ok((at - start) as u64)
}

impl Work<'_> {
    pub(super) fn run_job(&self, job: Job, thread: &mut Thread) -> Result<()> {
        match job {
            Job::Group(number, files) => self.read_group(number, files, thread),
            Job::Large(file) => self.read_large(file, thread),
        }
    }

    fn read_group(&self, number: u64, files: Vec<FileJob>, thread: &mut Thread) -> Result<()> {
        let turn = self.order.turn(number);
        let mut group = std::mem::take(&mut thread.buffer);
        group.clear();
        let (mut members, mut grown) = (Vec::with_capacity(files.len()), Vec::new());
        for file in files {
            if self.stopped() {
                return Err(Error::Interrupted);
            }
            match self.read_small(file, &mut group)? {
                Small::Member(member) => members.push(member),
                Small::Grown(file) => grown.push(file),
                Small::Lost => (),
            }
        }
        turn.wait();
        let chunk = self.place(&mut group, &mut members);
        drop(turn);
        if let Some(id) = chunk {
            self.sink.put_as(PackKind::Data, id, &group, &mut thread.compressor)?;
        }
        thread.buffer = group;
        for member in members {
            self.finish_member(member, thread)?;
        }
        grown.into_iter().try_for_each(|file| self.read_large(file, thread))
    }

    /// Takes out of the group what was stored before, and says where the rest will be. Done in the order of the walk, so that
    /// the same files make the same groups, whichever thread was faster.
    fn place(&self, group: &mut Vec<u8>, members: &mut [Member]) -> Option<crate::id::ChunkId> {
        let mut small = lock(&self.small);
        let mut end = 0;
        for member in members.iter_mut() {
            let Place::Group(start) = member.place else { continue };
            if let Some(run) = small.get(&member.hash, member.len) {
                member.place = Place::Known(run);
                continue;
            }
            let start = start as usize;
            group.copy_within(start..start + member.len as usize, end);
            member.place = Place::Group(end as u32);
            end += member.len as usize;
        }
        group.truncate(end);
        if group.is_empty() {
            return None;
        }
        let chunk = self.running.repo.domain().chunk_id(PackKind::Data, group);
        for member in members {
            if let Place::Group(offset) = member.place {
                let run = small.put(&member.hash, chunk, offset, member.len);
                member.place = Place::Known(run);
            }
        }
        Some(chunk)
    }

    fn read_small(&self, file: FileJob, group: &mut Vec<u8>) -> Result<Small> {
        let start = group.len();
        match self.try_read_small(&file, group) {
            Ok(Some((details, changed))) => {
                Ok(Small::Member(self.member(file, details, changed, group, start)))
            }
            Ok(None) => {
                group.truncate(start);
                Ok(Small::Grown(file))
            }
            Err(error) => {
                group.truncate(start);
                self.lost(file, &error)?;
                Ok(Small::Lost)
            }
        }
    }

    /// Reads the whole file to the end of `group`; `None` if it has grown too large for one.
    fn try_read_small(
        &self,
        file: &FileJob,
        group: &mut Vec<u8>,
    ) -> io::Result<Option<(Details, bool)>> {
        let mut content = file.dir.open(&file.item.name)?;
        let details = file.dir.details(&file.item)?;
        let size = file.item.stat.size;
        let mut read = read_up_to(content.as_mut(), size, group)?;
        let is_whole = read == size
            && content.stat()?.is_some_and(|now| signature(&now) == signature(&file.item.stat));
        if is_whole {
            return Ok(Some((details, false)));
        }
        read += read_up_to(content.as_mut(), SMALL + 1 - read, group)?;
        if read > SMALL {
            return Ok(None);
        }
        let changed = self.changed_while_read(&file.item, content.as_ref(), read)?;
        Ok(Some((details, changed)))
    }

    fn changed_while_read(
        &self,
        item: &Item,
        content: &dyn Content,
        read: u64,
    ) -> io::Result<bool> {
        let after = content.stat()?;
        let same = |s: &crate::source::Stat| signature(s) == signature(&item.stat);
        Ok(read != item.stat.size || !after.as_ref().is_none_or(same))
    }

    fn signature_of(&self, item: &Item, changed: bool) -> Signature {
        if changed || is_racy(&item.stat, self.began_ns) { RACY } else { signature(&item.stat) }
    }

    fn member(
        &self,
        file: FileJob,
        details: Details,
        changed: bool,
        group: &mut Vec<u8>,
        start: usize,
    ) -> Member {
        let len = (group.len() - start) as u32;
        if changed {
            self.note_changed(&file, u64::from(len));
        }
        self.count_read(u64::from(len));
        let mut hasher = self.running.repo.domain().file_hasher();
        let hash = *hasher.update(&group[start..]).finalize().as_bytes();
        let place = self.place_small(&file, &hash, len, start as u32);
        if !matches!(place, Place::Group(_)) {
            group.truncate(start);
        }
        let signature = self.signature_of(&file.item, changed);
        Member { job: file, details, signature, hash, len, place }
    }

    /// A small file that was only touched is not stored again.
    fn place_small(&self, file: &FileJob, hash: &[u8; 32], len: u32, start: u32) -> Place {
        if len == 0 {
            return Place::Empty;
        }
        let known = file.before.as_ref().and_then(|entry| only_run(entry, hash));
        known.map_or(Place::Group(start), Place::Known)
    }

    fn finish_member(&self, member: Member, thread: &mut Thread) -> Result<()> {
        let runs = match member.place {
            Place::Known(run) => vec![run],
            Place::Group(_) | Place::Empty => Vec::new(),
        };
        let kind = Kind::File { size: u64::from(member.len), hash: member.hash, runs };
        let entry = entry_of(&member.job.item, member.details, kind);
        let Member { job, signature, .. } = member;
        self.finish_file(job.slot, &job.item, entry, signature, &mut thread.compressor)
    }

    /// Puts a file's entry in its slot, and in those of its other names.
    pub(super) fn finish_file(
        &self,
        slot: Slot,
        item: &Item,
        mut entry: Entry,
        signature: Signature,
        compressor: &mut Compressor,
    ) -> Result<()> {
        self.monitor.advance(1, item.stat.size);
        let others = self.resolve_link(item, Some(&mut entry), signature);
        self.fill(slot, Some(encode(&entry, signature)), compressor)?;
        for (slot, name) in others {
            entry.name = name;
            self.monitor.advance(1, 0);
            self.fill(slot, Some(encode(&entry, signature)), compressor)?;
        }
        Ok(())
    }

    /// A file that could not be read: named, left out, and so are its other names.
    pub(super) fn lost(&self, file: FileJob, error: &io::Error) -> Result<()> {
        let path = file.slot.path(&file.item.name);
        if error.kind() == io::ErrorKind::NotFound {
            self.notice(path, "vanished before it was read".to_owned());
        } else {
            self.problem(path, error.to_string());
        }
        self.monitor.advance(1, file.item.stat.size);
        let others = self.resolve_link(&file.item, None, RACY);
        // No compression is needed to leave something out, unless a directory ends with it.
        let mut compressor = self.sink.compressor();
        for (slot, name) in others {
            self.problem(slot.path(&name), error.to_string());
            self.fill(slot, None, &mut compressor)?;
        }
        self.fill(file.slot, None, &mut compressor)
    }

    fn note_changed(&self, file: &FileJob, read: u64) {
        let before = file.item.stat.size;
        let how = match read.cmp(&before) {
            std::cmp::Ordering::Greater => {
                format!("grew while it was read, from {before} to {read} bytes")
            }
            std::cmp::Ordering::Less => {
                format!("shrank while it was read, from {before} to {read} bytes")
            }
            std::cmp::Ordering::Equal => "changed while it was read".to_owned(),
        };
        self.notice(file.slot.path(&file.item.name), how);
    }

    fn read_large(&self, file: FileJob, thread: &mut Thread) -> Result<()> {
        let large = Arc::new(Large {
            runs: Mutex::default(),
            pending: AtomicUsize::new(1),
            end: Mutex::default(),
        });
        match self.try_read_large(&file, &large, thread)? {
            Ok((details, hash, changed)) => {
                let size = lock(&large.runs).iter().map(Run::len).sum();
                if changed {
                    self.note_changed(&file, size);
                }
                let kind = Kind::File { size, hash, runs: Vec::new() };
                let entry = entry_of(&file.item, details, kind);
                let signature = self.signature_of(&file.item, changed);
                *lock(&large.end) =
                    Some(LargeEnd { slot: file.slot, item: file.item, entry, signature });
                self.finish_large(&large, &mut thread.compressor)
            }
            Err(error) => self.lost(file, &error),
        }
    }

    fn try_read_large(
        &self,
        file: &FileJob,
        large: &Arc<Large>,
        thread: &mut Thread,
    ) -> Result<io::Result<(Details, [u8; 32], bool)>> {
        let opened = file.dir.open(&file.item.name).and_then(|mut content| {
            let details = file.dir.details(&file.item)?;
            let extents = content.extents(file.item.stat.size)?;
            Ok((content, details, extents))
        });
        let (mut content, details, extents) = match opened {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(error)),
        };
        let mut hasher = self.running.repo.domain().file_hasher();
        let read = match extents {
            None => {
                self.cut_extent(file, content.as_mut(), u64::MAX, large, &mut hasher, thread)?
            }
            Some(extents) => {
                self.cut_sparse(file, content.as_mut(), &extents, large, &mut hasher, thread)?
            }
        };
        Ok(read.and_then(|end| {
            let changed = self.changed_while_read(&file.item, content.as_ref(), end)?;
            Ok((details, *hasher.finalize().as_bytes(), changed))
        }))
    }

    /// Reads data between holes. Returns where the file ended.
    fn cut_sparse(
        &self,
        file: &FileJob,
        content: &mut dyn Content,
        extents: &[(u64, u64)],
        large: &Arc<Large>,
        hasher: &mut blake3::Hasher,
        thread: &mut Thread,
    ) -> Result<io::Result<u64>> {
        let mut at = 0;
        for (offset, len) in extents {
            if *offset > at {
                lock(&large.runs).push(Run::Hole { len: offset - at });
            }
            if let Err(error) = content.seek(*offset) {
                return Ok(Err(error));
            }
            match self.cut_extent(file, content, *len, large, hasher, thread)? {
                Ok(read) if read == *len => at = offset + len,
                Ok(read) => return Ok(Ok(offset + read)),
                Err(error) => return Ok(Err(error)),
            }
        }
        // Cut short since it was listed, it has no hole up to its old size.
        let end = match content.stat() {
            Ok(now) => now.map_or(file.item.stat.size, |now| now.size.min(file.item.stat.size)),
            Err(error) => return Ok(Err(error)),
        };
        if end > at {
            lock(&large.runs).push(Run::Hole { len: end - at });
            at = end;
        }
        Ok(Ok(at))
    }

    /// Reads and cuts up to `limit` bytes from where the content stands. Returns how many there were.
    fn cut_extent(
        &self,
        file: &FileJob,
        content: &mut dyn Content,
        limit: u64,
        large: &Arc<Large>,
        hasher: &mut blake3::Hasher,
        thread: &mut Thread,
    ) -> Result<io::Result<u64>> {
        let mut window = Window { start: 0, end: 0, left: limit, ended: false };
        let mut sizes = None;
        let mut buffer = std::mem::take(&mut thread.buffer);
        let result = loop {
            if self.stopped() {
                break Err(Error::Interrupted);
            }
            if let Err(error) = window.refill(content, &mut buffer) {
                break Ok(Err(error));
            }
            let data = &buffer[window.start..window.end];
            if data.is_empty() {
                break Ok(Ok(limit - window.left));
            }
            let sizes = *sizes.get_or_insert_with(|| sizes_for(data));
            let cut = thread.chunking.cut(data, sizes);
            hasher.update(&data[..cut]);
            self.count_read(cut as u64);
            if let Err(error) = self.hand_out(file, large, &data[..cut], &mut thread.compressor) {
                break Err(error);
            }
            window.start += cut;
        };
        thread.buffer = buffer;
        result
    }

    fn hand_out(
        &self,
        file: &FileJob,
        large: &Arc<Large>,
        bytes: &[u8],
        compressor: &mut Compressor,
    ) -> Result<()> {
        let at = {
            let mut runs = lock(&large.runs);
            runs.push(Run::Data {
                chunk: crate::id::ChunkId([0; 32]),
                offset: 0,
                len: bytes.len() as u32,
            });
            runs.len() - 1
        };
        large.pending.fetch_add(1, Ordering::AcqRel);
        self.monitor.path(&file.item.name);
        match self.queue.offer_with(|| ChunkJob { bytes: bytes.to_vec(), file: large.clone(), at })
        {
            true => Ok(()),
            false => self.store_chunk(bytes, large, at, compressor),
        }
    }

    /// Stores a piece that another thread handed out.
    pub(super) fn run_chunk(&self, job: ChunkJob, thread: &mut Thread) -> Result<()> {
        self.store_chunk(&job.bytes, &job.file, job.at, &mut thread.compressor)
    }

    fn store_chunk(
        &self,
        bytes: &[u8],
        large: &Arc<Large>,
        at: usize,
        compressor: &mut Compressor,
    ) -> Result<()> {
        let chunk = self.sink.put(PackKind::Data, bytes, compressor)?;
        lock(&large.runs)[at] = Run::Data { chunk, offset: 0, len: bytes.len() as u32 };
        self.finish_large(large, compressor)
    }

    fn finish_large(&self, large: &Large, compressor: &mut Compressor) -> Result<()> {
        if large.pending.fetch_sub(1, Ordering::AcqRel) != 1 {
            return Ok(());
        }
        let Some(LargeEnd { slot, item, mut entry, signature }) = lock(&large.end).take() else {
            return Ok(());
        };
        if let Kind::File { runs, .. } = &mut entry.kind {
            *runs = std::mem::take(&mut *lock(&large.runs));
        }
        self.finish_file(slot, &item, entry, signature, compressor)
    }

    /// An entry that needs no reading: links, devices and the like.
    pub(super) fn plain_entry(&self, dir: &dyn Directory, item: &Item) -> io::Result<Entry> {
        let mut details = dir.details(item)?;
        let target = std::mem::take(&mut details.target);
        Ok(entry_of(item, details, plain_kind(item, target)))
    }
}
