//! A machine with a repository and a node on it.

use std::fs;
use std::path::{Path, PathBuf};

use nodekeep_nodes::node::{Node, Registration};
use nodekeep_nodes::profile;
use nodekeep_repo::backup::BackupOptions;
use nodekeep_repo::keys::Entropy;
use nodekeep_repo::monitor::Silent;
use nodekeep_repo::repository::{Access, CreateOptions, Repository, SnapshotRecord};
use nodekeep_service::backup::{Ground, NodeBackup};
use nodekeep_service::capture::Wish;
use nodekeep_service::find::{NodeSnapshot, of_node};
use nodekeep_service::state::State;
use nodekeep_store::Store;
use tempfile::TempDir;

/// A machine: its state folder, its node's folders, and a repository that several machines may share.
pub struct Machine {
    pub folder: PathBuf,
    pub state: State,
    pub repository: Repository,
    host: &'static str,
    _home: Option<TempDir>,
}

impl Machine {
    /// A machine with a repository of its own.
    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().to_owned();
        let store = Store::memory();
        let owner = Entropy::from_bytes([7; 32]);
        let (_, credential) =
            Repository::create(store.clone(), &owner, &CreateOptions::default()).unwrap();
        let access =
            Access { owner: Some(owner), credential: Some(credential), ..Access::default() };
        Self {
            state: State::new(folder.join("state")),
            repository: Repository::open(store, &access, None).unwrap(),
            host: "first",
            folder,
            _home: Some(home),
        }
    }

    /// Another machine with the same repository, on whose disk nothing of the node lies.
    pub fn second(&self) -> Self {
        let folder = self.folder.join("second-machine");
        Self {
            state: State::new(folder.join("state")),
            repository: self.repository.clone(),
            host: "second",
            folder,
            _home: None,
        }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn ground(&self) -> Ground<'_> {
        Ground {
            repository: &self.repository,
            state: &self.state,
            scratch: self.folder.join("scratch"),
            host: self.host.to_owned(),
            program: "test".to_owned(),
            monitor: &Silent,
        }
    }

    /// The node `n` of a profile, with its data in [`Machine::data`].
    pub fn node(&self, profile: &str) -> Node {
        let profile = profile::parse(profile, "test").unwrap();
        let registration = Registration {
            name: "n".to_owned(),
            profile: profile.name.clone(),
            paths: [("data".to_owned(), self.data())].into(),
            ..Registration::default()
        };
        Node::new(registration, profile).unwrap()
    }

    pub fn back_up(&self, node: &Node) -> NodeBackup {
        self.back_up_some(node, &Wish::default())
    }

    pub fn back_up_some(&self, node: &Node, wish: &Wish) -> NodeBackup {
        self.ground().backup(node, wish, &BackupOptions::default()).unwrap()
    }

    pub fn all(&self) -> Vec<SnapshotRecord> {
        self.repository.snapshots().unwrap()
    }

    /// The node's snapshots, oldest first.
    pub fn snapshots(&self) -> Vec<NodeSnapshot> {
        self.snapshots_of("n")
    }

    /// Those of another node.
    pub fn snapshots_of(&self, name: &str) -> Vec<NodeSnapshot> {
        of_node(&self.all(), name).0
    }
}

/// Writes files below a folder.
pub fn lay(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// A file's text, or why it has none.
pub fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| error.kind().to_string())
}
