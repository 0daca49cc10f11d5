//! What a restore would do, name by name, found by comparing the snapshot with what is there. The plan is all that a
//! restore carries out, and printing it is the dry run.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{OFlags, readlinkat};
use rustix::io::Errno;

use super::content::is_same;
use super::dirs::{TEMP_PREFIX, open_dir, open_way};
use super::meta::{Owners, differs};
use super::spared::Spared;
use super::want::{Step, Walk, Want, children};
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::reader::ChunkReader;
use crate::source::fs::{list, open_quietly, stat_at, stat_open};
use crate::source::{FileType, Listing, Stat};
use crate::tree::{Entry, Kind};

/// What happens to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// It is as in the snapshot.
    Keep,
    /// It is not there.
    Create,
    /// Its content or type differs.
    Change,
    /// Only owner, permissions, attributes or time differ.
    Metadata,
    /// It is not in the snapshot, or was left by an interrupted restore.
    Delete,
}

/// A name and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanItem {
    /// Path below the base of the restore; empty for the base itself.
    pub path: Vec<u8>,
    /// What happens.
    pub action: Action,
}

/// A name in the plan: names lie one after another, parents by number.
#[derive(Debug, Clone, Copy)]
struct Node {
    parent: u32,
    name_len: u16,
    action: Action,
    name_at: usize,
}

/// How many names get which treatment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// As in the snapshot already.
    pub keep: u64,
    /// New.
    pub create: u64,
    /// Content or type differs.
    pub change: u64,
    /// Only metadata differs.
    pub metadata: u64,
    /// To be deleted.
    pub delete: u64,
}

/// What a restore will do.
#[derive(Debug, Default)]
pub struct RestorePlan {
    /// How many names get which treatment.
    pub tally: Tally,
    /// Bytes of the files that will be written.
    pub bytes_to_write: u64,
    /// Directories that cannot be restored whole, and why.
    pub errors: Vec<(Vec<u8>, String)>,
    /// Where the restore begins: paths of items are below it.
    pub base: PathBuf,
    nodes: Vec<Node>,
    names: Vec<u8>,
    /// Names that become hard links of an earlier name.
    pub(super) links: HashMap<u32, u32>,
    /// Directories whose tree cannot be read.
    pub(super) unreadable: HashSet<u32>,
}

impl RestorePlan {
    fn push(&mut self, parent: u32, name: &[u8], action: Action) -> u32 {
        let node = Node { parent, name_len: name.len() as u16, action, name_at: self.names.len() };
        self.names.extend_from_slice(name);
        self.nodes.push(node);
        (self.nodes.len() - 1) as u32
    }

    /// Number of names.
    pub(super) fn len(&self) -> u32 {
        self.nodes.len() as u32
    }

    /// The name of a node.
    pub(super) fn name(&self, node: u32) -> &[u8] {
        let node = self.nodes[node as usize];
        &self.names[node.name_at..node.name_at + usize::from(node.name_len)]
    }

    /// What happens to a node.
    pub(super) fn action(&self, node: u32) -> Action {
        self.nodes[node as usize].action
    }

    /// The directory of a node; the base is its own.
    pub(super) fn parent(&self, node: u32) -> u32 {
        self.nodes[node as usize].parent
    }

    /// The nodes from below the base down to this one.
    pub(super) fn chain(&self, node: u32) -> Vec<u32> {
        let mut chain = Vec::new();
        let mut at = node;
        while at != 0 {
            chain.push(at);
            at = self.parent(at);
        }
        chain.reverse();
        chain
    }

    /// The path of a node below the base.
    pub(super) fn path(&self, node: u32) -> Vec<u8> {
        let names: Vec<&[u8]> = self.chain(node).into_iter().map(|n| self.name(n)).collect();
        names.join(&b'/')
    }

