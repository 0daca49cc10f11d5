//! Messages that wait to be sent: a file for each channel and message, so that neither a crash nor a dead network loses one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use nodekeep_repo::crypto::random;
use nodekeep_repo::id::to_hex;
use serde::{Deserialize, Serialize};

use super::Message;
use super::channel::{Channel, Refused};
use super::sent::{self, Try};
use crate::error::{Error, Result};
use crate::state::replace;

/// After the first refusal; twice as long after each further one.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(30);
/// Never longer than this.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(1);
/// What nobody took for so long helps nobody any more.
const GIVEN_UP: SignedDuration = SignedDuration::from_hours(48);
/// Messages that wait, at most: a storm does not fill the disk.
const MOST: usize = 1000;

/// The folder.
#[derive(Debug, Clone)]
pub struct Outbox {
    folder: PathBuf,
}

/// A message that waits for a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The channel's name.
    pub channel: String,
    /// The message.
    pub message: Message,
    /// Tries so far.
    pub tries: u32,
    /// Not before this.
    pub next: Timestamp,
    /// What came of the last try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// What came of a round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// Taken.
    pub taken: usize,
    /// Given up, with why: channel and reason.
    pub lost: Vec<(String, String)>,
    /// When the next is due.
    pub next: Option<Timestamp>,
}

impl Outbox {
    /// In this folder; it need not exist.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Puts messages in for every channel that wants them.
    ///
    /// # Errors
    /// Why one could not be written.
    pub fn put(&self, channels: &[Channel], messages: &[Message], now: Timestamp) -> Result<()> {
        let mut room = MOST.saturating_sub(self.files()?.len());
        for message in messages {
            for channel in channels.iter().filter(|channel| channel.wants(message)) {
                if room == 0 {
                    return Ok(());
                }
                room -= 1;
                let (channel, message) = (channel.name.clone(), message.clone());
                let waiting = Waiting { channel, message, tries: 0, next: now, refused: None };
                let name = format!("{:012x}{}.json", now.as_millisecond(), to_hex(&random::<3>()));
                write(&self.folder.join(name), &waiting)?;
            }
        }
        Ok(())
    }

    /// What waits, the oldest first.
    ///
    /// # Errors
    /// If the folder or a file cannot be read.
    pub fn waiting(&self) -> Result<Vec<Waiting>> {
        self.files()?.iter().map(|path| read(path)).collect()
    }

    /// Sends what is due. Of one channel the first refusal ends the round: messages keep their order, and a dead server is asked once.
    ///
    /// # Errors
    /// If the folder or a file cannot be read or written.
    pub fn send(&self, channels: &[Channel], now: Timestamp) -> Result<Sent> {
        let mut sent = Sent::default();
        let mut blocked: Vec<String> = Vec::new();
        for path in self.files()? {
            let waiting = read(&path)?;
            let name = waiting.channel.clone();
            if blocked.contains(&name) {
                continue;
            }
            if waiting.next > now && waiting.next.duration_since(now) <= LONGEST_PAUSE {
                sent.next = Some(sent.next.map_or(waiting.next, |next| next.min(waiting.next)));
                blocked.push(name);
                continue;
            }
            let Some(channel) = channels.iter().find(|channel| channel.name == name) else {
                sent.lost.push((name, "there is no such channel any more".to_owned()));
                remove(&path)?;
                continue;
            };
            let taken = channel.send(&waiting.message);
            let refused = taken.as_ref().err().map(|refused| refused.reason.clone());
            // A record that cannot be written is no reason to send twice.
            _ = Try::of(&name, &waiting.message, refused).note(&self.folder);
            match taken {
                Ok(()) => {
                    sent.taken += 1;
                    remove(&path)?;
                }
                Err(refused) => {
                    if let Some(next) = keep(&path, waiting, refused, now, &mut sent)? {
                        sent.next = Some(sent.next.map_or(next, |known| known.min(next)));
                        blocked.push(name);
                    }
                }
            }
        }
        Ok(sent)
    }

    /// Writes down a message that was sent beside the outbox: to try a channel.
    ///
    /// # Errors
    /// Why it could not be written.
    pub fn tried(&self, channel: &str, message: &Message, refused: Option<String>) -> Result<()> {
        Try::of(channel, message, refused).note(&self.folder)
    }

    /// What was sent, and what came of it, oldest first.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn sent(&self) -> Result<Vec<Try>> {
        sent::all(&self.folder)
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result.map_err(Error::file(&self.folder, "cannot be read"))?,
        };
        let paths = entries.flatten().map(|entry| entry.path());
        let mut files: Vec<PathBuf> =
            paths.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
        files.sort();
        Ok(files)
    }
}

/// Writes down when it is tried again; `None` if it is given up.
fn keep(
    path: &Path,
    mut waiting: Waiting,
    refused: Refused,
    now: Timestamp,
    sent: &mut Sent,
) -> Result<Option<Timestamp>> {
    let age = now.duration_since(waiting.message.at);
    if !refused.may_retry || age > GIVEN_UP {
        sent.lost.push((waiting.channel, refused.reason));
        remove(path)?;
        return Ok(None);
    }
    waiting.tries += 1;
    let pause = FIRST_PAUSE.saturating_mul(1 << (waiting.tries - 1).min(10)).min(LONGEST_PAUSE);
    waiting.next = now.saturating_add(pause).unwrap_or(Timestamp::MAX);
    waiting.refused = Some(refused.reason);
    write(path, &waiting)?;
    Ok(Some(waiting.next))
}

fn read(path: &Path) -> Result<Waiting> {
    let text = fs::read(path).map_err(Error::file(path, "cannot be read"))?;
    let damaged = |error: serde_json::Error| Error::State {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    serde_json::from_slice(&text).map_err(damaged)
}

fn write(path: &Path, waiting: &Waiting) -> Result<()> {
    let text = serde_json::to_vec_pretty(waiting)
        .map_err(|error| Error::State { path: path.to_owned(), reason: error.to_string() })?;
    replace(path, &text)
}

fn remove(path: &Path) -> Result<()> {
    fs::remove_file(path).map_err(Error::file(path, "cannot be removed"))
}
