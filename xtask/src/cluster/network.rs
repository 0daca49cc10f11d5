//! A bad network between the program and the store: nothing is lost, nothing is wrong, and errors say what happened.

use std::fmt;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nodekeep_testkit::proxy::{Fault, Plan, Proxy};
use nodekeep_testkit::{Rng, Size, edit};

use super::ceph::Ceph;
use super::machine::{Machine, Ran};
use super::stage::{Site, Stage};
use crate::error::Error;

/// Each kind of fault by itself.
const FAULTS: [Fault; 9] = [
    Fault::CutBefore,
    Fault::CutUpload,
    Fault::CutAfter,
    Fault::CutDownload,
    Fault::Truncate,
    Fault::Duplicate,
    Fault::Refuse(503),
    Fault::Refuse(429),
    Fault::Stall(Duration::from_millis(300)),
];

/// A request in so many suffers.
const ONE_IN: usize = 4;

/// The same for what few requests can suffer, because they must change something.
const ONE_CHANGE_IN: usize = 2;

/// The same for lies: an object that comes short twice in a row looks damaged.
const ONE_LIE_IN: usize = 12;

/// So many trials at once: their commands mostly wait before they ask again.
const AT_ONCE: usize = 4;

/// A command that the network makes fail may be repeated so often.
const TRIES: u32 = 20;

/// A bad network: what goes wrong, and where chance comes from.
#[derive(Debug, Clone)]
struct Weather {
    seed: u64,
    faults: Vec<Fault>,
}

/// What came of a trial.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    faults: u64,
    repeated: u64,
}

/// Backups, a restore, a prune and a check under each kind of fault, and under all of them.
pub fn run(stage: &mut Stage<Ceph>) -> Result<String, Error> {
    let forecast: Vec<Weather> = (0..stage.rounds(1, 2))
        .flat_map(|round| Weather::of_all_kinds(stage.seed + round))
        .collect();
    let tallies = endure_all(stage, &forecast)?;
    let sum = |of: fn(&Tally) -> u64| -> u64 { tallies.iter().map(of).sum() };
    Ok(format!(
        "{} kinds of fault by themselves and all together, {} times: {} faults, {} commands failed and were repeated",
        FAULTS.len(),
        forecast.len() / (FAULTS.len() + 1),
        sum(|tally| tally.faults),
        sum(|tally| tally.repeated)
    ))
}

impl Weather {
    /// Each kind by itself, and all together.
    fn of_all_kinds(seed: u64) -> Vec<Self> {
        let each = FAULTS.iter().map(|fault| Self { seed, faults: vec![*fault] });
        each.chain([Self { seed, faults: FAULTS.to_vec() }]).collect()
    }

    fn plan(&self) -> Plan {
        let one_in = match self.faults[..] {
            [Fault::Truncate] => ONE_LIE_IN,
            [Fault::Duplicate | Fault::CutUpload] => ONE_CHANGE_IN,
            _ => ONE_IN,
        };
        Plan::faults(self.seed, self.faults.clone(), one_in)
    }

    fn lies(&self) -> bool {
        self.faults.contains(&Fault::Truncate)
    }
}

impl fmt::Display for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.faults[..] {
            [fault] => fault.fmt(f),
            _ => f.write_str("all faults"),
        }
    }
}