    /// Everything, parents before what they hold.
    pub fn items(&self) -> impl Iterator<Item = PlanItem> + '_ {
        (0..self.len()).map(|node| PlanItem { path: self.path(node), action: self.action(node) })
    }

    fn count(&mut self) {
        let mut tally = Tally::default();
        for node in &self.nodes {
            *match node.action {
                Action::Keep => &mut tally.keep,
                Action::Create => &mut tally.create,
                Action::Change => &mut tally.change,
                Action::Metadata => &mut tally.metadata,
                Action::Delete => &mut tally.delete,
            } += 1;
        }
        self.tally = tally;
    }

    /// Refuses if something that exists would get other content or become another type.
    ///
    /// # Errors
    /// [`Error::WouldOverwrite`].
    pub fn refuse_overwriting(&self) -> Result<()> {
        match (0..self.len()).find(|node| self.action(*node) == Action::Change) {
            None => Ok(()),
            Some(node) => {
                let first = self.base.join(super::os_path(&self.path(node)));
                Err(Error::WouldOverwrite { first, count: self.tally.change })
            }
        }
    }
}

/// What a plan is made from.
pub struct Planning<'a> {
    /// Reads trees.
    pub reader: &'a ChunkReader,
    /// Who would own what.
    pub owners: &'a Owners,
    /// Whether names that the snapshot lacks go.
    pub delete_extra: bool,
    /// Whether everything in the base is this restore's own work, if perhaps of an earlier run.
    pub fresh: bool,
    /// How many files are compared at once.
    pub threads: usize,
    /// What is never deleted or replaced, whatever the snapshot lacks.
    pub spared: Spared<'a>,
    /// Who can stop it.
    pub monitor: &'a dyn Monitor,
}

/// A file whose content is to be compared.
struct Comparison {
    node: u32,
    dir: Arc<OwnedFd>,
    name: Vec<u8>,
    entry: Entry,
    stat: Stat,
}

/// What was found to differ: node, treatment, bytes to write.
type Found = Mutex<Vec<(u32, Action, u64)>>;

impl Planning<'_> {
    /// Compares what is wanted with what is in the open base, or with nothing.
    ///
    /// # Errors
    /// If what exists cannot be looked at, a way to something leads through what is no directory, or it is interrupted.
    pub fn plan(&self, want: Want, base: Option<OwnedFd>, path: &Path) -> Result<RestorePlan> {
        let (sender, receiver) = if self.threads == 0 {
            crossbeam_channel::unbounded::<Comparison>()
        } else {
            crossbeam_channel::bounded(64)
        };
        let found = Found::default();
        let planner = Planner {
            planning: self,
            plan: RestorePlan { base: path.to_path_buf(), ..RestorePlan::default() },
            levels: Vec::new(),
            leaders: HashMap::new(),
            claimed: HashMap::new(),
            sender,
            buffer: Vec::new(),
        };
        let plan = std::thread::scope(|scope| {
            for _ in 0..self.threads {
                let receiver = receiver.clone();
                scope.spawn(|| self.compare_all(receiver, &found));
            }
            let own = (self.threads == 0).then_some(receiver);
            let plan = planner.run(want, base);
            own.into_iter().for_each(|receiver| self.compare_all(receiver, &found));
            plan
        });
        let mut plan = plan?;
        if self.monitor.interrupted() {
            return Err(Error::Interrupted);
        }
        for (node, action, bytes) in found.into_inner().unwrap_or_else(PoisonError::into_inner) {
            plan.nodes[node as usize].action = action;
            plan.bytes_to_write += bytes;
        }
        plan.count();
        Ok(plan)
    }

    fn compare_all(&self, receiver: crossbeam_channel::Receiver<Comparison>, found: &Found) {
        let mut buffer = Vec::new();
        for c in receiver {
            if self.monitor.interrupted() {
                continue;
            }
            let action = self.compare(c.dir.as_fd(), &c.name, &c.entry, &c.stat, &mut buffer);
            if action != Action::Keep {
                let bytes = if action == Action::Change { c.entry.size() } else { 0 };
                found.lock().unwrap_or_else(PoisonError::into_inner).push((c.node, action, bytes));
            }
        }
    }

    /// What an existing name of the same type needs. One that cannot be read counts as different.
    fn compare(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
        stat: &Stat,
        buffer: &mut Vec<u8>,
    ) -> Action {
        if !self.same_content(dir, name, entry, stat, buffer).unwrap_or(false) {
            return Action::Change;
        }
        match differs(dir, name, entry, stat, self.owners) {
            Ok(false) => Action::Keep,
            Ok(true) | Err(_) => Action::Metadata,
        }
    }

    fn same_content(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
        stat: &Stat,
        buffer: &mut Vec<u8>,
    ) -> std::io::Result<bool> {
        match &entry.kind {
            Kind::File { size, hash, runs } => {
                if *size != stat.size {
                    return Ok(false);
                }
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
                let fd = open_quietly(dir, name, flags)?;
                let now = stat_open(fd.as_fd())?;
                Ok(now.file_type == FileType::File
                    && now.size == *size
                    && is_same(fd.as_fd(), runs, hash, self.reader.domain().file_hasher(), buffer)?)
            }
            Kind::Symlink { target } => Ok(readlinkat(dir, name, Vec::new())?.as_bytes() == target),
            Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
                Ok(stat.rdev == (*major, *minor))
            }
            Kind::Fifo | Kind::Socket | Kind::Directory { .. } => Ok(true),
        }
    }
}

