//! What only folders have: modes, foreign files, failing disks.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nodekeep_store::{Created, Durability, Op, Store, StoreErrorKind};

/// Everything below `folder`, files and folders.
fn all_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all_below(&path));
        }
        found.push(path);
    }
    found
}

#[test]
fn nothing_is_touched_before_the_first_create() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let store = Store::local(&root);
    assert_eq!(store.list("").unwrap(), []);
    assert!(!store.delete("config").unwrap());
    assert!(store.free_space().unwrap() > 0);
    assert!(!root.exists());
    assert_eq!(store.location(), root.to_str().unwrap());
}

#[test]
fn files_and_folders_are_private() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("a/store");
    let store = Store::local(&root);
    store.create("config", b"x", Durability::Durable).unwrap();
    store.create("w/1/d/ab/cd", b"x", Durability::Visible).unwrap();
    for path in all_below(folder.path()) {
        let mode = path.metadata().unwrap().permissions().mode() & 0o7777;
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{}", path.display());
    }
}

#[test]
fn only_regular_files_with_object_names_are_objects() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::local(folder.path());
    store.create("g/object", b"x", Durability::Visible).unwrap();
    fs::write(folder.path().join("g/.tmp-0123"), "left over").unwrap();
    fs::write(folder.path().join("g/Upper"), "foreign").unwrap();
    fs::create_dir(folder.path().join("lost+found")).unwrap();
    fs::write(folder.path().join("lost+found/a"), "foreign").unwrap();
    symlink("object", folder.path().join("g/link")).unwrap();
    let listed = store.list("").unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    for name in ["g/link", "g"] {
        assert_eq!(store.get(name).unwrap_err().kind, StoreErrorKind::NotFound);
        assert_eq!(store.size(name).unwrap_err().kind, StoreErrorKind::NotFound);
    }
}

#[test]
fn objects_and_folders_do_not_share_names() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::local(folder.path());
    store.create("a/b", b"x", Durability::Visible).unwrap();
    for name in ["a", "a/b/c", "a/b/c/d"] {
        let error = store.create(name, b"y", Durability::Visible).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::InvalidName, "{name}");
    }
    store.barrier().unwrap();
    assert_eq!(store.list("").unwrap().len(), 1);
}

#[test]
fn a_file_is_not_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("file");
    fs::write(&root, "text").unwrap();
    let store = Store::local(&root);
    let errors = [
        store.create("config", b"", Durability::Visible).unwrap_err(),
        store.get("config").unwrap_err(),
        store.list("").unwrap_err(),
        store.list("g/").unwrap_err(),
        store.delete("config").unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind, StoreErrorKind::NotAStore, "{error}");
    }
    assert_eq!(fs::read(&root).unwrap(), b"text");
}

#[test]
fn folders_that_vanish_are_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::local(folder.path().join("store"));
    store.create("g/1/a", b"", Durability::Durable).unwrap();
    store.create("g/1/b", b"", Durability::Visible).unwrap();
    fs::remove_dir_all(folder.path().join("store")).unwrap();
    store.barrier().unwrap();
    let created = store.create("g/1/a", b"", Durability::Durable).unwrap();
    assert_eq!(created, Created::New);
}

#[test]
fn an_unsynced_object_stays_due_after_a_failed_barrier() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::local(folder.path());
    store.create("a", b"x", Durability::Visible).unwrap();
    fs::remove_file(folder.path().join("a")).unwrap();
    symlink("loop", folder.path().join("a")).unwrap();
    for _ in 0..2 {
        let error = store.barrier().unwrap_err();
        assert_eq!((error.op, error.object.as_str()), (Op::Barrier, "a"));
    }
    fs::remove_file(folder.path().join("a")).unwrap();
    store.barrier().unwrap();
}

const LIMITED_FOLDER: &str = "NODEKEEP_STORE_TEST_LIMITED_FOLDER";

/// Runs itself again in a process that may write only small files, as if the disk were full.
#[test]
fn a_failed_create_leaves_nothing() {
    if let Some(folder) = std::env::var_os(LIMITED_FOLDER) {
        create_under_limit(Path::new(&folder));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script =
        "trap '' XFSZ; ulimit -f 128; exec \"$0\" --exact local::a_failed_create_leaves_nothing";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(LIMITED_FOLDER, folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let left: Vec<_> = all_below(folder.path());
    assert_eq!(left, [folder.path().join("w/small"), folder.path().join("w")]);
}

fn create_under_limit(folder: &Path) {
    let store = Store::local(folder);
    let large = vec![1; 1 << 20];
    for durability in [Durability::Visible, Durability::Durable] {
        let error = store.create("w/large", &large, durability).unwrap_err();
        assert_eq!(error.object, "w/large");
        assert!(error.source.is_some());
    }
    store.create("w/small", b"x", Durability::Durable).unwrap();
}