/// A few trials at once, each with a repository of its own. After a failure no other begins.
fn endure_all(stage: &Stage<Ceph>, forecast: &[Weather]) -> Result<Vec<Tally>, Error> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Ok(Vec::new()));
    let results = || done.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || {
        while let Some(weather) = forecast.get(next.fetch_add(1, Ordering::Relaxed)) {
            let tally = endure(stage, weather);
            let mut results = results();
            match (&mut *results, tally) {
                (Ok(tallies), Ok(tally)) => tallies.push(tally),
                (Ok(_), Err(error)) => *results = Err(error),
                (Err(_), _) => (),
            }
            if results.is_err() {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Everything that a repository's owner does, with some requests suffering.
fn endure(stage: &Stage<Ceph>, weather: &Weather) -> Result<Tally, Error> {
    let site = stage.site()?;
    let proxy =
        Proxy::start(stage.cluster.server(), weather.plan()).map_err(Error::file("proxy"))?;
    let outcome = work(&site, &proxy, weather.lies(), &mut stage.rng(weather.seed ^ 0x6e65));
    let counts = proxy.counts();
    let broken = |told: String| {
        let last = counts.suffered.iter().rev().take(10).map(String::as_str);
        let last: Vec<&str> = last.collect();
        let seed = weather.seed;
        Error::Broken(format!(
            "{weather}, seed {seed}: {told}\nthe last faults, newest first:\n{}",
            last.join("\n")
        ))
    };
    let repeated = outcome.map_err(|error| broken(error.to_string()))?;
    match counts.total() {
        0 => Err(broken("no request suffered".to_owned())),
        faults => Ok(Tally { faults, repeated }),
    }
}

fn work(site: &Site, proxy: &Proxy, lies: bool, rng: &mut Rng) -> Result<u64, Error> {
    let direct = &site.owner;
    let owner = direct.through(proxy.address());
    let mut repeated = 0;
    owner.grow(rng, Size::SMALL)?;
    owner.add_file(rng, "large", 5)?;
    let data = owner.data();
    let mut kept = Vec::new();
    for _ in 0..3 {
        let tree = owner.tree()?;
        let words = ["backup", &data.to_string_lossy(), "--json"];
        let ran = insist(&owner, &words, lies, &mut repeated)?;
        kept.push((super::machine::snapshot_of(&ran)?, tree));
        edit(rng, &data, 5).map_err(Error::file(&data))?;
    }
    for (id, tree) in &kept {
        let target = owner.path(TARGET);
        let words = ["restore", id, "--target", &target.to_string_lossy(), "--quiet"];
        insist(&owner, &words, lies, &mut repeated)?;
        owner.compare(id, &target, tree)?;
    }
    insist(
        &owner,
        &["snapshot", "prune", "--keep-last", "2", "--max-unused", "0"],
        lies,
        &mut repeated,
    )?;
    insist(&owner, &["check", "--data"], lies, &mut repeated)?;
    // What was delivered twice arrives at the latest now, when everything is long over.
    for answer in proxy.settle() {
        answer.map_err(Error::file("a late duplicate"))?;
    }
    direct.must_check(&["--data"])?;
    for (id, tree) in &kept[1..] {
        direct.must_restore(id, tree)?;
    }
    direct.run(&["snapshot", "prune", "--keep-last", "1", "--max-unused", "0"])?.ok()?;
    direct.must_check(&["--data"])?;
    let (id, tree) = &kept[2];
    direct.must_restore(id, tree)?;
    Ok(repeated)
}

/// Repeats a command that failed because of the network; any other failure is one of the program.
fn insist(machine: &Machine, words: &[&str], lies: bool, repeated: &mut u64) -> Result<Ran, Error> {
    for _ in 0..TRIES {
        let ran = machine.run(words)?;
        match ran.code {
            STORE_UNAVAILABLE | TRY_AGAIN => must_name(&ran)?,
            DAMAGED | NOT_FOUND if lies => {}
            INCOMPLETE if lies => {
                let target = machine.path(TARGET);
                fs::remove_dir_all(&target).map_err(Error::file(&target))?;
            }
            _ => return ran.ok(),
        }
        *repeated += 1;
    }
    Err(Error::Broken(format!("nodekeep {} failed {TRIES} times", words.join(" "))))
}

/// Where snapshots are restored.
const TARGET: &str = "restored";

/// See docs/exit-codes.md.
const STORE_UNAVAILABLE: i32 = 10;
const TRY_AGAIN: i32 = 11;

/// An answer that is cut short and says that it is whole, twice in a row, looks like damage, or like a snapshot that was never committed,
/// until it is asked for again. That nothing is damaged is checked afterwards, past the proxy.
const INCOMPLETE: i32 = 3;
const DAMAGED: i32 = 4;
const NOT_FOUND: i32 = 8;

/// A failure of the store names an object, or the list of some, and how often it was tried.
fn must_name(ran: &Ran) -> Result<(), Error> {
    let said = format!("{}{}", ran.stdout, ran.stderr);
    let names_object =
        ["config", "r/", "k/", "w/", "g/", "c/", "x/"].iter().any(|name| said.contains(name));
    if ran.code == TRY_AGAIN || (names_object && said.contains("tried ")) {
        return Ok(());
    }
    Err(Error::Broken(format!("no object or attempt is named: {}", ran.told())))
}

/// A network over which nothing ever comes back: the error says so.
pub fn hopeless(stage: &mut Stage<Ceph>) -> Result<String, Error> {
    let site = stage.site()?;
    site.owner.grow(&mut stage.rng(7), Size::SMALL)?;
    let proxy =
        Proxy::start(stage.cluster.server(), Plan::default()).map_err(Error::file("proxy"))?;
    let owner = site.owner.through(proxy.address());
    let kept = (owner.backup()?, owner.tree()?);
    let mut told = Vec::new();
    for fault in [Fault::CutBefore, Fault::CutAfter, Fault::Refuse(503)] {
        proxy.follow(Plan::faults(stage.seed, [fault], 1));
        let ran = owner.run(&["backup", &owner.data().to_string_lossy()])?;
        if ran.code != STORE_UNAVAILABLE {
            return Err(Error::Broken(format!("{fault}: exit code 10 expected: {}", ran.told())));
        }
        must_name(&ran)?;
        told.push(format!("{fault} {:.0} s", ran.took.as_secs_f64()));
        proxy.follow(Plan::default());
        owner.must_restore(&kept.0, &kept.1)?;
        owner.must_check(&["--data"])?;
    }
    Ok(format!("gave up with exit code 10, object and attempts named, after: {}", told.join(", ")))
}
