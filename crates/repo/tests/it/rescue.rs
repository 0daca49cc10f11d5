//! The rescue program, written from the specification alone, reads what this engine writes: exactly, and all of it.
//! It runs in the Python that `NODEKEEP_TEST_PYTHON` names, or `python3`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nodekeep_repo::backup::BackupOptions;
use nodekeep_repo::collect::CollectOptions;
use nodekeep_repo::id::SnapshotId;
use nodekeep_repo::keys::{Entropy, Identities, Reader};
use nodekeep_repo::monitor::Silent;
use nodekeep_repo::portable::{self, PortableFile};
use nodekeep_repo::repository::{Access, CreateOptions, Repository};
use nodekeep_repo::source::fs::FsSource;
use nodekeep_store::{PortableKind, Store};
use nodekeep_testkit::{Abilities, Rng, Size, Tree, edit, random};

use crate::vectors::testdata;

const PASSPHRASE: &str = "rescue me";

fn python() -> std::ffi::OsString {
    std::env::var_os("NODEKEEP_TEST_PYTHON").unwrap_or_else(|| "python3".into())
}

/// Whether the program can run here. Where it must (`CI=true`), the test fails if it cannot.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn available() -> bool {
    let found = Command::new(python()).args(["-c", "import cryptography, zstandard"]).output();
    let good = found.is_ok_and(|output| output.status.success());
    let demanded = std::env::var_os("CI").is_some_and(|v| v == "true");
    assert!(good || !demanded, "{:?} lacks the modules cryptography and zstandard", python());
    if !good {
        eprintln!("SKIPPED: {:?} lacks the modules cryptography and zstandard", python());
    }
    good
}

/// What opens a repository, as the program wants it.
enum Secret<'a> {
    Words(&'a Path),
    Passphrase(&'a Path),
}

fn run(secret: Option<&Secret<'_>>, args: &[&str]) -> Output {
    let script = testdata().join("../rescue/nodekeep_rescue.py");
    let mut command = Command::new(python());
    command.arg(script).args(args).env("PYTHONDONTWRITEBYTECODE", "1");
    for name in ["WORDS", "WORDS_FILE", "IDENTITY_FILE", "PASSPHRASE", "PASSPHRASE_FILE"] {
        command.env_remove(format!("NODEKEEP_{name}"));
    }
    match secret {
        Some(Secret::Words(path)) => command.env("NODEKEEP_WORDS_FILE", path),
        Some(Secret::Passphrase(path)) => command.env("NODEKEEP_PASSPHRASE_FILE", path),
        None => &mut command,
    };
    command.output().unwrap()
}

/// Runs the program, which must succeed and complain of nothing; what it prints.
#[track_caller]
fn good(secret: Option<&Secret<'_>>, args: &[&str]) -> String {
    let output = run(secret, args);
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success() && !err.contains("damage"),
        "{args:?}: {}\n{out}\n{err}",
        output.status
    );
    out.into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Lists, checks and restores everything, and compares each restored tree with what was backed up.
#[track_caller]
fn assert_rescued(
    repo: &Path,
    secret: &Secret<'_>,
    snapshots: &[(SnapshotId, Tree)],
    place: &Path,
) {
    let listed = good(Some(secret), &["list", text(repo)]);
    assert_eq!(listed.lines().count(), snapshots.len(), "{listed}");
    let checked = good(Some(secret), &["check", text(repo)]);
    assert!(
        checked.contains(&format!("{} snapshots", snapshots.len()))
            && checked.contains("; 0 damaged"),
        "{checked}"
    );
    std::fs::create_dir(place).unwrap();
    for (id, tree) in snapshots {
        assert!(listed.contains(&id.hex()), "{id} in {listed}");
        let target = place.join(id.hex());
        good(Some(secret), &["restore", "--verify-ids", text(repo), &id.hex(), text(&target)]);
        tree.assert_same(&Tree::read(&target).unwrap(), &format!("snapshot {id}"));
    }
}

/// A folder with a random tree in it, and room beside it.
struct Lab {
    home: tempfile::TempDir,
    rng: Rng,
}

impl Lab {
    fn new(seed: u64, size: Size) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut rng = Rng::new(seed);
        let node = home.path().join("node");
        std::fs::create_dir(&node).unwrap();
        random(&mut rng, Abilities::probe(home.path()).unwrap(), size).write(&node).unwrap();
        std::fs::write(home.path().join("passphrase"), PASSPHRASE).unwrap();
        Self { home, rng }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn source(&self) -> FsSource {
        FsSource::new(vec![self.at("node")]).unwrap()
    }

    fn tree(&self) -> Tree {
        Tree::read(&self.at("node")).unwrap()
    }

    fn change(&mut self) {
        edit(&mut self.rng, &self.home.path().join("node"), 15).unwrap();
    }

    /// Backs the folder up; what must come back.
    fn backup(&self, repo: &Repository) -> (SnapshotId, Tree) {
        let report = repo.backup(&self.source(), &BackupOptions::default(), &Silent).unwrap();
        assert!(report.errors.is_empty(), "{:?}", report.errors);
        (report.snapshot.unwrap(), self.tree())
    }
}

#[test]
fn the_golden_vectors_agree() {
    if available() {
        let out = good(None, &["vectors", text(&testdata().join("vectors/v1.json"))]);
        assert!(out.contains("all vectors agree"), "{out}");
    }
}

#[test]
fn a_repository_is_rescued_before_and_after_a_collection() {
    if !available() {
        return;
    }
    let mut lab = Lab::new(1, Size { names: 120, large: 1, deep: true });
    let entropy = Entropy::random();
    let options = CreateOptions { pack_size: 256 * 1024, ..CreateOptions::default() };
    let (repo, _) = Repository::create(Store::local(lab.at("store")), &entropy, &options).unwrap();
    std::fs::write(lab.at("words"), entropy.words().as_bytes()).unwrap();
    let secret = Secret::Words(&lab.at("words"));
    let first = lab.backup(&repo);
    lab.change();
    let second = lab.backup(&repo);
    assert_rescued(&lab.at("store"), &secret, &[first.clone(), second.clone()], &lab.at("before"));

    lab.change();
    let third = lab.backup(&repo);
    let collect = CollectOptions { max_unused_percent: 0, ..CollectOptions::default() };
    let report = repo.collect(&[first.0], &collect, &Silent).unwrap();
    assert!(report.checkpoint.is_some(), "{report:?}");
    lab.change();
    let fourth = lab.backup(&repo);
    assert_rescued(&lab.at("store"), &secret, &[second, third, fourth], &lab.at("after"));

    let other = Entropy::random();
    std::fs::write(lab.at("words"), other.words().as_bytes()).unwrap();
    assert!(
        !run(Some(&secret), &["list", text(&lab.at("store"))]).status.success(),
        "another's words"
    );
}

#[test]
fn damage_is_named_by_the_rescue_program() {
    if !available() {
        return;
    }
    let lab = Lab::new(2, Size { names: 10, large: 0, deep: false });
    let entropy = Entropy::random();
    let (repo, _) =
        Repository::create(Store::local(lab.at("store")), &entropy, &CreateOptions::default())
            .unwrap();
    std::fs::write(lab.at("words"), entropy.words().as_bytes()).unwrap();
    lab.backup(&repo);
    let packs = repo.store().list("w/").unwrap();
    let pack = packs.iter().find(|object| object.name.contains("/d/")).unwrap();
    let path = lab.at("store").join(&pack.name);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let output = run(Some(&Secret::Words(&lab.at("words"))), &["check", text(&lab.at("store"))]);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && err.contains(&pack.name), "{err}");
}

