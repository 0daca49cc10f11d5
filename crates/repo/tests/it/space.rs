//! Disks that are full, read-only or closed. The small disks are memory file systems in a mount namespace of their own, which takes
//! root: without it these tests say that they were skipped.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use nodekeep_repo::collect::CollectOptions;
use nodekeep_repo::error::{Error, Result};
use nodekeep_repo::monitor::Silent;
use nodekeep_repo::repository::Repository;
use nodekeep_repo::restore::{RestoreOptions, Target};
use nodekeep_store::{Store, StoreErrorKind};
use nodekeep_testkit::{Kind, Rng, Tree};

use crate::lab::{Keys, assert_restores, backup, create, newest};

/// Set in a copy of this program that has the mounts, or the user, that a test needs.
const INSIDE: &str = "NODEKEEP_TEST_INSIDE";

fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs one test of this program again by `command`, which gets the program and its arguments.
fn again(mut command: Command, test: &str) -> Output {
    command
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .current_dir("/")
        .output()
        .unwrap()
}

#[track_caller]
fn assert_passed(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    let passed = output.status.success() && text.contains("1 passed");
    assert!(passed, "{text}{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs a test in a mount namespace of its own; false if the caller is what runs there.
fn in_namespace(test: &str) -> bool {
    if is_inside() {
        return false;
    }
    let possible = is_root()
        && Command::new("unshare").args(["-m", "true"]).output().is_ok_and(|o| o.status.success());
    if !possible {
        skipped(test);
        return true;
    }
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "private"]).arg(std::env::current_exe().unwrap());
    assert_passed(&again(command, test));
    true
}

#[expect(clippy::print_stderr, reason = "who reads the tests' output should know")]
fn skipped(test: &str) {
    eprintln!("skipped: {test} needs root and mount namespaces");
}

fn mount(options: &str, at: &Path) {
    fs::create_dir_all(at).unwrap();
    let status = Command::new("mount")
        .args(["-t", "tmpfs", "-o", options, "tmpfs"])
        .arg(at)
        .status()
        .unwrap();
    assert!(status.success(), "mount -o {options}");
}

fn noise(seed: u64, mebibytes: usize) -> Vec<u8> {
    Rng::new(seed).bytes(mebibytes << 20, false)
}

/// Whether an error says that the disk is full, in the store or where files are restored.
fn says_full(error: &Error) -> bool {
    let text = error.to_string().to_lowercase();
    let source =
        std::error::Error::source(error).map(|e| e.to_string().to_lowercase()).unwrap_or_default();
    text.contains("no space") || source.contains("no space")
}

#[test]
fn a_repository_on_a_full_disk_stays_good() {
    if in_namespace("space::a_repository_on_a_full_disk_stays_good") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (disk, source) = (dir.path().join("disk"), dir.path().join("source"));
    mount("size=12m", &disk);
    fs::create_dir(&source).unwrap();
    fs::write(source.join("first"), noise(1, 3)).unwrap();
    let store = Store::local(disk.join("repository"));
    let keys = create(store.clone());
    let repo = keys.open(&store).unwrap();
    backup(&repo, &source, None).unwrap();
    let first = Tree::read(&source).unwrap();

    fs::write(source.join("second"), noise(2, 20)).unwrap();
    let error = backup(&repo, &source, None).unwrap_err();
    let named = matches!(&error, Error::Store(error) if error.kind == StoreErrorKind::NoSpace);
    assert!(named && says_full(&error) && error.to_string().contains("repository"), "{error}");
    assert_eq!(repo.snapshots().unwrap().len(), 1);
    assert_restores(&repo, &newest(&repo), &first, "after the disk was full");
    let leftovers: Vec<_> =
        names_below(&disk).into_iter().filter(|name| name.contains(".tmp-")).collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");

    fs::remove_file(source.join("second")).unwrap();
    fs::write(source.join("third"), noise(3, 1)).unwrap();
    let report = repo.collect(&[], &CollectOptions::default(), &Silent).unwrap();
    assert_eq!(report.postponed, None, "what the failed backup left is collected");
    backup(&repo, &source, None).unwrap();
    assert_restores(&repo, &newest(&repo), &Tree::read(&source).unwrap(), "with space again");
}

fn names_below(dir: &Path) -> Vec<String> {
    let tree = Tree::read(dir).unwrap();
    tree.nodes.keys().map(|name| name.escape_ascii().to_string()).collect()
}

