//! `cargo xtask test-ceph` and `test-garage`: the program on real object stores, with everything going wrong.
//!
//! Each scenario is one promise. It prints one line when the promise held, and what broke, the seed and how to run it
//! again when it did not; the daemons' logs are kept then.

mod basic;
mod book;
mod ceph;
mod contract;
mod garage;
mod kills;
pub mod leash;
mod lie;
mod machine;
mod network;
mod osd;
pub mod packages;
mod s3;
mod server;
mod stage;
mod together;
mod worst_day;
mod write_only;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::args::Args;
use crate::error::Error;
use crate::place;
pub use ceph::Ceph;
pub use ceph::free_ports;
use garage::Garage;
pub use machine::{Machine, snapshot_of};
use s3::S3;
pub use stage::Stage;

/// One promise, tried on a cluster; what it returns is printed.
struct Scenario<C> {
    name: &'static str,
    promise: &'static str,
    /// Whether it is part of `--quick`.
    is_quick: bool,
    run: fn(&mut Stage<C>) -> Result<String, Error>,
}

const ON_CEPH: [Scenario<Ceph>; 11] = [
    Scenario {
        name: "server",
        promise: "the gateway creates an object once, whoever races",
        is_quick: true,
        run: server::truthful,
    },
    Scenario {
        name: "contract",
        promise: "the store passes the contract of all stores",
        is_quick: false,
        run: contract::run,
    },
    Scenario {
        name: "basic",
        promise: "backup, restore, check and prune, byte for byte",
        is_quick: true,
        run: basic::run,
    },
    Scenario {
        name: "together",
        promise: "eight writers, prune, check and restore at once, no locks",
        is_quick: true,
        run: together::run,
    },
    Scenario {
        name: "osd",
        promise: "an OSD dies in a backup and in a restore",
        is_quick: true,
        run: osd::run,
    },
    Scenario {
        name: "kills",
        promise: "writers and collector are killed at any moment",
        is_quick: true,
        run: kills::run,
    },
    Scenario {
        name: "network",
        promise: "the network cuts, delays, truncates, repeats and refuses",
        is_quick: true,
        run: network::run,
    },
    Scenario {
        name: "hopeless",
        promise: "a network that carries nothing is an error that says so",
        is_quick: false,
        run: network::hopeless,
    },
    Scenario {
        name: "write-only",
        promise: "under the documented policy a node can add and nothing else",
        is_quick: true,
        run: write_only::versioned,
    },
    Scenario {
        name: "write-only-plain",
        promise: "the same without versions: what a node overwrites is its own, and is named",
        is_quick: false,
        run: write_only::plain,
    },
    Scenario {
        name: "worst-day",
        promise: "the words alone list everything and bring it back",
        is_quick: true,
        run: worst_day::run,
    },
];

const ON_GARAGE: [Scenario<Garage>; 3] = [
    Scenario {
        name: "server",
        promise: "Garage lies about creating if absent",
        is_quick: true,
        run: server::lying,
    },
    Scenario {
        name: "contract",
        promise: "the probe of the store sees the lie",
        is_quick: false,
        run: contract::of_liars,
    },
    Scenario {
        name: "lie",
        promise: "init refuses the liar, and the fallback keeps what it promises",
        is_quick: true,
        run: lie::run,
    },
];

/// What to run.
#[derive(Debug)]
struct Options {
    only: Option<Vec<String>>,
    quick: bool,
    seed: u64,
    rounds: Option<u64>,
    binary: Option<PathBuf>,
    /// Only starts the servers, for trials by hand.
    serve: bool,
}

/// `cargo xtask test-ceph`.
pub fn test_ceph(words: Vec<OsString>) -> Result<(), Error> {
    let options = parse(words, &ON_CEPH)?;
    let started = Instant::now();
    let Some(ceph) = or_skip(Ceph::start(), options.quick)? else {
        return Ok(());
    };
    println!("ceph: {} OSDs serve after {:.0} s", ceph::OSDS, started.elapsed().as_secs_f64());
    let owner = ceph.create_user("owner")?;
    if options.serve {
        return serve(&[owner, ceph.create_user("other")?]);
    }
    let mut stage =
        Stage::new(ceph, owner, place::nodekeep(options.binary.clone())?, options.seed)?;
    perform("test-ceph", &mut stage, &ON_CEPH, &options, Ceph::keep_logs)
}

/// `cargo xtask test-garage`.
pub fn test_garage(words: Vec<OsString>) -> Result<(), Error> {
    let options = parse(words, &ON_GARAGE)?;
    let started = Instant::now();
    let Some(garage) = or_skip(Garage::start(), options.quick)? else {
        return Ok(());
    };
    println!("garage: serves after {:.0} s", started.elapsed().as_secs_f64());
    let owner = garage.create_user("owner")?;
    if options.serve {
        return serve(&[owner]);
    }
    let mut stage =
        Stage::new(garage, owner, place::nodekeep(options.binary.clone())?, options.seed)?;
    perform("test-garage", &mut stage, &ON_GARAGE, &options, Garage::keep_logs)
}

/// Says how to reach the servers, and keeps them until the input ends.
fn serve(users: &[S3]) -> Result<(), Error> {
    for S3 { server, region, keys } in users {
        println!(
            "AWS_ENDPOINT_URL=http://{server} AWS_REGION={region} AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={}",
            keys.access, keys.secret
        );
    }
    println!("serving until end of input (Ctrl-D)");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())
        .map(drop)
        .map_err(Error::file("/dev/stdin"))
}