#[test]
fn portable_files_are_rescued() {
    if !available() {
        return;
    }
    let mut lab = Lab::new(3, Size { names: 40, large: 0, deep: false });
    let secret = Secret::Passphrase(&lab.at("passphrase"));
    let (full, increment) = (lab.at("full.nkb"), lab.at("increment.nkb"));
    let reader = Reader::Passphrase(PASSPHRASE.to_owned().into());
    let file = PortableFile::create(&full, vec![(reader, "passphrase".to_owned())]).unwrap();
    let report = file.backup(&lab.source(), &BackupOptions::default(), &Silent).unwrap().0;
    let first = (report.snapshot.unwrap(), lab.tree());
    assert_rescued(&full, &secret, std::slice::from_ref(&first), &lab.at("from full"));

    lab.change();
    let mut identities = Identities::new();
    identities.add_passphrase(PASSPHRASE);
    let access = Access { identities, ..Access::default() };
    let base = portable::base(&full, &access, &[]).unwrap();
    let file = PortableFile::create_on(&increment, PortableKind::Incremental, &base).unwrap();
    let report = file.backup(&lab.source(), &BackupOptions::default(), &Silent).unwrap().0;
    let second = (report.snapshot.unwrap(), lab.tree());
    assert_rescued(&increment, &secret, &[first, second], &lab.at("from increment"));
}

#[test]
fn the_frozen_repositories_are_rescued() {
    if !available() {
        return;
    }
    let folder = testdata().join("v1");
    let secret = Secret::Words(&folder.join("words"));
    for name in ["repository", "collected"] {
        let checked = good(Some(&secret), &["check", text(&folder.join(name))]);
        assert!(checked.contains(" 2 snapshots") && checked.contains("; 0 damaged"), "{checked}");
    }
}
