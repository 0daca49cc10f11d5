//! A portable file in the making, as a store that takes new objects.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use super::layout::{Footer, encode_directory, encode_header, record_header};
use super::records::{self, Extent, Places};
use super::{PortableHeader, Problem};
use crate::backend::{Backend, Span};
use crate::draft::{Draft, start_writeback, sync_folder};
use crate::{Created, Durability, Object, Op, Store, StoreError, StoreErrorKind, lock};

/// Writes a portable file. Nobody sees it before [`PortableWriter::finish`]; dropped unfinished,
/// it leaves nothing behind.
pub struct PortableWriter {
    path: PathBuf,
    header: Vec<u8>,
    draft: Draft,
    shared: Arc<Unfinished>,
}

/// What the writer and the stores handed out share.
struct Unfinished {
    location: String,
    file: File,
    places: RwLock<Places>,
    tail: Mutex<Tail>,
}

struct Tail {
    /// Where the next record starts.
    offset: u64,
    /// The writer is finished or gone.
    is_closed: bool,
}

impl PortableWriter {
    /// Starts a portable file that will be at `path`, in a folder that exists.
    ///
    /// # Errors
    /// `AlreadyExists` if something is at `path`, `Damaged` if the header contradicts itself, or
    /// why the folder cannot be written to.
    pub fn create(path: impl Into<PathBuf>, header: PortableHeader) -> Result<Self, StoreError> {
        let path = path.into();
        let location = path.display().to_string();
        Self::start(path, &location, &header).map_err(|p| p.at(Op::Open, &location, ""))
    }

    fn start(path: PathBuf, location: &str, header: &PortableHeader) -> Result<Self, Problem> {
        let header = encode_header(header)?;
        if path.symlink_metadata().is_ok() {
            return Err(StoreErrorKind::AlreadyExists.into());
        }
        let draft = Draft::start(folder_of(&path))?;
        draft.file().write_all_at(&header, 0)?;
        let tail = Tail { offset: header.len() as u64, is_closed: false };
        let shared = Arc::new(Unfinished {
            location: location.to_owned(),
            file: draft.file().try_clone()?,
            places: RwLock::default(),
            tail: Mutex::new(tail),
        });
        Ok(Self { path, header, draft, shared })
    }

    /// The objects written so far, as a store whose creates append. It refuses deletes and, once
    /// the writer is finished or dropped, creates. Durability comes with `finish` for everything
    /// at once; until then a barrier has nothing to do.
    pub fn store(&self) -> Store {
        Store::shared(Arc::clone(&self.shared) as Arc<dyn Backend>)
    }

    /// Completes the file, makes it durable and gives it its name; returns its size in bytes.
    ///
    /// # Errors
    /// `AlreadyExists` if a file of that name appeared meanwhile, which stays as it is, or why
    /// the file could not be written.
    pub fn finish(mut self) -> Result<u64, StoreError> {
        let shared = Arc::clone(&self.shared);
        self.complete().map_err(|p| p.at(Op::Finish, &shared.location, ""))
    }

    fn complete(&mut self) -> Result<u64, Problem> {
        let offset = self.shared.close();
        let directory = encode_directory(&self.shared.places());
        let footer = Footer::of(&self.header, offset, &directory);
        let mut end = directory;
        end.extend_from_slice(&footer.encode());
        let size = offset + end.len() as u64;

        let file = self.draft.file();
        file.write_all_at(&end, offset)?;
        // A failed create may have left more bytes than the directory took.
        file.set_len(size)?;
        file.sync_all()?;
        if self.draft.publish(&self.path)? == Created::Exists {
            return Err(StoreErrorKind::AlreadyExists.into());
        }
        sync_folder(folder_of(&self.path))?;
        Ok(size)
    }
}

impl Drop for PortableWriter {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl fmt::Debug for PortableWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PortableWriter").field(&self.path).finish()
    }
}

impl Unfinished {
    /// Ends appending and tells where the last record ended.
    fn close(&self) -> u64 {
        let mut tail = lock(&self.tail);
        tail.is_closed = true;
        tail.offset
    }

    fn places(&self) -> RwLockReadGuard<'_, Places> {
        self.places.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, name: &str) -> Result<Extent, Problem> {
        records::find(&self.places(), name)
    }

    fn append(&self, name: &str, bytes: &[u8]) -> Result<Created, Problem> {
        let mut tail = lock(&self.tail);
        if tail.is_closed {
            return Err(StoreErrorKind::ReadOnly.into());
        }
        if self.places().contains_key(name) {
            return Ok(Created::Exists);
        }
        let len = bytes.len() as u64;
        let before = record_header(name, len);
        let offset = tail.offset + before.len() as u64;
        // After a failure the tail stands where it stood: the next record covers the remains.
        self.file.write_all_at(&before, tail.offset)?;
        self.file.write_all_at(bytes, offset)?;
        start_writeback(&self.file, tail.offset, before.len() as u64 + len);
        tail.offset = offset + len;
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        places.insert(name.to_owned(), Extent { offset, len });
        Ok(Created::New)
    }
}

impl Backend for Unfinished {
    fn location(&self) -> &str {
        &self.location
    }

    fn size(&self, name: &str) -> Result<u64, StoreError> {
        let found = self.find(name);
        found.map(|extent| extent.len).map_err(|p| p.at(Op::Size, &self.location, name))
    }

    fn get(&self, name: &str, span: Span) -> Result<Vec<u8>, StoreError> {
        self.find(name)
            .and_then(|extent| extent.get(&self.file, name, span))
            .map_err(|p| p.at(Op::Get, &self.location, name))
    }

    fn read_into(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        self.find(name)
            .and_then(|extent| extent.read_into(&self.file, name, offset, buffer))
            .map_err(|p| p.at(Op::Get, &self.location, name))
    }

    fn create(&self, name: &str, bytes: &[u8], _: Durability) -> Result<Created, StoreError> {
        self.append(name, bytes).map_err(|p| p.at(Op::Create, &self.location, name))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        Ok(records::list(&self.places(), prefix))
    }

    fn delete(&self, name: &str) -> Result<bool, StoreError> {
        let kind = StoreErrorKind::ReadOnly;
        Err(StoreError::new(Op::Delete, &self.location, name, kind))
    }

    /// Durability comes with the end of the file.
    fn barrier(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The folder that holds `path`.
fn folder_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|path| !path.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}
