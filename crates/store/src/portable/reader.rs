//! A complete portable file as a read-only store.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::layout::{FOOTER_LEN, Footer, decode_directory};
use super::records::{self, Places};
use super::{Problem, open_regular, read_header};
use crate::backend::{Backend, Span};
use crate::{Created, Durability, Object, Op, StoreError, StoreErrorKind};

pub(crate) struct Portable {
    location: String,
    file: File,
    places: Places,
}

impl Portable {
    pub(crate) fn open(path: PathBuf) -> Result<Self, StoreError> {
        let location = path.display().to_string();
        match read(&path) {
            Err(problem) => Err(problem.at(Op::Open, &location, "")),
            Ok((file, places)) => Ok(Self { location, file, places }),
        }
    }

    fn refuse<T>(&self, op: Op, name: &str) -> Result<T, StoreError> {
        let kind = StoreErrorKind::ReadOnly;
        Err(StoreError::new(op, &self.location, name, kind))
    }
}

fn read(path: &Path) -> Result<(File, Places), Problem> {
    let (file, size) = open_regular(path)?;
    let (_, header) = read_header(&file, size)?;
    let footer_offset = size
        .checked_sub(FOOTER_LEN as u64)
        .filter(|&offset| offset >= header.len() as u64)
        .ok_or(StoreErrorKind::Truncated)?;
    let mut footer = [0; FOOTER_LEN];
    file.read_exact_at(&mut footer, footer_offset)?;
    let footer = Footer::decode(&footer)?;

    let area = header.len() as u64..footer.directory_offset;
    let directory = read_directory(&file, &footer, &area, footer_offset)?;
    if Footer::hash(&header, &directory) != footer.hash {
        return Err(StoreErrorKind::Damaged("its directory does not match its hash").into());
    }
    let places = decode_directory(&directory, &area)?;
    Ok((file, places))
}

/// Reads the directory after checking that it lies between the objects and the footer, so that
/// nothing is allocated for sizes that the file does not have.
fn read_directory(
    file: &File,
    footer: &Footer,
    area: &Range<u64>,
    footer_offset: u64,
) -> Result<Vec<u8>, Problem> {
    let end = area.end.checked_add(footer.directory_len);
    if area.start > area.end || end != Some(footer_offset) {
        return Err(StoreErrorKind::Damaged("its footer does not fit the file").into());
    }
    let len = usize::try_from(footer.directory_len)
        .map_err(|_| StoreErrorKind::Damaged("its directory is too large"))?;
    let mut directory = vec![0; len];
    file.read_exact_at(&mut directory, area.end)?;
    Ok(directory)
}

impl Backend for Portable {
    fn location(&self) -> &str {
        &self.location
    }

    fn size(&self, name: &str) -> Result<u64, StoreError> {
        let found = records::find(&self.places, name);
        found.map(|extent| extent.len).map_err(|p| p.at(Op::Size, &self.location, name))
    }

    fn get(&self, name: &str, span: Span) -> Result<Vec<u8>, StoreError> {
        records::find(&self.places, name)
            .and_then(|extent| extent.get(&self.file, name, span))
            .map_err(|p| p.at(Op::Get, &self.location, name))
    }

    fn read_into(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        records::find(&self.places, name)
            .and_then(|extent| extent.read_into(&self.file, name, offset, buffer))
            .map_err(|p| p.at(Op::Get, &self.location, name))
    }

    fn create(&self, name: &str, _: &[u8], _: Durability) -> Result<Created, StoreError> {
        self.refuse(Op::Create, name)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        Ok(records::list(&self.places, prefix))
    }

    fn delete(&self, name: &str) -> Result<bool, StoreError> {
        self.refuse(Op::Delete, name)
    }

    /// Nothing is ever created here.
    fn barrier(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
