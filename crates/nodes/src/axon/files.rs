//! Files of Axon and of its backups: read within bounds and without following links, written so that they appear whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::error::{Error, Result};

/// Opens a regular file. A link, a pipe or a device is none.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no regular file"))
    }
}

/// A whole text of at most so many bytes; `None` if there is no such file.
pub(super) fn read_text(path: &Path, most: u64) -> Result<Option<String>> {
    let file = match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(Error::file(path, "cannot be read"))?,
    };
    let mut text = String::new();
    let read = file.take(most + 1).read_to_string(&mut text);
    let read = read.map_err(Error::file(path, "cannot be read"))?;
    if u64::try_from(read).is_ok_and(|read| read > most) {
        let reason = format!("it is larger than {most} bytes");
        return Err(Error::Backup { path: path.to_owned(), reason });
    }
    Ok(Some(text))
}

/// Makes a folder that only its owner may enter, and those above it.
pub(super) fn make_folder(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(Error::file(path, "cannot be made"))
}

/// Writes a file of 0600 beside its place, then puts it there. A file that lies there is replaced and keeps its mode.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = beside(path);
    let write = || -> io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        if let Ok(metadata) = fs::metadata(path) {
            file.set_permissions(metadata.permissions())?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(|error| {
        _ = fs::remove_file(&beside);
        Error::file(path, "cannot be written")(error)
    })
}

/// Makes renames in a folder last.
pub(super) fn sync_folder(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::file(path, "cannot be synced"))
}

/// Names of what lies in a folder, sorted; none if there is no such folder.
pub(super) fn names(path: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::file(path, "cannot be listed"))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::file(path, "cannot be listed"))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// Whether it is a folder itself, not a link to one.
pub(super) fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}