#[test]
fn a_restore_onto_a_full_disk_is_named_and_continues_with_space() {
    if in_namespace("space::a_restore_onto_a_full_disk_is_named_and_continues_with_space") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (disk, source) = (dir.path().join("disk"), dir.path().join("source"));
    fs::create_dir(&source).unwrap();
    for number in 0..8 {
        fs::write(source.join(format!("{number}")), noise(number, 1)).unwrap();
    }
    let store = Store::memory();
    let repo = create(store.clone()).open(&store).unwrap();
    backup(&repo, &source, None).unwrap();
    let expected = Tree::read(&source).unwrap();

    mount("size=4m", &disk);
    let fresh = disk.join("fresh");
    let error = restore_to(&repo, &fresh).unwrap_err();
    assert!(says_full(&error), "{error:?}");
    assert!(!fresh.exists(), "half a folder was put in place");
    let status =
        Command::new("mount").args(["-o", "remount,size=40m"]).arg(&disk).status().unwrap();
    assert!(status.success());
    restore_to(&repo, &fresh).unwrap();
    expected.assert_same(&Tree::read(&fresh).unwrap(), "continued with space");
    assert_eq!(fs::read_dir(&disk).unwrap().count(), 1, "{:?}", names_below(&disk));

    let small = dir.path().join("small");
    mount("size=4m", &small);
    let error = restore_to(&repo, &small).unwrap_err();
    assert!(says_full(&error), "{error:?}");
    assert_only_whole_files(&expected, &Tree::read(&small).unwrap());
}

fn restore_to(repo: &Repository, target: &Path) -> Result<()> {
    let mut options = RestoreOptions::new(Target::Into(target.to_path_buf()));
    // The mount point has an owner and a time of its own.
    options.force = target.exists();
    let report = repo.restore(&newest(repo), &options, &Silent)?;
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    Ok(())
}

fn assert_only_whole_files(expected: &Tree, found: &Tree) {
    for (path, node) in &found.nodes {
        let Kind::File { bytes, .. } = &node.kind else {
            continue;
        };
        let wanted = expected.nodes.get(path).map(|node| &node.kind);
        let whole = matches!(wanted, Some(Kind::File { bytes: wanted, .. }) if wanted == bytes);
        assert!(whole, "{} is left over, or half written", path.escape_ascii());
    }
}

#[test]
fn a_read_only_repository_can_be_read_and_says_that_it_is() {
    if in_namespace("space::a_read_only_repository_can_be_read_and_says_that_it_is") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (disk, source) = (dir.path().join("disk"), dir.path().join("source"));
    mount("size=12m", &disk);
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), noise(1, 1)).unwrap();
    let store = Store::local(disk.join("repository"));
    let keys = create(store.clone());
    backup(&keys.open(&store).unwrap(), &source, None).unwrap();
    let status = Command::new("mount").args(["-o", "remount,ro"]).arg(&disk).status().unwrap();
    assert!(status.success());

    let mut repo = keys.open(&store).unwrap();
    let tree = Tree::read(&source).unwrap();
    assert_restores(&repo, &newest(&repo), &tree, "read-only");
    let id = newest(&repo).id;
    let refused = [
        backup(&repo, &source, None).map(drop),
        repo.collect(&[id], &CollectOptions::default(), &Silent).map(drop),
        repo.rotate().map(drop),
    ];
    for result in refused {
        let error = result.unwrap_err();
        let named = matches!(&error, Error::Store(error) if error.kind == StoreErrorKind::ReadOnly);
        assert!(named && error.to_string().contains("it is read-only"), "{error}");
    }
    let error = restore_to(&repo, &disk.join("target")).unwrap_err();
    assert!(error.to_string().contains("disk"), "{error}");
    assert_restores(&repo, &newest(&repo), &tree, "still read-only");
}

#[test]
fn a_closed_repository_says_so() {
    if is_root() && !is_inside() {
        // Not by its path: that may lie in a folder that only root enters.
        let mut command = Command::new("/proc/self/exe");
        command.uid(65534).gid(65534);
        return assert_passed(&again(command, "space::a_closed_repository_says_so"));
    }
    let dir = tempfile::tempdir().unwrap();
    let (root, source) = (dir.path().join("repository"), dir.path().join("source"));
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "content").unwrap();
    let store = Store::local(&root);
    let keys = create(store.clone());
    backup(&keys.open(&store).unwrap(), &source, None).unwrap();
    let all: Vec<_> = names_below(&root)
        .into_iter()
        .map(|name| root.join(name))
        .filter(|path| path.is_dir())
        .collect();
    let chmod = |mode| {
        all.iter().for_each(|path| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap())
    };

    chmod(0o500);
    assert_denied(backup(&keys.open(&store).unwrap(), &source, None).map(drop));
    let repo = keys.open(&store).unwrap();
    assert_restores(
        &repo,
        &newest(&repo),
        &Tree::read(&source).unwrap(),
        "may be read, not written",
    );
    fs::set_permissions(&root, Permissions::from_mode(0o000)).unwrap();
    assert_denied(open_again(&keys, &root));
    fs::set_permissions(&root, Permissions::from_mode(0o700)).unwrap();
    chmod(0o700);
    fs::set_permissions(root.join("config"), Permissions::from_mode(0o000)).unwrap();
    assert_denied(open_again(&keys, &root));
}

fn open_again(keys: &Keys, root: &Path) -> Result<()> {
    keys.open(&Store::local(root)).map(drop)
}

#[track_caller]
fn assert_denied(result: Result<()>) {
    let error = result.unwrap_err();
    let named =
        matches!(&error, Error::Store(error) if error.kind == StoreErrorKind::PermissionDenied);
    assert!(
        named
            && error.to_string().contains("permission denied")
            && error.to_string().contains("repository"),
        "{error}"
    );
}
