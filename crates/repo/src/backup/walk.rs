//! The walk: one thread lists and looks at everything, passes over what the cache knows unchanged, and hands the rest to the readers.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::io;
use std::sync::Arc;

use crate::backup::cache::{Block, Encoded, RACY, Signature, is_racy, signature};
use crate::backup::content::{FileJob, GROUP_MARKED, GROUP_MAX, GROUP_MIN, SMALL};
use crate::backup::filter::Matcher;
use crate::backup::node::{DirNode, Slot, encode, entry_of, join};
use crate::backup::{Job, Work};
use crate::codec::Compressor;
use crate::crypto::keyed;
use crate::error::{Error, Result};
use crate::source::{Details, Directory, FileType, Item, Root};
use crate::tree::{Entry, Kind, Run};
use crate::wire::Decoder;

/// A file with several names.
pub(super) enum Linked {
    /// Its content is being read; these names wait.
    Reading(Vec<(Slot, Vec<u8>)>),
    /// It was read.
    Done(Box<Entry>, Signature),
    /// It could not be read.
    Lost,
}

/// Names of directories still to be walked, innermost last.
struct Frame {
    node: Arc<DirNode>,
    directory: Arc<dyn Directory>,
    block: Arc<Block>,
    below: std::vec::IntoIter<(usize, Item)>,
    root_len: usize,
    dev: u64,
}

/// Counts of the walk.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Walked {
    pub(super) files: u64,
    pub(super) dirs: u64,
    pub(super) new: u64,
    pub(super) changed: u64,
    pub(super) unmodified: u64,
    pub(super) bytes_to_read: u64,
}

/// The walking thread.
pub(super) struct Walker<'w, 'a> {
    work: &'w Work<'a>,
    matcher: &'w Matcher,
    compressor: Compressor,
    group: Vec<FileJob>,
    group_bytes: u64,
    groups: u64,
    pub(super) walked: Walked,
    pub(super) uids: std::collections::BTreeSet<u32>,
    pub(super) gids: std::collections::BTreeSet<u32>,
}

impl<'w, 'a> Walker<'w, 'a> {
    pub(super) fn new(work: &'w Work<'a>, matcher: &'w Matcher) -> Self {
        Self {
            work,
            matcher,
            compressor: work.sink.compressor(),
            group: Vec::new(),
            group_bytes: 0,
            groups: 0,
            walked: Walked::default(),
            uids: Default::default(),
            gids: Default::default(),
        }
    }

    /// Walks every root; its entry goes to the slot of its number.
    pub(super) fn walk(&mut self, roots: Vec<Root>, list: &Arc<DirNode>) -> Result<()> {
        for (at, root) in roots.into_iter().enumerate() {
            let slot = Slot { node: list.clone(), at };
            self.owners(&root.item);
            match root.directory.clone() {
                Some(directory) => self.walk_directory(&root, directory, slot)?,
                None => self.single(root, slot)?,
            }
            self.flush_group();
        }
        self.work.handed_out(list.clone(), &mut self.compressor)
    }

    fn owners(&mut self, item: &Item) {
        self.uids.insert(item.stat.uid);
        self.gids.insert(item.stat.gid);
    }

    /// A root that is no directory.
    fn single(&mut self, root: Root, slot: Slot) -> Result<()> {
        let block = self.work.block(&crate::backup::single_root_key(&root.path));
        self.item(&root.parent, root.item, slot, &block)
    }

    fn walk_directory(
        &mut self,
        root: &Root,
        directory: Arc<dyn Directory>,
        slot: Slot,
    ) -> Result<()> {
        let details = root.parent.details(&root.item).unwrap_or_default();
        let own = entry_of(&root.item, details, directory_kind());
        let place = (root.path.clone(), root.path.len(), root.item.stat.dev);
        let mut stack = Vec::new();
        self.enter(directory, place, slot, (own, RACY), &mut stack)?;
        while let Some(frame) = stack.last_mut() {
            if self.work.stopped() {
                return Err(Error::Interrupted);
            }
            match frame.below.next() {
                Some((at, item)) => self.step_into(at, item, &mut stack)?,
                None => {
                    stack.pop();
                }
            }
        }
        Ok(())
    }

    /// Walks a directory that was listed in the innermost one.
    fn step_into(&mut self, at: usize, item: Item, stack: &mut Vec<Frame>) -> Result<()> {
        let Some(frame) = stack.last() else {
            return Ok(());
        };
        let path = join(&frame.node.path, &item.name);
        let slot = Slot { node: frame.node.clone(), at };
        let (directory, block, root_len, dev) =
            (frame.directory.clone(), frame.block.clone(), frame.root_len, frame.dev);
        let own = self.own_entry(directory.as_ref(), &item, &block);
        let foreign = self.matcher.one_file_system() && item.stat.dev != dev;
        let entered = own.and_then(|own| {
            Ok((own, if foreign { None } else { Some(directory.enter(&item.name)?) }))
        });
        match entered {
            Ok((own, Some(inner))) => self.enter(inner, (path, root_len, dev), slot, own, stack),
            Ok((own, None)) => self.empty(path, slot, own),
            Err(error) => self.unreadable(path, slot, &error),
        }
    }

