//! The damage matrix: every class of object, every kind of damage, every operation.
//!
//! Whatever is damaged, and whatever is then done, these hold, and are asserted for every cell:
//! - nothing panics, hangs, or asks for a huge piece of memory;
//! - no file is ever restored with other bytes than it had, unless the restore names it as not restored;
//! - an operation makes nothing worse: what could be restored before it can be restored after it;
//! - a new backup restores exactly, unless it shares a chunk with a pack whose damage only reading it would show; then the restore
//!   says so;
//! - a complaint names the damaged object (or is one of the few [`PLAIN`] ones, which say the same in other words).
//!
//! Beyond that, [`EXPECTED`] says for each cell what is to happen:
//! - `.` everything is as if nothing were damaged, and nothing is said: the damage hits nothing that the operation or any snapshot needs
//! - `n` the operation says it, naming the object; it refuses, or does what can still be done
//! - `q` the operation has nothing to do with what is damaged and succeeds; a restore or check names it
//! - `l` a snapshot is gone and nobody can tell: without an outcome a session looks like one that never committed
//!
//! `NODEKEEP_PRINT_MATRIX=1` with `--nocapture` prints the table as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use nodekeep_repo::backup::{BackupOptions, BackupReport};
use nodekeep_repo::check::{CheckOptions, CheckReport};
use nodekeep_repo::collect::CollectOptions;
use nodekeep_repo::error::{Error, Result};
use nodekeep_repo::id::SnapshotId;
use nodekeep_repo::keys::{Entropy, Reader};
use nodekeep_repo::monitor::Silent;
use nodekeep_repo::pack::{Layout, TRAILER_LEN};
use nodekeep_repo::repository::{Access, Pins, Repository};
use nodekeep_repo::roster::Role;
use nodekeep_repo::source::fs::FsSource;
use nodekeep_store::{Op as StoreOp, Store};
use nodekeep_testkit::damage::{self, Class, Damage};
use nodekeep_testkit::{Kind, Rng, Size, Tree, edit};

use crate::lab::{Keys, create, largest_allocation, planted, restore};

/// No operation on this small repository needs more in one piece, in bytes.
const HUGE: usize = 300 << 20;

/// What is damaged: an object of a class, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    Header,
    Body,
    Table,
}

/// The rows: name, class, part, and for each operation what happens for each of the damages in the order of [`damage::ALL`].
type Row = (&'static str, Class, Part, [&'static str; 6]);

const OPERATIONS: [(&str, Operation); 6] = [
    ("list", list),
    ("restore", restore_all),
    ("check", check),
    ("collect", collect),
    ("backup", back_up),
    ("repair", repair),
];

