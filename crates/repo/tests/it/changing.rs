//! Files that change, grow, shrink, vanish or become unreadable while they are read: each is named, and what is stored is what was read.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use nodekeep_repo::backup::BackupReport;
use nodekeep_repo::monitor::Silent;
use nodekeep_store::Store;
use nodekeep_testkit::{Kind, Rng, Tree};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::lab::{Meddling, Moment, assert_restores, backup, create, newest, options, restore};

const SMALL: usize = 10_000;
const LARGE: usize = 3_000_000;

/// Where something is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Error,
    Notice,
}
use Said::{Error, Notice};

/// What is stored of a file that was interfered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    Nothing,
    /// The content before, and so much more.
    Grown(usize),
    /// The first part of the content before.
    Cut(usize),
    /// So many bytes, old or new.
    Mixed(usize),
}

struct Case {
    name: &'static str,
    size: usize,
    at: Moment,
    act: fn(&Path) -> io::Result<()>,
    said: Said,
    words: &'static str,
    stored: Stored,
}

fn append(path: &Path) -> io::Result<()> {
    io::Write::write_all(&mut File::options().append(true).open(path)?, &[7; 500])
}

fn cut(path: &Path) -> io::Result<()> {
    File::options().write(true).open(path)?.set_len(300)
}

fn rewrite(path: &Path) -> io::Result<()> {
    let size = path.metadata()?.len();
    // Neither truncated nor longer, but with another time.
    io::Write::write_all(&mut File::options().write(true).open(path)?, &vec![9; size as usize])?;
    File::options().write(true).open(path)?.set_modified(std::time::UNIX_EPOCH)
}

fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

fn folder(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    fs::create_dir(path)
}

fn pipe(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    Ok(mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?)
}

fn link(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    symlink("/etc/passwd", path)
}

fn denied(_: &Path) -> io::Result<()> {
    Err(rustix::io::Errno::ACCESS.into())
}

fn broken(_: &Path) -> io::Result<()> {
    Err(rustix::io::Errno::IO.into())
}

const CASES: &[Case] = &[
    Case {
        name: "grows",
        size: SMALL,
        at: Moment::Opened,
        act: append,
        said: Notice,
        words: "grew",
        stored: Stored::Grown(500),
    },
    Case {
        name: "grows, large",
        size: LARGE,
        at: Moment::Opened,
        act: append,
        said: Notice,
        words: "grew",
        stored: Stored::Grown(500),
    },
    Case {
        name: "shrinks",
        size: SMALL,
        at: Moment::Opened,
        act: cut,
        said: Notice,
        words: "shrank",
        stored: Stored::Cut(300),
    },
    Case {
        name: "shrinks, large",
        size: LARGE,
        at: Moment::Opened,
        act: cut,
        said: Notice,
        words: "shrank",
        stored: Stored::Cut(300),
    },
    Case {
        name: "rewritten",
        size: SMALL,
        at: Moment::Opened,
        act: rewrite,
        said: Notice,
        words: "changed",
        stored: Stored::Mixed(SMALL),
    },
    Case {
        name: "rewritten, large",
        size: LARGE,
        at: Moment::Read,
        act: rewrite,
        said: Notice,
        words: "changed",
        stored: Stored::Mixed(LARGE),
    },
    Case {
        name: "vanishes",
        size: SMALL,
        at: Moment::Opening,
        act: remove,
        said: Notice,
        words: "vanished",
        stored: Stored::Nothing,
    },
    Case {
        name: "vanishes, large",
        size: LARGE,
        at: Moment::Opening,
        act: remove,
        said: Notice,
        words: "vanished",
        stored: Stored::Nothing,
    },
    Case {
        name: "folder",
        size: SMALL,
        at: Moment::Opening,
        act: folder,
        said: Error,
        words: "no regular file",
        stored: Stored::Nothing,
    },
    Case {
        name: "folder, large",
        size: LARGE,
        at: Moment::Opening,
        act: folder,
        said: Error,
        words: "no regular file",
        stored: Stored::Nothing,
    },
    Case {
        name: "pipe",
        size: SMALL,
        at: Moment::Opening,
        act: pipe,
        said: Error,
        words: "no regular file",
        stored: Stored::Nothing,
    },
    Case {
        name: "link",
        size: SMALL,
        at: Moment::Opening,
        act: link,
        said: Error,
        words: "symbolic links",
        stored: Stored::Nothing,
    },
    Case {
        name: "denied",
        size: SMALL,
        at: Moment::Opening,
        act: denied,
        said: Error,
        words: "ermission denied",
        stored: Stored::Nothing,
    },
    Case {
        name: "denied, large",
        size: LARGE,
        at: Moment::Opening,
        act: denied,
        said: Error,
        words: "ermission denied",
        stored: Stored::Nothing,
    },
    Case {
        name: "broken",
        size: SMALL,
        at: Moment::Read,
        act: broken,
        said: Error,
        words: "nput/output",
        stored: Stored::Nothing,
    },
    Case {
        name: "broken, large",
        size: LARGE,
        at: Moment::Read,
        act: broken,
        said: Error,
        words: "nput/output",
        stored: Stored::Nothing,
    },
];