    /// A mount point that is not crossed: kept, empty.
    fn empty(&mut self, path: Vec<u8>, slot: Slot, own: (Entry, Signature)) -> Result<()> {
        self.walked.dirs += 1;
        let node = DirNode::directory(path, slot, own, None, 0);
        self.work.handed_out(node, &mut self.compressor)
    }

    fn unreadable(&mut self, path: Vec<u8>, slot: Slot, error: &io::Error) -> Result<()> {
        if error.kind() == io::ErrorKind::NotFound {
            self.work.notice(path, "vanished before it was read".to_owned());
        } else {
            self.work.problem(path, error.to_string());
        }
        self.work.fill(slot, None, &mut self.compressor)
    }

    /// A directory's own entry; attributes are looked at only if it changed.
    fn own_entry(
        &self,
        parent: &dyn Directory,
        item: &Item,
        block: &Block,
    ) -> io::Result<(Entry, Signature)> {
        let now = signature(&item.stat);
        let known = block.get(&item.name).filter(|c| c.signature == now);
        let xattrs =
            known.and_then(|c| Entry::decode(&mut Decoder::new(c.encoded)).ok()).map(|e| e.xattrs);
        let details = match xattrs {
            Some(xattrs) => Details { xattrs, target: Vec::new() },
            None => parent.details(item)?,
        };
        let trusted = if is_racy(&item.stat, self.work.began_ns) { RACY } else { now };
        Ok((entry_of(item, details, directory_kind()), trusted))
    }

    fn enter(
        &mut self,
        directory: Arc<dyn Directory>,
        (path, root_len, dev): (Vec<u8>, usize, u64),
        slot: Slot,
        own: (Entry, Signature),
        stack: &mut Vec<Frame>,
    ) -> Result<()> {
        let listing = match directory.list() {
            Ok(listing) => listing,
            Err(error) => return self.unreadable(path, slot, &error),
        };
        self.work.monitor.path(&path);
        for (name, error) in &listing.unreadable {
            self.work.problem(join(&path, name), error.to_string());
        }
        let mut items = listing.items;
        if self.matcher.marked(items.iter().map(|i| i.name.as_slice())) {
            return self.work.fill(slot, None, &mut self.compressor);
        }
        if !self.matcher.is_empty() {
            items.retain(|i| !self.matcher.excludes(&i.name, &join(&path, &i.name), root_len));
        }
        items.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        self.walked.dirs += 1;
        let block = self.work.block(&path);
        let node = DirNode::directory(path, slot, own, block.tree, items.len());
        let below = self.hand_out(&directory, &node, items, &block)?;
        stack.push(Frame {
            node,
            directory,
            block: Arc::new(block),
            below: below.into_iter(),
            root_len,
            dev,
        });
        Ok(())
    }

    /// Handles all names but directories, which are returned.
    fn hand_out(
        &mut self,
        directory: &Arc<dyn Directory>,
        node: &Arc<DirNode>,
        items: Vec<Item>,
        block: &Block,
    ) -> Result<Vec<(usize, Item)>> {
        let mut below = Vec::new();
        for (at, item) in items.into_iter().enumerate() {
            self.owners(&item);
            if item.stat.file_type == FileType::Directory {
                below.push((at, item));
            } else {
                self.item(directory, item, Slot { node: node.clone(), at }, block)?;
            }
        }
        self.work.handed_out(node.clone(), &mut self.compressor)?;
        Ok(below)
    }

    fn item(
        &mut self,
        directory: &Arc<dyn Directory>,
        item: Item,
        slot: Slot,
        block: &Block,
    ) -> Result<()> {
        self.walked.files += 1;
        self.work.monitor.plan(1, item.stat.size);
        let cached = block.get(&item.name);
        match cached {
            None => self.walked.new += 1,
            Some(c) if c.signature != signature(&item.stat) => self.walked.changed += 1,
            Some(c) => {
                if let Some(entry) = self.work.reuse(c, &item)? {
                    self.walked.unmodified += 1;
                    self.work.monitor.advance(1, item.stat.size);
                    return self.work.fill(slot, Some(entry), &mut self.compressor);
                }
                self.walked.changed += 1;
            }
        }
        let before = cached.filter(|_| self.work.cache_is_live);
        let before = before.and_then(|c| Entry::decode(&mut Decoder::new(c.encoded)).ok());
        let job = FileJob { dir: directory.clone(), item, slot, before: before.map(Box::new) };
        self.changed(job)
    }

