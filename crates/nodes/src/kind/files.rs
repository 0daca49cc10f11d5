//! Files as they are: read in place, so that there is nothing to prepare.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{Captured, Outcome, Request, Verified};
use crate::counting::counted;
use crate::error::{Error, Result};

/// Looks whether there is something to read.
///
/// # Errors
/// If there is not.
pub fn capture(request: &Request<'_>) -> Result<Captured> {
    let there = request.path.symlink_metadata();
    there.map(|_| Captured::default()).map_err(Error::file(request.path, "look at"))
}

/// Reads every file of a copy once.
///
/// # Errors
/// If there is nothing at the path.
pub fn verify(path: &Path) -> Result<Verified> {
    path.symlink_metadata().map_err(Error::file(path, "look at"))?;
    let mut verified = Verified::default();
    match read_all(path) {
        Ok((files, bytes)) => {
            verified.check(
                "readable",
                Outcome::Passed,
                format!("{}, {bytes} bytes", counted(files, "file")),
            );
        }
        Err(error) => verified.check("readable", Outcome::Failed, error.to_string()),
    }
    Ok(verified)
}

/// How many files there are, and their size in bytes. Links are not followed; what is neither file nor folder is passed over.
fn read_all(path: &Path) -> Result<(u64, u64)> {
    let mut waiting: Vec<PathBuf> = vec![path.to_owned()];
    let (mut files, mut bytes) = (0, 0);
    while let Some(path) = waiting.pop() {
        let kind = path.symlink_metadata().map_err(Error::file(&path, "look at"))?.file_type();
        if kind.is_dir() {
            for entry in fs::read_dir(&path).map_err(Error::file(&path, "list"))? {
                waiting.push(entry.map_err(Error::file(&path, "list"))?.path());
            }
        } else if kind.is_file() {
            let mut file = File::open(&path).map_err(Error::file(&path, "open"))?;
            let read = io::copy(&mut file, &mut io::sink()).map_err(Error::file(&path, "read"))?;
            (files, bytes) = (files + 1, bytes + read);
        }
    }
    Ok((files, bytes))
}
