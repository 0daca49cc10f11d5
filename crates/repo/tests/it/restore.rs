//! Restore: exact, careful with what is there, and never outside its target.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use nodekeep_repo::backup::{BackupOptions, Filter};
use nodekeep_repo::error::Error;
use nodekeep_repo::keys::Entropy;
use nodekeep_repo::monitor::{Monitor, Silent};
use nodekeep_repo::repository::{Access, CreateOptions, Repository, SnapshotRecord};
use nodekeep_repo::restore::{Action, RestoreOptions, RestoreReport, Target};
use nodekeep_repo::source::fs::FsSource;
use nodekeep_store::Store;
use proptest::prelude::*;
use rustix::fs::{
    AtFlags, CWD, FileType as Raw, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, XattrFlags,
    lsetxattr, makedev, mkdirat, mknodat, openat, setxattr, utimensat,
};

use crate::picture::{assert_same, picture, picture_with_inodes};
use crate::world::{World, flip, named, noise};

/// A repository and a folder to play in.
struct Lab {
    world: World,
    dir: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let lab = Self { world: World::new(), dir: tempfile::tempdir().unwrap() };
        fs::create_dir(lab.source()).unwrap();
        lab
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(path)
    }

    fn source(&self) -> PathBuf {
        self.at("source")
    }

    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.source().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn backup(&self) -> SnapshotRecord {
        self.backup_of(&[self.source()])
    }

    fn backup_of(&self, paths: &[PathBuf]) -> SnapshotRecord {
        let repo = self.world.repo();
        let source = FsSource::new(paths.to_vec()).unwrap();
        let report = repo.backup(&source, &BackupOptions::default(), &Silent).unwrap();
        assert!(report.errors.is_empty(), "{:?}", report.errors);
        let id = report.snapshot.unwrap();
        repo.snapshots().unwrap().into_iter().find(|record| record.id == id).unwrap()
    }

    fn restore(
        &self,
        record: &SnapshotRecord,
        options: &RestoreOptions,
    ) -> Result<RestoreReport, Error> {
        self.world.repo().restore(record, options, &Silent)
    }

    /// Restores and expects no trouble.
    fn bring(
        &self,
        record: &SnapshotRecord,
        target: &str,
        change: impl Fn(&mut RestoreOptions),
    ) -> RestoreReport {
        let mut options = RestoreOptions::new(Target::Into(self.at(target)));
        change(&mut options);
        let report = self.restore(record, &options).unwrap();
        assert!(report.errors.is_empty(), "{:?}", report.errors);
        report
    }
}

