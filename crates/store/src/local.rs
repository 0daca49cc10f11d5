//! A store in a folder: one file for each object, slashes are subfolders.

use std::collections::{BTreeSet, HashSet};
use std::fs::{DirBuilder, File, Metadata, ReadDir};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{Mode, OFlags, mkdir, open, statvfs, unlink};
use rustix::io::Errno;

use crate::backend::{Backend, Span};
use crate::draft::{Draft, start_writeback, sync_folder};
use crate::{Created, Durability, Object, Op, StoreError, StoreErrorKind, lock, name};

pub(crate) struct Local {
    root: PathBuf,
    location: String,
    folders: Mutex<Folders>,
    /// Objects that are visible, but perhaps not durable.
    due: Mutex<BTreeSet<String>>,
    /// Held during a barrier: a second one must not return while the first still syncs.
    barrier_turn: Mutex<()>,
}

/// What is known of the folders below the root, by relative path.
#[derive(Default)]
struct Folders {
    existing: HashSet<String>,
    /// Their entries in the folders above are on disk.
    durable: HashSet<String>,
}

impl Local {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self {
            location: root.display().to_string(),
            root,
            folders: Mutex::default(),
            due: Mutex::default(),
            barrier_turn: Mutex::default(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() {
            return self.root.clone();
        }
        self.root.join(name)
    }

    fn fail(&self, op: Op, object: &str, source: io::Error) -> StoreError {
        let mut error = StoreError::io(op, &self.location, object, source);
        let errno = error.source.as_ref().and_then(Errno::from_io_error);
        if let Some(Errno::NOTDIR | Errno::ISDIR | Errno::LOOP) = errno {
            error.kind = self.kind_of_misfit(op);
        }
        error
    }

    /// Something that is no object, or no folder, is where the name leads.
    fn kind_of_misfit(&self, op: Op) -> StoreErrorKind {
        let root_is_other = self.root.metadata().is_ok_and(|found| !found.is_dir());
        match op {
            _ if root_is_other => StoreErrorKind::NotAStore,
            Op::Create => StoreErrorKind::InvalidName,
            _ => StoreErrorKind::NotFound,
        }
    }

    /// Opens an object; anything but a regular file is no object.
    fn open(&self, op: Op, name: &str) -> Result<(File, u64), StoreError> {
        let (file, found) = open_file(&self.path(name)).map_err(|e| self.fail(op, name, e))?;
        if found.is_file() {
            return Ok((file, found.len()));
        }
        let kind = StoreErrorKind::NotFound;
        Err(StoreError::new(op, &self.location, name, kind))
    }

    fn truncated(&self, name: &str) -> StoreError {
        StoreError::new(Op::Get, &self.location, name, StoreErrorKind::Truncated)
    }

    fn try_create(&self, name: &str, bytes: &[u8], durability: Durability) -> io::Result<Created> {
        let path = self.path(name);
        let created = match is_object(&path)? {
            true => Created::Exists,
            false => self.write(name, &path, bytes, durability)?,
        };
        match durability {
            Durability::Visible => {
                lock(&self.due).insert(name.to_owned());
            }
            Durability::Durable => {
                // Whoever created it may not have come that far.
                if created == Created::Exists {
                    sync_object(&path)?;
                }
                self.sync_folders_of(name)?;
            }
        }
        Ok(created)
    }

    fn write(
        &self,
        name: &str,
        path: &Path,
        bytes: &[u8],
        durability: Durability,
    ) -> io::Result<Created> {
        let (folder, _) = name::split(name);
        match self.write_once(folder, path, bytes, durability) {
            // The folder is gone since it was last seen.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                *lock(&self.folders) = Folders::default();
                self.write_once(folder, path, bytes, durability)
            }
            result => result,
        }
    }

    fn write_once(
        &self,
        folder: &str,
        path: &Path,
        bytes: &[u8],
        durability: Durability,
    ) -> io::Result<Created> {
        self.ensure_folder(folder)?;
        let mut draft = Draft::start(&self.path(folder))?;
        draft.file().write_all(bytes)?;
        match durability {
            Durability::Durable => draft.file().sync_all()?,
            Durability::Visible => start_writeback(draft.file(), 0, bytes.len() as u64),
        }
        let created = draft.publish(path)?;
        if created == Created::Exists && !is_object(path)? {
            return Err(Errno::ISDIR.into());
        }
        Ok(created)
    }

    fn ensure_folder(&self, folder: &str) -> io::Result<()> {
        if lock(&self.folders).existing.contains(folder) {
            return Ok(());
        }
        self.make_folder(folder)?;
        lock(&self.folders).existing.insert(folder.to_owned());
        Ok(())
    }