    fn changed(&mut self, job: FileJob) -> Result<()> {
        let item = &job.item;
        if item.stat.nlink > 1 && item.stat.ino != 0 && self.linked(item, &job.slot)? {
            return Ok(());
        }
        if item.stat.file_type != FileType::File {
            return self.plain(job);
        }
        self.walked.bytes_to_read += item.stat.size;
        let (size, mark) = (item.stat.size, self.work.running.repo.domain().name_mark(&item.name));
        if size >= SMALL {
            self.work.queue.push(Job::Large(job));
            return Ok(());
        }
        self.group.push(job);
        self.group_bytes += size;
        if self.group_bytes >= GROUP_MAX
            || (self.group_bytes >= GROUP_MIN && mark % GROUP_MARKED == 0)
        {
            self.flush_group();
        }
        Ok(())
    }

    fn flush_group(&mut self) {
        if !self.group.is_empty() {
            self.work.queue.push(Job::Group(self.groups, std::mem::take(&mut self.group)));
            self.groups += 1;
            self.group_bytes = 0;
        }
    }

    fn plain(&mut self, job: FileJob) -> Result<()> {
        let FileJob { dir, item, slot, .. } = &job;
        match self.work.plain_entry(dir.as_ref(), item) {
            Ok(entry) => {
                let racy = is_racy(&item.stat, self.work.began_ns);
                let trusted = if racy { RACY } else { signature(&item.stat) };
                self.work.finish_file(slot.clone(), item, entry, trusted, &mut self.compressor)
            }
            Err(error) => self.work.lost(job, &error),
        }
    }

    /// Another name of a file that was met before: whether it is taken care of.
    fn linked(&mut self, item: &Item, slot: &Slot) -> Result<bool> {
        let known = {
            let mut links = self.work.links();
            match links.entry((item.stat.dev, item.stat.ino)) {
                MapEntry::Vacant(vacant) => {
                    vacant.insert(Linked::Reading(Vec::new()));
                    return Ok(false);
                }
                MapEntry::Occupied(mut known) => match known.get_mut() {
                    Linked::Reading(waiting) => {
                        waiting.push((slot.clone(), item.name.clone()));
                        return Ok(true);
                    }
                    Linked::Done(entry, signature) => Some((entry.as_ref().clone(), *signature)),
                    Linked::Lost => None,
                },
            }
        };
        self.work.monitor.advance(1, 0);
        match known {
            Some((mut entry, signature)) => {
                entry.name = item.name.clone();
                self.work.fill(
                    slot.clone(),
                    Some(encode(&entry, signature)),
                    &mut self.compressor,
                )?;
            }
            None => {
                self.work
                    .problem(slot.path(&item.name), "its other name could not be read".to_owned());
                self.work.fill(slot.clone(), None, &mut self.compressor)?;
            }
        }
        Ok(true)
    }
}

fn directory_kind() -> Kind {
    Kind::Directory { tree: crate::id::ChunkId([0; 32]), files: 0, bytes: 0 }
}

impl Work<'_> {
    fn links(&self) -> std::sync::MutexGuard<'_, HashMap<(u64, u64), Linked>> {
        self.links.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Ends the reading of a file with several names (`entry` absent: it failed); returns the names that wait for it.
    pub(super) fn resolve_link(
        &self,
        item: &Item,
        entry: Option<&mut Entry>,
        signature: Signature,
    ) -> Vec<(Slot, Vec<u8>)> {
        if item.stat.nlink <= 1 || item.stat.ino == 0 {
            return Vec::new();
        }
        let ended = match entry {
            Some(entry) => {
                entry.link = Some(self.link_number(item));
                Linked::Done(Box::new(entry.clone()), signature)
            }
            None => Linked::Lost,
        };
        match self.links().insert((item.stat.dev, item.stat.ino), ended) {
            Some(Linked::Reading(waiting)) => waiting,
            _ => Vec::new(),
        }
    }

    /// Keyed, so that inode numbers stay on the machine; the same in every snapshot while the file stays where it is.
    fn link_number(&self, item: &Item) -> u64 {
        let place = [item.stat.dev.to_le_bytes(), item.stat.ino.to_le_bytes()].concat();
        let hash = keyed(self.running.repo.domain().name_key(), &place);
        let mut eight = [0; 8];
        eight.copy_from_slice(&hash[..8]);
        u64::from_le_bytes(eight)
    }

    /// The cached entry, if it can be used as it is: its snapshot lives, or everything it points to is there.
    fn reuse(
        &self,
        cached: crate::backup::cache::Cached<'_>,
        item: &Item,
    ) -> Result<Option<Encoded>> {
        if !self.cache_is_live && !self.all_there(cached.encoded)? {
            return Ok(None);
        }
        let signature = signature(&item.stat);
        let size = if item.stat.file_type == FileType::File { item.stat.size } else { 0 };
        Ok(Some(Encoded { signature, bytes: cached.encoded.to_vec(), files: 1, size }))
    }

    fn all_there(&self, encoded: &[u8]) -> Result<bool> {
        let Ok(entry) = Entry::decode(&mut Decoder::new(encoded)) else {
            return Ok(false);
        };
        let Kind::File { runs, .. } = &entry.kind else {
            return Ok(true);
        };
        for run in runs {
            if let Run::Data { chunk, .. } = run
                && !self.sink.has(crate::pack::PackKind::Data, chunk)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
