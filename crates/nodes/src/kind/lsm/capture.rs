//! A consistent copy of a live database, from outside, without its lock and without stopping it.
//!
//! Tables and blob files never change; the MANIFEST only grows; a WAL is deleted only after a record of the MANIFEST has moved a log number. So:
//! follow the MANIFEST; keep every file that it names; list and copy the WALs; follow it again. If no log number moved meanwhile, no WAL was
//! missing from the list: each but the last is closed, and the last is a prefix. Otherwise all of it is done again with what is kept already.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::disk::Disk;
use super::options::Options;
use super::staging::{Keeping, OpenLog, Staging};
use super::table::{Table, table_path};
use super::tail::{Place, Tail};
use super::version::{Fixed, Named, Version, named};
use super::wal::Seen;
use crate::error::{Error, Result};
use crate::kind::{Captured, Graft, Request, With};
use crate::manifest::Note;
use crate::position::Position;

/// How often a gap between two WALs is taken for a torn copy before it is taken for the database's own: writes without WAL leave gaps too.
const GAP_RETRIES: u32 = 3;
/// How long to wait before another try, so that a busy database gets on.
const PAUSE: Duration = Duration::from_millis(1);

/// Captures the database in `disk`.
///
/// # Errors
/// [`Error::Unsupported`] if not all of it can be copied in this way, [`Error::Damaged`] if it is not whole, [`Error::Restless`] if it moved in
/// every try, and files that cannot be read or written.
pub fn capture(disk: &dyn Disk, request: &Request) -> Result<Captured> {
    let options = Options::read(disk)?;
    options.check(disk.path())?;
    let mut capture =
        Capture { disk, staging: Staging::new(request.staging), tail: Tail::open(disk)?, gaps: 0 };
    let start = Instant::now();
    loop {
        let reason = match capture.attempt()? {
            Attempt::Still(copy) => return capture.finish(copy, &options, request),
            Attempt::Moved(reason) => reason,
        };
        if start.elapsed() >= request.patience {
            return Err(Error::Restless {
                path: disk.path().to_owned(),
                patience: request.patience,
                reason,
            });
        }
        std::thread::sleep(PAUSE);
    }
}

struct Capture<'a> {
    disk: &'a dyn Disk,
    staging: Staging,
    tail: Tail,
    /// Tries that ended with a gap between WALs.
    gaps: u32,
}

/// How a try ended.
enum Attempt {
    Still(Copied),
    Moved(String),
}

/// What a try that succeeded has copied.
struct Copied {
    place: Place,
    manifest: std::fs::File,
    version: Version,
    logs: Vec<(String, Seen)>,
    notes: Vec<Note>,
}

