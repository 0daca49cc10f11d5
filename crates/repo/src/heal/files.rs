//! The files themselves, as they are today: where they still hold what was backed up, a lost chunk is read from them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::chunker::Sizes;
use crate::error::{Error, Result};
use crate::id::ChunkId;
use crate::keys::DomainKeys;
use crate::monitor::Monitor;
use crate::pack::PackKind;
use crate::repository::{Repository, SnapshotRecord};

use super::assemble::assemble;
use super::fresh::Fresh;
use super::missed::{Missed, Piece};

/// How much of a file is held while it is cut, in bytes.
const WINDOW: usize = 2 * Sizes::MEDIA.max;

pub(super) struct Files<'a> {
    pub(super) repo: &'a Repository,
    pub(super) records: &'a [SnapshotRecord],
    /// Folders that hold what the snapshots' roots held; none: the roots themselves.
    pub(super) folders: &'a [PathBuf],
    pub(super) monitor: &'a dyn Monitor,
}

impl Files<'_> {
    pub(super) fn give(&self, missed: &Missed, fresh: &mut Fresh<'_>) -> Result<()> {
        for (id, pieces) in &missed.data {
            self.check_interrupted()?;
            if fresh.has(&(PackKind::Data, *id)) {
                continue;
            }
            let found = assemble(id, pieces, self.repo.domain(), &mut |piece| self.read(piece));
            if let Some(chunk) = found {
                fresh.take_plain(PackKind::Data, *id, &chunk)?;
            }
        }
        self.cut_moved(missed, fresh)
    }

    fn check_interrupted(&self) -> Result<()> {
        if self.monitor.interrupted() { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Where a file may be today.
    fn candidates(&self, piece: &Piece) -> Vec<PathBuf> {
        let path = Path::new(OsStr::from_bytes(&piece.spot.path));
        if self.folders.is_empty() {
            return vec![path.to_owned()];
        }
        let mut found = Vec::new();
        for folder in self.folders {
            for root in &self.records[piece.spot.record].snapshot.roots {
                if let Ok(below) = path.strip_prefix(OsStr::from_bytes(&root.path)) {
                    let is_root = below.as_os_str().is_empty();
                    found.push(if is_root { folder.clone() } else { folder.join(below) });
                    found.extend(root.path.ends_with(b"/").then(|| folder.join(below)));
                }
            }
            found.push(folder.join(path.strip_prefix("/").unwrap_or(path)));
            found.extend(path.file_name().map(|name| folder.join(name)));
        }
        found
    }

    fn read(&self, piece: &Piece) -> Option<Vec<u8>> {
        let read = |path: PathBuf| {
            let mut bytes = vec![0; piece.len as usize];
            open_plain(&path)?.read_exact_at(&mut bytes, piece.at).ok()?;
            Some(bytes)
        };
        self.candidates(piece).into_iter().find_map(read)
    }

    /// Large files in which something moved are cut again: what did not change has the same id wherever it is.
    fn cut_moved(&self, missed: &Missed, fresh: &mut Fresh<'_>) -> Result<()> {
        let lost = |id: &ChunkId, fresh: &Fresh<'_>| {
            missed.data.contains_key(id) && !fresh.has(&(PackKind::Data, *id))
        };
        let mut files: Vec<PathBuf> = Vec::new();
        for (_, pieces) in missed.data.iter().filter(|(id, _)| lost(id, fresh)) {
            for piece in pieces.iter().filter(|piece| piece.size >= Sizes::MEDIA.min as u64) {
                files.extend(self.candidates(piece));
            }
        }
        files.sort();
        files.dedup();
        for path in files {
            self.check_interrupted()?;
            if let Some(mut file) = open_plain(&path) {
                // A file that cannot be read to its end gives what comes before.
                _ = cut(&mut file, self.repo.domain(), &mut |chunk| {
                    let id = self.repo.domain().chunk_id(PackKind::Data, chunk);
                    if lost(&id, fresh) {
                        fresh.take_plain(PackKind::Data, id, chunk)
                    } else {
                        Ok(())
                    }
                })?;
            }
        }
        Ok(())
    }
}

/// A regular file; anything else may never end.
fn open_plain(path: &Path) -> Option<File> {
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    File::open(path).ok()
}

/// Cuts a file as a backup does; true if it was read to its end.
fn cut(
    file: &mut File,
    domain: &DomainKeys,
    each: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<bool> {
    let (chunking, mut sizes) = (domain.chunking(), None);
    let (mut window, mut ended) = (Vec::new(), false);
    loop {
        while window.len() < Sizes::MEDIA.max && !ended {
            let wanted = (WINDOW - window.len()) as u64;
            match file.by_ref().take(wanted).read_to_end(&mut window) {
                Ok(read) => ended = read == 0,
                Err(_) => return Ok(false),
            }
        }
        if window.is_empty() {
            return Ok(true);
        }
        let sizes = *sizes.get_or_insert_with(|| crate::backup::sizes_for(&window));
        let len = chunking.cut(&window, sizes);
        each(&window[..len])?;
        window.drain(..len);
    }
}
