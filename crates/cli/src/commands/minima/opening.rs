//! How a node's files are read, and where their passwords and phrases come from.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use nodekeep_nodes::minima::archive;
use nodekeep_nodes::minima::backup::{self, Contents, LIMIT};
use nodekeep_nodes::minima::error::Error as Minima;
use nodekeep_nodes::minima::password::Password;
use nodekeep_nodes::minima::phrase::Phrase;

use crate::error::{Error, Result};
use crate::output::Output;
use crate::session::App;

/// Said of a backup that anybody can open.
pub const UNPROTECTED: &str =
    "It has no password: whoever gets the file has the node's keys and its coins.";

/// The password of a backup, or of the keys of a node.
#[derive(Debug, Args)]
pub struct PasswordFrom {
    /// The file that holds the password of the node's own backup, or of its keys; - is standard input [env: NODEKEEP_NODE_PASSWORD, NODEKEEP_NODE_PASSWORD_FILE]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// A phrase that somebody has on paper.
#[derive(Debug, Args)]
pub struct PhraseFrom {
    /// The file that holds the node's 24 words; - is standard input [env: NODEKEEP_NODE_PHRASE, NODEKEEP_NODE_PHRASE_FILE]
    #[arg(long, value_name = "FILE")]
    node_phrase_file: Option<PathBuf>,
}

/// A backup that was opened.
pub struct Opened {
    /// What is in it.
    pub contents: Contents,
    /// Whether a password of its owner protects it.
    pub is_protected: bool,
}

/// What a file is, by its first bytes.
pub enum FileKind {
    /// A node's backup: it begins with the length of its salt.
    Backup,
    /// An exported archive: gzip.
    Archive,
    /// All coins: two versions, each the number 1.
    Mega,
}

impl FileKind {
    /// Looks at a file.
    ///
    /// # Errors
    /// If it is not there or cannot be read.
    pub fn of(path: &Path) -> Result<Self> {
        let mut first = Vec::new();
        let file = File::open(path).map_err(unread(path))?;
        file.take(6).read_to_end(&mut first).map_err(Error::file(path, "read"))?;
        Ok(match first.as_slice() {
            [0x1f, 0x8b, ..] if archive::is_sql(reader(path)?) => {
                return Err(Error::Options(
                    "this is an archive in SQL, of which no block can be checked: let the node write another with `archive action:exportraw`",
                ));
            }
            [0x1f, 0x8b, ..] => Self::Archive,
            [0, 1, _, 0, 1, _] => Self::Mega,
            _ => Self::Backup,
        })
    }

    /// As documents spell it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Archive => "archive",
            Self::Mega => "megammr",
        }
    }
}

impl PasswordFrom {
    /// Opens a backup: with the password that is given, or with none, or with one that is asked for.
    pub fn open(&self, app: &App, path: &Path) -> Result<Opened> {
        let file = read(path)?;
        let opened = |password: &Password| {
            let contents = backup::open(&file, password, LIMIT)?;
            Ok(Opened { contents, is_protected: !password.is_none() })
        };
        let wrong = |error| Error::Minima { path: path.to_owned(), error };
        if let Some(given) = app.secrets.given_node_password(self.password_file.as_deref())? {
            return opened(&Password::new(given)).map_err(wrong);
        }
        match opened(&Password::none()) {
            Err(Minima::WrongPassword) => {
                let asked = app.secrets.node_password(&path.display().to_string())?;
                opened(&Password::new(asked)).map_err(wrong)
            }
            other => other.map_err(wrong),
        }
    }

    /// A password that something was closed with.
    pub fn known(&self, app: &App, of: &str) -> Result<Password> {
        match app.secrets.given_node_password(self.password_file.as_deref())? {
            Some(given) => Ok(Password::new(given)),
            None => app.secrets.node_password(of).map(Password::new),
        }
    }

    /// A password to close a backup with.
    pub fn chosen(&self, app: &App) -> Result<Password> {
        let given = app.secrets.given_node_password(self.password_file.as_deref())?;
        let chosen = match given {
            Some(given) => Password::new(given),
            None => Password::new(app.secrets.new_node_password()?),
        };
        match chosen.trouble() {
            None => Ok(chosen),
            Some(why) => Err(Error::NodePassword { why }),
        }
    }
}

impl PhraseFrom {
    /// The phrase, if one is given.
    pub fn given(&self, app: &App) -> Result<Option<Phrase>> {
        let text = app.secrets.given_node_phrase(self.node_phrase_file.as_deref())?;
        text.map(|text| Phrase::clean(&text).map_err(Error::NodePhrase)).transpose()
    }

    /// The phrase, asked for if none is given.
    pub fn needed(&self, app: &App) -> Result<Phrase> {
        match self.given(app)? {
            Some(phrase) => Ok(phrase),
            None => Phrase::clean(&app.secrets.node_phrase()?).map_err(Error::NodePhrase),
        }
    }
}

/// A whole file, unless it is larger than any backup.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let meta = fs::metadata(path).map_err(unread(path))?;
    if meta.len() > LIMIT {
        let error = Minima::TooLarge { limit: LIMIT };
        return Err(Error::Minima { path: path.to_owned(), error });
    }
    fs::read(path).map_err(Error::file(path, "read"))
}

/// A file to be read from its beginning.
pub fn reader(path: &Path) -> Result<BufReader<File>> {
    File::open(path).map(BufReader::new).map_err(Error::file(path, "read"))
}

/// A file that is not there is named as such.
pub fn unread(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::NotFound => Error::NoSource { path },
        _ => Error::File { path, action: "read", source },
    }
}

/// Says so if anybody can open it.
pub fn warn(output: &Output, opened: &Opened) {
    if !opened.is_protected {
        output.remark(UNPROTECTED);
    }
}
