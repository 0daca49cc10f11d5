//! Reading back: chunks by id, trees, paths. Nothing is trusted until it is decrypted and its id recomputed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use nodekeep_store::{Store, StoreError};

use crate::blocks::Blocks;
use crate::codec::{Decompressor, MAX_CHUNK};
use crate::control::Commit;
use crate::crypto::{Gcm, TAG_LEN, hkdf, keyed};
use crate::error::{Damage, Error, Result};
use crate::fetch;
use crate::id::{ChunkId, KeyId, RepoId};
use crate::index::{Entry as Place, Index};
use crate::keys::{ContentKey, DomainKeys, GroupSecrets, Purpose, Seal};
use crate::pack::{PackKind, chunk_aad, stream_key};
use crate::repository::Repository;
use crate::snapshot::Snapshot;
use crate::tree::{Entry, MAX_SPLIT_DEPTH, Node};
use crate::view::{Live, damaged_missing};

/// No snapshot is larger, in bytes: a long list of errors may stand in it.
const MAX_SNAPSHOT: usize = 256 * 1024 * 1024;

/// Working memory for reading; one for each thread.
#[derive(Debug, Default)]
pub struct Buffers {
    /// The chunk that was read last.
    pub plain: Vec<u8>,
    stored: Vec<u8>,
    decompressor: Option<Decompressor>,
}

impl Buffers {
    /// Empty buffers.
    pub fn new() -> Self {
        Self::default()
    }
}

/// Content key and salt.
type StreamId = (KeyId, [u8; 32]);

/// Reads chunks through an index. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ChunkReader {
    store: Store,
    repo: RepoId,
    domain: DomainKeys,
    groups: Arc<Vec<GroupSecrets>>,
    index: Arc<Index>,
    keys: Arc<RwLock<HashMap<KeyId, ContentKey>>>,
    streams: Arc<RwLock<HashMap<StreamId, Arc<Gcm>>>>,
    /// Working memory for trees: making it costs more than reading a small one.
    spare: Arc<Mutex<Vec<Buffers>>>,
    /// Parts of tree packs, if the store is far away.
    blocks: Option<Arc<Blocks>>,
    /// Where to look when something is missing.
    later: Option<Arc<Later>>,
}

/// The repository as it is later: a collection may move what an index names while its reader is at work.
#[derive(Debug)]
struct Later {
    repo: Repository,
    looks: u32,
    reader: OnceLock<Option<ChunkReader>>,
}

impl Later {
    /// Reads by the index of now, that is of the first time that something was missing.
    fn reader(&self) -> Option<&ChunkReader> {
        let look = || {
            let repo = self.repo.refreshed().ok()?;
            let (index, _) = repo.index_as_it_is().ok()?;
            Some(repo.reader(Arc::new(index)).looking_again(&repo, self.looks - 1))
        };
        self.reader.get_or_init(look).as_ref()
    }
}

impl ChunkReader {
    pub(crate) fn new(
        store: Store,
        repo: RepoId,
        domain: DomainKeys,
        groups: Arc<Vec<GroupSecrets>>,
        index: Arc<Index>,
    ) -> Self {
        let blocks = fetch::is_distant(&store).then(Arc::default);
        Self {
            store,
            repo,
            domain,
            groups,
            index,
            keys: Arc::default(),
            streams: Arc::default(),
            spare: Arc::default(),
            blocks,
            later: None,
        }
    }

    /// The same reader, that looks up to so many times again where things lie by now before it says that one is missing.
    pub(crate) fn looking_again(self, repo: &Repository, looks: u32) -> Self {
        let later = || Arc::new(Later { repo: repo.clone(), looks, reader: OnceLock::new() });
        Self { later: (looks > 0).then(later), ..self }
    }

    /// The index behind it.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The store behind it.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Keys of the domain.
    pub fn domain(&self) -> &DomainKeys {
        &self.domain
    }

    /// Opens a seal, once for each key. `object` names where it stands.
    ///
    /// # Errors
    /// If it is damaged, or no group at hand opens it.
    pub fn content_key(&self, seal: &Seal, object: &str) -> Result<ContentKey> {
        if let Some(key) = self.keys.read().expect("no thread panics with this lock").get(&seal.key)
        {
            return Ok(key.clone());
        }
        let opened =
            seal.open(&self.repo, &self.groups).map_err(|damage| Error::damaged(object, damage))?;
        let key = opened.ok_or(match seal.purpose {
            _ if self.groups.is_empty() => Error::WriterOnly,
            Purpose::Tree => Error::NotAReader,
            Purpose::Data if self.groups.iter().all(|g| g.data.is_none()) => Error::CollectorOnly,
            Purpose::Data => Error::NotAReader,
        })?;
        self.keys.write().expect("no thread panics with this lock").insert(seal.key, key.clone());
        Ok(key)
    }

