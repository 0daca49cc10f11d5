//! What a directory holds, as far as a backup must keep it, and an exact comparison.

use std::collections::BTreeMap;

/// Metadata of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits, 12 bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time: seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// Extended attributes by name, ACLs among them.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What a name is.
#[derive(Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File {
        /// All its bytes; holes are zeros.
        bytes: Vec<u8>,
        /// Bytes of it that are holes. Wanted, where a tree is described; found, where it was read.
        holes: u64,
    },
    /// A directory.
    Dir,
    /// A symbolic link to this.
    Symlink(Vec<u8>),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice(u32, u32),
    /// A block device.
    BlockDevice(u32, u32),
    /// Another name of the file at this path, which comes before it in the order of paths.
    SameAs(Vec<u8>),
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { bytes, holes } => {
                write!(f, "file of {} bytes, {holes} in holes", bytes.len())
            }
            Self::Dir => write!(f, "directory"),
            Self::Symlink(target) => write!(f, "symlink to {}", shown(target)),
            Self::Fifo => write!(f, "fifo"),
            Self::Socket => write!(f, "socket"),
            Self::CharDevice(major, minor) => write!(f, "character device {major}:{minor}"),
            Self::BlockDevice(major, minor) => write!(f, "block device {major}:{minor}"),
            Self::SameAs(path) => write!(f, "the same file as {}", shown(path)),
        }
    }
}

/// A name's metadata and content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Metadata.
    pub meta: Meta,
    /// Content.
    pub kind: Kind,
}

/// A directory and everything in it, by path relative to it; the empty path is the directory itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    /// The names. A directory comes before what is in it.
    pub nodes: BTreeMap<Vec<u8>, Node>,
}

/// A hole smaller than this may come back as zeros, in bytes: the engine joins small files without looking for holes.
const SMALL: usize = 256 * 1024;

impl Tree {
    /// The paths of regular files and nothing else, each file once.
    pub fn files(&self) -> Vec<&[u8]> {
        let is_file = |(_, node): &(&Vec<u8>, &Node)| matches!(node.kind, Kind::File { .. });
        self.nodes.iter().filter(is_file).map(|(path, _)| path.as_slice()).collect()
    }

    /// Bytes in all files.
    pub fn bytes(&self) -> u64 {
        let size = |node: &Node| {
            if let Kind::File { bytes, .. } = &node.kind { bytes.len() as u64 } else { 0 }
        };
        self.nodes.values().map(size).sum()
    }

    /// How `other` differs from this tree, a line for each path, at most `MAX_LINES` of them. Holes may grow, not shrink.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let missing = self.nodes.keys().filter(|path| !other.nodes.contains_key(*path));
        let extra = other.nodes.keys().filter(|path| !self.nodes.contains_key(*path));
        let mut lines: Vec<String> =
            missing.map(|path| format!("{}: missing", shown(path))).collect();
        lines.extend(extra.map(|path| format!("{}: should not be there", shown(path))));
        for (path, node) in &self.nodes {
            let found = other.nodes.get(path);
            lines.extend(
                found
                    .and_then(|found| difference(node, found))
                    .map(|what| format!("{}: {what}", shown(path))),
            );
        }
        lines.truncate(MAX_LINES);
        lines
    }

    /// Fails the test that calls it if `other` differs.
    ///
    /// # Panics
    /// If `other` differs, naming the paths.
    #[track_caller]
    pub fn assert_same(&self, other: &Self, what: &str) {
        let differences = self.differences(other);
        assert!(differences.is_empty(), "{what}:\n{}", differences.join("\n"));
    }
}

/// So many differences are shown.
const MAX_LINES: usize = 20;

fn difference(wanted: &Node, found: &Node) -> Option<String> {
    if wanted.meta != found.meta {
        return Some(format!("{:?} instead of {:?}", found.meta, wanted.meta));
    }
    match (&wanted.kind, &found.kind) {
        (Kind::File { bytes, holes }, Kind::File { bytes: have, holes: have_holes }) => {
            file_difference((bytes, *holes), (have, *have_holes))
        }
        (wanted, found) => (wanted != found).then(|| format!("{found:?} instead of {wanted:?}")),
    }
}

fn file_difference(
    (bytes, holes): (&[u8], u64),
    (have, have_holes): (&[u8], u64),
) -> Option<String> {
    if bytes.len() != have.len() {
        return Some(format!("{} bytes instead of {}", have.len(), bytes.len()));
    }
    if let Some(at) = bytes.iter().zip(have).position(|(a, b)| a != b) {
        return Some(format!("other bytes from {at} on"));
    }
    let lost = bytes.len() >= SMALL && have_holes < holes;
    lost.then(|| format!("{have_holes} bytes in holes instead of {holes}"))
}

/// A path as it can be printed.
pub(crate) fn shown(path: &[u8]) -> String {
    let text = path.escape_ascii().to_string();
    match text.len() {
        0 => ".".to_owned(),
        1..=200 => text,
        len => format!("{}…{} ({len} bytes)", &text[..60], &text[len - 60..]),
    }
}
