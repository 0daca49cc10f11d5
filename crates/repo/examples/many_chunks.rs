//! Writes a repository with very many chunks, without the terabytes that a real one of that size backs up: sessions, packs, index
//! segments, trees and outcomes as a writer makes them, with chunks of 1 KiB instead of 1 MiB. `cargo xtask bench scale` measures on it.
//!
//! `cargo run --release -p nodekeep-repo --example many_chunks -- FOLDER CHUNKS` puts `FOLDER/repository` and `FOLDER/words`. There are two
//! snapshots: the first has every chunk, the newer one every other file, so that without the first one half of each pack is dead.

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nodekeep_repo::codec::{Compression, Compressor};
use nodekeep_repo::control::{Commit, Outcome, Session, Stamp, Statement};
use nodekeep_repo::crypto::{Gcm, SigningKey, hkdf, random};
use nodekeep_repo::id::{ChunkId, ObjectHash, SessionId};
use nodekeep_repo::index::{SEGMENT_ENTRIES, Segment};
use nodekeep_repo::keys::{ContentKey, Entropy, Purpose, Seal};
use nodekeep_repo::names;
use nodekeep_repo::pack::{PackBuilder, PackKind};
use nodekeep_repo::process;
use nodekeep_repo::repository::{CreateOptions, Repository};
use nodekeep_repo::snapshot::{Counts, Root, Snapshot};
use nodekeep_repo::tree::{Entry, Kind, Node, Run};
use nodekeep_repo::wire::Encoder;
use nodekeep_store::{Created, Durability, Store};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Bytes of a chunk.
const CHUNK: usize = 1024;
/// Chunks in a pack: as many as a pack of 16 MiB has of the usual megabyte.
const PACK_CHUNKS: usize = 16;
/// A pack with fewer bytes than a quarter of this counts as small, and is rewritten by the next collection.
const PACK_SIZE: u64 = 64 * 1024;
/// Chunks of a file.
const FILE_CHUNKS: u64 = 64;
/// Files of a directory.
const DIRECTORY_FILES: u64 = 128;
/// When everything was modified and backed up: 2026-01-01, seconds since 1970.
const WHEN: i64 = 1_767_225_600;

fn main() -> Result<()> {
    let mut words = std::env::args_os().skip(1);
    let folder = PathBuf::from(words.next().ok_or("FOLDER is missing")?);
    let chunks: u64 = words.next().ok_or("CHUNKS is missing")?.to_string_lossy().parse()?;
    let owner = Entropy::random();
    write_words(&folder.join("words"), &owner)?;
    let options = CreateOptions { pack_size: PACK_SIZE, ..CreateOptions::default() };
    let store = Store::local(folder.join("repository"));
    let (repo, _) = Repository::create(store, &owner, &options)?;
    let files = many_files(&repo, chunks)?;
    let half: Vec<_> = files.into_iter().step_by(2).collect();
    let mut session = Running::begin(&repo)?;
    session.commit(&half)
}

fn write_words(path: &Path, owner: &Entropy) -> Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(writeln!(file, "{}", owner.words().as_str())?)
}

/// The first session: every chunk and a snapshot of all files, which it returns.
fn many_files(repo: &Repository, chunks: u64) -> Result<Vec<Entry>> {
    let mut session = Running::begin(repo)?;
    let mut files = Vec::new();
    let mut first = 0;
    while first < chunks {
        // Two files take turns, so that each pack holds as much of one as of the other.
        let count = (chunks - first).min(2 * FILE_CHUNKS);
        files.extend(session.pair_of_files(first, count)?);
        first += count;
    }
    session.commit(&files)?;
    Ok(files)
}

/// A chunk's bytes: no two are the same.
fn content(number: u64) -> [u8; CHUNK] {
    let mut bytes = [0; CHUNK];
    bytes.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&number.to_le_bytes()));
    bytes
}

fn entry(name: String, mode: u16, kind: Kind) -> Entry {
    Entry {
        name: name.into_bytes(),
        mode,
        uid: 0,
        gid: 0,
        mtime: WHEN,
        mtime_ns: 0,
        xattrs: Vec::new(),
        link: None,
        kind,
    }
}

