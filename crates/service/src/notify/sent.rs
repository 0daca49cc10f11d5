//! What was sent, and what came of it: the last few hundred tries, for people who wonder whether they were told.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Message, Topic};
use crate::error::{Error, Result};
use crate::state::{make_folder, replace};

/// A file of more lines than twice this is cut down to this.
const KEPT: usize = 300;
/// A longest line, by which a file is taken for long, in bytes.
const LINE: u64 = 400;

/// A try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// When.
    pub at: Timestamp,
    /// By which channel.
    pub channel: String,
    /// About what.
    pub topic: Topic,
    /// In a few words.
    pub title: String,
    /// Why it was not taken; `None` if it was.
    pub refused: Option<String>,
}

impl Try {
    /// Of a message.
    pub fn of(channel: &str, message: &Message, refused: Option<String>) -> Self {
        let (channel, title) = (channel.to_owned(), message.title.clone());
        Self { at: Timestamp::now(), channel, topic: message.topic, title, refused }
    }

    /// Writes it down in this folder.
    ///
    /// # Errors
    /// Why it could not be written.
    pub fn note(&self, folder: &Path) -> Result<()> {
        let path = file(folder);
        let text = serde_json::to_string(self)
            .map_err(|error| Error::State { path: path.clone(), reason: error.to_string() })?;
        make_folder(folder)?;
        if path.metadata().is_ok_and(|metadata| metadata.len() > 2 * KEPT as u64 * LINE) {
            trim(&path)?;
        }
        let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let mut opened = opened.map_err(Error::file(&path, "cannot be opened"))?;
        opened
            .write_all(format!("{text}\n").as_bytes())
            .map_err(Error::file(&path, "cannot be written"))
    }
}

/// All that is kept, oldest first.
///
/// # Errors
/// If the file cannot be read.
pub fn all(folder: &Path) -> Result<Vec<Try>> {
    let path = file(folder);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        result => result.map_err(Error::file(&path, "cannot be read"))?,
    };
    Ok(bytes.split(|b| *b == b'\n').filter_map(|l| serde_json::from_slice(l).ok()).collect())
}

fn trim(path: &Path) -> Result<()> {
    let bytes = fs::read(path).map_err(Error::file(path, "cannot be read"))?;
    let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
    replace(path, &lines[lines.len().saturating_sub(KEPT)..].concat())
}

fn file(folder: &Path) -> PathBuf {
    folder.join("sent.jsonl")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_tries_are_kept_and_the_file_stays_small() {
        let folder = tempfile::tempdir().unwrap();
        let message = Message {
            topic: Topic::Failure,
            title: "t".repeat(300),
            text: String::new(),
            node: None,
            host: "here".to_owned(),
            at: Timestamp::now(),
        };
        for at in 0..2000 {
            Try::of(&format!("c{at}"), &message, None).note(folder.path()).unwrap();
        }
        let kept = all(folder.path()).unwrap();
        assert!((KEPT..3 * KEPT).contains(&kept.len()), "{}", kept.len());
        assert_eq!(kept.last().unwrap().channel, "c1999");
    }
}
