//! What Nodekeep keeps of nodes on this machine: one folder for each, below the folder that the face gives. Everything in it is private
//! to its user; files appear whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nodekeep_nodes::manifest::Machine;
use nodekeep_nodes::node::{Node, Registration, check_name};
use nodekeep_nodes::profile;
use nodekeep_repo::crypto::random;
use nodekeep_repo::id::to_hex;
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::schedule::book::Book;

/// A program that is being started holds copies of our locks until it runs: for a moment nobody else does.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// The folder that holds it all.
#[derive(Debug, Clone)]
pub struct State {
    folder: PathBuf,
}

/// The folder of one node.
#[derive(Debug, Clone)]
pub struct NodeState {
    folder: PathBuf,
}

/// Nobody else works on the node while this lives.
#[derive(Debug)]
pub struct Alone {
    _file: File,
}

impl State {
    /// In this folder; it need not exist.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder, for what other rooms keep there.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What tells this machine from another with the same host name: made at the first call.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn machine(&self, host: &str) -> Result<Machine> {
        let path = self.folder.join("machine");
        let id = match fs::read_to_string(&path) {
            Ok(text) if is_machine_id(text.trim()) => text.trim().to_owned(),
            Ok(_) => {
                let reason = "it should hold 32 hexadecimal digits".to_owned();
                return Err(Error::State { path, reason });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let id = to_hex(&random::<16>());
                replace(&path, format!("{id}\n").as_bytes())?;
                id
            }
            Err(error) => return Err(Error::file(path, "cannot be read")(error)),
        };
        Ok(Machine { id, host: host.to_owned() })
    }

    /// The folder of a node: registered or not.
    ///
    /// # Errors
    /// If the name is none.
    pub fn of(&self, name: &str) -> Result<NodeState> {
        check_name(name)?;
        Ok(NodeState { folder: self.nodes().join(name) })
    }

    /// The folder for paths that are captured without a node: no node can be called so.
    pub fn loose(&self) -> NodeState {
        NodeState { folder: self.nodes().join(".paths") }
    }

    /// The schedules of this machine.
    pub fn book(&self) -> Book {
        Book::new(self.folder.clone())
    }

    /// Names of the registered nodes, sorted.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn names(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(self.nodes()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result.map_err(Error::file(self.nodes(), "cannot be read"))?,
        };
        let registered = entries.flatten().filter(|entry| entry.path().join("node.toml").exists());
        let names = registered.filter_map(|entry| entry.file_name().into_string().ok());
        // What was set aside when a node was forgotten has a name that no node can have.
        let mut names: Vec<String> = names.filter(|name| check_name(name).is_ok()).collect();
        names.sort();
        Ok(names)
    }

    /// A registered node.
    ///
    /// # Errors
    /// [`Error::NoNode`], or what is wrong with its files.
    pub fn load(&self, name: &str) -> Result<Node> {
        let state = self.of(name)?;
        match state.load()? {
            Some(node) => Ok(node),
            None => Err(Error::NoNode { name: name.to_owned(), known: self.names()? }),
        }
    }

    /// Registers a node.
    ///
    /// # Errors
    /// [`Error::NodeExists`], or why it could not be written.
    pub fn add(&self, node: &Node) -> Result<()> {
        let state = self.of(node.name())?;
        match state.load()? {
            Some(there) => Err(Error::NodeExists {
                name: node.name().to_owned(),
                profile: there.registration.profile,
            }),
            None => state.save(node),
        }
    }

    /// Forgets a node: its files stay beside, under a name that no node can have, for its marks must not be lost.
    ///
    /// # Errors
    /// [`Error::NoNode`], or why it could not be moved.
    pub fn remove(&self, name: &str) -> Result<PathBuf> {
        self.load(name)?;
        let from = self.of(name)?.folder;
        let second = jiff::Timestamp::now().as_second();
        let to = self.nodes().join(format!(".removed-{name}-{second}"));
        fs::rename(&from, &to).map_err(Error::file(&from, "cannot be set aside"))?;
        Ok(to)
    }

    fn nodes(&self) -> PathBuf {
        self.folder.join("nodes")
    }
}

