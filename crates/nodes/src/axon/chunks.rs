//! Chunks: slices of ciphertext in `<content hash>/<i>.chunk`, each with its hash in the manifest.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::digest::Digest;
use super::files;
use super::manifest::ContentManifest;

/// Where Axon keeps the manifest by which it last read a content, beside its chunks.
pub const CACHE: &str = ".manifest";

/// What is wrong with one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Which chunk of the content.
    pub index: usize,
    /// What is wrong.
    pub kind: FlawKind,
}

/// Ways for a chunk to be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlawKind {
    /// There is none: perhaps never fetched from a peer.
    Missing,
    /// It is not what the manifest says.
    Mismatch {
        /// What it hashes to, of as many bytes as a chunk may have.
        found: Digest,
    },
    /// It cannot be read.
    Unreadable(String),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let index = self.index;
        match &self.kind {
            FlawKind::Missing => write!(f, "chunk {index} is missing"),
            FlawKind::Mismatch { found } => {
                write!(f, "chunk {index} is not what the manifest says: its SHA-256 is {found}")
            }
            FlawKind::Unreadable(reason) => write!(f, "chunk {index} cannot be read: {reason}"),
        }
    }
}

/// The system may stamp a file with a time a little before the clock's.
const COARSE: Duration = Duration::from_millis(100);

/// Whether a chunk of a content was written since, or is gone.
pub fn is_touched(folder: &Path, manifest: &ContentManifest, since: SystemTime) -> bool {
    let since = since.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(COARSE);
    let since =
        (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), i64::from(since.subsec_nanos()));
    (0..manifest.chunk_hashes.len()).any(|index| {
        let metadata = fs::symlink_metadata(folder.join(name(index)));
        metadata.map_or(true, |metadata| (metadata.ctime(), metadata.ctime_nsec()) >= since)
    })
}

/// The file of a chunk.
pub fn name(index: usize) -> String {
    format!("{index}.chunk")
}

/// Reads a chunk of a content's folder and checks it.
///
/// # Errors
/// What is wrong with it.
pub fn read(folder: &Path, manifest: &ContentManifest, index: usize) -> Result<Vec<u8>, Flaw> {
    let flaw = |kind| Flaw { index, kind };
    let mut bytes = Vec::new();
    let file = files::open(&folder.join(name(index)));
    // One byte more than there may be, so that a longer file does not pass.
    let read = file.and_then(|file| file.take(manifest.chunk_size + 1).read_to_end(&mut bytes));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(flaw(FlawKind::Missing)),
        Err(error) => Err(flaw(FlawKind::Unreadable(error.to_string()))),
        Ok(_) => match Digest::of(&bytes) {
            found if manifest.chunk_hashes.get(index) == Some(&found) => Ok(bytes),
            found => Err(flaw(FlawKind::Mismatch { found })),
        },
    }
}

/// Looks at every chunk of a content; says what is wrong and how many bytes were right.
pub fn examine(folder: &Path, manifest: &ContentManifest) -> (Vec<Flaw>, u64) {
    let mut flaws = Vec::new();
    let mut sound = 0;
    for index in 0..manifest.chunk_hashes.len() {
        match read(folder, manifest, index) {
            Ok(bytes) => sound += u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Err(flaw) => flaws.push(flaw),
        }
    }
    (flaws, sound)
}
