//! Packs: many encrypted chunks in one object, with an encrypted table at its end (`docs/format.md`, section 5).

use crate::codec::{Compressor, MAX_CHUNK};
use crate::crypto::{Gcm, Secret, TAG_LEN, hkdf, random};
use crate::error::Damage;
use crate::id::{ChunkId, DomainId, PackId, RepoId};
use crate::keys::{ContentKey, DomainKeys, Purpose, Seal};
use crate::wire::{Decoder, Encoder, Malformed};

const MAGIC: &[u8; 4] = b"NKPK";
const END: &[u8; 4] = b"NKPE";
const VERSION: u8 = 1;
/// Bytes after the table.
pub const TRAILER_LEN: usize = 12;
const SALT_LEN: usize = 32;

/// What a pack's chunks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PackKind {
    /// File content.
    Data,
    /// Trees.
    Tree,
}

impl PackKind {
    /// The byte in headers.
    pub fn code(self) -> u8 {
        match self {
            Self::Data => 1,
            Self::Tree => 2,
        }
    }

    /// Reads the byte.
    ///
    /// # Errors
    /// If it is neither.
    pub fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        match from.u8()? {
            1 => Ok(Self::Data),
            2 => Ok(Self::Tree),
            _ => Err(from.malformed("unknown kind of pack")),
        }
    }

    /// The purpose of the keys that protect it.
    pub fn purpose(self) -> Purpose {
        match self {
            Self::Data => Purpose::Data,
            Self::Tree => Purpose::Tree,
        }
    }

    fn stream_info(self) -> &'static str {
        match self {
            Self::Data => "nodekeep/v1/chunks/data",
            Self::Tree => "nodekeep/v1/chunks/tree",
        }
    }
}

/// A run of nonces under one content key and salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stream {
    /// Which seal holds the content key: an index into the seals that come with it.
    pub seal: u32,
    /// Random.
    pub salt: [u8; SALT_LEN],
}

impl Stream {
    fn encode(&self, to: &mut Encoder) {
        to.varint(u64::from(self.seal)).raw(&self.salt);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self { seal: from.u32()?, salt: from.array()? })
    }
}

/// The key of a stream.
pub fn stream_key(kind: PackKind, content: &Secret, salt: &[u8; SALT_LEN]) -> Secret {
    hkdf(&content.0, salt, kind.stream_info())
}

/// One chunk in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackEntry {
    /// Which chunk.
    pub id: ChunkId,
    /// Bytes in the pack, tag included.
    pub stored: u32,
    /// Bytes of the chunk.
    pub raw: u32,
    /// Which stream of the pack.
    pub stream: u32,
    /// Nonce.
    pub counter: u32,
}

impl PackEntry {
    /// The fewest bytes that an entry takes.
    pub const MIN_LEN: usize = 36;

    fn encode(&self, to: &mut Encoder) {
        to.raw(&self.id.0).varint(u64::from(self.stored)).varint(u64::from(self.raw));
        to.varint(u64::from(self.stream)).varint(u64::from(self.counter));
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let entry = Self {
            id: ChunkId::decode(from)?,
            stored: from.u32()?,
            raw: from.u32()?,
            stream: from.u32()?,
            counter: from.u32()?,
        };
        if entry.raw as usize > MAX_CHUNK || entry.stored as usize > MAX_CHUNK + TAG_LEN + 1 {
            return Err(from.malformed("chunk larger than the format allows"));
        }
        Ok(entry)
    }
}

/// Streams and entries of a pack: its table, and its part of an index segment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// Streams.
    pub streams: Vec<Stream>,
    /// Entries in the order of the pack.
    pub entries: Vec<PackEntry>,
}

impl Table {
    /// Writes streams and entries.
    pub fn encode(&self, to: &mut Encoder) {
        to.list(&self.streams, |to, s| s.encode(to)).list(&self.entries, |to, e| e.encode(to));
    }

    /// Reads streams and entries; `seals` is how many seals a stream can name.
    ///
    /// # Errors
    /// If they are malformed, or point outside.
    pub fn decode(from: &mut Decoder<'_>, seals: usize) -> Result<Self, Malformed> {
        let streams = from.list(SALT_LEN + 1, Stream::decode)?;
        let entries = from.list(PackEntry::MIN_LEN, PackEntry::decode)?;
        let stray = streams.iter().any(|s| s.seal as usize >= seals)
            || entries.iter().any(|e| e.stream as usize >= streams.len());
        if stray {
            Err(from.malformed("a table points outside itself"))
        } else {
            Ok(Self { streams, entries })
        }
    }

