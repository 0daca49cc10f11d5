//! Random trees: ordinary ones, with everything in them that a careless program gets wrong.

use std::collections::BTreeMap;

use crate::disk::{Abilities, acl};
use crate::rng::Rng;
use crate::tree::{Kind, Meta, Node, Tree};

/// How large a tree is to be.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Names in it, about.
    pub names: usize,
    /// Files of some megabytes, one of them with holes.
    pub large: usize,
    /// Whether a chain of directories goes deeper than 4 KiB of path.
    pub deep: bool,
}

impl Size {
    /// Some dozens of small files.
    pub const SMALL: Self = Self { names: 40, large: 0, deep: false };
    /// Hundreds of names, large files, a deep path.
    pub const FULL: Self = Self { names: 250, large: 3, deep: true };
}

/// Names that programs trip over.
const ODD: &[&[u8]] = &[
    b"\xff\xfe",
    b"new\nline",
    b" ",
    b"-rf",
    b"...",
    b".hidden",
    b"a\\b",
    b"quote\"'`$(x)",
    b"e\xcc\x81",
    b"\xc3\xa9",
    b"tab\there",
    b"*?[a]",
    b"\x1b[31m",
    &[b'x'; 255],
];

struct Grower<'a> {
    rng: &'a mut Rng,
    can: Abilities,
    nodes: BTreeMap<Vec<u8>, Node>,
    dirs: Vec<Vec<u8>>,
}

/// A random tree that can be put where `can` was probed.
pub fn random(rng: &mut Rng, can: Abilities, size: Size) -> Tree {
    let mut grower = Grower { rng, can, nodes: BTreeMap::new(), dirs: vec![Vec::new()] };
    grower.add(Vec::new(), Kind::Dir);
    for _ in 0..size.names {
        grower.name();
    }
    for number in 0..size.large {
        grower.large(number);
    }
    if size.deep {
        grower.chain();
    }
    Tree { nodes: grower.nodes }
}

/// A path in a directory of a tree.
pub(crate) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() { name.to_vec() } else { [dir, b"/", name].concat() }
}

/// A file's content: mostly small.
pub(crate) fn content(rng: &mut Rng) -> Vec<u8> {
    let len = match rng.below(10) {
        0 => 0,
        1 => 1,
        2..=6 => rng.below(600),
        7 | 8 => rng.below(20_000),
        _ => rng.below(300_000),
    };
    let compressible = rng.one_in(2);
    rng.bytes(len, compressible)
}

