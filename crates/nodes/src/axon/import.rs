//! Backup directories as Axon's own `backup_applets` writes them, read into a checked model: also those it left half-written, without a
//! manifest, which is what it does wherever it crashes. Nothing in one is believed before it was checked.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::applet::{Applet, AppletData, Content, HighScore, Room, TALLIES};
use super::chunks::{self, Flaw};
use super::error::{Error, Result};
use super::files;
use super::manifest::ContentManifest;
use super::moment::Moment;
use super::uuid::Uuid;

/// What Axon calls its own list of a backup.
pub const MANIFEST: &str = "backup_manifest.json";
/// An applet's row.
pub const METADATA: &str = "metadata.json";
/// What users saved in it.
pub const DATA: &str = "applet_data.json";
/// Its high scores.
pub const SCORES: &str = "high_scores.json";
/// Shared state, as Axon once wrote it. Its `restore_applets` crashes on it today.
pub const STATE: &str = "shared_state.json";
/// Shared state, as [`super::export`] writes it: Axon does not look at it.
pub const ROOMS: &str = "nodekeep_rooms.json";
/// The folder of an applet's chunks.
pub const CHUNKS: &str = "chunks";
/// The folder of users' chunks, one folder for each.
pub const DATA_CHUNKS: &str = "data_chunks";
/// The largest JSON file that is read, in bytes.
const MOST_BYTES: u64 = 256 << 20;

/// What lies in a backup directory.
#[derive(Debug, Clone, PartialEq)]
pub struct Backup {
    /// The directory.
    pub folder: PathBuf,
    /// When it was made, by its own words: in the local time of its machine, whose zone it does not say.
    pub made_at: Option<Moment>,
    /// Whether Axon never finished it: it has no list of its own.
    pub is_torn: bool,
    /// What is in it.
    pub applets: Vec<Applet>,
    /// Chunks that its manifests name.
    pub chunks: usize,
    /// Bytes in chunks that are right.
    pub bytes: u64,
    /// Contents that are not whole: whose, and what is wrong.
    pub faults: Vec<(String, Flaw)>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Reads a backup directory and checks every chunk in it.
///
/// # Errors
/// [`Error::Backup`] if this is none, or a file in it breaks the rules; [`Error::Manifest`] for a content's manifest.
pub fn read(folder: &Path) -> Result<Backup> {
    let list = read_json(&folder.join(MANIFEST))?;
    let mut applets = Vec::new();
    let mut notes = Vec::new();
    for applet in applet_folders(folder)? {
        applets.push(Source { folder: &applet }.applet(&mut notes)?);
    }
    if list.is_none() && applets.is_empty() {
        let reason = "this is no backup of Axon applets: no backup_manifest.json, and no folder with a metadata.json";
        return Err(Error::Backup { path: folder.to_owned(), reason: reason.to_owned() });
    }
    if let Some(list) = &list {
        notes.extend(absent(list, &applets));
    } else {
        notes.push("it has no backup_manifest.json: backup_applets did not finish it, and more applets may be missing".to_owned());
    }
    notes.extend(twice(&applets));
    let made_at = list.as_ref().and_then(|list| list.get("backup_date")?.as_str());
    let made_at = made_at.or_else(|| stamp(folder)).and_then(Moment::from_stamp);
    let mut backup = Backup {
        folder: folder.to_owned(),
        made_at,
        is_torn: list.is_none(),
        applets,
        chunks: 0,
        bytes: 0,
        faults: Vec::new(),
        notes,
    };
    backup.examine();
    Ok(backup)
}

/// The folders of applets in a backup directory: those with a `metadata.json`.
pub(super) fn applet_folders(folder: &Path) -> Result<Vec<PathBuf>> {
    if !files::is_folder(folder) {
        let reason = "there is no such folder".to_owned();
        return Err(Error::Backup { path: folder.to_owned(), reason });
    }
    let folders = files::names(folder)?.into_iter().map(|name| folder.join(name));
    let is_applet = |path: &PathBuf| files::is_folder(path) && path.join(METADATA).exists();
    Ok(folders.filter(is_applet).collect())
}

/// A JSON file; `None` if there is none.
pub(super) fn read_json(path: &Path) -> Result<Option<Value>> {
    let Some(text) = files::read_text(path, MOST_BYTES)? else { return Ok(None) };
    let value = serde_json::from_str(&text);
    let value = value.map_err(|error| Error::Backup {
        path: path.to_owned(),
        reason: format!("this is no JSON: {error}"),
    })?;
    Ok(Some(value))
}

/// `20251014_224121`, if the folder is called `backup_20251014_224121`.
fn stamp(folder: &Path) -> Option<&str> {
    folder.file_name()?.to_str()?.strip_prefix("backup_")
}

/// Applets that the list names and that are not there.
fn absent(list: &Value, applets: &[Applet]) -> Vec<String> {
    let listed = list.get("applets").and_then(Value::as_array).into_iter().flatten();
    let listed = listed.filter_map(Value::as_str);
    let gone = listed.filter(|name| !applets.iter().any(|applet| applet.name == *name));
    gone.map(|name| format!("applet {name} is in backup_manifest.json and not in the backup: another with nearly the same name may have overwritten it"))
        .collect()
}

/// Applets that share a name: only the first could be restored.
fn twice(applets: &[Applet]) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    let again = applets.iter().filter(|applet| !seen.insert(&applet.name));
    again.map(|applet| format!("two folders hold an applet {}", applet.name)).collect()
}