const EXPECTED: &[Row] = &[
    //                                                  list      restore   check     collect   backup    repair
    (
        "config",
        Class::Config,
        Part::Whole,
        ["nnnnn.", "nnnnn.", "nnnnn.", "nnnnn.", "nnnnn.", "nnnnn."],
    ),
    (
        "roster",
        Class::Roster,
        Part::Whole,
        ["nnnnnn", "nnnnnn", "nnnnnn", "nnnnnn", "nnnnnn", "nnnnnn"],
    ),
    (
        "envelope",
        Class::Envelope,
        Part::Whole,
        ["nnnnn.", "nnnnn.", "nnnnn.", "nnnnn.", "nnnnn.", "nnnnn."],
    ),
    (
        "checkpoint",
        Class::Checkpoint,
        Part::Whole,
        ["nnnnnn", "nnnnnn", "nnnnnn", "nnnnnn", "qqqqqq", "nnnnnn"],
    ),
    (
        "session",
        Class::Session,
        Part::Whole,
        ["nnn.nn", "nnn.nn", "nnn.nn", "qqq.qq", "qqq.qq", "nnn.nn"],
    ),
    (
        "outcome",
        Class::Outcome,
        Part::Whole,
        ["nnnlnn", "nnnlnn", "nnnlnn", "nnnlnn", "lllllq", "nnnlnn"],
    ),
    (
        "deletion",
        Class::Deletion,
        Part::Whole,
        ["nnn..n", "nnn..n", "nnn..n", "qqq..q", "qqq..q", "nnn..n"],
    ),
    (
        "segment",
        Class::Segment,
        Part::Whole,
        ["qqqqq.", "nnnnn.", "nnnnn.", "nnnnn.", "qqqqq.", "nnnnn."],
    ),
    (
        "data pack header",
        Class::DataPack,
        Part::Header,
        ["qqqqq.", "qnqnn.", "nnnnn.", "qqqqq.", "qqqqq.", "qnqnn."],
    ),
    (
        "data pack body",
        Class::DataPack,
        Part::Body,
        ["qqqqq.", "nnnnn.", "nnnnn.", "qqqqq.", "qqqqq.", "qnqnn."],
    ),
    (
        "data pack table",
        Class::DataPack,
        Part::Table,
        ["qqqqq.", "qqqnn.", "nnnnn.", "qqqqq.", "qqqqq.", "qnqnn."],
    ),
    (
        "tree pack header",
        Class::TreePack,
        Part::Header,
        ["qqqqq.", "qnqnn.", "nnnnn.", "qnqnn.", "qqqqq.", "qnqnn."],
    ),
    (
        "tree pack body",
        Class::TreePack,
        Part::Body,
        ["qqqqq.", "nnnnn.", "nnnnn.", "nnnnn.", "qqqqq.", "nnnnn."],
    ),
    (
        "tree pack table",
        Class::TreePack,
        Part::Table,
        ["qqqqq.", "qqqnn.", "nnnnn.", "qqqnn.", "qqqqq.", "qnqnn."],
    ),
];

/// Complaints that say plainly what is the matter without an object's name.
const PLAIN: &[&str] = &[
    "there is no Nodekeep repository",
    "the store was rolled back, or someone removed objects",
    "the repository shows roster",
    "these recovery words are valid, but belong to another repository",
    "is not the one",
];

type Operation = fn(&Lab, &Repository) -> Result<Said>;

/// What an operation says beyond doing its work.
#[derive(Debug, Default)]
struct Said {
    complaints: Vec<String>,
    new: Option<SnapshotId>,
}

/// The repository that is damaged, and what it must give back.
struct Lab {
    store: Store,
    keys: Keys,
    pins: Pins,
    other_config: Vec<u8>,
    dir: tempfile::TempDir,
    now: Tree,
    snapshots: BTreeMap<SnapshotId, Tree>,
    /// The snapshot that collections delete: the oldest.
    oldest: SnapshotId,
    newest: SnapshotId,
    victims: BTreeMap<Class, (String, Option<String>)>,
}

impl Lab {
    /// Two rosters, two checkpoints, snapshots folded and not, a deletion record, two readers.
    fn new() -> Self {
        let dir = crate::lab::scratch();
        let store = Store::memory();
        let keys = create(store.clone());
        let source = dir.path().join("source");
        planted(2, Size { names: 20, large: 0, deep: false }, &source);
        std::fs::write(source.join("cut into chunks"), Rng::new(9).bytes(400_000, false)).unwrap();
        keys.open(&store)
            .unwrap()
            .add_reader(&Reader::Age(stranger().owner().recipient()), "other", Role::Reader)
            .unwrap();
        let repo = keys.open(&store).unwrap();
        let mut rng = Rng::new(4);
        let mut snapshots = BTreeMap::new();
        let mut order = Vec::new();
        for round in 0..6 {
            let id = one_thread(&repo, &source).unwrap().snapshot.unwrap();
            snapshots.insert(id, Tree::read(&source).unwrap());
            order.push(id);
            edit(&mut rng, &source, 5).unwrap();
            if round == 1 || round == 3 {
                let first = order.remove(0);
                snapshots.remove(&first);
                repo.collect(&[first], &collect_options(), &Silent).unwrap();
            }
        }
        let dropped = order.remove(1);
        snapshots.remove(&dropped);
        repo.delete(&[dropped]).unwrap();
        let other_config = other_config();
        let now = Tree::read(&source).unwrap();
        let pins = repo.pins().unwrap();
        assert_eq!(damage::objects(&store, Class::Checkpoint).unwrap().len(), 2);
        let (oldest, newest) = (order[0], order[order.len() - 1]);
        let victims = BTreeMap::new();
        let mut lab =
            Self { store, keys, pins, other_config, dir, now, snapshots, oldest, newest, victims };
        lab.victims = EXPECTED.iter().map(|(_, class, ..)| (*class, lab.choose(*class))).collect();
        lab
    }

