//! What an object database holds: counted by its headers, or read whole, with every hash taken again and every link followed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use gix_hash::ObjectId;
use gix_object::{CommitRefIter, Exists, Find, Kind, TagRefIter, TreeRefIter};
use gix_odb::HeaderExt;
use gix_odb::store::iter::{AllObjects, Ordering};

use super::refs::Tips;
use crate::position::Position;

/// Git's older hash function: repositories with the newer one are refused before.
const SHA1: gix_hash::Kind = gix_hash::Kind::Sha1;
/// How much of what deltas build on is kept while packs are read, in bytes.
const BASES: usize = 64 * 1024 * 1024;

/// An object database.
pub(super) struct Contents {
    handle: gix_odb::Handle,
    folder: PathBuf,
}

/// How many objects of each type there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub blobs: u64,
    pub trees: u64,
    pub commits: u64,
    pub tags: u64,
}

/// Faults: the first in words, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Faults {
    pub first: Option<String>,
    pub number: u64,
}

impl Contents {
    /// Opens the folder `objects`, with what it borrows from others.
    pub fn open(folder: &Path) -> Result<Self, String> {
        let options = gix_odb::store::init::Options {
            use_multi_pack_index: false,
            current_dir: Some(folder.to_owned()),
            ..Default::default()
        };
        let mut handle = gix_odb::at_opts(folder, SHA1, None, options).map_err(words)?;
        handle.set_pack_cache(|| Box::new(gix_pack::cache::lru::MemoryCappedHashmap::new(BASES)));
        handle.refresh_never();
        Ok(Self { handle, folder: folder.to_owned() })
    }

    /// Refs whose object is not there.
    pub fn missing<'a>(&self, tips: &'a Tips) -> Vec<(&'a str, ObjectId)> {
        let missing = tips.iter().filter(|(_, id)| !self.handle.exists(id));
        missing.map(|(name, id)| (name.as_str(), *id)).collect()
    }

    /// Counts objects by their headers. What cannot be read is a fault.
    pub fn count(&self) -> Result<(Counts, Faults), String> {
        let mut counts = Counts::default();
        let mut faults = Faults::default();
        self.each(|id| match self.handle.header(id) {
            Ok(header) => counts.add(header.kind()),
            Err(error) => faults.add(format!("object {id} cannot be read: {error}")),
        })?;
        Ok((counts, faults))
    }

    /// Reads every object and takes its hash again.
    pub fn check(&self) -> Result<(Counts, Faults), String> {
        let mut counts = Counts::default();
        let mut faults = Faults::default();
        let mut buffer = Vec::new();
        self.each(|id| match self.check_one(id, &mut buffer) {
            Ok(kind) => counts.add(kind),
            Err(reason) => faults.add(format!("object {id} {reason}")),
        })?;
        Ok((counts, faults))
    }

    fn check_one(&self, id: ObjectId, buffer: &mut Vec<u8>) -> Result<Kind, String> {
        let found = self.handle.try_find(&id, buffer).map_err(words)?;
        let object = found.ok_or("is in an index but not in its pack")?;
        let hash = gix_object::compute_hash(SHA1, object.kind, object.data).map_err(words)?;
        if hash == id { Ok(object.kind) } else { Err(format!("is damaged: it hashes to {hash}")) }
    }

    /// Visits each object once.
    fn each(&self, mut visit: impl FnMut(ObjectId)) -> Result<(), String> {
        let order = Ordering::PackAscendingOffsetThenLooseLexicographical;
        let mut seen = HashSet::new();
        let objects = AllObjects::new(self.handle.store_ref()).map_err(|error| {
            format!("the packs in {} cannot be listed: {error}", self.folder.display())
        })?;
        for id in objects.with_ordering(order) {
            let id = id.map_err(words)?;
            if seen.insert(id) {
                visit(id);
            }
        }
        Ok(())
    }

    /// Follows tags, commits and trees from the refs; commits in `ends` have no parents here.
    pub fn reach(&self, tips: &Tips, ends: &HashSet<ObjectId>) -> (Counts, Faults) {
        let mut walk = Walk::new(tips, ends);
        let mut buffer = Vec::new();
        while let Some((id, whence)) = walk.waiting.pop() {
            match self.handle.try_find(&id, &mut buffer) {
                Ok(Some(object)) => walk.follow(id, object.kind, object.data, &self.handle),
                Ok(None) => walk.faults.add(format!("object {id} is missing, named by {whence}")),
                Err(error) => walk.faults.add(format!("object {id} cannot be read: {error}")),
            }
        }
        (walk.counts, walk.faults)
    }
}

