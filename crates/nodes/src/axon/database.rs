//! An instance's database: what manifests it holds, and applets with all that belongs to them. Read-only, and safe beside a running server.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::FromSql;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};
use serde_json::Value;

use super::applet::{Applet, AppletData, Content, HighScore, Room, TALLIES};
use super::error::{Error, Result};
use super::manifest::ContentManifest;
use super::moment::Moment;
use super::uuid::Uuid;

/// How long a server's lock is waited for: as long as Axon itself does.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A kind of row with a content manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HolderKind {
    /// An applet's code.
    Applet,
    /// What a user saved in an applet.
    AppletData,
    /// An uploaded file.
    File,
    /// A message on a board.
    Message,
    /// A private message.
    PrivateMessage,
}

/// Where a kind's manifests lie.
struct Place {
    table: &'static str,
    column: &'static str,
    /// Rows as id, name, manifest, and the public key of the user whose it is.
    rows: &'static str,
}

impl HolderKind {
    /// Every kind, the most precious first.
    pub const ALL: [Self; 5] =
        [Self::Applet, Self::AppletData, Self::File, Self::Message, Self::PrivateMessage];
    /// What belongs to applets.
    pub const APPLETS: [Self; 2] = [Self::Applet, Self::AppletData];

    fn place(self) -> Place {
        let (table, column, rows) = match self {
            Self::Applet => (
                "applets_applet",
                "code_manifest",
                "SELECT id, 'applet ' || name, code_manifest, NULL FROM applets_applet ORDER BY name",
            ),
            Self::AppletData => (
                "applets_appletdata",
                "data_manifest",
                "SELECT d.id, 'data of ' || coalesce(u.username, '?') || ' in applet ' || coalesce(a.name, '?'), d.data_manifest, u.pubkey
                 FROM applets_appletdata d LEFT JOIN applets_applet a ON a.id = d.applet_id
                 LEFT JOIN core_user u ON u.id = d.owner_id ORDER BY 2",
            ),
            Self::File => (
                "core_fileattachment",
                "metadata_manifest",
                "SELECT id, 'file ' || filename, metadata_manifest, NULL FROM core_fileattachment ORDER BY id",
            ),
            Self::Message => (
                "messaging_message",
                "metadata_manifest",
                "SELECT id, 'message ' || id, metadata_manifest, NULL FROM messaging_message ORDER BY id",
            ),
            Self::PrivateMessage => (
                "messaging_privatemessage",
                "metadata_manifest",
                "SELECT id, 'private message ' || id, metadata_manifest, NULL FROM messaging_privatemessage ORDER BY id",
            ),
        };
        Place { table, column, rows }
    }
}

/// A row with a content manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// What it is.
    pub kind: HolderKind,
    /// Its key in its table.
    pub id: String,
    /// How messages name it.
    pub name: String,
    /// The public key of the user who saved it, for what users save.
    pub owner_pubkey: Option<String>,
}

/// Opens a database to read it.
///
/// # Errors
/// [`Error::Schema`] if it is not Axon's.
pub fn open(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .map_err(Error::database(path, "cannot be opened"))?;
    check(&connection, path)?;
    Ok(connection)
}

/// Sets the patience, and makes sure that the tables are there.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<()> {
    connection.busy_timeout(PATIENCE).map_err(Error::database(path, "cannot be opened"))?;
    let own = ["core_trustedinstance", "core_user", "applets_appletsharedstate"];
    let tables = HolderKind::ALL.into_iter().map(|kind| kind.place().table).chain(own);
    for table in tables {
        let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1";
        let found = connection.query_row(sql, [table], |_| Ok(())).optional();
        if found.map_err(Error::database(path, "cannot be read"))?.is_none() {
            let reason = format!("there is no table `{table}`");
            return Err(Error::Schema { path: path.to_owned(), reason });
        }
    }
    Ok(())
}

