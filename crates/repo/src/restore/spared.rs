//! What a restore never deletes, though the snapshot does not have it: the repository that it reads, what the caller
//! protects, and what the backup left out on purpose.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;

use super::want::Placing;
use crate::backup::Filter;
use crate::backup::Matcher;
use crate::snapshot::Snapshot;
use crate::source::Stat;
use crate::source::fs::stat_at;

/// Decides what is spared.
pub struct Spared<'a> {
    /// Protected files and folders, and every folder above them.
    inodes: HashSet<(u64, u64)>,
    /// What the backup left out; `None` if its patterns are not understood: then everything may be of it.
    left_out: Option<Matcher>,
    roots: Vec<&'a [u8]>,
    /// Path in the snapshot of the restore's base.
    base: &'a [u8],
}

impl<'a> Spared<'a> {
    /// Protects paths, as far as they exist, and what the snapshot's patterns left out.
    pub fn new<'p>(
        snapshot: &'a Snapshot,
        placing: Placing,
        protected: impl Iterator<Item = &'p Path>,
    ) -> Self {
        let real = protected.filter_map(|path| path.canonicalize().ok());
        let above = real.flat_map(|path| path.ancestors().map(PathBuf::from).collect::<Vec<_>>());
        let stats = above.filter_map(|path| stat_at(CWD, path.as_path()).ok());
        let filter = Filter { exclude: snapshot.excludes.clone(), ..Filter::default() };
        let roots: Vec<&[u8]> = snapshot.roots.iter().map(|root| root.path.as_slice()).collect();
        let base = match placing {
            Placing::Content => roots.first().copied().unwrap_or_default(),
            Placing::Named | Placing::Absolute => b"",
        };
        Self {
            inodes: stats.map(|stat| (stat.dev, stat.ino)).collect(),
            left_out: filter.matcher().ok(),
            roots,
            base,
        }
    }

    /// Whether an existing name is protected, or holds something that is.
    pub fn holds(&self, stat: &Stat) -> bool {
        self.inodes.contains(&(stat.dev, stat.ino))
    }

    /// Whether the backup left a path below the base out, or what lies above it.
    pub fn left_out(&self, below: &[u8], name: &[u8]) -> bool {
        let Some(matcher) = &self.left_out else {
            return true;
        };
        let base = self.base.strip_suffix(b"/").unwrap_or(self.base);
        let path = [base, b"/", below].concat();
        let holding = self.roots.iter().filter(|root| path.starts_with(root));
        let root_len = holding.map(|root| root.len()).max().unwrap_or(0);
        matcher.excludes(name, &path, root_len)
    }
}