    fn source(&self) -> PathBuf {
        self.dir.path().join("source")
    }

    fn open(&self, store: &Store) -> Result<Repository> {
        Repository::open(store.clone(), &self.keys.access(), Some(&self.pins))
    }

    /// The object of a row, and another of its class for swaps.
    fn choose(&self, class: Class) -> (String, Option<String>) {
        let mut names = damage::objects(&self.store, class).unwrap();
        let repo = self.keys.open(&self.store).unwrap();
        let view = repo.view().unwrap();
        match class {
            // The newest one counts.
            Class::Roster | Class::Checkpoint => names.reverse(),
            Class::Envelope => {
                let own = own_envelope(&repo);
                names.sort_by_key(|name| *name != own);
            }
            Class::Session | Class::Outcome => {
                let newest = view.live.iter().max_by_key(|live| live.stamp.sequence).unwrap().stamp;
                names.retain(|name| name.starts_with(&format!("g/{:08x}", view.generation)));
                names.sort_by_key(|name| !name.contains(&newest.session.hex()));
            }
            Class::Deletion => {
                names.retain(|name| name.starts_with(&format!("g/{:08x}", view.generation)))
            }
            Class::Segment => names
                .retain(|name| view.segments.iter().any(|(_, hash)| name.ends_with(&hash.hex()))),
            // The largest pack that the newest snapshot needs.
            Class::DataPack | Class::TreePack => {
                names.sort_by_key(|name| {
                    (!self.is_needed(name), std::cmp::Reverse(self.store.size(name).unwrap()))
                });
            }
            _ => (),
        }
        let other = names.get(1).cloned();
        (names.swap_remove(0), other)
    }

    /// Whether the newest snapshot suffers without a pack.
    fn is_needed(&self, pack: &str) -> bool {
        let store = damage::copy(&self.store).unwrap();
        store.delete(pack).unwrap();
        let report = check_of(&self.open(&store).unwrap()).unwrap();
        report.problems.iter().any(|problem| problem.snapshots.contains(&self.newest))
    }

    fn damaged(&self, class: Class, part: Part, damage: Damage) -> (Store, String) {
        let store = damage::copy(&self.store).unwrap();
        let (name, other) = self.victims[&class].clone();
        let bytes = store.get(&name).unwrap();
        if class == Class::Config && damage == Damage::Swap {
            damage::replace(&store, &name, &self.other_config).unwrap();
        } else {
            let copy = copy_name(&name);
            damage
                .apply(&store, &name, range(&bytes, part), other.as_deref(), Some(&copy))
                .unwrap();
        }
        (store, name)
    }
}

/// A backup whose packs are the same in every run of the test.
fn one_thread(repo: &Repository, source: &Path) -> Result<BackupReport> {
    let options = BackupOptions { threads: Some(1), ..crate::lab::options(None) };
    repo.backup(&FsSource::new(vec![source.to_path_buf()])?, &options, &Silent)
}

fn stranger() -> Entropy {
    Entropy::from_bytes([5; 32])
}

fn other_config() -> Vec<u8> {
    let store = Store::memory();
    Repository::create(store.clone(), &stranger(), &crate::lab::small_packs()).unwrap();
    store.get("config").unwrap()
}

fn own_envelope(repo: &Repository) -> String {
    let own = repo.owner_keys().unwrap().recipient();
    let member =
        repo.roster().members.iter().find(|member| member.key_text() == Some(&own)).unwrap();
    nodekeep_repo::names::envelope(&member.envelopes[0].1)
}

