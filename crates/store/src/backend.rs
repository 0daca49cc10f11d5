//! The contract that every kind of store fulfils.

use crate::{Created, Durability, Object, StoreError};

/// Which bytes of an object to read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Span {
    All,
    Part { offset: u64, len: usize },
}

impl Span {
    /// Offset and length within an object of `size` bytes; `None` if the object is too short.
    pub(crate) fn within(self, size: u64) -> Option<(u64, usize)> {
        let (offset, len) = match self {
            Self::All => (0, usize::try_from(size).ok()?),
            Self::Part { offset, len } => (offset, len),
        };
        let end = offset.checked_add(u64::try_from(len).ok()?)?;
        (end <= size).then_some((offset, len))
    }
}

/// What a store must do. Names and prefixes arrive validated.
pub(crate) trait Backend: Send + Sync {
    fn location(&self) -> &str;
    fn size(&self, name: &str) -> Result<u64, StoreError>;
    /// Allocates only after the object's real size is known to cover the span.
    fn get(&self, name: &str, span: Span) -> Result<Vec<u8>, StoreError>;
    fn read_into(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError>;
    fn create(
        &self,
        name: &str,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<Created, StoreError>;
    /// In ascending order of names.
    fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError>;
    fn delete(&self, name: &str) -> Result<bool, StoreError>;
    fn barrier(&self) -> Result<(), StoreError>;
    fn free_space(&self) -> Option<u64> {
        None
    }
}
