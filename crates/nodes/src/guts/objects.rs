//! Git objects in Guts' own object store: counted, hashed again, and followed from the references.
//!
//! Its column family `objects` has twenty bytes of SHA-1 as key; the value is one byte of type, as packs number them, and the content. In `refs`
//! a name points to twenty bytes. What comes before `refs/` or `HEAD` in a name is the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

use crate::error::Result;
use crate::kind::lsm::{self, read::Database};
use crate::kind::{Outcome, Verified};

/// How many faults are told apart; the rest is counted.
const FAULTS_TOLD: usize = 5;

/// The SHA-1 of an object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectId([u8; 20]);

/// What a key holds.
pub type Pair = Result<(Vec<u8>, Vec<u8>)>;

/// What is in an object store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Objects {
    /// Files.
    pub blobs: u64,
    /// Folders.
    pub trees: u64,
    /// Commits.
    pub commits: u64,
    /// Annotated tags.
    pub tags: u64,
    /// References.
    pub references: u64,
    /// Repositories, told by the names of references.
    pub repositories: u64,
    /// Objects that no reference leads to: not wrong, and not needed.
    pub unreachable: u64,
    /// What is wrong: the first few, then how many more.
    pub faults: Vec<String>,
    /// Objects that are named by others and are not there.
    pub missing: u64,
}

/// Counts and checks what is in a copy of the object store.
///
/// # Errors
/// If it is no such store, or damaged.
pub fn in_store(path: &Path) -> Result<Objects> {
    let store = Database::open(path)?;
    let plain =
        |pair: Result<lsm::read::Pair>| pair.map(|pair| (pair.key, pair.value.into_bytes()));
    count(store.pairs("objects")?.map(plain), store.pairs("refs")?.map(plain))
}

/// Counts and checks what is in an object store. It remembers 20 bytes for every link between objects.
///
/// # Errors
/// If the store cannot be read to its end.
pub fn count(
    objects: impl IntoIterator<Item = Pair>,
    references: impl IntoIterator<Item = Pair>,
) -> Result<Objects> {
    let mut found = Objects::default();
    let mut links = BTreeMap::new();
    let mut faults = Faults::default();
    for pair in objects {
        let (key, value) = pair?;
        match found.take(&key, &value) {
            Ok((id, named)) => {
                links.insert(id, named);
            }
            Err(reason) => faults.add(reason),
        }
    }
    let starts = found.references(references, &mut faults)?;
    found.follow(&links, starts, &mut faults);
    found.faults = faults.told();
    Ok(found)
}

impl Objects {
    /// An object's id and the objects that it names.
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(ObjectId, Vec<ObjectId>), String> {
        let id = ObjectId::of(key)
            .ok_or_else(|| format!("a key of {} bytes is no object id", key.len()))?;
        let (kind, content) = value.split_first().ok_or_else(|| format!("{id} is empty"))?;
        let (word, named, counter) = match kind {
            1 => ("commit", in_header(content, &["tree", "parent"]), &mut self.commits),
            2 => ("tree", in_tree(content), &mut self.trees),
            3 => ("blob", Some(Vec::new()), &mut self.blobs),
            4 => ("tag", in_header(content, &["object"]), &mut self.tags),
            other => return Err(format!("{id} has the unknown type {other}")),
        };
        *counter += 1;
        let hashed = hash(word, content);
        if hashed != id {
            return Err(format!("{word} {id} hashes to {hashed}"));
        }
        let named = named.ok_or_else(|| format!("{word} {id} cannot be understood"))?;
        Ok((id, named))
    }

    fn references(
        &mut self,
        pairs: impl IntoIterator<Item = Pair>,
        faults: &mut Faults,
    ) -> Result<Vec<ObjectId>> {
        let mut starts = Vec::new();
        let mut repositories = BTreeSet::new();
        for pair in pairs {
            let (name, target) = pair?;
            let name = String::from_utf8_lossy(&name).into_owned();
            self.references += 1;
            repositories.insert(repository(&name).to_owned());
            match ObjectId::of(&target) {
                Some(id) => starts.push(id),
                None => faults.add(format!("reference {name} points to {} bytes", target.len())),
            }
        }
        self.repositories = repositories.len() as u64;
        Ok(starts)
    }

