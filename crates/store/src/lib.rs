//! Bytes at rest: stores of immutable objects that are created if absent.
//!
//! A [`Store`] is a folder, a bucket, a mirror, a portable file, memory, or a stack of these. It knows
//! names and bytes and nothing of what they mean. All methods may be called from any thread.

mod address;
mod backend;
#[cfg(feature = "object")]
mod clock;
mod distant;
mod draft;
mod error;
mod faults;
#[cfg(feature = "object")]
mod https;
#[cfg(feature = "object")]
mod limits;
mod local;
mod memory;
mod name;
#[cfg(feature = "object")]
mod net;
#[cfg(feature = "object")]
mod object;
mod open;
mod options;
mod overlay;
mod portable;
mod probe;
mod recording;
#[cfg(feature = "object")]
mod retry;
pub mod scripted;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backend::{Backend, Span};

pub use address::{Address, AddressError, Mirror};
pub use error::{Answer, Op, StoreError, StoreErrorKind};
pub use faults::{Effect, FaultPlan, FaultRule, NameMatch, Occurrence, OpMatch};
pub use options::{
    Environment, Limits, OpenOptions, RetryPolicy, S3Credentials, S3Options, Timeouts,
};
pub use portable::{PortableHeader, PortableKind, PortableWriter};
pub use probe::{Allowed, Honesty, Probe};
pub use recording::{Recorded, Recording};

/// One object store: immutable objects, created if absent. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
}

/// What must be true of an object when `create` returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Others can read it, and it survives a crash of this process; a power cut may lose or tear
    /// it until [`Store::barrier`] has returned.
    Visible,
    /// It is on disk, directory entries included.
    Durable,
}

/// Whether `create` made the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Created {
    /// The object is new and holds exactly the given bytes.
    New,
    /// An object of that name was there; nothing was changed, its bytes were not compared.
    /// It is as durable as was asked for.
    Exists,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    /// Full name, relative to the store.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
}

/// Where a store's bytes lie.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A disk, or a server that answers on a loopback address of this machine.
    ThisMachine,
    /// Behind a network.
    Remote {
        /// The host that is asked.
        host: String,
    },
}

impl Store {
    /// A store in the folder `root`. Does no I/O: the first `create` makes the folders (mode 0700).
    pub fn local(root: impl Into<PathBuf>) -> Self {
        Self::of(local::Local::new(root.into()))
    }

    /// An empty store in memory.
    pub fn memory() -> Self {
        Self::of(memory::Memory::default())
    }

    /// A read-only view of the portable file at `path`.
    ///
    /// # Errors
    /// If the file cannot be read, is no portable file, is of a newer format, ends too early, or
    /// its header, directory or footer do not agree.
    pub fn portable(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Ok(Self::of(portable::Portable::open(path.into())?))
    }

    /// A union: reads go to `top` first and then through `below` in order, lists are merged,
    /// creates go to `top` unless a layer has the name, deletes and barriers go to `top` only.
    pub fn overlay(top: Self, below: Vec<Self>) -> Self {
        let below = below.into_iter().map(|store| store.backend).collect();
        Self::of(overlay::Overlay::new(top.backend, below))
    }

    /// The same store with the failures of `plan`, for crash tests.
    #[must_use]
    pub fn with_faults(self, plan: FaultPlan) -> Self {
        Self::of(faults::Faulty::new(self.backend, plan))
    }

    /// The same store as if it were behind a network: every request takes a `round_trip` longer, and many at once pay.
    #[must_use]
    pub fn distant(self, round_trip: std::time::Duration) -> Self {
        Self::of(distant::Distant::new(self.backend, round_trip))
    }

    /// The same store, and a record of all operations made through the returned handle.
    pub fn recording(self) -> (Self, Recording) {
        let recording = Recording::default();
        let recorder = recording::Recorder::new(self.backend, recording.clone());
        (Self::of(recorder), recording)
    }

    /// A store of which every operation is answered by `oracle`, for simulators.
    pub fn scripted(oracle: Arc<dyn scripted::Oracle>) -> Self {
        Self::of(scripted::Scripted(oracle))
    }

