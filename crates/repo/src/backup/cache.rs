//! The local cache: for each directory of the last backup, what its entries looked like and how they were encoded, so that an
//! unchanged file is not opened. Private to the machine; losing it costs a full read and no storage.
//!
//! The file is a header (what it belongs to), a block for each directory, and an index of blocks by the hash of their path.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::id::{ChunkId, MemberId, RepoId, SessionId};
use crate::source::Stat;
use crate::wire::{Decoder, Encoder, Malformed};

const MAGIC: &[u8; 8] = b"NKCACHE1";
const HEADER_LEN: usize = 8 + 32 + 16;
const FOOTER_LEN: usize = 16 + 8 + 8;
const ROW_LEN: usize = 16 + 8 + 4;

/// What tells a file from one that changed: exact, and never stored in the repository.
pub(super) type Signature = [u8; 48];

/// Never matches: the file may change again within the clock's granularity, and look the same.
pub(super) const RACY: Signature = [0; 48];

/// A file's signature.
pub(super) fn signature(stat: &Stat) -> Signature {
    let mut out = [0; 48];
    let fields = [stat.dev, stat.ino, stat.size, stat.mtime as u64, stat.ctime as u64];
    for (slot, field) in out.chunks_exact_mut(8).zip(fields) {
        slot.copy_from_slice(&field.to_le_bytes());
    }
    out[40..44].copy_from_slice(&stat.mtime_ns.to_le_bytes());
    out[44..].copy_from_slice(&stat.ctime_ns.to_le_bytes());
    out
}

/// Git's rule for racy timestamps: a file that changed so shortly before it was looked at that a later change could carry
/// the same time is not trusted. File systems without nanoseconds tick by up to two seconds.
pub(super) fn is_racy(stat: &Stat, looked_at_ns: i128) -> bool {
    let changed = i128::from(stat.ctime) * 1_000_000_000 + i128::from(stat.ctime_ns);
    let granularity = if stat.ctime_ns == 0 { 2_100_000_000 } else { 20_000_000 };
    stat.ino == 0 || changed + granularity > looked_at_ns
}

fn path_key(path: &[u8]) -> [u8; 16] {
    let mut key = [0; 16];
    key.copy_from_slice(&blake3::hash(path).as_bytes()[..16]);
    key
}

/// Where the cache of a set of roots lies.
pub(super) fn file_of(dir: &Path, roots: &[&[u8]], writer: &MemberId) -> PathBuf {
    let mut to = Encoder::new();
    to.raw(&writer.0).list(roots, |to, root| {
        to.blob(root);
    });
    let name = crate::id::to_hex(&path_key(to.as_bytes()));
    dir.join(format!("files-{name}"))
}

/// A directory's block.
#[derive(Debug, Default)]
pub(super) struct Block {
    bytes: Vec<u8>,
    /// Its tree.
    pub(super) tree: Option<ChunkId>,
    /// Start of name, end of name, signature, start and end of the encoded entry: places in `bytes`.
    rows: Vec<Row>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    name: (u32, u32),
    signature: u32,
    entry: (u32, u32),
}

/// A cached entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cached<'a> {
    pub(super) signature: &'a [u8],
    /// The entry as a tree holds it.
    pub(super) encoded: &'a [u8],
}

impl Block {
    fn decode(bytes: Vec<u8>) -> Result<Self, Malformed> {
        let mut from = Decoder::new(&bytes);
        let tree = Some(ChunkId::decode(&mut from)?);
        let rows = from.list(50, |from| {
            let signature = from.position() as u32;
            from.raw(48)?;
            let len = from.count(1)?;
            let entry = (from.position() as u32, (from.position() + len) as u32);
            let mut inner = Decoder::new(from.raw(len)?);
            let name_len = inner.blob()?.len() as u32;
            let name_end = entry.0 + inner.position() as u32;
            Ok(Row { name: (name_end - name_len, name_end), signature, entry })
        })?;
        from.end()?;
        Ok(Self { tree, rows, bytes })
    }

    fn slice(&self, (from, to): (u32, u32)) -> &[u8] {
        &self.bytes[from as usize..to as usize]
    }

    /// The entry of a name.
    pub(super) fn get(&self, name: &[u8]) -> Option<Cached<'_>> {
        let at = self.rows.binary_search_by(|row| self.slice(row.name).cmp(name)).ok()?;
        let row = &self.rows[at];
        Some(Cached {
            signature: self.slice((row.signature, row.signature + 48)),
            encoded: self.slice(row.entry),
        })
    }
}

/// A cache that can be read.
#[derive(Debug)]
pub(super) struct Cache {
    file: File,
    rows: Vec<u8>,
    /// The snapshot it describes.
    pub(super) snapshot: SessionId,
}

impl Cache {
    /// Opens a cache; `None` if there is none, or it is another's, or damaged: then it is simply not used.
    pub(super) fn open(path: &Path, repo: &RepoId) -> Option<Self> {
        let file = File::open(path).ok()?;
        let size = file.metadata().ok()?.len();
        let mut header = [0; HEADER_LEN];
        file.read_exact_at(&mut header, 0).ok()?;
        let mut footer = [0; FOOTER_LEN];
        let footer_at = size.checked_sub(FOOTER_LEN as u64)?;
        file.read_exact_at(&mut footer, footer_at).ok()?;
        let mut from = Decoder::new(&footer);
        let check = from.array::<16>().ok()?;
        let rows_at = from.u64le().ok()?;
        let magic = from.raw(8).ok()?;
        if header[..8] != *MAGIC || magic != MAGIC || header[8..40] != repo.0 {
            return None;
        }
        let len = footer_at.checked_sub(rows_at)?;
        let mut rows = vec![0; usize::try_from(len).ok()?];
        file.read_exact_at(&mut rows, rows_at).ok()?;
        let mut snapshot = [0; 16];
        snapshot.copy_from_slice(&header[40..]);
        let sound = rows.len() % ROW_LEN == 0 && path_key(&rows) == check;
        sound.then_some(Self { file, rows, snapshot: SessionId(snapshot) })
    }

