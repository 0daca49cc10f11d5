//! A writable store on top of others.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backend::{Backend, Character, Span};
use crate::{Created, Durability, Object, Op, StoreError, StoreErrorKind};

pub(crate) struct Overlay {
    top: Arc<dyn Backend>,
    below: Vec<Arc<dyn Backend>>,
}

impl Overlay {
    pub(crate) fn new(top: Arc<dyn Backend>, below: Vec<Arc<dyn Backend>>) -> Self {
        Self { top, below }
    }

    fn layers(&self) -> impl DoubleEndedIterator<Item = &Arc<dyn Backend>> {
        std::iter::once(&self.top).chain(&self.below)
    }

    /// The answer of the first layer that has the object.
    fn first<T>(
        &self,
        op: Op,
        name: &str,
        mut ask: impl FnMut(&dyn Backend) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        for layer in self.layers() {
            match ask(layer.as_ref()) {
                Err(error) if error.is_not_found() => {}
                answer => return answer,
            }
        }
        let kind = StoreErrorKind::NotFound;
        Err(StoreError::new(op, self.location(), name, kind))
    }
}

impl Backend for Overlay {
    fn location(&self) -> &str {
        self.top.location()
    }

    fn size(&self, name: &str) -> Result<u64, StoreError> {
        self.first(Op::Size, name, |layer| layer.size(name))
    }

    fn get(&self, name: &str, span: Span) -> Result<Vec<u8>, StoreError> {
        self.first(Op::Get, name, |layer| layer.get(name, span))
    }

    fn read_into(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        self.first(Op::Get, name, |layer| layer.read_into(name, offset, buffer))
    }

    fn create(
        &self,
        name: &str,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<Created, StoreError> {
        for layer in &self.below {
            match layer.size(name) {
                Ok(_) => return Ok(Created::Exists),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        self.top.create(name, bytes, durability)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        let mut merged = BTreeMap::new();
        // From the bottom up, so that upper layers win.
        for layer in self.layers().rev() {
            let objects = layer.list(prefix)?;
            merged.extend(objects.into_iter().map(|object| (object.name, object.size)));
        }
        let objects = merged.into_iter();
        Ok(objects.map(|(name, size)| Object { name, size }).collect())
    }

    fn delete(&self, name: &str) -> Result<bool, StoreError> {
        self.top.delete(name)
    }

    fn barrier(&self) -> Result<(), StoreError> {
        self.top.barrier()
    }

    fn free_space(&self) -> Option<u64> {
        self.top.free_space()
    }

    fn character(&self) -> Character {
        self.top.character()
    }
}
