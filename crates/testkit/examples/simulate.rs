//! What `cargo xtask simulate` runs.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use nodekeep_repo::simulate::Bug;
use nodekeep_testkit::sim::{SCENARIOS, Scenario, Tally, crowd};

/// More states than any scenario has.
const MOST_STATES: usize = 60_000_000;

/// So many merged histories of each scenario are tried out.
const TRIED: usize = 200;

struct Wanted {
    quick: bool,
    scenario: Option<String>,
    bug: Option<Bug>,
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let wanted = match wanted() {
        Ok(wanted) => wanted,
        Err(what) => {
            eprintln!("simulate: {what}");
            return ExitCode::from(2);
        }
    };
    if let Some(seed) = wanted.seed {
        let (steps, sound) = wander(seed, wanted.bug);
        println!("seed {seed}: {steps} steps");
        return if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let chosen: Vec<&Scenario> = SCENARIOS.iter().filter(|scenario| wanted.has(scenario)).collect();
    let (next, total, failures) =
        (AtomicUsize::new(0), Mutex::new(Tally::default()), AtomicUsize::new(0));
    let started = Instant::now();
    println!(
        "{:<16} {:>12} {:>12} {:>9} {:>9} {:>9} {:>8}",
        "scenario", "states", "transitions", "worlds", "histories", "runs", "seconds"
    );
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(scenario) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !run(scenario, wanted.bug, &total) {
                        failures.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let seeds = match wanted {
        Wanted { scenario: Some(_), .. } => 0,
        Wanted { quick: true, .. } => 10,
        _ => 300,
    };
    let walked = Instant::now();
    let results: Vec<(u64, bool)> = (0..seeds).map(|seed| wander(seed, wanted.bug)).collect();
    let steps: u64 = results.iter().map(|(steps, _)| steps).sum();
    failures.fetch_add(results.iter().filter(|(_, sound)| !sound).count(), Ordering::Relaxed);
    println!("{seeds} random paths: {steps} steps, {:.1} s", walked.elapsed().as_secs_f64());
    let total = total.into_inner().unwrap_or_else(|e| e.into_inner());
    line("total", &total, started);
    if failures.into_inner() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Wanted {
    fn has(&self, scenario: &Scenario) -> bool {
        match &self.scenario {
            Some(name) => scenario.name == name,
            None => scenario.quick || !self.quick,
        }
    }
}

fn wanted() -> Result<Wanted, String> {
    let mut wanted = Wanted { quick: false, scenario: None, bug: None, seed: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--quick" => wanted.quick = true,
            "--seed" => {
                let value = value()?;
                wanted.seed = Some(value.parse().map_err(|_| format!("{value} is no seed"))?);
            }
            "--scenario" => wanted.scenario = Some(value()?),
            "--bug" => {
                let name = value()?;
                let found = Bug::ALL.iter().find(|(known, _)| *known == name);
                wanted.bug = Some(found.ok_or(format!("no bug is called {name}"))?.1);
            }
            other => return Err(format!("{other} is not an option")),
        }
    }
    Ok(wanted)
}

fn run(scenario: &Scenario, bug: Option<Bug>, total: &Mutex<Tally>) -> bool {
    let started = Instant::now();
    let mut explorer = scenario.make(bug);
    let (tally, failure) = explorer.run(MOST_STATES);
    let found = if failure.is_none() { explorer.try_merged(1, TRIED) } else { Ok(0) };
    line(scenario.name, &tally, started);
    if let Err(what) = &found {
        println!("{}: {what}", scenario.name);
    }
    total.lock().unwrap_or_else(|e| e.into_inner()).add(&tally);
    if let Some(failure) = &failure {
        println!(
            "{}: {}; again with: cargo xtask simulate --scenario {}\n{}",
            scenario.name,
            scenario.about,
            scenario.name,
            explorer.tell(failure)
        );
    }
    failure.is_none() && found.is_ok()
}

fn wander(seed: u64, bug: Option<Bug>) -> (u64, bool) {
    let mut explorer = crowd(seed, bug);
    let (steps, failure) = explorer.wander(seed);
    if let Some(failure) = &failure {
        println!(
            "seed {seed}; again with: cargo xtask simulate --seed {seed}\n{}",
            explorer.tell(failure)
        );
    }
    (steps, failure.is_none())
}

fn line(name: &str, tally: &Tally, started: Instant) {
    println!(
        "{name:<16} {:>12} {:>12} {:>9} {:>9} {:>9} {:>8.1}",
        tally.states,
        tally.transitions,
        tally.worlds,
        tally.histories,
        tally.runs,
        started.elapsed().as_secs_f64()
    );
}
