//! Where this user's keys, settings and caches lie: under `NODEKEEP_HOME`, or in the XDG directories.

use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nodekeep_repo::audit::Seen;
use nodekeep_repo::id::RepoId;
use nodekeep_repo::repository::Pins;
use nodekeep_repo::sessions::Sightings;

use crate::error::{Error, Result};

/// The folders of one user.
#[derive(Debug, Clone)]
pub struct Home {
    data: PathBuf,
    config: PathBuf,
    cache: PathBuf,
    explicit: bool,
}

impl Home {
    /// Finds them from the environment.
    ///
    /// # Errors
    /// If neither `NODEKEEP_HOME` nor `HOME` is set.
    pub fn find() -> Result<Self> {
        if let Some(root) = variable("NODEKEEP_HOME") {
            let root = std::path::absolute(&root).unwrap_or(root);
            return Ok(Self::at(&root));
        }
        let home = variable("HOME");
        let folder = |name: &str, below: &str| {
            let base = variable(name).or_else(|| Some(home.as_ref()?.join(below)));
            base.map(|base| base.join("nodekeep")).ok_or(Error::NoHome)
        };
        Ok(Self {
            data: folder("XDG_DATA_HOME", ".local/share")?,
            config: folder("XDG_CONFIG_HOME", ".config")?.join("config.toml"),
            cache: folder("XDG_CACHE_HOME", ".cache")?,
            explicit: false,
        })
    }

    /// All of it below one folder.
    pub fn at(root: &Path) -> Self {
        Self {
            data: root.to_owned(),
            config: root.join("config.toml"),
            cache: root.join("cache"),
            explicit: true,
        }
    }

    /// Where identities, credentials and the embedded repository lie.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The configuration file, unless another is named.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Whether `NODEKEEP_HOME` says where it is.
    pub fn is_explicit(&self) -> bool {
        self.explicit
    }

    /// The variables by which a program that is started by somebody else finds the same folders.
    pub fn variables(&self) -> Vec<(&'static str, PathBuf)> {
        if self.explicit {
            return vec![("NODEKEEP_HOME", self.data.clone())];
        }
        let names = ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"];
        names.into_iter().filter_map(|name| Some((name, variable(name)?))).collect()
    }

    /// The embedded local repository.
    pub fn repository(&self) -> PathBuf {
        self.data.join("repository")
    }

    /// What this machine holds of a repository.
    pub fn keys(&self, id: &RepoId) -> Keys {
        Keys { folder: self.data.join("repos").join(id.hex()) }
    }

    /// The backup cache of a repository.
    pub fn cache(&self, id: &RepoId) -> PathBuf {
        self.cache.join(id.hex())
    }

    /// The backup cache of portable files of these paths.
    pub fn portable_cache(&self, paths: &[PathBuf]) -> PathBuf {
        let all: Vec<u8> =
            paths.iter().flat_map(|p| [p.as_os_str().as_encoded_bytes(), b"\0"].concat()).collect();
        let name = nodekeep_repo::id::ObjectHash::of(&all).hex();
        self.cache.join("portable").join(&name[..16])
    }

