//! Trees: what a directory holds (`docs/format.md`, section 6). No clock, inode or access time is in them, so that what did not change has the same id.

use crate::id::ChunkId;
use crate::wire::{Decoder, Encoder, Malformed};

/// Splits nest at most so deep.
pub const MAX_SPLIT_DEPTH: usize = 8;

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// Bytes that were never written.
    Hole {
        /// Length in bytes.
        len: u64,
    },
    /// Bytes of a chunk.
    Data {
        /// Which chunk.
        chunk: ChunkId,
        /// Offset in the chunk.
        offset: u32,
        /// Length in bytes.
        len: u32,
    },
}

impl Run {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Hole { len } => *len,
            Self::Data { len, .. } => u64::from(*len),
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File {
        /// Size in bytes.
        size: u64,
        /// Keyed hash of the data.
        hash: [u8; 32],
        /// Content.
        runs: Vec<Run>,
    },
    /// A directory.
    Directory {
        /// Its tree.
        tree: ChunkId,
        /// Files below, at any depth.
        files: u64,
        /// Bytes of the files below.
        bytes: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points.
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice {
        /// Device number.
        major: u32,
        /// Device number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Device number.
        major: u32,
        /// Device number.
        minor: u32,
    },
}

/// A name in a directory and all that is kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name: bytes, not text.
    pub name: Vec<u8>,
    /// Permission bits with set-id and sticky, 12 bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time, seconds since 1970.
    pub mtime: i64,
    /// Nanoseconds of it, below 1,000,000,000.
    pub mtime_ns: u32,
    /// Extended attributes, by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Entries of a snapshot with the same number are one file; never set for directories.
    pub link: Option<u64>,
    /// What it is.
    pub kind: Kind,
}

impl Entry {
    /// Size of a file in bytes, 0 for others.
    pub fn size(&self) -> u64 {
        match &self.kind {
            Kind::File { size, .. } => *size,
            _ => 0,
        }
    }

    /// The runs of a file; none for others.
    pub fn runs(&self) -> &[Run] {
        match &self.kind {
            Kind::File { runs, .. } => runs,
            _ => &[],
        }
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        matches!(self.kind, Kind::Directory { .. })
    }

    /// Writes the entry.
    pub fn encode(&self, to: &mut Encoder) {
        to.blob(&self.name).u8(self.kind_code()).varint(u64::from(self.mode));
        to.varint(u64::from(self.uid)).varint(u64::from(self.gid));
        to.zint(self.mtime).varint(u64::from(self.mtime_ns));
        to.list(&self.xattrs, |to, (name, value)| {
            to.blob(name).blob(value);
        });
        self.encode_kind(to);
    }

    fn kind_code(&self) -> u8 {
        match self.kind {
            Kind::File { .. } => 0,
            Kind::Directory { .. } => 1,
            Kind::Symlink { .. } => 2,
            Kind::Fifo => 3,
            Kind::Socket => 4,
            Kind::CharDevice { .. } => 5,
            Kind::BlockDevice { .. } => 6,
        }
    }

    fn encode_link(&self, to: &mut Encoder) {
        to.opt(self.link, |to, link| {
            to.raw(&link.to_le_bytes());
        });
    }

    fn encode_kind(&self, to: &mut Encoder) {
        match &self.kind {
            Kind::File { size, hash, runs } => {
                to.varint(*size).raw(hash);
                self.encode_link(to);
                to.list(runs, encode_run);
            }
            Kind::Directory { tree, files, bytes } => {
                to.raw(&tree.0).varint(*files).varint(*bytes);
            }
            Kind::Symlink { target } => {
                self.encode_link(to);
                to.blob(target);
            }
            Kind::Fifo | Kind::Socket => self.encode_link(to),
            Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
                self.encode_link(to);
                to.varint(u64::from(*major)).varint(u64::from(*minor));
            }
        }
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let name = from.blob()?.to_vec();
        let code = from.u8()?;
        let mode = u16::try_from(from.varint()?).ok().filter(|m| *m <= 0o7777);
        let mode = mode.ok_or_else(|| from.malformed("mode out of range"))?;
        let (uid, gid, mtime, mtime_ns) = (from.u32()?, from.u32()?, from.zint()?, from.u32()?);
        if mtime_ns >= 1_000_000_000 {
            return Err(from.malformed("nanoseconds out of range"));
        }
        let xattrs = from.list(2, |from| Ok((from.blob()?.to_vec(), from.blob()?.to_vec())))?;
        let (link, kind) = decode_kind(from, code)?;
        Ok(Self { name, mode, uid, gid, mtime, mtime_ns, xattrs, link, kind })
    }
}