impl Capture<'_> {
    fn attempt(&mut self) -> Result<Attempt> {
        self.tail.follow(self.disk)?;
        self.keep_files()?;
        let (place, version) = (self.tail.place(), self.tail.version().clone());
        let path = self.disk.path().join(&place.manifest);
        let manifest = self.tail.file().try_clone().map_err(Error::file(path, "hold"))?;
        let Some(logs) = self.open_logs(version.lowest_log())? else {
            return Ok(Attempt::Moved("a WAL went away while it was opened".to_owned()));
        };
        let (seen, grew) = self.copy_logs(&logs)?;
        self.tail.follow(self.disk)?;
        if self.tail.place().manifest != place.manifest {
            return self.again(&seen, "its MANIFEST was replaced");
        }
        if self.tail.version().marks() != version.marks() {
            return self.again(&seen, "a log number moved");
        }
        if grew {
            return self.again(&seen, "a WAL that was closed went on");
        }
        let logs: Vec<_> = logs.into_iter().map(|log| log.name).zip(seen).collect();
        let notes = judge_logs(&logs);
        if !notes.is_empty() && self.gaps < GAP_RETRIES {
            self.gaps += 1;
            let seen: Vec<Seen> = logs.into_iter().map(|(_, seen)| seen).collect();
            return self.again(&seen, "its WALs do not follow each other");
        }
        Ok(Attempt::Still(Copied { place, manifest, version, logs, notes }))
    }

    /// Another try, unless what was seen shows that none can help. WALs of this one are in nobody's way: the next writes them again or not at all.
    fn again(&self, seen: &[Seen], reason: &str) -> Result<Attempt> {
        if seen.iter().any(|seen| seen.is_compressed) {
            return Err(self.unsupported("its WAL is compressed: set wal_compression to kNoCompression, or stop or freeze the node"));
        }
        Ok(Attempt::Moved(reason.to_owned()))
    }

    /// Keeps every table and blob file of the newest version; what is kept stays kept.
    fn keep_files(&mut self) -> Result<()> {
        'version: loop {
            if let Some(number) = self.tail.version().elsewhere() {
                return Err(self.unsupported(&format!(
                    "table {number} lies in another folder (db_paths or cf_paths): stop or freeze the node, and back up all of its folders"
                )));
            }
            for (file, size) in self.tail.version().files() {
                if self.staging.keep(self.disk, file, size)? == Keeping::Kept {
                    continue;
                }
                // It is deleted only after the MANIFEST says so: then the newer version does without it.
                self.tail.follow(self.disk)?;
                if self.tail.version().files().contains_key(&file) {
                    return Err(self.unsupported(&format!(
                        "{file:?} of its MANIFEST is not there: it is lost, or lies in another folder (db_paths or cf_paths)"
                    )));
                }
                continue 'version;
            }
            return Ok(());
        }
    }

    /// Opens the WALs from `lowest` on, in order; `None` if one went away.
    fn open_logs(&self, lowest: u64) -> Result<Option<Vec<OpenLog>>> {
        // One listing may miss a WAL that is made while it runs and show the next. What the second does not show was not there for the first.
        let newest = self.list_logs(lowest)?.pop_last().map(|(number, _)| number);
        let mut logs = Vec::new();
        for (number, name) in self.list_logs(lowest)? {
            if Some(number) > newest {
                break;
            }
            match self.disk.open(&name) {
                Ok(file) => logs.push(OpenLog { number, name, file }),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(source) => {
                    let path = self.disk.path().join(name);
                    return Err(Error::file(path, "open")(source));
                }
            }
        }
        Ok(Some(logs))
    }

    fn list_logs(&self, lowest: u64) -> Result<BTreeMap<u64, String>> {
        let names = self.disk.list().map_err(Error::file(self.disk.path(), "list"))?;
        let logs = names.into_iter().filter_map(|name| match named(&name) {
            Named::Log(number) if number >= lowest => Some((number, name)),
            _ => None,
        });
        Ok(logs.collect())
    }

    /// Copies WALs in ascending order, and says whether one that was closed has grown since.
    fn copy_logs(&self, logs: &[OpenLog]) -> Result<(Vec<Seen>, bool)> {
        let mut all = Vec::new();
        let mut sizes = Vec::new();
        for (at, log) in logs.iter().enumerate() {
            let (seen, size) = self.staging.write_log(self.disk, log, at + 1 == logs.len())?;
            all.push(seen);
            sizes.push(size);
        }
        sizes.pop();
        let mut grew = false;
        for (log, size) in logs.iter().zip(sizes) {
            let now = self.disk.size(&log.file);
            grew |= now.map_err(Error::file(self.disk.path().join(&log.name), "look at"))? != size;
        }
        Ok((all, grew))
    }

    fn finish(mut self, copy: Copied, options: &Options, request: &Request) -> Result<Captured> {
        if copy.logs.iter().any(|(_, seen)| seen.is_compressed) {
            return Err(self.unsupported("its WAL is compressed: set wal_compression to kNoCompression, or stop or freeze the node"));
        }
        let files = copy.version.files();
        self.staging.settle(&files)?;
        self.drop_other_logs(&copy)?;
        let Place { manifest, length } = &copy.place;
        self.staging.write_start(self.disk, manifest, &copy.manifest, *length)?;
        self.staging.write("CURRENT", format!("{manifest}\n").as_bytes())?;
        let identity = self.copy_small()?;
        let mut captured = Captured { notes: copy.notes.clone(), ..Captured::default() };
        captured.grafts = vec![Graft {
            at: request.path.to_owned(),
            with: With::StagedForever(self.staging.folder().to_owned()),
        }];
        captured.position = position(&copy.version, copy.logs.iter().map(|(_, seen)| seen));
        captured.hashes = identities(self.staging.folder(), &copy.version, identity);
        if options.is_wal_flushed_by_hand {
            captured.notes.push(Note::new("manual-wal-flush", "the program decides when writes reach the WAL (manual_wal_flush): those that it still held back are not in the copy"));
        }
        if !self.staging.is_linked() {
            captured.notes.push(Note::new("copied", "its tables could not be linked and were copied: give a staging folder on the same file system to save time and room"));
        }
        Ok(captured)
    }

    /// WALs that an earlier try has left and this one does without.
    fn drop_other_logs(&self, copy: &Copied) -> Result<()> {
        let folder = self.staging.folder();
        let entries = std::fs::read_dir(folder).map_err(Error::file(folder, "list"))?;
        for entry in entries {
            let entry = entry.map_err(Error::file(folder, "list"))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_ours = copy.logs.iter().any(|(log, _)| *log == name);
            if matches!(named(&name), Named::Log(_)) && !is_ours {
                std::fs::remove_file(entry.path()).map_err(Error::file(entry.path(), "remove"))?;
            }
        }
        Ok(())
    }

    /// Options and identity: good to have, and nothing that a database could not open without. Returns the identity.
    fn copy_small(&self) -> Result<Option<String>> {
        let names = self.disk.list().map_err(Error::file(self.disk.path(), "list"))?;
        let options = names.iter().filter(|name| matches!(named(name), Named::Options(_)));
        for name in options {
            if let Ok(bytes) = self.disk.read(name) {
                self.staging.write(name, &bytes)?;
            }
        }
        let Ok(identity) = self.disk.read("IDENTITY") else {
            return Ok(None);
        };
        self.staging.write("IDENTITY", &identity)?;
        Ok(Some(String::from_utf8_lossy(&identity).trim().to_owned()))
    }

    fn unsupported(&self, reason: &str) -> Error {
        Error::Unsupported { path: self.disk.path().to_owned(), reason: reason.to_owned() }
    }
}