/// A walk along links between objects.
struct Walk<'a> {
    ends: &'a HashSet<ObjectId>,
    seen: HashSet<ObjectId>,
    /// Objects to read and, for the first fault, who names them.
    waiting: Vec<(ObjectId, Whence)>,
    counts: Counts,
    faults: Faults,
}

/// Who names an object.
#[derive(Debug, Clone, Copy)]
enum Whence {
    Ref,
    Object(ObjectId),
}

impl std::fmt::Display for Whence {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ref => formatter.write_str("a ref"),
            Self::Object(id) => write!(formatter, "{id}"),
        }
    }
}

impl<'a> Walk<'a> {
    fn new(tips: &Tips, ends: &'a HashSet<ObjectId>) -> Self {
        let seen: HashSet<ObjectId> = tips.values().copied().collect();
        let waiting = seen.iter().map(|&id| (id, Whence::Ref)).collect();
        Self { ends, seen, waiting, counts: Counts::default(), faults: Faults::default() }
    }

    fn follow(&mut self, id: ObjectId, kind: Kind, data: &[u8], handle: &gix_odb::Handle) {
        self.counts.add(kind);
        let followed = match kind {
            Kind::Blob => Ok(()),
            Kind::Commit => self.follow_commit(id, data),
            Kind::Tag => self.follow_tag(id, data),
            Kind::Tree => self.follow_tree(id, data, handle),
        };
        if let Err(reason) = followed {
            self.faults.add(format!("{kind} {id} cannot be read: {reason}"));
        }
    }

    fn follow_commit(&mut self, id: ObjectId, data: &[u8]) -> Result<(), String> {
        let tree = CommitRefIter::from_bytes(data, SHA1).tree_id().map_err(words)?;
        self.expect(tree, id);
        if !self.ends.contains(&id) {
            for parent in CommitRefIter::from_bytes(data, SHA1).parent_ids() {
                self.expect(parent, id);
            }
        }
        Ok(())
    }

    fn follow_tag(&mut self, id: ObjectId, data: &[u8]) -> Result<(), String> {
        let target = TagRefIter::from_bytes(data, SHA1).target_id().map_err(words)?;
        self.expect(target, id);
        Ok(())
    }

    /// Blobs are not read again, only looked for. A submodule's commit belongs to another repository.
    fn follow_tree(
        &mut self,
        id: ObjectId,
        data: &[u8],
        handle: &gix_odb::Handle,
    ) -> Result<(), String> {
        for entry in TreeRefIter::from_bytes(data, SHA1) {
            let entry = entry.map_err(words)?;
            let child = entry.oid.to_owned();
            if entry.mode.is_tree() {
                self.expect(child, id);
            } else if !entry.mode.is_commit() && self.seen.insert(child) {
                if handle.exists(&child) {
                    self.counts.add(Kind::Blob);
                } else {
                    self.faults.add(format!("blob {child} is missing, named by tree {id}"));
                }
            }
        }
        Ok(())
    }

    fn expect(&mut self, id: ObjectId, whence: ObjectId) {
        if self.seen.insert(id) {
            self.waiting.push((id, Whence::Object(whence)));
        }
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.blobs += other.blobs;
        self.trees += other.trees;
        self.commits += other.commits;
        self.tags += other.tags;
    }
}

impl Counts {
    fn add(&mut self, kind: Kind) {
        *match kind {
            Kind::Blob => &mut self.blobs,
            Kind::Tree => &mut self.trees,
            Kind::Commit => &mut self.commits,
            Kind::Tag => &mut self.tags,
        } += 1;
    }

    /// Of all types.
    pub fn objects(&self) -> u64 {
        self.blobs + self.trees + self.commits + self.tags
    }

    /// Counts them into a position.
    pub fn tell(&self, position: &mut Position) {
        let Self { blobs, trees, commits, tags } = *self;
        for (name, number) in
            [("blobs", blobs), ("trees", trees), ("commits", commits), ("tags", tags)]
        {
            position.count(name, number);
        }
    }
}

impl Faults {
    fn add(&mut self, text: String) {
        self.number += 1;
        self.first.get_or_insert(text);
    }

    /// The first, and how many more there are.
    pub fn text(&self) -> Option<String> {
        let first = self.first.as_ref()?;
        Some(match self.number.saturating_sub(1) {
            0 => first.clone(),
            others => format!("{first}; and {others} more"),
        })
    }
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}