/// A name that another object of the class could have.
fn copy_name(name: &str) -> String {
    if name == "config" {
        return "config.copy".to_owned();
    }
    if name.starts_with("r/") || name.starts_with("c/") {
        let number = u64::from_str_radix(&name[2..], 16).unwrap() + 1;
        return format!("{}{number:08x}", &name[..2]);
    }
    // Another digit in the last id: in the second part of `member.session.role`, at the end otherwise.
    let mut bytes = name.as_bytes().to_vec();
    let at = name.rfind('.').map_or(bytes.len() - 1, |_| name.find('.').unwrap() + 1);
    bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
    String::from_utf8(bytes).unwrap()
}

fn range(bytes: &[u8], part: Part) -> Range<usize> {
    if part == Part::Whole {
        return 0..bytes.len();
    }
    let trailer: [u8; TRAILER_LEN] = bytes[bytes.len() - TRAILER_LEN..].try_into().unwrap();
    let layout = Layout::decode(&trailer, bytes.len() as u64).unwrap();
    let (header, table) = (layout.header_len as usize, layout.table_at as usize);
    match part {
        Part::Header => 0..header,
        Part::Body => header..table,
        _ => table..bytes.len() - TRAILER_LEN,
    }
}

fn collect_options() -> CollectOptions {
    CollectOptions { max_unused_percent: 0, ..CollectOptions::default() }
}

fn list(_: &Lab, repo: &Repository) -> Result<Said> {
    let view = repo.view()?;
    let mut complaints: Vec<String> =
        view.problems.iter().map(|bad| format!("{}: {}", bad.object, bad.damage)).collect();
    let (_, unopened) = repo.snapshots_in(&view)?;
    complaints.extend(unopened.into_iter().map(|(object, error)| format!("{object}: {error}")));
    Ok(Said { complaints, ..Said::default() })
}

/// A client lists, then restores.
fn restore_all(lab: &Lab, repo: &Repository) -> Result<Said> {
    let mut said = list(lab, repo)?;
    for record in repo.snapshots()? {
        let (report, _) = restore(repo, &record)?;
        said.complaints.extend(report.errors.into_iter().map(|(_, why)| why));
    }
    Ok(said)
}

fn check_of(repo: &Repository) -> Result<CheckReport> {
    repo.check(&CheckOptions { data: Some(100), ..CheckOptions::default() }, &Silent)
}

fn check(_: &Lab, repo: &Repository) -> Result<Said> {
    let report = check_of(repo)?;
    let problems =
        report.problems.into_iter().map(|problem| format!("{}: {}", problem.object, problem.what));
    Ok(Said { complaints: problems.collect(), ..Said::default() })
}

fn collect(lab: &Lab, repo: &Repository) -> Result<Said> {
    let report = repo.collect(&[lab.oldest], &collect_options(), &Silent)?;
    Ok(Said { complaints: report.packs_damaged, ..Said::default() })
}

fn back_up(lab: &Lab, repo: &Repository) -> Result<Said> {
    let report = one_thread(repo, &lab.source())?;
    Ok(Said { new: report.snapshot, ..Said::default() })
}

fn repair(_: &Lab, repo: &Repository) -> Result<Said> {
    let report = repo.repair(&Silent)?;
    let lost = report
        .lost
        .into_iter()
        .map(|problem| format!("{}: {}", problem.object, problem.what))
        .collect();
    let complaints = [
        report.segments_lost,
        report.control_lost,
        report.packs_unreadable,
        report.packs_dropped,
        lost,
    ]
    .concat();
    Ok(Said { complaints, ..Said::default() })
}

/// What can be had from a store: which snapshots are listed, and which do not come back whole.
#[derive(Debug, Default, Clone)]
struct State {
    closed: bool,
    listed: BTreeSet<SnapshotId>,
    broken: BTreeSet<SnapshotId>,
    errors: Vec<String>,
}