/// What is to be said of WALs: the first is the oldest.
pub fn judge_logs(logs: &[(String, Seen)]) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut after: Option<(u64, &str)> = None;
    let last = logs.len().saturating_sub(1);
    for (at, (name, seen)) in logs.iter().enumerate() {
        if let (Some((offset, what)), true) = (&seen.broken, at != last) {
            let text =
                format!("{name}: {what} at offset {offset}: what follows may not be replayed");
            notes.push(Note::new("wal-broken", text));
        }
        let Some(first) = seen.first else { continue };
        if let Some((expected, before)) = after.filter(|(expected, _)| *expected != first) {
            let text = format!(
                "{before} ends before write {expected}, and {name} begins with {first}: the database writes some without WAL, or ingests tables"
            );
            notes.push(Note::new("sequence-gap", text));
        }
        after = Some((seen.after, name));
    }
    notes
}

/// Which database it is, and which run of its program wrote the newest table. LevelDB knows neither.
pub fn identities(
    folder: &Path,
    version: &Version,
    identity: Option<String>,
) -> BTreeMap<String, String> {
    let tables = version.files().into_keys().filter_map(|file| match file {
        Fixed::Table(number) => Some(number),
        Fixed::Blob(_) => None,
    });
    let newest = tables.max().and_then(|number| Table::open(&table_path(folder, number)).ok());
    let session = newest.and_then(|table| table.text("rocksdb.creating.session.identity"));
    let id = version.db_id.clone().or(identity);
    let found = [("db-id", id), ("session-id", session)];
    found.into_iter().filter_map(|(name, id)| Some((name.to_owned(), id?))).collect()
}

/// How far a database has come.
pub fn position<'a>(version: &Version, logs: impl Iterator<Item = &'a Seen>) -> Position {
    let mut position = Position::default();
    let (mut count, mut last) = (0, version.last_sequence);
    for seen in logs {
        count += 1;
        last = last.max(seen.after.saturating_sub(1));
    }
    let tables = version.families.values().map(|family| family.tables.len() as u64).sum();
    let blobs = version.families.values().map(|family| family.blobs().len() as u64).sum();
    position.count("column-families", version.families.len() as u64);
    position.count("tables", tables);
    position.count("blob-files", blobs);
    position.count("write-ahead-logs", count);
    position.label("last-sequence", last.to_string());
    position
}