    /// Bytes of all chunks together, stored.
    pub fn stored(&self) -> u64 {
        self.entries.iter().map(|e| u64::from(e.stored)).sum()
    }
}

/// The plain front of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Data or tree.
    pub kind: PackKind,
    /// Repository.
    pub repo: RepoId,
    /// Domain.
    pub domain: DomainId,
    /// Seals that streams name.
    pub seals: Vec<Seal>,
}

impl Header {
    /// The header's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Encoder::new();
        to.raw(MAGIC).u8(VERSION).u8(self.kind.code()).raw(&self.repo.0).raw(&self.domain.0);
        to.list(&self.seals, |to, seal| seal.encode(to));
        to.into_bytes()
    }

    /// Reads a header from exactly its bytes.
    ///
    /// # Errors
    /// If they are malformed, or of a newer format.
    pub fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        let mut from = Decoder::new(bytes);
        if from.array::<4>()? != *MAGIC {
            return Err(Damage::WrongKind);
        }
        match from.u8()? {
            VERSION => (),
            newer if newer > VERSION => return Err(Damage::NewerFormat),
            _ => return Err(Damage::WrongKind),
        }
        let header = Self {
            kind: PackKind::decode(&mut from)?,
            repo: RepoId::decode(&mut from)?,
            domain: DomainId::decode(&mut from)?,
            seals: from.list(Seal::MIN_LEN, Seal::decode)?,
        };
        from.end()?;
        Ok(header)
    }
}

/// The associated data of a chunk: repository, kind, id.
pub fn chunk_aad(repo: &RepoId, kind: PackKind, id: &ChunkId) -> [u8; 65] {
    let mut aad = [0; 65];
    aad[..32].copy_from_slice(&repo.0);
    aad[32] = kind.code();
    aad[33..].copy_from_slice(&id.0);
    aad
}

/// A finished pack.
#[derive(Debug)]
pub struct Sealed {
    /// Its id.
    pub id: PackId,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Length of the header in bytes.
    pub header_len: u32,
    /// What is in it.
    pub table: Table,
    /// The seals that the table's streams name.
    pub seals: Vec<Seal>,
    /// Data or tree.
    pub kind: PackKind,
}

/// Fills a pack with chunks.
pub struct PackBuilder {
    header: Header,
    header_len: usize,
    bytes: Vec<u8>,
    table: Table,
    gcm: Gcm,
    index_key: Secret,
}

impl std::fmt::Debug for PackBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "PackBuilder({:?}, {} chunks, {} bytes)",
            self.header.kind,
            self.table.entries.len(),
            self.bytes.len()
        )
    }
}

impl PackBuilder {
    /// An empty pack under a session's key, in a reused buffer.
    pub fn new(
        kind: PackKind,
        repo: RepoId,
        domain: &DomainKeys,
        key: &ContentKey,
        seal: Seal,
        mut buffer: Vec<u8>,
    ) -> Self {
        let header = Header { kind, repo, domain: domain.id, seals: vec![seal] };
        buffer.clear();
        buffer.extend_from_slice(&header.encode());
        let salt = random();
        Self {
            header_len: buffer.len(),
            bytes: buffer,
            table: Table { streams: vec![Stream { seal: 0, salt }], entries: Vec::new() },
            gcm: Gcm::new(&stream_key(kind, &key.secret, &salt)),
            index_key: domain.index.clone(),
            header,
        }
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no chunk yet.
    pub fn is_empty(&self) -> bool {
        self.table.entries.is_empty()
    }

    /// Compresses, encrypts and appends a chunk; returns its stored length in bytes.
    pub fn append(&mut self, id: ChunkId, plain: &[u8], compressor: &mut Compressor) -> u32 {
        let start = self.bytes.len();
        let counter = self.table.entries.len() as u32;
        compressor.append(plain, &mut self.bytes);
        let aad = chunk_aad(&self.header.repo, self.header.kind, &id);
        self.gcm.seal_tail(u64::from(counter), &aad, &mut self.bytes, start);
        let stored = (self.bytes.len() - start) as u32;
        self.table.entries.push(PackEntry {
            id,
            stored,
            raw: plain.len() as u32,
            stream: 0,
            counter,
        });
        stored
    }

    /// Closes the pack.
    pub fn finish(self) -> Sealed {
        seal_pack(self.header, self.header_len, self.bytes, self.table, &self.index_key)
    }
}

fn seal_pack(
    header: Header,
    header_len: usize,
    mut bytes: Vec<u8>,
    table: Table,
    index_key: &Secret,
) -> Sealed {
    let mut to = Encoder::new();
    table.encode(&mut to);
    to.no_ext();
    let salt: [u8; SALT_LEN] = random();
    let key = hkdf(&index_key.0, &salt, "nodekeep/v1/pack-table");
    let sealed = Gcm::new(&key).seal(0, &bytes[..header_len], to.as_bytes());
    bytes.extend_from_slice(&salt);
    bytes.extend_from_slice(&sealed);
    bytes.extend_from_slice(&(header_len as u32).to_le_bytes());
    bytes.extend_from_slice(&((SALT_LEN + sealed.len()) as u32).to_le_bytes());
    bytes.extend_from_slice(END);
    let id = PackId::of(&bytes);
    Sealed {
        id,
        bytes,
        header_len: header_len as u32,
        table,
        kind: header.kind,
        seals: header.seals,
    }
}

/// Builds a pack from ciphertexts of other packs, verbatim, each with its seal, salt and counter.
#[derive(Debug)]
pub struct Repack {
    header: Header,
    body: Vec<u8>,
    table: Table,
}

impl Repack {
    /// An empty pack.
    pub fn new(kind: PackKind, repo: RepoId, domain: DomainId) -> Self {
        let header = Header { kind, repo, domain, seals: Vec::new() };
        Self { header, body: Vec::new(), table: Table::default() }
    }

