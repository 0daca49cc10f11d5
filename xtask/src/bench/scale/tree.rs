//! A tree of small files: as many as wanted, a hundred in each folder, all different.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use super::super::corpus::Random;
use crate::error::Error;

/// Files in a folder.
pub const FOLDER_FILES: u64 = 100;
/// Folders in the folder above.
const FOLDERS: u64 = 100;

/// The tree of so many files below a folder.
#[derive(Debug)]
pub struct Tree<'a> {
    root: &'a Path,
    files: u64,
}

impl<'a> Tree<'a> {
    /// Writes the tree, in as many threads as the machine runs.
    pub fn create(root: &'a Path, files: u64) -> Result<Self, Error> {
        let tree = Self { root, files };
        let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
        let folders = files.div_ceil(FOLDER_FILES);
        thread::scope(|scope| {
            let part = |first: u64| {
                let tree = &tree;
                move || (first..folders).step_by(threads as usize).try_for_each(|n| tree.folder(n))
            };
            let running: Vec<_> = (0..threads).map(|first| scope.spawn(part(first))).collect();
            let results = running.into_iter().map(|one| one.join().unwrap_or(Ok(())));
            results.collect::<Result<(), Error>>()
        })?;
        Ok(tree)
    }

    fn folder(&self, number: u64) -> Result<(), Error> {
        let first = number * FOLDER_FILES;
        let path = self.path(first);
        let folder = path.parent().unwrap_or(self.root);
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
        (first..self.files.min(first + FOLDER_FILES)).try_for_each(|n| self.write(n, 0))
    }

    /// Where a file lies.
    pub fn path(&self, number: u64) -> PathBuf {
        let folder = number / FOLDER_FILES;
        let above = format!("{:04}", folder / FOLDERS);
        self.root.join(above).join(format!("{:02}", folder % FOLDERS)).join(name(number))
    }

    /// What a file holds.
    pub fn content(number: u64, version: u64) -> Vec<u8> {
        let bytes = 300 + (number * 37 % 700) as usize;
        Random(number << 16 | version).text(bytes)
    }

    /// Writes a file.
    pub fn write(&self, number: u64, version: u64) -> Result<(), Error> {
        let path = self.path(number);
        fs::write(&path, Self::content(number, version)).map_err(Error::file(path))
    }
}

/// A file's name.
pub fn name(number: u64) -> String {
    format!("file-{number:08}.txt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_there_and_no_two_are_alike() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Tree::create(folder.path(), 250).unwrap();
        let found = super::super::super::corpus::measure_folder(folder.path()).unwrap();
        assert_eq!(found.files, 250);
        assert_eq!(fs::read(tree.path(249)).unwrap(), Tree::content(249, 0));
        assert_ne!(Tree::content(1, 0), Tree::content(2, 0));
        assert_ne!(Tree::content(1, 0), Tree::content(1, 1));
    }
}
