//! What is wanted of a snapshot, as one tree below the base of the restore: the roots and chosen paths, each at its place,
//! and the directories on the way there.

use std::collections::BTreeMap;
use std::mem::take;

use crate::error::{Damage, Error, Result};
use crate::reader::ChunkReader;
use crate::repository::SnapshotRecord;
use crate::snapshot::Root;
use crate::tree::{Entry, Kind};

/// A name that is wanted.
#[derive(Debug, Default)]
pub struct Want {
    /// The name; empty for the base.
    pub name: Vec<u8>,
    /// What the snapshot holds there; `None` for a directory that only leads to something.
    pub entry: Option<Entry>,
    /// Whether all below is wanted, or only what is in `over`.
    pub whole: bool,
    /// What is wanted below besides, or in place of, what the entry holds.
    over: BTreeMap<Vec<u8>, Want>,
}

impl Want {
    fn whole(mut entry: Entry) -> Self {
        Self { name: take(&mut entry.name), entry: Some(entry), whole: true, over: BTreeMap::new() }
    }

    fn way(name: &[u8]) -> Self {
        Self { name: name.to_vec(), ..Self::default() }
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.entry.as_ref().is_none_or(Entry::is_dir)
    }

    fn below(&mut self, name: &[u8]) -> &mut Self {
        self.over.entry(name.to_vec()).or_insert_with(|| Self::way(name))
    }
}

/// One chosen path: a root and the way down from it.
struct Pick<'a> {
    root: &'a Root,
    inner: Vec<&'a [u8]>,
}

/// How roots are placed below the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placing {
    /// A single root directory becomes the base itself.
    Content,
    /// A single root file lies in the base.
    Named,
    /// Every root lies under its absolute path.
    Absolute,
}

/// How a snapshot is placed into a target.
pub fn placing(record: &SnapshotRecord, in_place: bool) -> Placing {
    match record.snapshot.roots.as_slice() {
        _ if in_place => Placing::Absolute,
        [root] if root.entry.is_dir() => Placing::Content,
        [_] => Placing::Named,
        _ => Placing::Absolute,
    }
}

/// Parts of a path, without empty ones and `.`.
fn parts(path: &[u8]) -> Vec<&[u8]> {
    path.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".").collect()
}

/// Everything that is wanted, below one nameless base.
///
/// # Errors
/// If a chosen path is not in the snapshot, or a tree on the way to it cannot be read.
pub fn select(
    reader: &ChunkReader,
    record: &SnapshotRecord,
    subpaths: &[Vec<u8>],
    placing: Placing,
) -> Result<Want> {
    let roots = &record.snapshot.roots;
    // A name of the snapshot must not lead out of the base. Names below the roots are checked when trees are decoded.
    let astray = |path: &[u8]| path.contains(&0) || parts(path).contains(&b"..".as_slice());
    if roots.iter().any(|root| astray(&root.path)) {
        return Err(Error::damaged(format!("snapshot {}", record.id), Damage::Name));
    }
    let mut picks = Vec::new();
    if subpaths.is_empty() {
        picks.extend(roots.iter().map(|root| Pick { root, inner: Vec::new() }));
    }
    for path in subpaths {
        pick(record, path, &mut picks)?;
    }
    // Ancestors first: what lies below something whole is there already.
    picks.sort_by(|a, b| (parts(&a.root.path), &a.inner).cmp(&(parts(&b.root.path), &b.inner)));
    let mut base = Want::default();
    for pick in picks {
        place(reader, record, &mut base, &pick, placing)?;
    }
    Ok(base)
}

fn no_path(record: &SnapshotRecord, path: &[u8]) -> Error {
    Error::NoPath { path: String::from_utf8_lossy(path).into_owned(), snapshot: record.id.short() }
}

