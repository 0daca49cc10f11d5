//! A program that embeds the engine: no command line, no terminal, no globals. It makes a repository, backs up a source of its
//! own (a table in memory, each row a file), watches the progress, opens the repository again and restores.
//!
//! `cargo run -p nodekeep-repo --example embed -- FOLDER` puts `FOLDER/repository` and `FOLDER/restored`; `FOLDER` must not exist.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nodekeep_repo::backup::BackupOptions;
use nodekeep_repo::keys::Entropy;
use nodekeep_repo::monitor::Monitor;
use nodekeep_repo::repository::{Access, CreateOptions, Repository};
use nodekeep_repo::restore::{RestoreOptions, Target};
use nodekeep_repo::source::{
    Content, Details, Directory, FileType, Item, Listing, Root, Source, Stat,
};
use nodekeep_store::Store;

/// Rows by name: what this program wants to keep.
#[derive(Clone)]
struct Rows(Arc<BTreeMap<Vec<u8>, Vec<u8>>>);

fn item(name: &[u8], file_type: FileType, size: usize) -> Item {
    let stat = Stat {
        file_type,
        mode: if file_type == FileType::Directory { 0o700 } else { 0o600 },
        uid: 0,
        gid: 0,
        size: size as u64,
        mtime: 1_790_000_000,
        mtime_ns: 0,
        ctime: 0,
        ctime_ns: 0,
        dev: 0,
        // Without inodes nothing is taken for unchanged: every row is read, and stored only if it is new.
        ino: 0,
        nlink: 1,
        rdev: (0, 0),
        allocated: size as u64,
    };
    Item { name: name.to_vec(), stat }
}

impl Source for Rows {
    fn roots(&self) -> Result<Vec<Root>, (Vec<u8>, io::Error)> {
        let item = item(b"table", FileType::Directory, 0);
        let directory: Arc<dyn Directory> = Arc::new(self.clone());
        let (parent, directory) = (directory.clone(), Some(directory));
        Ok(vec![Root { path: b"/table".to_vec(), item, parent, directory }])
    }

    fn user_name(&self, _uid: u32) -> Option<String> {
        None
    }

    fn group_name(&self, _gid: u32) -> Option<String> {
        None
    }
}

impl Directory for Rows {
    fn list(&self) -> io::Result<Listing> {
        let items = self.0.iter().map(|(name, row)| item(name, FileType::File, row.len()));
        Ok(Listing { items: items.collect(), unreadable: Vec::new() })
    }

    fn enter(&self, _name: &[u8]) -> io::Result<Arc<dyn Directory>> {
        Err(io::ErrorKind::NotADirectory.into())
    }

    fn open(&self, name: &[u8]) -> io::Result<Box<dyn Content>> {
        let row = self.0.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Row(Cursor::new(row.clone()))))
    }

    fn details(&self, _item: &Item) -> io::Result<Details> {
        Ok(Details::default())
    }
}

struct Row(Cursor<Vec<u8>>);

impl Read for Row {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Content for Row {
    fn extents(&mut self, _size: u64) -> io::Result<Option<Vec<(u64, u64)>>> {
        Ok(None)
    }

    fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.0.set_position(offset);
        Ok(())
    }

    fn stat(&self) -> io::Result<Option<Stat>> {
        Ok(None)
    }
}

/// Counts what is done.
#[derive(Default)]
struct Progress {
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Monitor for Progress {
    fn advance(&self, files: u64, bytes: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("FOLDER is missing")?);
    let store = || Store::local(folder.join("repository"));
    let mut out = io::stdout();

    // The owner's 24 words are the only secret to keep; the credential lets a machine write without reading.
    let owner = Entropy::random();
    let (repository, credential) = Repository::create(store(), &owner, &CreateOptions::default())?;
    let rows = (0..1000).map(|n| (format!("row-{n:04}").into_bytes(), vec![n as u8; 3 * n]));
    let progress = Progress::default();
    let source = Rows(Arc::new(rows.collect()));
    let report = repository.backup(&source, &BackupOptions::default(), &progress)?;
    let (files, bytes) = (progress.files.into_inner(), progress.bytes.into_inner());
    writeln!(out, "backed up {files} rows, {bytes} bytes; stored {}", report.counts.bytes_added)?;

    let access = Access { owner: Some(owner), credential: Some(credential), ..Access::default() };
    let repository = Repository::open(store(), &access, None)?;
    let newest = repository.snapshots()?.pop().ok_or("the snapshot is missing")?;
    let options = RestoreOptions::new(Target::Into(folder.join("restored")));
    let report = repository.restore(&newest, &options, &Progress::default())?;
    writeln!(out, "restored {} names, {} bytes", report.created, report.bytes)?;
    Ok(())
}
