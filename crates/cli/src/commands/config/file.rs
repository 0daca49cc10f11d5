//! The file as a text that a person wrote: comments and order stay.

use std::fs;
use std::io;
use std::path::PathBuf;

use toml_edit::DocumentMut;

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
