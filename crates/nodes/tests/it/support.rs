//! Requests, and copies made of what a capture says, as a backup makes them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nodekeep_nodes::kind::{self, Captured, Request, Verified, With};
use nodekeep_nodes::profile::{Kind, Variables};

/// How long a capture may be tried.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often a store is captured while it is written to.
pub fn rounds() -> u64 {
    let asked = std::env::var("NODEKEEP_PROOF_ROUNDS").ok();
    asked.map_or(20, |rounds| rounds.parse().expect("NODEKEEP_PROOF_ROUNDS is a number"))
}

/// A folder for what is captured, what is staged and what is copied.
pub struct Bench {
    folder: tempfile::TempDir,
    pub memory: Option<serde_json::Value>,
    pub patience: Duration,
    number: u64,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("live")).unwrap();
        Self { folder, memory: None, patience: PATIENCE, number: 0 }
    }

    /// What a node owns lies here.
    pub fn live(&self, name: &str) -> PathBuf {
        self.folder.path().join("live").join(name)
    }

    /// Captures and keeps in mind what is to be remembered.
    pub fn capture(
        &mut self,
        kind: &Kind,
        path: &Path,
    ) -> Result<Captured, nodekeep_nodes::error::Error> {
        self.number += 1;
        let staging = self.folder.path().join(format!("staging-{}", self.number));
        fs::create_dir(&staging).unwrap();
        let variables = Variables::new();
        let alone = Request::alone(path, &staging, &variables, self.patience);
        let request = Request { memory: self.memory.as_ref(), ..alone };
        let captured = kind::capture(kind, &request)?;
        self.memory.clone_from(&captured.memory);
        Ok(captured)
    }

    /// Captures and makes the copy that a backup would read, in a folder of its own.
    pub fn copy(&mut self, kind: &Kind, path: &Path) -> (Captured, PathBuf) {
        let captured = self.capture(kind, path).unwrap();
        let folder = self.folder.path().join(format!("copy-{}", self.number));
        fs::create_dir(&folder).unwrap();
        let to = folder.join(path.file_name().unwrap());
        read(path, &grafts(&captured), &to);
        // What lies beside the path and belongs to it.
        for (at, with) in grafts(&captured) {
            if at.parent() == path.parent() && at != path {
                put(with, at, &folder.join(at.file_name().unwrap()));
            }
        }
        (captured, to)
    }

    /// Forgets copies and stagings: long proofs would fill the disk.
    pub fn sweep(&self) {
        for name in ["staging", "copy"] {
            _ = fs::remove_dir_all(self.folder.path().join(format!("{name}-{}", self.number)));
        }
    }
}

fn grafts(captured: &Captured) -> BTreeMap<&Path, &With> {
    let grafts: BTreeMap<&Path, &With> =
        captured.grafts.iter().map(|graft| (graft.at.as_path(), &graft.with)).collect();
    assert_eq!(grafts.len(), captured.grafts.len(), "one graft for each path");
    grafts
}

/// Reads a path as a backup does: what is grafted, and the rest in place.
fn read(path: &Path, grafts: &BTreeMap<&Path, &With>, to: &Path) {
    if let Some(with) = grafts.get(path) {
        return put(with, path, to);
    }
    let Ok(metadata) = path.symlink_metadata() else { return };
    if metadata.is_file() {
        // It may vanish: a backup passes over that.
        _ = fs::copy(path, to);
    } else if metadata.is_dir() {
        fs::create_dir(to).unwrap();
        let there = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        let grafted = grafts.keys().filter(|at| at.parent() == Some(path));
        let mut children: Vec<PathBuf> = there.chain(grafted.map(|at| at.to_path_buf())).collect();
        children.sort();
        children.dedup();
        for child in children {
            read(&child, grafts, &to.join(child.file_name().unwrap()));
        }
    }
}

fn put(with: &With, at: &Path, to: &Path) {
    match with {
        With::Staged(from) | With::StagedForever(from) => read(from, &BTreeMap::new(), to),
        With::Bytes(bytes) => fs::write(to, bytes).unwrap(),
        With::Nothing => {}
        With::Prefix(length) => {
            let mut bytes = Vec::new();
            fs::File::open(at).unwrap().take(*length).read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, *length, "{} is shorter than its graft", at.display());
            fs::write(to, bytes).unwrap();
        }
    }
}

/// Verifies a copy.
pub fn verify(kind: &Kind, path: &Path) -> Verified {
    kind::verify(kind, path, &Default::default(), &Variables::new(), PATIENCE).unwrap()
}

/// The codes of the notes of a capture.
pub fn codes(captured: &Captured) -> Vec<&str> {
    captured.notes.iter().map(|note| note.code.as_str()).collect()
}

/// Every file below a folder with its bytes.
pub fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(tree(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

/// Numbers that look random and are the same in every run.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    pub fn rest(&mut self, at_most_ms: u64) {
        std::thread::sleep(Duration::from_millis(self.below(at_most_ms)));
    }
}
