//! Applets as a backup directory that Axon's own `restore_applets` accepts, unmodified.
//!
//! What it would crash on or restore to the wrong user is left out or written beside, and said: it looks users up by the exact text of
//! their key, takes a user without one for any other without one, and fails on shared state and on two saves with one key.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::applet::{Applet, AppletData, Content, HighScore, Room, TALLIES};
use super::chunks::{self, Flaw};
use super::error::{Error, Result};
use super::files;
use super::import::{CHUNKS, DATA, DATA_CHUNKS, MANIFEST, METADATA, ROOMS, SCORES};
use super::key;
use super::moment::Moment;

/// The longest name of a folder, in bytes, with room for what makes it unique.
const LONGEST_NAME: usize = 200;

/// What to export.
#[derive(Debug, Clone, Copy)]
pub struct Export<'a> {
    /// What goes in.
    pub applets: &'a [Applet],
    /// Where the backup directory is made.
    pub into: &'a Path,
    /// Names it: `backup_20251014_224121`.
    pub at: Moment,
    /// Leave chunks out.
    pub skip_chunks: bool,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exported {
    /// The backup directory.
    pub folder: PathBuf,
    /// Applets in it.
    pub applets: usize,
    /// Chunks in it.
    pub chunks: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Saves of users in it.
    pub data: usize,
    /// High scores in it.
    pub scores: usize,
    /// Chunks that are not in it although its manifests name them: whose, and why.
    pub missing: Vec<(String, Flaw)>,
    /// What is called differently, was left out or put elsewhere, and why.
    pub notes: Vec<String>,
}

impl Export<'_> {
    /// Writes it. The directory appears whole or not at all.
    ///
    /// # Errors
    /// If it is there already, or cannot be written. A chunk that is missing or wrong is no error but in the result.
    pub fn write(&self) -> Result<Exported> {
        let name = format!("backup_{}", self.at.to_stamp());
        let folder = self.into.join(&name);
        if folder.symlink_metadata().is_ok() {
            return Err(Error::Exists { path: folder });
        }
        let partial = self.into.join(format!(".{name}.partial"));
        let mut writer = Writer {
            folder: partial.clone(),
            skip_chunks: self.skip_chunks,
            taken: BTreeSet::new(),
            done: Exported { folder: folder.clone(), ..Exported::default() },
        };
        let written = writer.all(self.applets, self.at).and_then(|()| {
            fs::rename(&partial, &folder)
                .map_err(Error::file(&folder, "cannot be put in place"))?;
            files::sync_folder(self.into)
        });
        match written {
            Ok(()) => Ok(writer.done),
            Err(error) => {
                _ = fs::remove_dir_all(&partial);
                Err(error)
            }
        }
    }
}

struct Writer {
    folder: PathBuf,
    skip_chunks: bool,
    taken: BTreeSet<String>,
    done: Exported,
}

impl Writer {
    fn all(&mut self, applets: &[Applet], at: Moment) -> Result<()> {
        if self.folder.exists() {
            let failed = Error::file(&self.folder, "what an earlier export left cannot be removed");
            fs::remove_dir_all(&self.folder).map_err(failed)?;
        }
        files::make_folder(&self.folder)?;
        for applet in applets {
            self.applet(applet)?;
        }
        let names: Vec<&str> = applets.iter().map(|applet| applet.name.as_str()).collect();
        let list = json!({
            "backup_date": at.to_stamp(),
            "total_applets": self.done.applets,
            "total_chunks": self.done.chunks,
            "total_data_instances": self.done.data,
            "total_high_scores": self.done.scores,
            "applets": names,
        });
        write_json(&self.folder.join(MANIFEST), &list)
    }

    fn applet(&mut self, applet: &Applet) -> Result<()> {
        let name = self.folder_name(&applet.name);
        let folder = self.folder.join(name);
        files::make_folder(&folder)?;
        write_json(&folder.join(METADATA), &metadata(applet))?;
        if let Some(code) = &applet.code {
            self.chunks(code, &folder.join(CHUNKS), &applet.holder())?;
        }
        self.data(applet, &folder)?;
        if !applet.scores.is_empty() {
            let scores = applet.scores.iter().map(score).collect();
            write_json(&folder.join(SCORES), &Value::Array(scores))?;
            self.done.scores += applet.scores.len();
        }
        if !applet.rooms.is_empty() {
            let rooms = applet.rooms.iter().map(room).collect();
            write_json(&folder.join(ROOMS), &Value::Array(rooms))?;
            self.note(format!(
                "applet {}: {} shared states are in {ROOMS}, which Axon does not read: it crashes on shared states",
                applet.name, applet.rooms.len()
            ));
        }
        self.done.applets += 1;
        Ok(())
    }

