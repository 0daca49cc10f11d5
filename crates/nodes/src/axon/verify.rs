//! Whether every chunk is what the database says it is.
//!
//! Axon overwrites chunks in place when it encrypts the same content again, and only then updates the row. A copy taken in between looks
//! damaged and is not: what does not match is looked at again, row and chunks together, a bounded number of times.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use super::chunks::{self, Flaw, FlawKind};
use super::database::{self, Holder, HolderKind};
use super::digest::Digest;
use super::error::Result;
use super::files;
use super::manifest::{self, ContentManifest};

/// What to verify.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The database whose manifests count: usually a copy.
    pub database: &'a Path,
    /// The database that a running server writes, where rows are looked at again; without it, in `database`.
    pub live: Option<&'a Path>,
    /// The folder of all chunks.
    pub chunks: &'a Path,
    /// How often what does not match is looked at again.
    pub looks: u32,
    /// How long to wait before each look.
    pub pause: Duration,
    /// Only content of which a file was written since.
    pub since: Option<Since>,
}

/// What is worth a second look.
#[derive(Debug, Clone)]
pub struct Since {
    /// Written at this time or later.
    pub at: SystemTime,
    /// But for these, of which a copy was made.
    pub kept: BTreeSet<Digest>,
}

impl Since {
    fn is_passed_over(&self, folder: &Path, manifest: &ContentManifest) -> bool {
        self.kept.contains(&manifest.content_hash) || !chunks::is_touched(folder, manifest, self.at)
    }
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verification {
    /// Rows with a manifest.
    pub contents: u64,
    /// Chunks that they name.
    pub chunks: u64,
    /// Bytes in chunks that are right.
    pub bytes: u64,
    /// Contents of which nothing lies here: Axon fetches them from peers when they are asked for. Not damage. What users saved in applets
    /// is no part of this, because no peer has it.
    pub absent: Vec<Fault>,
    /// Contents with chunks that are missing, wrong or cannot be read.
    pub faults: Vec<Fault>,
    /// How many were wrong at first and right at a later look.
    pub settled: u64,
    /// Rows whose content was encrypted again after `database` was copied: the copy has to be taken again.
    pub outdated: Vec<Holder>,
    /// Rows whose manifest cannot be used, and why.
    pub unusable: Vec<String>,
    /// Folders of chunks that no row names.
    pub unnamed: u64,
}

/// A content that is not whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Whose.
    pub holder: Holder,
    /// What.
    pub content_hash: Digest,
    /// What is wrong with it.
    pub flaws: Vec<Flaw>,
    /// Another row has the same content and can read it: only this row's manifest is stale.
    pub is_superseded: bool,
    manifest: ContentManifest,
}

impl Verification {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty() && self.outdated.is_empty() && self.unusable.is_empty()
    }
}

/// Verifies an instance's chunks.
///
/// # Errors
/// If a database cannot be read. What is wrong with content is no error but the result.
pub fn verify(request: &Request<'_>) -> Result<Verification> {
    let connection = database::open(request.database)?;
    let mut verification = Verification::default();
    let mut sound = BTreeSet::new();
    let mut named = BTreeSet::new();
    database::each_manifest(&connection, request.database, &HolderKind::ALL, |holder, text| {
        match ContentManifest::from_text(text, &holder.name) {
            Ok(None) => {}
            Ok(Some(manifest)) => {
                named.insert(manifest.content_hash);
                verification.look(request, holder, manifest, &mut sound);
            }
            Err(error) => verification.unusable.push(error.to_string()),
        }
        Ok(())
    })?;
    drop(connection);
    verification.look_again(request, &mut sound)?;
    for fault in &mut verification.faults {
        fault.is_superseded = sound.contains(&fault.content_hash);
    }
    let folders = files::names(request.chunks)?;
    let unnamed =
        folders.iter().filter(|name| !Digest::parse(name).is_some_and(|n| named.contains(&n)));
    verification.unnamed = unnamed.count() as u64;
    Ok(verification)
}

impl Verification {
    fn look(
        &mut self,
        request: &Request<'_>,
        holder: Holder,
        manifest: ContentManifest,
        sound: &mut BTreeSet<Digest>,
    ) {
        let folder = request.chunks.join(manifest.content_hash.to_string());
        if request.since.as_ref().is_some_and(|since| since.is_passed_over(&folder, &manifest)) {
            return;
        }
        self.contents += 1;
        self.chunks += manifest.chunk_hashes.len() as u64;
        let content_hash = manifest.content_hash;
        let (flaws, bytes) = chunks::examine(&folder, &manifest);
        self.bytes += bytes;
        if flaws.is_empty() {
            sound.insert(content_hash);
            return;
        }
        let is_absent = holder.kind != HolderKind::AppletData
            && flaws.len() == manifest.chunk_hashes.len()
            && flaws.iter().all(|flaw| flaw.kind == FlawKind::Missing);
        let fault = Fault { holder, content_hash, flaws, is_superseded: false, manifest };
        if is_absent { self.absent.push(fault) } else { self.faults.push(fault) }
    }

