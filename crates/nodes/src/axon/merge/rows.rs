//! Rows of applets: looked up by what they are, inserted with every column that Django expects, since it keeps its defaults to itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::Merged;
use crate::axon::applet::{Applet, AppletData, HighScore, Room, TALLIES};
use crate::axon::error::{Error, Result};
use crate::axon::key;
use crate::axon::moment::Moment;
use crate::axon::uuid::Uuid;

/// The tables that are written, for the check of foreign keys.
const TABLES: [&str; 3] = ["applets_applet", "applets_appletdata", "applets_highscore"];

/// A column and what goes into it.
type Cell = (&'static str, Value);

pub(super) struct Rows<'a> {
    connection: &'a Connection,
    path: &'a Path,
    update: bool,
    merged: &'a mut Merged,
    /// By public key in its one spelling.
    users: BTreeMap<String, i64>,
    /// Breaches of foreign keys before anything was written.
    breaches: i64,
}

impl<'a> Rows<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        path: &'a Path,
        update: bool,
        merged: &'a mut Merged,
    ) -> Result<Self> {
        let users = users(connection, path)?;
        let mut rows = Self { connection, path, update, merged, users, breaches: 0 };
        rows.breaches = rows.count_breaches()?;
        Ok(rows)
    }

    pub(super) fn merge(&mut self, applet: &Applet) -> Result<()> {
        let here: Option<String> =
            self.find("SELECT id FROM applets_applet WHERE name = ?1", [&applet.name])?;
        let id = match here {
            // It came while chunks were copied.
            Some(_) if !self.update => {
                self.merged.skipped.push(applet.name.clone());
                return Ok(());
            }
            Some(id) => self.update_applet(applet, &id)?,
            None => self.add_applet(applet)?,
        };
        for data in &applet.data {
            self.data(applet, data, &id)?;
        }
        for score in &applet.scores {
            self.score(score, &id)?;
        }
        for room in &applet.rooms {
            self.room(applet, room, &id)?;
        }
        Ok(())
    }

    /// # Errors
    /// If rows point to what is not there.
    pub(super) fn finish(self) -> Result<()> {
        if self.count_breaches()? <= self.breaches {
            return Ok(());
        }
        let reason =
            "what was merged points to rows that are not there; nothing was written".to_owned();
        Err(Error::Schema { path: self.path.to_owned(), reason })
    }

    fn add_applet(&mut self, applet: &Applet) -> Result<String> {
        let id = self.free_id("applets_applet", applet.id)?;
        let mut cells = self.cells(applet)?;
        cells.push(("id", id.to_sql().into()));
        cells.push(("name", applet.name.clone().into()));
        cells.push(("created_at", applet.created_at.to_sql().into()));
        cells.push(("owner_id", self.user(&applet.author_pubkey).into()));
        self.insert("applets_applet", cells)?;
        self.merged.added.push(applet.name.clone());
        Ok(id.to_sql())
    }

    fn update_applet(&mut self, applet: &Applet, id: &str) -> Result<String> {
        let mut cells = self.cells(applet)?;
        if let Some(owner) = self.user(&applet.author_pubkey) {
            cells.push(("owner_id", owner.into()));
        }
        self.set("applets_applet", cells, id.to_owned().into())?;
        self.merged.updated.push(applet.name.clone());
        Ok(id.to_owned())
    }

    /// The columns that a backup decides.
    fn cells(&mut self, applet: &Applet) -> Result<Vec<Cell>> {
        let manifest = applet.code.as_ref().map(|code| code.manifest.to_json().to_string());
        Ok(vec![
            ("description", applet.description.clone().into()),
            ("author_pubkey", applet.author_pubkey.clone().into()),
            ("code_manifest", manifest.unwrap_or_else(|| "{}".to_owned()).into()),
            ("parameters", applet.parameters.to_string().into()),
            ("is_local", applet.is_local.into()),
            ("is_debug_mode", applet.is_debug_mode.into()),
            ("handles_mime_types", applet.handles_mime_types.clone().into()),
            ("category_id", self.category(applet.category.as_deref())?.into()),
            ("event_board_id", self.board(applet.event_board.as_deref())?.into()),
        ])
    }

    fn category(&mut self, name: Option<&str>) -> Result<Option<i64>> {
        let Some(name) = name else { return Ok(None) };
        let here = self.find("SELECT id FROM applets_appletcategory WHERE name = ?1", [name])?;
        if here.is_some() {
            return Ok(here);
        }
        let cells = vec![("name", name.to_owned().into()), ("description", String::new().into())];
        self.insert("applets_appletcategory", cells).map(Some)
    }

    /// Boards' names are not unique: the oldest counts.
    fn board(&mut self, name: Option<&str>) -> Result<Option<i64>> {
        let Some(name) = name else { return Ok(None) };
        let sql = "SELECT min(id) FROM messaging_messageboard WHERE name = ?1";
        if let Some(id) = self.find::<Option<i64>>(sql, [name])?.flatten() {
            return Ok(Some(id));
        }
        self.merged.notes.push(format!(
            "board {name} was made, with Axon's usual settings: look at who may read it"
        ));
        let cells = vec![
            ("name", name.to_owned().into()),
            ("description", String::new().into()),
            ("required_access_level", 10.into()),
            ("is_realtime", false.into()),
            ("local_poll_interval", 1.0.into()),
            ("federation_poll_interval", 5.0.into()),
            ("use_lan_federation", false.into()),
            ("trusted_peers", "[]".to_owned().into()),
            ("message_retention_days", 30.into()),
        ];
        self.insert("messaging_messageboard", cells).map(Some)
    }

    fn data(&mut self, applet: &Applet, data: &AppletData, applet_id: &str) -> Result<()> {
        let holder = data.holder(&applet.name);
        let Some(owner) = self.user(&data.owner_pubkey) else {
            self.note(format!("{holder} was left out: no user here has this public key"));
            return Ok(());
        };
        let sql = "SELECT id, last_updated FROM applets_appletdata WHERE applet_id = ?1 AND owner_id = ?2";
        let here = self
            .connection
            .query_row(sql, (applet_id, owner), |row| Ok((row.get(0)?, row.get(1)?)));
        let here: Option<(String, String)> = here.optional().map_err(self.failed())?;
        let mut cells = vec![
            ("data_manifest", data.content.manifest.to_json().to_string().into()),
            ("last_updated", data.last_updated.to_sql().into()),
        ];
        match here {
            Some((_, last)) if is_later(&last, data.last_updated) => {
                self.note(format!("{holder} stays as it is here: it is not older"));
                return Ok(());
            }
            Some((id, _)) => self.set("applets_appletdata", cells, id.into())?,
            None => {
                cells.push(("id", self.free_id("applets_appletdata", data.id)?.to_sql().into()));
                cells.push(("applet_id", applet_id.to_owned().into()));
                cells.push(("owner_id", owner.into()));
                self.insert("applets_appletdata", cells)?;
            }
        }
        self.merged.data += 1;
        Ok(())
    }

    fn score(&mut self, score: &HighScore, applet_id: &str) -> Result<()> {
        let sql = "SELECT id, last_updated FROM applets_highscore WHERE applet_id = ?1 AND owner_pubkey = ?2";
        let values = (applet_id, &score.owner_pubkey);
        let here = self.connection.query_row(sql, values, |row| Ok((row.get(0)?, row.get(1)?)));
        let here: Option<(i64, String)> = here.optional().map_err(self.failed())?;
        let mut cells: Vec<Cell> = vec![
            ("owner_nickname", score.owner_nickname.clone().into()),
            ("score", score.score.into()),
            ("last_updated", score.last_updated.to_sql().into()),
        ];
        cells.extend(TALLIES.into_iter().zip(score.tallies.map(Value::from)));
        match here {
            Some((_, last)) if is_later(&last, score.last_updated) => return Ok(()),
            Some((id, _)) => self.set("applets_highscore", cells, id.into())?,
            None => {
                cells.push(("applet_id", applet_id.to_owned().into()));
                cells.push(("owner_pubkey", score.owner_pubkey.clone().into()));
                self.insert("applets_highscore", cells)?;
            }
        }
        self.merged.scores += 1;
        Ok(())
    }

    fn room(&mut self, applet: &Applet, room: &Room, applet_id: &str) -> Result<()> {
        let own = Uuid::parse(applet_id).unwrap_or(applet.id).to_string();
        let is_own = room.room_id == applet.id.to_string();
        let room_id = if is_own { own.clone() } else { room.room_id.clone() };
        let sql = "SELECT id, version FROM applets_appletsharedstate WHERE room_id = ?1";
        let here = self.connection.query_row(sql, [&room_id], |row| Ok((row.get(0)?, row.get(1)?)));
        let here: Option<(String, i64)> = here.optional().map_err(self.failed())?;
        let mut cells = vec![
            ("state_data", room.state.to_string().into()),
            ("version", room.version.into()),
            ("last_updated", room.last_updated.to_sql().into()),
        ];
        match here {
            Some((_, version)) if version >= room.version => {
                self.note(format!(
                    "shared state of room {room_id} stays as it is here: version {version}"
                ));
                return Ok(());
            }
            Some((id, _)) => self.set("applets_appletsharedstate", cells, id.into())?,
            None => {
                cells.push(("id", Uuid::random().to_sql().into()));
                cells.push(("applet_id", own.into()));
                cells.push(("room_id", room_id.into()));
                self.insert("applets_appletsharedstate", cells)?;
            }
        }
        self.merged.rooms += 1;
        Ok(())
    }

    fn user(&self, pubkey: &str) -> Option<i64> {
        let pubkey = key::normalised(pubkey);
        self.users.get(&pubkey).copied().filter(|_| !pubkey.is_empty())
    }

    /// The id itself, or a new one if another row has it.
    fn free_id(&self, table: &str, id: Uuid) -> Result<Uuid> {
        let sql = format!("SELECT 1 FROM {table} WHERE id = ?1");
        let taken: Option<i64> = self.find(&sql, [id.to_sql()])?;
        Ok(if taken.is_some() { Uuid::random() } else { id })
    }

    fn find<T: rusqlite::types::FromSql>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<Option<T>> {
        self.connection.query_row(sql, values, |row| row.get(0)).optional().map_err(self.failed())
    }

    /// Inserts a row into a table as it is in this version of Axon.
    fn insert(&self, table: &str, mut cells: Vec<Cell>) -> Result<i64> {
        let columns = self.columns(table)?;
        cells.retain(|(name, _)| columns.contains_key(*name));
        let given: BTreeSet<&str> = cells.iter().map(|(name, _)| *name).collect();
        let lacking =
            columns.iter().find(|(name, is_needed)| **is_needed && !given.contains(name.as_str()));
        if let Some((name, _)) = lacking {
            let reason = format!(
                "`{table}` has a column `{name}` that this version does not know; nothing was written"
            );
            return Err(Error::Schema { path: self.path.to_owned(), reason });
        }
        let names: Vec<String> = cells.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let places = vec!["?"; cells.len()].join(", ");
        let sql = format!("INSERT INTO {table} ({}) VALUES ({places})", names.join(", "));
        let values = params_from_iter(cells.into_iter().map(|(_, value)| value));
        self.connection.execute(&sql, values).map_err(self.failed())?;
        Ok(self.connection.last_insert_rowid())
    }

    fn set(&self, table: &str, cells: Vec<Cell>, id: Value) -> Result<()> {
        let names: Vec<String> = cells.iter().map(|(name, _)| format!("\"{name}\" = ?")).collect();
        let sql = format!("UPDATE {table} SET {} WHERE id = ?", names.join(", "));
        let values = cells.into_iter().map(|(_, value)| value).chain([id]);
        self.connection.execute(&sql, params_from_iter(values)).map(drop).map_err(self.failed())
    }

    /// Columns, and whether a row cannot do without.
    fn columns(&self, table: &str) -> Result<BTreeMap<String, bool>> {
        let sql = "SELECT name, \"notnull\" AND dflt_value IS NULL AND NOT (pk AND lower(type) = 'integer')
                   FROM pragma_table_info(?1)";
        let mut statement = self.connection.prepare(sql).map_err(self.failed())?;
        let rows = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.map_err(self.failed())?.collect::<Result<_, _>>().map_err(self.failed())
    }

    fn count_breaches(&self) -> Result<i64> {
        let mut breaches = 0;
        for table in TABLES {
            let sql = "SELECT count(*) FROM pragma_foreign_key_check(?1)";
            breaches += self.find::<i64>(sql, [table])?.unwrap_or(0);
        }
        Ok(breaches)
    }

    fn note(&mut self, note: String) {
        self.merged.notes.push(note);
    }

    fn failed(&self) -> impl FnOnce(rusqlite::Error) -> Error + use<> {
        Error::database(self.path, "merging")
    }
}

/// Users by their public keys; where two have one key, the older counts.
fn users(connection: &Connection, path: &Path) -> Result<BTreeMap<String, i64>> {
    let failed = || Error::database(path, "reading the users");
    let sql =
        "SELECT id, pubkey FROM core_user WHERE pubkey IS NOT NULL AND pubkey <> '' ORDER BY id";
    let mut statement = connection.prepare(sql).map_err(failed())?;
    let mut rows = statement.query([]).map_err(failed())?;
    let mut users = BTreeMap::new();
    while let Some(row) = rows.next().map_err(failed())? {
        let pubkey: String = row.get(1).map_err(failed())?;
        users.entry(key::normalised(&pubkey)).or_insert(row.get(0).map_err(failed())?);
    }
    Ok(users)
}

/// Whether what is here is as late as what comes. What cannot be read counts as older.
fn is_later(here: &str, comes: Moment) -> bool {
    Moment::from_sql(here).is_some_and(|here| here >= comes)
}
