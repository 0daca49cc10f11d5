//! Where a copied snapshot came from: an attachment, so that a copy that is begun again passes over what is there.

use crate::id::{RepoId, SnapshotId};
use crate::snapshot::Snapshot;
use crate::wire::Decoder;

/// The attachment of copied snapshots: 32 bytes of a repository's id and 16 of a snapshot's, once for each repository that it came
/// through, the nearest first.
pub const ORIGIN_ATTACHMENT: &str = "nodekeep/copied-from";

const LEN: usize = 48;
/// No copy came through more repositories.
const MOST: usize = 64;

/// A snapshot in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The repository.
    pub repo: RepoId,
    /// The snapshot in it.
    pub snapshot: SnapshotId,
}

/// Where a snapshot came from, the nearest first; empty for one that was backed up where it is, or whose attachment is malformed.
pub fn origins(snapshot: &Snapshot) -> Vec<Origin> {
    let attached = snapshot.attachments.iter().find(|(name, _)| name == ORIGIN_ATTACHMENT);
    let value = attached.map_or(&[][..], |(_, value)| value.as_slice());
    if !value.len().is_multiple_of(LEN) {
        return Vec::new();
    }
    value.chunks_exact(LEN).take(MOST).filter_map(origin).collect()
}

fn origin(bytes: &[u8]) -> Option<Origin> {
    let mut from = Decoder::new(bytes);
    let (repo, snapshot) = (RepoId::decode(&mut from).ok()?, SnapshotId::decode(&mut from).ok()?);
    Some(Origin { repo, snapshot })
}

/// The attachment of a copy of `snapshot`, which is `from`.
pub(super) fn attachment(from: Origin, snapshot: &Snapshot) -> (String, Vec<u8>) {
    let mut chain = vec![from];
    chain.extend(origins(snapshot).into_iter().filter(|origin| origin.repo != from.repo));
    chain.truncate(MOST);
    let bytes = chain.iter().flat_map(|o| [o.repo.0.as_slice(), &o.snapshot.0].concat()).collect();
    (ORIGIN_ATTACHMENT.to_owned(), bytes)
}