/// Shows every manifest of these kinds, as text, to `visit`.
///
/// # Errors
/// If the database cannot be read, or what `visit` says.
pub fn each_manifest(
    connection: &Connection,
    path: &Path,
    kinds: &[HolderKind],
    mut visit: impl FnMut(Holder, &str) -> Result<()>,
) -> Result<()> {
    let failed = || Error::database(path, "reading the manifests");
    for kind in kinds {
        let mut statement = connection.prepare(kind.place().rows).map_err(failed())?;
        let mut rows = statement.query([]).map_err(failed())?;
        while let Some(row) = rows.next().map_err(failed())? {
            let id = row.get(0).map_err(failed())?;
            let name = row.get(1).map_err(failed())?;
            let text: Option<String> = row.get(2).map_err(failed())?;
            if let Some(text) = text {
                let owner_pubkey = row.get(3).map_err(failed())?;
                visit(Holder { kind: *kind, id, name, owner_pubkey }, &text)?;
            }
        }
    }
    Ok(())
}

/// The manifest that a row has now; `None` if the row or its manifest is gone.
///
/// # Errors
/// If it cannot be read.
pub fn manifest_of(
    connection: &Connection,
    path: &Path,
    holder: &Holder,
) -> Result<Option<ContentManifest>> {
    let Place { table, column, .. } = holder.kind.place();
    let sql = format!("SELECT {column} FROM {table} WHERE id = ?1");
    let text = connection.query_row(&sql, [&holder.id], |row| row.get::<_, Option<String>>(0));
    let text = text.optional().map_err(Error::database(path, "reading a manifest"))?.flatten();
    text.map_or(Ok(None), |text| ContentManifest::from_text(&text, &holder.name))
}

/// Puts a manifest in place of a row's.
pub(super) fn set_manifest(
    connection: &Connection,
    path: &Path,
    holder: &Holder,
    manifest: &ContentManifest,
) -> Result<()> {
    let Place { table, column, .. } = holder.kind.place();
    let sql = format!("UPDATE {table} SET {column} = ?2 WHERE id = ?1");
    let text = manifest.to_json().to_string();
    let done = connection.execute(&sql, [&holder.id, &text]);
    done.map(drop).map_err(Error::database(path, "writing a manifest"))
}

/// Every applet with what belongs to it, seen at one moment. Chunks are looked for in `chunks`.
///
/// # Errors
/// If the database cannot be read, or a row in it breaks its own rules.
pub fn applets(path: &Path, chunks: &Path) -> Result<Vec<Applet>> {
    let connection = open(path)?;
    let failed = Error::database(path, "cannot be read");
    let transaction = connection.unchecked_transaction().map_err(failed)?;
    Reader { connection: &transaction, path, chunks }.applets()
}

struct Reader<'a> {
    connection: &'a Connection,
    path: &'a Path,
    chunks: &'a Path,
}