impl NodeState {
    /// Its folder, for what other rooms keep there.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn load(&self) -> Result<Option<Node>> {
        let path = self.folder.join("node.toml");
        let Some(text) = read(&path)? else {
            return Ok(None);
        };
        let registration = parse_registration(&text, &path)?;
        let path = self.folder.join("profile.toml");
        let missing = || Error::State { path: path.clone(), reason: "it is missing".to_owned() };
        let text = read(&path)?.ok_or_else(missing)?;
        let profile = profile::parse(&text, &path.display().to_string())?;
        Ok(Some(Node::new(registration, profile)?))
    }

    /// Writes a node down: the profile first, for the registration makes it one.
    ///
    /// # Errors
    /// Why it could not be written.
    pub fn save(&self, node: &Node) -> Result<()> {
        replace(&self.folder.join("profile.toml"), node.profile.source.as_bytes())?;
        let text = registration_text(&node.registration)?;
        replace(&self.folder.join("node.toml"), text.as_bytes())
    }

    /// Takes the node for this process; waits for nobody who does real work.
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub fn alone(&self, name: &str) -> Result<Alone> {
        make_folder(&self.folder)?;
        let path = self.folder.join("lock");
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(&path).map_err(Error::file(&path, "cannot be opened"))?;
        let deadline = Instant::now() + LOCK_PATIENCE;
        while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            if Instant::now() >= deadline {
                return Err(Error::Busy { name: name.to_owned() });
            }
            thread::sleep(LOCK_PATIENCE / 50);
        }
        Ok(Alone { _file: file })
    }

    /// Reads a file of JSON; `None` if it is not there.
    ///
    /// # Errors
    /// If it cannot be read or is damaged.
    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let path = self.folder.join(name);
        let Some(text) = read(&path)? else {
            return Ok(None);
        };
        let damaged = |error: serde_json::Error| Error::State { path, reason: error.to_string() };
        serde_json::from_str(&text).map(Some).map_err(damaged)
    }

    /// Writes a file of JSON.
    ///
    /// # Errors
    /// Why it could not be written.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let path = self.folder.join(name);
        let unwritable = |error: serde_json::Error| Error::State {
            path: path.clone(),
            reason: error.to_string(),
        };
        replace(&path, serde_json::to_string_pretty(value).map_err(unwritable)?.as_bytes())
    }

    /// Removes a file; it may be gone already.
    ///
    /// # Errors
    /// Why it is still there.
    pub fn forget(&self, name: &str) -> Result<()> {
        let path = self.folder.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::file(path, "cannot be removed")(error))
            }
            _ => Ok(()),
        }
    }
}

/// `node.toml` as text.
///
/// # Errors
/// [`Error::State`] for a path that is no text.
pub fn registration_text(registration: &Registration) -> Result<String> {
    toml::to_string(registration)
        .map_err(|error| Error::State { path: "node.toml".into(), reason: error.to_string() })
}

/// Reads `node.toml`.
///
/// # Errors
/// [`Error::State`].
pub fn parse_registration(text: &str, path: &Path) -> Result<Registration> {
    toml::from_str(text).map_err(|error| Error::State {
        path: path.to_owned(),
        reason: error.to_string().trim_end().to_owned(),
    })
}

fn is_machine_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some).map_err(Error::file(path, "cannot be read")),
    }
}

/// Makes a private folder with those above it.
///
/// # Errors
/// Why it is not there.
pub fn make_folder(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(Error::file(path, "cannot be made"))
}

/// Does `work` while no other process does what is guarded by the file at `path`; waits for its turn. The lock goes with the process.
///
/// # Errors
/// If the file cannot be made or locked, or those of `work`.
pub fn exclusively<T, E: From<Error>>(
    path: &Path,
    work: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    let locked = || {
        path.parent().map(make_folder).transpose()?;
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).mode(0o600).open(path);
        let file = file.map_err(Error::file(path, "cannot be opened"))?;
        flock(&file, FlockOperation::LockExclusive)
            .map_err(|error| Error::file(path, "cannot be locked")(error.into()))?;
        Ok(file)
    };
    let _alone = locked()?;
    work()
}

/// Writes a private file in place of what was there, at once and durably.
///
/// # Errors
/// Why it could not be written.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(Error::file(path, "cannot be written"))
}