/// With `--quick`, a machine that cannot carry the servers is no failure.
fn or_skip<C>(started: Result<C, Error>, quick: bool) -> Result<Option<C>, Error> {
    match started {
        Err(error @ Error::Unfit { .. }) if quick => {
            println!("skipped: {error}");
            Ok(None)
        }
        other => other.map(Some),
    }
}

fn parse<C>(words: Vec<OsString>, scenarios: &[Scenario<C>]) -> Result<Options, Error> {
    let mut args = Args::new(words);
    let options = Options {
        only: args.list("--only")?,
        quick: args.flag("--quick"),
        seed: args.value("--seed", "a number")?.unwrap_or(1),
        rounds: args.value("--rounds", "a number of rounds")?,
        binary: args.path("--bin")?,
        serve: args.flag("--serve"),
    };
    args.finish()?;
    let names: Vec<&str> = scenarios.iter().map(|scenario| scenario.name).collect();
    let unknown = options.only.iter().flatten().find(|name| !names.contains(&name.as_str()));
    match unknown {
        None => Ok(options),
        Some(name) => {
            Err(Error::Usage(format!("{name} is no scenario; there are {}", names.join(", "))))
        }
    }
}

fn perform<C>(
    task: &str,
    stage: &mut Stage<C>,
    scenarios: &[Scenario<C>],
    options: &Options,
    keep_logs: fn(&C, &Path) -> Result<(), Error>,
) -> Result<(), Error> {
    stage.quick = options.quick;
    stage.rounds = options.rounds;
    let started = Instant::now();
    let (mut held, mut broken) = (0, Vec::new());
    for scenario in scenarios.iter().filter(|scenario| options.wants(scenario)) {
        let Scenario { name, promise, .. } = scenario;
        let begun = Instant::now();
        match (scenario.run)(stage) {
            Ok(said) => {
                held += 1;
                println!(
                    "ok      {name} ({:.0} s): {promise}: {said}",
                    begun.elapsed().as_secs_f64()
                );
            }
            Err(error) => {
                println!(
                    "BROKEN  {name} ({:.0} s): {promise}\n{error}",
                    begun.elapsed().as_secs_f64()
                );
                println!("        again: {}", options.again(task, name));
                broken.push(*name);
            }
        }
    }
    if !broken.is_empty() {
        let kept = place::target().join("cluster").join(task);
        keep_logs(&stage.cluster, &kept)?;
        println!("the servers' logs are in {}", kept.display());
    }
    let seconds = started.elapsed().as_secs_f64();
    let (seed, count) = (options.seed, broken.len());
    println!("{task}: {held} promises held, {count} broken, seed {seed}, {seconds:.0} s");
    match broken.len() {
        0 => Ok(()),
        _ => Err(Error::Broken(format!("broken: {}", broken.join(", ")))),
    }
}

impl Options {
    fn wants<C>(&self, scenario: &Scenario<C>) -> bool {
        match &self.only {
            Some(only) => only.iter().any(|name| name == scenario.name),
            None => scenario.is_quick || !self.quick,
        }
    }

    /// The command that runs one scenario again as it ran.
    fn again(&self, task: &str, scenario: &str) -> String {
        let mut text = format!("cargo xtask {task} --only {scenario} --seed {}", self.seed);
        if self.quick {
            text.push_str(" --quick");
        }
        if let Some(rounds) = self.rounds {
            text.push_str(&format!(" --rounds {rounds}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> Result<Options, Error> {
        parse(words.iter().map(OsString::from).collect(), &ON_CEPH)
    }

    #[test]
    fn scenarios_are_chosen_by_name_and_by_speed() {
        let chosen = |words: &[&str]| -> Vec<&str> {
            let options = options(words).unwrap();
            let wanted = ON_CEPH.iter().filter(|scenario| options.wants(scenario));
            wanted.map(|scenario| scenario.name).collect()
        };
        assert_eq!(chosen(&[]).len(), ON_CEPH.len());
        assert_eq!(chosen(&["--only", "basic,contract", "--quick"]), ["contract", "basic"]);
        assert!(!chosen(&["--quick"]).contains(&"hopeless"));
        assert!(options(&["--only", "basics"]).is_err());
        assert!(options(&["--fast"]).is_err());
    }

    #[test]
    fn a_failure_says_how_to_run_it_again() {
        let options = options(&["--seed", "7", "--quick", "--rounds", "3"]).unwrap();
        assert_eq!(
            options.again("test-ceph", "kills"),
            "cargo xtask test-ceph --only kills --seed 7 --quick --rounds 3"
        );
    }

    #[test]
    fn only_what_the_machine_lacks_is_skipped_and_only_when_in_haste() {
        let unfit = || Err(Error::Unfit { reason: "no network".to_owned(), hint: "get one" });
        assert!(or_skip::<()>(unfit(), true).unwrap().is_none());
        assert!(or_skip::<()>(unfit(), false).is_err());
        assert!(or_skip::<()>(Err(Error::Broken("x".to_owned())), true).is_err());
        assert!(or_skip(Ok(()), true).unwrap().is_some());
    }
}