/// Whether an entry is of a type.
fn is_type(entry: &Entry, file_type: FileType) -> bool {
    FileType::of(&entry.kind) == file_type
}

/// A directory that exists, and what is in it.
struct Existing {
    dir: Arc<OwnedFd>,
    /// All names; `None` where only single names are looked up.
    names: Option<HashMap<Vec<u8>, Stat>>,
}

impl Existing {
    fn stat(&self, name: &[u8]) -> rustix::io::Result<Option<Stat>> {
        if let Some(names) = &self.names {
            return Ok(names.get(name).copied());
        }
        match stat_at(self.dir.as_fd(), name) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

struct Level {
    node: u32,
    existing: Option<Existing>,
}

type Inode = (u64, u64);

/// The first name of a file that has several.
struct Leader {
    node: u32,
    /// Its inode, if it stays as it is.
    kept: Option<Inode>,
}

struct Planner<'a, 'p> {
    planning: &'a Planning<'p>,
    plan: RestorePlan,
    levels: Vec<Level>,
    leaders: HashMap<u64, Leader>,
    /// Kept inodes with several names: which name or link has them.
    claimed: HashMap<Inode, u32>,
    sender: crossbeam_channel::Sender<Comparison>,
    buffer: Vec<u8>,
}

impl Planner<'_, '_> {
    fn run(mut self, want: Want, base: Option<OwnedFd>) -> Result<RestorePlan> {
        let mut walk = Walk::default();
        self.base(want, base, &mut walk)?;
        while let Some(step) = walk.step() {
            match step {
                Step::Leave => {
                    self.levels.pop();
                }
                Step::Visit(_) if self.planning.monitor.interrupted() => {
                    return Err(Error::Interrupted);
                }
                Step::Visit(want) if want.is_dir() => self.directory(*want, &mut walk)?,
                Step::Visit(want) => self.leaf(*want)?,
            }
        }
        Ok(self.plan)
    }

    fn base(&mut self, want: Want, base: Option<OwnedFd>, walk: &mut Walk) -> Result<()> {
        let Some(fd) = base else {
            let node = self.plan.push(0, b"", Action::Create);
            self.enter(node, want, None, walk);
            return Ok(());
        };
        let action = if self.planning.fresh {
            Action::Create
        } else {
            self.directory_action(fd.as_fd(), b".", &want)?
        };
        let node = self.plan.push(0, b"", action);
        self.enter(node, want, Some(fd), walk);
        Ok(())
    }

    fn place(&self, name: &[u8]) -> PathBuf {
        let dir = self.levels.last().map_or_else(Vec::new, |level| self.plan.path(level.node));
        self.plan.base.join(super::os_path(&dir)).join(super::os_path(name))
    }

    fn stat(&self, name: &[u8]) -> Result<Option<Stat>> {
        let existing = self.levels.last().and_then(|level| level.existing.as_ref());
        let found = existing.map_or(Ok(None), |existing| existing.stat(name));
        found.map_err(|e| Error::file(self.place(name), "looking at what is there", e))
    }

    /// The open directory that is being walked, where one exists.
    fn here(&self) -> Option<&Arc<OwnedFd>> {
        Some(&self.levels.last()?.existing.as_ref()?.dir)
    }

    fn push(&mut self, name: &[u8], action: Action) -> u32 {
        let parent = self.levels.last().map_or(0, |level| level.node);
        self.plan.push(parent, name, action)
    }

    /// What an existing directory needs besides its content. One on the way only is nobody's business.
    fn directory_action(&self, dir: BorrowedFd<'_>, name: &[u8], want: &Want) -> Result<Action> {
        let wanted = want.entry.as_ref().filter(|_| want.whole || self.planning.fresh);
        let Some(entry) = wanted else {
            return Ok(Action::Keep);
        };
        let looked = stat_at(dir, name)
            .map_err(Into::into)
            .and_then(|stat| differs(dir, name, entry, &stat, self.planning.owners));
        let differs =
            looked.map_err(|e| Error::file(self.place(name), "looking at what is there", e))?;
        Ok(if differs { Action::Metadata } else { Action::Keep })
    }

    fn directory(&mut self, want: Want, walk: &mut Walk) -> Result<()> {
        let found = self.stat(&want.name)?;
        let dir = self.here().cloned();
        let (action, fd) = match (found, dir) {
            (Some(stat), Some(dir)) if stat.file_type == FileType::Directory => {
                let open = if want.whole { open_dir } else { open_way };
                let fd = open(dir.as_fd(), &want.name)
                    .map_err(|e| Error::file(self.place(&want.name), "opening the folder", e))?;
                (self.directory_action(dir.as_fd(), &want.name, &want)?, Some(fd))
            }
            // Whoever restores something below does not want what leads there replaced, be it a link to elsewhere.
            (Some(_), _) if !want.whole => {
                return Err(Error::file(
                    self.place(&want.name),
                    "restoring below it",
                    Errno::NOTDIR,
                ));
            }
            (Some(_), _) => (Action::Change, None),
            (None, _) => (Action::Create, None),
        };
        let node = self.push(&want.name, action);
        self.enter(node, want, fd, walk);
        Ok(())
    }

    fn enter(&mut self, node: u32, mut want: Want, fd: Option<OwnedFd>, walk: &mut Walk) {
        let names = match children(self.planning.reader, &mut want) {
            Ok(names) => names,
            Err(error) => return self.unreadable(node, &error.to_string()),
        };
        let existing = match fd.map(|fd| self.look(fd, node, &names, want.whole)).transpose() {
            Ok(existing) => existing,
            Err(error) => return self.unreadable(node, &format!("listing what is there: {error}")),
        };
        self.levels.push(Level { node, existing });
        walk.push(names);
    }

    fn unreadable(&mut self, node: u32, why: &str) {
        self.plan.unreadable.insert(node);
        self.plan.errors.push((self.plan.path(node), why.to_owned()));
    }

    /// Lists an existing directory and plans what goes.
    fn look(
        &mut self,
        fd: OwnedFd,
        node: u32,
        wanted: &[Want],
        whole: bool,
    ) -> std::io::Result<Existing> {
        let dir = Arc::new(fd);
        if !whole {
            return Ok(Existing { dir, names: None });
        }
        let Listing { mut items, unreadable } = list(dir.as_fd())?;
        if let Some((_, error)) = unreadable.into_iter().next() {
            return Err(error);
        }
        items.sort_by(|a, b| a.name.cmp(&b.name));
        for item in &items {
            let extra = wanted.binary_search_by(|want| want.name.cmp(&item.name)).is_err();
            if extra && self.goes(node, &item.name, &item.stat) {
                self.plan.push(node, &item.name, Action::Delete);
            }
        }
        Ok(Existing {
            dir,
            names: Some(items.into_iter().map(|item| (item.name, item.stat)).collect()),
        })
    }

    /// Whether a name that the snapshot lacks is deleted.
    fn goes(&self, folder: u32, name: &[u8], stat: &Stat) -> bool {
        if name.starts_with(TEMP_PREFIX) || self.planning.fresh {
            return true;
        }
        if !self.planning.delete_extra {
            return false;
        }
        let folder = self.plan.path(folder);
        let path = if folder.is_empty() {
            name.to_vec()
        } else {
            [&folder, b"/".as_slice(), name].concat()
        };
        if self.planning.spared.holds(stat) {
            let path = self.plan.base.join(super::os_path(&path));
            let text = format!("{} stays: the repository or its keys are there", path.display());
            self.planning.monitor.note(&text);
            return false;
        }
        !self.planning.spared.left_out(&path, name)
    }

    /// Refuses to replace a folder that the repository or its keys are in.
    fn guard(&self, name: &[u8], stat: &Stat) -> Result<()> {
        let replaced = stat.file_type == FileType::Directory && !self.planning.fresh;
        if replaced && self.planning.spared.holds(stat) {
            let what = "replacing the folder that the repository or its keys are in";
            return Err(Error::file(self.place(name), what, Errno::BUSY));
        }
        Ok(())
    }

    fn leaf(&mut self, want: Want) -> Result<()> {
        let found = self.stat(&want.name)?;
        if let Some(stat) = &found {
            self.guard(&want.name, stat)?;
        }
        let Some(entry) = want.entry else {
            return Ok(());
        };
        if let Some(link) = entry.link {
            self.linked(link, &want.name, &entry, found);
            return Ok(());
        }
        let Some(stat) = found.filter(|stat| is_type(&entry, stat.file_type)) else {
            let action = if found.is_some() { Action::Change } else { Action::Create };
            self.push(&want.name, action);
            self.plan.bytes_to_write += entry.size();
            return Ok(());
        };
        let Some(dir) = self.here().cloned() else {
            return Ok(());
        };
        let reads = stat.file_type == FileType::File && stat.size == entry.size() && stat.size > 0;
        if reads && stat.nlink == 1 {
            let node = self.push(&want.name, Action::Keep);
            let comparison = Comparison { node, dir, name: want.name, entry, stat };
            // The other end is gone only after a panic, which the scope passes on.
            let _ = self.sender.send(comparison);
        } else {
            self.compare_now(&want.name, &entry, &stat);
        }
        Ok(())
    }

    /// Compares at once, because what follows depends on it. Gives the inode if it stays.
    fn compare_now(&mut self, name: &[u8], entry: &Entry, stat: &Stat) -> Option<Inode> {
        let dir = self.here().cloned()?;
        let mut action = self.planning.compare(dir.as_fd(), name, entry, stat, &mut self.buffer);
        let inode = (stat.dev, stat.ino);
        let next = self.plan.len();
        // Two names that are one file here are two in the snapshot.
        if action != Action::Change
            && stat.nlink > 1
            && *self.claimed.entry(inode).or_insert(next) != next
        {
            action = Action::Change;
        }
        self.push(name, action);
        if action == Action::Change {
            self.plan.bytes_to_write += entry.size();
            return None;
        }
        Some(inode)
    }

    /// A name of a file that may have several: the first is restored, the others become links to it.
    fn linked(&mut self, link: u64, name: &[u8], entry: &Entry, found: Option<Stat>) {
        if let Some(leader) = self.leaders.get(&link) {
            let same = found.is_some_and(|stat| leader.kept == Some((stat.dev, stat.ino)));
            let leader = leader.node;
            let action = match found {
                _ if same => Action::Keep,
                Some(_) => Action::Change,
                None => Action::Create,
            };
            let node = self.push(name, action);
            if !same {
                self.plan.links.insert(node, leader);
            }
            return;
        }
        let node = self.plan.len();
        let kept = match found {
            Some(stat) if is_type(entry, stat.file_type) => self.compare_now(name, entry, &stat),
            other => {
                self.push(name, if other.is_some() { Action::Change } else { Action::Create });
                self.plan.bytes_to_write += entry.size();
                None
            }
        };
        self.leaders.insert(link, Leader { node, kept });
    }
}
