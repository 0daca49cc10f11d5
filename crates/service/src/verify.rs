//! A snapshot of a node, looked at without restoring all of it: every chunk of every file is known, sizes add up, and a sample of files
//! is read back, each chunk checked by its hash. What was found is recorded in the repository, for the fleet to show.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use nodekeep_nodes::counting::counted;
use nodekeep_repo::id::ChunkId;
use nodekeep_repo::reader::ChunkReader;
use nodekeep_repo::source::snapshot::RunReader;
use nodekeep_repo::tree::{Entry, Kind, Run};

use crate::backup::Ground;
use crate::error::Result;
use crate::find::NodeSnapshot;
use crate::records::{VERIFICATION, Verification};

/// At least this much is read back, in bytes, if there is so much.
const SAMPLE_BYTES: u64 = 256 << 20;
/// Of each thing that is wrong at most so many are named.
const NAMED: usize = 20;

/// What was seen of a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sampled {
    /// Files in it.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Files that were read back.
    pub read_files: u64,
    /// Their size in bytes.
    pub read_bytes: u64,
    /// What is wrong, in words; at most a few of many.
    pub wrong: Vec<String>,
}

impl Sampled {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.wrong.is_empty()
    }

    /// In a sentence.
    pub fn text(&self) -> String {
        match self.wrong.split_first() {
            Some((first, [])) => first.clone(),
            Some((first, more)) => format!("{first}, and {} more", more.len()),
            None => format!(
                "all chunks of {} are there and sizes add up; {} with {} bytes came back whole",
                counted(self.files, "file"),
                counted(self.read_files, "file"),
                self.read_bytes
            ),
        }
    }

    fn wrong(&mut self, what: String) {
        if self.wrong.len() < NAMED {
            self.wrong.push(what);
        }
    }
}

impl Ground<'_> {
    /// Looks at a snapshot.
    ///
    /// # Errors
    /// If the index cannot be read, or the keys do not read. What is wrong with the snapshot is in the result.
    pub fn sample(&self, snapshot: &NodeSnapshot) -> Result<Sampled> {
        self.repository.needs_data()?;
        let (index, mut problems) = self.repository.index_as_it_is()?;
        if let Some(problem) = problems.pop() {
            return Err(problem.into());
        }
        let reader = self.repository.lasting_reader(Arc::new(index));
        let mut walk = Walk { reader: &reader, seen: Sampled::default(), files: Vec::new() };
        for root in &snapshot.record.snapshot.roots {
            walk.entry(&root.path, &root.entry);
        }
        walk.sizes(snapshot);
        walk.read_back(&snapshot.record.id.0);
        Ok(walk.seen)
    }

    /// Looks at a snapshot, and records what was found.
    ///
    /// # Errors
    /// As [`Ground::sample`], or if the record cannot be written.
    pub fn verify(&self, snapshot: &NodeSnapshot) -> Result<Sampled> {
        let seen = self.sample(snapshot)?;
        let found = Verification {
            at: Timestamp::now(),
            snapshot: snapshot.record.id.hex(),
            ok: seen.is_sound(),
            how: seen.text(),
            machine: self.state.machine(&self.host)?,
        };
        self.write_record(&snapshot.manifest.node, VERIFICATION, &found)?;
        Ok(seen)
    }
}

/// A file that may be read back.
struct File {
    path: Vec<u8>,
    size: u64,
    runs: Vec<Run>,
}

struct Walk<'a> {
    reader: &'a ChunkReader,
    seen: Sampled,
    files: Vec<File>,
}

impl Walk<'_> {
    /// An entry with all below it; deep trees do not deepen the stack.
    fn entry(&mut self, path: &[u8], entry: &Entry) {
        let mut rest = vec![(path.to_vec(), entry.clone())];
        while let Some((path, entry)) = rest.pop() {
            match entry.kind {
                Kind::File { size, runs, .. } => self.file(File { path, size, runs }),
                Kind::Directory { tree, .. } => rest.extend(self.below(&path, &tree)),
                _ => {}
            }
        }
    }

    fn below(&mut self, path: &[u8], tree: &ChunkId) -> Vec<(Vec<u8>, Entry)> {
        let entries = self.reader.entries(tree).unwrap_or_else(|error| {
            self.seen.wrong(format!("{}: {error}", shown(path)));
            Vec::new()
        });
        let named = |entry: Entry| ([path, b"/", &entry.name].concat(), entry);
        entries.into_iter().map(named).collect()
    }

    fn file(&mut self, file: File) {
        self.seen.files += 1;
        self.seen.bytes = self.seen.bytes.saturating_add(file.size);
        let length = file.runs.iter().map(Run::len).fold(0, u64::saturating_add);
        if length != file.size {
            let (path, size) = (shown(&file.path), file.size);
            self.seen.wrong(format!("{path}: {length} bytes of content, and its size is {size}"));
        }
        let is_missing = |run: &&Run| match run {
            Run::Data { chunk, .. } => self.reader.index().places(chunk).is_empty(),
            Run::Hole { .. } => false,
        };
        if file.runs.iter().any(|run| is_missing(&run)) {
            self.seen.wrong(format!("{}: a part of it is nowhere", shown(&file.path)));
        }
        self.files.push(file);
    }

    /// What was counted when it was made, and what is in it.
    fn sizes(&mut self, snapshot: &NodeSnapshot) {
        let counted = snapshot.record.snapshot.counts.bytes;
        if counted != self.seen.bytes {
            let found = self.seen.bytes;
            self.seen.wrong(format!("its files have {found} bytes, and {counted} were counted"));
        }
    }

    /// Reads files in an order that is another for each snapshot, until enough was read.
    fn read_back(&mut self, salt: &[u8]) {
        let mut files = std::mem::take(&mut self.files);
        files.sort_by_cached_key(|file| {
            *blake3::hash(&[salt, file.path.as_slice()].concat()).as_bytes()
        });
        for file in files {
            if self.seen.read_bytes >= SAMPLE_BYTES {
                break;
            }
            let mut content = RunReader::new(self.reader.clone(), file.runs);
            match io::copy(&mut content, &mut io::sink()) {
                Ok(read) if read == file.size => {}
                Ok(read) => {
                    let (path, size) = (shown(&file.path), file.size);
                    self.seen.wrong(format!("{path}: {read} of {size} bytes came back"));
                }
                Err(error) => self.seen.wrong(format!("{}: {error}", shown(&file.path))),
            }
            self.seen.read_files += 1;
            self.seen.read_bytes = self.seen.read_bytes.saturating_add(file.size);
        }
    }
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
