//! The journal of marks: lines of JSON outside the node's data, only ever appended.
//!
//! A line is `{"sum":"…","entry":{…}}`, and its sum is the SHA-256 of the sum before it followed by the text of the entry; the first follows
//! the SHA-256 of nothing. So no line can be changed, left out or put in. A head beside the journal says how many lines were acknowledged,
//! so that lines missing at the end are noticed as well. Nothing here guards against somebody who rewrites both: for that, the readings
//! are in the repository too.

mod lines;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use self::lines::{Head, Scanned};
use super::mark::{At, Reading, VERSION};
use super::retire::Retirement;
use crate::error::{Error, Result};
use crate::manifest::Machine;

/// A reading that says nothing new is not recorded again within this time, in seconds.
const QUIET_SECS: u64 = 3600;

/// What is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// Marks were read.
    Reading(Reading),
    /// Somebody chose what to do about a rewind.
    Decision(Decision),
    /// A machine gave up the identity.
    Retirement(Retirement),
}

/// What somebody chose when the fence refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// When.
    pub at: At,
    /// On which machine.
    pub machine: Machine,
    /// The fence rule.
    pub rule: String,
    /// `advance`, `import`, `drop`, `without` or `accept-rollback`.
    pub choice: String,
    /// Why, in the person's words: for `accept-rollback`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What the fence had said, and what was done: lines for people.
    pub said: Vec<String>,
}

/// The journal of one node, in a folder of its own.
#[derive(Debug, Clone)]
pub struct Journal {
    folder: PathBuf,
}

/// What a journal says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Every whole and true line from the first one on.
    pub entries: Vec<Entry>,
    /// Bytes of a last line that a crash left unfinished: nobody was told that it was recorded.
    pub torn_bytes: u64,
    /// The journal is not what was written: what is after the entries cannot be trusted.
    pub damage: Option<Damage>,
}

/// Where a journal stops being true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Line, counted from 1.
    pub line: u64,
    /// What is wrong.
    pub reason: String,
}

impl History {
    /// Its readings in the order of recording. Where a clock went back, a reading has the time of the one before it.
    pub fn readings(&self) -> Vec<Reading> {
        let mut readings: Vec<Reading> = Vec::new();
        for entry in &self.entries {
            if let Entry::Reading(reading) = entry {
                let at = readings.last().map_or(reading.at, |before| before.at.max(reading.at));
                readings.push(Reading { at, ..reading.clone() });
            }
        }
        readings
    }

    /// Its readings together with those that come from the repository; one that is in both counts once.
    pub fn merge(&self, readings: &[Reading]) -> Vec<Reading> {
        let mut own: BTreeMap<(At, &str), Vec<&Reading>> = BTreeMap::new();
        for reading in self.recorded() {
            own.entry((reading.at, &reading.machine.id)).or_default().push(reading);
        }
        let is_new = |reading: &&Reading| {
            let known = own.get(&(reading.at, reading.machine.id.as_str()));
            !known.is_some_and(|known| known.contains(reading))
        };
        let mut merged = self.readings();
        merged.extend(readings.iter().filter(is_new).cloned());
        merged
    }

    /// Who was retired.
    pub fn retirements(&self) -> Vec<Retirement> {
        let retirement = |entry: &Entry| match entry {
            Entry::Retirement(retirement) => Some(retirement.clone()),
            Entry::Reading(_) | Entry::Decision(_) => None,
        };
        self.entries.iter().filter_map(retirement).collect()
    }

    /// Whether a reading says anything that the last one of its machine did not, or that one is an hour old.
    pub fn lacks(&self, reading: &Reading) -> bool {
        let mut own = self.recorded().filter(|known| known.machine.id == reading.machine.id);
        own.next_back().is_none_or(|last| {
            last.marks != reading.marks || reading.at.secs_since(last.at) >= QUIET_SECS
        })
    }

    fn recorded(&self) -> impl DoubleEndedIterator<Item = &Reading> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Reading(reading) => Some(reading),
            Entry::Decision(_) | Entry::Retirement(_) => None,
        })
    }
}

impl Journal {
    /// The journal in a folder; nothing is made before something is recorded. The folder must not be part of the node's data.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Where its lines are.
    pub fn path(&self) -> PathBuf {
        self.folder.join("marks.jsonl")
    }

    fn head_path(&self) -> PathBuf {
        self.folder.join("marks.head")
    }