impl State {
    fn is_whole(&self, lab: &Lab, deleted: &[SnapshotId]) -> bool {
        let all = lab.snapshots.keys().all(|id| deleted.contains(id) || self.listed.contains(id));
        !self.closed && all && self.broken.is_empty()
    }

    fn good(&self) -> BTreeSet<SnapshotId> {
        self.listed.difference(&self.broken).copied().collect()
    }
}

/// Restores everything there is, and asserts that nothing wrong comes of it.
fn state(lab: &Lab, store: &Store, new: Option<SnapshotId>, cell: &str) -> State {
    let mut state = State::default();
    let records = lab.open(store).and_then(|repo| Ok((repo.snapshots_in(&repo.view()?)?.0, repo)));
    let (records, repo) = match records {
        Ok(opened) => opened,
        Err(error) => {
            return State { closed: true, errors: vec![error.to_string()], ..state };
        }
    };
    for record in records {
        let expected =
            if new == Some(record.id) { Some(&lab.now) } else { lab.snapshots.get(&record.id) };
        // A deletion record that is damaged brings back what it deleted: that is no snapshot of ours to check.
        let Some(expected) = expected else { continue };
        state.listed.insert(record.id);
        match restore(&repo, &record) {
            Ok((report, tree)) => {
                if report.errors.is_empty() {
                    expected.assert_same(&tree, cell);
                } else {
                    state.broken.insert(record.id);
                    assert_no_wrong_bytes(expected, &tree, &report.errors, cell);
                }
                state.errors.extend(report.errors.into_iter().map(|(_, why)| why));
            }
            Err(error) => {
                state.broken.insert(record.id);
                state.errors.push(error.to_string());
            }
        }
    }
    state
}

fn assert_no_wrong_bytes(expected: &Tree, found: &Tree, errors: &[(Vec<u8>, String)], cell: &str) {
    for (path, node) in &found.nodes {
        let Kind::File { bytes, .. } = &node.kind else {
            continue;
        };
        let suffix = [b"/", path.as_slice()].concat();
        let named = errors.iter().any(|(error, _)| error.ends_with(&suffix));
        let right = matches!(expected.nodes.get(path).map(|n| &n.kind), Some(Kind::File { bytes: wanted, .. }) if wanted == bytes);
        assert!(named || right, "{cell}: {} has wrong bytes and is not named", path.escape_ascii());
    }
}

fn names_it(text: &str, object: &str) -> bool {
    text.contains(object) || PLAIN.iter().any(|plain| text.contains(plain))
}

/// Whether a text names any object, chunk or tree.
fn names_any(text: &str) -> bool {
    let mut words = text.split([' ', ':', ',', '\n']).filter(|word| !word.is_empty());
    words.any(|word| Class::of(word).is_some() || ["chunk", "tree"].contains(&word))
}

/// What an object may be called in a complaint: its name, that of its swap partner, or of its copy.
fn aliases(lab: &Lab, class: Class, name: &str) -> Vec<String> {
    let other = lab.victims[&class].1.clone();
    [Some(name.to_owned()), other, Some(copy_name(name))].into_iter().flatten().collect()
}

fn everything(store: &Store) -> BTreeMap<String, Vec<u8>> {
    let listed = store.list("").unwrap().into_iter();
    listed.map(|object| (object.name.clone(), store.get(&object.name).unwrap())).collect()
}

