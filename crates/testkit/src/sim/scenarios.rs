//! The small scenarios that are explored in full.

use nodekeep_repo::collect::CollectOptions;
use nodekeep_repo::id::SnapshotId;
use nodekeep_repo::monitor::Silent;
use nodekeep_repo::simulate::Bug;

use super::actor::Program;
use super::cache::{Cache, scratch};
use super::cast::{Cast, files, large, small};
use super::explore::{Actor, Explorer};
use super::faults::Faults;
use super::judge::Judge;
use super::trie::Trie;
use super::world::Stock;

mod collectors;
mod lost;

use collectors::{successor, successor_large, two_collectors};
use lost::{healing, healing_beside_collector, repair};

/// A scenario.
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// How much of it is explored.
    pub reach: Reach,
    make: fn(Option<Bug>) -> Explorer,
}

/// How large a scenario is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Small enough to be explored in every run.
    Quick,
    /// Explored in full runs.
    Full,
    /// Too large for either: random paths are taken through it.
    Random,
}

impl Scenario {
    /// The scenario from its beginning, with a fault planted or none.
    pub fn make(&self, bug: Option<Bug>) -> Explorer {
        (self.make)(bug)
    }
}

/// A collector that fences nobody.
const PATIENT: u64 = u64::MAX;
/// One that fences everybody.
const IMPATIENT: u64 = 0;

const NONE: Faults = Faults { budget: 0, errors: false, late: false, stale: false, power: 0 };
const ERRORS: Faults = Faults { budget: 1, errors: true, ..NONE };
const LATE: Faults = Faults { budget: 1, late: true, ..NONE };
const STALE: Faults = Faults { budget: 1, stale: true, ..NONE };

macro_rules! scenario {
    ($name:literal, $reach:ident, $about:literal, $make:expr) => {
        Scenario { name: $name, about: $about, reach: Reach::$reach, make: $make }
    };
}

/// All of them.
pub const SCENARIOS: &[Scenario] = &[
    scenario!("reuse", Quick, "a writer reuses what a patient collector deletes", |bug| {
        writer_and_collector(PATIENT, NONE, bug)
    }),
    scenario!("fence", Quick, "the same, and the collector fences it", |bug| {
        writer_and_collector(IMPATIENT, NONE, bug)
    }),
    scenario!("reuse-errors", Quick, "reuse; a request fails, or acts and fails", |bug| {
        writer_and_collector(PATIENT, ERRORS, bug)
    }),
    scenario!("fence-errors", Full, "fence; a request fails, or acts and fails", |bug| {
        writer_and_collector(IMPATIENT, ERRORS, bug)
    }),
    scenario!("reuse-late", Quick, "reuse; a create or delete arrives late, or twice", |bug| {
        writer_and_collector(PATIENT, LATE, bug)
    }),
    scenario!("fence-late", Full, "fence; a create or delete arrives late, or twice", |bug| {
        writer_and_collector(IMPATIENT, LATE, bug)
    }),
    scenario!("reuse-stale", Quick, "reuse; a listing of packs is an old one", |bug| {
        writer_and_collector(PATIENT, STALE, bug)
    }),
    scenario!("fence-stale", Quick, "fence; a listing of packs is an old one", |bug| {
        writer_and_collector(IMPATIENT, STALE, bug)
    }),
    scenario!(
        "power",
        Quick,
        "a writer's machine loses power, and what no barrier followed",
        power
    ),
    scenario!("power-collector", Quick, "a collector's machine loses power", power_collector),
    scenario!("cache", Quick, "a writer trusts its cache of a snapshot that is deleted", cached),
    scenario!(
        "generations",
        Quick,
        "a slow writer, and a collector that closes two generations",
        generations
    ),
    scenario!(
        "deletion",
        Quick,
        "a snapshot is deleted while a collector makes a checkpoint",
        deletion
    ),
    scenario!("prune", Quick, "a collection, cut off anywhere, and the next one", |bug| {
        two_collectors(false, NONE, bug)
    }),
    scenario!("prune-errors", Full, "the same; a request fails, or acts and fails", |bug| {
        two_collectors(false, ERRORS, bug)
    }),
    scenario!("prune-both", Full, "two collections, of which each deletes a snapshot", |bug| {
        two_collectors(true, NONE, bug)
    }),
    scenario!("successor", Full, "a writer, a collector cut off anywhere, and another", |bug| {
        successor(PATIENT, bug)
    }),
    scenario!("successor-fences", Full, "the same, and the second fences the writer", |bug| {
        successor(IMPATIENT, bug)
    }),
    scenario!("successor-large", Random, "the same, and a snapshot stays", successor_large),
    scenario!("repair", Quick, "a repair of a lost pack, and a writer of something new", repair),
    scenario!("heal", Full, "a healing, and a writer that needs what is lost", healing),
    scenario!("heal-collect", Full, "a healing beside a collector", healing_beside_collector),
    scenario!(
        "overslept",
        Full,
        "a writer that sleeps through three checkpoints and a fence",
        overslept
    ),
    scenario!("restore", Quick, "a restore while a collector rewrites what it reads", restore),
    scenario!("init", Quick, "a repository is made twice at once, each cut off anywhere", |bug| {
        creation(NONE, bug)
    }),
    scenario!("init-errors", Quick, "the same; a request fails, or acts and fails", |bug| {
        creation(ERRORS, bug)
    }),
    scenario!(
        "rekey",
        Quick,
        "new reader groups, cut off anywhere, while a writer backs up",
        rekey
    ),
    scenario!("remove", Quick, "a writer is removed while it backs up", remove),
    scenario!("writers", Full, "two writers and a patient collector", two_writers),
    scenario!(
        "writers-fenced",
        Full,
        "two writers, and a collector that fences them",
        fenced_writers
    ),
];