    fn make_folder(&self, folder: &str) -> io::Result<()> {
        if folder.is_empty() {
            return make_root(&self.root);
        }
        match mkdir(self.path(folder), Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(Errno::NOENT) => {
                self.ensure_folder(name::split(folder).0)?;
                match mkdir(self.path(folder), Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => Ok(()),
                    Err(errno) => Err(errno.into()),
                }
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// The folders to sync so that a power cut leaves the way to these objects: their own, and
    /// those above that are not known to be durable. Each once: a sync costs a disk flush.
    fn folders_to_sync<'a>(&self, names: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
        let folders = lock(&self.folders);
        let mut needed = BTreeSet::new();
        for name in names {
            let (mut folder, _) = name::split(name);
            while needed.insert(folder) && !folder.is_empty() && !folders.durable.contains(folder) {
                folder = name::split(folder).0;
            }
        }
        needed
    }

    /// Notes folders whose own and upper entries were synced.
    fn note_durable(&self, synced: &[&str]) {
        let mut folders = lock(&self.folders);
        for folder in synced {
            if !folders.durable.contains(*folder) {
                folders.durable.insert((*folder).to_owned());
            }
        }
    }

    fn sync_folders_of(&self, name: &str) -> io::Result<()> {
        let needed = self.folders_to_sync(std::iter::once(name));
        for folder in &needed {
            sync_folder(&self.path(folder))?;
        }
        self.note_durable(&Vec::from_iter(needed));
        Ok(())
    }

    /// Syncs objects and folders; what was deleted meanwhile needs no sync.
    fn sync_due(&self, due: &BTreeSet<String>) -> Result<(), StoreError> {
        for name in due {
            if_there(sync_object(&self.path(name))).map_err(|e| self.fail(Op::Barrier, name, e))?;
        }
        let mut synced = Vec::new();
        for folder in self.folders_to_sync(due.iter().map(String::as_str)) {
            let result = if_there(sync_folder(&self.path(folder)));
            if result.map_err(|e| self.fail(Op::Barrier, folder, e))?.is_some() {
                synced.push(folder);
            }
        }
        self.note_durable(&synced);
        Ok(())
    }

    /// Adds the objects in `folder` whose names start with `prefix`.
    fn collect(&self, folder: &str, prefix: &str, objects: &mut Vec<Object>) -> io::Result<()> {
        for entry in read_folder(&self.path(folder))?.into_iter().flatten() {
            let entry = entry?;
            let file_name = entry.file_name();
            let Some(segment) = file_name.to_str().filter(|s| name::is_valid_segment(s)) else {
                continue;
            };
            let name = join(folder, segment);
            if !name.starts_with(prefix) || !name::is_valid(&name) {
                continue;
            }
            let Some(found) = if_there(entry.metadata())? else {
                continue;
            };
            if found.is_dir() {
                self.collect(&name, prefix, objects)?;
            } else if found.is_file() {
                let size = found.len();
                objects.push(Object { name, size });
            }
        }
        Ok(())
    }
}

impl Backend for Local {
    fn location(&self) -> &str {
        &self.location
    }

    fn size(&self, name: &str) -> Result<u64, StoreError> {
        let path = self.path(name);
        match path.symlink_metadata() {
            Ok(found) if found.is_file() => Ok(found.len()),
            Ok(_) => Err(self.fail(Op::Size, name, Errno::NOENT.into())),
            Err(error) => Err(self.fail(Op::Size, name, error)),
        }
    }

    fn get(&self, name: &str, span: Span) -> Result<Vec<u8>, StoreError> {
        let (file, size) = self.open(Op::Get, name)?;
        let (offset, len) = span.within(size).ok_or_else(|| self.truncated(name))?;
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, offset).map_err(|e| self.fail(Op::Get, name, e))?;
        Ok(bytes)
    }

    fn read_into(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        let (file, size) = self.open(Op::Get, name)?;
        let len = buffer.len();
        let span = Span::Part { offset, len };
        span.within(size).ok_or_else(|| self.truncated(name))?;
        file.read_exact_at(buffer, offset).map_err(|e| self.fail(Op::Get, name, e))
    }

    fn create(
        &self,
        name: &str,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<Created, StoreError> {
        self.try_create(name, bytes, durability).map_err(|e| self.fail(Op::Create, name, e))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        let (folder, _) = name::split(prefix);
        let mut objects = Vec::new();
        match self.collect(folder, prefix, &mut objects) {
            Ok(()) => {}
            Err(error) => {
                let error = self.fail(Op::List, prefix, error);
                // A part of the prefix is an object: nothing is below it.
                return if error.is_not_found() { Ok(Vec::new()) } else { Err(error) };
            }
        }
        objects.sort_unstable();
        Ok(objects)
    }

    fn delete(&self, name: &str) -> Result<bool, StoreError> {
        let error = match unlink(self.path(name)) {
            Ok(()) => return Ok(true),
            Err(errno) => self.fail(Op::Delete, name, errno.into()),
        };
        if error.is_not_found() {
            return Ok(false);
        }
        Err(error)
    }

    fn barrier(&self) -> Result<(), StoreError> {
        let _turn = lock(&self.barrier_turn);
        let mut due = std::mem::take(&mut *lock(&self.due));
        let result = self.sync_due(&due);
        if result.is_err() {
            lock(&self.due).append(&mut due);
        }
        result
    }

    fn free_space(&self) -> Option<u64> {
        let existing = self.root.ancestors().find(|path| path.exists())?;
        let figures = statvfs(existing).ok()?;
        figures.f_bavail.checked_mul(figures.f_frsize)
    }
}

/// Neither follows a link at the end of the path nor waits for a FIFO's other end.
fn open_file(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(open(path, flags, Mode::empty())?);
    let found = file.metadata()?;
    Ok((file, found))
}

fn is_object(path: &Path) -> io::Result<bool> {
    Ok(if_there(path.symlink_metadata())?.is_some_and(|found| found.is_file()))
}

fn sync_object(path: &Path) -> io::Result<()> {
    open_file(path)?.0.sync_all()
}

/// Makes the root and what leads to it; new entries on that way are durable at once.
fn make_root(root: &Path) -> io::Result<()> {
    let missing: Vec<_> = root
        .ancestors()
        .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
        .collect();
    DirBuilder::new().recursive(true).mode(0o700).create(root)?;
    for made in missing {
        let above = made.parent().filter(|path| !path.as_os_str().is_empty());
        sync_folder(above.unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

fn read_folder(path: &Path) -> io::Result<Option<ReadDir>> {
    if_there(path.read_dir())
}

/// Things may vanish between a listing and a look at them.
fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

fn join(folder: &str, segment: &str) -> String {
    match folder {
        "" => segment.to_owned(),
        folder => format!("{folder}/{segment}"),
    }
}
