//! The file system as a source: what is there is listed as it is, and nothing leads astray.

use std::fs::{self, File, Permissions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nodekeep_repo::source::fs::FsSource;
use nodekeep_repo::source::{Directory, FileType, Item, Root, Source};
use rustix::fs::{
    CWD, FileType as Raw, Mode, OFlags, XattrFlags, mkdirat, mknodat, openat, setxattr,
};

fn root_of(path: &Path) -> Root {
    let source = FsSource::new(vec![path.to_path_buf()]).unwrap();
    source.roots().unwrap().pop().unwrap()
}

fn directory(path: &Path) -> Arc<dyn Directory> {
    root_of(path).directory.unwrap()
}

fn items(directory: &dyn Directory) -> Vec<Item> {
    let mut listing = directory.list().unwrap();
    assert!(listing.unreadable.is_empty());
    listing.items.sort_by(|a, b| a.name.cmp(&b.name));
    listing.items
}

fn item(directory: &dyn Directory, name: &[u8]) -> Item {
    items(directory).into_iter().find(|i| i.name == name).unwrap()
}

#[test]
fn every_type_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), b"12345").unwrap();
    fs::create_dir(dir.path().join("folder")).unwrap();
    symlink("nowhere", dir.path().join("link")).unwrap();
    mknodat(CWD, dir.path().join("pipe"), Raw::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    mknodat(CWD, dir.path().join("socket"), Raw::Socket, Mode::from_raw_mode(0o600), 0).unwrap();
    fs::set_permissions(dir.path().join("file"), Permissions::from_mode(0o4751)).unwrap();
    let open = directory(dir.path());
    let found: Vec<_> = items(&*open).into_iter().map(|i| (i.name, i.stat.file_type)).collect();
    let expected = [
        (b"file".to_vec(), FileType::File),
        (b"folder".to_vec(), FileType::Directory),
        (b"link".to_vec(), FileType::Symlink),
        (b"pipe".to_vec(), FileType::Fifo),
        (b"socket".to_vec(), FileType::Socket),
    ];
    assert_eq!(found, expected);
    let file = item(&*open, b"file").stat;
    let metadata = fs::metadata(dir.path().join("file")).unwrap();
    assert_eq!((file.size, file.mode, file.nlink), (5, 0o4751, 1));
    assert_eq!((file.ino, file.dev), (metadata.ino(), metadata.dev()));
    assert_eq!((file.mtime, i64::from(file.mtime_ns)), (metadata.mtime(), metadata.mtime_nsec()));
    assert_eq!((file.ctime, i64::from(file.ctime_ns)), (metadata.ctime(), metadata.ctime_nsec()));
}

#[test]
fn a_second_list_shows_what_came_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let open = directory(dir.path());
    assert!(items(&*open).is_empty());
    for number in 0..2000 {
        File::create(dir.path().join(format!("a rather long name to fill the buffer {number}")))
            .unwrap();
    }
    assert_eq!(items(&*open).len(), 2000);
    assert_eq!(items(&*open).len(), 2000);
}

#[test]
fn names_are_bytes() {
    let dir = tempfile::tempdir().unwrap();
    for name in [b"new\nline".as_slice(), b"\xff\xfe", b" ", b"-rf", &[b'x'; 255]] {
        File::create(dir.path().join(std::ffi::OsStr::from_bytes(name))).unwrap();
        assert_eq!(item(&*directory(dir.path()), name).name, name);
    }
}

#[test]
fn links_are_described_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("secret"), b"outside").unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    fs::create_dir(dir.path().join("elsewhere")).unwrap();
    symlink("../secret", dir.path().join("in/file")).unwrap();
    symlink("../elsewhere", dir.path().join("in/folder")).unwrap();
    let open = directory(&dir.path().join("in"));
    assert!(open.open(b"file").is_err());
    assert!(open.enter(b"folder").is_err());
    let details = open.details(&item(&*open, b"file")).unwrap();
    assert_eq!(details.target, b"../secret");
}

#[test]
fn a_pipe_in_place_of_a_file_neither_hangs_nor_opens() {
    let dir = tempfile::tempdir().unwrap();
    mknodat(CWD, dir.path().join("file"), Raw::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    assert!(directory(dir.path()).open(b"file").is_err());
}

#[test]
fn attributes_are_read_sorted_and_whole() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    File::create(&file).unwrap();
    let mut expected: Vec<(Vec<u8>, Vec<u8>)> = vec![
        (b"user.empty".to_vec(), Vec::new()),
        (b"user.large".to_vec(), vec![7; 1500]),
        (b"user.zero\xff".to_vec(), b"a\0b".to_vec()),
    ];
    expected.extend(
        (0..40).map(|n| (format!("user.filler of the list of names {n}").into_bytes(), vec![b'v'])),
    );
    expected.sort();
    for (name, value) in &expected {
        setxattr(&file, name.as_slice(), value, XattrFlags::empty()).unwrap();
    }
    let open = directory(dir.path());
    assert_eq!(open.details(&item(&*open, b"file")).unwrap().xattrs, expected);
}

