//! A folder, a repository in memory that backs it up, and what every snapshot must give back.

use std::collections::BTreeMap;
use std::sync::Arc;

use nodekeep_repo::backup::BackupOptions;
use nodekeep_repo::id::{ChunkId, SnapshotId};
use nodekeep_repo::keys::{Credential, Entropy};
use nodekeep_repo::monitor::Silent;
use nodekeep_repo::pack::PackKind;
use nodekeep_repo::reader::{Buffers, ChunkReader};
use nodekeep_repo::repository::{Access, CreateOptions, Repository};
use nodekeep_repo::source::fs::FsSource;
use nodekeep_repo::tree::{Entry, Kind, Run};
use nodekeep_store::{Durability, Store};

/// Contents of files by path below the folder.
pub type Files = BTreeMap<Vec<u8>, Vec<u8>>;

pub struct World {
    pub store: Store,
    pub owner: Entropy,
    pub credential: Credential,
    folder: tempfile::TempDir,
    /// What is in the folder.
    pub files: Files,
    /// What was in the folder when each snapshot was made.
    pub snapshots: BTreeMap<SnapshotId, Files>,
}

/// Bytes that no compressor shortens, and that `seed` decides.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

impl World {
    /// A new repository with small packs: three or four large files fill one.
    pub fn new() -> Self {
        let owner = Entropy::random();
        let options = CreateOptions { pack_size: 1024 * 1024, ..CreateOptions::default() };
        let store = Store::memory();
        let (_, credential) = Repository::create(store.clone(), &owner, &options).unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self { store, owner, credential, folder, files: Files::new(), snapshots: BTreeMap::new() }
    }

    /// The same repository in a store of its own.
    pub fn fork(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut fork = Self {
            store: copy(&self.store),
            owner: self.owner.clone(),
            credential: self.credential.clone(),
            folder,
            files: Files::new(),
            snapshots: self.snapshots.clone(),
        };
        for (name, bytes) in &self.files {
            fork.put(std::str::from_utf8(name).unwrap(), bytes.clone());
        }
        fork
    }

    pub fn access(&self) -> Access {
        Access {
            owner: Some(self.owner.clone()),
            credential: Some(self.credential.clone()),
            ..Access::default()
        }
    }

    pub fn repo(&self) -> Repository {
        self.repo_at(self.store.clone())
    }

    pub fn repo_at(&self, store: Store) -> Repository {
        Repository::open(store, &self.access(), None).unwrap()
    }

    pub fn write(&mut self, name: &str, seed: u64, len: usize) {
        self.put(name, noise(seed, len));
    }

    fn put(&mut self, name: &str, bytes: Vec<u8>) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &bytes).unwrap();
        self.files.insert(name.as_bytes().to_vec(), bytes);
    }

    /// Where a file of the folder lies.
    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub fn remove(&mut self, name: &str) {
        std::fs::remove_file(self.folder.path().join(name)).unwrap();
        self.files.remove(name.as_bytes());
    }

    pub fn backup(&mut self) -> SnapshotId {
        self.backup_as(&BackupOptions::default())
    }

    pub fn backup_as(&mut self, options: &BackupOptions) -> SnapshotId {
        let source = FsSource::new(vec![self.folder.path().to_owned()]).unwrap();
        let report = self.repo().backup(&source, options, &Silent).unwrap();
        assert!(report.errors.is_empty(), "{:?}", report.errors);
        let id = report.snapshot.unwrap();
        self.snapshots.insert(id, self.files.clone());
        id
    }

    /// Every snapshot that is live gives back what was backed up; returns which are.
    pub fn verify(&self) -> Vec<SnapshotId> {
        let repo = self.repo();
        let index = Arc::new(repo.index(&repo.view().unwrap()).unwrap());
        let reader = repo.reader(index);
        let mut live = Vec::new();
        for record in repo.snapshots().unwrap() {
            let mut files = Files::new();
            collect_files(&reader, &record.snapshot.roots[0].entry, Vec::new(), &mut files);
            assert!(
                files == self.snapshots[&record.id],
                "snapshot {} is not what was backed up",
                record.id
            );
            live.push(record.id);
        }
        live.sort_unstable();
        live
    }
}

pub fn copy(store: &Store) -> Store {
    let fork = Store::memory();
    for object in store.list("").unwrap() {
        fork.create(&object.name, &store.get(&object.name).unwrap(), Durability::Durable).unwrap();
    }
    fork
}

/// Replaces an object's bytes, as no client ever does.
pub fn replace(store: &Store, name: &str, bytes: &[u8]) {
    assert!(store.delete(name).unwrap());
    store.create(name, bytes, Durability::Durable).unwrap();
}

pub fn flip(store: &Store, name: &str, at: usize) {
    let mut bytes = store.get(name).unwrap();
    let at = at % bytes.len();
    bytes[at] ^= 1;
    replace(store, name, &bytes);
}

/// Names of objects that contain a text.
pub fn named(store: &Store, part: &str) -> Vec<String> {
    let all = store.list("").unwrap().into_iter().map(|object| object.name);
    all.filter(|name| name.contains(part)).collect()
}

fn collect_files(reader: &ChunkReader, entry: &Entry, path: Vec<u8>, files: &mut Files) {
    match &entry.kind {
        Kind::Directory { tree, .. } => directory(reader, tree, &path, files),
        Kind::File { runs, .. } => {
            files.insert(path, content(reader, runs));
        }
        _ => (),
    }
}

fn directory(reader: &ChunkReader, tree: &ChunkId, path: &[u8], files: &mut Files) {
    for entry in reader.entries(tree).unwrap() {
        let separator: &[u8] = if path.is_empty() { b"" } else { b"/" };
        let path = [path, separator, &entry.name].concat();
        collect_files(reader, &entry, path, files);
    }
}

fn content(reader: &ChunkReader, runs: &[Run]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffers = Buffers::new();
    for run in runs {
        match run {
            Run::Hole { len } => bytes.resize(bytes.len() + *len as usize, 0),
            Run::Data { chunk, offset, len } => {
                reader.chunk(PackKind::Data, chunk, &mut buffers).unwrap();
                let from = *offset as usize;
                bytes.extend_from_slice(&buffers.plain[from..from + *len as usize]);
            }
        }
    }
    bytes
}