    /// Bytes of chunks so far.
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Whether there is no chunk yet.
    pub fn is_empty(&self) -> bool {
        self.table.entries.is_empty()
    }

    /// Appends a ciphertext with what it needs to be read.
    pub fn append(
        &mut self,
        entry: &PackEntry,
        ciphertext: &[u8],
        seal: &Seal,
        salt: [u8; SALT_LEN],
    ) {
        let seal = position_or_push(&mut self.header.seals, seal.clone());
        let stream = position_or_push(&mut self.table.streams, Stream { seal, salt });
        self.body.extend_from_slice(ciphertext);
        self.table.entries.push(PackEntry { stream, ..*entry });
    }

    /// Closes the pack.
    pub fn finish(self, index_key: &Secret) -> Sealed {
        let mut bytes = self.header.encode();
        let header_len = bytes.len();
        bytes.extend_from_slice(&self.body);
        seal_pack(self.header, header_len, bytes, self.table, index_key)
    }
}

fn position_or_push<T: PartialEq>(list: &mut Vec<T>, item: T) -> u32 {
    let at = list.iter().position(|have| *have == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    });
    at as u32
}

/// Where the parts of a pack lie, from its trailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Length of the header.
    pub header_len: u32,
    /// Where the table starts.
    pub table_at: u64,
    /// Length of the table, salt and tag included.
    pub table_len: u32,
}

impl Layout {
    /// Reads the trailer of a pack of `size` bytes.
    ///
    /// # Errors
    /// If it points outside the pack.
    pub fn decode(trailer: &[u8; TRAILER_LEN], size: u64) -> Result<Self, Damage> {
        let word = |at: usize| {
            u32::from_le_bytes([trailer[at], trailer[at + 1], trailer[at + 2], trailer[at + 3]])
        };
        let (header_len, table_len) = (word(0), word(4));
        if trailer[8..] != *END {
            return Err(Damage::Truncated);
        }
        let rest =
            size.checked_sub(TRAILER_LEN as u64 + u64::from(table_len)).ok_or(Damage::Truncated)?;
        if u64::from(header_len) > rest || (table_len as usize) < SALT_LEN + TAG_LEN {
            return Err(Damage::Truncated);
        }
        Ok(Self { header_len, table_at: rest, table_len })
    }
}

/// Opens a pack's table and checks that its entries fill the pack exactly.
///
/// # Errors
/// If it does not decrypt, is malformed, or disagrees with the layout.
pub fn open_table(
    header: &[u8],
    table: &[u8],
    layout: &Layout,
    index_key: &Secret,
) -> Result<(Header, Table), Damage> {
    let decoded = Header::decode(header)?;
    let (salt, sealed) = table.split_at_checked(SALT_LEN).ok_or(Damage::Truncated)?;
    let key = hkdf(&index_key.0, salt, "nodekeep/v1/pack-table");
    let mut plain = sealed.to_vec();
    let plain = Gcm::new(&key).open(0, header, &mut plain).map_err(|_| Damage::NotAuthentic)?;
    let mut from = Decoder::new(plain);
    let table = Table::decode(&mut from, decoded.seals.len())?;
    from.ext()?;
    from.end()?;
    if u64::from(layout.header_len) + table.stored() == layout.table_at {
        Ok((decoded, table))
    } else {
        Err(Damage::Truncated)
    }
}