fn must(program: Program) -> Actor {
    Actor { program, succeeds: true }
}

fn may(program: Program) -> Actor {
    Actor { program, succeeds: false }
}

/// Two snapshots, of which the second has a pack of its own.
fn stocked(bug: Option<Bug>) -> (Cast, [SnapshotId; 2]) {
    let mut cast = Cast::new(1, bug);
    let first = cast.back_up(0, "first", &files(&[("x", large(b'x'))]));
    let second = cast.back_up(0, "second", &files(&[("x", large(b'x')), ("y", large(b'y'))]));
    (cast, [first, second])
}

/// Backs up what the second snapshot has.
fn reusing(cast: &mut Cast) -> Program {
    cast.writer(0, "writer A", files(&[("y", large(b'y'))]), None)
}

fn writer_and_collector(patience_secs: u64, faults: Faults, bug: Option<Bug>) -> Explorer {
    let (mut cast, [first, second]) = stocked(bug);
    let writer = reusing(&mut cast);
    // Whom nobody fences, nobody may stop.
    let writer = Actor { program: writer, succeeds: patience_secs == PATIENT };
    let actors = [writer, must(cast.collector("collector", vec![second], patience_secs))];
    explorer(&cast, &actors, vec![first], vec![second], faults, false)
}

fn two_writers(bug: Option<Bug>) -> Explorer {
    let (mut cast, [first, second]) = stocked(bug);
    let actors = [
        may(reusing(&mut cast)),
        may(cast.writer(1, "writer B", files(&[("x", large(b'x'))]), None)),
        must(cast.collector("collector", vec![second], PATIENT)),
    ];
    explorer(&cast, &actors, vec![first], vec![second], NONE, false)
}

/// One snapshot, which the collector deletes and both writers could still use.
fn fenced_writers(bug: Option<Bug>) -> Explorer {
    let mut cast = Cast::new(1, bug);
    let only = cast.back_up(0, "only", &files(&[("y", large(b'y'))]));
    let actors = [
        may(reusing(&mut cast)),
        may(cast.writer(1, "writer B", files(&[("y", large(b'y'))]), None)),
        must(cast.collector("collector", vec![only], IMPATIENT)),
    ];
    explorer(&cast, &actors, vec![], vec![only], NONE, false)
}