    fn gcm(&self, kind: PackKind, seal: &Seal, salt: &[u8; 32], object: &str) -> Result<Arc<Gcm>> {
        let name = (seal.key, *salt);
        if let Some(gcm) = self.streams.read().expect("no thread panics with this lock").get(&name)
        {
            return Ok(gcm.clone());
        }
        let key = self.content_key(seal, object)?;
        let gcm = Arc::new(Gcm::new(&stream_key(kind, &key.secret, salt)));
        let mut streams = self.streams.write().expect("no thread panics with this lock");
        if streams.len() >= MOST_STREAMS {
            streams.clear();
        }
        streams.insert(name, gcm.clone());
        Ok(gcm)
    }

    /// Reads a chunk into `buffers.plain`. Where it lies in several packs, a damaged one is passed over.
    ///
    /// # Errors
    /// If no place gives it whole.
    pub fn chunk(&self, kind: PackKind, id: &ChunkId, buffers: &mut Buffers) -> Result<()> {
        let error = match self.chunk_of_index(kind, id, buffers) {
            Err(error) if may_have_moved(&error) => error,
            other => return other,
        };
        let later = self.later.as_ref().and_then(|later| later.reader());
        later.map_or(Err(error), |later| later.chunk(kind, id, buffers))
    }

    fn chunk_of_index(&self, kind: PackKind, id: &ChunkId, buffers: &mut Buffers) -> Result<()> {
        let mut last = Error::ChunkMissing(*id);
        for place in self.index.places(id) {
            if self.index.pack(place).pack.kind != kind {
                continue;
            }
            match self.chunk_at(place, buffers) {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Reads the chunk at one place into `buffers.plain`.
    ///
    /// # Errors
    /// If it is missing, damaged, or not what its id says.
    pub fn chunk_at(&self, place: &Place, buffers: &mut Buffers) -> Result<()> {
        let name = self.index.pack(place).pack.name();
        let mut stored = std::mem::take(&mut buffers.stored);
        let len = place.stored as usize;
        if stored.len() < len {
            stored.resize(len, 0);
        }
        let opened = match self.stored(place, &name, &mut stored[..len]) {
            Ok(()) => self.open_at(place, &mut stored[..len], buffers),
            Err(e) => Err(damaged_missing(&name, e.into())),
        };
        buffers.stored = stored;
        opened
    }

    fn stored(
        &self,
        place: &Place,
        name: &str,
        out: &mut [u8],
    ) -> std::result::Result<(), StoreError> {
        let (offset, pack) = (u64::from(place.offset), self.index.pack(place));
        if let (Some(blocks), PackKind::Tree) = (&self.blocks, pack.pack.kind)
            && blocks.read(&self.store, (place.pack, pack), offset, out).is_ok()
        {
            return Ok(());
        }
        self.store.read_into(name, offset, out)
    }

    /// Decrypts a place's stored bytes (changed by it) into `buffers.plain`.
    ///
    /// # Errors
    /// If they are damaged, or not what the chunk's id says.
    pub fn open_at(&self, place: &Place, stored: &mut [u8], buffers: &mut Buffers) -> Result<()> {
        let pack = self.index.pack(place);
        let kind = pack.pack.kind;
        let (seal, salt) = self.index.stream(place);
        let gcm = self.gcm(kind, seal, salt, &pack.pack.name())?;
        let damaged = |damage| Error::damaged(pack.pack.name(), damage);
        let aad = chunk_aad(&self.repo, kind, &place.id);
        let coded = gcm
            .open(u64::from(place.counter), &aad, stored)
            .map_err(|_| damaged(Damage::NotAuthentic))?;
        let decompressor = buffers.decompressor.get_or_insert_with(Decompressor::new);
        decompressor.decode(coded, place.raw as usize, &mut buffers.plain).map_err(damaged)?;
        if keyed(self.domain.id_key(kind), &buffers.plain) == place.id.0 {
            Ok(())
        } else {
            Err(damaged(Damage::ChunkId))
        }
    }

    /// Reads a tree chunk.
    ///
    /// # Errors
    /// If it cannot be read or decoded.
    pub fn node(&self, id: &ChunkId) -> Result<Node> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffers = spare.unwrap_or_default();
        let read = self.chunk(PackKind::Tree, id, &mut buffers);
        let node = read.and_then(|()| {
            Node::decode(&buffers.plain).map_err(|m| Error::damaged(format!("tree {id}"), m))
        });
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(buffers);
        node
    }

    /// Everything in a directory.
    ///
    /// # Errors
    /// If a part cannot be read.
    pub fn entries(&self, tree: &ChunkId) -> Result<Vec<Entry>> {
        let mut out = Vec::new();
        self.collect_entries(tree, 0, &mut out)?;
        if !out.is_sorted_by(|a, b| a.name < b.name) {
            return Err(Error::damaged(format!("tree {tree}"), Damage::Name));
        }
        Ok(out)
    }

    fn collect_entries(&self, tree: &ChunkId, depth: usize, out: &mut Vec<Entry>) -> Result<()> {
        if depth > MAX_SPLIT_DEPTH {
            return Err(Error::damaged(format!("tree {tree}"), Damage::TooLarge));
        }
        match self.node(tree)? {
            Node::Leaf(mut entries) => out.append(&mut entries),
            Node::Split(parts) => {
                for (_, part) in parts {
                    self.collect_entries(&part, depth + 1, out)?;
                }
            }
        }
        Ok(())
    }

    /// One name in a directory; reads only the parts that can hold it.
    ///
    /// # Errors
    /// If a part cannot be read.
    pub fn lookup(&self, tree: &ChunkId, name: &[u8]) -> Result<Option<Entry>> {
        let mut tree = *tree;
        for _ in 0..=MAX_SPLIT_DEPTH {
            match self.node(&tree)? {
                Node::Leaf(mut entries) => {
                    let found = entries.binary_search_by(|e| e.name.as_slice().cmp(name)).ok();
                    return Ok(found.map(|at| entries.swap_remove(at)));
                }
                Node::Split(parts) => {
                    let after = parts.partition_point(|(first, _)| first.as_slice() <= name);
                    let Some((_, part)) = after.checked_sub(1).and_then(|at| parts.get(at)) else {
                        return Ok(None);
                    };
                    tree = *part;
                }
            }
        }
        Err(Error::damaged(format!("tree {tree}"), Damage::TooLarge))
    }

    /// The entry at a path of a snapshot: absolute as it was backed up, or relative to the root if there is only one.
    ///
    /// # Errors
    /// If a tree on the way cannot be read.
    pub fn find(&self, snapshot: &Snapshot, path: &[u8]) -> Result<Option<Entry>> {
        for root in &snapshot.roots {
            let inside = if path.starts_with(b"/") {
                let base = root.path.strip_suffix(b"/").unwrap_or(&root.path);
                match path.strip_prefix(base) {
                    Some(rest) if rest.is_empty() || rest.starts_with(b"/") => rest,
                    _ => continue,
                }
            } else if snapshot.roots.len() == 1 {
                path
            } else {
                continue;
            };
            if let Some(entry) = self.descend(root.entry.clone(), inside)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    fn descend(&self, mut entry: Entry, path: &[u8]) -> Result<Option<Entry>> {
        for part in path.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".") {
            let crate::tree::Kind::Directory { tree, .. } = entry.kind else {
                return Ok(None);
            };
            match self.lookup(&tree, part)? {
                Some(next) => entry = next,
                None => return Ok(None),
            }
        }
        Ok(Some(entry))
    }

    /// Opens the snapshot that a live outcome carries.
    ///
    /// # Errors
    /// If no key at hand opens it, or it is damaged.
    pub fn snapshot(&self, live: &Live) -> Result<Snapshot> {
        let name = live.name();
        let Some(commit) = &live.outcome.commit else {
            return Err(Error::damaged(name, Damage::WrongKind));
        };
        let key = self.content_key(&commit.tree, &name)?;
        let aad = [self.repo.0.as_slice(), &live.stamp.session.0].concat();
        open_snapshot(commit, &key, &aad).map_err(|damage| Error::damaged(name, damage))
    }
}

/// Whether a collection that went on meanwhile may be why: it gives what lives another place.
fn may_have_moved(error: &Error) -> bool {
    matches!(error, Error::ChunkMissing(_) | Error::Damaged { damage: Damage::Missing, .. })
}

fn open_snapshot(
    commit: &Commit,
    key: &ContentKey,
    aad: &[u8],
) -> std::result::Result<Snapshot, Damage> {
    let gcm = Gcm::new(&hkdf(&key.secret.0, &commit.salt, "nodekeep/v1/snapshot"));
    let mut sealed = commit.snapshot.clone();
    let coded = gcm.open(0, aad, &mut sealed).map_err(|_| Damage::NotAuthentic)?;
    let plain = crate::codec::decode_unsized(coded, MAX_SNAPSHOT)?;
    Ok(Snapshot::decode(&plain)?)
}

/// Ciphers that are kept ready, one for each stream: every pack has its own, and there may be very many packs.
const MOST_STREAMS: usize = 4096;

/// Stored bytes of a chunk can be at most so many.
pub const MAX_STORED: usize = MAX_CHUNK + TAG_LEN + 1;
