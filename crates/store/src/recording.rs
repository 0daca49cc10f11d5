//! A decorator that notes every operation, so that tests can count round trips and bytes.

use std::sync::{Arc, Mutex};

use crate::backend::{Backend, Character, Span};
use crate::{Created, Durability, Object, Op, StoreError, lock};

/// One operation that was made, successful or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// What was done.
    pub op: Op,
    /// The object's name, or the prefix of a listing; empty for a barrier.
    pub name: String,
    /// Bytes read or handed in for writing; 0 for other and for failed reads.
    pub bytes: u64,
}

/// The operations of a recording store, in the order in which they ended. Clones share the record.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    operations: Arc<Mutex<Vec<Recorded>>>,
}

impl Recording {
    /// Everything noted so far.
    pub fn operations(&self) -> Vec<Recorded> {
        lock(&self.operations).clone()
    }

    /// How many operations of this kind were made.
    pub fn count(&self, op: Op) -> usize {
        let operations = lock(&self.operations);
        operations.iter().filter(|made| made.op == op).count()
    }

    /// Bytes that operations of this kind moved.
    pub fn bytes(&self, op: Op) -> u64 {
        let operations = lock(&self.operations);
        let of_kind = operations.iter().filter(|made| made.op == op);
        of_kind.map(|made| made.bytes).sum()
    }

    /// Forgets what was noted.
    pub fn clear(&self) {
        lock(&self.operations).clear();
    }

    fn note(&self, op: Op, name: &str, bytes: usize) {
        lock(&self.operations).push(Recorded { op, name: name.to_owned(), bytes: bytes as u64 });
    }
}

pub(crate) struct Recorder {
    inner: Arc<dyn Backend>,
    recording: Recording,
}

impl Recorder {
    pub(crate) fn new(inner: Arc<dyn Backend>, recording: Recording) -> Self {
        Self { inner, recording }
    }
}

impl Backend for Recorder {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn size(&self, name: &str) -> Result<u64, StoreError> {
        let result = self.inner.size(name);
        self.recording.note(Op::Size, name, 0);
        result
    }

    fn get(&self, name: &str, span: Span) -> Result<Vec<u8>, StoreError> {
        let result = self.inner.get(name, span);
        let bytes = result.as_ref().map_or(0, Vec::len);
        self.recording.note(Op::Get, name, bytes);
        result
    }

    fn read_into(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        let result = self.inner.read_into(name, offset, buffer);
        let bytes = result.as_ref().map_or(0, |()| buffer.len());
        self.recording.note(Op::Get, name, bytes);
        result
    }

    fn create(
        &self,
        name: &str,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<Created, StoreError> {
        let result = self.inner.create(name, bytes, durability);
        self.recording.note(Op::Create, name, bytes.len());
        result
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        let result = self.inner.list(prefix);
        self.recording.note(Op::List, prefix, 0);
        result
    }

    fn delete(&self, name: &str) -> Result<bool, StoreError> {
        let result = self.inner.delete(name);
        self.recording.note(Op::Delete, name, 0);
        result
    }

    fn barrier(&self) -> Result<(), StoreError> {
        let result = self.inner.barrier();
        self.recording.note(Op::Barrier, "", 0);
        result
    }

    fn free_space(&self) -> Option<u64> {
        self.inner.free_space()
    }

    fn character(&self) -> Character {
        self.inner.character()
    }
}
