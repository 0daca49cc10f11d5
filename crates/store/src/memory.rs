//! A store in memory, for tests and scratch.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use crate::backend::{Backend, Span};
use crate::{Created, Durability, Object, Op, StoreError, StoreErrorKind, lock};

const LOCATION: &str = "memory";

#[derive(Default)]
pub(crate) struct Memory {
    objects: Mutex<BTreeMap<String, Arc<[u8]>>>,
}

impl Memory {
    fn object(&self, op: Op, name: &str) -> Result<Arc<[u8]>, StoreError> {
        let found = lock(&self.objects).get(name).cloned();
        found.ok_or_else(|| StoreError::new(op, LOCATION, name, StoreErrorKind::NotFound))
    }
}

/// The part of `object` that `span` means.
fn part<'a>(object: &'a [u8], name: &str, span: Span) -> Result<&'a [u8], StoreError> {
    let size = u64::try_from(object.len()).unwrap_or(u64::MAX);
    span.within(size)
        .and_then(|(offset, len)| object.get(usize::try_from(offset).ok()?..)?.get(..len))
        .ok_or_else(|| StoreError::new(Op::Get, LOCATION, name, StoreErrorKind::Truncated))
}

impl Backend for Memory {
    fn location(&self) -> &str {
        LOCATION
    }

    fn size(&self, name: &str) -> Result<u64, StoreError> {
        let object = self.object(Op::Size, name)?;
        Ok(object.len() as u64)
    }

    fn get(&self, name: &str, span: Span) -> Result<Vec<u8>, StoreError> {
        let object = self.object(Op::Get, name)?;
        part(&object, name, span).map(<[u8]>::to_vec)
    }

    fn read_into(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        let object = self.object(Op::Get, name)?;
        let len = buffer.len();
        buffer.copy_from_slice(part(&object, name, Span::Part { offset, len })?);
        Ok(())
    }

    fn create(&self, name: &str, bytes: &[u8], _: Durability) -> Result<Created, StoreError> {
        match lock(&self.objects).entry(name.to_owned()) {
            Entry::Occupied(_) => Ok(Created::Exists),
            Entry::Vacant(place) => {
                place.insert(bytes.into());
                Ok(Created::New)
            }
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        let objects = lock(&self.objects);
        let from_prefix = objects.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        Ok(from_prefix
            .take_while(|(name, _)| name.starts_with(prefix))
            .map(|(name, bytes)| Object { name: name.clone(), size: bytes.len() as u64 })
            .collect())
    }

    fn delete(&self, name: &str) -> Result<bool, StoreError> {
        Ok(lock(&self.objects).remove(name).is_some())
    }

    fn barrier(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
