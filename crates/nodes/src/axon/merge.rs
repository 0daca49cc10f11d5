//! Applets into a live database: as rows, in one transaction, beside a running server.
//!
//! Rows are matched by what they are (an applet by its name, a user by public key, a score by applet and key), never by their numbers.
//! Users are looked up and never made, so that no password and no superuser ever comes along.

mod place;
mod rows;

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use self::place::Placing;
use self::rows::Rows;
use super::applet::Applet;
use super::chunks::Flaw;
use super::database;
use super::error::{Error, Result};
use super::instance;
use super::key::Fingerprint;

/// How to merge.
#[derive(Debug, Clone, Copy)]
pub struct Merging<'a> {
    /// The live database.
    pub database: &'a Path,
    /// The live folder of chunks.
    pub chunks: &'a Path,
    /// Bring applets that are there to what the backup says; otherwise they are passed over, with all that belongs to them. What a user
    /// saved, scored or shared here later than in the backup stays.
    pub update: bool,
    /// Only rows: chunks are fetched later.
    pub skip_chunks: bool,
    /// Also take content that this instance has no envelope for.
    pub accept_sealed: bool,
    /// Only see what would come of it: rows are written and rolled back, chunks are looked at and not copied.
    pub dry_run: bool,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Merged {
    /// Applets that are new here.
    pub added: Vec<String>,
    /// Applets that were there and are as in the backup now.
    pub updated: Vec<String>,
    /// Applets that were there and were passed over.
    pub skipped: Vec<String>,
    /// Rows of users' data that were written.
    pub data: usize,
    /// Rows of high scores that were written.
    pub scores: usize,
    /// Rows of shared states that were written.
    pub rooms: usize,
    /// Chunks that were written.
    pub chunks: usize,
    /// Chunks that are not here although rows name them: whose, and what is wrong.
    pub missing: Vec<(String, Flaw)>,
    /// Content that this instance cannot open: only with `accept_sealed`.
    pub sealed: Vec<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl Merging<'_> {
    /// Merges applets.
    ///
    /// # Errors
    /// [`Error::NoEnvelope`] if this instance could not open what it would get: re-key it first. Then, and on every other error, no row was
    /// written, and no chunk is left.
    pub fn run(&self, applets: &[Applet]) -> Result<Merged> {
        let mut connection = self.open()?;
        let mut merged = Merged::default();
        let mut wanted = self.wanted(&connection, applets, &mut merged)?;
        let mut placing = Placing::new(self, &connection);
        for applet in &mut wanted {
            placing.adopt(applet)?;
        }
        self.check_sealed(&wanted, &mut merged)?;
        let written = placing.place(&wanted, &mut merged);
        let new_folders = placing.into_new_folders();
        let written = written.and_then(|()| self.write(&mut connection, &wanted, &mut merged));
        if written.is_err() {
            for folder in new_folders {
                _ = std::fs::remove_dir_all(folder);
            }
        }
        written.map(|()| merged)
    }

    fn open(&self) -> Result<Connection> {
        let failed = || Error::database(self.database, "cannot be opened");
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
        let connection = Connection::open_with_flags(self.database, flags).map_err(failed())?;
        database::check(&connection, self.database)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(failed())?;
        Ok(connection)
    }

    /// Those that will be written.
    fn wanted(
        &self,
        connection: &Connection,
        applets: &[Applet],
        merged: &mut Merged,
    ) -> Result<Vec<Applet>> {
        let mut wanted: Vec<Applet> = Vec::new();
        for applet in applets {
            if wanted.iter().any(|other| other.name == applet.name) {
                merged.notes.push(format!("a second applet {} was passed over", applet.name));
            } else if !self.update && self.is_there(connection, &applet.name)? {
                merged.skipped.push(applet.name.clone());
            } else {
                wanted.push(applet.clone());
            }
        }
        Ok(wanted)
    }

    fn is_there(&self, connection: &Connection, name: &str) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM applets_applet WHERE name = ?1)";
        let found = connection.query_row(sql, [name], |row| row.get(0));
        found.map_err(Error::database(self.database, "looking for an applet"))
    }

    fn check_sealed(&self, applets: &[Applet], merged: &mut Merged) -> Result<()> {
        let local = instance::known(self.database)?.local.map(|local| local.fingerprint);
        let contents: Vec<_> = applets.iter().flat_map(Applet::contents).collect();
        let is_open = |fingerprint: Option<Fingerprint>, content: &super::applet::Content| {
            fingerprint.is_some_and(|fingerprint| content.manifest.is_for(fingerprint))
        };
        let sealed = contents.iter().filter(|(_, content)| !is_open(local, content));
        let sealed: Vec<String> = sealed.map(|(holder, _)| holder.clone()).collect();
        if sealed.is_empty() || self.accept_sealed {
            merged.sealed = sealed;
            return Ok(());
        }
        let Some(local) = local else {
            let reason =
                "it has no instance with a key yet: start the server once, then restore".to_owned();
            return Err(Error::Instance { path: self.database.to_owned(), reason });
        };
        let fingerprint = local.to_string();
        Err(Error::NoEnvelope { fingerprint, total: contents.len(), holders: sealed })
    }

    fn write(
        &self,
        connection: &mut Connection,
        applets: &[Applet],
        merged: &mut Merged,
    ) -> Result<()> {
        let failed = || Error::database(self.database, "merging");
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = transaction.map_err(failed())?;
        let mut rows = Rows::new(&transaction, self.database, self.update, merged)?;
        for applet in applets {
            rows.merge(applet)?;
        }
        rows.finish()?;
        if self.dry_run {
            return transaction.rollback().map_err(failed());
        }
        transaction.commit().map_err(failed())
    }
}
