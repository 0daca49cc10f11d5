//! A bad network between the program and the store: nothing is lost, nothing is wrong, and errors say what happened.

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

/// The same for lies, which no client can repeat for the command: it has to come through without one.
const ONE_LIE_IN: usize = 12;

/// A command that the network makes fail may be repeated so often.
const TRIES: u32 = 20;

/// Backups, a restore, a prune and a check under each kind of fault, and under all of them.
pub fn run(stage: &mut Stage<Ceph>) -> Result<String, Error> {
    let mut sum = 0;
    let mut failed = 0;
    for round in 0..stage.rounds(1, 3) {
        let seed = stage.seed + round;
        for fault in FAULTS {
            let (faults, failures) = endure(stage, seed, &[fault])?;
            if faults == 0 {
                return Err(Error::Broken(format!("{fault}: no request suffered it")));
            }
            (sum, failed) = (sum + faults, failed + failures);
        }
        let (faults, failures) = endure(stage, seed, &FAULTS)?;
        (sum, failed) = (sum + faults, failed + failures);
    }
    Ok(format!(
        "{} kinds of fault, {sum} faults, {failed} commands failed and were repeated",
        FAULTS.len()
    ))
}

/// Everything that a repository's owner does, with some requests suffering; faults done, and commands repeated.
fn endure(stage: &Stage<Ceph>, seed: u64, faults: &[Fault]) -> Result<(u64, u64), Error> {
    let what = match faults {
        [fault] => fault.to_string(),
        _ => "all faults".to_owned(),
    };
    let one_in = if faults == [Fault::Truncate] { ONE_LIE_IN } else { ONE_IN };
    let site = stage.site()?;
    let proxy = Proxy::start(stage.cluster.server(), Plan::faults(seed, faults, one_in))
        .map_err(Error::file("proxy"))?;
    let lies = faults.contains(&Fault::Truncate);
    let outcome = work(&site, &proxy, lies, &mut stage.rng(seed ^ 0x6e65));
    let counts = proxy.counts();
    let outcome = outcome.map_err(|error| {
        let last = counts.suffered.iter().rev().take(10).map(String::as_str);
        let last: Vec<&str> = last.collect();
        Error::Broken(format!(
            "{what}: {error}\nthe last faults, newest first:\n{}",
            last.join("\n")
        ))
    });
    Ok((counts.total(), outcome?))
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
        let target = owner.path("restored");
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
            _ => return ran.ok(),
        }
        *repeated += 1;
    }
    Err(Error::Broken(format!("nodekeep {} failed {TRIES} times", words.join(" "))))
}

/// See docs/exit-codes.md.
const STORE_UNAVAILABLE: i32 = 10;
const TRY_AGAIN: i32 = 11;

/// An answer that is cut short and says that it is whole looks like damage, or like a snapshot that was never committed, until
/// it is asked for again. That nothing is damaged is checked afterwards, past the proxy.
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
