//! What a backup leaves out.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use thiserror::Error;

/// What to leave out, as the user says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Globs. One without a slash matches a name at any depth; one with a slash the path below the root; one that begins
    /// with a slash the absolute path.
    pub exclude: Vec<String>,
    /// A directory that holds one of these names is left out.
    pub exclude_if_present: Vec<String>,
    /// Absolute paths that are left out silently: the repository itself, for one.
    pub skip: Vec<Vec<u8>>,
    /// Stay on the file system of each root.
    pub one_file_system: bool,
}

/// A pattern that cannot be understood.
#[derive(Debug, Error)]
#[error("`{pattern}` is no valid pattern: {reason}")]
pub struct BadPattern {
    /// The pattern.
    pub pattern: String,
    /// What is wrong.
    pub reason: String,
}

/// The filter, ready to decide.
#[derive(Debug)]
pub(crate) struct Matcher {
    names: GlobSet,
    relative: GlobSet,
    absolute: GlobSet,
    filter: Filter,
}

fn glob_set<'a>(patterns: impl Iterator<Item = &'a String>) -> Result<GlobSet, BadPattern> {
    let bad = |pattern: &str, e: &globset::Error| BadPattern {
        pattern: pattern.to_owned(),
        reason: e.kind().to_string(),
    };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let trimmed = pattern.trim_end_matches('/');
        let glob = GlobBuilder::new(trimmed)
            .literal_separator(true)
            .build()
            .map_err(|e| bad(pattern, &e))?;
        set.add(glob);
    }
    set.build().map_err(|e| bad("", &e))
}

impl Filter {
    /// Checks the patterns.
    ///
    /// # Errors
    /// Names the first that cannot be understood.
    pub fn check(&self) -> Result<(), BadPattern> {
        self.matcher().map(|_| ())
    }

    pub(crate) fn matcher(&self) -> Result<Matcher, BadPattern> {
        let inner = |p: &&String| p.trim_end_matches('/').contains('/');
        Ok(Matcher {
            names: glob_set(self.exclude.iter().filter(|p| !inner(p)))?,
            relative: glob_set(self.exclude.iter().filter(|p| inner(p) && !p.starts_with('/')))?,
            absolute: glob_set(self.exclude.iter().filter(|p| p.starts_with('/')))?,
            filter: self.clone(),
        })
    }
}

impl Matcher {
    /// Whether a name is left out. `path` is absolute, `root_len` how much of it is the root.
    pub(crate) fn excludes(&self, name: &[u8], path: &[u8], root_len: usize) -> bool {
        use std::os::unix::ffi::OsStrExt;
        let as_path = |bytes| std::path::Path::new(std::ffi::OsStr::from_bytes(bytes));
        let below = path.get(root_len..).unwrap_or(path);
        let below = below.strip_prefix(b"/").unwrap_or(below);
        (!self.names.is_empty() && self.names.is_match(as_path(name)))
            || (!self.relative.is_empty() && self.relative.is_match(as_path(below)))
            || (!self.absolute.is_empty() && self.absolute.is_match(as_path(path)))
            || self.filter.skip.iter().any(|skip| skip == path)
    }

    /// Whether anything could be left out by name or path.
    pub(super) fn is_empty(&self) -> bool {
        self.filter.exclude.is_empty() && self.filter.skip.is_empty()
    }

    /// Whether a directory with these names is left out.
    pub(super) fn marked<'a>(&self, mut names: impl Iterator<Item = &'a [u8]>) -> bool {
        let tags = &self.filter.exclude_if_present;
        !tags.is_empty() && names.any(|name| tags.iter().any(|tag| tag.as_bytes() == name))
    }

    pub(super) fn one_file_system(&self) -> bool {
        self.filter.one_file_system
    }
}
