//! Differences between snapshots.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use nodekeep_repo::backup::BackupOptions;
use nodekeep_repo::diff::{ChangeKind, diff};
use nodekeep_repo::monitor::Silent;
use nodekeep_repo::reader::ChunkReader;
use nodekeep_repo::repository::{Repository, SnapshotRecord};
use nodekeep_repo::source::fs::FsSource;

use crate::world::{World, noise};

fn backup(repo: &Repository, path: &std::path::Path) -> SnapshotRecord {
    let source = FsSource::new(vec![path.to_path_buf()]).unwrap();
    let id = repo.backup(&source, &BackupOptions::default(), &Silent).unwrap().snapshot.unwrap();
    repo.snapshots().unwrap().into_iter().find(|record| record.id == id).unwrap()
}

fn reader(repo: &Repository) -> ChunkReader {
    repo.reader(Arc::new(repo.index(&repo.view().unwrap()).unwrap()))
}

#[test]
fn every_kind_of_change_is_told_and_nothing_else() {
    let (one, two) = (World::new(), World::new());
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().canonicalize().unwrap();
    let at = |name: &str| base.join(name);
    for folder in ["same/deep", "gone", "changed"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    for (name, seed) in [
        ("same/deep/file", 1),
        ("gone/file", 2),
        ("changed/bytes", 3),
        ("changed/mode", 4),
        ("changed/type", 5),
    ] {
        fs::write(at(name), noise(seed, 50_000)).unwrap();
    }
    symlink("here", at("changed/link")).unwrap();
    let before = backup(&one.repo(), &base);
    let before_elsewhere = backup(&two.repo(), &base);
    fs::remove_dir_all(at("gone")).unwrap();
    fs::create_dir(at("new")).unwrap();
    fs::write(at("new/file"), b"new").unwrap();
    fs::write(at("changed/bytes"), noise(6, 50_000)).unwrap();
    fs::set_permissions(at("changed/mode"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(at("changed/type")).unwrap();
    fs::create_dir(at("changed/type")).unwrap();
    fs::remove_file(at("changed/link")).unwrap();
    symlink("there", at("changed/link")).unwrap();
    let after = backup(&one.repo(), &base);
    let expected = [
        ("", ChangeKind::MetadataChanged),
        ("/changed", ChangeKind::MetadataChanged),
        ("/changed/bytes", ChangeKind::Modified),
        ("/changed/link", ChangeKind::Modified),
        ("/changed/mode", ChangeKind::MetadataChanged),
        ("/changed/type", ChangeKind::TypeChanged),
        ("/gone", ChangeKind::Removed),
        ("/gone/file", ChangeKind::Removed),
        ("/new", ChangeKind::Added),
        ("/new/file", ChangeKind::Added),
    ];
    let expected = expected.map(|(name, kind)| (format!("{}{name}", base.display()), kind));
    let cases = [(&one, &before), (&two, &before_elsewhere)];
    for (world, first) in cases {
        let mut found = Vec::new();
        let mut each = |change: nodekeep_repo::diff::Change| {
            assert_eq!(change.before.is_some(), change.kind != ChangeKind::Added);
            assert_eq!(change.after.is_some(), change.kind != ChangeKind::Removed);
            found.push((String::from_utf8(change.path).unwrap(), change.kind));
        };
        diff(&reader(&world.repo()), first, &reader(&one.repo()), &after, &mut each).unwrap();
        assert_eq!(found, expected);
    }
    let mut none = |change| panic!("{change:?}");
    diff(&reader(&one.repo()), &after, &reader(&one.repo()), &after, &mut none).unwrap();
    diff(&reader(&two.repo()), &before_elsewhere, &reader(&one.repo()), &before, &mut none)
        .unwrap();
}