fn encode_run(to: &mut Encoder, run: &Run) {
    match run {
        Run::Hole { len } => to.u8(0).varint(*len),
        Run::Data { chunk, offset, len } => {
            to.u8(1).raw(&chunk.0).varint(u64::from(*offset)).varint(u64::from(*len))
        }
    };
}

fn decode_run(from: &mut Decoder<'_>) -> Result<Run, Malformed> {
    match from.u8()? {
        0 => Ok(Run::Hole { len: from.varint()? }),
        1 => Ok(Run::Data { chunk: ChunkId::decode(from)?, offset: from.u32()?, len: from.u32()? }),
        _ => Err(from.malformed("unknown kind of run")),
    }
}

fn decode_link(from: &mut Decoder<'_>) -> Result<Option<u64>, Malformed> {
    from.opt(|from| from.u64le())
}

fn decode_kind(from: &mut Decoder<'_>, code: u8) -> Result<(Option<u64>, Kind), Malformed> {
    if code == 1 {
        let kind = Kind::Directory {
            tree: ChunkId::decode(from)?,
            files: from.varint()?,
            bytes: from.varint()?,
        };
        return Ok((None, kind));
    }
    if code == 0 {
        return decode_file(from);
    }
    let link = decode_link(from)?;
    let kind = match code {
        2 => Kind::Symlink { target: from.blob()?.to_vec() },
        3 => Kind::Fifo,
        4 => Kind::Socket,
        5 => Kind::CharDevice { major: from.u32()?, minor: from.u32()? },
        6 => Kind::BlockDevice { major: from.u32()?, minor: from.u32()? },
        _ => return Err(from.malformed("unknown kind of entry")),
    };
    Ok((link, kind))
}

fn decode_file(from: &mut Decoder<'_>) -> Result<(Option<u64>, Kind), Malformed> {
    let (size, hash) = (from.varint()?, from.array()?);
    let link = decode_link(from)?;
    let runs = from.list(2, decode_run)?;
    let total = runs.iter().try_fold(0u64, |sum, run| sum.checked_add(run.len()));
    if total != Some(size) || size > i64::MAX as u64 {
        return Err(from.malformed("runs do not add up to the size"));
    }
    Ok((link, Kind::File { size, hash, runs }))
}

/// What a tree chunk holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Entries, by name.
    Leaf(Vec<Entry>),
    /// Parts of a large directory: first name and tree of each.
    Split(Vec<(Vec<u8>, ChunkId)>),
}

fn good_name(name: &[u8]) -> bool {
    !name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/') && !name.contains(&0)
}

impl Node {
    /// The chunk's plaintext of a split.
    pub fn encode_split(parts: &[(Vec<u8>, ChunkId)]) -> Vec<u8> {
        let mut to = Encoder::new();
        to.u8(2).list(parts, |to, (name, tree)| {
            to.blob(name).raw(&tree.0);
        });
        to.into_bytes()
    }

    /// The chunk's plaintext of a leaf, from entries already encoded.
    pub fn encode_leaf<'a>(entries: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut to = Encoder::new();
        to.u8(1).count(entries.len());
        for entry in entries {
            to.raw(entry);
        }
        to.into_bytes()
    }

    /// Reads a tree chunk: names are checked, and ascend.
    ///
    /// # Errors
    /// If it is malformed, or holds a name that no file can have.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Decoder::new(bytes);
        let node = match from.u8()? {
            1 => Self::Leaf(from.list(11, Entry::decode)?),
            2 => Self::Split(
                from.list(33, |from| Ok((from.blob()?.to_vec(), ChunkId::decode(from)?)))?,
            ),
            _ => return Err(from.malformed("neither leaf nor split")),
        };
        let (ordered, good) = match &node {
            Self::Leaf(entries) => (
                entries.is_sorted_by(|a, b| a.name < b.name),
                entries.iter().all(|e| good_name(&e.name)),
            ),
            Self::Split(parts) => (
                parts.is_sorted_by(|a, b| a.0 < b.0) && !parts.is_empty(),
                parts.iter().all(|p| good_name(&p.0)),
            ),
        };
        if !ordered || !good {
            return Err(from.malformed(if good {
                "names out of order"
            } else {
                "a name that no file can have"
            }));
        }
        from.end()?;
        Ok(node)
    }
}