/// The roots that a chosen path names, lies in, or leads to.
fn pick<'a>(record: &'a SnapshotRecord, path: &'a [u8], picks: &mut Vec<Pick<'a>>) -> Result<()> {
    let roots = &record.snapshot.roots;
    let chosen = parts(path);
    let before = picks.len();
    if path.starts_with(b"/") {
        let holding = |root: &&Root| chosen.starts_with(&parts(&root.path));
        if let Some(root) = roots.iter().filter(holding).max_by_key(|root| parts(&root.path).len())
        {
            picks.push(Pick { root, inner: chosen[parts(&root.path).len()..].to_vec() });
        }
        let below = roots.iter().filter(|root| parts(&root.path).starts_with(&chosen));
        let deeper = below.filter(|root| parts(&root.path).len() > chosen.len());
        picks.extend(deeper.map(|root| Pick { root, inner: Vec::new() }));
    } else if let [root] = roots.as_slice() {
        let named = !root.entry.is_dir() && chosen == [root.entry.name.as_slice()];
        picks.push(Pick { root, inner: if named { Vec::new() } else { chosen } });
    }
    if picks.len() == before { Err(no_path(record, path)) } else { Ok(()) }
}

fn place(
    reader: &ChunkReader,
    record: &SnapshotRecord,
    base: &mut Want,
    pick: &Pick<'_>,
    placing: Placing,
) -> Result<()> {
    let above = match placing {
        Placing::Content => Vec::new(),
        Placing::Named => {
            parts(&pick.root.path).split_off(parts(&pick.root.path).len().saturating_sub(1))
        }
        Placing::Absolute => parts(&pick.root.path),
    };
    let mut at = above.into_iter().fold(base, Want::below);
    let mut entry = pick.root.entry.clone();
    for name in &pick.inner {
        if at.whole {
            return Ok(());
        }
        let missing = || {
            no_path(record, &[&pick.root.path, b"/".as_slice(), &pick.inner.join(&b'/')].concat())
        };
        let Kind::Directory { tree, .. } = entry.kind else {
            return Err(missing());
        };
        at.entry.get_or_insert(entry);
        entry = reader.lookup(&tree, name)?.ok_or_else(missing)?;
        at = at.below(name);
    }
    at.entry.get_or_insert(entry);
    at.whole = true;
    Ok(())
}

/// A step of a walk.
#[derive(Debug)]
pub enum Step {
    /// A name; whoever enters it pushes its children.
    Visit(Box<Want>),
    /// A directory is done.
    Leave,
}

/// A walk through what is wanted: parents before children, siblings by name.
#[derive(Debug, Default)]
pub struct Walk {
    levels: Vec<std::vec::IntoIter<Want>>,
}

impl Walk {
    /// The next step; `None` after the last.
    pub fn step(&mut self) -> Option<Step> {
        match self.levels.last_mut()?.next() {
            Some(want) => Some(Step::Visit(Box::new(want))),
            None => {
                self.levels.pop();
                Some(Step::Leave)
            }
        }
    }

    /// Continues with these, then leaves.
    pub fn push(&mut self, children: Vec<Want>) {
        self.levels.push(children.into_iter());
    }
}

/// What is wanted in a directory, by name.
///
/// # Errors
/// If its tree cannot be read.
pub fn children(reader: &ChunkReader, want: &mut Want) -> Result<Vec<Want>> {
    let mut over = take(&mut want.over);
    let tree = match &want.entry {
        Some(Entry { kind: Kind::Directory { tree, .. }, .. }) if want.whole => tree,
        _ => return Ok(over.into_values().collect()),
    };
    let mut children = Vec::new();
    for entry in reader.entries(tree)? {
        children.push(match over.remove(&entry.name) {
            None => Want::whole(entry),
            Some(instead) if instead.entry.is_some() => instead,
            Some(way) => Want { over: way.over, ..Want::whole(entry) },
        });
    }
    if !over.is_empty() {
        children.extend(over.into_values());
        children.sort_by(|a, b| a.name.cmp(&b.name));
    }
    Ok(children)
}