    /// Row and chunks of every fault, as often as was asked for.
    fn look_again(&mut self, request: &Request<'_>, sound: &mut BTreeSet<Digest>) -> Result<()> {
        let path = request.live.unwrap_or(request.database);
        for _ in 0..request.looks {
            if self.faults.is_empty() {
                break;
            }
            thread::sleep(request.pause);
            let connection = database::open(path)?;
            let mut left = Vec::new();
            for fault in std::mem::take(&mut self.faults) {
                let now = database::manifest_of(&connection, path, &fault.holder);
                match now.ok().flatten() {
                    Some(now) => self.settle(request.chunks, fault, &now, sound, &mut left),
                    None => left.push(fault),
                }
            }
            self.faults = left;
        }
        Ok(())
    }

    fn settle(
        &mut self,
        root: &Path,
        fault: Fault,
        now: &ContentManifest,
        sound: &mut BTreeSet<Digest>,
        left: &mut Vec<Fault>,
    ) {
        let (flaws, bytes) = chunks::examine(&root.join(now.content_hash.to_string()), now);
        let is_same = now.content_hash == fault.content_hash
            && now.chunk_hashes == fault.manifest.chunk_hashes
            && now.iv == fault.manifest.iv;
        match (flaws.is_empty(), is_same) {
            (false, true) => left.push(Fault { flaws, ..fault }),
            (false, false) => left.push(fault),
            (true, true) => {
                self.settled += 1;
                self.bytes += bytes;
                sound.insert(now.content_hash);
            }
            (true, false) => self.outdated.push(fault.holder),
        }
    }
}

/// Every content that a database names: whose, and what; rows whose manifest cannot be used are passed over.
///
/// # Errors
/// If the database cannot be read.
pub fn named(path: &Path) -> Result<Vec<(String, Digest)>> {
    Ok(manifests(path)?.into_iter().map(|(of, manifest)| (of, manifest.content_hash)).collect())
}

/// The manifest of every content that a database names, and whose it is; those that cannot be used are passed over.
///
/// # Errors
/// If the database cannot be read.
pub fn manifests(path: &Path) -> Result<Vec<(String, ContentManifest)>> {
    let connection = database::open(path)?;
    let mut all = Vec::new();
    database::each_manifest(&connection, path, &HolderKind::ALL, |holder, text| {
        if let Ok(Some(manifest)) = ContentManifest::from_text(text, &holder.name) {
            all.push((holder.name, manifest));
        }
        Ok(())
    })?;
    Ok(all)
}

/// A `.manifest` that Axon keeps beside chunks it has read, to notice when a peer encrypted them again.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheFault {
    /// The file.
    pub path: PathBuf,
    /// What is wrong: it cannot be used, is of another content, or its chunks are not what it says.
    pub reason: String,
}

/// Looks at every `.manifest` beside chunks, and counts them. Axon deletes the chunks beside one with another initialisation vector than
/// the row's at the next read, and asks its peers for them: while chunks and row agree, a bad one should be removed before that.
///
/// # Errors
/// If the folder cannot be listed or a file in it cannot be read.
pub fn caches(root: &Path) -> Result<(u64, Vec<CacheFault>)> {
    let mut seen = 0;
    let mut faults = Vec::new();
    for name in files::names(root)? {
        let Some(content_hash) = Digest::parse(&name) else { continue };
        let folder = root.join(&name);
        let path = folder.join(chunks::CACHE);
        let Some(text) = files::read_text(&path, manifest::MOST_BYTES as u64)? else { continue };
        seen += 1;
        if let Some(reason) = cache_flaw(&folder, content_hash, &text) {
            faults.push(CacheFault { path, reason });
        }
    }
    Ok((seen, faults))
}

fn cache_flaw(folder: &Path, content_hash: Digest, text: &str) -> Option<String> {
    match ContentManifest::from_text(text, chunks::CACHE) {
        Err(error) => Some(error.to_string()),
        Ok(None) => Some("it is empty".to_owned()),
        Ok(Some(manifest)) if manifest.content_hash != content_hash => {
            Some(format!("it is of the content {}", manifest.content_hash))
        }
        Ok(Some(manifest)) => chunks::examine(folder, &manifest).0.first().map(Flaw::to_string),
    }
}
