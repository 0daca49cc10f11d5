//! What is backed up comes back exactly, and what did not change costs nothing.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use nodekeep_repo::backup::BackupOptions;
use nodekeep_repo::monitor::Silent;
use nodekeep_repo::source::fs::FsSource;
use nodekeep_store::Store;
use nodekeep_testkit::{Kind, Node, Rng, Size, Tree, edit};

use crate::lab::{
    Meddling, Moment, assert_restores, backup, create, newest, options, planted, restore_in, stored,
};

/// What a snapshot of nothing new may cost, in bytes: its session and its outcome.
const STATEMENTS: u64 = 6000;

#[test]
fn random_trees_come_back_exactly_through_edits_and_a_lost_cache() {
    for seed in 0..6 {
        let dir = tempfile::tempdir().unwrap();
        let (source, cache) = (dir.path().join("source"), dir.path().join("cache"));
        let first = planted(seed, Size::FULL, &source);
        // What changed a moment ago is not trusted, and read again.
        std::thread::sleep(std::time::Duration::from_millis(50));
        let store = Store::memory();
        let keys = create(store.clone());
        let repo = keys.open(&store).unwrap();

        let report = backup(&repo, &source, Some(&cache)).unwrap();
        assert!(report.errors.is_empty() && report.notices.is_empty(), "seed {seed}: {report:?}");
        let (report, tree) = restore_in(dir.path(), &repo, &newest(&repo)).unwrap();
        assert!(report.errors.is_empty() && report.notes.is_empty(), "seed {seed}: {report:?}");
        first.assert_same(&tree, &format!("seed {seed}, first backup"));

        let before = stored(&store);
        let again = backup(&repo, &source, Some(&cache)).unwrap();
        assert_eq!(again.counts.chunks_added, 0, "seed {seed}");
        assert!(stored(&store) - before < STATEMENTS, "seed {seed}: {}", stored(&store) - before);
        let snapshots = repo.snapshots().unwrap();
        assert_eq!(snapshots[0].snapshot.roots, snapshots[1].snapshot.roots, "seed {seed}");

        // A lost cache costs a read and no storage: the same files make the same groups, on any number of threads.
        fs::remove_dir_all(&cache).unwrap();
        let files = FsSource::new(vec![source.clone()]).unwrap();
        let many = BackupOptions { threads: Some(4), ..options(Some(&cache)) };
        let report = repo.backup(&files, &many, &Silent).unwrap();
        assert_eq!((report.unmodified_files, report.counts.chunks_added), (0, 0), "seed {seed}");

        let edits = edit(&mut Rng::new(seed), &source, 12).unwrap();
        let second = Tree::read(&source).unwrap();
        backup(&repo, &source, Some(&cache)).unwrap();
        assert_restores(&repo, &newest(&repo), &second, &format!("seed {seed} after {edits:?}"));
        assert_restores(
            &repo,
            &snapshots[0],
            &first,
            &format!("seed {seed}, the first after {edits:?}"),
        );

        // What changed was joined without its neighbours: without a cache the groups around it are stored once more, large files not.
        fs::remove_dir_all(&cache).unwrap();
        let before = stored(&store);
        backup(&repo, &source, Some(&cache)).unwrap();
        let grown = stored(&store) - before;
        assert!(
            grown < small_bytes(&second) + second.nodes.len() as u64 * 200,
            "seed {seed}: {grown}"
        );
        assert_restores(&repo, &newest(&repo), &second, &format!("seed {seed} without a cache"));
    }
}

/// Bytes of the files that are joined into groups.
fn small_bytes(tree: &Tree) -> u64 {
    let size = |node: &Node| match &node.kind {
        Kind::File { bytes, .. } if bytes.len() < 256 * 1024 => bytes.len() as u64,
        _ => 0,
    };
    tree.nodes.values().map(size).sum()
}

#[test]
fn two_machines_with_the_same_files_store_them_once() {
    let dir = tempfile::tempdir().unwrap();
    let tree = planted(11, Size::FULL, &dir.path().join("here"));
    fs::create_dir(dir.path().join("there")).unwrap();
    tree.write(&dir.path().join("there")).unwrap();
    let store = Store::memory();
    let keys = create(store.clone());
    let mut repo = keys.open(&store).unwrap();
    backup(&repo, &dir.path().join("here"), None).unwrap();
    let before = stored(&store);
    let other = repo.enroll_writer("other", nodekeep_repo::roster::Trust::All).unwrap();
    let access =
        nodekeep_repo::repository::Access { credential: Some(other), ..Default::default() };
    let writer = nodekeep_repo::repository::Repository::open(store.clone(), &access, None).unwrap();
    let report = backup(&writer, &dir.path().join("there"), None).unwrap();
    assert!(stored(&store) - before < tree.bytes() / 20 + 8 * STATEMENTS, "{report:?}");
    assert_restores(&repo, &newest(&repo), &tree, "backed up by a writer that cannot read");
}