impl Reader<'_> {
    fn applets(&self) -> Result<Vec<Applet>> {
        let sql = "SELECT a.id, a.name, a.description, a.author_pubkey, a.code_manifest, a.parameters, a.is_local,
                   a.created_at, c.name, a.is_debug_mode, b.name, a.handles_mime_types
                   FROM applets_applet a LEFT JOIN applets_appletcategory c ON c.id = a.category_id
                   LEFT JOIN messaging_messageboard b ON b.id = a.event_board_id ORDER BY a.name";
        self.rows(sql, [], |row| {
            let id = self.id(row, 0)?;
            let name: String = self.get(row, 1)?;
            let code = self.content(row, 4, &format!("applet {name}"))?;
            Ok(Applet {
                id,
                description: self.get(row, 2)?,
                author_pubkey: self.get(row, 3)?,
                code,
                parameters: self.json(row, 5)?,
                is_local: self.get(row, 6)?,
                created_at: self.moment(row, 7)?,
                category: self.get(row, 8)?,
                is_debug_mode: self.get(row, 9)?,
                event_board: self.get(row, 10)?,
                handles_mime_types: self.get(row, 11)?,
                data: self.data(id, &name)?,
                scores: self.scores(id)?,
                rooms: self.rooms(id)?,
                name,
            })
        })
    }

    fn data(&self, applet: Uuid, name: &str) -> Result<Vec<AppletData>> {
        let sql = "SELECT d.id, u.username, coalesce(u.pubkey, ''), d.data_manifest, d.last_updated
                   FROM applets_appletdata d JOIN core_user u ON u.id = d.owner_id
                   WHERE d.applet_id = ?1 ORDER BY u.username";
        let data = self.rows(sql, [applet.to_sql()], |row| {
            let owner_username: String = self.get(row, 1)?;
            let content =
                self.content(row, 3, &format!("data of {owner_username} in applet {name}"))?;
            let Some(content) = content else { return Ok(None) };
            Ok(Some(AppletData {
                id: self.id(row, 0)?,
                owner_username,
                owner_pubkey: self.get(row, 2)?,
                content,
                last_updated: self.moment(row, 4)?,
            }))
        })?;
        Ok(data.into_iter().flatten().collect())
    }

    fn scores(&self, applet: Uuid) -> Result<Vec<HighScore>> {
        let sql = format!(
            "SELECT owner_pubkey, owner_nickname, score, last_updated, {}
             FROM applets_highscore WHERE applet_id = ?1 ORDER BY score DESC, id",
            TALLIES.join(", ")
        );
        self.rows(&sql, [applet.to_sql()], |row| {
            let mut tallies = [None; 5];
            for (place, tally) in tallies.iter_mut().enumerate() {
                *tally = self.get(row, 4 + place)?;
            }
            Ok(HighScore {
                owner_pubkey: self.get(row, 0)?,
                owner_nickname: self.get(row, 1)?,
                score: self.get(row, 2)?,
                last_updated: self.moment(row, 3)?,
                tallies,
            })
        })
    }

    fn rooms(&self, applet: Uuid) -> Result<Vec<Room>> {
        let sql = "SELECT room_id, state_data, version, last_updated FROM applets_appletsharedstate
                   WHERE lower(replace(applet_id, '-', '')) = ?1 ORDER BY room_id";
        self.rows(sql, [applet.to_sql()], |row| {
            Ok(Room {
                room_id: self.get(row, 0)?,
                state: self.json(row, 1)?,
                version: self.get(row, 2)?,
                last_updated: self.moment(row, 3)?,
            })
        })
    }

    fn rows<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        read: impl Fn(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let failed = || Error::database(self.path, "reading the applets");
        let mut statement = self.connection.prepare(sql).map_err(failed())?;
        let mut rows = statement.query(values).map_err(failed())?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(failed())? {
            all.push(read(row)?);
        }
        Ok(all)
    }

    fn get<T: FromSql>(&self, row: &Row<'_>, column: usize) -> Result<T> {
        row.get(column).map_err(Error::database(self.path, "reading the applets"))
    }

    fn id(&self, row: &Row<'_>, column: usize) -> Result<Uuid> {
        let text: String = self.get(row, column)?;
        Uuid::parse(&text).ok_or_else(|| self.odd(format!("`{text}` is no UUID")))
    }

    fn moment(&self, row: &Row<'_>, column: usize) -> Result<Moment> {
        let text: String = self.get(row, column)?;
        Moment::from_sql(&text).ok_or_else(|| self.odd(format!("`{text}` is no point in time")))
    }

    fn json(&self, row: &Row<'_>, column: usize) -> Result<Value> {
        let text: String = self.get(row, column)?;
        serde_json::from_str(&text).map_err(|error| self.odd(format!("a JSON field: {error}")))
    }

    fn content(&self, row: &Row<'_>, column: usize, holder: &str) -> Result<Option<Content>> {
        let text: String = self.get(row, column)?;
        let manifest = ContentManifest::from_text(&text, holder)?;
        Ok(manifest.map(|manifest| {
            let folder = self.chunks.join(manifest.content_hash.to_string());
            Content { manifest, folder }
        }))
    }

    fn odd(&self, reason: String) -> Error {
        Error::Schema { path: self.path.to_owned(), reason }
    }
}
