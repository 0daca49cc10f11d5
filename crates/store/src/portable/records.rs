//! Where the objects of a portable file are, and how they are read.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Bound;
use std::os::unix::fs::FileExt;

use super::Problem;
use super::layout::record_header;
use crate::backend::Span;
use crate::{Object, StoreErrorKind};

/// The place of an object's bytes in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) offset: u64,
    pub(super) len: u64,
}

/// Places by name.
pub(super) type Places = BTreeMap<String, Extent>;

pub(super) fn find(places: &Places, name: &str) -> Result<Extent, Problem> {
    let found = places.get(name).copied();
    found.ok_or(Problem::Kind(StoreErrorKind::NotFound))
}

pub(super) fn list(places: &Places, prefix: &str) -> Vec<Object> {
    places
        .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
        .take_while(|(name, _)| name.starts_with(prefix))
        .map(|(name, extent)| Object { name: name.clone(), size: extent.len })
        .collect()
}

impl Extent {
    pub(super) fn get(self, file: &File, name: &str, span: Span) -> Result<Vec<u8>, Problem> {
        let (offset, len) = span.within(self.len).ok_or(StoreErrorKind::Truncated)?;
        self.check_record(file, name)?;
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, self.offset + offset)?;
        Ok(bytes)
    }

    pub(super) fn read_into(
        self,
        file: &File,
        name: &str,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), Problem> {
        let len = buffer.len();
        let span = Span::Part { offset, len };
        span.within(self.len).ok_or(StoreErrorKind::Truncated)?;
        self.check_record(file, name)?;
        Ok(file.read_exact_at(buffer, self.offset + offset)?)
    }

    /// What stands before the bytes must say what the directory says.
    fn check_record(self, file: &File, name: &str) -> Result<(), Problem> {
        let expected = record_header(name, self.len);
        let mut found = vec![0; expected.len()];
        file.read_exact_at(&mut found, self.offset - expected.len() as u64)?;
        if found == expected {
            return Ok(());
        }
        let what = "its record and the directory do not agree";
        Err(StoreErrorKind::Damaged(what).into())
    }
}
