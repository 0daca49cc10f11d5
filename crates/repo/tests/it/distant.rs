//! A store that is far away: the same results with few round trips, and failures on the way end what they are part of.

use std::path::Path;
use std::time::Duration;

use nodekeep_repo::audit::Seen;
use nodekeep_repo::backup::BackupOptions;
use nodekeep_repo::check::CheckOptions;
use nodekeep_repo::collect::CollectOptions;
use nodekeep_repo::monitor::Silent;
use nodekeep_repo::repository::{CreateOptions, Pins, Repository};
use nodekeep_repo::restore::{RestoreOptions, Target};
use nodekeep_repo::source::fs::FsSource;
use nodekeep_store::{
    Effect, FaultPlan, FaultRule, NameMatch, Occurrence, Op, OpMatch, Recorded, Store,
    StoreErrorKind,
};
use nodekeep_testkit::{Size, Tree};

use crate::lab::{
    Keys, assert_restores, backup, create, newest, options, planted, restore, small_packs,
};

/// Many requests at once are asked for, and none takes longer than it takes.
fn distant(store: &Store) -> Store {
    store.clone().distant(Duration::ZERO)
}

/// Small chunks in packs of some size: what lies together can come together.
fn create_with_packs(store: Store, pack_size: u64) -> Keys {
    let owner = nodekeep_repo::keys::Entropy::from_bytes([7; 32]);
    let options = CreateOptions { pack_size, ..small_packs() };
    let (_, credential) = Repository::create(store, &owner, &options).unwrap();
    Keys { owner, credential }
}

/// Restores with one thread: several would divide the chunks among themselves as time has it.
fn assert_restores_in_a_row(repo: &Repository, expected: &Tree) {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("restored");
    let options =
        RestoreOptions { threads: Some(0), ..RestoreOptions::new(Target::Into(target.clone())) };
    let report = repo.restore(&newest(repo), &options, &Silent).unwrap();
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    expected.assert_same(&Tree::read(&target).unwrap(), "in a row");
}

fn gets_of_packs(operations: &[Recorded], letter: &str) -> usize {
    let is_pack = |name: &str| name.split('/').nth(2) == Some(letter);
    operations.iter().filter(|done| done.op == Op::Get && is_pack(&done.name)).count()
}

#[test]
fn everything_works_from_afar() {
    let dir = tempfile::tempdir().unwrap();
    let tree = planted(41, Size::FULL, &dir.path().join("source"));
    let store = Store::memory();
    let keys = create(store.clone());
    let repo = keys.open(&distant(&store)).unwrap();
    for _ in 0..3 {
        backup(&repo, &dir.path().join("source"), None).unwrap();
    }
    assert_restores(&repo, &newest(&repo), &tree, "from afar");
    let records = repo.snapshots().unwrap();
    repo.collect(&[records[0].id, records[1].id], &CollectOptions::default(), &Silent).unwrap();
    let checked =
        repo.check(&CheckOptions { data: Some(100), ..CheckOptions::default() }, &Silent).unwrap();
    assert!(checked.problems.is_empty(), "{:?}", checked.problems);
    let near = keys.open(&store).unwrap();
    assert_restores(&near, &newest(&near), &tree, "from near");
}

/// A folder with a database, whose chunks are small, and many directories, whose trees are small.
fn plant_small_pieces(source: &Path) {
    std::fs::create_dir_all(source).unwrap();
    let mut noise = blake3::Hasher::new().update(b"pages").finalize_xof();
    let mut pages = vec![0; 6 << 20];
    pages[..16].copy_from_slice(b"SQLite format 3\0");
    noise.fill(&mut pages[16..]);
    std::fs::write(source.join("data.db"), pages).unwrap();
    for n in 0..200 {
        let folder = source.join(format!("folder {n}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("file"), format!("content {n}")).unwrap();
    }
}

#[test]
fn what_lies_together_comes_together() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    plant_small_pieces(&source);
    let (store, operations) = Store::memory().recording();
    let keys = create_with_packs(store.clone(), 16 << 20);
    // One thread fills one pack, in the order of the file.
    let in_a_row = BackupOptions { threads: Some(1), ..options(None) };
    let from = FsSource::new(vec![source.clone()]).unwrap();
    keys.open(&store).unwrap().backup(&from, &in_a_row, &Silent).unwrap();
    let tree = Tree::read(&source).unwrap();

    let count = |store: &Store| {
        let repo = keys.open(store).unwrap();
        operations.clear();
        assert_restores_in_a_row(&repo, &tree);
        let done = operations.operations();
        (gets_of_packs(&done, "d"), gets_of_packs(&done, "t"))
    };
    let (near_data, near_trees) = count(&store);
    let (data, trees) = count(&distant(&store));
    assert!(near_data > 50 && near_trees > 200, "{near_data}, {near_trees}");
    assert!(data * 3 < near_data, "{data} requests for 6 MiB of chunks that lie in one row");
    assert!(trees <= 4, "{trees} requests for trees that lie in one block");
}

#[test]
fn what_several_packs_share_comes_together_too() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    plant_small_pieces(&source);
    let data = source.join("data.db");
    let whole = std::fs::read(&data).unwrap();
    let (store, operations) = Store::memory().recording();
    let keys = create_with_packs(store.clone(), 16 << 20);
    let from = FsSource::new(vec![source.clone()]).unwrap();
    let in_a_row = BackupOptions { threads: Some(1), ..options(None) };
    let back_up = || keys.open(&store).unwrap().backup(&from, &in_a_row, &Silent).unwrap();
    // Each backup adds a pack with every third piece of the file that is to come, behind what makes it a database.
    let piece = 256 << 10;
    for part in [0, 1] {
        let pieces = whole.chunks(piece).enumerate().filter(|(at, _)| at % 3 == part);
        let pieces: Vec<u8> = pieces.flat_map(|(_, piece)| piece).copied().collect();
        std::fs::write(&data, [&whole[..16], &pieces[..]].concat()).unwrap();
        back_up();
    }
    std::fs::write(&data, &whole).unwrap();
    back_up();
    let tree = Tree::read(&source).unwrap();

    let count = |store: &Store| {
        let repo = keys.open(store).unwrap();
        operations.clear();
        assert_restores_in_a_row(&repo, &tree);
        gets_of_packs(&operations.operations(), "d")
    };
    let (near, far) = (count(&store), count(&distant(&store)));
    assert!(near > 50 && far * 3 < near, "{far} requests for what took {near} from near");
}

