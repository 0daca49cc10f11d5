//! A snapshot: one point in time, complete in itself (`docs/format.md`, section 6.1).

use crate::id::SessionId;
use crate::tree::Entry;
use crate::wire::{Decoder, Encoder, Malformed};

/// One thing that was backed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Its absolute path: bytes, not text.
    pub path: Vec<u8>,
    /// What was there. The name is the last part of the path, or `/`.
    pub entry: Entry,
}

/// What a backup counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Files, links and special files.
    pub files: u64,
    /// Directories.
    pub dirs: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes read from the source.
    pub bytes_read: u64,
    /// Chunks that were new.
    pub chunks_added: u64,
    /// Bytes that the repository grew by.
    pub bytes_added: u64,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// When the backup began, Unix milliseconds.
    pub started_ms: i64,
    /// When it ended, Unix milliseconds.
    pub finished_ms: i64,
    /// Host name.
    pub host: String,
    /// User name.
    pub user: String,
    /// Program and version.
    pub program: String,
    /// What was backed up.
    pub roots: Vec<Root>,
    /// Tags: name and value.
    pub tags: Vec<(String, String)>,
    /// Exclusions in force.
    pub excludes: Vec<String>,
    /// Names of owners.
    pub users: Vec<(u32, String)>,
    /// Names of groups.
    pub groups: Vec<(u32, String)>,
    /// What was counted.
    pub counts: Counts,
    /// What could not be read: path and why.
    pub errors: Vec<(Vec<u8>, String)>,
    /// The snapshot before, of the same paths.
    pub parent: Option<SessionId>,
    /// Whether something could not be read.
    pub incomplete: bool,
    /// For adapters: manifests and the like.
    pub attachments: Vec<(String, Vec<u8>)>,
}

impl Snapshot {
    /// The plaintext.
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Encoder::new();
        to.zint(self.started_ms).zint(self.finished_ms);
        to.blob(self.host.as_bytes()).blob(self.user.as_bytes()).blob(self.program.as_bytes());
        to.list(&self.roots, |to, root| {
            to.blob(&root.path);
            root.entry.encode(to);
        });
        to.list(&self.tags, |to, (name, value)| {
            to.blob(name.as_bytes()).blob(value.as_bytes());
        });
        to.list(&self.excludes, |to, glob| {
            to.blob(glob.as_bytes());
        });
        to.list(&self.users, encode_owner).list(&self.groups, encode_owner);
        let c = &self.counts;
        for count in [c.files, c.dirs, c.bytes, c.bytes_read, c.chunks_added, c.bytes_added] {
            to.varint(count);
        }
        to.list(&self.errors, |to, (path, why)| {
            to.blob(path).blob(why.as_bytes());
        });
        to.opt(self.parent, |to, id| {
            to.raw(&id.0);
        });
        to.varint(u64::from(self.incomplete));
        to.list(&self.attachments, |to, (name, value)| {
            to.blob(name.as_bytes()).blob(value);
        });
        to.no_ext();
        to.into_bytes()
    }

    /// Reads the plaintext.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Decoder::new(bytes);
        let snapshot = Self {
            started_ms: from.zint()?,
            finished_ms: from.zint()?,
            host: from.str()?,
            user: from.str()?,
            program: from.str()?,
            roots: from.list(12, |from| {
                Ok(Root { path: from.blob()?.to_vec(), entry: Entry::decode(from)? })
            })?,
            tags: from.list(2, |from| Ok((from.str()?, from.str()?)))?,
            excludes: from.list(1, |from| from.str())?,
            users: from.list(2, decode_owner)?,
            groups: from.list(2, decode_owner)?,
            counts: decode_counts(&mut from)?,
            errors: from.list(2, |from| Ok((from.blob()?.to_vec(), from.str()?)))?,
            parent: from.opt(SessionId::decode)?,
            incomplete: from.varint()? & 1 == 1,
            attachments: from.list(2, |from| Ok((from.str()?, from.blob()?.to_vec())))?,
        };
        from.ext()?;
        from.end()?;
        Ok(snapshot)
    }
}

fn encode_owner(to: &mut Encoder, (id, name): &(u32, String)) {
    to.varint(u64::from(*id)).blob(name.as_bytes());
}

fn decode_owner(from: &mut Decoder<'_>) -> Result<(u32, String), Malformed> {
    Ok((from.u32()?, from.str()?))
}

fn decode_counts(from: &mut Decoder<'_>) -> Result<Counts, Malformed> {
    Ok(Counts {
        files: from.varint()?,
        dirs: from.varint()?,
        bytes: from.varint()?,
        bytes_read: from.varint()?,
        chunks_added: from.varint()?,
        bytes_added: from.varint()?,
    })
}
