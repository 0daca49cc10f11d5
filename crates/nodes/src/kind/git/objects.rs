//! Objects: packs and loose files are linked into the staging folder, so that a `gc` that runs meanwhile takes nothing away.
//!
//! Git writes a pack before it removes what the pack stands for, be it loose files or other packs. So packs are listed until two listings
//! agree and everything listed is linked; then loose objects; then packs again, for what was packed meanwhile. A pack that vanishes between
//! listing and linking leads to another listing.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::find::{entries, read};
use crate::error::{Error, Result};

/// What may lie beside a pack, besides its index.
const BESIDE: [&str; 5] = ["rev", "bitmap", "mtimes", "keep", "promisor"];
/// How far alternates of alternates are followed, as git does.
const DEPTH: usize = 5;

/// Where a repository's objects come from.
#[derive(Debug, Default)]
pub(super) struct Origins {
    /// Folders of objects: its own, then those that it borrows from.
    pub folders: Vec<PathBuf>,
    /// Folders that it borrows from and that are not there.
    pub missing: Vec<PathBuf>,
}

impl Origins {
    /// Follows `info/alternates`.
    pub fn of(objects: &Path) -> Result<Self> {
        let mut origins = Self { folders: vec![objects.to_owned()], missing: Vec::new() };
        let mut level = vec![objects.to_owned()];
        for _ in 0..DEPTH {
            let mut next = Vec::new();
            for folder in &level {
                next.extend(alternates(folder)?);
            }
            next.retain(|folder| !origins.folders.contains(folder));
            let (there, missing) = next.into_iter().partition(|folder: &PathBuf| folder.is_dir());
            origins.missing.extend(missing);
            level = there;
            origins.folders.extend(level.iter().cloned());
        }
        Ok(origins)
    }
}

/// The folders that `info/alternates` names.
pub(super) fn alternates(objects: &Path) -> Result<Vec<PathBuf>> {
    let text = read(&objects.join("info/alternates"))?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(|line| tidied(&objects.join(line))).collect())
}

fn tidied(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Links all objects of the origins into a new folder. `None` if packs came and went until the deadline.
pub(super) fn gather(origins: &Origins, to: &Path, deadline: Instant) -> Result<Option<()>> {
    for folder in ["pack", "info"] {
        let folder = to.join(folder);
        fs::create_dir_all(&folder).map_err(Error::file(&folder, "create"))?;
    }
    for from in &origins.folders {
        if gather_packs(&from.join("pack"), &to.join("pack"), deadline)?.is_none() {
            return Ok(None);
        }
        gather_loose(from, to)?;
        if gather_packs(&from.join("pack"), &to.join("pack"), deadline)?.is_none() {
            return Ok(None);
        }
    }
    Ok(Some(()))
}

fn gather_packs(from: &Path, to: &Path, deadline: Instant) -> Result<Option<()>> {
    let mut before = None;
    loop {
        let packs = list_packs(from)?;
        let mut are_all_there = true;
        for pack in &packs {
            are_all_there &= to.join(pack).exists() || link_pack(from, to, pack)?;
        }
        if are_all_there && before.as_ref() == Some(&packs) {
            return Ok(Some(()));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        before = Some(packs);
    }
}

/// The indices of packs: one is there only while its pack is whole.
fn list_packs(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let names = entries(folder)?.into_iter().map(|entry| PathBuf::from(entry.file_name()));
    Ok(names.filter(|name| is_pack_index(name)).collect())
}

fn is_pack_index(name: &Path) -> bool {
    name.extension().is_some_and(|extension| extension == "idx")
        && name.to_str().is_some_and(|name| name.starts_with("pack-"))
}

/// Links a pack, its index last. `false` if it vanished.
fn link_pack(from: &Path, to: &Path, index: &Path) -> Result<bool> {
    if !link(from, to, &index.with_extension("pack"))? {
        return Ok(false);
    }
    for extension in BESIDE {
        link(from, to, &index.with_extension(extension))?;
    }
    link(from, to, index)
}

fn gather_loose(from: &Path, to: &Path) -> Result<()> {
    for folder in entries(from)? {
        let name = folder.file_name();
        if !name.to_str().is_some_and(|name| is_hex(name, 2)) {
            continue;
        }
        let (from, to) = (from.join(&name), to.join(&name));
        let objects = entries(&from)?.into_iter().map(|entry| PathBuf::from(entry.file_name()));
        for object in objects.filter(|name| name.to_str().is_some_and(|name| is_hex(name, 38))) {
            fs::create_dir_all(&to).map_err(Error::file(&to, "create"))?;
            // One that vanished was packed: the packs are listed after this.
            link(&from, &to, &object)?;
        }
    }
    Ok(())
}

fn is_hex(name: &str, length: usize) -> bool {
    name.len() == length && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Links a file, or copies it where that cannot be: another file system, another owner, too many links. `false` if it is not there.
fn link(from: &Path, to: &Path, name: &Path) -> Result<bool> {
    let (from, to) = (from.join(name), to.join(name));
    match fs::hard_link(&from, &to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(_) => copy(&from, &to),
    }
}

fn copy(from: &Path, to: &Path) -> Result<bool> {
    let mut source = match File::open(from) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::file(from, "open")(error)),
    };
    let mut target = File::create_new(to).map_err(Error::file(to, "create"))?;
    io::copy(&mut source, &mut target).map_err(Error::file(to, "copy an object into"))?;
    let modified = source.metadata().and_then(|metadata| metadata.modified());
    modified
        .and_then(|time| target.set_modified(time))
        .map_err(Error::file(to, "set the time of"))?;
    Ok(true)
}
