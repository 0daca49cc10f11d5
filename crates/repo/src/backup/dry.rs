//! A dry run: the same walk against the same cache, counting only.

use std::sync::Arc;
use std::time::Instant;

use crate::backup::cache::{Block, Cache, file_of, signature};
use crate::backup::filter::Matcher;
use crate::backup::node::join;
use crate::backup::walk::Walked;
use crate::backup::{BackupOptions, BackupReport};
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::repository::Repository;
use crate::snapshot::Counts;
use crate::source::{Directory, FileType, Item, Root};

struct Dry<'a> {
    cache: Option<Cache>,
    matcher: &'a Matcher,
    monitor: &'a dyn Monitor,
    walked: Walked,
    bytes: u64,
    errors: Vec<(Vec<u8>, String)>,
}

pub(super) fn run(
    repo: &Repository,
    roots: Vec<Root>,
    matcher: &Matcher,
    options: &BackupOptions,
    monitor: &dyn Monitor,
    began: Instant,
) -> Result<BackupReport> {
    let paths: Vec<&[u8]> = roots.iter().map(|r| r.path.as_slice()).collect();
    let writer = repo.writer_id()?;
    let cache = options
        .cache
        .as_ref()
        .and_then(|dir| Cache::open(&file_of(dir, &paths, &writer), &repo.id()));
    let mut dry =
        Dry { cache, matcher, monitor, walked: Walked::default(), bytes: 0, errors: Vec::new() };
    for root in &roots {
        dry.root(root)?;
    }
    Ok(dry.report(began))
}

impl Dry<'_> {
    fn root(&mut self, root: &Root) -> Result<()> {
        let Some(directory) = &root.directory else {
            self.count(&root.item, &Block::default());
            return Ok(());
        };
        let mut stack = vec![(directory.clone(), root.path.clone())];
        while let Some((directory, path)) = stack.pop() {
            if self.monitor.interrupted() {
                return Err(Error::Interrupted);
            }
            self.directory(&directory, &path, root, &mut stack);
        }
        Ok(())
    }

    fn directory(
        &mut self,
        directory: &Arc<dyn Directory>,
        path: &[u8],
        root: &Root,
        stack: &mut Vec<(Arc<dyn Directory>, Vec<u8>)>,
    ) {
        let listing = match directory.list() {
            Ok(listing) => listing,
            Err(error) => return self.errors.push((path.to_vec(), error.to_string())),
        };
        self.walked.dirs += 1;
        self.errors
            .extend(listing.unreadable.iter().map(|(name, e)| (join(path, name), e.to_string())));
        if self.matcher.marked(listing.items.iter().map(|i| i.name.as_slice())) {
            return;
        }
        let block = self.cache.as_ref().map(|c| c.block(path)).unwrap_or_default();
        for item in listing.items {
            let below = join(path, &item.name);
            if self.matcher.excludes(&item.name, &below, root.path.len()) {
                continue;
            }
            let foreign = self.matcher.one_file_system() && item.stat.dev != root.item.stat.dev;
            if item.stat.file_type != FileType::Directory {
                self.count(&item, &block);
            } else if foreign {
                self.walked.dirs += 1;
            } else {
                match directory.enter(&item.name) {
                    Ok(inner) => stack.push((inner, below)),
                    Err(error) => self.errors.push((below, error.to_string())),
                }
            }
        }
    }

    fn count(&mut self, item: &Item, block: &Block) {
        self.walked.files += 1;
        self.bytes += item.stat.size;
        let known = block.get(&item.name);
        match known {
            Some(cached) if cached.signature == signature(&item.stat) => {
                self.walked.unmodified += 1;
                return;
            }
            Some(_) => self.walked.changed += 1,
            None => self.walked.new += 1,
        }
        if item.stat.file_type == FileType::File {
            self.walked.bytes_to_read += item.stat.size;
        }
    }

    fn report(self, began: Instant) -> BackupReport {
        let Walked { files, dirs, new, changed, unmodified, bytes_to_read } = self.walked;
        BackupReport {
            counts: Counts { files, dirs, bytes: self.bytes, ..Counts::default() },
            errors: self.errors,
            new_files: new,
            changed_files: changed,
            unmodified_files: unmodified,
            bytes_to_read,
            parent: self.cache.map(|c| c.snapshot),
            elapsed: began.elapsed(),
            ..BackupReport::default()
        }
    }
}