impl Backup {
    /// Looks at every chunk.
    fn examine(&mut self) {
        for (holder, content) in self.applets.iter().flat_map(Applet::contents) {
            let (flaws, bytes) = chunks::examine(&content.folder, &content.manifest);
            self.chunks += content.manifest.chunk_hashes.len();
            self.bytes += bytes;
            self.faults.extend(flaws.into_iter().map(|flaw| (holder.clone(), flaw)));
        }
    }
}

/// The folder of one applet.
struct Source<'a> {
    folder: &'a Path,
}

impl Source<'_> {
    fn applet(&self, notes: &mut Vec<String>) -> Result<Applet> {
        let path = self.folder.join(METADATA);
        let metadata = read_json(&path)?.unwrap_or_default();
        let fields = Fields { object: &metadata, path: &path };
        let name = fields.text("name")?;
        let id = fields.id()?;
        let manifest = self.manifest(&metadata, "code_manifest", &format!("applet {name}"))?;
        let folder = self.folder.join(CHUNKS);
        Ok(Applet {
            id,
            description: fields.text_or_empty("description"),
            author_pubkey: fields.text_or_empty("author_pubkey"),
            code: manifest.map(|manifest| Content { manifest, folder }),
            parameters: metadata
                .get("parameters")
                .cloned()
                .unwrap_or(Value::Object(Default::default())),
            is_local: fields.is_set("is_local"),
            created_at: fields.moment("created_at")?,
            category: fields.optional("category"),
            is_debug_mode: fields.is_set("is_debug_mode"),
            event_board: fields.optional("event_board"),
            handles_mime_types: fields.text_or_empty("handles_mime_types"),
            data: self.data(&name, notes)?,
            scores: self.scores()?,
            rooms: self.rooms(id)?,
            name,
        })
    }

    fn data(&self, applet: &str, notes: &mut Vec<String>) -> Result<Vec<AppletData>> {
        let mut all = Vec::new();
        for (path, entry) in self.list(DATA)? {
            let fields = Fields { object: &entry, path: &path };
            let owner_username = fields.text("owner_username")?;
            let holder = format!("data of {owner_username} in applet {applet}");
            let Some(manifest) = self.manifest(&entry, "data_manifest", &holder)? else {
                notes.push(format!("{holder} has no content"));
                continue;
            };
            let folder = self.folder.join(DATA_CHUNKS).join(fields.folder_name(&owner_username)?);
            all.push(AppletData {
                id: fields.id()?,
                owner_pubkey: fields.text_or_empty("owner_pubkey"),
                last_updated: fields.moment("last_updated")?,
                content: Content { manifest, folder },
                owner_username,
            });
        }
        Ok(all)
    }

    fn scores(&self) -> Result<Vec<HighScore>> {
        let score = |(path, entry): (PathBuf, Value)| {
            let fields = Fields { object: &entry, path: &path };
            Ok(HighScore {
                owner_pubkey: fields.text("owner_pubkey")?,
                owner_nickname: fields.text("owner_nickname")?,
                score: fields.number("score")?,
                tallies: TALLIES.map(|tally| entry.get(tally).and_then(Value::as_i64)),
                last_updated: fields.moment("last_updated")?,
            })
        };
        self.list(SCORES)?.into_iter().map(score).collect()
    }

    /// Rooms as they were exported, or the one state that Axon once kept for each applet.
    fn rooms(&self, applet: Uuid) -> Result<Vec<Room>> {
        let mut entries = self.list(ROOMS)?;
        let path = self.folder.join(STATE);
        if let Some(state) = read_json(&path)?.filter(|_| entries.is_empty()) {
            entries.push((path, state));
        }
        let room = |(path, entry): (PathBuf, Value)| {
            let fields = Fields { object: &entry, path: &path };
            Ok(Room {
                room_id: fields.optional("room_id").unwrap_or_else(|| applet.to_string()),
                state: entry
                    .get("state_data")
                    .cloned()
                    .unwrap_or(Value::Object(Default::default())),
                version: fields.number("version")?,
                last_updated: fields.moment("last_updated")?,
            })
        };
        entries.into_iter().map(room).collect()
    }

    /// The entries of a file with a list, each with the file's path.
    fn list(&self, name: &str) -> Result<Vec<(PathBuf, Value)>> {
        let path = self.folder.join(name);
        match read_json(&path)? {
            None => Ok(Vec::new()),
            Some(Value::Array(entries)) => {
                Ok(entries.into_iter().map(|entry| (path.clone(), entry)).collect())
            }
            Some(_) => Err(Error::Backup { path, reason: "this is no list".to_owned() }),
        }
    }

    fn manifest(
        &self,
        object: &Value,
        field: &str,
        holder: &str,
    ) -> Result<Option<ContentManifest>> {
        ContentManifest::from_json(object.get(field).cloned().unwrap_or_default(), holder)
    }
}