    fn row(&self, at: usize) -> &[u8] {
        &self.rows[at * ROW_LEN..(at + 1) * ROW_LEN]
    }

    fn search(&self, key: &[u8; 16]) -> Option<(u64, usize)> {
        let (mut low, mut high) = (0, self.rows.len() / ROW_LEN);
        while low < high {
            let middle = usize::midpoint(low, high);
            let row = self.row(middle);
            match row[..16].cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    let mut from = Decoder::new(&row[16..]);
                    let offset = from.u64le().ok()?;
                    return Some((offset, u32::from_le_bytes(from.array().ok()?) as usize));
                }
            }
        }
        None
    }

    /// The block of a directory; empty if there is none.
    pub(super) fn block(&self, path: &[u8]) -> Block {
        self.read_block(path).unwrap_or_default()
    }

    fn read_block(&self, path: &[u8]) -> Option<Block> {
        let (offset, len) = self.search(&path_key(path))?;
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        let sealed = bytes.len().checked_sub(16)?;
        let body = bytes[..sealed].to_vec();
        if path_key(&body) != bytes[sealed..] {
            return None;
        }
        Block::decode(body).ok()
    }
}

/// A directory's entry, on its way into trees and cache.
#[derive(Debug, Clone)]
pub(super) struct Encoded {
    pub(super) signature: Signature,
    pub(super) bytes: Vec<u8>,
    pub(super) files: u64,
    pub(super) size: u64,
}

/// Removes what backups of the same that were killed left. One that still runs loses only its cache.
fn remove_unfinished(target: &Path) {
    let (Some(dir), Some(name)) = (target.parent(), target.file_name()) else {
        return;
    };
    let unfinished = [name.as_encoded_bytes(), b".new-"].concat();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(&unfinished) {
            // What cannot be removed is in nobody's way.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Writes the next cache beside the present one; nothing is left of it unless it is published.
#[derive(Debug)]
pub(super) struct CacheWriter {
    path: PathBuf,
    state: Mutex<Writing>,
}

#[derive(Debug)]
struct Writing {
    out: BufWriter<File>,
    at: u64,
    rows: Vec<([u8; 16], u64, u32)>,
    failed: bool,
}

impl CacheWriter {
    /// Begins a cache.
    ///
    /// # Errors
    /// If the folder or file cannot be made.
    pub(super) fn create(target: &Path, repo: &RepoId, session: &SessionId) -> io::Result<Self> {
        if let Some(dir) = target.parent() {
            let mut builder = fs::DirBuilder::new();
            std::os::unix::fs::DirBuilderExt::mode(builder.recursive(true), 0o700);
            builder.create(dir)?;
        }
        remove_unfinished(target);
        let path = target.with_extension(format!("new-{}", session.short()));
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
        let mut out = BufWriter::with_capacity(256 * 1024, file);
        out.write_all(&[MAGIC.as_slice(), &repo.0, &session.0].concat())?;
        let state = Writing { out, at: HEADER_LEN as u64, rows: Vec::new(), failed: false };
        Ok(Self { path, state: Mutex::new(state) })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Writing> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Adds a directory. A failure only costs the cache.
    pub(super) fn add<'a>(
        &self,
        path: &[u8],
        tree: &ChunkId,
        entries: impl ExactSizeIterator<Item = &'a Encoded>,
    ) {
        let mut to = Encoder::new();
        to.raw(&tree.0).count(entries.len());
        for entry in entries {
            to.raw(&entry.signature).blob(&entry.bytes);
        }
        let mut bytes = to.into_bytes();
        let check = path_key(&bytes);
        bytes.extend_from_slice(&check);
        let mut state = self.lock();
        let row = (path_key(path), state.at, bytes.len() as u32);
        state.rows.push(row);
        state.at += bytes.len() as u64;
        state.failed |= state.out.write_all(&bytes).is_err();
    }

    /// Puts the cache in place of the one before.
    pub(super) fn publish(self, target: &Path) {
        let finished = self.finish();
        if finished.is_ok() {
            // A cache that cannot be put in place is one that is not there.
            let _ = fs::rename(&self.path, target);
        }
    }

    fn finish(&self) -> io::Result<()> {
        let mut state = self.lock();
        if state.failed {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let rows_at = state.at;
        state.rows.sort_unstable();
        let mut to = Encoder::new();
        for (key, offset, len) in &state.rows {
            to.raw(key).raw(&offset.to_le_bytes()).raw(&len.to_le_bytes());
        }
        let check = path_key(to.as_bytes());
        to.raw(&check).raw(&rows_at.to_le_bytes()).raw(MAGIC);
        state.out.write_all(to.as_bytes())?;
        state.out.flush()
    }
}

impl Drop for CacheWriter {
    fn drop(&mut self) {
        // After publish there is nothing here; before, the file is of no use.
        let _ = fs::remove_file(&self.path);
    }
}
