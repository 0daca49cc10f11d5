//! Puts the files and directories of a translation together, in the order of the walk.

use std::sync::mpsc::Receiver;

use super::feed::Ticket;
use super::translate::{Step, Translation};
use crate::codec::Compressor;
use crate::error::{Damage, Error, Result};
use crate::id::ChunkId;
use crate::pack::PackKind;
use crate::tree::{Entry, Kind, Node, Run};
use crate::wire::Encoder;

/// Something that began and has not ended.
enum Open {
    Directory { at: usize, entry: Entry, tree: Option<ChunkId> },
    Leaf { first: Vec<u8>, slots: Vec<Option<Entry>> },
    Split { first: Vec<u8>, parts: Vec<(Vec<u8>, ChunkId)> },
    File(Box<FileInMaking>),
}

struct FileInMaking {
    at: usize,
    entry: Entry,
    runs: Vec<Run>,
    /// Under the source's key, to be compared.
    was: blake3::Hasher,
    /// Under the other key.
    is: blake3::Hasher,
}

/// Puts files and directories together.
pub(super) struct Making<'a> {
    work: &'a Translation<'a>,
    compressor: Compressor,
    open: Vec<Open>,
    roots: Vec<Option<Entry>>,
}

fn confused() -> Error {
    Error::damaged("trees", Damage::WrongKind)
}

impl<'a> Making<'a> {
    pub(super) fn new(work: &'a Translation<'a>, roots: usize) -> Self {
        let compressor = work.to.compressor();
        Self { work, compressor, open: Vec::new(), roots: vec![None; roots] }
    }

    pub(super) fn take_all(mut self, told: Receiver<Step>) -> Result<Vec<Entry>> {
        for step in told {
            if self.work.monitor.interrupted() {
                return Err(Error::Interrupted);
            }
            self.take(step)?;
        }
        self.roots.into_iter().collect::<Option<Vec<_>>>().ok_or(Error::Interrupted)
    }

    fn take(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Directory { at, entry } => {
                self.open.push(Open::Directory { at, entry, tree: None })
            }
            Step::Leaf { first, count } => {
                self.open.push(Open::Leaf { first, slots: vec![None; count] })
            }
            Step::Split { first } => self.open.push(Open::Split { first, parts: Vec::new() }),
            Step::Known { first, tree } => return self.node(first, tree),
            Step::Entry { at, entry } => return self.entry(at, entry),
            Step::File { at, entry } => self.open.push(self.file(at, entry)),
            Step::Data { ticket, offset, len } => return self.data(&ticket, offset, len),
            Step::Hole { len } => return self.run(Run::Hole { len }),
            Step::End => return self.end(),
            Step::Failed(error) => return Err(error),
        }
        Ok(())
    }

    fn file(&self, at: usize, entry: Entry) -> Open {
        let (was, is) = (self.work.from.domain().file_hasher(), self.work.domain.file_hasher());
        Open::File(Box::new(FileInMaking { at, entry, runs: Vec::new(), was, is }))
    }

    fn run(&mut self, run: Run) -> Result<()> {
        match self.open.last_mut() {
            Some(Open::File(file)) => file.runs.push(run),
            _ => return Err(confused()),
        }
        Ok(())
    }

    fn data(&mut self, ticket: &Ticket, offset: u32, len: u32) -> Result<()> {
        let loaded = ticket.wait()?;
        let Some(Open::File(file)) = self.open.last_mut() else {
            return Err(confused());
        };
        let from = offset as usize;
        let bytes = loaded.plain.get(from..from + len as usize);
        let bytes = bytes.ok_or_else(|| Error::damaged("trees", Damage::Truncated))?;
        file.was.update(bytes);
        file.is.update(bytes);
        file.runs.push(Run::Data { chunk: loaded.id, offset, len });
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        match self.open.pop() {
            Some(Open::File(file)) => self.end_file(*file),
            Some(Open::Leaf { first, slots }) => {
                let tree = self.put_leaf(slots)?;
                self.node(first, tree)
            }
            Some(Open::Split { first, parts }) => {
                let plain = Node::encode_split(&parts);
                let tree = self.work.to.put(PackKind::Tree, &plain, &mut self.compressor)?;
                self.node(first, tree)
            }
            Some(Open::Directory { at, mut entry, tree: Some(now) }) => {
                if let Kind::Directory { tree, .. } = &mut entry.kind {
                    *tree = now;
                }
                self.entry(at, entry)
            }
            _ => Err(confused()),
        }
    }

    /// The whole content went through: it is what the source's hash says, or the copy does not happen.
    fn end_file(&mut self, file: FileInMaking) -> Result<()> {
        let FileInMaking { at, mut entry, runs: now, was, is } = file;
        let name = String::from_utf8_lossy(&entry.name).into_owned();
        if let Kind::File { hash, runs, size } = &mut entry.kind {
            if was.finalize().as_bytes() != hash {
                return Err(Error::damaged(format!("file {name}"), Damage::Hash));
            }
            *hash = *is.finalize().as_bytes();
            *runs = now;
            self.work.monitor.advance(1, *size);
        }
        self.entry(at, entry)
    }

    fn put_leaf(&mut self, slots: Vec<Option<Entry>>) -> Result<ChunkId> {
        let entries = slots.into_iter().collect::<Option<Vec<_>>>().ok_or_else(confused)?;
        let encode = |entry: &Entry| {
            let mut to = Encoder::new();
            entry.encode(&mut to);
            to.into_bytes()
        };
        let encoded: Vec<Vec<u8>> = entries.iter().map(encode).collect();
        let plain = Node::encode_leaf(encoded.iter().map(Vec::as_slice));
        self.work.to.put(PackKind::Tree, &plain, &mut self.compressor)
    }

    fn node(&mut self, first: Vec<u8>, id: ChunkId) -> Result<()> {
        match self.open.last_mut() {
            Some(Open::Directory { tree, .. }) => *tree = Some(id),
            Some(Open::Split { parts, .. }) => parts.push((first, id)),
            _ => return Err(confused()),
        }
        Ok(())
    }

    fn entry(&mut self, at: usize, entry: Entry) -> Result<()> {
        let slots = match self.open.last_mut() {
            Some(Open::Leaf { slots, .. }) => slots,
            None => &mut self.roots,
            _ => return Err(confused()),
        };
        *slots.get_mut(at).ok_or_else(confused)? = Some(entry);
        Ok(())
    }
}