    fn follow(
        &mut self,
        links: &BTreeMap<ObjectId, Vec<ObjectId>>,
        starts: Vec<ObjectId>,
        faults: &mut Faults,
    ) {
        let mut seen = BTreeSet::new();
        let mut left = starts;
        while let Some(id) = left.pop() {
            if !seen.insert(id) {
                continue;
            }
            match links.get(&id) {
                Some(named) => left.extend(named),
                None => {
                    self.missing += 1;
                    faults.add(format!("{id} is named and not there, or is damaged"));
                }
            }
        }
        self.unreachable = links.keys().filter(|id| !seen.contains(id)).count() as u64;
    }

    /// Adds what was found to a report.
    pub fn judge(&self, verified: &mut Verified) {
        let position = &mut verified.position;
        for (name, number) in [
            ("blobs", self.blobs),
            ("trees", self.trees),
            ("commits", self.commits),
            ("tags", self.tags),
            ("repositories", self.repositories),
        ] {
            position.count(name, number);
        }
        let outcome = if self.faults.is_empty() { Outcome::Passed } else { Outcome::Failed };
        let detail = if self.faults.is_empty() { self.to_string() } else { self.faults.join("; ") };
        verified.check("git objects", outcome, detail);
    }
}

impl fmt::Display for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { blobs, trees, commits, repositories, unreachable, .. } = self;
        write!(
            f,
            "{blobs} blobs, {trees} trees, {commits} commits; {repositories} repositories; {unreachable} objects that no reference needs"
        )
    }
}

/// `owner/name` of `owner/name/refs/heads/main`; empty where the store has one repository.
fn repository(name: &str) -> &str {
    let at = ["refs/", "HEAD"].iter().filter_map(|part| name.find(part)).min();
    name[..at.unwrap_or(0)].trim_end_matches('/')
}

/// Ids after these words, in the lines before the first empty one.
fn in_header(content: &[u8], words: &[&str]) -> Option<Vec<ObjectId>> {
    let mut named = Vec::new();
    for line in content.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty()) {
        let line = std::str::from_utf8(line).unwrap_or_default();
        if let Some((word, id)) = line.split_once(' ')
            && words.contains(&word)
        {
            named.push(ObjectId::parse(id)?);
        }
    }
    (!named.is_empty()).then_some(named)
}

/// Ids of a tree's entries, but for commits of other repositories.
fn in_tree(mut content: &[u8]) -> Option<Vec<ObjectId>> {
    let mut named = Vec::new();
    while !content.is_empty() {
        let end = content.iter().position(|byte| *byte == 0)?;
        let (entry, rest) = content.split_at(end);
        let id = ObjectId::of(rest.get(1..21)?)?;
        if !entry.starts_with(b"160000 ") {
            named.push(id);
        }
        content = &rest[21..];
    }
    Some(named)
}

fn hash(word: &str, content: &[u8]) -> ObjectId {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(format!("{word} {}\0", content.len()).as_bytes());
    context.update(content);
    ObjectId::of(context.finish().as_ref()).unwrap_or(ObjectId([0; 20]))
}

impl ObjectId {
    fn of(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    fn parse(text: &str) -> Option<Self> {
        let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
        let digits = digits.filter(|digits| digits.len() == 40)?;
        let bytes = digits.chunks_exact(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]));
        Self::of(&bytes.collect::<Result<Vec<u8>, _>>().ok()?)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Default)]
struct Faults {
    first: Vec<String>,
    more: u64,
}

impl Faults {
    fn add(&mut self, fault: String) {
        if self.first.len() < FAULTS_TOLD {
            self.first.push(fault);
        } else {
            self.more += 1;
        }
    }

    fn told(mut self) -> Vec<String> {
        if self.more > 0 {
            self.first.push(format!("and {} more", self.more));
        }
        self.first
    }
}