/// What is said of a path.
fn said_of(report: &BackupReport, path: &Path) -> Vec<(Said, String)> {
    let mine = |said, list: &[(Vec<u8>, String)]| {
        let of_path = list.iter().filter(|(named, _)| named == path.as_os_str().as_bytes());
        of_path.map(|(_, words)| (said, words.clone())).collect::<Vec<_>>()
    };
    [mine(Error, &report.errors), mine(Notice, &report.notices)].concat()
}

fn bytes_of<'t>(tree: &'t Tree, name: &str) -> Option<&'t [u8]> {
    match &tree.nodes.get(name.as_bytes())?.kind {
        Kind::File { bytes, .. } => Some(bytes),
        _ => None,
    }
}

fn check_case(case: &Case, before: &[u8], tree: &Tree) {
    let now = bytes_of(tree, case.name);
    let fits = match (case.stored, now) {
        (Stored::Nothing, now) => now.is_none() && !tree.nodes.contains_key(case.name.as_bytes()),
        (Stored::Grown(more), Some(now)) => {
            now.len() == before.len() + more && now.starts_with(before)
        }
        (Stored::Cut(len), Some(now)) => now == &before[..len],
        (Stored::Mixed(len), Some(now)) => {
            now.len() == len
                && now.iter().zip(before).all(|(now, before)| now == before || *now == 9)
        }
        (_, None) => false,
    };
    assert!(fits, "{}: {:?} bytes, expected {:?}", case.name, now.map(<[u8]>::len), case.stored);
}

#[test]
fn every_file_that_does_not_hold_still_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (source, cache) = (dir.path().join("source"), dir.path().join("cache"));
    fs::create_dir(&source).unwrap();
    let mut rng = Rng::new(1);
    let contents: Vec<Vec<u8>> = CASES.iter().map(|case| rng.bytes(case.size, false)).collect();
    for (case, content) in CASES.iter().zip(&contents) {
        fs::write(source.join(case.name), content).unwrap();
    }
    fs::write(source.join("calm"), "calm").unwrap();
    let place = source.clone();
    let done: Vec<AtomicBool> = CASES.iter().map(|_| AtomicBool::new(false)).collect();
    let meddling = Meddling::new(&source, move |moment, name| {
        for (case, done) in CASES.iter().zip(&done) {
            if case.name.as_bytes() == name
                && case.at == moment
                && !done.swap(true, Ordering::Relaxed)
            {
                return (case.act)(&place.join(case.name));
            }
        }
        Ok(())
    });
    let store = Store::memory();
    let repo = create(store.clone()).open(&store).unwrap();
    let report = repo.backup(&meddling, &options(Some(&cache)), &Silent).unwrap();

    let record = newest(&repo);
    let (restored, tree) = restore(&repo, &record).unwrap();
    assert!(restored.errors.is_empty(), "{:?}", restored.errors);
    assert!(record.snapshot.incomplete);
    assert_eq!(record.snapshot.errors, report.errors);
    assert_eq!(bytes_of(&tree, "calm"), Some(b"calm".as_slice()));
    for (case, before) in CASES.iter().zip(&contents) {
        let said = said_of(&report, &source.canonicalize().unwrap().join(case.name));
        let fits = matches!(&said[..], [(said, words)] if *said == case.said && words.contains(case.words));
        assert!(fits, "{}: {said:?}", case.name);
        check_case(case, before, &tree);
    }
    let others = report.errors.len() + report.notices.len() - CASES.len();
    assert_eq!(others, 0, "{:?} {:?}", report.errors, report.notices);

    // What changed while it was read is not trusted: the next backup has it as it is.
    let report = backup(&repo, &source, Some(&cache)).unwrap();
    assert!(report.errors.is_empty() && report.notices.is_empty(), "{report:?}");
    assert_restores(
        &repo,
        &newest(&repo),
        &Tree::read(&source).unwrap(),
        "after everything came to rest",
    );
}

#[test]
fn folders_that_vanish_or_close_are_named_and_the_rest_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().canonicalize().unwrap();
    for name in ["closed", "vanished", "kept", "closed/in", "vanished/in", "kept/in"] {
        fs::create_dir(source.join(name)).unwrap();
    }
    fs::write(source.join("kept/in/file"), "kept").unwrap();
    let gone = source.join("vanished");
    let top = source.file_name().unwrap().as_bytes().to_vec();
    let meddling = Meddling::new(&source, move |moment, name| match (moment, name) {
        (Moment::Listed, name) if name == top => fs::remove_dir_all(&gone),
        (Moment::Listed, b"closed") => Err(rustix::io::Errno::ACCESS.into()),
        _ => Ok(()),
    });
    let store = Store::memory();
    let repo = create(store.clone()).open(&store).unwrap();
    let report = repo.backup(&meddling, &options(None), &Silent).unwrap();
    let closed = said_of(&report, &source.join("closed"));
    assert!(matches!(&closed[..], [(Error, words)] if words.contains("ermission")), "{closed:?}");
    let vanished = said_of(&report, &source.join("vanished"));
    assert!(
        matches!(&vanished[..], [(Notice, words)] if words.contains("vanished")),
        "{vanished:?}"
    );
    let (_, tree) = restore(&repo, &newest(&repo)).unwrap();
    let names: Vec<_> = tree.nodes.keys().map(|name| name.escape_ascii().to_string()).collect();
    assert_eq!(names, ["", "kept", "kept/in", "kept/in/file"]);
}