    /// What it says; nothing if there is none yet. Damage is told in the history, so that what is true before it is not lost.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn load(&self) -> Result<History> {
        if !self.folder.exists() {
            return Ok(History::default());
        }
        let _lock = self.lock(FlockOperation::LockShared)?;
        Ok(self.scan()?.history)
    }

    /// Appends an entry and returns when it is on the disk. A torn last line is cut first.
    ///
    /// # Errors
    /// If it cannot be written, or the journal is damaged: then [`Journal::mend`] goes on with what is true.
    pub fn append(&self, entry: &Entry) -> Result<()> {
        self.make_folder()?;
        let _lock = self.lock(FlockOperation::LockExclusive)?;
        let end = self.end()?;
        self.write(&end, entry)
    }

    /// Puts a damaged journal aside, under the name that is returned, and goes on with the lines that are true. `None` if it is sound.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn mend(&self) -> Result<Option<PathBuf>> {
        if !self.folder.exists() {
            return Ok(None);
        }
        let _lock = self.lock(FlockOperation::LockExclusive)?;
        let scanned = self.scan()?;
        if scanned.history.damage.is_none() {
            return Ok(None);
        }
        let path = self.path();
        let bytes = read_or_empty(&path)?;
        let kept = self.put_aside(&bytes)?;
        let whole = usize::try_from(scanned.end.bytes).unwrap_or(bytes.len()).min(bytes.len());
        replace(&path, &bytes[..whole])?;
        self.write_head(&scanned.end)?;
        Ok(Some(kept))
    }

    /// Where to append: what the head says if the file has just that length, else what the lines say.
    fn end(&self) -> Result<Head> {
        let path = self.path();
        let length = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        if let Ok(Some(head)) = self.head()
            && head.bytes == length
        {
            return Ok(head);
        }
        let scanned = self.scan()?;
        if let Some(damage) = scanned.history.damage {
            let reason = format!("line {}: {}", damage.line, damage.reason);
            return Err(Error::Damaged { path, reason });
        }
        if scanned.end.bytes < length {
            let file = OpenOptions::new().write(true).open(&path);
            let cut = file.and_then(|file| file.set_len(scanned.end.bytes));
            cut.map_err(Error::file(&path, "cutting a torn last line"))?;
        }
        Ok(scanned.end)
    }

    fn write(&self, end: &Head, entry: &Entry) -> Result<()> {
        let path = self.path();
        let text = serde_json::to_string(entry).map_err(io::Error::from);
        let text = text.map_err(Error::file(&path, "encoding"))?;
        let (line, sum) = lines::line(end.sum, &text);
        let is_new = end.lines == 0;
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| {
            file.write_all(line.as_bytes())?;
            file.sync_data()
        });
        written.map_err(Error::file(&path, "appending"))?;
        if is_new {
            sync_folder(&self.folder)?;
        }
        let bytes = end.bytes + line.len() as u64;
        self.write_head(&Head { version: VERSION, lines: end.lines + 1, bytes, sum })
    }

    fn scan(&self) -> Result<Scanned> {
        let bytes = read_or_empty(&self.path())?;
        let (head, unreadable) = match self.head() {
            Ok(head) => (head, None),
            Err(reason) => (None, Some(reason)),
        };
        let mut scanned = lines::scan(&bytes, head.as_ref());
        if scanned.history.damage.is_none() {
            let reason = unreadable.or_else(|| scanned.missing(head.as_ref()));
            let line = scanned.end.lines + 1;
            scanned.history.damage = reason.map(|reason| Damage { line, reason });
        }
        Ok(scanned)
    }

    /// `None` if there is none.
    fn head(&self) -> Result<Option<Head>, String> {
        let path = self.head_path();
        let bad = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| bad(&error))?,
        };
        let head: Head = serde_json::from_slice(&bytes).map_err(|error| bad(&error))?;
        if head.version > VERSION {
            return Err(bad(&"written by a newer Nodekeep: update this one"));
        }
        Ok(Some(head))
    }

    fn write_head(&self, head: &Head) -> Result<()> {
        let path = self.head_path();
        let text = serde_json::to_vec(head).map_err(io::Error::from);
        replace(&path, &text.map_err(Error::file(&path, "encoding"))?)
    }

    fn put_aside(&self, bytes: &[u8]) -> Result<PathBuf> {
        let name = |number: u32| self.folder.join(format!("marks.damaged-{number}.jsonl"));
        let free = (1..).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(0));
        replace(&free, bytes)?;
        Ok(free)
    }

    fn make_folder(&self) -> Result<()> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(Error::file(&self.folder, "making the folder of the fence's journal"))
    }

    fn lock(&self, how: FlockOperation) -> Result<File> {
        let path = self.folder.join("marks.lock");
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
        let locked =
            file.and_then(|file| flock(&file, how).map(|()| file).map_err(io::Error::from));
        locked.map_err(Error::file(&path, "locking"))
    }
}

fn read_or_empty(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map(|_| bytes).map_err(Error::file(path, "reading")),
    }
}

/// Writes a file that appears whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside);
    let written = file.and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(Error::file(&beside, "writing"))?;
    fs::rename(&beside, path).map_err(Error::file(path, "putting it in place"))?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn sync_folder(folder: &Path) -> Result<()> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(Error::file(folder, "syncing"))
}