/// Seconds since 1970, `ago` seconds ago.
fn time(ago: i64) -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap() - ago
}

/// A rewrite within the clock's granularity leaves size, times and inode as they were. It is seen if the file looked too fresh to be
/// trusted; one that looks old is not opened again, which is the point of a cache.
#[test]
fn a_rewrite_that_leaves_no_trace_is_seen_while_the_file_is_fresh() {
    for (ago, seen) in [(0, true), (3600, false)] {
        let dir = tempfile::tempdir().unwrap();
        let (source, cache) = (dir.path().join("source"), dir.path().join("cache"));
        fs::create_dir(&source).unwrap();
        let file = source.join("file");
        fs::write(&file, "before").unwrap();
        let changed = time(ago);
        let opened = Arc::new(AtomicU64::new(0));
        let count = opened.clone();
        let count_opens = move |moment, _: &[u8]| {
            count.fetch_add(u64::from(moment == Moment::Opened), Ordering::Relaxed);
            Ok(())
        };
        let meddling = Meddling::new(&source, count_opens).posing(move |_, stat| {
            (stat.ctime, stat.mtime, stat.ctime_ns, stat.mtime_ns) = (changed, changed, 0, 0);
        });
        let store = Store::memory();
        let repo = create(store.clone()).open(&store).unwrap();
        repo.backup(&meddling, &options(Some(&cache)), &Silent).unwrap();
        fs::write(&file, "after!").unwrap();
        repo.backup(&meddling, &options(Some(&cache)), &Silent).unwrap();
        assert_eq!(opened.load(Ordering::Relaxed), 1 + u64::from(seen), "{ago} s ago");
        let (_, tree) = crate::lab::restore(&repo, &newest(&repo)).unwrap();
        let Kind::File { bytes, .. } = &tree.nodes[b"file".as_slice()].kind else {
            panic!("{tree:?}")
        };
        assert_eq!(bytes == b"after!", seen, "{ago} s ago");
    }
}

/// The same with the real clock: a file is rewritten right after each backup, with its old size and time.
#[test]
fn rewrites_right_after_a_backup_are_seen() {
    let dir = tempfile::tempdir().unwrap();
    let (source, cache) = (dir.path().join("source"), dir.path().join("cache"));
    fs::create_dir(&source).unwrap();
    let file = source.join("file");
    let store = Store::memory();
    let repo = create(store.clone()).open(&store).unwrap();
    let time = SystemTime::now();
    for round in 0..20 {
        fs::write(&file, format!("round {round:02}")).unwrap();
        fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        backup(&repo, &source, Some(&cache)).unwrap();
        if round % 5 == 0 {
            let now = Tree::read(&source).unwrap();
            assert_restores(&repo, &newest(&repo), &now, &format!("round {round}"));
        }
    }
    assert_eq!(repo.snapshots().unwrap().len(), 20);
    let roots: std::collections::BTreeSet<_> =
        repo.snapshots().unwrap().into_iter().map(|s| format!("{:?}", s.snapshot.roots)).collect();
    assert_eq!(roots.len(), 20, "every round is another tree");
}

/// New metadata is a new tree entry; the content, read again, is where it was.
#[test]
fn a_file_that_was_only_touched_is_not_stored_again() {
    let dir = tempfile::tempdir().unwrap();
    let (source, cache) = (dir.path().join("source"), dir.path().join("cache"));
    fs::create_dir(&source).unwrap();
    for n in 0..50 {
        fs::write(source.join(format!("{n:02}")), format!("content of file {n}")).unwrap();
    }
    let store = Store::memory();
    let repo = create(store.clone()).open(&store).unwrap();
    backup(&repo, &source, Some(&cache)).unwrap();
    let packs = || store.list("w/").unwrap().iter().filter(|o| o.name.contains("/d/")).count();
    let before = packs();
    let touched = fs::File::options().write(true).open(source.join("31")).unwrap();
    touched.set_modified(SystemTime::now()).unwrap();
    let report = backup(&repo, &source, Some(&cache)).unwrap();
    assert!(report.changed_files >= 1 && report.counts.bytes_read > 0, "{report:?}");
    assert_eq!(packs(), before, "{report:?}");
    fs::write(source.join("31"), "other content").unwrap();
    backup(&repo, &source, Some(&cache)).unwrap();
    assert_eq!(packs(), before + 1);
    assert_restores(&repo, &newest(&repo), &Tree::read(&source).unwrap(), "after all");
}