fn power(bug: Option<Bug>) -> Explorer {
    let mut cast = Cast::new(1, bug);
    let first = cast.back_up(0, "first", &files(&[("x", large(b'x'))]));
    let new = files(&[("x", large(b'x')), ("y", large(b'y')), ("a", small("a"))]);
    let actors = [must(cast.writer(0, "writer A", new, None))];
    let faults = Faults { budget: 1, power: 1, ..NONE };
    explorer(&cast, &actors, vec![first], vec![], faults, true)
}

fn power_collector(bug: Option<Bug>) -> Explorer {
    let (cast, [first, second, third]) = compactable(bug);
    let actors = [must(cast.collector("collector", vec![first], IMPATIENT))];
    let faults = Faults { budget: 1, power: 1, ..NONE };
    explorer(&cast, &actors, vec![second, third], vec![first], faults, true)
}

fn cached(bug: Option<Bug>) -> Explorer {
    let mut cast = Cast::new(1, bug);
    let first = cast.back_up(0, "first", &files(&[("x", large(b'x'))]));
    let both = files(&[("x", large(b'x')), ("d/y", large(b'y'))]);
    let folder = scratch();
    let second = cast.back_up_caching(0, "second", &both, Some(folder.path()));
    let cache = Some(Cache::pack(folder.path()));
    let actors = [
        must(cast.writer(0, "writer A", both, cache)),
        must(cast.collector("collector", vec![second], PATIENT)),
    ];
    explorer(&cast, &actors, vec![first], vec![second], NONE, false)
}

fn generations(bug: Option<Bug>) -> Explorer {
    let (mut cast, [first, second]) = stocked(bug);
    let third = cast.back_up(1, "third", &files(&[("z", large(b'z'))]));
    let writer = must(cast.writer(0, "writer A", files(&[("z", large(b'z'))]), None));
    let collector = cast.collecting("collector", vec![vec![second], vec![third]], PATIENT);
    explorer(&cast, &[writer, must(collector)], vec![first], vec![second, third], NONE, false)
}

fn deletion(bug: Option<Bug>) -> Explorer {
    let (mut cast, [first, second]) = stocked(bug);
    let third = cast.back_up(1, "third", &files(&[("z", large(b'z'))]));
    let actors = [
        must(cast.deleter("deleter", third)),
        must(cast.collecting("collector", vec![vec![second], vec![]], PATIENT)),
    ];
    explorer(&cast, &actors, vec![first], vec![second, third], NONE, false)
}

fn overslept(bug: Option<Bug>) -> Explorer {
    let (mut cast, [first, second]) = stocked(bug);
    let third = cast.back_up(1, "third", &files(&[("z", large(b'z'))]));
    let fourth = cast.back_up(1, "fourth", &files(&[("w", large(b'w'))]));
    let deletes = vec![vec![second], vec![third], vec![fourth]];
    let writer = may(cast.writer(0, "writer A", files(&[("x", large(b'x'))]), None));
    let collector = must(cast.collecting("collector", deletes, IMPATIENT));
    let gone = vec![second, third, fourth];
    explorer(&cast, &[writer, collector], vec![first], gone, NONE, false)
}

/// Three snapshots; without the first, half of a pack that the second needs is unused; without the third, a whole one.
fn compactable(bug: Option<Bug>) -> (Cast, [SnapshotId; 3]) {
    let mut cast = Cast::new(1, bug);
    let [first, second] = half_used(&mut cast);
    let third = cast.back_up(1, "third", &files(&[("z", large(b'z'))]));
    (cast, [first, second, third])
}

/// Two snapshots; without the first, half of a pack that the second needs is unused.
fn half_used(cast: &mut Cast) -> [SnapshotId; 2] {
    let first = cast.back_up(0, "first", &files(&[("x", large(b'x')), ("y", large(b'y'))]));
    [first, cast.back_up(0, "second", &files(&[("x", large(b'x'))]))]
}

fn restore(bug: Option<Bug>) -> Explorer {
    let (cast, [first, second, third]) = compactable(bug);
    let actors = [
        must(cast.restorer("restorer", "second")),
        must(cast.collector("collector", vec![first], PATIENT)),
    ];
    explorer(&cast, &actors, vec![second, third], vec![first], NONE, false)
}

