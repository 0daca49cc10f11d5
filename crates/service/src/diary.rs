//! What a daemon went through, line by line: a file that is kept small, for people who look later.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::state::make_folder;

/// A file of this size is put aside, in bytes; the one that was aside goes.
const FULL: u64 = 512 * 1024;

/// How grave it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As it should be.
    Info,
    /// Somebody may want to look.
    Warn,
    /// Something did not work.
    Error,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its place: later lines have higher numbers.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// How grave.
    pub level: Level,
    /// What, in a sentence.
    pub text: String,
    /// The node, if it is about one.
    pub node: Option<String>,
    /// The job, if it is about one.
    pub job: Option<String>,
}

/// The file, as one daemon writes it.
#[derive(Debug)]
pub struct Diary {
    folder: PathBuf,
    next: u64,
}

impl Diary {
    /// In this folder; goes on where the last daemon ended.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn open(folder: &Path) -> Result<Self> {
        let last = lines(folder)?.last().map_or(0, |line| line.number);
        Ok(Self { folder: folder.to_owned(), next: last + 1 })
    }

    /// Writes a line down.
    ///
    /// # Errors
    /// Why it could not be written.
    pub fn note(&mut self, mut line: Line) -> Result<()> {
        line.number = self.next;
        let path = file(&self.folder);
        let text = serde_json::to_string(&line)
            .map_err(|error| Error::State { path: path.clone(), reason: error.to_string() })?;
        make_folder(&self.folder)?;
        if path.metadata().is_ok_and(|metadata| metadata.len() >= FULL) {
            fs::rename(&path, aside(&self.folder))
                .map_err(Error::file(&path, "cannot be put aside"))?;
        }
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let mut file = file.map_err(Error::file(&path, "cannot be opened"))?;
        file.write_all(format!("{text}\n").as_bytes())
            .map_err(Error::file(&path, "cannot be written"))?;
        self.next += 1;
        Ok(())
    }
}

/// All lines that are kept, oldest first. A line that a crash cut short is passed over.
///
/// # Errors
/// If a file cannot be read.
pub fn lines(folder: &Path) -> Result<Vec<Line>> {
    let mut all = Vec::new();
    for path in [aside(folder), file(folder)] {
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            result => result.map_err(Error::file(&path, "cannot be read"))?,
        };
        let parsed = bytes.split(|b| *b == b'\n').filter_map(|l| serde_json::from_slice(l).ok());
        all.extend(parsed);
    }
    Ok(all)
}

/// How large the file is that is written to: while it stays so, nothing is new.
pub fn size(folder: &Path) -> u64 {
    file(folder).metadata().map_or(0, |metadata| metadata.len())
}

fn file(folder: &Path) -> PathBuf {
    folder.join("events.jsonl")
}

fn aside(folder: &Path) -> PathBuf {
    folder.join("events.old.jsonl")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        let (at, level) = (Timestamp::now(), Level::Info);
        Line { number: 0, at, level, text: text.to_owned(), node: None, job: None }
    }

    #[test]
    fn lines_are_numbered_over_restarts_and_a_torn_one_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut diary = Diary::open(folder.path()).unwrap();
        diary.note(line("one")).unwrap();
        diary.note(line("two")).unwrap();
        let path = file(folder.path());
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"num\n").unwrap();
        Diary::open(folder.path()).unwrap().note(line("three")).unwrap();
        let all = lines(folder.path()).unwrap();
        let seen: Vec<_> = all.iter().map(|line| (line.number, line.text.as_str())).collect();
        assert_eq!(seen, [(1, "one"), (2, "two"), (3, "three")]);
    }

    #[test]
    fn it_stays_small_and_keeps_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let mut diary = Diary::open(folder.path()).unwrap();
        let long = "x".repeat(64 * 1024);
        (0..40).for_each(|_| diary.note(line(&long)).unwrap());
        let size = |path: PathBuf| path.metadata().map_or(0, |metadata| metadata.len());
        assert!(size(file(folder.path())) + size(aside(folder.path())) < 3 * FULL);
        assert_eq!(lines(folder.path()).unwrap().last().unwrap().number, 40);
        assert_eq!(Diary::open(folder.path()).unwrap().next, 41);
    }
}