    /// As Axon names folders, but unique.
    fn folder_name(&mut self, name: &str) -> String {
        let theirs = name.replace(['/', ' '], "_");
        let usual = usable(&theirs);
        let mut unique = usual.clone();
        for number in 2.. {
            if self.taken.insert(unique.clone()) {
                break;
            }
            unique = format!("{usual}-{number}");
        }
        if unique != theirs {
            self.note(format!(
                "applet {name}: its folder is {unique}, because {theirs} is taken or cannot be used; restore it alone with --applet {unique}"
            ));
        }
        unique
    }

    fn data(&mut self, applet: &Applet, folder: &Path) -> Result<()> {
        let mut entries = Vec::new();
        let mut keys = BTreeSet::new();
        let mut users = BTreeSet::new();
        for data in &applet.data {
            let pubkey = key::normalised(&data.owner_pubkey);
            let holder = data.holder(&applet.name);
            if pubkey.is_empty() {
                self.note(format!("{holder} was left out: the user has no public key, and Axon would give it to another user without one"));
                continue;
            }
            if !keys.insert(pubkey.clone()) {
                self.note(format!("{holder} was left out: another user has the same public key, and Axon would crash on the second"));
                continue;
            }
            let user = unique_user(&data.owner_username, &mut users);
            entries.push(saved(data, &user, &pubkey));
            self.chunks(&data.content, &folder.join(DATA_CHUNKS).join(&user), &holder)?;
        }
        self.done.data += entries.len();
        if entries.is_empty() {
            Ok(())
        } else {
            write_json(&folder.join(DATA), &Value::Array(entries))
        }
    }

    fn chunks(&mut self, content: &Content, to: &Path, holder: &str) -> Result<()> {
        if self.skip_chunks {
            return Ok(());
        }
        files::make_folder(to)?;
        for index in 0..content.manifest.chunk_hashes.len() {
            match chunks::read(&content.folder, &content.manifest, index) {
                Ok(bytes) => {
                    files::write_whole(&to.join(chunks::name(index)), &bytes)?;
                    self.done.chunks += 1;
                    self.done.bytes += bytes.len() as u64;
                }
                Err(flaw) => self.done.missing.push((holder.to_owned(), flaw)),
            }
        }
        Ok(())
    }

    fn note(&mut self, note: String) {
        self.done.notes.push(note);
    }
}

/// A name that a folder can have and that Axon looks into.
fn usable(name: &str) -> String {
    let mut end = name.len().min(LONGEST_NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let name = name[..end].replace('\0', "_");
    let is_odd = matches!(name.as_str(), "" | "." | ".." | "__pycache__" | MANIFEST);
    if is_odd { format!("applet{name}") } else { name }
}

/// A user's folder: Axon takes it from the same field, and finds the user by key.
fn unique_user(name: &str, taken: &mut BTreeSet<String>) -> String {
    let usual = usable(&name.replace('/', "_"));
    let mut unique = usual.clone();
    for number in 2.. {
        if taken.insert(unique.clone()) {
            break;
        }
        unique = format!("{usual}-{number}");
    }
    unique
}

fn metadata(applet: &Applet) -> Value {
    let manifest = applet.code.as_ref().map_or_else(|| json!({}), |code| code.manifest.to_json());
    json!({
        "id": applet.id.to_string(),
        "name": applet.name,
        "description": applet.description,
        "author_pubkey": key::normalised(&applet.author_pubkey),
        "code_manifest": manifest,
        "parameters": applet.parameters,
        "is_local": applet.is_local,
        "created_at": applet.created_at.to_iso(),
        "category": applet.category,
        "is_debug_mode": applet.is_debug_mode,
        "event_board": applet.event_board,
        "handles_mime_types": applet.handles_mime_types,
    })
}

fn saved(data: &AppletData, user: &str, pubkey: &str) -> Value {
    json!({
        "id": data.id.to_string(),
        "owner_username": user,
        "owner_pubkey": pubkey,
        "data_manifest": data.content.manifest.to_json(),
        "last_updated": data.last_updated.to_iso(),
    })
}

fn score(score: &HighScore) -> Value {
    let mut entry = json!({
        "owner_pubkey": score.owner_pubkey,
        "owner_nickname": score.owner_nickname,
        "score": score.score,
    });
    for (name, tally) in TALLIES.iter().zip(score.tallies) {
        entry[*name] = json!(tally);
    }
    entry["last_updated"] = json!(score.last_updated.to_iso());
    entry
}

fn room(room: &Room) -> Value {
    json!({
        "room_id": room.room_id,
        "state_data": room.state,
        "version": room.version,
        "last_updated": room.last_updated.to_iso(),
    })
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    files::write_whole(path, text.as_bytes())
}