/// Runs an operation on a damaged store, asserts what must always hold, and gives the letter of what happened.
fn run_cell(
    lab: &Lab,
    cell: &str,
    damaged: &Store,
    aliases: &[String],
    before: &State,
    name: &str,
    operation: Operation,
) -> char {
    let copy = damage::copy(damaged).unwrap();
    let largest = copy.list("").unwrap().iter().map(|object| object.size).max().unwrap_or(0);
    let (store, recording) = copy.recording();
    let result = lab.open(&store).and_then(|repo| operation(lab, &repo));
    let reads = recording
        .operations()
        .into_iter()
        .filter(|made| made.op == StoreOp::Get)
        .map(|made| made.bytes)
        .max();
    assert!(reads.unwrap_or(0) <= largest, "{cell}: read more than any object has");
    assert!(
        largest_allocation() < HUGE,
        "{cell}: allocated {} bytes in one piece",
        largest_allocation()
    );

    let text = match &result {
        Ok(said) => said.complaints.join("\n"),
        Err(error) => with_sources(error),
    };
    let said = result.unwrap_or_default();
    // A deletion holds even where the collection that was to follow refuses.
    let deleted: Vec<SnapshotId> = if name == "collect" { vec![lab.oldest] } else { Vec::new() };
    let unchanged = ["list", "restore", "check"].contains(&name);
    assert!(!unchanged || everything(&store) == everything(damaged), "{cell}: changed the store");
    let after = if unchanged { before.clone() } else { state(lab, &store, said.new, cell) };
    let lost: Vec<_> = before
        .good()
        .difference(&after.good())
        .filter(|id| !deleted.contains(id))
        .copied()
        .collect();
    assert!(
        lost.is_empty(),
        "{cell}: made worse, {lost:?} do not come back any more: {text}\n{:?}",
        after.errors
    );
    let unnamed = !after.closed
        && !after.broken.is_empty()
        && !after.errors.iter().any(|error| names_any(error));
    assert!(!unnamed, "{cell}: restore complains without naming an object: {:?}", after.errors);
    if !text.is_empty() {
        // Where a checkpoint is missing, that shows only by what it named.
        let by_effect = cell.starts_with("checkpoint, Delete") && names_any(&text);
        let named = by_effect || aliases.iter().any(|name| names_it(&text, name));
        assert!(named, "{cell}: complains without naming {aliases:?}: {text}");
        return 'n';
    }
    let whole = after.is_whole(lab, &deleted);
    let lost = after.broken.is_empty() && !after.closed;
    match (whole, lost) {
        (true, _) if before.is_whole(lab, &[]) && is_checked_clean(lab, damaged) => '.',
        (true, _) | (false, false) => 'q',
        (false, true) => 'l',
    }
}

fn is_checked_clean(lab: &Lab, store: &Store) -> bool {
    lab.open(store).and_then(|repo| check_of(&repo)).is_ok_and(|report| report.problems.is_empty())
}

fn with_sources(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}

fn run_row(lab: &Lab, (row, class, part, _): &Row) -> [String; 6] {
    let mut letters: [String; 6] = Default::default();
    for damage in damage::ALL {
        let (store, name) = lab.damaged(*class, *part, damage);
        let before_bytes = everything(&store);
        let before = state(lab, &store, None, &format!("{row}, {damage:?}"));
        let aliases = aliases(lab, *class, &name);
        for (at, (operation_name, operation)) in OPERATIONS.iter().enumerate() {
            let cell = format!("{row}, {damage:?}, {operation_name}");
            let run =
                || run_cell(lab, &cell, &store, &aliases, &before, operation_name, *operation);
            let letter = catch_unwind(AssertUnwindSafe(run)).unwrap_or('!');
            letters[at].push(letter);
        }
        assert!(everything(&store) == before_bytes, "{row}, {damage:?}: the copy was used");
    }
    letters
}

#[test]
fn every_damage_is_named_or_does_no_harm() {
    let lab = Lab::new();
    let mut table = String::new();
    let mut differences = String::new();
    for row in EXPECTED {
        let letters = run_row(&lab, row);
        let _ = writeln!(table, "{:<18}{}", row.0, letters.join("  "));
        if letters.iter().zip(row.3).any(|(found, expected)| found != expected) {
            let _ = writeln!(differences, "{}: {letters:?} instead of {:?}", row.0, row.3);
        }
    }
    if std::env::var_os("NODEKEEP_PRINT_MATRIX").is_some() {
        print_table(&table);
    }
    assert!(differences.is_empty(), "{differences}");
}

#[expect(clippy::print_stdout, reason = "asked for by a variable")]
fn print_table(table: &str) {
    let heads: Vec<String> = OPERATIONS.iter().map(|(name, _)| format!("{name:<8}")).collect();
    println!("columns: {}; in each: flip, truncate, zero, delete, swap, duplicate", heads.concat());
    println!("{table}");
}

