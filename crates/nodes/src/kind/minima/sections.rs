//! The sections of a node's backup as files. Blocks of the tree lie in runs of 64: a day later most of them are the same bytes.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{make_folder, private};
use crate::error::{Error, Result};
use crate::minima::backup::{Contents, Section};
use crate::minima::chain::Tree;
use crate::minima::wire::Reader;

/// Blocks in a run.
const RUN: u64 = 64;
/// The run before the first block: how many there are. It comes first in the order of names.
const BEGIN: &str = "0";

/// Writes each section into a folder that is empty.
///
/// # Errors
/// If the tree is damaged, or a file cannot be written.
pub fn write(folder: &Path, contents: &Contents) -> Result<()> {
    for section in Section::ALL {
        let path = folder.join(section.file_name());
        match section {
            Section::ChainTree => runs(&path, contents.section(section))?,
            _ => write_file(&path, contents.section(section))?,
        }
    }
    Ok(())
}

/// Reads the sections that were written into a folder.
///
/// # Errors
/// If one is missing.
pub fn read(folder: &Path) -> Result<Contents> {
    let read = |section: Section| match section {
        Section::ChainTree => joined(&folder.join(section.file_name())),
        _ => read_file(&folder.join(section.file_name())),
    };
    let [wallet, cascade, chain, settings, peers, history] = Section::ALL.map(read);
    Ok(Contents::of([&wallet?, &cascade?, &chain?, &settings?, &peers?, &history?]))
}

/// Cuts the tree where the number of a block enters the next run. Branches stay with the run in which they stand.
fn runs(folder: &Path, section: &[u8]) -> Result<()> {
    let tree = Tree::read(&mut Reader::new(section))
        .map_err(|source| Error::Minima { path: folder.to_owned(), source })?;
    make_folder(folder)?;
    let mut name = BEGIN.to_owned();
    let (mut start, mut run) = (0, None);
    for block in &tree.blocks {
        let own = block.header.number / RUN;
        if run.is_none_or(|run| own > run) {
            let end = index(block.range.start);
            write_file(&folder.join(&name), &section[start..end])?;
            (start, run) = (end, Some(own));
            name = format!("{:012}", own * RUN);
        }
    }
    write_file(&folder.join(&name), &section[start..])
}

/// Everything lies in memory, so places are sizes.
fn index(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

fn joined(folder: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let listed = fs::read_dir(folder).map_err(Error::file(folder, "cannot be listed"))?;
    let mut files: Vec<PathBuf> = listed.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut whole = Zeroizing::new(Vec::new());
    for file in files {
        whole.extend_from_slice(&read_file(&file)?);
    }
    Ok(whole)
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    fs::read(path).map(Zeroizing::new).map_err(Error::file(path, "cannot be read"))
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = private(path).and_then(|mut file| file.write_all(bytes));
    written.map_err(Error::file(path, "cannot be written"))
}