impl Grower<'_> {
    fn name(&mut self) {
        let dir = self.rng.pick(&self.dirs).clone();
        let path = join(&dir, &self.fresh_name());
        let kind = match self.rng.below(20) {
            0..=3 => Kind::Dir,
            4 | 5 => Kind::Symlink(self.target()),
            6 => Kind::Fifo,
            7 => Kind::Socket,
            8 if self.can.root => Kind::CharDevice(1, self.rng.below(9) as u32),
            9 if self.can.root => Kind::BlockDevice(7, self.rng.below(300) as u32),
            10 | 11 => self.same_as(&path).unwrap_or(Kind::Fifo),
            _ => Kind::File { bytes: content(self.rng), holes: 0 },
        };
        if !self.nodes.contains_key(&path) {
            self.add(path, kind);
        }
    }

    fn add(&mut self, path: Vec<u8>, kind: Kind) {
        if kind == Kind::Dir {
            self.dirs.push(path.clone());
        }
        let meta = match &kind {
            Kind::SameAs(first) => self.nodes[first].meta.clone(),
            kind => self.meta(kind),
        };
        self.nodes.insert(path, Node { meta, kind });
    }

    fn fresh_name(&mut self) -> Vec<u8> {
        if self.rng.one_in(6) {
            self.rng.pick(ODD).to_vec()
        } else {
            format!("name {}", self.rng.below(10_000)).into_bytes()
        }
    }

    fn target(&mut self) -> Vec<u8> {
        match self.rng.below(5) {
            0 => b"/etc/passwd".to_vec(),
            1 => b"../../../outside".to_vec(),
            2 => b"\xff\n".to_vec(),
            3 => vec![b'y'; 3000],
            _ => b"name 1".to_vec(),
        }
    }

    /// Another name for a file that comes before `path`.
    fn same_as(&mut self, path: &[u8]) -> Option<Kind> {
        let linkable =
            |(_, node): &(&Vec<u8>, &Node)| !matches!(node.kind, Kind::Dir | Kind::SameAs(_));
        let before: Vec<&Vec<u8>> =
            self.nodes.range(..path.to_vec()).filter(linkable).map(|(path, _)| path).collect();
        if before.is_empty() { None } else { Some(Kind::SameAs((*self.rng.pick(&before)).clone())) }
    }

    fn meta(&mut self, kind: &Kind) -> Meta {
        let (uid, gid) = if self.can.root {
            (
                *self.rng.pick(&[0, 1, 1000, 65534, 3_000_000_000]),
                *self.rng.pick(&[0, 5, 1000, 4_000_000_000]),
            )
        } else {
            (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
        };
        let mode = self.mode(kind);
        let seconds =
            *self.rng.pick(&[0, -1, -86_400 * 365, 951_782_400, 1_700_000_000, 4_100_000_000]);
        let mtime = (seconds, *self.rng.pick(&[0, 1, 123_456_789, 999_999_999]));
        Meta { mode, uid, gid, mtime, xattrs: self.xattrs(kind, mode) }
    }

    fn mode(&mut self, kind: &Kind) -> u16 {
        let own = if self.can.root { 0 } else { 0o700 };
        match kind {
            Kind::Symlink(_) => 0o777,
            Kind::Dir => *self.rng.pick(&[0o755, 0o700, 0o1777, 0o2775, 0o500]) | own,
            Kind::File { .. } => {
                *self.rng.pick(&[0o644, 0o600, 0o4755, 0o2750, 0o400, 0o000, 0o777]) | own & 0o600
            }
            _ => *self.rng.pick(&[0o644, 0o600, 0o000]),
        }
    }

    fn xattrs(&mut self, kind: &Kind, mode: u16) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut out = Vec::new();
        if self.can.root && self.rng.one_in(8) {
            out.push((b"trusted.mark".to_vec(), b"t\0\xff".to_vec()));
        }
        if !matches!(kind, Kind::File { .. } | Kind::Dir) || !self.rng.one_in(4) {
            return out;
        }
        if self.can.xattrs {
            let value = self.rng.below(500);
            out.push((b"user.random".to_vec(), self.rng.bytes(value, false)));
            out.push((b"user.empty".to_vec(), Vec::new()));
        }
        if self.can.acls && self.rng.one_in(2) {
            out.push((b"system.posix_acl_access".to_vec(), acl(mode, 4321)));
            if *kind == Kind::Dir {
                out.push((b"system.posix_acl_default".to_vec(), acl(0o750, 77)));
            }
        }
        out.sort();
        out
    }

    /// Files that are cut into chunks: plain, with holes at both ends and between, and of nothing but a hole.
    fn large(&mut self, number: usize) {
        let path = join(&self.rng.pick(&self.dirs).clone(), format!("large {number}").as_bytes());
        let len = 600_000 + self.rng.below(4_000_000);
        let kind = match number % 3 {
            0 => Kind::File { bytes: self.rng.bytes(len, number.is_multiple_of(2)), holes: 0 },
            1 => self.sparse(len),
            _ => Kind::File { bytes: vec![0; len], holes: 1 },
        };
        self.add(path, kind);
    }

    fn sparse(&mut self, len: usize) -> Kind {
        let mut bytes = vec![0; len];
        for piece in 1..4 {
            let at = piece * len / 4 / 65_536 * 65_536;
            let random = self.rng.bytes(65_536.min(len - at), false);
            bytes[at..at + random.len()].copy_from_slice(&random);
        }
        Kind::File { bytes, holes: 1 }
    }

    /// Twenty directories of long names, and a file at the end.
    fn chain(&mut self) {
        let mut path = b"deep".to_vec();
        self.add(path.clone(), Kind::Dir);
        for _ in 0..20 {
            path = join(&path, &[b'd'; 230]);
            self.add(path.clone(), Kind::Dir);
        }
        self.add(join(&path, b"end"), Kind::File { bytes: b"at the end".to_vec(), holes: 0 });
    }
}