/// The parts of a portable file.
fn portable_parts(bytes: &[u8]) -> [(&'static str, Range<usize>); 4] {
    let footer = bytes.len() - 52;
    let directory = u64::from_le_bytes(bytes[footer..footer + 8].try_into().unwrap()) as usize;
    [
        ("header", 0..40),
        ("objects", 40..directory),
        ("directory", directory..footer),
        ("footer", footer..bytes.len()),
    ]
}

#[test]
fn every_damage_of_a_portable_file_is_named_or_does_no_harm() {
    use nodekeep_repo::portable::{PortableFile, open};
    let dir = crate::lab::scratch();
    let tree = planted(6, Size::SMALL, &dir.path().join("source"));
    let reader = stranger();
    let make = |name: &str| {
        let path = dir.path().join(name);
        let readers = vec![(Reader::Age(reader.owner().recipient()), "reader".to_owned())];
        let source = FsSource::new(vec![dir.path().join("source")]).unwrap();
        PortableFile::create(&path, readers)
            .unwrap()
            .backup(&source, &crate::lab::options(None), &Silent)
            .unwrap();
        std::fs::read(&path).unwrap()
    };
    let (file, other) = (make("file.nkb"), make("other.nkb"));
    let victim = dir.path().join("victim.nkb");
    let mut named = 0;
    for (part, range) in portable_parts(&file) {
        for step in 0..8 {
            let at = range.start + range.len() * step / 8;
            for (damage, bytes) in damaged_copies(&file, &other, at, &range) {
                let cell = format!("{part} at {at}, {damage}");
                std::fs::write(&victim, bytes).unwrap();
                let mut identities = nodekeep_repo::keys::Identities::new();
                identities.add_text(&reader.owner().identity(), None).unwrap();
                let access = Access { identities, ..Access::default() };
                let outcome = open(&victim, &access, &[])
                    .and_then(|repo| portable_restore(&repo, &tree, &cell));
                named += usize::from(!matches!(outcome, Ok(true)));
                if let Err(error) = outcome {
                    let text = with_sources(&error);
                    let says = text.contains("victim.nkb")
                        || Class::of(text.split(':').next().unwrap_or("")).is_some();
                    assert!(says || text.contains("tree "), "{cell}: {text}");
                }
            }
        }
    }
    assert!(named > 90, "only {named} damages were noticed");
    assert!(largest_allocation() < HUGE);
}

fn damaged_copies(
    file: &[u8],
    other: &[u8],
    at: usize,
    part: &Range<usize>,
) -> Vec<(&'static str, Vec<u8>)> {
    let mut flipped = file.to_vec();
    flipped[at] ^= 0x10;
    let mut zeroed = file.to_vec();
    zeroed[at..part.end.min(at + 64)].fill(0);
    let mut longer = file.to_vec();
    longer.splice(at..at, file[at..part.end.min(at + 8)].to_vec());
    // The end of one file behind the start of another.
    let crossed = [&file[..at], &other[at.min(other.len())..]].concat();
    vec![
        ("flipped", flipped),
        ("truncated", file[..at].to_vec()),
        ("zero-filled", zeroed),
        ("duplicated bytes", longer),
        ("crossed with another", crossed),
    ]
}

/// Whether the one snapshot came back whole; otherwise it was said what did not.
fn portable_restore(repo: &Repository, expected: &Tree, cell: &str) -> Result<bool> {
    let records = repo.snapshots()?;
    let view = repo.view()?;
    let Some(record) = records.first() else {
        assert!(!view.problems.is_empty(), "{cell}: no snapshot, and nothing said");
        return Ok(false);
    };
    let (report, tree) = restore(repo, record)?;
    if report.errors.is_empty() {
        // Perhaps another file altogether, where one was put together from two: whole in itself.
        expected.assert_same(&tree, cell);
        return Ok(true);
    }
    assert_no_wrong_bytes(expected, &tree, &report.errors, cell);
    Ok(false)
}