    /// A private folder for what is unpacked on the way.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn scratch(&self) -> Result<PathBuf> {
        let folder = self.cache.join("scratch");
        make_folder_of(&folder.join("x")).map_err(Error::file(&folder, "make"))?;
        Ok(folder)
    }

    /// The identity files of every repository known here.
    pub fn identities(&self) -> Vec<PathBuf> {
        let repositories = fs::read_dir(self.data.join("repos")).into_iter().flatten().flatten();
        repositories
            .map(|folder| folder.path().join("identity"))
            .filter(|path| path.exists())
            .collect()
    }

    /// What writes increments of a portable file.
    pub fn portable(&self, id: &str) -> PathBuf {
        self.data.join("portable").join(id)
    }

    /// Folders that a restore must never delete from: keys, caches, the configuration.
    pub fn own_folders(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.data.clone(), self.cache.clone()];
        folders.extend(self.config.parent().map(Path::to_path_buf));
        folders
    }

    /// A name for recovery words that nobody confirmed yet: one that is free, or holds these words.
    pub fn words_file(&self, id: &str, words: &str) -> PathBuf {
        let plain = self.data.join("recovery-words");
        let is_ours = fs::read_to_string(&plain).is_ok_and(|there| there.trim() == words);
        if is_ours || plain.symlink_metadata().is_err() {
            plain
        } else {
            self.data.join(format!("recovery-words-{id}"))
        }
    }

    /// The secret of a repository that is being created at `location`.
    pub fn creating(&self, location: &str) -> PathBuf {
        let name = nodekeep_repo::id::ObjectHash::of(location.as_bytes()).hex();
        self.data.join("creating").join(&name[..16])
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The files of one repository on this machine (`docs/format.md`, section 9).
#[derive(Debug, Clone)]
pub struct Keys {
    folder: PathBuf,
}

impl Keys {
    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The owner's identity.
    pub fn identity(&self) -> PathBuf {
        self.folder.join("identity")
    }

    /// The writer credential.
    pub fn writer(&self) -> PathBuf {
        self.folder.join("writer")
    }

    /// The highest roster, checkpoint and heads seen.
    pub fn pins(&self) -> PathBuf {
        self.folder.join("pins")
    }

    /// The snapshots that were seen live.
    pub fn seen(&self) -> PathBuf {
        self.folder.join("seen")
    }

    /// The open sessions that were seen, and when each was last seen to get on.
    pub fn sightings(&self) -> PathBuf {
        self.folder.join("sessions")
    }

    /// What was pinned, if anything.
    pub fn read_pins(&self) -> Option<Pins> {
        fs::read_to_string(self.pins()).ok().map(|text| Pins::from_text(&text))
    }

    /// The snapshots that were seen live.
    pub fn read_seen(&self) -> Seen {
        Seen::from_text(&fs::read_to_string(self.seen()).unwrap_or_default())
    }

    /// The open sessions that were seen.
    pub fn read_sightings(&self) -> Sightings {
        Sightings::from_text(&fs::read_to_string(self.sightings()).unwrap_or_default())
    }

    /// Stands here until the recovery words are confirmed; its text is where they were written, if anywhere.
    pub fn unconfirmed(&self) -> PathBuf {
        self.folder.join("words-unconfirmed")
    }

    /// Whether the words wait to be confirmed, and in which file they wait.
    pub fn words_pending(&self) -> Option<Option<PathBuf>> {
        let text = fs::read_to_string(self.unconfirmed()).ok()?;
        let path = text.trim_end_matches('\n');
        Some((!path.is_empty()).then(|| PathBuf::from(path)))
    }
}

/// Writes a file that only this user reads; it must not exist.
///
/// # Errors
/// [`Error::FileExists`], or why it could not be written.
pub fn write_new(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    create_private(path, content.as_ref()).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => Error::FileExists { path: path.to_owned() },
        _ => Error::File { path: path.to_owned(), action: "write", source },
    })
}

fn create_private(path: &Path, content: &[u8]) -> io::Result<()> {
    make_folder_of(path)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    sync_folder_of(path)
}

/// Writes a file that only this user reads, in place of what was there, at once and durably.
///
/// # Errors
/// Why it could not be written.
pub fn replace(path: &Path, text: &str) -> Result<()> {
    replace_private(path, text).map_err(Error::file(path, "write"))
}

/// The same with a file that everybody may read, as units of systemd are.
///
/// # Errors
/// Why it could not be written.
pub fn replace_public(path: &Path, text: &str) -> Result<()> {
    replace(path, text)?;
    fs::set_permissions(path, Permissions::from_mode(0o644)).map_err(Error::file(path, "write"))
}

/// The same, unless the file says so already.
///
/// # Errors
/// Why it could not be written.
pub fn replace_if_new(path: &Path, text: &str) -> Result<()> {
    let known = fs::read_to_string(path);
    if known.is_ok_and(|known| known == text) || (text.is_empty() && !path.exists()) {
        return Ok(());
    }
    replace(path, text)
}

fn replace_private(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    _ = fs::remove_file(&beside);
    create_private(&beside, text.as_bytes())?;
    fs::rename(&beside, path)?;
    sync_folder_of(path)
}

fn make_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)
        }
        _ => Ok(()),
    }
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Removes a file; it may be gone already.
///
/// # Errors
/// Why it is still there.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file(path, "remove")(error))
        }
        _ => Ok(()),
    }
}
