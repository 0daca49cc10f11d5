//! Portable files: a repository of its own, with keys of its own, in one `.nkb` file (`docs/format.md`, section 8).
//! An incremental or differential file holds only what its base lacks, and is read together with it.

use std::path::{Path, PathBuf};

use nodekeep_store::{PortableHeader, PortableKind, PortableWriter, Store};

use crate::backup::{BackupOptions, BackupReport};
use crate::crypto::random;
use crate::error::{Error, Result};
use crate::keys::{Credential, Entropy, Reader};
use crate::monitor::Monitor;
use crate::repository::{Access, CreateOptions, Repository, SnapshotRecord};
use crate::source::Source;

/// The attachment of a portable file's snapshots that lets whoever can read the file write an increment of it.
pub const WRITER_ATTACHMENT: &str = "nodekeep/portable-writer";

/// A portable file in the making. Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct PortableFile {
    writer: PortableWriter,
    repo: Repository,
    credential: Credential,
    id: [u8; 16],
}

/// What a new increment stands on.
#[derive(Debug)]
pub struct Base {
    /// The file.
    pub path: PathBuf,
    /// The file and the files below it, as one repository.
    pub repo: Repository,
    /// May write increments.
    pub credential: Credential,
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl PortableFile {
    /// Begins a full file, sealed to `readers`: a passphrase, or recipients.
    ///
    /// # Errors
    /// If the file exists, or cannot be made.
    pub fn create(path: &Path, readers: Vec<(Reader, String)>) -> Result<Self> {
        let id = random();
        let header =
            PortableHeader { id, kind: PortableKind::Full, base: None, base_name: String::new() };
        let writer = PortableWriter::create(path, header)?;
        let options = CreateOptions { readers, owner_reads: false, ..CreateOptions::default() };
        // The owner of a portable file exists only while it is made: nobody is added to it later.
        let (repo, credential) = Repository::create(writer.store(), &Entropy::random(), &options)?;
        Ok(Self { writer, repo, credential, id })
    }

    /// Begins a file that holds only what `base` lacks.
    ///
    /// # Errors
    /// If the file exists or cannot be made, or a differential's base is not a full file.
    pub fn create_on(path: &Path, kind: PortableKind, base: &Base) -> Result<Self> {
        let below = PortableHeader::read(&base.path)?;
        if kind == PortableKind::Differential && below.kind != PortableKind::Full {
            let what =
                "a differential file stands on a full one; this is an increment itself".to_owned();
            return Err(Error::Archive { archive: base.path.display().to_string(), what });
        }
        let id = random();
        let header =
            PortableHeader { id, kind, base: Some(below.id), base_name: file_name(&base.path) };
        let writer = PortableWriter::create(path, header)?;
        let store = Store::overlay(writer.store(), vec![base.repo.store().clone()]);
        let access = Access { credential: Some(base.credential.clone()), ..Access::default() };
        let repo = Repository::open(store, &access, None)?;
        Ok(Self { writer, repo, credential: base.credential.clone(), id })
    }

    /// The file's id.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// What writes increments of this file; worth keeping where the file is sealed to others.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Backs up a source into the file and publishes it; the file's size in bytes comes with the report.
    ///
    /// # Errors
    /// As [`Repository::backup`]; nothing is left of the file then.
    pub fn backup(
        self,
        source: &dyn Source,
        options: &BackupOptions,
        monitor: &dyn Monitor,
    ) -> Result<(BackupReport, u64)> {
        let mut options = options.clone();
        let text = self.credential.to_text();
        options.attachments.push((WRITER_ATTACHMENT.to_owned(), text.as_bytes().to_vec()));
        let report = self.repo.backup(source, &options, monitor)?;
        if options.dry_run {
            return Ok((report, 0));
        }
        let size = self.writer.finish()?;
        Ok((report, size))
    }
}

/// The file and everything that it stands on, the file first. Bases are looked for among `given`, then beside the file:
/// by the name that it had, then by its id in any `.nkb` file there.
///
/// # Errors
/// If one is damaged, or a base is not found.
pub fn chain(path: &Path, given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = vec![path.to_owned()];
    let mut header = PortableHeader::read(path)?;
    while let Some(wanted) = header.base {
        let last = files.last().map_or(path, PathBuf::as_path);
        let missing = || Error::BaseMissing {
            file: last.display().to_string(),
            base: header.base_name.clone(),
        };
        let (file, found) =
            find_base(last, &wanted, &header.base_name, given).ok_or_else(missing)?;
        if files.contains(&file) {
            return Err(missing());
        }
        files.push(file);
        header = found;
    }
    Ok(files)
}

fn find_base(
    path: &Path,
    wanted: &[u8; 16],
    name: &str,
    given: &[PathBuf],
) -> Option<(PathBuf, PortableHeader)> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    // The name is only a hint from the file: it must not lead elsewhere.
    let hinted = Path::new(name).file_name().map(|name| dir.join(name));
    let beside = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path());
    let beside = beside.filter(|p| p.extension().is_some_and(|e| e == "nkb"));
    let candidates = given.iter().cloned().chain(hinted).chain(beside);
    let is_base = |file: PathBuf| {
        PortableHeader::read(&file).ok().filter(|h| h.id == *wanted).map(|h| (file, h))
    };
    candidates.filter_map(is_base).next()
}

/// Opens a portable file together with its bases.
///
/// # Errors
/// If a base is missing, a file is damaged, or no key fits.
pub fn open(path: &Path, access: &Access, given: &[PathBuf]) -> Result<Repository> {
    let mut stores = Vec::new();
    for file in chain(path, given)? {
        stores.push(Store::portable(file)?);
    }
    let top = stores.remove(0);
    let store = if stores.is_empty() { top } else { Store::overlay(top, stores) };
    Repository::open(store, access, None)
}

/// The snapshot that a portable file was made for: its newest.
///
/// # Errors
/// If none opens.
pub fn newest(repo: &Repository) -> Result<SnapshotRecord> {
    let wanted = || Error::NoSnapshot { wanted: "latest".to_owned() };
    repo.snapshots()?.into_iter().max_by_key(|r| r.stamp.sequence).ok_or_else(wanted)
}

/// What an increment of a file stands on. Without a `credential` kept from its making, the file must be readable.
///
/// # Errors
/// If it is damaged, or nothing at hand may write an increment of it.
pub fn base(path: &Path, access: &Access, given: &[PathBuf]) -> Result<Base> {
    let repo = open(path, access, given)?;
    let credential = match &access.credential {
        Some(credential) => credential.clone(),
        None => credential_inside(&repo)?,
    };
    Ok(Base { path: path.to_owned(), repo, credential })
}

/// The writer credential that a portable file's snapshots carry, for whoever can read them.
///
/// # Errors
/// If no snapshot opens, or it carries none.
pub fn credential_inside(repo: &Repository) -> Result<Credential> {
    let snapshot = newest(repo)?.snapshot;
    let attached = snapshot.attachments.iter().find(|(name, _)| name == WRITER_ATTACHMENT);
    let text =
        attached.and_then(|(_, text)| std::str::from_utf8(text).ok()).ok_or(Error::NoWriter)?;
    Credential::from_text(text).map_err(|_| Error::NoWriter)
}