#[test]
fn an_upload_that_fails_ends_the_backup_and_nothing_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    let tree = planted(42, Size::FULL, &source);
    let store = Store::memory();
    let keys = create(store.clone());
    for nth in [1, 2, 5] {
        let packs = NameMatch::Contains("/d/".to_owned());
        let full = Effect::Fail(StoreErrorKind::NoSpace);
        let plan = FaultPlan::of(OpMatch::Only(Op::Create), packs, Occurrence::From(nth), full);
        let failing = store.clone().with_faults(plan);
        let repo = keys.open(&distant(&failing)).unwrap();
        let error = backup(&repo, &source, None).unwrap_err();
        assert!(error.to_string().contains("no space left"), "{error}");
        assert!(repo.snapshots().unwrap().is_empty(), "upload {nth}");
    }
    let repo = keys.open(&distant(&store)).unwrap();
    backup(&repo, &source, None).unwrap();
    assert_restores(&repo, &newest(&repo), &tree, "after failed uploads");
}

#[test]
fn a_pack_cut_short_costs_only_what_was_behind_the_cut() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    plant_small_pieces(&source);
    let store = Store::memory();
    let keys = create_with_packs(store.clone(), 16 << 20);
    let repo = keys.open(&distant(&store)).unwrap();
    backup(&repo, &source, None).unwrap();
    let record = newest(&repo);
    let pack = |letter: &str| {
        let listed = store.list("w/").unwrap();
        listed.into_iter().find(|object| object.name.split('/').nth(2) == Some(letter)).unwrap()
    };
    let data = pack("d");
    let half = store.get_range(&data.name, 0, data.size as usize / 2).unwrap();
    store.delete(&data.name).unwrap();
    store.create(&data.name, &half, nodekeep_store::Durability::Durable).unwrap();

    let (near, _) = restore(&keys.open(&store).unwrap(), &record).unwrap();
    let (far, _) = restore(&repo, &record).unwrap();
    let names = |errors: &[(Vec<u8>, String)]| {
        let last = |path: &[u8]| path.rsplit(|b| *b == b'/').next().unwrap_or_default().to_vec();
        errors.iter().map(|(path, _)| last(path)).collect::<std::collections::BTreeSet<_>>()
    };
    assert!(!near.errors.is_empty());
    assert_eq!(names(&near.errors), names(&far.errors));
    assert_eq!(near.errors.len(), far.errors.len());
}

/// The first time that an object is read as a whole, half of it is missing, and nothing says so.
fn first_reads_cut_short(store: &Store) -> Store {
    let rules = store.list("").unwrap().into_iter().map(|object| FaultRule {
        op: OpMatch::Only(Op::Get),
        name: NameMatch::Contains(object.name),
        when: Occurrence::Nth(1),
        effect: Effect::CutShort(object.size as usize / 2),
    });
    store.clone().with_faults(FaultPlan { rules: rules.collect() })
}

#[test]
fn what_is_cut_short_once_is_read_again_and_is_not_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    let tree = planted(43, Size::SMALL, &source);
    let store = Store::memory();
    let keys = create(store.clone());
    let repo = keys.open(&store).unwrap();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.extend(backup(&repo, &source, None).unwrap().snapshot);
    }
    repo.collect(&ids[..1], &CollectOptions::default(), &Silent).unwrap();
    backup(&repo, &source, None).unwrap();

    let open = || keys.open(&first_reads_cut_short(&store)).unwrap();
    let records = open().snapshots().unwrap();
    assert_eq!(records.len(), 3);
    assert_restores(&open(), &records[0], &tree, "restored");
    let everything = CheckOptions { data: Some(100), ..CheckOptions::default() };
    let checked = open().check(&everything, &Silent).unwrap();
    assert!(checked.problems.is_empty(), "{:?}", checked.problems);
    let audited = open().audit(&Pins::default(), &mut Seen::default()).unwrap();
    assert!(audited.alarms.is_empty(), "{:?}", audited.alarms);
    open().collect(&ids[1..2], &CollectOptions::default(), &Silent).unwrap();
    assert_restores(&open(), &newest(&open()), &tree, "after the collection");
}
