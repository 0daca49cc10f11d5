//! The file as a text that a person wrote: comments and order stay.

use std::fs;
use std::io;
use std::path::PathBuf;

use toml_edit::{DocumentMut, Item, TableLike};

use crate::error::{Error, Result};
use crate::home;
use crate::session::App;
use crate::settings::Settings;

/// Where it is, or would be.
pub fn path(app: &App) -> PathBuf {
    app.config.clone().unwrap_or_else(|| app.home.config().to_owned())
}

/// Its text; none if it is not there.
pub fn text(app: &App) -> Result<String> {
    let path = path(app);
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        result => result.map_err(Error::file(&path, "read")),
    }
}

/// What it says.
pub fn document(app: &App) -> Result<DocumentMut> {
    let bad = |error: toml_edit::TomlError| Error::BadConfig {
        path: path(app),
        message: error.to_string().trim_end().to_owned(),
    };
    text(app)?.parse().map_err(bad)
}

/// Writes it, if it can be used.
pub fn write(app: &App, text: &str) -> Result<()> {
    let path = path(app);
    Settings::check(&path, text)?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::file(folder, "make"))?;
    }
    home::replace(&path, text)
}

/// What a document says of a key; `section.key` stands in a section.
pub fn item<'a>(document: &'a DocumentMut, name: &str) -> Option<&'a Item> {
    match name.split_once('.') {
        Some((section, key)) => document.get(section)?.as_table_like()?.get(key),
        None => document.get(name),
    }
}

/// Sets a key.
pub fn set(document: &mut DocumentMut, name: &str, value: toml_edit::Value) {
    let (table, key): (&mut dyn TableLike, &str) = match name.split_once('.') {
        None => (document.as_table_mut(), name),
        Some((section, key)) => {
            let section = document.entry(section).or_insert_with(toml_edit::table);
            match section.as_table_like_mut() {
                Some(table) => (table, key),
                // What stands there is no section, and the file is refused when it is read.
                None => return,
            }
        }
    };
    match table.get_mut(key) {
        // In its place, so that the comment before it stays.
        Some(there) => *there = Item::Value(value),
        None => _ = table.insert(key, Item::Value(value)),
    }
}

/// Takes a key out, and its section if nothing else is in it. Returns whether it was there.
pub fn unset(document: &mut DocumentMut, name: &str) -> bool {
    let Some((section, key)) = name.split_once('.') else {
        return document.remove(name).is_some();
    };
    let Some(table) = document.get_mut(section).and_then(Item::as_table_like_mut) else {
        return false;
    };
    let was_there = table.remove(key).is_some();
    if table.is_empty() {
        document.remove(section);
    }
    was_there
}