/// A session of the repository's first writer.
struct Running<'a> {
    repo: &'a Repository,
    stamp: Stamp,
    signing: SigningKey,
    keys: [(ContentKey, Seal); 2],
    open: HashMap<PackKind, PackBuilder>,
    chunks_of_open: usize,
    segment: Segment,
    segments: Vec<ObjectHash>,
    compressor: Compressor,
    counts: Counts,
}

impl<'a> Running<'a> {
    fn begin(repo: &'a Repository) -> Result<Self> {
        let view = repo.view()?;
        let writer = repo.writer_id()?;
        let sequence = view.heads.get(&writer).map_or(1, |head| head + 1);
        let stamp =
            Stamp { generation: view.generation, writer, sequence, session: SessionId(random()) };
        let fresh = |purpose| {
            let key = ContentKey::random(&repo.id());
            let seal = Seal::close(&key, purpose, repo.roster().current_group());
            (key, seal)
        };
        let running = Self {
            repo,
            stamp,
            signing: repo.writer_key().ok_or("the repository has no writer")?.clone(),
            keys: [fresh(Purpose::Data), fresh(Purpose::Tree)],
            open: HashMap::new(),
            chunks_of_open: 0,
            segment: Segment::default(),
            segments: Vec::new(),
            compressor: Compressor::new(Compression::None),
            counts: Counts::default(),
        };
        running.announce()?;
        Ok(running)
    }

    fn key(&self, kind: PackKind) -> &(ContentKey, Seal) {
        &self.keys[usize::from(kind == PackKind::Tree)]
    }

    fn announce(&self) -> Result<()> {
        let session = Session {
            stamp: self.stamp,
            roster: self.repo.roster().number,
            started_ms: WHEN * 1000,
            process: process::this(self.repo.domain()),
            tree: self.key(PackKind::Tree).1.clone(),
            data: self.key(PackKind::Data).1.clone(),
        };
        let object = session.seal(&self.repo.id(), &self.signing);
        self.create(&self.stamp.session_name(), &object, Durability::Visible)
    }

    fn create(&self, name: &str, object: &[u8], durability: Durability) -> Result<()> {
        match self.repo.store().create(name, object, durability)? {
            Created::New => Ok(()),
            Created::Exists => Err(format!("{name} exists").into()),
        }
    }

    /// Stores `count` chunks as the content of two files.
    fn pair_of_files(&mut self, first: u64, count: u64) -> Result<[Entry; 2]> {
        let mut hashers = [(); 2].map(|()| self.repo.domain().file_hasher());
        let mut runs = [Vec::new(), Vec::new()];
        for number in first..first + count {
            let (plain, file) = (content(number), usize::from(number % 2 == 1));
            let chunk = self.put(PackKind::Data, &plain)?;
            hashers[file].update(&plain);
            runs[file].push(Run::Data { chunk, offset: 0, len: CHUNK as u32 });
        }
        let pair = first / FILE_CHUNKS;
        let numbered = [pair, pair + 1].into_iter().zip(runs.into_iter().zip(hashers));
        let files = numbered.map(|(number, (runs, hasher))| {
            let size = (runs.len() * CHUNK) as u64;
            let kind = Kind::File { size, hash: *hasher.finalize().as_bytes(), runs };
            entry(format!("file-{number:08}"), 0o600, kind)
        });
        let files: Vec<Entry> = files.collect();
        files.try_into().map_err(|_| "there are two files".into())
    }

    /// Stores a chunk that is not there yet.
    fn put(&mut self, kind: PackKind, plain: &[u8]) -> Result<ChunkId> {
        let repo = self.repo;
        let id = repo.domain().chunk_id(kind, plain);
        let (key, seal) = self.key(kind).clone();
        let fresh = || PackBuilder::new(kind, repo.id(), repo.domain(), &key, seal, Vec::new());
        let pack = self.open.entry(kind).or_insert_with(fresh);
        let stored = pack.append(id, plain, &mut self.compressor);
        self.counts.chunks_added += 1;
        self.counts.bytes_added += u64::from(stored);
        let full = pack.len() as u64 >= PACK_SIZE;
        self.chunks_of_open += usize::from(kind == PackKind::Data);
        if full || (kind == PackKind::Data && self.chunks_of_open == PACK_CHUNKS) {
            self.close(kind)?;
        }
        Ok(id)
    }