fn creation(faults: Faults, bug: Option<Bug>) -> Explorer {
    let cast = Cast::empty(1, bug);
    let actors = [may(cast.creator("creator")), may(cast.creator("second creator"))];
    let (mut stock, mut trie) = (Stock::default(), Trie::new());
    let first = cast.world(&mut stock);
    let judge = Judge::new(&mut trie, cast.creation_experts(), vec![], vec![], true);
    Explorer::new(stock, trie, judge, first, &actors, faults)
}

fn rekey(bug: Option<Bug>) -> Explorer {
    let (mut cast, [first, second]) = stocked(bug);
    let rotate = |repo: &mut nodekeep_repo::repository::Repository| repo.rotate().map(drop);
    let actors = [
        may(reusing(&mut cast)),
        must(cast.owner("rotation", rotate)),
        may(cast.owner("second rotation", rotate)),
    ];
    explorer(&cast, &actors, vec![first, second], vec![], NONE, false)
}

fn remove(bug: Option<Bug>) -> Explorer {
    let (mut cast, [first, second]) = stocked(bug);
    let key = cast.writers[1].signing.public();
    let writer = cast.writer(1, "writer B", files(&[("y", large(b'y'))]), None);
    // What a writer commits while its owner removes it may not count: the owner decides, not the writer.
    let work = writer.work.clone();
    let unpromised = move |store| super::actor::Outcome { made: None, ..work(store) };
    let writer = Program { work: std::sync::Arc::new(unpromised), ..writer };
    let remove = move |repo: &mut nodekeep_repo::repository::Repository| {
        let role = nodekeep_repo::roster::Role::Writer;
        let member = repo.roster().signer(role, &key).map(|member| member.id);
        member.map_or(Ok(()), |id| repo.remove_member(&id))?;
        repo.collect(
            &[],
            &CollectOptions { max_unused_percent: 0, patience_secs: PATIENT },
            &Silent,
        )
        .map(drop)
    };
    let actors = [may(writer), must(cast.owner("removal", remove))];
    explorer(&cast, &actors, vec![first, second], vec![], NONE, false)
}

/// Two writers, two collectors and a reader, that take several rounds each, and every kind of fault.
pub fn crowd(seed: u64, bug: Option<Bug>) -> Explorer {
    let mut cast = Cast::new(seed, bug);
    let first = cast.back_up(0, "first", &files(&[("x", large(b'x')), ("y", large(b'y'))]));
    let second = cast.back_up(0, "second", &files(&[("x", large(b'x'))]));
    let third = cast.back_up(1, "third", &files(&[("z", large(b'z')), ("x", large(b'x'))]));
    let patience = if seed.is_multiple_of(2) { PATIENT } else { IMPATIENT };
    let actors = [
        may(cast.writer(0, "writer A", files(&[("y", large(b'y')), ("a", small("a"))]), None)),
        may(cast.writer(1, "writer B", files(&[("z", large(b'z')), ("b", small("b"))]), None)),
        may(cast.collecting("collector", vec![vec![first], vec![third], vec![]], patience)),
        may(cast.collecting("second collector", vec![vec![], vec![]], IMPATIENT)),
        may(cast.restorer("restorer", "second")),
    ];
    let faults = Faults { budget: 3, errors: true, late: true, stale: true, power: 0 };
    explorer(&cast, &actors, vec![second], vec![first, third], faults, false)
}

fn explorer(
    cast: &Cast,
    actors: &[Actor],
    kept: Vec<SnapshotId>,
    may_go: Vec<SnapshotId>,
    faults: Faults,
    always_mendable: bool,
) -> Explorer {
    let (mut stock, mut trie) = (Stock::default(), Trie::new());
    let first = cast.world(&mut stock);
    let judge = Judge::new(&mut trie, cast.experts(), kept, may_go, always_mendable);
    Explorer::new(stock, trie, judge, first, actors, faults)
}