/// The fields of a JSON object in a file.
struct Fields<'a> {
    object: &'a Value,
    path: &'a Path,
}

impl Fields<'_> {
    fn text(&self, field: &str) -> Result<String> {
        self.optional(field).ok_or_else(|| self.bad(field, "missing or no text"))
    }

    fn optional(&self, field: &str) -> Option<String> {
        self.object.get(field)?.as_str().map(str::to_owned)
    }

    fn text_or_empty(&self, field: &str) -> String {
        self.optional(field).unwrap_or_default()
    }

    fn is_set(&self, field: &str) -> bool {
        self.object.get(field).and_then(Value::as_bool).unwrap_or(false)
    }

    fn number(&self, field: &str) -> Result<i64> {
        let number = self.object.get(field).and_then(Value::as_i64);
        number.ok_or_else(|| self.bad(field, "missing or no whole number"))
    }

    fn moment(&self, field: &str) -> Result<Moment> {
        Moment::from_iso(&self.text(field)?).ok_or_else(|| self.bad(field, "no point in time"))
    }

    fn id(&self) -> Result<Uuid> {
        Uuid::parse(&self.text("id")?).ok_or_else(|| self.bad("id", "no UUID"))
    }

    /// A name that stays in its folder.
    fn folder_name<'a>(&self, name: &'a str) -> Result<&'a str> {
        if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) {
            return Err(self.bad("owner_username", "no name for a folder"));
        }
        Ok(name)
    }

    fn bad(&self, field: &str, what: &str) -> Error {
        Error::Backup { path: self.path.to_owned(), reason: format!("`{field}` is {what}") }
    }
}