#[test]
fn every_name_of_a_file_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().canonicalize().unwrap();
    fs::write(source.join("a"), "x").unwrap();
    fs::hard_link(source.join("a"), source.join("b")).unwrap();
    fs::create_dir(source.join("z")).unwrap();
    fs::hard_link(source.join("a"), source.join("z/c")).unwrap();
    let meddling = Meddling::new(&source, |moment, _| {
        if moment == Moment::Opened { denied(Path::new("")) } else { Ok(()) }
    });
    let store = Store::memory();
    let repo = create(store.clone()).open(&store).unwrap();
    let report = repo.backup(&meddling, &options(None), &Silent).unwrap();
    let named: Vec<PathBuf> = ["a", "b", "z/c"].iter().map(|name| source.join(name)).collect();
    for path in named {
        assert!(
            matches!(&said_of(&report, &path)[..], [(Error, _)]),
            "{}: {report:?}",
            path.display()
        );
    }
}

/// Writers and removers at full speed while backups run: nothing panics, every snapshot is whole in itself, and once they rest the
/// next backup has everything as it is.
#[test]
fn backups_of_a_busy_folder_are_whole_and_the_next_one_is_exact() {
    let dir = tempfile::tempdir().unwrap();
    let (source, cache) = (dir.path().join("source"), dir.path().join("cache"));
    fs::create_dir(&source).unwrap();
    let store = Store::memory();
    let repo = create(store.clone()).open(&store).unwrap();
    let rest = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seed in 0..2 {
            let (source, rest) = (&source, &rest);
            scope.spawn(move || disturb(&mut Rng::new(seed), source, rest));
        }
        for _ in 0..10 {
            let report = backup(&repo, &source, Some(&cache)).unwrap();
            let record = newest(&repo);
            assert_eq!(record.snapshot.incomplete, !report.errors.is_empty());
            let (restored, _) = restore(&repo, &record).unwrap();
            assert!(restored.errors.is_empty(), "{:?}", restored.errors);
        }
        rest.store(true, Ordering::Relaxed);
    });
    backup(&repo, &source, Some(&cache)).unwrap();
    assert_restores(&repo, &newest(&repo), &Tree::read(&source).unwrap(), "at rest");
}

fn disturb(rng: &mut Rng, source: &Path, rest: &AtomicBool) {
    while !rest.load(Ordering::Relaxed) {
        let path = source.join(format!("{}", rng.below(30)));
        let len = if rng.one_in(8) { 400_000 } else { rng.below(2000) };
        // The other thread may have been faster with any of these.
        let _ = match rng.below(6) {
            0 => fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)),
            1 => fs::create_dir(&path),
            2 => fs::rename(&path, source.join("moved")),
            3 => append(&path),
            4 => cut(&path),
            _ => fs::write(&path, rng.bytes(len, false)),
        };
    }
}

const CHILD: &str = "NODEKEEP_TEST_AS_NOBODY";

/// Root may read everything: what others may not read is tried as another user, by this test program started again.
#[test]
fn what_this_user_may_not_read_is_named() {
    let am_root = rustix::process::geteuid().is_root();
    if !am_root || std::env::var_os(CHILD).is_some() {
        return check_as_user();
    }
    // Not by its path: that may lie in a folder that only root enters.
    let mut child = Command::new("/proc/self/exe");
    child.args(["--exact", "changing::what_this_user_may_not_read_is_named"]).env(CHILD, "1");
    std::os::unix::process::CommandExt::uid(&mut child, 65534);
    let output = child.current_dir("/").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn check_as_user() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().canonicalize().unwrap();
    assert_ne!(source.metadata().unwrap().uid(), 0);
    for name in ["folder", "list only", "fine"] {
        fs::create_dir(source.join(name)).unwrap();
        fs::write(source.join(name).join("file"), "content").unwrap();
    }
    fs::write(source.join("file"), "content").unwrap();
    let set = |name: &str, mode| {
        fs::set_permissions(source.join(name), Permissions::from_mode(mode)).unwrap()
    };
    set("folder", 0o000);
    set("list only", 0o400);
    set("file", 0o000);
    let store = Store::memory();
    let repo = create(store.clone()).open(&store).unwrap();
    let report = backup(&repo, &source, None).unwrap();
    for name in ["folder", "file", "list only/file"] {
        let said = said_of(&report, &source.join(name));
        assert!(
            matches!(&said[..], [(Error, words)] if words.contains("ermission")),
            "{name}: {report:?}"
        );
    }
    assert_eq!(report.errors.len(), 3, "{:?}", report.errors);
    let (_, tree) = restore(&repo, &newest(&repo)).unwrap();
    assert_eq!(bytes_of(&tree, "fine/file"), Some(b"content".as_slice()));
    set("folder", 0o700);
    set("list only", 0o700);
}