    fn close(&mut self, kind: PackKind) -> Result<()> {
        let Some(pack) = self.open.remove(&kind) else {
            return Ok(());
        };
        if kind == PackKind::Data {
            self.chunks_of_open = 0;
        }
        let sealed = pack.finish();
        let name = names::pack(&self.stamp.writer, kind, &sealed.id);
        self.create(&name, &sealed.bytes, Durability::Visible)?;
        self.segment.add_sealed(self.stamp.writer, &sealed);
        if self.segment.entries() >= SEGMENT_ENTRIES { self.close_segment() } else { Ok(()) }
    }

    fn close_segment(&mut self) -> Result<()> {
        if self.segment.packs.is_empty() {
            return Ok(());
        }
        self.repo.store().barrier()?;
        let segment = std::mem::take(&mut self.segment);
        let object = segment.seal(&self.repo.id(), self.repo.domain(), &self.signing);
        let hash = ObjectHash::of(&object);
        self.segments.push(hash);
        self.create(&names::segment(&self.stamp.writer, &hash), &object, Durability::Durable)
    }

    /// Writes the trees of these files, and the outcome with their snapshot.
    fn commit(&mut self, files: &[Entry]) -> Result<()> {
        let root = self.root(files)?;
        self.close(PackKind::Data)?;
        self.close(PackKind::Tree)?;
        self.close_segment()?;
        let path = b"/many".to_vec();
        let snapshot = Snapshot {
            started_ms: WHEN * 1000,
            finished_ms: (WHEN + self.stamp.sequence as i64) * 1000,
            host: "synthetic".to_owned(),
            program: "many_chunks".to_owned(),
            roots: vec![Root { path, entry: root }],
            counts: self.counts,
            ..Snapshot::default()
        };
        let outcome = Outcome {
            stamp: self.stamp,
            roster: self.repo.roster().number,
            commit: Some(self.seal_snapshot(&snapshot)),
        };
        self.repo.store().barrier()?;
        let object = outcome.seal(&self.repo.id(), &self.signing);
        self.create(&self.stamp.outcome_name(), &object, Durability::Durable)
    }

    /// The directory of all files, in directories of [`DIRECTORY_FILES`].
    fn root(&mut self, files: &[Entry]) -> Result<Entry> {
        let mut directories = Vec::new();
        for (number, files) in files.chunks(DIRECTORY_FILES as usize).enumerate() {
            directories.push(self.directory(format!("directory-{number:06}"), files)?);
        }
        self.counts.files = files.len() as u64;
        self.counts.dirs = 1 + directories.len() as u64;
        let root = self.directory("many".to_owned(), &directories)?;
        if let Kind::Directory { bytes, .. } = root.kind {
            self.counts.bytes = bytes;
        }
        Ok(root)
    }

    fn directory(&mut self, name: String, entries: &[Entry]) -> Result<Entry> {
        let encode = |entry: &Entry| {
            let mut to = Encoder::new();
            entry.encode(&mut to);
            to.into_bytes()
        };
        let encoded: Vec<Vec<u8>> = entries.iter().map(encode).collect();
        let tree =
            self.put(PackKind::Tree, &Node::encode_leaf(encoded.iter().map(Vec::as_slice)))?;
        let below = entries.iter().map(|entry| match &entry.kind {
            Kind::Directory { files, bytes, .. } => (*files, *bytes),
            _ => (1, entry.size()),
        });
        let (files, bytes) = below.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        Ok(entry(name, 0o700, Kind::Directory { tree, files, bytes }))
    }

    fn seal_snapshot(&self, snapshot: &Snapshot) -> Commit {
        let (key, seal) = self.key(PackKind::Tree);
        let mut coded = Vec::new();
        Compressor::new(Compression::Zstd(3)).append(&snapshot.encode(), &mut coded);
        let salt = random();
        let gcm = Gcm::new(&hkdf(&key.secret.0, &salt, "nodekeep/v1/snapshot"));
        let aad = [self.repo.id().0.as_slice(), &self.stamp.session.0].concat();
        Commit {
            segments: self.segments.clone(),
            tree: seal.clone(),
            salt,
            snapshot: gcm.seal(0, &aad, &coded),
        }
    }
}