    fn of(backend: impl Backend + 'static) -> Self {
        Self::shared(Arc::new(backend))
    }

    pub(crate) fn shared(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    /// Where the store is, for messages: a path or "memory".
    pub fn location(&self) -> &str {
        self.backend.location()
    }

    /// Reads a whole object.
    ///
    /// # Errors
    /// `NotFound`, or why it could not be read.
    pub fn get(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        self.check_name(Op::Get, name)?;
        self.backend.get(name, Span::All)
    }

    /// Reads exactly `len` bytes from `offset` on.
    ///
    /// # Errors
    /// `Truncated` if the object ends before, `NotFound`, or why it could not be read.
    pub fn get_range(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>, StoreError> {
        self.check_name(Op::Get, name)?;
        self.backend.get(name, Span::Part { offset, len })
    }

    /// Fills `buffer` from `offset` on; [`Store::get_range`] without an allocation.
    ///
    /// # Errors
    /// As [`Store::get_range`]; the buffer's content is then unspecified.
    pub fn read_into(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        self.check_name(Op::Get, name)?;
        self.backend.read_into(name, offset, buffer)
    }

    /// The object's size in bytes.
    ///
    /// # Errors
    /// `NotFound`, or why it could not be found out.
    pub fn size(&self, name: &str) -> Result<u64, StoreError> {
        self.check_name(Op::Size, name)?;
        self.backend.size(name)
    }

    /// Creates the object if none of that name is there. Of many that try at once, one is told
    /// [`Created::New`]. Nobody ever sees part of an object.
    ///
    /// # Errors
    /// Why it could not be created. After an error the object is either absent or complete.
    pub fn create(
        &self,
        name: &str,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<Created, StoreError> {
        self.check_name(Op::Create, name)?;
        self.backend.create(name, bytes, durability)
    }

    /// All objects whose names start with `prefix`, in ascending order of names. The prefix may
    /// end inside a segment. Nothing there is an empty list, not an error.
    ///
    /// # Errors
    /// `InvalidName` for a prefix that no name can have, or why the listing is not complete.
    pub fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        if !name::is_valid_prefix(prefix) {
            return Err(self.invalid_name(Op::List, prefix));
        }
        self.backend.list(prefix)
    }

    /// Deletes an object; false if it was not there.
    ///
    /// # Errors
    /// Why it could not be deleted.
    pub fn delete(&self, name: &str) -> Result<bool, StoreError> {
        self.check_name(Op::Delete, name)?;
        self.backend.delete(name)
    }

    /// Returns when everything that was created [`Durability::Visible`] through this handle or its
    /// clones is on disk.
    ///
    /// # Errors
    /// Why that is not so. The objects concerned stay due for the next barrier.
    pub fn barrier(&self) -> Result<(), StoreError> {
        self.backend.barrier()
    }

    /// Bytes that this user can still write; known for local stores only.
    pub fn free_space(&self) -> Option<u64> {
        self.backend.free_space()
    }

    /// How many requests at once still pay: a few on a disk, many over a network.
    pub fn in_flight(&self) -> usize {
        self.backend.character().in_flight
    }

    /// Whether every request crosses a network, so that round trips count.
    pub fn is_remote(&self) -> bool {
        matches!(self.place(), Place::Remote { .. })
    }

    /// Whether [`Store::list`] works; a static mirror has no listings.
    pub fn can_list(&self) -> bool {
        self.backend.character().can_list
    }

    /// Where the bytes lie. A mounted network folder counts as this machine: nobody can tell.
    pub fn place(&self) -> Place {
        self.backend.character().place
    }

    fn check_name(&self, op: Op, name: &str) -> Result<(), StoreError> {
        if name::is_valid(name) {
            return Ok(());
        }
        Err(self.invalid_name(op, name))
    }

    fn invalid_name(&self, op: Op, name: &str) -> StoreError {
        StoreError::new(op, self.location(), name, StoreErrorKind::InvalidName)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.location()).finish()
    }
}

/// Locks; the data behind the crate's locks is valid at every step, so a panic elsewhere is no
/// reason to stop.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