#[test]
fn a_directorys_own_attributes_come_through_its_parent() {
    let dir = tempfile::tempdir().unwrap();
    setxattr(dir.path(), "user.mark", b"1", XattrFlags::empty()).unwrap();
    let root = root_of(dir.path());
    assert_eq!(
        root.parent.details(&root.item).unwrap().xattrs,
        [(b"user.mark".to_vec(), b"1".to_vec())]
    );
}

#[test]
fn holes_are_found_and_data_is_read_from_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = File::create(dir.path().join("sparse")).unwrap();
    file.set_len(64 << 20).unwrap();
    file.seek(SeekFrom::Start(32 << 20)).unwrap();
    file.write_all(b"in the middle").unwrap();
    fs::write(dir.path().join("dense"), b"all of it").unwrap();
    let open = directory(dir.path());
    let mut sparse = open.open(b"sparse").unwrap();
    let extents = sparse.extents(64 << 20).unwrap().unwrap();
    let [(start, length)] = extents[..] else { panic!("one range of data: {extents:?}") };
    assert!(
        start <= 32 << 20 && start + length >= (32 << 20) + 13 && length <= 1 << 20,
        "{extents:?}"
    );
    sparse.seek(32 << 20).unwrap();
    let mut text = [0; 13];
    sparse.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"in the middle");
    let mut dense = open.open(b"dense").unwrap();
    let covered: u64 = dense.extents(9).unwrap().map_or(9, |e| e.iter().map(|(_, len)| len).sum());
    assert_eq!(covered, 9);
    let mut text = Vec::new();
    dense.read_to_end(&mut text).unwrap();
    assert_eq!(text, b"all of it");
}

#[test]
fn an_open_file_tells_that_it_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, b"before").unwrap();
    let open = directory(dir.path());
    let content = open.open(b"file").unwrap();
    assert_eq!(content.stat().unwrap().unwrap(), item(&*open, b"file").stat);
    fs::write(&path, b"and longer after").unwrap();
    assert_eq!(content.stat().unwrap().unwrap().size, 16);
}

#[test]
fn paths_beyond_the_systems_limit_are_reached() {
    let dir = tempfile::tempdir().unwrap();
    let name = "n".repeat(250);
    let mut at: OwnedFd = openat(CWD, dir.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..20 {
        mkdirat(&at, &name, Mode::from_raw_mode(0o700)).unwrap();
        at = openat(&at, &name, OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    openat(&at, "deep", OFlags::CREATE | OFlags::WRONLY, Mode::from_raw_mode(0o600)).unwrap();
    rustix::fs::fsetxattr(
        openat(&at, "deep", OFlags::RDONLY, Mode::empty()).unwrap(),
        "user.d",
        b"1",
        XattrFlags::empty(),
    )
    .unwrap();
    let mut open = directory(dir.path());
    for _ in 0..20 {
        open = open.enter(name.as_bytes()).unwrap();
    }
    let deep = item(&*open, b"deep");
    assert_eq!(open.details(&deep).unwrap().xattrs, [(b"user.d".to_vec(), b"1".to_vec())]);
    assert!(open.open(b"deep").is_ok());
}

#[test]
fn roots_are_recorded_as_what_they_lead_to() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().canonicalize().unwrap();
    fs::create_dir_all(base.join("real/inner")).unwrap();
    fs::write(base.join("real/file"), b"x").unwrap();
    symlink("real", base.join("link")).unwrap();
    symlink("real/file", base.join("filelink")).unwrap();
    let cases = [
        ("real", "real"),
        ("link", "real"),
        ("link/", "real"),
        ("filelink", "real/file"),
        ("link/inner/../file", "real/file"),
        ("./real//inner/.", "real/inner"),
    ];
    for (given, recorded) in cases {
        let root = root_of(&base.join(given));
        assert_eq!(root.path, base.join(recorded).as_os_str().as_bytes(), "{given}");
        assert_eq!(root.item.name, Path::new(recorded).file_name().unwrap().as_bytes(), "{given}");
        assert_eq!(
            root.directory.is_some(),
            root.item.stat.file_type == FileType::Directory,
            "{given}"
        );
    }
    let twice =
        FsSource::new(vec![base.join("link"), base.join("real"), base.join("real/inner")]).unwrap();
    assert_eq!(twice.paths(), [base.join("real"), base.join("real/inner")]);
    let missing = FsSource::new(vec![base.join("missing")]).unwrap_err();
    assert!(missing.to_string().contains("missing"), "{missing}");
}

#[test]
fn the_root_directory_is_a_root() {
    let root = root_of(&PathBuf::from("/"));
    assert_eq!(
        (root.path.as_slice(), root.item.name.as_slice()),
        (b"/".as_slice(), b"/".as_slice())
    );
    assert!(item(&*root.directory.unwrap(), b"proc").stat.file_type == FileType::Directory);
    root.parent.details(&root.item).unwrap();
}

#[test]
fn owners_have_names() {
    let source = FsSource::new(vec![PathBuf::from("/")]).unwrap();
    assert_eq!(source.user_name(0).as_deref(), Some("root"));
    assert_eq!(source.group_name(0).as_deref(), Some("root"));
    assert_eq!(source.user_name(3_999_999_999), None);
}
