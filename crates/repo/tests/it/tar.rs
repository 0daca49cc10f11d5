//! Tar archives: what other programs read of ours, what we read of theirs, and what we refuse.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use nodekeep_repo::backup::BackupOptions;
use nodekeep_repo::error::Error;
use nodekeep_repo::export::{TarFormat, TarReport, write_tar};
use nodekeep_repo::monitor::Silent;
use nodekeep_repo::repository::SnapshotRecord;
use nodekeep_repo::restore::{RestoreOptions, Target};
use nodekeep_repo::source::Source;
use nodekeep_repo::source::fs::FsSource;
use nodekeep_repo::source::tar::TarSource;
use rustix::fs::{
    AtFlags, CWD, FileType as Raw, Mode, Timespec, Timestamps, UTIME_OMIT, XattrFlags, makedev,
    mknodat, setxattr, utimensat,
};

use crate::picture::{Picture, assert_same, picture};
use crate::world::{World, flip, named, noise};

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Names, types, numbers and times that a plain header does not hold.
fn fill(folder: &Path) {
    let long = "a long name, of which there are several on the way down/".repeat(6);
    fs::create_dir_all(folder.join(&long)).unwrap();
    fs::write(folder.join(&long).join("leaf"), b"leaf").unwrap();
    symlink(&long, folder.join("link to the long name")).unwrap();
    fs::hard_link(folder.join(&long).join("leaf"), folder.join("another name")).unwrap();
    fs::write(folder.join("large"), noise(1, 9_000_001)).unwrap();
    fs::write(folder.join("empty"), b"").unwrap();
    fs::write(folder.join("block"), [7; 512]).unwrap();
    fs::write(folder.join("new\nline"), b"x").unwrap();
    fs::write(folder.join(OsStr::from_bytes(b"\xff\xfe")), b"y").unwrap();
    fs::create_dir(folder.join("hollow")).unwrap();
    let sparse = File::create(folder.join("sparse")).unwrap();
    sparse.write_all_at(b"begin", 0).unwrap();
    sparse.write_all_at(b"middle", 5 << 20).unwrap();
    sparse.set_len(9 << 20).unwrap();
    mknodat(CWD, folder.join("pipe"), Raw::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    setxattr(folder.join("empty"), "user.note", b"with\0zero", XattrFlags::empty()).unwrap();
    setxattr(folder.join("empty"), "user.a=b%25", b"odd", XattrFlags::empty()).unwrap();
    setxattr(folder.join("hollow"), "user.note", b"of a folder", XattrFlags::empty()).unwrap();
    fs::set_permissions(folder.join("block"), Permissions::from_mode(0o4751)).unwrap();
    if is_root() {
        mknodat(
            CWD,
            folder.join("device"),
            Raw::CharacterDevice,
            Mode::from_raw_mode(0o600),
            makedev(4, 66),
        )
        .unwrap();
        std::os::unix::fs::chown(folder.join("large"), Some(4_000_000_001), Some(3_000_000))
            .unwrap();
    }
    let times = [
        ("block", -2, 750_000_000),
        ("large", 1, 1),
        ("hollow", 3_000_000_000, 5),
        ("pipe", -7, 0),
    ];
    for (name, secs, nanos) in times {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: secs, tv_nsec: nanos },
        };
        utimensat(CWD, folder.join(name), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

struct Lab {
    world: World,
    dir: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let lab = Self { world: World::new(), dir: tempfile::tempdir().unwrap() };
        fs::create_dir(lab.at("source")).unwrap();
        lab
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(path)
    }

    fn backup(&self, source: &dyn Source) -> SnapshotRecord {
        let repo = self.world.repo();
        let report = repo.backup(source, &BackupOptions::default(), &Silent).unwrap();
        assert!(report.errors.is_empty(), "{:?}", report.errors);
        let id = report.snapshot.unwrap();
        repo.snapshots().unwrap().into_iter().find(|record| record.id == id).unwrap()
    }

    fn backup_folder(&self) -> SnapshotRecord {
        self.backup(&FsSource::new(vec![self.at("source")]).unwrap())
    }

    fn export(
        &self,
        record: &SnapshotRecord,
        format: TarFormat,
        subpaths: &[Vec<u8>],
    ) -> (Vec<u8>, TarReport) {
        let repo = self.world.repo();
        let reader = repo.reader(Arc::new(repo.index(&repo.view().unwrap()).unwrap()));
        let mut bytes = Vec::new();
        let report =
            write_tar(&reader, record, subpaths, format, None, &mut bytes, &Silent).unwrap();
        (bytes, report)
    }

    fn restore(&self, record: &SnapshotRecord, target: &str) -> Picture {
        let options = RestoreOptions::new(Target::Into(self.at(target)));
        let report = self.world.repo().restore(record, &options, &Silent).unwrap();
        assert!(report.errors.is_empty(), "{:?}", report.errors);
        picture(&self.at(target))
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn gnu_tar_unpacks_what_we_write() {
    let lab = Lab::new();
    fill(&lab.at("source"));
    let record = lab.backup_folder();
    let (bytes, report) = lab.export(&record, TarFormat::Tar, &[]);
    assert_eq!(report.errors, []);
    assert_eq!(report.names, picture(&lab.at("source")).len() as u64);
    fs::write(lab.at("a.tar"), &bytes).unwrap();
    fs::create_dir(lab.at("out")).unwrap();
    let mut tar = Command::new("tar");
    tar.args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf"])
        .arg(lab.at("a.tar"))
        .arg("-C")
        .arg(lab.at("out"));
    run(&mut tar);
    assert_same(&picture(&lab.at("source")), &picture(&lab.at("out")));
}

#[test]
fn every_packing_is_read_again() {
    let lab = Lab::new();
    fill(&lab.at("source"));
    let record = lab.backup_folder();
    let before = picture(&lab.at("source"));
    let formats = [
        (TarFormat::Tar, "tar"),
        (TarFormat::Gz, "tgz"),
        (TarFormat::Zst, "odd"),
        (TarFormat::Br, "tar.br"),
    ];
    for (format, ending) in formats {
        let archive = lab.at(&format!("archive.{ending}"));
        fs::write(&archive, lab.export(&record, format, &[]).0).unwrap();
        let again = lab.backup(&TarSource::open(&archive, lab.dir.path()).unwrap());
        assert_same(&before, &lab.restore(&again, ending));
    }
    let left: Vec<_> =
        fs::read_dir(lab.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 1 + 2 * formats.len(), "nothing temporary is left: {left:?}");
}

#[test]
fn what_gnu_tar_writes_is_read() {
    let lab = Lab::new();
    fill(&lab.at("source"));
    let exact = picture(&lab.at("source"));
    for (format, sparse) in [
        ("gnu", "--"),
        ("gnu", "-S"),
        ("posix", "-S"),
        ("posix", "--sparse-version=0.0"),
        ("posix", "--sparse-version=0.1"),
    ] {
        let archive = lab.at(&format!("{format}{sparse}.tar"));
        let mut tar = Command::new("tar");
        tar.arg(format!("--format={format}")).args(["--xattrs", "--xattrs-include=*"]);
        if sparse != "--" {
            tar.args(["-S", sparse].iter().take(if sparse == "-S" { 1 } else { 2 }));
        }
        tar.arg("-cf").arg(&archive).arg("-C").arg(lab.at("source")).arg(".");
        run(&mut tar);
        let record = lab.backup(&TarSource::open(&archive, lab.dir.path()).unwrap());
        let mut found = lab.restore(&record, &format!("{format}{sparse}"));
        if format == "gnu" {
            // Its headers have whole seconds only, and no attributes.
            for (name, facts) in &mut found {
                facts.mtime.1 = exact[name].mtime.1;
                facts.details.xattrs.clone_from(&exact[name].details.xattrs);
            }
        }
        assert_same(&exact, &found);
        let blocks = fs::metadata(lab.at(&format!("{format}{sparse}/sparse"))).unwrap().blocks();
        assert_eq!(blocks * 512 < 1 << 20, sparse != "--", "{format} {sparse}: holes stay holes");
    }
}

#[test]
fn chosen_paths_and_several_roots_are_exported_at_their_place() {
    let lab = Lab::new();
    fs::create_dir_all(lab.at("source/a/b")).unwrap();
    fs::write(lab.at("source/a/b/file"), b"1").unwrap();
    fs::write(lab.at("source/other"), b"2").unwrap();
    let names = |bytes: &[u8]| {
        fs::write(lab.at("list.tar"), bytes).unwrap();
        let output = Command::new("tar").arg("-tf").arg(lab.at("list.tar")).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let folder = lab.backup_folder();
    let chosen = lab.export(&folder, TarFormat::Tar, &[b"a/b".to_vec()]).0;
    assert_eq!(names(&chosen), ["./", "./a/", "./a/b/", "./a/b/file"]);
    let roots = [lab.at("source/a"), lab.at("source/other")];
    let several = lab.backup(&FsSource::new(roots.to_vec()).unwrap());
    let base = lab.at("source").strip_prefix("/").unwrap().display().to_string();
    let expected = ["a/", "a/b/", "a/b/file", "other"].map(|name| format!("{base}/{name}"));
    assert_eq!(names(&lab.export(&several, TarFormat::Tar, &[]).0), expected);
    let single = lab.backup(&FsSource::new(vec![lab.at("source/other")]).unwrap());
    assert_eq!(names(&lab.export(&single, TarFormat::Tar, &[]).0), ["other"]);
}

#[test]
fn what_cannot_be_exported_is_left_out_and_said() {
    let lab = Lab::new();
    for number in 0..4 {
        fs::write(lab.at(&format!("source/small {number}")), noise(number, 300_000)).unwrap();
        fs::write(lab.at(&format!("source/large {number}")), noise(10 + number, 10 << 20)).unwrap();
    }
    mknodat(CWD, lab.at("source/socket"), Raw::Socket, Mode::from_raw_mode(0o600), 0).unwrap();
    let record = lab.backup_folder();
    for pack in named(&lab.world.store, "/d/").into_iter().take(3) {
        flip(&lab.world.store, &pack, 200_000);
    }
    let (bytes, report) = lab.export(&record, TarFormat::Tar, &[]);
    assert!(report.errors.len() > 1 && report.errors.len() < 9, "{:?}", report.errors);
    fs::write(lab.at("a.tar"), &bytes).unwrap();
    fs::create_dir(lab.at("out")).unwrap();
    run(Command::new("tar").arg("-xf").arg(lab.at("a.tar")).arg("-C").arg(lab.at("out")));
    let (before, after) = (picture(&lab.at("source")), picture(&lab.at("out")));
    let lost: Vec<_> =
        report.errors.iter().map(|(path, _)| path.strip_prefix(b"./").unwrap().to_vec()).collect();
    assert!(lost.contains(&b"socket".to_vec()));
    assert_eq!(after.len() + lost.len(), before.len());
    assert!(after.iter().all(|(name, facts)| before[name].content == facts.content));
}

/// A header with a right sum; `change` alters it before that.
fn header(name: &str, flag: u8, link: &str, size: usize, change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..107].copy_from_slice(b"0000644");
    block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    block[156] = flag;
    block[157..157 + link.len()].copy_from_slice(link.as_bytes());
    block[257..265].copy_from_slice(b"ustar\x0000");
    change(&mut block);
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

fn member(name: &str, flag: u8, link: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = header(name, flag, link, data.len(), |_| ());
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn archive(members: &[Vec<u8>]) -> Vec<u8> {
    [members.concat(), vec![0; 1024]].concat()
}

#[test]
fn archives_that_lead_astray_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = || member("file", b'0', "", b"x");
    let link = || member("link", b'2', "/etc", b"");
    let folder = || member("folder/", b'5', "", b"");
    let pax = |text: &str| member("pax", b'x', "", text.as_bytes());
    let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("absolute", vec![member("/etc/passwd", b'0', "", b"x")]),
        ("leads up", vec![member("a/../../b", b'0', "", b"x")]),
        ("leads up", vec![member("..", b'5', "", b"")]),
        ("absolute", vec![pax("20 path=/etc/passwd\n"), file()]),
        ("zero byte", vec![pax("12 path=a\0b\n"), file()]),
        ("behind a symbolic link", vec![link(), member("link/passwd", b'0', "", b"x")]),
        ("below what is no folder", vec![file(), member("file/below", b'0', "", b"x")]),
        ("out of the archive", vec![member("hard", b'1', "../outside", b"")]),
        ("out of the archive", vec![member("hard", b'1', "/etc/passwd", b"")]),
        ("not in the archive", vec![member("hard", b'1', "nothing", b"")]),
        ("to a folder", vec![folder(), member("hard", b'1', "folder", b"")]),
        ("not in the archive", vec![link(), member("hard", b'1', "link/passwd", b"")]),
        (
            "not empty",
            vec![member("folder/file", b'0', "", b"x"), member("folder", b'2', "/etc", b"")],
        ),
        ("top is no folder", vec![member("./", b'2', "/etc", b"")]),
        ("unknown kind", vec![member("odd", b'z', "", b"")]),
        ("extended header is malformed", vec![pax("99 path=short\n"), file()]),
        ("extended header is malformed", vec![pax("no length"), file()]),
        ("extended header is malformed", vec![pax("13 mtime=now\n"), file()]),
        ("too large", vec![header("pax", b'x', "", 1 << 30, |_| ())]),
        ("number", vec![header("file", b'0', "", 0, |block| block[124..135].fill(b'9'))]),
        ("negative", vec![header("file", b'0', "", 0, |block| block[124..136].fill(0xff))]),
        ("cut short", vec![header("file", b'0', "", 1 << 30, |_| ())]),
    ];
    for (number, (why, members)) in cases.into_iter().enumerate() {
        let path = dir.path().join(format!("{number}.tar"));
        fs::write(&path, archive(&members)).unwrap();
        let refused = TarSource::open(&path, dir.path()).expect_err(why);
        assert!(matches!(refused, Error::Archive { .. }), "{refused:?}");
        let text = refused.to_string();
        assert!(
            text.contains(why) && text.contains(&format!("{number}.tar")),
            "case {number}, {why}: {text}"
        );
    }
}

#[test]
fn a_broken_archive_is_never_taken_for_whole() {
    let dir = tempfile::tempdir().unwrap();
    let whole = archive(&[member("one", b'0', "", &[1; 700]), member("two", b'0', "", &[2; 700])]);
    let open = |bytes: &[u8], name: &str| {
        fs::write(dir.path().join(name), bytes).unwrap();
        TarSource::open(&dir.path().join(name), dir.path())
    };
    open(&whole, "whole.tar").unwrap();
    for len in (0..whole.len() - 1023).step_by(100) {
        open(&whole[..len], "cut.tar").expect_err("cut");
    }
    open(&noise(1, 4096), "noise.tar").expect_err("no archive");
    let mut gz = flate2_of(&whole);
    open(&gz, "whole.gz").unwrap();
    gz.truncate(gz.len() - 20);
    open(&gz, "cut.gz").expect_err("cut");
    for (magic, name) in [(b"BZh91AY".as_slice(), "bzip2"), (b"\xfd7zXZ\0\0", "xz")] {
        assert!(open(magic, "packed").unwrap_err().to_string().contains(name));
    }
}

fn flate2_of(bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap().stdout
}

#[test]
fn the_last_of_several_members_counts() {
    let lab = Lab::new();
    let bytes = archive(&[
        member("file", b'0', "", b"first"),
        member("folder/kept", b'0', "", b"kept"),
        member("file", b'0', "", b"second and last"),
        member("folder/", b'5', "", b""),
        member("link", b'2', "file", b""),
        member("link", b'0', "", b"no link any more"),
        member("hard", b'1', "./file", b""),
    ]);
    fs::write(lab.at("a.tar"), bytes).unwrap();
    let source =
        TarSource::open(&lab.at("a.tar"), lab.dir.path()).unwrap().with_root(b"/var/lib/node");
    let record = lab.backup(&source);
    assert_eq!(record.snapshot.roots[0].path, b"/var/lib/node");
    assert_eq!(record.snapshot.roots[0].entry.name, b"node");
    let found = lab.restore(&record, "out");
    let names: Vec<_> =
        found.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    assert_eq!(names, ["", "file", "folder", "folder/kept", "hard", "link"]);
    assert_eq!(fs::read(lab.at("out/file")).unwrap(), b"second and last");
    assert_eq!(fs::read(lab.at("out/link")).unwrap(), b"no link any more");
    assert_eq!(found[b"hard".as_slice()].same_as.as_deref(), Some(b"file".as_slice()));
}