fn set_mtime(path: &Path, secs: i64, nanos: i64) {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: secs, tv_nsec: nanos },
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// An access ACL for one more user, as the kernel stores it: version 2, then tag, permissions, id.
fn acl() -> Vec<u8> {
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in [
        (0x01u16, 6u16, u32::MAX),
        (0x02, 4, 1234),
        (0x04, 4, u32::MAX),
        (0x10, 4, u32::MAX),
        (0x20, 0, u32::MAX),
    ] {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// One of everything.
fn fill(lab: &Lab) {
    let source = lab.source();
    lab.write("small", b"a few bytes");
    lab.write("empty", b"");
    lab.write("large", noise(1, 20 << 20));
    lab.write("folder/inner/leaf", b"leaf");
    lab.write("new\nline", b"1");
    fs::write(source.join(OsStr::from_bytes(b"\xff\xfe not text")), b"2").unwrap();
    fs::create_dir_all(source.join("hollow/more hollow")).unwrap();
    symlink("folder/inner", source.join("link")).unwrap();
    symlink(OsStr::from_bytes(b"dangling \xff"), source.join("lost")).unwrap();
    fs::hard_link(source.join("small"), source.join("folder/small again")).unwrap();
    fs::hard_link(source.join("small"), source.join("zzz small")).unwrap();
    let sparse = File::create(source.join("sparse")).unwrap();
    sparse.write_all_at(b"head", 0).unwrap();
    sparse.write_all_at(b"middle", 40 << 20).unwrap();
    sparse.set_len(90 << 20).unwrap();
    File::create(source.join("all hole")).unwrap().set_len(5 << 20).unwrap();
    mknodat(CWD, source.join("pipe"), Raw::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    mknodat(CWD, source.join("socket"), Raw::Socket, Mode::from_raw_mode(0o600), 0).unwrap();
    setxattr(source.join("small"), "user.note", b"kept", XattrFlags::empty()).unwrap();
    setxattr(source.join("folder"), "user.note", b"", XattrFlags::empty()).unwrap();
    setxattr(source.join("empty"), "system.posix_acl_access", &acl(), XattrFlags::empty()).unwrap();
    setxattr(source.join("folder"), "system.posix_acl_default", &acl(), XattrFlags::empty())
        .unwrap();
    let modes = [
        ("small", 0o4755),
        ("folder/inner", 0o3711),
        ("folder/inner/leaf", 0),
        ("pipe", 0o622),
        ("hollow", 0o555),
    ];
    if is_root() {
        mknodat(
            CWD,
            source.join("device"),
            Raw::CharacterDevice,
            Mode::from_raw_mode(0o666),
            makedev(1, 3),
        )
        .unwrap();
        mknodat(
            CWD,
            source.join("disk"),
            Raw::BlockDevice,
            Mode::from_raw_mode(0o640),
            makedev(250, 70_000),
        )
        .unwrap();
        lsetxattr(source.join("link"), "trusted.note", b"of a link", XattrFlags::empty()).unwrap();
        let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        setxattr(source.join("large"), "security.capability", &capability, XattrFlags::empty())
            .unwrap();
        for (path, uid, gid) in
            [("folder", 1001, 2002), ("lost", 7, 8), ("pipe", 9, 10), ("small", 4_000_000_000, 12)]
        {
            std::os::unix::fs::lchown(source.join(path), Some(uid), Some(gid)).unwrap();
        }
    }
    for (path, mode) in modes {
        fs::set_permissions(source.join(path), Permissions::from_mode(mode)).unwrap();
    }
    let times = [
        ("small", -1, 1),
        ("lost", -1_000_000, 999_999_999),
        ("pipe", 1, 2),
        ("folder/inner", 4_000_000_000, 3),
    ];
    for (path, secs, nanos) in times {
        set_mtime(&source.join(path), secs, nanos);
    }
    set_mtime(&source.join("folder"), 5, 6);
    set_mtime(&source, 1_234_567_890, 123_456_789);
}

#[test]
fn everything_comes_back_exactly() {
    let lab = Lab::new();
    fill(&lab);
    let record = lab.backup();
    let before = picture(&lab.source());
    let report = lab.bring(&record, "fresh", |o| o.verify = true);
    assert_same(&before, &picture(&lab.at("fresh")));
    assert_eq!((report.changed, report.deleted, report.metadata), (0, 0, 0));
    assert!(!lab.at(".fresh.nodekeep-partial").exists());
    fs::create_dir(lab.at("existing")).unwrap();
    lab.bring(&record, "existing", |o| o.verify = true);
    assert_same(&before, &picture(&lab.at("existing")));
    for target in ["fresh", "existing"] {
        let sparse = fs::metadata(lab.at(target).join("sparse")).unwrap();
        assert!(sparse.blocks() * 512 < 1 << 20, "holes stay holes");
        assert_eq!(fs::metadata(lab.at(target).join("all hole")).unwrap().blocks(), 0);
    }
    let again = lab.bring(&record, "existing", |_| ());
    assert_eq!((again.created, again.changed, again.metadata, again.bytes), (0, 0, 0, 0));
}

#[test]
fn a_folder_that_hands_down_group_and_acl_does_not_change_what_is_restored() {
    let lab = Lab::new();
    lab.write("file", b"x");
    lab.write("folder/inner", b"y");
    let record = lab.backup();
    fs::create_dir(lab.at("heir")).unwrap();
    setxattr(lab.at("heir"), "system.posix_acl_default", &acl(), XattrFlags::empty()).unwrap();
    if is_root() {
        std::os::unix::fs::chown(lab.at("heir"), None, Some(4242)).unwrap();
    }
    fs::set_permissions(lab.at("heir"), Permissions::from_mode(0o2777)).unwrap();
    lab.bring(&record, "heir/fresh", |_| ());
    assert_same(&picture(&lab.source()), &picture(&lab.at("heir/fresh")));
    lab.bring(&record, "heir", |_| ());
    fs::remove_dir_all(lab.at("heir/fresh")).unwrap();
    let parts = ["file", "folder"];
    for part in parts {
        assert_same(&picture(&lab.source().join(part)), &picture(&lab.at("heir").join(part)));
    }
}

#[test]
fn only_what_differs_is_touched() {
    let lab = Lab::new();
    for name in
        ["same", "other bytes", "other size", "other mode", "folder/kept", "folder/gone", "twin a"]
    {
        lab.write(name, format!("content of {name}"));
    }
    fs::hard_link(lab.source().join("twin a"), lab.source().join("twin b")).unwrap();
    symlink("same", lab.source().join("link")).unwrap();
    let record = lab.backup();
    let before = picture_with_inodes(&lab.source());
    fs::write(lab.source().join("other bytes"), b"CONTENT OF other bytes").unwrap();
    fs::write(lab.source().join("other size"), b"short").unwrap();
    fs::set_permissions(lab.source().join("other mode"), Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(lab.source().join("folder/gone")).unwrap();
    let mut options = RestoreOptions::new(Target::InPlace);
    options.force = true;
    let report = lab.restore(&record, &options).unwrap();
    assert_eq!(report.errors, []);
    assert_eq!((report.created, report.changed, report.deleted), (1, 2, 0));
    assert_same(
        &picture(&lab.source()),
        &before.clone().into_iter().map(|(n, f)| (n, no_inode(f))).collect(),
    );
    let after = picture_with_inodes(&lab.source());
    // What was gone may get the inode back that it had.
    for (name, facts) in before.iter().filter(|(name, _)| *name != b"folder/gone") {
        let replaced = [b"other bytes".as_slice(), b"other size"].contains(&name.as_slice());
        assert_eq!(after[name].ino != facts.ino, replaced, "{}", String::from_utf8_lossy(name));
    }
}

fn no_inode(facts: crate::picture::Facts) -> crate::picture::Facts {
    crate::picture::Facts { ino: None, ..facts }
}

#[test]
fn links_are_made_and_broken_as_in_the_snapshot() {
    let lab = Lab::new();
    lab.write("a", b"same");
    lab.write("b", b"same");
    lab.write("c", b"linked");
    fs::hard_link(lab.source().join("c"), lab.source().join("d")).unwrap();
    let record = lab.backup();
    let before = picture(&lab.source());
    set_mtime(&lab.source().join("a"), 1, 1);
    fs::remove_file(lab.source().join("b")).unwrap();
    fs::hard_link(lab.source().join("a"), lab.source().join("b")).unwrap();
    fs::remove_file(lab.source().join("d")).unwrap();
    fs::write(lab.source().join("d"), b"linked").unwrap();
    lab.bring(&record, "source", |o| o.force = true);
    assert_same(&before, &picture(&lab.source()));
}

#[test]
fn nothing_is_overwritten_without_force() {
    let lab = Lab::new();
    lab.write("a/same", b"same");
    lab.write("a/will differ", b"before");
    lab.write("new", b"new");
    let record = lab.backup();
    fs::remove_file(lab.source().join("new")).unwrap();
    fs::write(lab.source().join("a/will differ"), b"after!").unwrap();
    let now = picture_with_inodes(&lab.source());
    let options = RestoreOptions::new(Target::Into(lab.source()));
    let refused = lab.restore(&record, &options).unwrap_err();
    let Error::WouldOverwrite { first, count } = &refused else { panic!("{refused}") };
    assert_eq!((first, *count), (&lab.source().join("a/will differ"), 1));
    assert_same(&now, &picture_with_inodes(&lab.source()));
    fs::remove_file(lab.source().join("a/will differ")).unwrap();
    fs::create_dir(lab.source().join("a/will differ")).unwrap();
    assert!(matches!(
        lab.restore(&record, &options).unwrap_err(),
        Error::WouldOverwrite { count: 1, .. }
    ));
}

#[test]
fn types_change_with_force() {
    let lab = Lab::new();
    lab.write("file", b"file");
    lab.write("folder/in it", b"x");
    symlink("file", lab.source().join("link")).unwrap();
    let record = lab.backup();
    let before = picture(&lab.source());
    for (target, fresh) in [("other", false), ("resumed", true)] {
        let place = if fresh { lab.at(".resumed.nodekeep-partial") } else { lab.at(target) };
        fs::create_dir_all(place.join("file/full of/things")).unwrap();
        fs::write(place.join("file/full of/things/here"), b"x").unwrap();
        fs::write(place.join("folder"), b"a file").unwrap();
        fs::create_dir(place.join("link")).unwrap();
        lab.bring(&record, target, |o| o.force = true);
        assert_same(&before, &picture(&lab.at(target)));
    }
}

#[test]
fn extra_names_go_only_if_asked_and_only_in_restored_folders() {
    let lab = Lab::new();
    lab.write("kept/file", b"x");
    lab.write("chosen/file", b"y");
    let record = lab.backup();
    for extra in ["extra", "chosen/extra", "chosen/deep/deeper/extra"] {
        lab.write(extra, b"extra");
    }
    lab.bring(&record, "source", |_| ());
    assert!(
        lab.source().join("extra").exists()
            && lab.source().join("chosen/deep/deeper/extra").exists()
    );
    let chosen = |o: &mut RestoreOptions| {
        o.delete_extra = true;
        o.subpaths = vec![b"chosen".to_vec()];
    };
    let report = lab.bring(&record, "source", chosen);
    assert_eq!(report.deleted, 2);
    assert!(lab.source().join("extra").exists() && !lab.source().join("chosen/deep").exists());
    assert_eq!(lab.bring(&record, "source", |o| o.delete_extra = true).deleted, 1);
    assert_eq!(picture(&lab.source()).len(), 5);
}

#[test]
fn what_must_stay_is_not_deleted_as_extra() {
    let lab = Lab::new();
    lab.write("file", b"x");
    let options = CreateOptions::default();
    let owner = Entropy::random();
    let place = lab.at("source/backups/repository");
    let store = Store::local(&place);
    let (repo, _) = Repository::create(store, &owner, &options).unwrap();
    let filter = Filter {
        exclude: vec!["*.log".to_owned(), "cache/big".to_owned()],
        skip: vec![place.clone().into_os_string().into_encoded_bytes()],
        ..Filter::default()
    };
    let source = FsSource::new(vec![lab.source()]).unwrap();
    let options = BackupOptions { filter, ..BackupOptions::default() };
    repo.backup(&source, &options, &Silent).unwrap();
    for extra in ["extra", "node.log", "cache/big/blob", "cache/small", "keys/identity"] {
        lab.write(extra, b"extra");
    }
    let mut options = RestoreOptions::new(Target::InPlace);
    options.delete_extra = true;
    options.protect = vec![lab.at("source/keys/identity")];
    let record = repo.snapshots().unwrap().pop().unwrap();
    let report = repo.restore(&record, &options, &Silent).unwrap();
    assert_eq!(report.errors, []);
    assert!(place.join("config").exists() && lab.at("source/keys/identity").exists());
    assert!(lab.at("source/node.log").exists());
    assert!(!lab.at("source/extra").exists());
    // A folder that the snapshot does not have goes whole: patterns are about its names, not about what is in it.
    assert!(!lab.at("source/cache").exists());
    fs::create_dir_all(lab.at("source/file.d")).unwrap();
    fs::remove_file(lab.at("source/file")).unwrap();
    fs::rename(lab.at("source/backups"), lab.at("source/file")).unwrap();
    let moved =
        Repository::open(Store::local(lab.at("source/file/repository")), &access(&owner), None)
            .unwrap();
    options.force = true;
    let refused = moved.restore(&record, &options, &Silent).unwrap_err();
    assert!(refused.to_string().contains("repository"), "{refused}");
    assert!(lab.at("source/file/repository/config").exists());
}

fn access(owner: &Entropy) -> Access {
    Access { owner: Some(owner.clone()), ..Access::default() }
}

#[test]
fn what_a_killed_restore_left_is_removed() {
    let lab = Lab::new();
    lab.write("folder/file", b"x");
    let record = lab.backup();
    lab.write("folder/.nodekeep-tmp.0123456789abcdef.7", b"half");
    lab.bring(&record, "source", |_| ());
    assert!(!lab.source().join("folder/.nodekeep-tmp.0123456789abcdef.7").exists());
    assert!(lab.source().join("folder/file").exists());
}

/// Interrupts after so many names.
struct Impatient {
    names: u64,
    seen: AtomicU64,
    notes: Mutex<Vec<String>>,
}

impl Monitor for Impatient {
    fn advance(&self, files: u64, _bytes: u64) {
        self.seen.fetch_add(files, Ordering::Relaxed);
    }

    fn note(&self, text: &str) {
        self.notes.lock().unwrap().push(text.to_owned());
    }

    fn interrupted(&self) -> bool {
        self.seen.load(Ordering::Relaxed) >= self.names
    }
}

#[test]
fn an_interrupted_restore_continues() {
    let lab = Lab::new();
    for number in 0..40 {
        lab.write(&format!("folder {}/file {number}", number % 7), noise(number, 100_000));
    }
    let record = lab.backup();
    let options = RestoreOptions::new(Target::Into(lab.at("target")));
    let impatient = Impatient { names: 20, seen: AtomicU64::new(0), notes: Mutex::default() };
    let stopped = lab.world.repo().restore(&record, &options, &impatient).unwrap_err();
    assert!(matches!(stopped, Error::Interrupted), "{stopped}");
    assert!(impatient.notes.lock().unwrap()[0].contains(".target.nodekeep-partial"));
    assert!(!lab.at("target").exists());
    let partial = lab.at(".target.nodekeep-partial");
    set_mtime(&partial.join("folder 1"), 1, 1);
    assert_eq!(fs::metadata(&partial).unwrap().mode() & 0o7777, 0o700);
    fs::write(partial.join("folder 0/file 0"), b"cut short").unwrap();
    fs::write(partial.join("of an older snapshot"), b"x").unwrap();
    let report = lab.bring(&record, "target", |_| ());
    assert!(report.kept > 0 && report.deleted == 1, "{report:?}");
    assert_same(&picture(&lab.source()), &picture(&lab.at("target")));
    assert!(!partial.exists());
}

#[test]
fn an_interruption_leaves_an_existing_target_without_drafts() {
    let lab = Lab::new();
    for number in 0..40 {
        lab.write(&format!("file {number}"), noise(number, 50_000));
    }
    lab.write("file 0", noise(99, 40 << 20));
    let record = lab.backup();
    fs::create_dir(lab.at("target")).unwrap();
    let options = RestoreOptions::new(Target::Into(lab.at("target")));
    let impatient = Impatient { names: 10, seen: AtomicU64::new(0), notes: Mutex::default() };
    lab.world.repo().restore(&record, &options, &impatient).unwrap_err();
    let complete = picture(&lab.source());
    for (name, facts) in picture(&lab.at("target")).into_iter().filter(|(name, _)| !name.is_empty())
    {
        assert_eq!(complete.get(&name), Some(&facts), "{}", String::from_utf8_lossy(&name));
    }
}

#[test]
fn links_in_the_target_lead_nowhere() {
    let lab = Lab::new();
    lab.write("folder/file", b"restored");
    lab.write("folder/sub/file", b"restored");
    lab.write("file", b"restored");
    let record = lab.backup();
    let attack = |target: &str| {
        let outside = lab.at("outside");
        fs::create_dir_all(outside.join("sub")).unwrap();
        fs::write(outside.join("file"), b"precious").unwrap();
        fs::create_dir_all(lab.at(target)).unwrap();
        symlink(&outside, lab.at(target).join("folder")).unwrap();
        symlink(outside.join("file"), lab.at(target).join("file")).unwrap();
        picture_with_inodes(&outside)
    };
    for (target, place) in [("target", "target"), ("fresh", ".fresh.nodekeep-partial")] {
        let before = attack(place);
        lab.bring(&record, target, |o| {
            o.force = true;
            o.delete_extra = true;
        });
        assert_same(&before, &picture_with_inodes(&lab.at("outside")));
        assert_same(&picture(&lab.source()), &picture(&lab.at(target)));
    }
    let before = attack("way");
    let mut options = RestoreOptions::new(Target::Into(lab.at("way")));
    options.force = true;
    options.subpaths = vec![b"folder/sub".to_vec()];
    assert!(
        lab.restore(&record, &options).is_err(),
        "a chosen path does not replace what leads to it"
    );
    assert_same(&before, &picture_with_inodes(&lab.at("outside")));
}

#[test]
fn chosen_paths_keep_their_place() {
    let lab = Lab::new();
    for name in ["a/b/one", "a/b/two", "a/three", "d/four", "five"] {
        lab.write(name, name);
    }
    let record = lab.backup();
    let absolute = |path: &str| lab.source().join(path).into_os_string().into_encoded_bytes();
    let cases: [(Vec<Vec<u8>>, &[&str]); 6] = [
        (vec![b"a/b".to_vec()], &["", "a", "a/b", "a/b/one", "a/b/two"]),
        (vec![absolute("a/b/two")], &["", "a", "a/b", "a/b/two"]),
        (vec![b"a/b/one".to_vec(), b"five".to_vec()], &["", "a", "a/b", "a/b/one", "five"]),
        (
            vec![b"a/b/one".to_vec(), b"a".to_vec()],
            &["", "a", "a/b", "a/b/one", "a/b/two", "a/three"],
        ),
        (vec![b"./d//".to_vec()], &["", "d", "d/four"]),
        (
            vec![absolute("")],
            &["", "a", "a/b", "a/b/one", "a/b/two", "a/three", "d", "d/four", "five"],
        ),
    ];
    for (number, (subpaths, expected)) in cases.into_iter().enumerate() {
        let target = format!("chosen {number}");
        lab.bring(&record, &target, |o| o.subpaths.clone_from(&subpaths));
        let found = picture(&lab.at(&target));
        let names: Vec<_> =
            found.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        assert_eq!(names, expected);
        let source = picture(&lab.source());
        assert!(found.iter().all(|(name, facts)| source[name] == *facts));
    }
    for missing in ["nothing", "five/below", "/elsewhere", "../source/five"] {
        let mut options = RestoreOptions::new(Target::Into(lab.at("none")));
        options.subpaths = vec![missing.into()];
        let refused = lab.restore(&record, &options).unwrap_err();
        assert!(matches!(refused, Error::NoPath { .. }), "{missing}: {refused}");
    }
    assert!(!lab.at("none").exists() && !lab.at(".none.nodekeep-partial").exists());
}

#[test]
fn roots_lie_where_they_belong() {
    let lab = Lab::new();
    lab.write("one/file", b"1");
    lab.write("two/inner/file", b"2");
    lab.write("alone", b"3");
    let source = lab.source();
    let several = lab.backup_of(&[
        source.join("one"),
        source.join("two"),
        source.join("two/inner"),
        source.join("alone"),
    ]);
    lab.bring(&several, "several", |_| ());
    let below = lab.at("several").join(source.strip_prefix("/").unwrap());
    for root in ["one", "two", "alone"] {
        assert_same(&picture(&source.join(root)), &picture(&below.join(root)));
    }
    assert_eq!(fs::metadata(lab.at("several")).unwrap().mode() & 0o7777, 0o700);
    let single = lab.backup_of(&[source.join("alone")]);
    lab.bring(&single, "single", |_| ());
    assert_same(&picture(&source.join("alone")), &picture(&lab.at("single/alone")));
    fs::remove_file(source.join("alone")).unwrap();
    fs::remove_dir_all(source.join("two")).unwrap();
    let one = picture_with_inodes(&source.join("one"));
    let report = lab.restore(&several, &RestoreOptions::new(Target::InPlace)).unwrap();
    assert_eq!(report.errors, []);
    assert_same(&one, &picture_with_inodes(&source.join("one")));
    assert_same(&picture(&below.join("two")), &picture(&source.join("two")));
    assert_same(&picture(&below.join("alone")), &picture(&source.join("alone")));
}

#[test]
fn a_dry_run_says_all_and_touches_nothing() {
    let lab = Lab::new();
    lab.write("same", b"same");
    lab.write("differs", b"before");
    lab.write("mode", b"mode");
    lab.write("gone", b"gone");
    let record = lab.backup();
    fs::write(lab.source().join("differs"), b"after!").unwrap();
    fs::set_permissions(lab.source().join("mode"), Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(lab.source().join("gone")).unwrap();
    lab.write("extra", b"extra");
    let before = picture_with_inodes(lab.dir.path());
    let mut options = RestoreOptions::new(Target::Into(lab.source()));
    options.dry_run = true;
    options.delete_extra = true;
    let plan = lab.world.repo().plan_restore(&record, &options, &Silent).unwrap();
    let mut items: Vec<_> =
        plan.items().map(|i| (String::from_utf8(i.path).unwrap(), i.action)).collect();
    items.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        ("", Action::Metadata),
        ("differs", Action::Change),
        ("extra", Action::Delete),
        ("gone", Action::Create),
        ("mode", Action::Metadata),
        ("same", Action::Keep),
    ];
    assert_eq!(items, expected.map(|(name, action)| (name.to_owned(), action)));
    assert_eq!(plan.bytes_to_write, 10);
    assert!(matches!(plan.refuse_overwriting(), Err(Error::WouldOverwrite { count: 1, .. })));
    let report = lab.restore(&record, &options).unwrap();
    assert_eq!((report.created, report.changed, report.deleted, report.bytes), (1, 1, 1, 10));
    options.target = Target::Into(lab.at("fresh/inner"));
    assert_eq!(lab.restore(&record, &options).unwrap().created, 5);
    assert_same(&before, &picture_with_inodes(lab.dir.path()));
}

#[test]
fn a_damaged_chunk_costs_its_files_and_no_others() {
    let lab = Lab::new();
    for number in 0..6 {
        lab.write(&format!("file {number}"), noise(number, 2 << 20));
    }
    let record = lab.backup();
    let before = picture(&lab.source());
    let pack = named(&lab.world.store, "/d/").into_iter().next().unwrap();
    flip(&lab.world.store, &pack, 500_000);
    fs::create_dir(lab.at("old")).unwrap();
    for number in 0..6 {
        fs::write(lab.at("old").join(format!("file {number}")), b"old content").unwrap();
    }
    for (target, in_place) in [("new", None), ("old", Some(b"old content"))] {
        let mut options = RestoreOptions::new(Target::Into(lab.at(target)));
        options.force = true;
        let report = lab.restore(&record, &options).unwrap();
        assert!(!report.errors.is_empty());
        let lost: Vec<_> = report
            .errors
            .iter()
            .map(|(path, _)| Path::new(OsStr::from_bytes(path)).to_path_buf())
            .collect();
        assert!(report.errors.iter().all(|(_, why)| why.contains(&pack)), "{:?}", report.errors);
        assert!(lost.len() < 6);
        for number in 0..6 {
            let path = lab.at(target).join(format!("file {number}"));
            if lost.contains(&path) {
                assert_eq!(fs::read(&path).ok().as_deref(), in_place.map(|b| b.as_slice()));
            } else {
                assert_eq!(
                    picture(&path)[b"".as_slice()].content,
                    before[format!("file {number}").as_bytes()].content
                );
            }
        }
        assert_eq!(
            fs::read_dir(lab.at(target)).unwrap().count(),
            if in_place.is_some() { 6 } else { 6 - lost.len() }
        );
    }
}

#[test]
fn paths_beyond_the_systems_limit_come_back() {
    let lab = Lab::new();
    let name = "n".repeat(250);
    let deepen = |from: &Path| {
        let mut at: OwnedFd = openat(CWD, from, OFlags::DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..20 {
            mkdirat(&at, &name, Mode::from_raw_mode(0o700)).unwrap();
            at = openat(&at, &name, OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        at
    };
    let bottom = deepen(&lab.source());
    let file = openat(&bottom, "deep", OFlags::CREATE | OFlags::WRONLY, Mode::from_raw_mode(0o640))
        .unwrap();
    rustix::io::write(&file, b"at the bottom").unwrap();
    rustix::fs::linkat(bottom.as_fd(), "deep", bottom.as_fd(), "twin", AtFlags::empty()).unwrap();
    let record = lab.backup();
    let before = picture(&lab.source());
    lab.bring(&record, "fresh", |o| o.verify = true);
    assert_same(&before, &picture(&lab.at("fresh")));
    fs::create_dir(lab.at("existing")).unwrap();
    lab.bring(&record, "existing", |_| ());
    assert_same(&before, &picture(&lab.at("existing")));
}

#[test]
fn a_second_restore_to_the_same_place_waits_its_turn() {
    let lab = Lab::new();
    lab.write("file", b"x");
    let record = lab.backup();
    fs::create_dir(lab.at(".target.nodekeep-partial")).unwrap();
    let other = File::open(lab.at(".target.nodekeep-partial")).unwrap();
    rustix::fs::flock(&other, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let options = RestoreOptions::new(Target::Into(lab.at("target")));
    let refused = lab.restore(&record, &options).unwrap_err();
    assert!(refused.to_string().contains("another restore"), "{refused}");
    drop(other);
    lab.bring(&record, "target", |_| ());
}

#[derive(Debug, Clone)]
enum Thing {
    File(Vec<u8>, u16),
    Hole(u32),
    Link(String),
    Folder(std::collections::BTreeMap<String, Thing>),
}

fn thing() -> impl Strategy<Value = Thing> {
    let leaf = prop_oneof![
        (proptest::collection::vec(any::<u8>(), 0..3000), 0o400u16..0o1000)
            .prop_map(|(b, m)| Thing::File(b, m)),
        (any::<u64>(), 0usize..400_000)
            .prop_map(|(seed, len)| Thing::File(noise(seed, len), 0o644)),
        (0u32..2_000_000).prop_map(Thing::Hole),
        "[a-z./]{1,20}".prop_map(Thing::Link),
    ];
    leaf.prop_recursive(4, 40, 8, |inner| {
        proptest::collection::btree_map("[a-z \\n]{1,6}", inner, 0..8).prop_map(Thing::Folder)
    })
}

fn build(at: &Path, thing: &Thing) {
    match thing {
        Thing::File(bytes, mode) => {
            fs::write(at, bytes).unwrap();
            fs::set_permissions(at, Permissions::from_mode(u32::from(*mode))).unwrap();
        }
        Thing::Hole(len) => File::create(at).unwrap().set_len(u64::from(*len)).unwrap(),
        Thing::Link(target) => symlink(target, at).unwrap(),
        Thing::Folder(things) => {
            fs::create_dir(at).unwrap();
            for (name, thing) in things {
                build(&at.join(name), thing);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// One tree comes back into nothing, and over any other tree.
    #[test]
    fn any_tree_comes_back_over_any_other(wanted in thing(), there in thing()) {
        let lab = Lab::new();
        build(&lab.source().join("x"), &wanted);
        let record = lab.backup();
        let before = picture(&lab.source());
        lab.bring(&record, "fresh", |_| ());
        assert_same(&before, &picture(&lab.at("fresh")));
        fs::create_dir(lab.at("other")).unwrap();
        build(&lab.at("other/x"), &there);
        let both = |o: &mut RestoreOptions| {
            o.force = true;
            o.delete_extra = true;
        };
        lab.bring(&record, "other", both);
        assert_same(&before, &picture(&lab.at("other")));
    }
}
